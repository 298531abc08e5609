"""Identity and rights: a registry of accounts, handed to the chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import gate, messages, names
from twisted_chat.limits import Limits
from twisted_chat.log import Unavailable
from twisted_chat.login import Login
from twisted_chat.messages import WireError
from twisted_chat.names import Name
from twisted_chat.passwords import Passwords
from twisted_chat.rules import Account, Change, Role, Rule

from .helpers import FakeWire, Peer, Server
from .memory_registry import MemoryRegistry

ALICE = names.nick("alice")


class Registry(Login):
    """One account, alice's, with the password `s3cret`. It answers when it is told to."""

    def __init__(self) -> None:
        clock = Clock()
        super().__init__(MemoryRegistry(), Passwords(clock), clock)
        self.held: list[Callable[[], object]] | None = None

    def log_in(self, nick: Name, password: str | None, address: str) -> Deferred[Account | None]:
        if nick.key != ALICE.key:
            answer: Deferred[Account | None] = succeed(None)
        elif password == "s3cret":
            answer = succeed(Account(ALICE))
        else:
            answer = fail(WireError("auth-failed", "the password is wrong"))
        if self.held is None:
            return answer
        waiting: Deferred[Account | None] = Deferred()
        self.held.append(lambda: answer.chainDeferred(waiting))
        return waiting

    def limits(self, account: Account | None, limits: Limits) -> Limits:
        return limits if account is None else Limits(rate=50, burst=20, rooms_per_session=1)


class RegistryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = Registry()
        self.server = Server(limits=Limits(rate=1, burst=15), accounts=self.registry)

    def hello(self, peer: Peer, **fields: Any) -> dict[str, Any]:
        (answer,) = peer.ask(**{"type": "hello", "nick": "alice", "password": "s3cret", **fields})
        return answer

    def test_a_hello_is_checked(self) -> None:
        peer = self.server.connect()
        self.assertEqual(self.hello(peer, password="guess")["code"], "auth-failed")
        self.assertEqual(self.hello(peer)["type"], "welcome")

    def test_a_hello_may_wait_and_what_follows_it_waits_too(self) -> None:
        self.registry.held = []
        peer = self.server.connect()
        peer.send({"type": "hello", "nick": "alice", "password": "s3cret"}, {"type": "ping"})
        self.server.settle()
        self.assertEqual(peer.got(), [])
        self.registry.held.pop()()
        self.server.settle()
        self.assertEqual([obj["type"] for obj in peer.got()], ["welcome", "pong"])

    def test_what_follows_a_hello_that_waits_is_kept_though_the_client_has_closed_its_side(self) -> None:
        self.registry.held = []
        peer = self.server.connect()
        hello = {"type": "hello", "nick": "alice", "password": "s3cret"}
        peer.send(hello, {"type": "join", "room": "lobby"})
        peer.say("hi", id="1")
        peer.wire.participant.finished()
        self.server.settle()
        self.assertEqual(peer.got(), [])
        self.registry.held.pop()()
        self.server.settle()
        self.assertEqual([obj["type"] for obj in peer.got()], ["welcome", "joined", "ack", "stop"])

    def test_a_half_closed_connection_whose_hello_is_refused_ends_after_the_answer(self) -> None:
        for then in ([], [{"type": "ping"}], [{"type": "quit"}]):
            self.registry.held = []
            peer = self.server.connect()
            peer.send({"type": "hello", "nick": "alice", "password": "guess"}, *then)
            peer.wire.participant.finished()
            self.server.settle()
            self.assertFalse(peer.wire.closed)
            self.registry.held.pop()()
            self.server.settle()
            refused = ["auth-failed", *["not-welcome" for _ in then]]
            answers = peer.got()
            self.assertEqual([obj.get("code") for obj in answers], [*refused, None])
            self.assertEqual((answers[-1]["type"], peer.wire.closed), ("stop", True))

    def test_a_half_closed_connection_has_its_second_hello_answered_too(self) -> None:
        self.registry.held = []
        peer = self.server.connect()
        hello = {"type": "hello", "nick": "alice"}
        peer.send({**hello, "password": "guess"}, {**hello, "password": "s3cret"}, {"type": "ping"})
        peer.wire.participant.finished()
        for _ in range(2):
            self.registry.held.pop()()
            self.server.settle()
        self.assertEqual([obj["type"] for obj in peer.got()], ["error", "welcome", "pong", "stop"])

    def test_a_hello_whose_connection_is_gone_meanwhile_takes_no_nick(self) -> None:
        self.registry.held = []
        peer = self.server.connect()
        peer.send({"type": "hello", "nick": "alice", "password": "s3cret"})
        peer.cut()
        self.registry.held.pop()()
        self.assertEqual(list(self.server.chat.nicks), [])

    def test_a_registry_that_cannot_be_read_is_unavailable(self) -> None:
        self.patch(self.registry, "log_in", lambda *asked: fail(Unavailable("the disk is away")))
        self.assertEqual(self.hello(self.server.connect())["code"], "unavailable")

    def test_limits_depend_on_who_it_is(self) -> None:
        alice, guest = self.server.connect(), self.server.connect()
        limits = [self.hello(alice)["limits"], self.hello(guest, nick="bob", password=None)["limits"]]
        self.assertEqual([(told["rate"], told["burst"]) for told in limits], [(50, 20), (1, 15)])
        for peer, served in (alice, 19), (guest, 14):
            peer.send(*[{"type": "ping"}] * 30)
            self.server.settle()
            self.assertEqual([obj["type"] for obj in peer.got()], ["pong"] * served + ["error"])

    def test_so_does_the_number_of_rooms(self) -> None:
        alice = self.server.connect()
        self.hello(alice)
        alice.ask(type="join", room="den")
        self.assertEqual(alice.ask(type="join", room="attic")[0]["code"], "full")

    def test_an_account_may_have_its_own_name_also_if_it_is_forbidden(self) -> None:
        self.server.chat.forbidden_nicks = {ALICE, names.nick("admin")}
        self.assertEqual(self.server.connect().ask(type="hello", nick="admin")[0]["code"], "bad-nick")
        alice = self.server.connect()
        self.hello(alice)
        self.assertEqual(alice.ask(type="nick", nick="al")[0]["code"], "denied")
        self.assertLessEqual({"type": "nick", "nick": "alice"}.items(), alice.ask(type="nick", nick="alice")[0].items())


