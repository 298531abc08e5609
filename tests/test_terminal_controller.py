"""The interface of the whole screen, from the keys to what is shown and the exit status, with a server in memory."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from prompt_toolkit.application import create_app_session
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.layout import BufferControl, FormattedTextControl, UIControl
from prompt_toolkit.output import ColorDepth, DummyOutput
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, Logger, globalLogBeginner
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import messages as wire
from twisted_chat.client import terminal
from twisted_chat.client.program.columns import width
from twisted_chat.client.program.options import Options
from twisted_chat.client.program.person import NO_ROOM, Direct
from twisted_chat.client.program.tokens import Tokens
from twisted_chat.client.terminal import pane as pane_module
from twisted_chat.client.terminal import view
from twisted_chat.client.terminal.controller import PAGE, SAVE, Controller
from twisted_chat.client.terminal.entry import Fate
from twisted_chat.client.terminal.memory import Memory
from twisted_chat.client.terminal.pane import Pane
from twisted_chat.client.terminal.paste import MANY_LINES
from twisted_chat.client.terminal.screen import PaneScreen
from twisted_chat.client.terminal.viewport import Viewport
from twisted_chat.messages import WireError

from .client_fakes import FakeServer, Network, fake_room
from .programs import TIMEOUT, folder

OPTIONS = Options("127.0.0.1", 14900, "alice", ("lobby",), False)

LEFT, RIGHT, UP, DELETE = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[3~"
PAGE_UP, PAGE_DOWN, CTRL_END = "\x1b[5~", "\x1b[6~", "\x1b[1;5F"


def pasted(text: str) -> str:
    return f"\x1b[200~{text}\x1b[201~"


NOW = datetime(2026, 11, 22, 11, 6, 37, tzinfo=UTC)
"""A moment after all that the server of these tests says."""


class Paper(DummyOutput):
    """A terminal of a size, that shows nothing."""

    size = Size(rows=24, columns=80)

    def get_size(self) -> Size:
        return self.size


def shows_title(stage: Stage, title: str) -> bool:
    return stage.title == title


class Stage:
    """One person before one terminal."""

    def __init__(
        self,
        server: FakeServer,
        options: Options,
        pipe: PipeInput,
        memory: Memory | None,
        connects: bool,
        tokens: Tokens | None,
    ) -> None:
        self.server = server
        self.network = Network(server, Clock())
        self._connects = connects
        self.paper = Paper()
        self.pipe = pipe
        self.controller = Controller(self.network.clock, options, self.network, memory, pipe, self.paper, tokens)
        self.panes = self.controller.panes
        self.status: int | None = None
        """The exit status, when it has ended."""
        self._rendered = asyncio.Event()
        self.controller.view.app.after_render += lambda _: self._rendered.set()
        self.network.wrote = self._rendered.set

    def start(self) -> None:
        self.running = Deferred.fromCoroutine(self.controller.run())
        self.running.addCallback(self._ended)
        self._flush()

    def _ended(self, status: int) -> None:
        self.status = status
        self._rendered.set()

    def connect(self) -> None:
        """Deliver what the network holds back."""
        self._connects = True
        self._flush()

    def _flush(self) -> None:
        if self._connects or any(connection.ending for connection in self.network.connections):
            self.network.flush()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so; whatever is shown anew is a reason to look again."""
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                self._rendered.clear()
                self._flush()
                if not condition():
                    await self._rendered.wait()
        self._flush()

    async def types(self, keys: str, then: Callable[[], object]) -> None:
        """Type, and wait until something is so."""
        self.pipe.send_text(keys)
        await self.until(then)

    async def recalls(self) -> str:
        """Press Up until what was typed before is there: it is loaded when the screen is drawn."""
        before, view = self.buffer.text, self.controller.view
        for _ in range(100):
            pressed = view.strokes
            await self.types(UP, partial(lambda pressed: view.strokes > pressed, pressed))
            if self.buffer.text != before:
                return self.buffer.text
        raise AssertionError("Up recalls nothing")

    async def leaves(self) -> None:
        """Leave, and wait for the end."""
        await self.types("\x03\x04", lambda: self.status is not None)

    # The screen

    @property
    def is_there(self) -> bool:
        """The rooms are entered, and shown."""
        return self.controller.view.app.is_running and ("connecting" not in self.line or not self._connects)

    @property
    def top(self) -> str:
        """The row above the first entry."""
        return self.panes.current.beginning

    @property
    def rows(self) -> list[str]:
        """The rows of the conversation that are not empty, without their times."""
        look = Viewport(self.panes.current, self.paper.size.columns, self.paper.size.rows - 3)
        return ["".join(text for _, text in row).partition(":")[2][3:] for row in look.window()]

    @property
    def buffer(self) -> Buffer:
        """The text that is being typed."""
        return self.controller.view.buffer

    @property
    def entries(self) -> list[str]:
        return [entry.text for entry in self.panes.current.entries]

    @property
    def line(self) -> str:
        return "".join(text for _, text, *_ in self.controller.view.status_line())

    @property
    def title(self) -> str:
        return "".join(text for _, text, *_ in self.controller.view.title_line())

    @property
    def conversation(self) -> UIControl:
        """The part of the screen that shows the conversation."""
        (shown,) = [
            window.content
            for window in self.controller.view.app.layout.find_all_windows()
            if not isinstance(window.content, (BufferControl, FormattedTextControl))
        ]
        return shown

    @property
    def menu(self) -> list[str]:
        """The rows of the menu of completions."""
        return "".join(text for _, text, *_ in self.controller.view.menu_text()).split("\n")

    @property
    def question(self) -> str:
        """The open question, if there is one."""
        return self.controller.view.question_text()

    def shows(self, text: str) -> Callable[[], bool]:
        """Make a condition: the current conversation has this text."""
        return lambda: text in self.entries

    def says(self, text: str, room: str = "lobby") -> Callable[[], bool]:
        """Make a condition: this was said and is kept."""
        return lambda: text in [message.msg for message in self.server.room(room).log] and not self.panes.pending


class ControllerTestCase(SynchronousTestCase):
    options = OPTIONS
    memory: Memory | None = None
    tokens: Tokens | None = None
    connects = True
    """There is a server from the beginning."""

    def setUp(self) -> None:
        self.patch(pane_module, "now", lambda: NOW)
        self.errors = io.StringIO()
        self.patch(sys, "stderr", self.errors)
        self.patch(view, "REDRAW", 0)
        self.server = FakeServer()

    def play(self, scene: Callable[[Stage], Coroutine[Any, Any, None]], status: int | None = 0) -> None:
        """Play a scene; where it does not end the program, it is left."""

        async def play() -> None:
            with create_pipe_input() as pipe, create_app_session(input=pipe, output=Paper()):
                stage = Stage(self.server, self.options, pipe, self.memory, self.connects, self.tokens)
                stage.start()
                await stage.until(lambda: stage.is_there or stage.status is not None)
                assert stage.controller.view.app.is_running or stage.status is not None
                await scene(stage)
                if stage.status is None:
                    await stage.leaves()
                self.assertEqual(stage.status, status)
                self.assertEqual((stage.network.connections, stage.network.clock.getDelayedCalls()), ([], []))

        asyncio.run(play())

    @property
    def complaints(self) -> list[str]:
        return self.errors.getvalue().splitlines()


