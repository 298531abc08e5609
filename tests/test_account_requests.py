"""Requests about accounts, on a server that has a registry."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.login import EVERYBODY, Policy

from .helpers import Peer, Server
from .logins import HORSE, make_login
from .memory_registry import MemoryRegistry


class AccountTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = MemoryRegistry()
        self.begin()

    def begin(self, policy: Policy = EVERYBODY) -> None:
        self.server = Server(accounts=make_login(self.registry, policy))

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
        self.assertEqual(answer["type"], "welcome")
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
        self.assertEqual(self.ask(peer, type="nick", nick="bo")["code"], "denied")
        self.assertEqual(self.ask(peer, type="nick", nick="AL")["nick"], "AL")


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
        other, _ = self.hello("bo")
        sessions = [peer.wire.participant, other.wire.participant]
        self.patch(self.server.chat, "sessions_of", lambda account: sessions)
        self.assertEqual(self.change(peer, revoke=True)["type"], "password")
        self.assertEqual([obj["type"] for obj in other.got()], ["stop"])
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
        (stop,) = peer.got()
        self.assertEqual((stop["type"], "suspended" in stop["msg"]), ("stop", True))
        self.registry.end_sessions("bo")
        self.assertEqual(self.ask(guest, type="ping")["type"], "pong")
