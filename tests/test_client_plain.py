"""The interface of lines, from what is typed to what is printed and the exit status."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import DNSLookupError
from twisted.internet.error import TimeoutError as TimedOut
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import messages as wire
from twisted_chat.client.program import plain
from twisted_chat.client.program.lines import Lines
from twisted_chat.client.program.options import Options
from twisted_chat.client.program.plain import PlainInterface
from twisted_chat.client.program.tokens import Tokens
from twisted_chat.client.protocol.engine import WELCOME_TIME
from twisted_chat.messages import WireError
from twisted_chat.messages.errors import Code

from .client_fakes import FakeServer, Network, result
from .client_streams import FakeStreams
from .programs import folder

OPTIONS = Options("127.0.0.1", 14900, "alice", ("lobby",), False)


class PlainTestCase(SynchronousTestCase):
    options = OPTIONS
    tokens: Tokens | None = None

    def setUp(self) -> None:
        self.server = FakeServer()
        self.network = Network(self.server, Clock())
        self.lines = Lines()
        self.streams = FakeStreams(self.lines)
        self.running: Deferred[int] = Deferred()
        self.columns: int | None = None

    def begin(self) -> None:
        self.patch(os, "get_terminal_size", self.terminal_size)
        interface = PlainInterface(self.network.clock, self.options, self.lines, self.network, self.tokens)
        self.running = Deferred.fromCoroutine(interface.run())

    def terminal_size(self, descriptor: int) -> os.terminal_size:
        """Say that standard output and error are a terminal with so many columns, if they are one."""
        if self.columns is None:
            raise OSError("this is not a terminal")
        return os.terminal_size((self.columns, 24))

    def start(self) -> None:
        self.begin()
        self.network.flush()

    def type(self, text: str) -> None:
        self.lines.received(text.encode())
        self.network.flush()

    def status(self) -> int:
        """Give the exit status, and look that nothing is left behind."""
        self.network.flush()
        self.assertEqual((self.network.connections, self.network.clock.getDelayedCalls()), ([], []))
        self.assertTrue(self.streams.closed and self.streams.output.over and self.streams.errors.over)
        status: int = result(self.running)
        return status

    @property
    def complaints(self) -> list[str]:
        return self.streams.errors.printed

    @property
    def said(self) -> list[str]:
        return [message.msg for message in self.server.room("lobby").log]


class PlainTests(PlainTestCase):
    def test_lines_are_said_and_exit_leaves(self) -> None:
        self.start()
        self.type("hi\n\nhow are you?\n//me\nexit\nnot this\n")
        self.assertEqual((self.status(), self.said), (0, ["hi", "how are you?", "/me"]))
        self.assertEqual((self.streams.output.data, self.complaints), (b"", []))

    def test_the_end_of_input_leaves_after_all_is_acked(self) -> None:
        self.start()
        self.lines.received(b"hi")
        self.lines.input_has_ended(None)
        self.assertNoResult(self.running)
        self.assertEqual((self.status(), self.said), (0, ["hi"]))

    def test_history_is_printed_like_everything_else(self) -> None:
        self.server.say("before")
        self.start()
        self.type("/history\nexit\n")
        self.assertEqual(self.status(), 0)
        self.assertIn("bob: before", self.streams.output.data.decode())

    def test_the_command_quit_leaves(self) -> None:
        self.start()
        self.type("hi\n/quit\n")
        self.assertEqual((self.status(), self.said), (0, ["hi"]))

    def test_ten_thousand_lines_arrive_in_order(self) -> None:
        self.start()
        self.lines.received(b"".join(b"%d\n" % i for i in range(10_000)))
        self.assertTrue(self.streams.paused)
        self.lines.input_has_ended(None)
        self.assertEqual((self.status(), self.said), (0, [str(i) for i in range(10_000)]))

    def test_messages_are_printed_without_what_a_terminal_obeys(self) -> None:
        self.start()
        self.server.say("hi\x1b[2J\nbob: no", author="b\x07ob")
        self.network.connections[0].reply(wire.Message(msg="psst", author="bob", to="alice"))
        self.network.flush()
        self.assertEqual(self.streams.output.printed, ["bob: hi[2J", "  bob: no", "bob (to you): psst"])

    def test_on_a_terminal_no_row_of_a_message_looks_like_another_message(self) -> None:
        self.columns = 20
        self.start()
        self.server.say("x" * 15 + " eve: send me money\n\tback at last, everybody")
        self.type("/topic " + "y" * 300 + "\n")
        self.columns = 0
        self.server.say("x" * 30)
        self.network.flush()
        rows = ["bob: " + "x" * 15, "  eve: send me money", "      back at last,", "  everybody"]
        self.assertEqual(self.streams.output.printed, [*rows, "bob: " + "x" * 30])
        first, *others = self.complaints
        self.assertEqual(first[:2], "* ")
        self.assertEqual({row[:2] for row in others}, {"  "})
        self.assertLessEqual(max(map(len, self.complaints)), 20)

    def test_several_lines_of_a_message_stay_several_lines_that_look_like_no_message(self) -> None:
        self.start()
        self.server.say("\ndef f(x):\n\treturn x\n\n* alice left lobby\n")
        self.network.flush()
        self.assertEqual(
            self.streams.output.data.decode(), "bob: def f(x):\n      return x\n  \n  * alice left lobby\n"
        )

    def test_a_message_of_another_room_has_its_name_in_front(self) -> None:
        self.start()
        self.type("/join other\n")
        self.server.say("hi")
        self.server.say("yo", room="other")
        self.network.flush()
        self.assertEqual(self.streams.output.printed, ["* you are in other (1 member)", "[lobby] bob: hi", "bob: yo"])

    def test_on_a_terminal_it_shows_who_joins(self) -> None:
        self.patch(os, "isatty", lambda descriptor: True)
        self.start()
        self.network.connections[0].reply(wire.MemberJoined(author="bob", room="lobby"))
        self.network.flush()
        self.assertEqual(
            self.streams.output.printed, ["* you are alice in lobby; /help shows what you can do", "* bob joined lobby"]
        )

    def test_in_a_pipe_it_does_not_show_who_joins(self) -> None:
        self.patch(os, "isatty", lambda descriptor: False)
        self.start()
        self.network.connections[0].reply(wire.MemberJoined(author="bob", room="lobby"))
        self.network.flush()
        self.assertEqual(self.streams.output.printed, [])

    def test_several_rooms_are_entered_and_the_first_is_talked_in(self) -> None:
        self.options = replace(OPTIONS, rooms=("lobby", "garden"))
        self.start()
        self.type("hi\nexit\n")
        self.assertEqual((self.status(), self.said), (0, ["hi"]))
        self.assertEqual(list(self.server.rooms), ["lobby", "garden"])

    def test_with_literal_a_command_is_said_as_a_text(self) -> None:
        self.options = replace(OPTIONS, literal=True)
        self.start()
        self.type("/quit\n\nexit\nhi\n")
        self.lines.input_has_ended(None)
        self.assertEqual((self.status(), self.said), (0, ["/quit", "exit", "hi"]))

    def test_after_a_mistake_the_status_is_1_at_the_end(self) -> None:
        self.start()
        self.type("/what\nhi\nexit\n")
        self.assertEqual((self.status(), self.said), (1, ["hi"]))
        self.assertEqual(self.complaints, ["* there is no command /what; /help lists the commands"])

    def test_after_a_refusal_the_status_is_1_at_the_end(self) -> None:
        self.start()
        self.type("x" * 20_000 + "\nhi\nexit\n")
        self.assertEqual((self.status(), self.said), (1, ["hi"]))
        self.assertIn("16,384", self.complaints[0])

    def test_a_server_that_goes_away_ends_it_with_a_line(self) -> None:
        self.start()
        self.lines.received(b"hi\n")
        self.network.cut()
        self.assertEqual(self.status(), 1)
        (line,) = self.complaints
        self.assertIn("127.0.0.1:14900 is lost", line)
        self.assertIn("1 of what you said may be lost", line)

    def test_a_server_that_stops_ends_it_with_what_it_says(self) -> None:
        self.start()
        self.network.connections[0].reply(wire.Stop(msg="back in\ta minute", author="server"))
        self.assertEqual(self.status(), 1)
        self.assertEqual(self.complaints, ["the connection to 127.0.0.1:14900 is lost: back in a minute"])

    def test_a_server_that_goes_away_before_the_room_is_entered_ends_it(self) -> None:
        self.server.refuse = lambda request: self.network.cut() if isinstance(request, wire.Join) else None
        self.start()
        self.assertEqual((self.status(), len(self.complaints)), (1, 1))

    def test_a_server_that_goes_away_while_it_leaves_is_told_too(self) -> None:
        self.start()
        self.lines.received(b"hi\nexit\n")
        self.network.cut()
        self.assertEqual(self.status(), 1)
        self.assertEqual(len(self.complaints), 1)

    def test_an_output_that_nobody_reads_ends_it_quietly(self) -> None:
        self.start()
        self.streams.output.end(BrokenPipeError())
        self.assertEqual((self.status(), self.complaints), (141, []))

    def test_the_first_reason_for_an_end_is_told(self) -> None:
        self.start()
        self.streams.output.stuck = True
        self.network.cut()
        self.streams.output.end(BrokenPipeError())
        self.assertEqual((self.status(), len(self.complaints)), (1, 1))
        self.assertIn("is lost", self.complaints[0])

    def test_an_output_that_is_full_ends_it_with_the_reason(self) -> None:
        self.start()
        self.streams.output.end(OSError(28, "No space left on device"))
        self.assertEqual((self.status(), self.complaints), (1, ["standard output: No space left on device"]))

    def test_an_output_that_takes_not_even_the_last_lines_is_told_too(self) -> None:
        self.start()
        self.streams.output.stuck = True
        self.type("exit\n")
        self.assertNoResult(self.running)
        self.streams.output.end(OSError(28, "No space left on device"))
        self.assertEqual((self.status(), self.complaints), (1, ["standard output: No space left on device"]))

    def test_what_was_typed_and_is_not_known_to_be_done_is_counted(self) -> None:
        self.server.refuse = lambda request: self.network.cut() if isinstance(request, wire.Topic) else None
        self.start()
        self.server.refuse = lambda request: self.network.cut() if isinstance(request, wire.Topic) else None
        self.lines.received(b"hi\n/topic tea\nand this\n\nand that\n")
        self.network.flush()
        self.assertEqual(self.status(), 1)
        (line,) = self.complaints
        self.assertRegex(line, "; /topic tea may not have been done; 2 lines that you typed were not sent$")

    def test_an_input_that_cannot_be_read_is_told(self) -> None:
        self.start()
        self.lines.received(b"hi\n")
        self.lines.input_has_ended(IsADirectoryError(21, "Is a directory"))
        self.assertEqual((self.status(), self.said), (1, ["hi"]))
        self.assertEqual(self.complaints, ["standard input: Is a directory"])

    def test_input_waits_while_standard_error_is_full(self) -> None:
        self.start()
        self.streams.errors.full = True
        self.type("/what\n/what\n")
        self.assertEqual(len(self.complaints), 1)
        self.streams.errors.full = False
        self.lines.has_space()
        self.assertEqual(len(self.complaints), 2)
        self.type("exit\n")
        self.assertEqual(self.status(), 1)

    def test_an_interrupt_ends_it_though_nobody_reads_the_output(self) -> None:
        self.start()
        self.streams.output.stuck = True
        self.running.cancel()
        self.network.flush()
        self.failureResultOf(self.running, CancelledError)
        self.assertTrue(self.streams.output.over)
        self.assertEqual((self.network.connections, self.complaints), ([], []))

    def test_a_room_that_does_not_let_it_in_ends_it(self) -> None:
        self.server.refuse = lambda request: WireError("denied", "not you") if isinstance(request, wire.Join) else None
        self.start()
        self.assertEqual(
            (self.status(), self.complaints),
            (1, ["127.0.0.1:14900 does not let you in: lobby cannot be joined: not you"]),
        )

    def test_somebody_who_is_banned_is_out_with_the_status_of_a_refused_login(self) -> None:
        codes: list[tuple[Code, int]] = [("banned", 3), ("auth-failed", 3), ("rate-limited", 1)]
        for code, status in codes:
            self.setUp()
            self.start()
            for reply in (wire.Error(code=code, msg="no", author="server"), wire.Stop(msg="no", author="server")):
                self.network.connections[0].protocol.dataReceived(wire.encode_line(reply))
            self.lines.received(b"unheard\n")
            self.network.cut()
            self.assertEqual(self.status(), status)
            *_, line = self.complaints
            self.assertRegex(
                line, r"^the connection to 127\.0\.0\.1:14900 is lost: .*no; 1 of what you said may be lost$"
            )

    def test_a_nick_that_is_taken_ends_it_with_a_line(self) -> None:
        self.server.refuse = lambda request: WireError("nick-taken", "somebody has this nick")
        self.start()
        self.assertEqual(self.status(), 1)
        self.assertIn("--nick", self.complaints[0])

    def test_a_server_that_ends_the_connection_before_the_welcome_may_be_an_old_one(self) -> None:
        self.server.refuse = lambda request: WireError("full", "full")
        self.begin()
        self.network.cut()
        self.assertEqual(self.status(), 1)
        self.assertRegex(self.complaints[0], r"^127\.0\.0\.1:14900 did not let you in: .*; .* try --bare$")

    def test_a_server_that_says_why_it_stops_is_not_taken_for_an_old_one(self) -> None:
        self.begin()
        self.network.connections[0].protocol.dataReceived(wire.encode_line(wire.Stop(msg="closing", author="server")))
        self.network.cut()
        self.assertEqual(self.status(), 1)
        self.assertEqual(self.complaints, ["127.0.0.1:14900 did not let you in: closing"])

    def test_a_server_that_does_not_answer_is_told_with_its_address(self) -> None:
        self.begin()
        self.network.connections[0].clear()
        self.network.clock.advance(WELCOME_TIME)
        self.assertEqual(self.status(), 1)
        self.assertRegex(
            self.complaints[0],
            r"^127\.0\.0\.1:14900 did not let you in: the server did not answer within 30 seconds; .*--bare$",
        )

    def test_without_a_server_it_says_why_in_a_line(self) -> None:
        for error, text in (
            (Refused(), "there is no server at 127.0.0.1:14900; --host and --port say where to look"),
            (DNSLookupError(), "there is no host with the name 127.0.0.1; --host says where to look"),
            (TimedOut(), "cannot reach 127.0.0.1:14900: there was no answer in time"),
        ):
            self.network.error = error
            self.start()
            self.network.clock.advance(0)
            self.assertEqual(result(self.running), 1)
            self.assertTrue(self.complaints[-1].startswith(text), self.complaints)
            self.lines = Lines()
            self.streams = FakeStreams(self.lines)


class BareTests(PlainTestCase):
    options = Options("127.0.0.1", 14900, "alice", ("lobby",), True)

    def start(self) -> None:
        super().start()
        (self.connection,) = self.network.connections

    def segments(self) -> list[bytes]:
        data = self.connection.value()
        self.connection.clear()
        return [data] if data else []

    def test_a_bare_conversation_has_three_fields(self) -> None:
        self.patch(self.network, "flush", lambda: None)
        self.start()
        self.type("hi\n/join x\nexit\n")
        self.assertEqual(self.segments(), [b'{"type":"","msg":"hi","author":"self"}'])
        self.connection.protocol.dataReceived(
            b'{"type": "", "msg": "yo\\u001b", "author": 49474}{"type":"error","msg":"no"}'
        )
        self.network.clock.pump([0.02] * 3)
        self.assertEqual(self.segments(), [b'{"type":"quit","msg":"","author":"self"}'])
        self.connection.protocol.dataReceived(b'{"type": "stop", "msg": "", "author": "server"}')
        self.connection.cut()
        self.assertEqual(self.status(), 1, "a command was refused")
        self.assertEqual(self.streams.output.printed, ["49474: yo"])
        self.assertEqual(self.complaints[1:], ["* no"])
        self.assertIn("--bare", self.complaints[0])

    def test_a_server_that_goes_away_ends_it_with_a_line(self) -> None:
        self.patch(self.network, "flush", lambda: None)
        for heard, complaint in (
            (b'{"msg": "hi"}', "^the connection to 127.0.0.1:14900 is lost"),
            (b"", "^127.0.0.1:14900 did not let you in: .* try --tls$"),
        ):
            self.start()
            self.connection.protocol.dataReceived(heard)
            self.connection.cut()
            self.assertEqual(self.status(), 1)
            self.assertRegex(self.complaints[0], complaint)
            self.setUp()

    def test_a_server_that_ends_without_a_goodbye_while_it_leaves_is_told(self) -> None:
        self.patch(self.network, "flush", lambda: None)
        self.start()
        self.type("hi\nexit\n")
        self.connection.cut()
        self.assertEqual((self.status(), len(self.complaints)), (1, 1))


class AccountTests(PlainTestCase):
    """Accounts in a pipe and on a terminal of lines."""

    options = replace(OPTIONS, nick="owner")

    def setUp(self) -> None:
        super().setUp()
        owner = self.server.chat.welcome("owner")
        owner.send({"type": "register", "password": "correct horse"})
        self.server.chat.settle()
        owner.cut()
        self.is_terminal = False
        self.patch(os, "isatty", lambda descriptor: self.is_terminal)
        self.hidden: list[int] = []
        self.patch(plain, "without_echo", self.without_echo)

    @contextmanager
    def without_echo(self, descriptor: int) -> Iterator[None]:
        self.hidden.append(descriptor)
        shown = bytes(self.streams.output.data)
        yield
        self.assertIn(b", which is not shown:", self.streams.output.data[len(shown) :])

    def test_a_refused_login_has_a_status_of_its_own_and_says_what_to_do(self) -> None:
        self.start()
        self.assertEqual(self.status(), 3)
        (line,) = self.complaints
        self.assertEqual(
            line,
            "127.0.0.1:14900 does not let you in: the nick owner is somebody's account: log in with its password; "
            "--password-file FILE or the variable TWISTED_CHAT_PASSWORD gives it, --nick takes another nick",
        )

    def test_a_ban_is_a_refused_login_and_a_taken_nick_is_none(self) -> None:
        for code, status in (("banned", 3), ("denied", 3), ("nick-taken", 1), ("rate-limited", 1)):
            self.setUp()
            self.server.refuse = lambda _, code=code: WireError(code, "no")  # type: ignore[misc]  # a default binds it
            self.start()
            self.assertEqual(self.status(), status)

    def test_a_wrong_password_that_was_given_is_refused(self) -> None:
        self.options = replace(self.options, password="wrong horse")
        self.is_terminal = True
        self.start()
        self.assertEqual((self.status(), self.hidden), (3, []))

    def test_a_given_password_logs_in(self) -> None:
        self.options = replace(self.options, password="correct horse")
        self.start()
        self.type("hi\nexit\n")
        self.assertEqual((self.status(), self.said), (0, ["hi"]))

    def test_in_a_pipe_the_password_is_the_next_line(self) -> None:
        self.options = replace(self.options, nick="bob")
        self.start()
        self.type("/register\nbattery staple\nhi\n/login owner\nwrong horse\nhello\n")
        self.network.pass_time(1)
        self.assertEqual((self.status(), self.said), (1, ["hi"]))
        self.assertIn(b"bob is your account now", self.streams.output.data)
        self.assertNotIn(b"staple", self.streams.output.data)
        self.assertEqual(self.complaints, ["* /login owner: the nick or the password is wrong", self.NOT_SENT])
        self.assertEqual(self.hidden, [])

    def test_where_there_are_no_guests_one_registers_in_no_room(self) -> None:
        self.options = replace(self.options, nick="bob")
        self.server.chat.chat.accounts.guests = False
        self.start()
        self.type("/register\nbattery staple\n/join lobby\nhi\nexit\n")
        self.network.pass_time(1)
        self.assertEqual((self.status(), self.said), (1, ["hi"]))
        text = "there are no guests on this server: register your nick, or log in"
        self.assertEqual(self.complaints, [f"* lobby cannot be joined: {text}"])

    NOT_SENT = "the lines that follow may be a password, and are not sent"

    def test_in_a_pipe_no_password_is_said_behind_a_command_that_is_refused(self) -> None:
        for command in "/password", "/login two words", "/rejister", "/REGISTER now", "/token":
            self.setUp()
            self.options = replace(self.options, nick="bob")
            self.start()
            self.type(f"{command}\nsecret four\nsecret five\nexit\n")
            self.network.pass_time(1)
            self.assertEqual(self.status(), 1, command)
            self.assertEqual(self.said, ["secret four", "secret five"] if command == "/token" else [], command)
            self.assertEqual(self.NOT_SENT in self.complaints, command != "/token", command)

    def test_at_the_end_of_input_there_is_no_password(self) -> None:
        self.options = replace(self.options, nick="bob")
        self.start()
        self.type("/register\n")
        self.lines.input_has_ended(None)
        self.assertEqual(self.status(), 1)
        self.assertEqual(self.complaints, ["* nothing was done, since no password was typed", self.NOT_SENT])

    def test_on_a_terminal_the_password_is_asked_for_and_not_shown(self) -> None:
        self.is_terminal = True
        self.tokens = Tokens(folder(self) / "tokens.json", self.options)
        self.start()
        self.type("wrong horse\n")
        self.type("correct horse\n")
        self.type("yes\n")
        self.type("exit\n")
        self.assertEqual((self.status(), self.hidden), (0, [0, 0]))
        output = self.streams.output.data.decode()
        for text in (
            "* password of owner, which is not shown:\n",
            "* that was not right; password of owner, which is not shown:\n",
            f"* stay logged in on this machine? y keeps a token in {self.tokens.path}; anything else does not\n",
            "* you stay logged in here",
        ):
            self.assertIn(text, output)
        self.assertNotIn("horse", output)
        self.assertIsNotNone(self.tokens.get("owner"))
        self.setUpAgain()
        self.start()
        self.type("exit\n")
        self.assertEqual((self.status(), self.hidden), (0, [0, 0]), "the token logs in")

    def setUpAgain(self) -> None:
        """Begin another run, with the same server and the same files."""
        self.lines = Lines()
        self.streams = FakeStreams(self.lines)

    def test_tokens_that_cannot_be_used_are_told_of(self) -> None:
        self.tokens = Tokens(folder(self) / "tokens.json", self.options)
        assert self.tokens.path is not None
        self.tokens.path.write_text("{}")
        self.tokens.path.chmod(0o640)
        self.options = replace(self.options, nick="bob")
        self.start()
        self.type("exit\n")
        self.assertEqual(self.status(), 0)
        self.assertEqual(
            self.complaints, [f"* {self.tokens.path} can be read by others: run chmod 600 on it, or remove it"]
        )


class OrderTests(PlainTestCase):
    """What moderators do, in lines."""

    def hears(self, **obj: Any) -> None:
        (connection,) = self.network.connections
        connection.protocol.objects_received([obj])
        self.network.flush()

    def test_messages_are_found_by_who_said_them(self) -> None:
        self.patch(plain, "SPEAKERS", 2)
        self.patch(os, "isatty", lambda descriptor: descriptor == 1)
        self.start()
        theirs = self.server.say("ads", author="troll")
        self.network.flush()
        self.type("/report TROLL\n")
        self.assertIn(f"the operators are told of message {theirs} of lobby", self.streams.output.data.decode())
        self.type("hi\n")
        own = self.server.room("lobby").log[-1].seq or 0
        self.type("/report alice it is mine\n")
        self.assertIn(f"the operators are told of message {own} of lobby", self.streams.output.data.decode())
        self.hears(type="delete", author="troll", room="lobby", of=theirs, seq=own + 2)
        self.assertIn(f"* message {theirs} of lobby was deleted\n", self.streams.output.data.decode())
        self.type("/report troll\n")
        self.assertEqual(self.complaints, ["* there is no message of troll here; /history brings older ones"])
        for author in ("carol", "dave", "erin"):
            self.server.say("hi", author=author)
        self.network.flush()
        self.type("/report carol\n")
        self.assertEqual(len(self.complaints), 2, "the oldest speakers are forgotten")

    def test_a_direct_message_that_is_deleted_is_told_of(self) -> None:
        self.patch(os, "isatty", lambda descriptor: descriptor == 1)
        self.start()
        self.hears(type="delete", author="bob", to="alice", of=1, seq=2)
        self.assertIn("* direct message 1 with bob was deleted\n", self.streams.output.data.decode())

    def test_a_message_that_was_deleted_before_is_shown_as_one(self) -> None:
        self.start()
        self.hears(type="", msg="", author="bob", room="lobby", seq=50, deleted=51)
        self.assertEqual(self.streams.output.data, b"bob: (deleted)\n")
