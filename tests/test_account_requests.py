"""Requests about accounts, on a server that has a registry."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.cluster import STANDALONE, Cluster
from twisted_chat.login import EVERYBODY, Policy
from twisted_chat.requests import identity

from .helpers import Peer, Server
from .logins import HORSE, make_login
from .memory_registry import MemoryRegistry


class AccountTestCase(SynchronousTestCase):
    cluster: Cluster = STANDALONE

    def setUp(self) -> None:
        self.registry = MemoryRegistry()
        self.begin()

    def begin(self, policy: Policy = EVERYBODY) -> None:
        self.server = Server(accounts=make_login(self.registry, policy), cluster=self.cluster)

    def hello(
        self, nick: str, password: str | None = None, address: str = "192.0.2.1", **fields: Any
    ) -> tuple[Peer, dict[str, Any]]:
        peer = self.server.connect(address)
        answer = self.ask(peer, type="hello", nick=nick, password=password, **fields)
        return peer, answer

    def ask(self, peer: Peer, **request: Any) -> dict[str, Any]:
        peer.send({key: value for key, value in request.items() if value is not None})
        self.server.settle()
        (answer,) = peer.got()
        return answer

    def register(self, nick: str) -> Peer:
        peer, _ = self.hello(nick)
        answer = self.ask(peer, type="register", password=HORSE, id="1")
        self.assertEqual(answer, {"type": "registered", "nick": nick, "id": "1"})
        return peer


class RegisterTests(AccountTestCase):
    def test_an_operator_registers_on_the_servers_machine(self) -> None:
        self.begin(Policy(operators=frozenset({"ops", "olga"})))
        for nick, address in ("ops", "127.0.0.1"), ("olga", ""):
            peer, _ = self.hello(nick, address=address)
            peer.wire.is_local = False  # as for the client of a proxy, whatever address that names
            answer = self.ask(peer, type="register", password=HORSE)
            self.assertEqual(answer["code"], "denied")
            self.assertIn("and not through a proxy", answer["msg"])
            peer.wire.is_local = True
            self.assertEqual(self.ask(peer, type="register", password=HORSE)["type"], "registered")

    def test_a_guest_makes_its_nick_an_account(self) -> None:
        peer = self.register("Al")
        self.assertEqual(self.ask(peer, type="tokens"), {"type": "tokens", "tokens": []})
        self.assertEqual(self.ask(peer, type="register", password=HORSE)["code"], "bad-message")
        peer.cut()
        _, answer = self.hello("al")
        self.assertEqual(answer["code"], "auth-failed")
        _, answer = self.hello("al", HORSE)
        self.assertEqual((answer["type"], answer["nick"], answer["account"]), ("welcome", "Al", True))

    def test_a_guest_is_told_of_no_account(self) -> None:
        _, answer = self.hello("al")
        self.assertNotIn("account", answer)

    def test_where_an_operator_has_to_let_it_in_it_stays_a_guest(self) -> None:
        self.begin(Policy("approved"))
        peer, _ = self.hello("al")
        answer = self.ask(peer, type="register", password=HORSE)
        self.assertEqual(answer, {"type": "registered", "nick": "al", "pending": True})
        self.assertEqual(self.ask(peer, type="tokens")["code"], "denied")

    def test_a_client_that_has_gone_meanwhile_hears_nothing(self) -> None:
        requests = {
            "nick": {"nick": "cy"},
            "register": {"password": HORSE},
            "token": {"label": "phone"},
            "tokens": {},
            "revoke-token": {"label": "phone"},
            "password": {"old": HORSE, "new": "battery staple"},
        }
        al = self.register("al")
        self.ask(al, type="token", label="phone")
        al.cut()
        for type, fields in requests.items():
            peer, _ = self.hello("bo") if type in ("register", "nick") else self.hello("al", HORSE)
            held = self.registry.held = []
            peer.send({"type": type, **fields})
            peer.cut()
            self.registry.held = None
            while held:
                held.pop()()
            self.server.settle()
            self.assertEqual(peer.got(), [], type)

    def test_the_names_of_clients_without_a_hello_stay_theirs(self) -> None:
        for nick in "49474", "u7", "49474-2":
            peer, _ = self.hello(nick)
            self.assertEqual(self.ask(peer, type="register", password=HORSE)["code"], "bad-nick")
            peer.cut()


class VisitorTests(AccountTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.begin(Policy("open", guests=False))

    def test_where_there_are_no_guests_one_may_register_and_no_more(self) -> None:
        peer, answer = self.hello("al")
        self.assertEqual((answer["type"], answer["guests"]), ("welcome", False))
        self.assertEqual(self.ask(peer, type="join", room="lobby")["code"], "denied")
        self.assertEqual(self.ask(peer, type="nick", nick="bo")["type"], "nick")
        self.assertEqual(self.ask(peer, type="ping")["type"], "pong")
        self.assertEqual(self.ask(peer, type="register", password=HORSE)["type"], "registered")
        self.assertEqual(self.ask(peer, type="join", room="lobby")["type"], "joined")
        self.assertEqual(self.ask(peer, type="quit")["type"], "stop")


class NickTests(AccountTestCase):
    def test_a_registered_nick_is_nobody_elses(self) -> None:
        self.register("paul")
        guest, _ = self.hello("bo")
        self.assertEqual(self.ask(guest, type="nick", nick="Paul")["code"], "auth-failed")
        self.assertEqual(self.ask(guest, type="nick", nick="pаul")["code"], "nick-taken")
        self.assertEqual(self.ask(guest, type="nick", nick="cy")["type"], "nick")

    def test_the_nick_of_an_account_is_that_of_the_account(self) -> None:
        peer = self.register("al")
        for nick in "bo", "AL":
            self.assertEqual(self.ask(peer, type="nick", nick=nick)["code"], "denied")
        self.assertEqual(self.ask(peer, type="nick", nick="al"), {"type": "nick", "author": "al", "nick": "al"})


class PasswordTests(AccountTestCase):
    def change(self, peer: Peer, **fields: Any) -> dict[str, Any]:
        return self.ask(peer, type="password", old=HORSE, new="battery staple", **fields)

    def test_only_an_account_has_one(self) -> None:
        guest, _ = self.hello("bo")
        self.assertEqual(self.change(guest)["code"], "denied")

    def test_it_is_changed(self) -> None:
        peer = self.register("al")
        self.assertEqual(self.change(peer, id="1"), {"type": "password", "id": "1"})
        self.assertEqual(self.change(peer)["code"], "auth-failed")
        peer.cut()
        self.assertEqual(self.hello("al", "battery staple")[1]["type"], "welcome")

    def test_what_else_logs_in_may_end_with_it(self) -> None:
        peer = self.register("al")
        token = self.ask(peer, type="token", label="phone")["token"]
        other, _ = self.hello("al", token)
        self.assertEqual(self.change(peer, revoke=True)["type"], "password")
        error, stop = other.got()
        self.assertEqual((error["code"], stop["type"], error["msg"]), ("auth-failed", "stop", stop["msg"]))
        self.assertEqual(self.ask(peer, type="ping")["type"], "pong")
        peer.cut()
        self.assertEqual(self.hello("al", token)[1]["code"], "auth-failed")


class TokenTests(AccountTestCase):
    def test_a_token_is_made_used_listed_and_revoked(self) -> None:
        peer = self.register("al")
        made = self.ask(peer, type="token", label="phone", id="1")
        token = made.pop("token")
        self.assertEqual(made, {"type": "token", "label": "phone", "id": "1"})
        peer.cut()
        peer, answer = self.hello("al", token)
        self.assertTrue(answer["account"])
        (listed,) = self.ask(peer, type="tokens")["tokens"]
        self.assertEqual(sorted(listed), ["created", "label", "used"])
        self.assertEqual(self.ask(peer, type="revoke-token", label="laptop")["code"], "bad-message")
        self.assertEqual(
            self.ask(peer, type="revoke-token", label="phone"), {"type": "token-revoked", "label": "phone"}
        )
        self.assertEqual(self.ask(peer, type="tokens")["tokens"], [])

    def test_a_label_has_a_length(self) -> None:
        peer = self.register("al")
        for label in "", "x" * 65:
            self.assertEqual(self.ask(peer, type="token", label=label)["code"], "bad-message")


class SuspensionTests(AccountTestCase):
    def test_the_sessions_of_a_suspended_account_end(self) -> None:
        peer, guest = self.register("al"), self.hello("bo")[0]
        self.registry.set_state("al", "suspended")
        self.server.settle()
        error, stop = peer.got()
        self.assertEqual((stop["type"], "suspended" in stop["msg"]), ("stop", True))
        self.assertEqual((error["code"], error["msg"]), ("auth-failed", stop["msg"]))
        self.registry.end_sessions("bo")
        self.assertEqual(self.ask(guest, type="ping")["type"], "pong")


class SessionsTests(AccountTestCase):
    """Several connections of one account."""

    def setUp(self) -> None:
        super().setUp()
        self.al, self.bo = self.register("al"), self.hello("bo")[0]
        self.phone, welcome = self.hello("al", HORSE)
        self.assertEqual(welcome["type"], "welcome")
        for peer in self.al, self.bo:
            self.ask(peer, type="join", room="den")
        self.server.hush(self.al, self.bo)

    def test_a_nick_counts_once_and_comes_and_goes_once(self) -> None:
        self.assertEqual(self.ask(self.phone, type="join", room="den")["count"], 2)
        self.assertEqual(self.ask(self.phone, type="who", room="den")["members"], ["al", "bo"])
        self.assertEqual(self.ask(self.bo, type="rooms")["rooms"][0]["count"], 2)
        self.assertEqual((self.al.got(), self.bo.got()), ([], []))
        self.phone.cut()
        self.server.settle()
        self.assertEqual(self.bo.got(), [])
        self.assertEqual(self.ask(self.al, type="leave", room="den")["type"], "left")
        self.server.settle()
        self.assertEqual([obj["type"] for obj in self.bo.got()], ["leave"])
        self.assertEqual(self.server.room("den").count, 1)

    def test_leaving_with_one_is_not_leaving(self) -> None:
        self.ask(self.phone, type="join", room="den")
        self.ask(self.al, type="leave", room="den")
        self.assertEqual((self.bo.got(), self.server.room("den").count), ([], 2))
        self.ask(self.al, type="join", room="den")
        self.assertEqual((self.bo.got(), self.server.room("den").count), ([], 2))

    def test_what_one_says_the_others_hear(self) -> None:
        self.ask(self.phone, type="join", room="den")
        self.assertEqual(self.ask(self.al, type="", room="den", msg="hi", id="1")["type"], "ack")
        for peer in self.phone, self.bo:
            self.assertEqual([(obj["author"], obj["msg"]) for obj in peer.got()], [("al", "hi")])
        self.assertEqual(self.al.got(), [])

    def test_a_direct_message_goes_to_all_that_read(self) -> None:
        self.bo.send({"type": "", "to": "al", "msg": "psst"})
        self.server.settle()
        self.assertEqual([self.al.texts(), self.phone.texts()], [["psst"], ["psst"]])
        self.phone.pause()
        self.assertEqual(self.ask(self.bo, type="", to="al", msg="psst", id="1")["type"], "ack")
        self.assertEqual([self.al.texts(), self.phone.texts()], [["psst"], []])
        self.al.pause()
        self.assertEqual(self.ask(self.bo, type="", to="al", msg="psst")["code"], "unavailable")

    def test_all_are_kicked(self) -> None:
        self.registry.rules.operators = frozenset(("ops",))
        ops = self.register("ops")
        for peer in self.phone, ops:
            self.ask(peer, type="join", room="den")
        self.server.hush(self.al, self.bo, self.phone)
        self.ask(ops, type="kick", room="den", nick="al")
        for peer in self.al, self.phone, self.bo:
            self.assertEqual([obj["type"] for obj in peer.got()], ["kick"])
        self.assertEqual(self.ask(self.bo, type="who", room="den")["members"], ["bo", "ops"])
        self.assertEqual(self.server.room("den").count, 2)

    def test_a_token_takes_the_place_of_the_connection_that_has_it(self) -> None:
        first, _ = self.hello("al", HORSE, token="x" * 16)
        _, answer = self.hello("al", HORSE, token="x" * 16)
        self.assertEqual((answer["type"], first.wire.closed, self.al.wire.closed), ("welcome", True, False))

    def test_their_number_is_bounded(self) -> None:
        self.patch(identity, "MAX_SESSIONS", 3)
        self.assertEqual(self.hello("al", HORSE)[1]["type"], "welcome")
        self.assertEqual(self.hello("al", HORSE)[1]["code"], "full")
        self.phone.cut()
        self.assertEqual(self.hello("al", HORSE)[1]["type"], "welcome")

    def test_the_owner_of_a_nick_does_not_wait_for_a_guest(self) -> None:
        self.begin(Policy("approved"))
        guest, _ = self.hello("cy")
        self.ask(guest, type="register", password=HORSE)
        self.registry.set_state("cy", "active")
        self.assertEqual(self.hello("cy", HORSE)[1]["type"], "welcome")
        self.assertTrue(guest.wire.closed)