class GateTests(SynchronousTestCase):
    """Every request of every participant goes through the gate, which checks what stands beside it in the table."""

    def setUp(self) -> None:
        self.registry = Registry()
        self.server = Server(accounts=self.registry)
        self.alice, self.guest = self.server.connect(), self.server.welcome("bob", "den")
        self.alice.ask(type="hello", nick="alice", password="s3cret")
        self.alice.ask(type="join", room="den")
        self.server.hush(self.alice, self.guest)

    def needs(self, request: type[messages.AnyRequest], role: Role) -> None:
        handler = gate.table[request].handler
        self.patch(gate, "table", {**gate.table, request: gate.Row(handler, role, checks=True)})

    def test_who_lacks_the_role_in_that_room_is_denied(self) -> None:
        self.needs(messages.Topic, Role.MODERATOR)
        for peer in self.alice, self.guest:
            (answer,) = peer.ask(type="topic", room="Den", msg="all", id="7")
            self.assertEqual((answer["code"], answer["id"], answer["room"]), ("denied", "7", "Den"))
            self.assertIn("moderators", answer["msg"])
        for role in Role.MODERATOR, Role.OWNER:
            self.registry.rules.apply(Change(made=(Rule(room="den", kind="role", subject="alice", value=role),)))
            self.assertEqual(self.alice.ask(type="topic", room="Den", msg="all")[0]["type"], "topic")

    def test_where_no_room_is_named_it_is_the_role_on_the_server(self) -> None:
        self.needs(messages.ListRooms, Role.MEMBER)
        self.assertEqual(self.alice.ask(type="rooms")[0]["code"], "denied")

    def test_a_bare_client_is_a_guest_like_any_other(self) -> None:
        self.needs(messages.Say, Role.MEMBER)
        bare = self.server.connect()
        bare.send({"msg": "hi"})
        self.server.clock.advance(1)
        (answer,) = bare.got_segments()
        self.assertIn("only members may do this", answer["msg"])
        self.assertEqual(self.server.fake.calls["append"], 0)

    def test_all_but_a_hello_needs_one(self) -> None:
        strangers = {request for request, row in gate.table.items() if row.needs is Role.STRANGER}
        self.assertEqual(strangers, {messages.Hello, messages.WireError}, "the latter is an object that is no request")

    def test_every_request_there_is_has_a_row(self) -> None:
        self.assertEqual(set(gate.table), {*messages.AnyRequest.__args__, messages.WireError})

    def test_it_takes_the_rate_of_all(self) -> None:
        self.server = Server(limits=Limits(burst=1, rate=0.1))
        bare = self.server.connect()
        bare.send({"msg": "1"}, {"msg": "2"})
        self.server.clock.advance(1)
        self.assertIn("too fast", bare.got_segments()[0]["msg"])
        self.assertIsInstance(bare.wire, FakeWire)