class SayingTests(ControllerTestCase):
    def test_what_is_typed_is_said_and_shown_once(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("Привет, 你好 👋\r", stage.says("Привет, 你好 👋"))
            self.server.say("hello alice\x1b[2J")
            await stage.until(stage.shows("hello alice[2J"))
            self.assertEqual(stage.rows[-2:], ["alice: Привет, 你好 👋", "bob: hello alice[2J"])
            self.assertEqual(stage.buffer.text, "")

        self.play(scene)
        self.assertEqual(self.complaints, [])

    def test_a_message_that_comes_does_not_touch_the_text_being_typed(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("half a sent", lambda: stage.buffer.text == "half a sent")
            self.server.say("interrupted")
            await stage.until(stage.shows("interrupted"))
            await stage.types("ence\r", stage.says("half a sentence"))

        self.play(scene)

    def test_an_empty_line_says_nothing(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types(" \rhi\r", stage.says(" hi"))
            self.assertEqual(len(self.server.room("lobby").log), 1)

        self.play(scene)

    def test_commands_are_done_and_mistakes_are_shown(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("/help\r", lambda: any(text.startswith("keys: PageUp") for text in stage.entries))
            await stage.types("/who\r", stage.shows("in lobby: alice"))
            await stage.types("/what\r", stage.shows("there is no command /what; /help lists the commands"))
            await stage.types("/nick al\r", stage.shows("you are al now"))
            self.assertIn("| al |", stage.line)
            await stage.types("/topic tea\r", lambda: stage.title == "lobby: tea")
            await stage.types("exit\r", lambda: stage.status is not None)

        self.play(scene)

    def test_with_literal_commands_are_said_as_they_are(self) -> None:
        self.options = replace(OPTIONS, literal=True)

        async def scene(stage: Stage) -> None:
            await stage.types("exit\r", stage.says("exit"))
            await stage.types("/quit\r", stage.says("/quit"))

        self.play(scene)

    def test_a_refused_message_is_marked(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.buffer.text = "x" * 20_000
            await stage.types("\r", lambda: any("not said in lobby" in text for text in stage.entries))
            self.assertIn(Fate.REFUSED, [entry.fate for entry in stage.panes.current.entries])

        self.play(scene)

    def test_joins_and_leaves_are_shown_in_their_room(self) -> None:
        self.options = replace(OPTIONS, rooms=("lobby", "garden"))

        async def scene(stage: Stage) -> None:
            (connection,) = stage.network.connections
            connection.reply(wire.MemberJoined(author="bob", room="garden"))
            connection.reply(wire.NickChanged(author="bob", nick="rob", room="garden"))
            connection.reply(wire.MemberJoined(author="carol", room="lobby"))
            connection.reply(wire.MemberLeft(author="carol", room="lobby", msg="bye"))
            connection.reply(wire.MemberLeft(author="dave", room="elsewhere"))
            await stage.until(stage.shows("carol left lobby: bye"))
            self.assertNotIn("bob joined garden", stage.entries)
            self.assertNotIn("carol", stage.panes.current.nicks)
            await stage.types("\x0e", stage.shows("bob is rob now"))
            self.assertEqual(list(stage.panes.current.nicks), ["rob", "alice"])
            self.assertIn("| 2 members |", stage.line)

        self.play(scene)

    def test_messages_of_a_new_log_follow_those_of_the_old_one(self) -> None:
        async def scene(stage: Stage) -> None:
            for text in ("1", "2", "3"):
                self.server.say(text)
            await stage.until(stage.shows("3"))
            stage.network.cut()
            self.server.restart()
            self.server.say("new")
            stage.network.pass_time(10)
            await stage.until(stage.shows("new"))
            self.assertEqual([text for text in stage.entries if len(text) < 4], ["1", "2", "3", "new"])

        self.play(scene)


class RoomsTests(ControllerTestCase):
    options = replace(OPTIONS, rooms=("lobby", "garden", "кухня"))

    def test_keys_turn_to_other_rooms(self) -> None:
        async def scene(stage: Stage) -> None:
            for key, room in (
                ("\x0e", "garden"),
                ("\x0e", "кухня"),
                ("\x0e", "lobby"),
                ("\x10", "кухня"),
                ("\x1b2", "garden"),
            ):
                await stage.types(key, partial(shows_title, stage, room))
            await stage.types("\x1b9hi\r", stage.says("hi", "garden"))

        self.play(scene)

    def test_a_text_that_was_not_sent_stays_in_its_room(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("for the lobby\x0e", lambda: stage.title == "garden")
            self.assertEqual(stage.buffer.text, "")
            await stage.types("for the garden\x10", lambda: stage.title == "lobby")
            self.assertEqual(stage.buffer.text, "for the lobby")
            await stage.types("!\r", stage.says("for the lobby!"))
            await stage.types("\x0e\r", stage.says("for the garden", "garden"))

        self.play(scene)

    def nobody_is_z(self) -> None:
        self.server.refuse = lambda request: (
            WireError("no-such-nick", "there is no z") if getattr(request, "to", None) == "z" else None
        )

    def test_direct_messages_have_a_place_of_their_own(self) -> None:
        self.server.chat.welcome("Bob")

        async def scene(stage: Stage) -> None:
            (connection,) = stage.network.connections
            connection.reply(wire.Message(msg="psst", author="Bob", to="alice"))
            await stage.until(lambda: "4:@Bob(1!)" in stage.line)
            await stage.types("\x1b4", lambda: stage.title == "@Bob")
            await stage.types("yes?\r", lambda: stage.entries == ["psst", "yes?"] and not stage.panes.pending)
            connection.reply(wire.Message(msg="from elsewhere", author="alice", to="bob"))
            await stage.until(stage.shows("from elsewhere"))
            await stage.types("/leave\r", lambda: stage.title == "lobby")
            self.assertNotIn("Bob", stage.line)

        self.play(scene)

    def test_a_direct_conversation_follows_a_change_of_nick(self) -> None:
        bob, lobby = self.server.chat.welcome("bob", "lobby", "garden"), "lobby"

        async def scene(stage: Stage) -> None:
            bob.say("hi", room=lobby)
            await stage.types("/msg bob\r", lambda: stage.title == "@bob")
            bob.ask(type="nick", nick="rob")
            await stage.until(lambda: stage.title == "@rob")
            stranger = self.server.chat.welcome("bob")
            self.server.chat.hush(bob, stranger)
            await stage.types("secret\r", lambda: "secret" in stage.entries and not stage.panes.pending)
            self.assertEqual((bob.texts(), stranger.texts()), (["secret"], []))
            self.assertEqual(stage.entries, ["bob is rob now", "secret"])
            stranger.send({"type": "", "to": "alice", "msg": "psst"})
            await stage.until(lambda: "@bob(1!)" in stage.line)

        self.play(scene)

    def test_a_direct_conversation_shows_that_the_other_one_went_and_that_somebody_came(self) -> None:
        bob = self.server.chat.welcome("bob", "lobby")

        async def scene(stage: Stage) -> None:
            await stage.types("/msg bob\r", lambda: stage.title == "@bob")
            bob.ask(type="quit")
            await stage.until(stage.shows("bob left lobby"))
            self.server.chat.welcome("Bob", "lobby")
            await stage.until(stage.shows("Bob joined lobby"))
            self.assertEqual(stage.entries, ["bob left lobby", "Bob joined lobby"])
            self.assertEqual([pane.unread for pane in stage.panes], [0, 0, 0, 0])
            await stage.types("\x1b1", lambda: stage.title == "lobby")
            self.assertEqual(stage.entries[-2:], ["bob left lobby", "Bob joined lobby"])

        self.play(scene)

    def test_a_direct_message_does_not_move_the_view_unless_asked(self) -> None:
        self.server.chat.welcome("carol")

        async def scene(stage: Stage) -> None:
            note = "said to @carol alone; /msg carol turns to what you say to each other"
            await stage.types("/msg carol hello\r", stage.shows(note))
            self.assertEqual((stage.title, "4:@carol" in stage.line), ("lobby", True))
            await stage.types("/msg carol\r", lambda: stage.title == "@carol")
            self.assertEqual(stage.entries, ["hello"])
            await stage.types("/msg carol again\r", lambda: stage.entries == ["hello", "again"])

        self.play(scene)

    def test_a_direct_message_to_nobody_says_so_and_leaves_no_place(self) -> None:
        self.nobody_is_z()

        async def scene(stage: Stage) -> None:
            await stage.types("\x0e/msg z psst\r", stage.shows('not said to z, "psst": there is no z'))
            self.assertEqual(stage.title, "garden")
            self.assertNotIn("@z", stage.line)
            await stage.types("for the garden\r", stage.says("for the garden", "garden"))

        self.play(scene)

    def test_what_is_being_typed_to_nobody_does_not_go_to_a_room(self) -> None:
        self.nobody_is_z()

        async def scene(stage: Stage) -> None:
            stage.network.cut()
            await stage.types("/msg z\r", lambda: stage.title == "@z")
            await stage.types("psst\rsecret", lambda: stage.buffer.text == "secret")
            stage.network.pass_time(10)
            await stage.until(stage.shows('not said to z, "psst": there is no z'))
            self.assertEqual((stage.title, stage.buffer.text), ("@z", "secret"))

        self.play(scene)
        self.assertEqual(self.server.room("lobby").log, [])

    def test_a_direct_conversation_in_which_something_was_said_stays(self) -> None:
        self.server.chat.welcome("z")

        async def scene(stage: Stage) -> None:
            await stage.types("/msg z hi\r", lambda: "4:@z" in stage.line and not stage.panes.pending)
            self.nobody_is_z()
            await stage.types("/msg z again\r", stage.shows('not said to z, "again": there is no z'))
            self.assertIn("4:@z", stage.line)

        self.play(scene)

    def test_a_refusal_that_comes_late_does_not_move_the_view(self) -> None:
        self.nobody_is_z()

        async def scene(stage: Stage) -> None:
            stage.network.cut()
            await stage.types("/msg z psst\r\x1b2", lambda: stage.title == "garden")
            stage.network.pass_time(10)
            await stage.until(stage.shows('not said to z, "psst": there is no z'))
            self.assertEqual(stage.title, "garden")
            self.assertNotIn("@z", stage.line)

        self.play(scene)

    def test_a_room_that_is_entered_late_does_not_move_the_view(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.network.cut()
            await stage.types("/join attic\rfor the lobby", lambda: stage.buffer.text == "for the lobby")
            stage.network.pass_time(10)
            await stage.until(stage.shows("you are in attic (1 member); /join attic turns to it"))
            self.assertEqual((stage.title, stage.buffer.text), ("lobby", "for the lobby"))

        self.play(scene)

    def test_what_was_typed_in_one_room_comes_up_in_no_other(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("/msg bob\r", lambda: stage.title == "@bob")
            await stage.types("a secret\r", lambda: stage.entries == ["a secret"])
            for key, title, typed in (("\x1b1", "lobby", "/msg bob"), ("\x1b4", "@bob", "a secret")):
                await stage.types(key, partial(shows_title, stage, title))
                self.assertEqual(await stage.recalls(), typed)

        self.play(scene)

    def test_unread_messages_are_counted_and_found(self) -> None:
        async def scene(stage: Stage) -> None:
            self.server.say("hi", room="garden")
            self.server.say("hi alice", room="кухня")
            await stage.until(lambda: stage.line.startswith("1:lobby 2:garden(1) 3:кухня(1!)"))
            await stage.types("\x1ba", lambda: stage.title == "кухня")
            await stage.types("\x1ba", lambda: stage.title == "garden")
            self.assertTrue(stage.line.startswith("1:lobby 2:garden 3:кухня |"))

        self.play(scene)

    def test_rooms_are_entered_and_left(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("/join attic\r", lambda: stage.title == "attic")
            await stage.types("/leave\r", lambda: "attic" not in stage.line)
            self.assertEqual(stage.title, "lobby")
            for _ in range(3):
                count = len(stage.panes.all)
                await stage.types("/leave\r", partial(lambda count: len(stage.panes.all) < count, count))
            await stage.types("\x0e\x1b1hi\r", stage.shows("you are in no room; /join ROOM enters one"))
            self.assertEqual((stage.title, stage.line), ("no room", "alice | online"))

        self.play(scene)

    def test_a_person_who_is_put_out_of_one_of_several_rooms_is_told_how_to_turn_to_another(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("\x1b3", lambda: stage.title == "кухня")
            await stage.types("not for the others", lambda: stage.buffer.text == "not for the others")
            stage.network.connections[0].reply(wire.Kicked(author="bob", room="кухня", nick="alice", msg="spam"))
            await stage.until(lambda: stage.line.startswith("1:lobby 2:garden |"))
            shown = [entry.text for entry in stage.panes.nowhere.entries]
            choose = "choose a room first; /join lobby turns to one of yours"
            self.assertEqual(shown, ["you are no longer in кухня: you were put out of the room by bob: spam", choose])
            self.assertEqual(stage.panes.nowhere.beginning, "no conversation is shown; Ctrl-N turns to the next one")
            self.assertEqual(stage.buffer.text, "")
            await stage.types("hi\r", lambda: len(stage.panes.nowhere.entries) == 3)
            self.assertEqual(stage.panes.nowhere.entries[-1].text, choose)
            await stage.types("\x0e", lambda: stage.title == "lobby")

        self.play(scene)

    def test_a_room_that_refuses_the_client_again_disappears(self) -> None:
        async def scene(stage: Stage) -> None:
            self.server.refuse = lambda request: (
                WireError("banned", "not you") if getattr(request, "room", "") == "garden" else None
            )
            stage.network.cut()
            stage.network.pass_time(10)
            await stage.until(stage.shows("you are no longer in garden: not you"))
            await stage.until(lambda: stage.line.startswith("1:lobby 2:кухня"))

        self.play(scene)


class EditingTests(ControllerTestCase):
    def test_a_text_of_several_lines_is_typed_and_stays_one(self) -> None:
        async def scene(stage: Stage) -> None:
            text = "def f(x):\n    return x"
            await stage.types("def f(x):\x1b\r    return x", lambda: stage.buffer.text == text)
            await stage.types("\r", stage.says(text))
            self.assertEqual(stage.entries[-1], text)

        self.play(scene)

    def test_a_few_lines_are_pasted_as_they_are(self) -> None:
        async def scene(stage: Stage) -> None:
            text = "if x:\n    y\x1b[2J\x07"
            await stage.types("say " + pasted(f"\n{text}\r\n"), lambda: stage.buffer.text == "say if x:\n    y[2J")
            await stage.types("\r", stage.says("say if x:\n    y[2J"))

        self.play(scene)

    def test_many_lines_are_asked_about_first(self) -> None:
        text = "\n".join(map(str, range(MANY_LINES + 1)))

        async def scene(stage: Stage) -> None:
            await stage.types(pasted(text), lambda: stage.question)
            self.assertEqual(
                stage.question.replace("\n", " "),
                "6 lines with 11 characters were pasted. y: say them in lobby as one message; e: edit them first; "
                "n: drop them (Up brings them back)",
            )
            await stage.types("x\r\x04", lambda: stage.question)
            await stage.types("Y", stage.says(text))
            await stage.types("a " + pasted(text) + "e", lambda: stage.buffer.text == f"a {text}")
            await stage.types("\x03" + pasted(text) + "nb", lambda: stage.buffer.text == "b")
            await stage.types("\x7f" + UP, lambda: stage.buffer.text == text)

        self.play(scene)
        self.assertEqual(len(self.server.room("lobby").log), 1)

    def test_what_does_not_fit_into_one_message_is_divided_between_lines(self) -> None:
        lines = [f"{i} {'x' * 5000}" for i in range(6)]

        async def scene(stage: Stage) -> None:
            await stage.types(pasted("\n".join(lines)), lambda: "in 2 messages" in stage.question.replace("\n", " "))
            await stage.types("y", lambda: len(self.server.room("lobby").log) == 2)

        self.play(scene)
        self.assertEqual("\n".join(message.msg for message in self.server.room("lobby").log), "\n".join(lines))

    def test_a_long_line_is_asked_about_and_comes_back_when_it_is_refused(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types(pasted("x" * 25_000), lambda: stage.question)
            self.assertTrue(stage.question.startswith("1 line with 25,000 characters were pasted"))
            await stage.types("y", lambda: any("not said" in text for text in stage.entries))
            self.assertEqual({len(text) for text in stage.entries if text.startswith("xxx")}, {500})
            await stage.types(UP, lambda: len(stage.buffer.text) == 25_000)

        self.play(scene)

    def test_a_question_is_broken_between_words_and_brief_where_there_are_few_rows(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("/join 中文聊天室一二三四五六七\r", lambda: stage.title.startswith("中文"))
            await stage.types(pasted("1\n2\n3\n4\n5\n6"), lambda: stage.question)
            stage.paper.size = Size(rows=24, columns=20)
            self.assertLessEqual(max(map(width, stage.question.split("\n"))), 20)
            self.assertIn("as one message", stage.question.replace("\n", " "))
            stage.paper.size = Size(rows=5, columns=20)
            self.assertEqual(stage.question, "y: say 6 lines in 中\n文聊天..; e: edit;\nn: drop")
            stage.paper.size = Size(rows=1, columns=1)  # nobody can read it, and nothing breaks
            self.assertTrue(stage.question)
            await stage.types("n", lambda: not stage.question)

        self.play(scene)

    def test_ctrl_c_with_nothing_typed_asks_once(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("a\x03", lambda: stage.buffer.text == "")
            await stage.types("\x03", lambda: stage.line == "Ctrl-C again leaves")
            await stage.types("b", lambda: stage.buffer.text == "b")
            self.assertIn("| online", stage.line)
            await stage.types("\x7f\x03", lambda: stage.line == "Ctrl-C again leaves")
            await stage.types("\x03", lambda: stage.status is not None)

        self.play(scene)

    def test_the_menu_of_completions_says_that_there_is_more_and_closes_with_escape(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("/\t", lambda: stage.buffer.complete_state)
            menu = stage.menu
            self.assertEqual((len(menu), menu[0].split()[0]), (8, "/join"))
            self.assertEqual(menu[-1], "  24 more: Tab goes on, Escape closes")
            await stage.types("\t" * 8, lambda: stage.buffer.text.startswith("/history"))
            self.assertEqual(stage.menu[0].split()[:2], [">", "/history"])
            await stage.types("\x1b", lambda: not stage.buffer.complete_state)
            self.assertEqual((stage.buffer.text, stage.menu), ("/", [""]))
            await stage.types("\t\x1b2", lambda: stage.buffer.complete_state)
            stage.paper.size = Size(rows=5, columns=20)
            self.assertEqual(len(stage.menu), 2)

        self.play(scene)

    def test_arrows_go_through_what_was_typed(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("один\r", stage.says("один"))
            await stage.types("zwei\r", stage.says("zwei"))
            self.assertEqual([await stage.recalls(), await stage.recalls()], ["zwei", "один"])
            await stage.types("\r", lambda: len(self.server.room("lobby").log) == 3)

        self.play(scene)

    def test_one_key_moves_over_one_character_of_several_code_points(self) -> None:
        family = "👩\u200d❤\ufe0f\u200d👨"

        async def scene(stage: Stage) -> None:
            text = f"я{family}🇫🇮e\u0301你"
            await stage.types(text + LEFT * 4 + "!", lambda: stage.buffer.text == f"я!{family}🇫🇮e\u0301你")
            await stage.types(RIGHT + RIGHT + "\x7f", lambda: stage.buffer.text == f"я!{family}e\u0301你")
            await stage.types(DELETE, lambda: stage.buffer.text == f"я!{family}你")
            await stage.types("\x02" + DELETE, lambda: stage.buffer.text == "я!你")
            await stage.types("\x06\x06\x7f\x7f\x7f\x7f" + LEFT, lambda: stage.buffer.text == "")
            await stage.types(RIGHT + DELETE + "ok\r", stage.says("ok"))

        self.play(scene)

    def test_the_line_is_shown_in_parts_that_every_terminal_takes_alike(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("👋🏽🇫🇮x" + LEFT, lambda: stage.buffer.cursor_position == 4)
            (window,) = [
                window
                for window in stage.controller.view.app.layout.find_all_windows()
                if window.content.is_focusable()
            ]
            content = window.content.create_content(80, 1)
            self.assertEqual("".join(text for _, text, *_ in content.get_line(0)), "> 👋FIx ")
            self.assertEqual(content.cursor_position.x, len("> 👋FI"))

        self.play(scene)

    def test_tab_completes(self) -> None:
        self.server.room("garden").topic = "plants"

        async def scene(stage: Stage) -> None:
            self.server.say("hi", author="Барт")
            await stage.until(stage.shows("hi"))
            await stage.types("ба\t", lambda: stage.buffer.text == "Барт: ")
            await stage.types("\x15/jo\t", lambda: stage.buffer.text == "/join ")
            await stage.types("g\t", lambda: stage.buffer.text == "/join garden ")
            await stage.types("\x15/n\tx\tx", lambda: stage.buffer.text == "/nick xx")
            await stage.types("\x15", lambda: stage.buffer.text == "")
            stage.panes.current.present(["rob", "robert"])
            await stage.types("r\t", lambda: stage.buffer.text == "rob")
            await stage.types("\x15/\t", lambda: stage.buffer.complete_state)
            await stage.types("\t\t", lambda: stage.buffer.text == "/leave ")

        self.play(scene)

    def test_the_rooms_to_complete_are_asked_for_one_time_at_a_time(self) -> None:
        asked: list[object] = []

        def refuse(request: wire.AnyRequest) -> WireError | None:
            asked.extend([request] if isinstance(request, wire.ListRooms) else [])
            return None

        async def scene(stage: Stage) -> None:
            self.server.refuse = refuse
            for _ in range(3):
                stage.controller.known()
            stage.network.flush()
            self.assertEqual(len(asked), 1)
            stage.controller.known()
            stage.network.flush()
            self.assertEqual(len(asked), 2)

        self.play(scene)


class ScrollingTests(ControllerTestCase):
    def setUp(self) -> None:
        super().setUp()
        for i in range(3 * PAGE):
            self.server.say(str(i))

    def numbers(self, stage: Stage) -> list[int]:
        return [int(row.removeprefix("bob: ")) for row in stage.rows if row.startswith("bob: ")]

    def test_a_room_begins_with_a_page_of_its_history(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.until(stage.shows(str(3 * PAGE - 1)))
            self.assertEqual(len(self.numbers(stage)), 20)
            self.assertEqual(stage.panes.current.entries[0].text, str(2 * PAGE))

        self.play(scene)

    def test_older_messages_come_as_one_scrolls_up(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.until(stage.shows(str(2 * PAGE)))
            for page in range(2, 0, -1):
                oldest = stage.entries[0]
                while stage.entries[0] == oldest:
                    at = stage.panes.current.bottom
                    await stage.types(PAGE_UP, partial(lambda at: stage.panes.current.bottom != at, at))
                self.assertEqual(stage.entries[0], str((page - 1) * PAGE))
            at = None
            while stage.panes.current.bottom != at:
                at = stage.panes.current.bottom
                stage.controller.view.viewport.scroll(-10)
            self.assertEqual(self.numbers(stage)[0], 0)
            self.assertIn("scrolled back", stage.line)

        self.play(scene)

    def test_history_shows_so_many_messages(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.until(stage.shows(str(2 * PAGE)))
            await stage.types("/history 5\r", stage.shows("above: the last 5 messages of lobby"))
            self.assertIsNone(stage.panes.current.bottom)
            await stage.types("/history 1\r", stage.shows("above: the last message of lobby"))
            await stage.types("/history 250\r", stage.shows("above: the last 250 messages of lobby"))
            self.assertEqual(self.numbers(stage)[0], 50)
            self.assertIn("scrolled back", stage.line)
            await stage.types("/history 2\r\x0e", stage.shows("above: the last 2 messages of lobby"))

        self.play(scene)

    def test_history_that_comes_while_one_looks_elsewhere_does_not_scroll(self) -> None:
        self.options = replace(OPTIONS, rooms=("garden", "lobby"))

        async def scene(stage: Stage) -> None:
            lobby = stage.panes.all[1]
            stage.network.cut()
            await stage.types("\x0e/history 250\r\x10", lambda: stage.title == "garden" and not stage.buffer.text)
            stage.network.pass_time(10)
            await stage.until(lambda: any(entry.text.startswith("above: ") for entry in lobby.entries))
            self.assertIsNone(lobby.bottom)

        self.play(scene)

    def test_new_messages_do_not_move_what_is_read(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.until(stage.shows(str(2 * PAGE)))
            await stage.types(PAGE_UP, lambda: stage.panes.current.bottom)
            shown = self.numbers(stage)
            self.server.say("new")
            await stage.until(lambda: "scrolled back, 1 new below" in stage.line)
            self.assertEqual(self.numbers(stage), shown)
            await stage.types(PAGE_DOWN + PAGE_DOWN, lambda: not stage.panes.current.bottom)
            self.assertEqual((stage.rows[-1], stage.panes.current.unread), ("bob: new", 0))
            await stage.types(PAGE_UP, lambda: stage.panes.current.bottom)
            await stage.types(CTRL_END, lambda: not stage.panes.current.bottom)
            await stage.types(PAGE_UP, lambda: stage.panes.current.bottom)
            await stage.types("hi\r", stage.says("hi"))
            self.assertIsNone(stage.panes.current.bottom)

        self.play(scene)

    def test_history_that_is_refused_is_not_asked_for_again(self) -> None:
        self.server.refuse = lambda request: (
            WireError("denied", "no\x1b way") if isinstance(request, wire.History) else None
        )

        async def scene(stage: Stage) -> None:
            await stage.until(stage.shows("there is no history of lobby to be had: no way"))
            self.assertTrue(stage.panes.current.whole)

        self.play(scene)

    def test_history_that_is_dropped_by_leaving_is_no_error(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.until(stage.shows(str(2 * PAGE)))
            stage.network.cut()
            await stage.types(PAGE_UP * 5, lambda: stage.panes.current.loading)
            await stage.types("\x04", lambda: "leaving" in stage.line)
            await stage.types("\x04", lambda: stage.status is not None)
            self.assertFalse(any("no history" in text for text in stage.entries))

        self.play(scene)

    def test_a_fault_in_showing_history_is_logged(self) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError

        self.patch(Pane, "load", broken)

        async def scene(stage: Stage) -> None:
            await stage.until(lambda: stage.network.made)

        self.play(scene)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ConnectionTests(ControllerTestCase):
    def test_a_lost_connection_is_shown_and_what_is_said_meanwhile_is_sent_once(self) -> None:
        async def scene(stage: Stage) -> None:
            self.server.say("before")
            await stage.until(stage.shows("before"))
            stage.network.cut()
            stage.panes.of(Direct(stage.controller.client, "bob"))
            await stage.until(lambda: "offline, trying again" in stage.line)
            self.assertTrue(any(text.startswith("the connection is lost") for text in stage.entries))
            await stage.types("one\rtwo\r", lambda: "offline, 2 unsent" in stage.line)
            self.server.say("missed")
            self.assertEqual(stage.rows[-2:], ["alice: one", "alice: two"])
            stage.network.pass_time(10)
            await stage.until(lambda: "| online" in stage.line and not stage.panes.pending)
            said = [text for text in stage.entries if " " not in text]
            self.assertEqual(said, ["before", "missed", "one", "two"])
            self.assertIn("the connection is back", stage.entries)

        self.play(scene)
        self.assertEqual([message.msg for message in self.server.room("lobby").log], ["before", "missed", "one", "two"])

    def test_each_loss_is_told_once(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.network.cut()
            self.server.refuse = lambda request: WireError("full", "full")
            stage.network.pass_time(30)
            self.server.refuse = lambda request: None
            stage.network.pass_time(60)
            await stage.until(stage.shows("the connection is back"))
            self.assertEqual(sum(text.startswith("the connection is lost") for text in stage.entries), 1)

        self.play(scene)

    def test_leaving_waits_until_everything_said_is_acked(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.network.cut()
            await stage.types("hi\r/quit\r", lambda: "leaving, 1 unsent, Ctrl-C leaves at once" in stage.line)
            stage.network.pass_time(10)
            await stage.until(lambda: stage.status is not None)

        self.play(scene)
        self.assertEqual([message.msg for message in self.server.room("lobby").log], ["hi"])

    def test_leaving_at_once_tells_which_messages_may_be_lost(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.network.cut()
            await stage.types("hi\x1b\ryou\r\x03\x03", lambda: "leaving" in stage.line)
            await stage.types("\x03", lambda: stage.status is not None)

        self.play(scene, status=1)
        self.assertEqual(self.complaints, ["1 of what you said may be lost:", "  lobby: hi", "  you"])

    def test_of_many_messages_that_may_be_lost_a_screenful_is_shown(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.network.cut()
            await stage.types("".join(f"{i}\r" for i in range(30)), lambda: "30 unsent" in stage.line)
            await stage.types("\x04\x04", lambda: stage.status is not None)

        self.play(scene, status=1)
        self.assertEqual(len(self.complaints), 22)
        self.assertEqual(self.complaints[-2:], ["  lobby: 19", "  and 10 more"])

    def test_leaving_offline_drops_questions_and_names_them(self) -> None:
        for leaving in ("/quit\r", "\x03\x03", "\x04"):

            async def scene(stage: Stage, leaving: str = leaving) -> None:
                stage.network.cut()
                await stage.types(f"/history\r/who\r{leaving}", lambda: stage.status is not None)

            self.play(scene)
        self.assertEqual(set(self.complaints), {"not done, since there was no connection: /history, /who"})

    def test_a_topic_that_waits_is_shown_and_outlasts_quit(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.network.cut()
            await stage.types("/topic tea\r", lambda: "offline, 1 to ask" in stage.line)
            await stage.until(stage.shows("/topic tea: this waits for the connection"))
            await stage.types("/quit\r", lambda: "leaving, 1 to ask, Ctrl-C leaves at once" in stage.line)
            stage.network.pass_time(10)
            await stage.until(lambda: stage.status is not None)

        self.play(scene)
        self.assertEqual((self.server.room("lobby").topic, self.complaints), ("tea", []))

    def test_a_topic_that_is_not_set_is_told(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.network.cut()
            await stage.types("/topic tea\r/quit\r", lambda: "leaving" in stage.line)
            await stage.types("\x04", lambda: stage.status is not None)

        self.play(scene, status=1)
        self.assertEqual(self.complaints, ["not done, since there was no connection: /topic tea"])

    def test_leaving_waits_also_for_messages_of_a_closed_conversation(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.network.cut()
            await stage.types("/msg bob\r", lambda: stage.title == "@bob")
            await stage.types("hi\r/leave\r\x04", lambda: "leaving" in stage.line)
            await stage.types("\x04", lambda: stage.status is not None)

        self.play(scene, status=1)
        self.assertEqual(self.complaints, ["1 of what you said may be lost:", "  @bob: hi"])

    def test_a_refusal_before_the_screen_is_there_ends_the_program(self) -> None:
        self.server.refuse = lambda request: WireError("banned", "not you")

        async def scene(stage: Stage) -> None:
            self.assertFalse(stage.controller.view.app.is_running)

        self.play(scene, status=3)
        self.assertEqual(self.complaints, ["127.0.0.1:14900 does not let you in: not you"])

    def test_the_reason_for_trying_again_is_shown(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.network.cut()
            self.server.refuse = lambda request: WireError("nick-taken", "somebody has this nick")
            stage.network.pass_time(30)
            stage.paper.size = Size(rows=24, columns=250)
            await stage.until(lambda: "offline, trying again (the nick alice is still taken by your" in stage.line)
            told = [text for text in stage.entries if text.startswith("not connected yet: the nick alice is still")]
            self.assertEqual(len(told), 1)
            self.server.refuse = lambda request: None
            stage.network.pass_time(60)
            await stage.until(stage.shows("the connection is back"))
            self.assertIn("| online", stage.line)

        self.play(scene)

    def test_an_interrupt_while_it_connects_is_no_error(self) -> None:
        self.connects = False

        async def scene(stage: Stage) -> None:
            stage.running.cancel()
            await stage.until(lambda: stage.status is not None)

        self.play(scene)
        self.assertEqual(self.complaints, [])

    def test_leaving_does_not_wait_for_a_connection_that_breaks_meanwhile(self) -> None:
        async def scene(stage: Stage) -> None:
            self.server.ignores = lambda request: isinstance(request, wire.ListRooms)
            await stage.types("/rooms\r\x04", lambda: "leaving" in stage.line)
            stage.network.cut()
            await stage.until(lambda: stage.status is not None)

        self.play(scene)

    def test_a_key_that_takes_a_character_away_does_not_leave(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("ab" + LEFT + "\x04", lambda: stage.buffer.text == "a")
            await stage.types("\x03", lambda: stage.buffer.text == "")
            await stage.types("\x04", lambda: stage.status is not None)

        self.play(scene)

    def test_a_server_that_refuses_for_good_ends_the_program(self) -> None:
        async def scene(stage: Stage) -> None:
            self.server.refuse = lambda request: WireError("banned", "not\x07 you")
            stage.network.cut()
            await stage.types("hi\r", lambda: stage.panes.pending)
            stage.network.pass_time(10)
            await stage.until(lambda: stage.status is not None)

        self.play(scene, status=3)
        why, *lost = self.complaints
        self.assertRegex(why, r"^the connection to 127\.0\.0\.1:14900 is lost: .*not you$")
        self.assertEqual(lost, ["1 of what you said may be lost:", "  lobby: hi"])

    def test_a_terminal_that_goes_away_ends_the_program(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.pipe.close()
            await stage.until(lambda: stage.status is not None)

        self.play(scene)

    def test_a_terminal_that_takes_nothing_any_more_ends_the_program(self) -> None:
        def gone(*_: object) -> None:
            raise OSError(5, "Input/output error")

        async def scene(stage: Stage) -> None:
            stage.network.cut()
            await stage.types("hi\r", lambda: stage.panes.pending)
            self.patch(stage.paper, "flush", gone)
            self.patch(self.errors, "write", gone)
            stage.pipe.close()
            await stage.until(lambda: stage.status is not None)

        self.play(scene, status=1)

    def test_a_taken_nick_ends_the_program_with_a_line(self) -> None:
        self.server.refuse = lambda request: WireError("nick-taken", "somebody has this nick")

        async def scene(stage: Stage) -> None:
            self.assertEqual(stage.status, 1)

        self.play(scene, status=1)
        self.assertEqual(
            self.complaints,
            ["127.0.0.1:14900 does not let you in: somebody has this nick; choose another one with --nick"],
        )

    def test_an_interrupt_leaves_at_once(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.running.cancel()
            await stage.until(lambda: stage.status is not None)

        self.play(scene)


class ConnectingTests(ControllerTestCase):
    """From the first moment, before there is a connection."""

    connects = False

    def test_the_screen_says_at_once_where_it_connects_to(self) -> None:
        async def scene(stage: Stage) -> None:
            self.assertEqual(stage.line, "alice | connecting to 127.0.0.1:14900")
            self.assertEqual(stage.top, "connecting to 127.0.0.1:14900 ... What you type is sent then")
            await stage.types("\x03\x03", lambda: stage.status is not None)

        self.play(scene)

    def test_lines_entered_before_there_is_a_connection_are_done_in_order_then(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("one\r/topic tea\rtwo\rthr", lambda: stage.buffer.text == "thr")
            self.assertEqual(stage.entries, ["one", "/topic tea", "two"])
            self.assertIn("connecting to 127.0.0.1:14900, 3 unsent", stage.line)
            stage.connect()
            await stage.types("ee", lambda: stage.buffer.text == "three")
            await stage.types("\r", stage.says("three"))
            self.assertEqual([await stage.recalls(), await stage.recalls()], ["three", "two"])

        self.play(scene)
        self.assertEqual([message.msg for message in self.server.room("lobby").log], ["one", "two", "three"])
        self.assertEqual(self.server.room("lobby").topic, "tea")

    def test_a_text_pasted_before_there_is_a_connection_is_said_then(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types(pasted("1\n2\n3\n4\n5\n6"), lambda: stage.question)
            await stage.types("y", lambda: not stage.question)
            stage.connect()
            await stage.until(stage.says("1\n2\n3\n4\n5\n6"))

        self.play(scene)

    def test_a_room_that_was_asked_for_and_is_refused_ends_it(self) -> None:
        self.server.refuse = lambda request: WireError("banned", "not you") if isinstance(request, wire.Join) else None

        async def scene(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: stage.status is not None)

        self.play(scene, status=1)
        self.assertEqual(self.complaints, ["127.0.0.1:14900 does not let you in: lobby cannot be joined: not you"])

    def test_where_there_are_no_guests_one_registers_in_no_room(self) -> None:
        self.server.chat.chat.accounts.guests = False

        text = "lobby cannot be joined: there are no guests on this server: register your nick, or log in"

        async def scene(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: any(text in entry for entry in stage.entries))
            self.assertIsNone(stage.controller.person.here)

        self.play(scene)

    def test_a_room_of_another_case_is_entered_once_in_its_place(self) -> None:
        self.options = replace(OPTIONS, rooms=("Lobby", "attic"), rooms_from="file")
        self.memory = Memory(None, self.options.server, "alice")
        for room in ("garden", "lobby"):
            self.memory.note(room, 1)

        async def scene(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: stage.line.startswith("1:lobby 2:attic 3:garden | alice"))

        self.play(scene)

    def test_in_no_room_at_all_one_can_still_join_one(self) -> None:
        self.options = replace(OPTIONS, rooms_from="default")
        self.memory = Memory(None, self.options.server, "alice")
        self.memory.note("garden", 1)
        self.server.refuse = lambda request: (
            WireError("banned", "not you") if getattr(request, "room", "") == "garden" else None
        )

        async def scene(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: stage.line == "alice | online")
            self.assertEqual(stage.top, NO_ROOM)
            await stage.types("/join lobby\r", lambda: stage.title == "lobby")

        self.play(scene)

    def test_a_fault_while_rooms_are_entered_ends_it(self) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError

        self.patch(PaneScreen, "notice", broken)

        async def scene(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: stage.status is not None)

        self.play(scene)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_interrupt_while_rooms_are_entered_is_no_error(self) -> None:
        self.server.ignores = lambda request: isinstance(request, wire.Join)

        async def scene(stage: Stage) -> None:
            stage.connect()
            stage.running.cancel()
            await stage.until(lambda: stage.status is not None)

        self.play(scene)
        self.assertEqual(self.complaints, [])

    def test_quit_and_help_do_not_wait_for_a_connection(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("/help\r", lambda: any(text.startswith("keys: ") for text in stage.entries))
            await stage.types("/quit\r", lambda: stage.status is not None)

        self.play(scene)

    def test_without_a_server_nothing_that_was_typed_is_lost(self) -> None:
        async def scene(stage: Stage) -> None:
            await stage.types("one\rhalf a", lambda: stage.buffer.text == "half a")
            self.server.refuse = lambda request: WireError("full", "no more")
            stage.connect()
            await stage.until(lambda: stage.status is not None)

        self.play(scene, status=1)
        self.assertEqual(self.complaints[1:], ["2 of what you said may be lost:", "  one", "  half a"])


class MemoryTests(ControllerTestCase):
    """Rooms and what is unread in them, over runs."""

    def setUp(self) -> None:
        super().setUp()
        self.path = folder(self) / "screen.json"

    def run_with(self, scene: Callable[[Stage], Coroutine[Any, Any, None]], rooms_from: str = "default") -> None:
        self.options = replace(self.options, rooms_from=rooms_from)
        self.memory = Memory(self.path, self.options.server, self.options.nick)
        self.play(scene)

    def test_rooms_and_what_is_unread_come_back(self) -> None:
        async def first(stage: Stage) -> None:
            await stage.types("/join garden\r", lambda: stage.title == "garden")
            self.server.say("seen", room="garden")
            await stage.until(stage.shows("seen"))

        async def second(stage: Stage) -> None:
            await stage.until(lambda: stage.line.startswith("1:lobby(2!) 2:garden |"))
            self.assertEqual(stage.title, "garden")
            await stage.types("\x1ba", lambda: stage.title == "lobby")
            self.assertEqual(stage.panes.current.marked(), 0)
            await stage.types("/leave\r", lambda: "lobby" not in stage.line)

        async def third(stage: Stage) -> None:
            self.assertTrue(stage.line.startswith("1:garden |"), stage.line)

        self.run_with(first)
        self.server.say("hello alice")
        self.server.say("are you there?")
        self.run_with(second)
        self.run_with(third)

    def test_new_messages_of_the_room_that_is_shown_are_marked_and_found(self) -> None:
        async def first(stage: Stage) -> None:
            self.server.say("seen")
            await stage.until(stage.shows("seen"))

        async def second(stage: Stage) -> None:
            await stage.until(stage.shows("50"))
            self.assertEqual(stage.panes.current.unread, 0)
            await stage.types("\x1bu", lambda: stage.panes.current.bottom)
            self.assertIn("bob: 0", stage.rows)
            await stage.types("hi\r", stage.says("hi"))
            await stage.types("\x1bu", stage.shows("nothing is new here"))

        self.run_with(first)
        for i in range(51):
            self.server.say(str(i))
        self.run_with(second)

    def test_rooms_that_are_typed_are_the_only_ones(self) -> None:
        async def first(stage: Stage) -> None:
            await stage.types("/join garden\r", lambda: stage.title == "garden")

        async def typed(stage: Stage) -> None:
            self.assertTrue(stage.line.startswith("1:lobby |"), stage.line)

        async def from_file(stage: Stage) -> None:
            self.assertTrue(stage.line.startswith("1:lobby 2:garden |"), stage.line)
            self.assertEqual(stage.title, "lobby")

        self.run_with(first)
        self.run_with(typed, "command line")
        self.run_with(from_file, "file")

    def test_a_remembered_room_that_is_refused_for_good_is_forgotten(self) -> None:
        def no_garden(code: str, request: Any) -> WireError | None:
            return WireError(cast(Any, code), "not you") if getattr(request, "room", "") == "garden" else None

        async def first(stage: Stage) -> None:
            await stage.types("/join garden\r", lambda: stage.title == "garden")

        async def refused(stage: Stage) -> None:
            await stage.until(stage.shows("you are not in garden any more: not you; /join garden tries again"))

        async def third(stage: Stage) -> None:
            self.assertTrue(stage.line.startswith("1:lobby |"), stage.line)

        self.run_with(first)
        for code, entered in (("full", {"lobby", "garden"}), ("banned", {"lobby"})):
            self.server.refuse = partial(no_garden, code)
            self.run_with(refused)
            remembered = Memory(self.path, self.options.server, "alice").rooms
            self.assertEqual(set(remembered), entered)
        self.run_with(third)

    def test_a_damaged_file_is_reported_and_begins_anew(self) -> None:
        self.path.write_text("{")

        async def scene(stage: Stage) -> None:
            await stage.until(lambda: any("is damaged" in text for text in stage.entries))

        self.run_with(scene)
        self.assertEqual(len(self.complaints), 1)

    def test_the_memory_is_saved_while_the_program_runs(self) -> None:
        async def scene(stage: Stage) -> None:
            self.assertFalse(self.path.exists())
            self.server.say("seen")
            await stage.until(stage.shows("seen"))
            stage.network.pass_time(SAVE)
            self.assertEqual(Memory(self.path, self.options.server, "alice").read_seq("lobby"), 3)

        self.run_with(scene)


class ScreenTests(ControllerTestCase):
    def test_colours_may_be_turned_off_or_on(self) -> None:
        for color, depth in (
            (False, ColorDepth.DEPTH_1_BIT),
            (True, ColorDepth.DEPTH_8_BIT),
            (None, Paper().get_default_color_depth()),
        ):
            self.options = replace(OPTIONS, color=color)

            async def scene(stage: Stage, depth: ColorDepth = depth) -> None:
                self.assertEqual(stage.controller.view.app.color_depth, depth)

            self.play(scene)

    def test_the_mouse_wheel_scrolls_unless_the_mouse_is_the_terminals(self) -> None:
        for i in range(100):
            self.server.say(str(i))

        async def scene(stage: Stage) -> None:
            await stage.until(stage.shows("99"))
            await stage.types("\x1b[<64;5;5M", lambda: stage.panes.current.bottom)
            self.assertIn("bob: 97", stage.rows[-1])
            await stage.types("\x1b[<65;5;5M", lambda: not stage.panes.current.bottom)
            await stage.types("\x1b[<0;5;5M\x1b[<0;5;5m\x1bm", lambda: not stage.controller.view.mouse)
            await stage.types("\x1bm", lambda: stage.controller.view.mouse)
            self.assertIn("hold Shift to select text (on a Mac, Option)", stage.entries[-1])

        self.play(scene)

    def test_a_terminal_is_told_where_links_lead_to(self) -> None:
        async def scene(stage: Stage) -> None:
            self.server.say("see https://chat.example/x for more")
            await stage.until(stage.shows("see https://chat.example/x for more"))
            content = stage.conversation.create_content(80, 3)
            self.assertNotIn("[ZeroWidthEscape]", [style for style, *_ in content.get_line(2)])
            stage.controller.view.hyperlinks = True
            content = stage.conversation.create_content(80, 3)
            escapes = [text for style, text, *_ in content.get_line(2) if style == "[ZeroWidthEscape]"]
            self.assertEqual(len(escapes), len("https://chat.example/x"))
            self.assertTrue(all(";https://chat.example/x\x1b" in escape for escape in escapes))

        self.play(scene)

    def test_the_screen_works_at_any_size(self) -> None:
        async def scene(stage: Stage) -> None:
            self.server.say("你好 " * 30)
            await stage.types("a long line to be typed " * 3, lambda: len(stage.buffer.text) == 72)
            for rows, columns in ((24, 20), (3, 20), (2, 4), (1, 1), (50, 200)):
                stage.paper.size = Size(rows=rows, columns=columns)
                stage.controller.view.app.renderer.erase()
                rendered: list[object] = []
                stage.controller.view.app.after_render += rendered.append
                stage.controller.view.refresh()
                await stage.until(partial(bool, rendered))

        self.play(scene)

    def test_ctrl_z_puts_the_program_into_the_background(self) -> None:
        suspended: list[object] = []

        async def scene(stage: Stage) -> None:
            self.patch(stage.controller.view.app, "suspend_to_background", lambda: suspended.append(None))
            await stage.types("\x1ax", lambda: stage.buffer.text == "x")

        self.play(scene)
        self.assertEqual(len(suspended), 1)

    def test_a_fault_is_shown_and_told_at_the_end(self) -> None:
        async def scene(stage: Stage) -> None:
            log = Logger(observer=cast(ILogObserver, stage.controller.fault))
            try:
                raise ZeroDivisionError("what\x1b[2J")
            except ZeroDivisionError:
                log.failure("a fault")
            log.info("nothing")
            log.critical("nothing that is a failure")
            await stage.until(
                lambda: any("a fault of this program: ZeroDivisionError" in text for text in stage.entries)
            )

        self.play(scene, status=1)
        self.assertIn("ZeroDivisionError: what[2J", self.complaints[-1])

    def test_a_fault_in_drawing_is_logged(self) -> None:
        async def scene(stage: Stage) -> None:
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "a callback failed", "exception": ZeroDivisionError()})
            loop.call_exception_handler({"message": "something else"})

        self.play(scene)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_fault_in_a_command_is_logged(self) -> None:
        async def scene(stage: Stage) -> None:
            def broken(*_: object) -> None:
                raise ZeroDivisionError

            self.patch(stage.controller.person, "typed", broken)
            await stage.types("hi\r", lambda: stage.buffer.text == "")

        self.play(scene)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_program_connects_to_the_server_of_the_options(self) -> None:
        begun: list[Any] = []
        self.patch(globalLogBeginner, "beginLoggingTo", lambda observers, **options: begun.append(options))
        reactor = MemoryReactorClock()

        async def scene() -> None:
            with create_pipe_input() as pipe, create_app_session(input=pipe, output=Paper()):
                running = terminal.start(reactor, OPTIONS)
                reactor.advance(0)
                self.assertEqual(reactor.tcpClients[0][:2], ("127.0.0.1", 14900))
                running.cancel()
                await running.asFuture(asyncio.get_running_loop())

        self.patch(terminal, "default_path", lambda: folder(self) / "screen.json")
        asyncio.run(scene())
        self.assertEqual(len(begun), 1)


class AccountTests(ControllerTestCase):
    """Passwords are asked for, and are nowhere on the screen or among the typed lines."""

    options = replace(OPTIONS, nick="owner")
    connects = False

    def setUp(self) -> None:
        super().setUp()
        owner = self.server.chat.welcome("owner")
        owner.send({"type": "register", "password": "correct horse"})
        self.server.chat.settle()
        owner.cut()

    def remember(self) -> Tokens:
        tokens = Tokens(folder(self) / "tokens.json", self.options)
        self.tokens = tokens
        return tokens

    async def logs_in(self, stage: Stage, password: str = "correct horse") -> None:
        stage.connect()
        await stage.until(lambda: "password of owner" in stage.question)
        await stage.types(f"{password}\r", lambda: not stage.controller.view.is_asking)

    def assert_hidden(self, stage: Stage, secret: str) -> None:
        view = stage.controller.view
        typed = [text for buffer in view._buffers.values() for text in buffer.history.get_strings()]
        shown = [entry.text for pane in (*stage.panes, stage.panes.nowhere) for entry in pane.entries]
        for text in (*typed, *shown, stage.buffer.text, stage.question, stage.line, stage.title):
            self.assertNotIn(secret, text)

    def test_the_password_of_an_account_is_asked_for_at_the_start(self) -> None:
        async def scene(stage: Stage) -> None:
            await self.logs_in(stage, "wrong horse")
            await stage.until(lambda: "that was not right; password of owner" in stage.question)
            self.assert_hidden(stage, "wrong")
            await stage.types("correctx\x7f\x15wrong\x15correct ", lambda: True)
            await stage.types(
                f"{pasted('horse')}{LEFT}\r", lambda: stage.is_there and not stage.controller.view.is_asking
            )
            self.assertTrue(stage.controller.client.account)
            await stage.types("hi\r", stage.says("hi"))
            self.assert_hidden(stage, "horse")

        self.play(scene)

    def test_a_person_without_a_password_is_not_let_in(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: "password of owner" in stage.question)
            await stage.types("\x03", lambda: stage.status is not None)

        self.play(scene, status=3)
        (line,) = self.complaints
        self.assertIn("the nick owner is somebody's account", line)

    def test_in_few_columns_and_rows_the_question_is_short(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.paper.size = Size(rows=4, columns=20)
            stage.connect()
            await stage.until(lambda: stage.question.endswith("shown):"))
            self.assertTrue(all(width(row) <= 20 for row in stage.question.split("\n")))
            await stage.types("\x1b", lambda: stage.status is not None)

        self.play(scene, status=3)

    def test_a_person_who_stays_logged_in_is_asked_for_no_password(self) -> None:
        tokens = self.remember()

        async def scene(stage: Stage) -> None:
            await self.logs_in(stage)
            await stage.until(lambda: "stay logged in" in stage.question)
            await stage.types("xy", lambda: tokens.get("owner") is not None)

        async def again(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: stage.is_there)
            self.assertTrue(stage.controller.client.account)
            self.assertFalse(stage.controller.view.is_asking)
            tokens.set("owner", "tc_revoked")

        async def revoked(stage: Stage) -> None:
            await self.logs_in(stage)
            await stage.until(lambda: "stay logged in" in stage.question)
            await stage.types("n", lambda: not stage.controller.view.is_asking)
            self.assertIsNone(tokens.get("owner"))

        for one in (scene, again, revoked):
            self.play(one)

    def test_tokens_that_cannot_be_used_are_told_of(self) -> None:
        tokens = self.remember()
        assert tokens.path is not None
        tokens.path.write_text("[]")
        tokens.path.chmod(0o600)
        self.options = replace(self.options, password="correct horse")

        async def scene(stage: Stage) -> None:
            stage.connect()
            await stage.until(stage.shows(f"{tokens.path} is damaged: remove it"))

        tokens.get("owner")
        self.play(scene)

    def test_a_line_with_a_password_is_forgotten(self) -> None:
        self.options = replace(self.options, nick="alice")

        async def scene(stage: Stage) -> None:
            await stage.types("/register hunter2\r", lambda: stage.panes.nowhere.entries)
            self.assertIn("when there is a connection, and no password", stage.panes.nowhere.entries[-1].text)
            stage.connect()
            await stage.until(lambda: stage.is_there)
            await stage.types("/register hunter2\r", lambda: "asks for the password" in stage.entries[-1])
            await stage.types("/register\r", lambda: "a password for alice" in stage.question)
            await stage.types("battery staple\r", lambda: "once more" in stage.question)
            await stage.types("battery staple\r", lambda: "is your account now" in stage.entries[-1])
            for secret in ("hunter2", "staple"):
                self.assert_hidden(stage, secret)
            self.assertEqual(await stage.recalls(), "/register")

        self.play(scene)

    def test_direct_messages_that_came_meanwhile_are_unread(self) -> None:
        self.options = replace(self.options, password="correct horse")
        self.memory = Memory(folder(self) / "screen.json", "s", "owner")
        bob = self.server.chat.welcome("bob")
        bob.send({"type": "register", "password": "correct horse"}, {"type": "", "to": "owner", "msg": "one"})
        self.server.chat.settle()

        async def scene(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: stage.is_there)
            bob.send({"type": "", "to": "owner", "msg": "two"})
            await stage.until(lambda: "2:@bob(1!)" in stage.line)
            await stage.types("\x1b2", lambda: stage.title == "@bob")

        async def again(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: "2:@bob(1!)" in stage.line)
            pane = stage.panes.step(1)
            self.assertEqual([entry.text for entry in pane.entries], ["three"])
            stage.controller.turned_to(pane)
            await stage.types("four\r", lambda: pane.entries[-1].text == "four" and not pane.pending)
            await stage.types("/delete\r", lambda: pane.entries[-1].text == "(deleted)")

        self.play(scene)
        bob.send({"type": "", "to": "owner", "msg": "three"})
        self.server.chat.settle()
        self.memory = Memory(self.memory._path, "s", "owner")
        self.play(again)

    def test_direct_messages_that_were_not_looked_at_are_unread_again(self) -> None:
        self.options = replace(self.options, password="correct horse")
        self.memory = Memory(folder(self) / "screen.json", "s", "owner")
        bob = self.server.chat.welcome("bob")
        bob.send({"type": "register", "password": "correct horse"})
        unread: list[int] = []

        async def comes(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: stage.is_there and stage.controller.client.direct is not None)
            bob.send(*({"type": "", "to": "owner", "msg": text} for text in ("one", "two")))
            await stage.until(lambda: len(stage.panes.step(1).entries) == 2)

        async def again(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: stage.is_there and "2:@bob(2!)" in stage.line)

        async def looks(stage: Stage) -> None:
            await again(stage)
            await stage.types("\x1b2", lambda: stage.title == "@bob" and not stage.panes.current.loading)
            unread.append(stage.panes.current.unread)
            bob.send({"type": "", "to": "owner", "msg": "three"})
            await stage.until(stage.shows("three"))
            await stage.types("\x1b1", lambda: stage.title == "lobby")
            bob.send({"type": "", "to": "owner", "msg": "four"})
            await stage.until(lambda: "2:@bob(1!)" in stage.line)

        async def last(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: stage.is_there and "2:@bob(1!)" in stage.line)
            self.assertEqual([entry.text for entry in stage.panes.step(1).entries], ["four"])

        for scene in comes, again, looks, last:
            self.play(scene)
            self.memory = Memory(self.memory._path, "s", "owner")
        self.assertEqual(unread, [0])

    def test_older_direct_messages_come_as_one_scrolls_up(self) -> None:
        self.options = replace(self.options, password="correct horse")
        bob = self.server.chat.welcome("bob")
        bob.send({"type": "register", "password": "correct horse"})
        for i in range(3 * PAGE):
            bob.send({"type": "", "to": "owner", "msg": str(i)})
            self.server.chat.settle()

        async def scene(stage: Stage) -> None:
            stage.connect()
            await stage.until(lambda: stage.is_there)
            await stage.types("/msg bob\r", stage.shows(str(2 * PAGE)))
            self.assertEqual((stage.title, len(stage.entries)), ("@bob", PAGE))
            while len(stage.entries) < 3 * PAGE:
                at = stage.panes.current.bottom
                await stage.types(PAGE_UP, partial(lambda at: stage.panes.current.bottom != at, at))
            self.assertEqual(stage.entries, [str(i) for i in range(3 * PAGE)])
            self.assertEqual([pane.unread for pane in stage.panes], [0, 0])
            await stage.types("/history 1\r", stage.shows("above: the last message of @bob"))
            await stage.types("/msg carol\r", lambda: stage.title == "@carol" and stage.panes.current.whole)

        self.play(scene)

    def test_what_is_typed_stays_while_a_question_is_open(self) -> None:
        async def scene(stage: Stage) -> None:
            await self.logs_in(stage)
            await stage.until(lambda: stage.is_there)
            await stage.types("half a line", lambda: stage.buffer.text)
            asking = Deferred.fromCoroutine(stage.controller.screen.confirm("really?"))
            await stage.types("n", lambda: asking.called)
            self.assertEqual(stage.buffer.text, "half a line")

        self.play(scene)


class OrderTests(ControllerTestCase):
    """What moderators do."""

    def test_a_deleted_message_is_not_on_the_screen_any_more(self) -> None:
        async def scene(stage: Stage) -> None:
            seq = stage.server.say("buy now, alice")
            await stage.until(stage.shows("buy now, alice"))
            room = stage.controller.client.room("lobby")
            assert room is not None
            self.assertEqual(stage.controller.screen.newest(room, "BOB"), seq)
            deletion = {"type": "delete", "author": "bob", "room": "lobby", "of": seq, "seq": seq + 1}
            stage.controller.client._received([deletion])
            await stage.until(stage.shows("(deleted)"))
            self.assertEqual(stage.rows[-1], "bob: (deleted)")
            self.assertIsNone(stage.controller.screen.newest(room, "bob"))
            stage.controller.client._received([deletion | {"of": 1, "seq": seq + 2}])
            stage.controller.screen.deleted(fake_room("elsewhere"), seq)
            stage.server.say("hello")
            await stage.until(stage.shows("hello"))
            self.assertNotIn("buy now, alice", stage.entries)

        self.play(scene)

    def test_an_invitation_is_accepted_with_one_key(self) -> None:
        async def scene(stage: Stage) -> None:
            stage.network.connections[0].reply(wire.Invited(author="bob", room="garden", nick="alice"))
            await stage.until(stage.shows("bob invites you to garden; /accept enters it, and so does Alt-J"))
            await stage.types("\x1bj", lambda: stage.title == "garden")

        self.play(scene)

    def test_before_there_is_a_room_there_is_no_invitation(self) -> None:
        self.connects = False

        async def scene(stage: Stage) -> None:
            await stage.types("\x1bj", lambda: stage.controller.view.strokes)
            self.assertEqual(stage.panes.nowhere.entries, [])

        self.play(scene)

    def test_a_person_who_is_put_out_of_the_room_that_is_shown_is_in_no_room(self) -> None:
        async def scene(stage: Stage) -> None:
            kick = wire.Kicked(author="bob", room="lobby", nick="alice", msg="spam")
            stage.network.connections[0].reply(kick)
            await stage.until(lambda: stage.panes.current is stage.panes.nowhere)
            await stage.until(stage.shows("you are in no room; /join ROOM enters one"))
            self.assertIn("you were put out of the room by bob: spam", stage.panes.nowhere.entries[-2].text)

        self.play(scene)
