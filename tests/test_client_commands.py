"""The commands of a person, in any interface."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import messages as wire
from twisted_chat.client import Client, Deleted, Message, RequestError, Room
from twisted_chat.client.answers import Answer
from twisted_chat.client.program.command import Command, Mistake, Quit, help_lines
from twisted_chat.client.program.commands import COMMANDS, ELSEWHERE
from twisted_chat.client.program.durations import duration_text, read_duration
from twisted_chat.client.program.login import UNSAFE, Login, token_label, unsafe
from twisted_chat.client.program.options import Options
from twisted_chat.client.program.order_commands import LISTED
from twisted_chat.client.program.person import UNDER_WAY, Direct, Person
from twisted_chat.client.program.tokens import Tokens
from twisted_chat.login import Policy
from twisted_chat.messages import WireError

from .client_fakes import FakeServer, Network, result
from .logins import make_login
from .programs import folder

LOCKED = "only members and those who are invited may enter garden"

OPTIONS = Options("127.0.0.1", 14900, "alice", ("lobby",), False)


class ParseTests(SynchronousTestCase):
    def mistake(self, line: str) -> str:
        return str(self.assertRaises(Mistake, COMMANDS.parse, line))

    def test_what_begins_with_no_slash_is_said(self) -> None:
        for line in ("hi", " /join x", ":-/", "exit"):
            self.assertEqual(COMMANDS.parse(line), line)

    def test_two_slashes_say_one(self) -> None:
        self.assertEqual(COMMANDS.parse("//join x"), "/join x")

    def test_a_command_has_an_argument(self) -> None:
        self.assertEqual(COMMANDS.parse("/msg  bob  how are you? "), (COMMANDS["msg"], "bob  how are you?"))
        self.assertEqual(COMMANDS.parse("/TOPIC"), (COMMANDS["topic"], ""))
        self.assertEqual(COMMANDS.parse("/topic\ntea\ncake"), (COMMANDS["topic"], "tea\ncake"))

    def test_an_argument_that_is_missing_is_asked_for(self) -> None:
        self.assertIn("type /join ROOM", self.mistake("/join"))
        self.assertIn("type /msg NICK [TEXT]", self.mistake("/msg"))

    def test_an_unknown_command_is_a_mistake(self) -> None:
        self.assertIn("did you mean /history?", self.mistake("/histroy"))
        self.assertIn("/help", self.mistake("/x\x1b[2J"))
        self.assertNotIn("\x1b", self.mistake("/x\x1b[2J"))

    def test_names_that_commands_have_elsewhere_are_understood(self) -> None:
        for names, command in (
            ("part close", "leave"),
            ("list channels", "rooms"),
            ("names users members", "who"),
            ("exit bye q disconnect", "quit"),
            ("query tell w dm m privmsg", "msg"),
            ("j", "join"),
            ("t subject", "topic"),
            ("h ?", "help"),
            ("scrollback", "history"),
        ):
            for name in names.split():
                self.assertIs(COMMANDS.find(name.upper()), COMMANDS[command], name)

    def test_no_two_commands_have_one_name(self) -> None:
        names = [name for command in COMMANDS.values() for name in (command.name, *command.aliases)]
        self.assertEqual(len(names), len({*names, *ELSEWHERE}) - len(ELSEWHERE))

    def test_a_command_of_another_program_leads_to_what_to_do_here(self) -> None:
        self.assertEqual(self.mistake("/me waves"), "there is no command /me here: say what you do as a message")
        self.assertIn("/join ROOM", self.mistake("/window 2"))
        self.assertIn("did you mean /leave?", self.mistake("/prat"))

    def test_the_table_makes_the_help(self) -> None:
        lines = list(help_lines(list(COMMANDS.values())))
        self.assertEqual(len(lines), len(COMMANDS) + 1)
        for command, line in zip(COMMANDS.values(), lines, strict=False):
            self.assertTrue(line.startswith(f"/{command.name}"))
            self.assertIn(command.help, line)
        self.assertEqual(len(list(help_lines([COMMANDS.find("rooms")]))), 2)
        self.assertEqual(len(list(help_lines([COMMANDS.find("lock")]))), 1)
        names = (
            "join leave nick who rooms topic msg history register login password token tokens revoke delete report "
            "accept kick ban unban bans mute unmute grant lock unlock invite slow audit help quit"
        )
        self.assertEqual(list(COMMANDS), names.split())


class FakeScreen:
    """An interface that keeps what it was to show."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.messages: list[str] = []
        self.own: list[str] = []
        self.turns: list[str | None] = []
        self.over: list[str] = []
        self.renames: list[tuple[str, str]] = []
        self.strokes = 0
        self.gone: list[tuple[str, int]] = []
        """The rooms and numbers of the messages that were deleted."""
        self.newest_seqs: dict[str, int] = {}
        """The numbers of the newest messages, by nick."""
        self.is_terminal = True
        self.asked: list[str] = []
        """The questions to the person."""
        self.answers: list[str | None] = []
        """What the person answers, in order."""

    def deleted(self, where: Room | Direct, of: int) -> None:
        self.gone.append((where.name, of))

    def newest(self, where: Room | Direct, nick: str) -> int | None:
        return self.newest_seqs.get(nick)

    @property
    def is_personal(self) -> bool:
        return self.is_terminal

    async def secret(self, prompt: str) -> str | None:
        self.asked.append(prompt)
        return self.answers.pop(0)

    async def confirm(self, question: str) -> bool:
        self.asked.append(question)
        return self.answers.pop(0) == "y"

    async def message(self, message: Message, room: Room | None) -> None:
        self.messages.append(f"{room.name if room else 'direct'} {message.author}: {message.msg}")

    async def past(self, messages: Sequence[Message], where: Room | Direct, attention: int) -> None:
        for message in messages:
            await self.message(message, where if isinstance(where, Room) else None)

    def note(self, text: str) -> None:
        self.shown.append(text)

    def notice(self, text: str, room: str, nick: str = "") -> None:
        self.shown.append(f"({text})")

    def said(self, text: str, where: Room | Direct | None, answer: Deferred[Any]) -> None:
        self.own.append(f"{where.name if where else None}: {text}")

    def turned(self, where: Room | Direct | None) -> None:
        self.turns.append(where.name if where else None)

    def left(self, where: Room | Direct) -> None:
        self.over.append(where.name)

    def renamed(self, nick: str, direct: Direct) -> None:
        self.renames.append((nick, direct.name))

    def error(self, text: str) -> None:
        self.shown.append(f"! {text}")

    def attention(self) -> int:
        return self.strokes


class PersonTestCase(SynchronousTestCase):
    """A person called alice in the lobby, without an interface."""

    def setUp(self) -> None:
        self.server = FakeServer()
        self.network = Network(self.server, Clock())
        self.client = Client(self.network, "alice", reactor=self.network.clock)
        self.screen = FakeScreen()
        self.person = Person(self.screen, COMMANDS, self.client)
        self.client.start()
        self.network.flush()
        joining = Deferred.fromCoroutine(self.person.join("lobby"))
        self.network.flush()
        result(joining)

    def type(self, line: str) -> list[str]:
        """Type a line; gives what was shown."""
        typing = Deferred.fromCoroutine(self.person.typed(line))
        self.network.flush()
        result(typing)
        shown, self.screen.shown = self.screen.shown, []
        return shown

    def tell(self, event: Any) -> list[str]:
        self.network.connections[0].reply(event)
        self.network.flush()
        shown, self.screen.shown = self.screen.shown, []
        return shown

    @property
    def said(self) -> list[str]:
        return [f"{message.room} {message.msg}" for room in self.server.rooms.values() for message in room.log]


class PersonTests(PersonTestCase):
    def test_lines_are_said_and_messages_are_shown(self) -> None:
        self.assertEqual(self.type("hi"), [])
        self.server.say("hello")
        self.network.flush()
        self.assertEqual((self.said, self.screen.messages), (["lobby hi", "lobby hello"], ["lobby bob: hello"]))

    def test_join_turns_to_a_room(self) -> None:
        self.assertEqual(self.type("/join other"), ["you are in other (1 member)"])
        self.type("1")
        self.server.room("lobby").topic = "t\x1bea"
        self.assertEqual(self.type("/join LOBBY"), ["you are in lobby (1 member)"])
        self.type("2")
        self.assertEqual(self.said, ["lobby 2", "other 1"])
        self.server.say("hello", room="other")
        self.network.flush()
        self.assertEqual(self.screen.messages, ["other bob: hello"], "a room is read once")
        self.assertEqual(self.type("/join a/b")[0][:2], "! ")

    def test_a_room_that_is_entered_late_does_not_take_the_view(self) -> None:
        joining = Deferred.fromCoroutine(self.person.typed("/join other"))
        self.screen.strokes += 1
        self.network.flush()
        result(joining)
        self.assertEqual(self.screen.turns, ["lobby"])
        self.assertEqual(self.screen.shown, ["you are in other (1 member); /join other turns to it"])

    def test_the_sign_that_rooms_have_elsewhere_is_to_be_left_out(self) -> None:
        for command in ("join", "leave", "who"):
            self.assertEqual(
                self.type(f"/{command} #lobby"),
                [f"! leave out the #: the names of rooms have none here. /{command} lobby"],
            )

    def test_join_shows_topic_and_members(self) -> None:
        self.server.room("other").topic = "t\x1bea"
        self.server.chat.welcome("bob", "other")
        self.assertEqual(self.type("/join other"), ["you are in other (2 members): tea"])

    def test_leave_leaves_and_turns_to_another_room(self) -> None:
        self.type("/join other")
        self.assertEqual(self.type("/leave lobby"), ["you left lobby; you are in other"])
        self.assertEqual(self.type("/leave"), ["you left other"])
        self.assertEqual(self.type("hi"), ["! you are in no room; /join ROOM enters one"])
        self.assertEqual(self.type("/leave lobby"), ["! you are not in lobby"])
        self.assertEqual(self.type("/who")[0][0], "!")

    def test_what_is_said_is_shown_where_it_is_said(self) -> None:
        self.type("hi")
        self.type("/join other")
        self.type("hello")
        self.type("/msg bob  psst ")
        self.assertEqual(self.screen.own, ["lobby: hi", "other: hello", "bob: psst"])

    def test_an_interface_hears_where_the_person_talks_and_what_is_over(self) -> None:
        self.type("/join other")
        self.type("/leave")
        self.type("/leave")
        self.assertEqual(self.screen.turns, ["lobby", "other", "lobby", None])
        self.assertEqual(self.screen.over, ["other", "lobby"])

    def test_a_person_may_stay_in_a_direct_conversation(self) -> None:
        self.person.turn(Direct(self.client, "bob"))
        self.type("psst")
        self.assertEqual((self.screen.own, self.said), (["bob: psst"], []))
        self.assertEqual(self.type("/topic"), ["! these are direct messages with bob; /join ROOM turns to a room"])
        self.assertEqual(self.type("/leave"), [])
        self.assertEqual((self.screen.over, self.screen.turns[-1]), (["bob"], "lobby"))
        self.person.turn(Direct(self.client, "bob"))
        self.assertEqual(self.type("/leave lobby"), ["you left lobby"])
        self.type("/leave")
        self.assertEqual((self.screen.over[-1], self.screen.turns[-1]), ("bob", None))

    def test_many_lines_are_said_as_they_are_in_one_place(self) -> None:
        lines = [f"/{i}" for i in range(UNDER_WAY + 10)]
        saying = Deferred.fromCoroutine(self.person.say_all(lines))
        self.person.turn(Direct(self.client, "bob"))
        self.network.flush()
        result(saying)
        self.assertEqual(self.said, [f"lobby {line}" for line in lines])

    def test_in_no_room_nothing_is_said(self) -> None:
        self.person.turn(None)
        result(Deferred.fromCoroutine(self.person.say_all(["a", "b"])))
        self.assertEqual(self.screen.shown, ["! choose a room first; /join lobby turns to one of yours"])

    def test_nick_changes_the_nick(self) -> None:
        self.assertEqual(self.type("/nick al"), ["you are al now"])
        self.assertEqual(self.client.nick, "al")

    def test_who_shows_members(self) -> None:
        self.assertEqual(self.type("/who"), ["in lobby: alice"])
        self.assertEqual(self.type("/who other"), ["nobody is in other"])
        members = wire.Members(room="lobby", members=["a\x1b", "b"], count=2002)
        self.patch(self.client, "who", lambda room: Answer.given(members))
        self.assertEqual(self.type("/who"), ["in lobby: a, b and 2,000 more"])

    def test_rooms_shows_rooms(self) -> None:
        self.server.room("lobby").topic = "tea"
        self.server.room("empty").topic = "quiet"
        self.assertEqual(self.type("/rooms"), ["lobby (1 member): tea", "empty (0 members): quiet"])
        self.patch(self.client, "rooms", lambda: Answer.given([]))
        self.assertEqual(self.type("/rooms"), ["there are no rooms; /join ROOM makes one"])

    def test_topic_shows_and_sets_the_topic(self) -> None:
        self.assertEqual(self.type("/topic"), ["there is no topic"])
        self.assertEqual(self.type("/topic tea and cake"), ["the topic of lobby: tea and cake"])
        self.assertEqual(self.type("/topic"), ["the topic of lobby: tea and cake"])
        self.assertEqual(self.server.room("lobby").topic, "tea and cake")

    def test_msg_says_something_to_one_nick(self) -> None:
        self.server.chat.welcome("bob")
        self.assertEqual(self.type("/msg bob how are you?"), [])
        self.server.refuse = lambda request: WireError("no-such-nick", "there is no bob")
        self.assertEqual(self.type("/msg @bob hi"), ['! not said to bob, "hi": there is no bob'])
        self.assertEqual(self.screen.turns, ["lobby"])

    def test_msg_without_a_text_turns_to_the_direct_conversation(self) -> None:
        self.assertIn("! type /msg NICK TEXT", self.type("/msg bob")[0])
        self.person.shows_directs = True
        self.assertEqual(self.type("/msg @bob"), [])
        self.assertEqual(self.screen.turns, ["lobby", "bob"])

    def test_what_is_refused_says_what_it_was_and_where(self) -> None:
        self.server.refuse = lambda request: WireError("denied", "not you")
        self.assertEqual(self.type("hi\nthere"), ['! not said in lobby, "hi there": not you'])
        self.assertEqual(self.type("/topic tea"), ["! /topic tea: not you"])
        self.assertEqual(self.type("/topic " + 50 * "x"), [f"! /topic {30 * 'x'}...: not you"])

    def test_what_is_asked_without_a_connection_says_that_it_waits(self) -> None:
        self.network.cut()
        asking = Deferred.fromCoroutine(self.person.typed("/topic tea"))
        self.assertEqual(self.screen.shown, ["/topic tea: this waits for the connection"])
        self.assertEqual([(asked.line, asked.lasting) for asked in self.person.asked], [("/topic tea", True)])
        self.network.pass_time(5)
        result(asking)
        self.assertEqual(self.screen.shown[1:], ["the topic of lobby: tea"])
        self.assertEqual((self.person.asked, self.person.undone), ([], []))

    def test_what_waits_when_the_client_is_closed_is_known(self) -> None:
        self.network.cut()
        asking = Deferred.fromCoroutine(self.person.typed("/who"))
        self.client.close(flush=False)
        self.network.flush()
        result(asking)
        self.assertEqual([asked.line for asked in self.person.undone], ["/who"])

    def test_history_of_a_room_without_any_says_so(self) -> None:
        self.assertEqual(self.type("/history"), ["nothing has been said in lobby yet"])

    def test_history_of_a_direct_conversation_is_that_of_its_log(self) -> None:
        self.person.turn(Direct(self.client, "bob"))
        refusal = "! /history: you have no account here: register your nick, or say hello with its password"
        self.assertEqual(self.type("/history"), [refusal])
        bob = self.server.chat.welcome("bob")
        bob.send({"type": "register", "password": "correct horse"})
        self.client.register("correct horse")
        self.network.flush()
        self.assertEqual(self.type("/history"), ["no messages with bob are kept; those with a guest never are"])
        self.type("hi")
        self.type("/history")
        self.assertEqual(self.screen.messages, ["direct alice: hi"])

    def test_history_shows_messages(self) -> None:
        for i in range(30):
            self.server.say(str(i))
        self.network.flush()
        self.screen.messages.clear()
        self.type("/history")
        self.assertEqual(self.screen.messages, [f"lobby bob: {i}" for i in range(10, 30)])
        self.screen.messages.clear()
        self.type("/history 1")
        self.assertEqual(self.screen.messages, ["lobby bob: 29"])
        for wrong in ("x", "0", "501", "-1"):
            self.assertEqual(
                self.type(f"/history {wrong}"), [f"! /history takes a number from 1 to 500, not '{wrong}'"]
            )

    def test_help_shows_the_commands(self) -> None:
        self.assertEqual(len(self.type("/help")), len(COMMANDS) + 1)
        self.person.keys = "Tab completes"
        self.assertEqual(self.type("/help")[-1], "keys: Tab completes")
        self.assertEqual(
            self.type("/help /leave"), [f"/leave [ROOM]  {COMMANDS['leave'].help}", "the same: /part, /close"]
        )
        self.assertEqual(self.type("/help part"), self.type("/help leave"))
        self.assertEqual(self.type("/help what")[0][0], "!")

    def test_quit_wants_to_leave(self) -> None:
        self.failureResultOf(Deferred.fromCoroutine(self.person.typed("/quit")), Quit)

    def test_what_cannot_be_said_is_shown_and_counted(self) -> None:
        self.assertIn(f'! not said in lobby, "{37 * "x"}...": this has', self.type("x" * 20_000)[0])
        self.assertEqual(self.person.refused, 1)
        self.assertEqual(self.type("/what")[0][0], "!")
        self.assertEqual(self.person.refused, 2)
        self.client.close(flush=False)
        self.network.flush()
        self.assertEqual(self.type("x"), [], "that the client is closed is told once, and not for each text")
        self.assertEqual(self.person.refused, 3)

    def test_a_command_that_is_refused_is_counted(self) -> None:
        self.server.refuse = lambda request: WireError("no-such-nick", "there is no bob")
        self.type("/msg bob hi")
        self.assertEqual(self.person.refused, 1)

    def test_with_literal_commands_are_said_as_they_are(self) -> None:
        self.person = Person(self.screen, COMMANDS, self.client, literal=True)
        joining = Deferred.fromCoroutine(self.person.join("other"))
        self.network.flush()
        result(joining)
        for line in ("/quit", "//x", "exit"):
            self.assertEqual(self.type(line), [])
        self.assertEqual(self.said, ["other /quit", "other //x", "other exit"])

    def test_what_is_lost_with_the_client_is_counted(self) -> None:
        self.person.screen = self.screen
        typing = Deferred.fromCoroutine(self.person.typed("hi"))
        self.client.close(flush=False)
        self.network.connections[0].cut()
        result(typing)
        self.assertEqual((self.person.refused, self.screen.shown), (1, []))

    def test_after_many_lines_it_waits_for_acks(self) -> None:
        typing = [Deferred.fromCoroutine(self.person.typed(str(i))) for i in range(UNDER_WAY)]
        typing.append(Deferred.fromCoroutine(self.person.typed("one more")))
        self.assertTrue(all(typed.called for typed in typing[:-2]))
        self.assertNoResult(typing[-1])
        self.network.flush()
        result(typing[-1])
        result(typing[-2])
        self.assertEqual(self.said, [*(f"lobby {i}" for i in range(UNDER_WAY)), "lobby one more"])

    def test_joins_leaves_nicks_and_topics_are_told(self) -> None:
        for event, text in (
            (wire.MemberJoined(author="bob", room="lobby"), "(bob joined lobby)"),
            (wire.MemberLeft(author="bob", room="lobby"), "(bob left lobby)"),
            (wire.MemberLeft(author="bob", room="lobby", msg="bye\x1b"), "(bob left lobby: bye)"),
            (wire.NickChanged(author="bob", nick="rob", room="lobby"), "(bob is rob now)"),
            (wire.TopicChanged(author="bob", room="lobby", msg="tea"), "(bob set the topic of lobby: tea)"),
            (wire.TopicChanged(author="bob", room="lobby", msg=""), "(bob took away the topic of lobby)"),
        ):
            self.assertEqual(self.tell(event), [text])
        self.assertEqual(self.screen.renames, [("bob", "rob")])
        self.tell(wire.Message(msg="psst", author="bob", to="alice"))
        self.assertEqual(self.screen.messages, ["direct bob: psst"])

    def test_what_is_typed_to_somebody_follows_a_change_of_nick(self) -> None:
        self.person.turn(Direct(self.client, "bob"))
        self.tell(wire.NickChanged(author="dan", nick="den", room="lobby"))
        self.assertEqual(self.person.here and self.person.here.name, "bob")
        self.tell(wire.NickChanged(author="Bob", nick="rob", room="lobby"))
        self.assertEqual(self.person.here and self.person.here.name, "rob")

    def test_a_room_that_refuses_the_client_again_is_told(self) -> None:
        self.type("/join other")
        self.server.refuse = lambda request: WireError("banned", "not you") if isinstance(request, wire.Join) else None
        self.network.cut()
        self.network.pass_time(5)
        self.assertEqual(
            self.screen.shown,
            [
                "! you are no longer in lobby: not you",
                "! you are no longer in other: not you",
                "! you are in no room; /join ROOM enters one",
            ],
        )
        self.assertIsNone(self.person.here)

    def test_an_interface_that_fails_is_logged(self) -> None:
        async def broken(message: Message, room: Room | None) -> None:
            raise ZeroDivisionError

        self.patch(self.screen, "message", broken)
        self.server.say("hi")
        self.network.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class BarePersonTests(SynchronousTestCase):
    """A person at a server without rooms and commands."""

    def test_lines_are_said_and_commands_are_a_mistake(self) -> None:
        said: list[str] = []

        class Talker:
            def say(self, text: str) -> Deferred[Any]:
                said.append(text)
                return Answer.given(None) if text != "long" else Answer.failed(RequestError("too-long", "too long"))

        screen = FakeScreen()
        person = Person(screen, COMMANDS, talker=Talker())
        for line in ("hi", "//hi", "/join x", "/help quit", "long"):
            result(Deferred.fromCoroutine(person.typed(line)))
        self.assertEqual(said, ["hi", "/hi", "long"])
        self.assertIn("(--bare)", screen.shown[0])
        self.assertTrue(screen.shown[1].startswith("/quit"))
        self.assertEqual(screen.shown[3:], ['! not said, "long": too long'])

    def test_help_shows_what_can_be_done(self) -> None:
        screen = FakeScreen()
        result(Deferred.fromCoroutine(Person(screen, COMMANDS).typed("/help")))
        self.assertEqual([line.split()[0] for line in screen.shown], ["/help", "/quit", "//TEXT"])

    def test_every_command_that_needs_a_client_says_so(self) -> None:
        for command in cast(list[Command], list(COMMANDS.values())):
            screen = FakeScreen()
            if not command.bare:
                result(Deferred.fromCoroutine(Person(screen, COMMANDS).typed(f"/{command.name} a b")))
                self.assertIn("(--bare)", screen.shown[0])


def fails(*arguments: Any, **options: Any) -> None:
    """Stands for a call of a system whose disk is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class AccountCommandTests(PersonTestCase):
    """Accounts: a password is asked for, and never typed behind a command."""

    PATH = "/nowhere/tokens.json"

    def answer(self, *answers: str | None) -> None:
        self.screen.answers = list(answers)
        self.screen.asked = []

    def register(self) -> None:
        self.answer("correct horse", "correct horse")
        self.assertEqual(self.type("/register"), ["alice is your account now: nobody else can take this nick"])

    def remember(self) -> Tokens:
        self.person.tokens = Tokens(folder(self) / "folder" / "tokens.json", OPTIONS)
        return self.person.tokens

    def test_register_asks_for_the_password_twice(self) -> None:
        self.register()
        self.assertEqual(self.screen.asked, ["a password for alice", "the same once more"])
        self.assertTrue(self.client.account)
        self.assertEqual(self.type("/register"), ["! alice is your account already; /password changes its password"])

    def test_where_nobody_sees_the_screen_it_asks_once(self) -> None:
        self.screen.is_terminal = False
        self.answer("correct horse")
        self.type("/register")
        self.assertTrue(self.client.account)

    def test_two_passwords_that_differ_do_nothing_and_no_password_either(self) -> None:
        self.answer("correct horse", "correct house")
        self.assertEqual(self.type("/register"), ["! nothing was done, since the two passwords differ"])
        self.answer(None)
        self.assertEqual(self.type("/register"), ["! nothing was done, since no password was typed"])
        self.assertFalse(self.client.account)
        self.assertEqual(self.person.refused, 2)

    def test_a_password_behind_a_command_is_not_taken(self) -> None:
        for line in ("/register hunter2", "/login alice hunter2", "/password hunter2", "/identify alice hunter2"):
            (shown,) = self.type(line)
            self.assertIn("it asks for the password", shown)
            self.assertNotIn("hunter2", shown)
            self.assertTrue(COMMANDS.has_secret(line))
        self.assertEqual(self.screen.asked, [])
        for line in ("/register", "/who alice", "hunter2", "/login", "/nothing x", ""):
            self.assertFalse(COMMANDS.has_secret(line), line)

    def test_a_registration_may_wait_for_an_operator(self) -> None:
        self.server.chat.chat.accounts = make_login(policy=Policy("approved"))
        self.answer("correct horse", "correct horse")
        self.assertEqual(self.type("/register"), ["alice is your account as soon as an operator lets it in"])

    def test_login_takes_the_nick_of_an_account(self) -> None:
        self.register()
        self.client.close()
        self.network.flush()
        self.client = Client(self.network, "bob", reactor=self.network.clock)
        self.person = Person(self.screen, COMMANDS, self.client)
        self.client.start()
        self.network.flush()
        self.answer("wrong horse")
        typing = Deferred.fromCoroutine(self.person.typed("/login @alice"))
        self.network.pass_time(1)
        result(typing)
        self.assertEqual(self.screen.shown, ["! /login @alice: the nick or the password is wrong"])
        self.answer("correct horse")
        typing = Deferred.fromCoroutine(self.person.typed("/login alice"))
        self.network.pass_time(1)
        result(typing)
        self.assertEqual(self.screen.asked, ["password of alice"])
        self.assertEqual((self.screen.shown[1:], self.client.nick), (["you are alice, and logged in"], "alice"))

    def test_the_password_is_changed(self) -> None:
        self.assertEqual(self.type("/password"), ["! alice is no account: /register makes it one, /login NICK logs in"])
        self.register()
        self.answer("correct horse", "battery staple", "battery staple")
        self.assertEqual(self.type("/password"), ["the password of alice is changed"])
        self.assertEqual(self.screen.asked, ["the old password of alice", "the new password", "the same once more"])
        self.answer("correct horse", "battery staple", "battery staple")
        self.assertEqual(self.type("/password"), ["! /password: the old password is wrong"])
        self.answer("battery staple", "correct horse", "correct horse")
        self.assertEqual(
            self.type("/password -r"), ["the password of alice is changed; its tokens and other connections are ended"]
        )

    def test_tokens_are_made_listed_and_revoked(self) -> None:
        self.register()
        self.assertEqual(self.type("/tokens"), ["your account has no tokens; /token LABEL makes one"])
        (made,) = self.type("/token my phone")
        self.assertRegex(made, r"^a token, which logs in .* shown this once: tc_\S+$")
        (listed,) = self.type("/tokens")
        self.assertRegex(listed, r"^my phone: made \d{4}-\d\d-\d\d \d\d:\d\d, never used$")
        secret = made.rpartition(" ")[2]
        self.client.close()
        self.network.flush()
        self.client = Client(self.network, "alice", password=secret, reactor=self.network.clock)
        self.person = Person(self.screen, COMMANDS, self.client)
        self.client.start()
        self.network.flush()
        self.assertIn("last used 1970-", self.type("/tokens")[0])
        self.assertEqual(self.type("/revoke my phone"), ["the token my phone is revoked: it logs in no more"])
        self.assertIn("no token with the label", self.type("/revoke my phone")[0])

    def test_who_logs_in_may_stay_logged_in_on_this_machine(self) -> None:
        tokens = self.remember()
        self.answer("correct horse", "correct horse", "y")
        shown = self.type("/register")
        self.assertEqual(self.screen.asked[-1], f"stay logged in on this machine? y keeps a token in {tokens.path}")
        self.assertEqual(shown[1], f"you stay logged in here; /revoke {token_label()} ends that")
        assert tokens.path is not None
        self.assertEqual(stat.S_IMODE(tokens.path.stat().st_mode), 0o600)
        secret = tokens.get("ALICE")
        self.assertEqual(Login(OPTIONS, tokens).password, secret)
        self.assertTrue(secret and secret.startswith("tc_"))
        self.type(f"/revoke {token_label()}")
        self.assertIsNone(tokens.get("alice"))

    def test_who_does_not_want_that_or_cannot_be_asked_is_not_remembered(self) -> None:
        tokens = self.remember()
        self.answer("correct horse", "correct horse", "n")
        self.assertEqual(len(self.type("/register")), 1)
        self.screen.is_terminal = False
        self.answer("correct horse", "correct horse")
        self.assertEqual(len(self.type("/password -r")), 1)
        self.assertIsNone(tokens.get("alice"))

    def test_a_file_that_cannot_be_used_is_told(self) -> None:
        tokens = self.remember()
        assert tokens.path is not None
        tokens.path.parent.write_text("a file in place of the folder")
        self.answer("correct horse", "correct horse", "y")
        shown = self.type("/register")
        self.assertEqual(shown[1:], [f"! {tokens.path} cannot be read: Not a directory"])
        tokens.path.parent.unlink()
        self.patch(Path, "mkdir", fails)
        self.answer("correct horse", "correct horse", "correct horse", "y")
        shown = self.type("/password -r")
        self.assertEqual(shown[1:], [f"! {tokens.path} cannot be written: No space left on device"])
        os.mkdir(tokens.path.parent)
        tokens.path.write_text("{}")
        tokens.path.chmod(0o644)
        self.answer("correct horse", "battery staple", "battery staple", "y")
        shown = self.type("/password -r")
        self.assertEqual(shown[1:], [f"! {tokens.path} can be read by others: run chmod 600 on it, or remove it"])

    def test_a_connection_that_can_be_read_is_warned_of(self) -> None:
        self.person.warning = UNSAFE
        self.answer(None)
        self.type("/register")
        self.assertEqual(self.screen.asked, [f"a password for alice{UNSAFE}"])
        for host, transport, warning in (
            ("127.0.0.1", "tcp", ""),
            ("localhost", "udp", ""),
            ("::1", "tcp", ""),
            ("192.0.2.1", "tcp", UNSAFE),
            ("chat.example", "udp", UNSAFE),
            ("chat.example", "tls", ""),
        ):
            self.assertEqual(unsafe(replace(OPTIONS, host=host, transport=transport)), warning, host)


class OrderCommandTests(PersonTestCase):
    """What keeps the peace in a room. The person owns the room that it is in."""

    def setUp(self) -> None:
        super().setUp()
        registering = self.client.register("correct horse")
        self.network.flush()
        result(registering)
        self.type("/join garden")
        self.bob = self.server.chat.welcome("bob", "garden")
        self.network.flush()
        self.screen.shown.clear()

    def bob_hears(self) -> list[dict[str, Any]]:
        self.server.chat.settle()
        return [obj for obj in self.bob.got() if obj["type"] not in ("leave", "presence")]

    def test_somebody_is_put_out_banned_and_let_in_again(self) -> None:
        self.assertEqual(self.type("/kick @bob no ads"), ["bob is put out of garden: no ads"])
        self.assertEqual([obj["msg"] for obj in self.bob_hears()], ["no ads"])
        self.assertEqual(self.type("/ban -t 1h bob no ads"), ["bob is banned from garden for 1 hour: no ads"])
        (ban,) = self.type("/bans")
        self.assertRegex(ban, r"^bob is banned until 20\d\d-.*, by alice on 20\d\d-\d\d-\d\d \d\d:\d\d: no ads$")
        self.assertEqual(self.type("/unban bob"), ["bob may come to garden again"])
        self.assertEqual(self.type("/bans"), ["nobody is banned from garden"])
        self.assertEqual(self.type("/ban 小明"), ["小明 is banned from garden"])

    def test_a_long_list_of_bans_is_cut(self) -> None:
        for number in range(LISTED + 1):
            self.type(f"/ban n{number:03}")
        shown = self.type("/bans")
        self.assertEqual((len(shown), shown[-1]), (LISTED + 1, "and 1 more"))

    def test_somebody_is_muted(self) -> None:
        self.assertEqual(self.type("/mute -t 30m bob"), ["bob is muted in garden for 30 minutes"])
        self.bob_hears()
        self.bob.send({"type": "", "room": "garden", "msg": "hi"})
        self.assertEqual([obj["code"] for obj in self.bob_hears()], ["rate-limited"])
        self.assertEqual(self.type("/unmute bob"), ["bob may speak in garden again"])

    def test_roles_are_granted(self) -> None:
        self.assertEqual(self.type("/op bob"), ["! /op bob: bob is no account, and only accounts have roles"])
        self.bob.send({"type": "register", "password": "correct horse"})
        self.bob_hears()
        self.assertEqual(self.type("/op bob"), ["bob is a moderator of garden"])
        self.assertEqual(self.type("/grant bob OWNER"), ["bob is an owner of garden"])
        self.assertEqual(self.type("/grant bob none"), ["bob has no role in garden"])
        self.assertEqual(self.type("/grant bob king"), ["! a role is one of owner, moderator, member, none, not king"])

    def test_a_room_is_locked_and_somebody_invited(self) -> None:
        locked = "only members and those who are invited may enter garden"
        self.assertEqual(sorted(self.type("/lock")), ["(bob is put out of garden)", locked])
        self.assertEqual(self.type("/invite bob come in"), ["bob is invited to garden"])
        self.assertEqual(self.bob_hears()[-1]["msg"], "come in")
        self.assertEqual(self.type("/unlock"), ["everybody may enter garden"])

    def test_a_room_is_made_slow(self) -> None:
        self.assertEqual(self.type("/slow 1m"), ["you made garden slow: one message of each member in 1 minute"])
        self.assertEqual(self.type("/slow off"), ["you ended the slow mode of garden"])
        self.assertIn("a time is a number with a unit", self.type("/slow soon")[0])

    def test_the_audit_log_is_read(self) -> None:
        self.type("/topic tea")
        self.type("/mute -t 1h bob loud")
        self.type("/kick bob")
        *_, mute, kick = self.type("/audit")
        self.assertRegex(mute, r"^20\d\d-\d\d-\d\d \d\d:\d\d alice: mute bob until 20\d\d-\d\d-\d\d \d\d:\d\d: loud$")
        self.assertRegex(kick, r" alice: kick bob$")
        self.assertEqual(self.type("/audit 1"), [kick])
        self.assertEqual(self.type("/audit x"), ["! /audit takes a number from 1 to 50, not x"])
        self.server.chat.chat.accounts.rules.operators = frozenset({"alice"})
        self.type("/join lobby")
        self.assertEqual(self.type("/audit"), ["nothing was done in lobby"])

    def test_what_is_for_operators_is_denied_to_others(self) -> None:
        for line in ("/ban -s bob", "/unban -s bob", "/bans -s", "/grant -s bob member", "/audit -s"):
            (shown,) = self.type(line)
            self.assertRegex(shown, "^! /.*: only (operators|moderators) may do this")

    def test_an_operator_acts_on_the_whole_server(self) -> None:
        self.server.chat.chat.accounts.rules.operators = frozenset({"alice"})
        self.assertIn("server: grant alice owner in garden", self.type("/audit -s 1")[0])
        self.assertIn("bob is banned from the server for 2 days: spam", self.type("/ban -s -t 2d bob spam"))
        self.assertEqual(self.bob_hears()[-1]["type"], "stop")
        self.assertRegex(self.type("/bans -s")[0], "^bob is banned until ")
        self.assertEqual(self.type("/unban -s bob"), ["bob may come to the server again"])
        self.assertEqual(self.type("/bans -s"), ["nobody is banned from the server"])

    def test_an_operator_lets_an_account_in_and_shuts_it_out(self) -> None:
        self.server.chat.chat.accounts.rules.operators = frozenset({"alice"})
        self.bob.send({"type": "register", "password": "correct horse"})
        self.bob_hears()
        self.assertIn("bob is suspended: spam", self.type("/grant -s bob none spam"))
        self.assertEqual(self.type("/grant -s bob MEMBER"), ["bob is let in"])
        needs = "! /grant -s takes member, which lets an account in, or none, which suspends it"
        for line in ("/grant -s bob", "/grant -s bob owner"):
            self.assertEqual(self.type(line), [needs])

    def test_what_is_for_a_room_is_not_done_to_the_whole_server(self) -> None:
        self.server.chat.chat.accounts.rules.operators = frozenset({"alice"})
        for command in ("kick", "mute", "unmute", "invite", "kick -t 1h", "unban -t 1h"):
            name, *option = command.split()
            option = option or ["-s"]
            how = f"! /{name} has no option {option[0]}; /help {name} shows how it is typed"
            self.assertEqual(self.type(f"/{name} {' '.join(option)} bob"), [how])
        self.assertEqual(self.bob_hears(), [])

    def test_what_is_typed_wrong_is_told(self) -> None:
        for option in ("-x", "-", "-st"):
            how = f"! /ban has no option {option}; /help ban shows how it is typed"
            self.assertEqual(self.type(f"/ban {option} bob"), [how])
        self.assertEqual(self.type("/ban -t 1h"), ["! /ban needs a nick; /help ban shows how it is typed"])
        self.assertIn("a time is a number with a unit, such as 90s, 30m", self.type("/ban -t soon bob")[0])
        self.assertIn("type /kick NICK [TEXT]", self.type("/kick")[0])
        self.assertIn("is not in the room", self.type("/kick nobody")[0])

    def test_a_message_is_found_by_its_author_or_number(self) -> None:
        self.bob.send({"type": "", "room": "garden", "msg": "ads"})
        self.network.flush()
        seq = self.server.room("garden").log[-1].seq
        assert seq is not None
        self.assertEqual(self.type("/report bob"), ["! there is no message of bob here; /history brings older ones"])
        self.screen.newest_seqs["bob"] = seq
        self.assertEqual(self.type("/report bob all day"), [f"the operators are told of message {seq} of garden"])
        self.assertEqual(self.type(f"/report #{seq}"), [f"the operators are told of message {seq} of garden"])
        self.assertEqual(self.type("/report #x"), ["! #x is no number of a message, such as #41"])
        self.assertEqual(self.type("/delete"), ["! there is no message of yours here; /history brings older ones"])

    def test_a_message_is_deleted_on_the_screen_too(self) -> None:
        deleted: list[tuple[int, str]] = []

        def delete(room: Room, of: int, reason: str) -> Answer[int]:
            deleted.append((of, reason))
            return Answer.given(9)

        self.patch(Room, "delete", delete)
        self.screen.newest_seqs = {"alice": 5, "bob": 6}
        self.assertEqual(self.type("/delete"), ["message 5 of garden is deleted"])
        self.assertEqual(self.type("/delete @bob no ads"), ["message 6 of garden is deleted"])
        self.assertEqual(deleted, [(5, ""), (6, "no ads")])
        self.assertEqual(self.screen.gone, [("garden", 5), ("garden", 6)])

    def test_all_messages_of_somebody_are_deleted_here_or_everywhere(self) -> None:
        asked: list[tuple[object, str, str]] = []

        def delete_all(place: object, by: str, reason: str) -> Answer[int]:
            asked.append((type(place), by, reason))
            return Answer.given(len(asked))

        for place in (Room, Client):
            self.patch(place, "delete_all", delete_all)
        self.assertEqual(self.type("/delete -a bob no ads"), ["1 message is deleted: all that bob sent to garden"])
        self.assertEqual(self.type("/delete -s @bob"), ["2 messages are deleted: all that bob sent to the server"])
        self.assertEqual(self.type("/delete -a -s bob"), ["3 messages are deleted: all that bob sent to the server"])
        self.assertEqual(asked, [(Room, "bob", "no ads"), (Client, "bob", ""), (Client, "bob", "")])
        self.assertIn("needs a nick", self.type("/delete -a")[0])


class NoticeTests(PersonTestCase):
    """What others do is a line; what concerns this person says what can be done."""

    def test_what_moderators_do_is_a_line(self) -> None:
        room: dict[str, Any] = {"room": "lobby", "author": "b\x1bob"}
        time = "2026-11-22T11:06:36.123Z"
        for event, line in (
            (wire.Kicked(nick="troll", msg="spam\n\u202e", **room), "bob put troll out of lobby: spam "),
            (
                wire.Kicked(nick="troll", room="lobby", author="server", msg="you are banned"),
                "troll is put out of lobby",
            ),
            (wire.Banned(who="troll", **room), "bob banned troll from lobby"),
            (wire.Banned(who="troll", until="soon", **room), "bob banned troll from lobby until soon"),
            (wire.Unbanned(who="troll", **room), "bob lets troll into lobby again"),
            (wire.Muted(nick="troll", msg="caps", **room), "bob muted troll in lobby: caps"),
            (wire.Unmuted(nick="troll", **room), "bob lets troll speak in lobby again"),
            (wire.Granted(nick="carol", role="owner", **room), "bob made carol an owner of lobby"),
            (wire.Granted(nick="carol", role="none", **room), "bob took away the role of carol in lobby"),
            (wire.Locked(on=True, **room), "bob locked lobby"),
            (wire.Locked(on=False, **room), "bob unlocked lobby"),
            (wire.Slowed(seconds=90, **room), "bob made lobby slow: one message of each member in 90 seconds"),
            (wire.Slowed(seconds=0, **room), "bob ended the slow mode of lobby"),
        ):
            self.assertEqual(self.tell(event), [f"({line})"])
        (until,) = self.tell(wire.Banned(who="troll", until=time, **room))
        self.assertRegex(until, r"until 2026-11-2\d \d\d:\d\d\)$")

    def test_who_is_put_out_is_told_why(self) -> None:
        shown = self.tell(wire.Kicked(author="bob", room="lobby", nick="alice", msg="spam"))
        lines = "! you are no longer in lobby: you were put out of the room by bob: spam"
        self.assertEqual(shown, [lines, "! you are in no room; /join ROOM enters one"])
        self.assertIsNone(self.person.here)
        self.assertEqual(self.screen.over, ["lobby"])

    def test_who_is_put_out_and_in_other_rooms_is_told_how_to_turn_to_one(self) -> None:
        self.type("/join other")
        choose = "! choose a room first; /join lobby turns to one of yours"
        shown = self.tell(wire.Kicked(author="bob", room="other", nick="alice", msg="spam"))
        self.assertEqual(shown, ["! you are no longer in other: you were put out of the room by bob: spam", choose])
        self.assertEqual(self.type("hi"), [choose])
        self.type("/join lobby")
        self.assertEqual((self.type("hi"), self.said), ([], ["lobby hi"]))

    def test_an_invitation_is_accepted_in_a_word(self) -> None:
        self.assertEqual(self.type("/accept"), ["! nobody has invited you so far"])
        self.person.call_key = ", and so does Alt-J"
        shown = self.tell(wire.Invited(author="bob", room="garden", nick="alice", msg="tea"))
        self.assertEqual(shown, ["bob invites you to garden: tea; /accept enters it, and so does Alt-J"])
        self.type("/accept")
        self.assertEqual(self.screen.turns[-1], "garden")

    def test_a_report_shows_what_was_said(self) -> None:
        seq = self.server.say("buy \x1bnow", author="troll")
        report = wire.Reported(author="bob", room="lobby", of=seq, time="t", msg="ads")
        (shown,) = self.tell(report)
        self.assertEqual(shown, f'bob reports message #{seq} of lobby: ads; troll said "buy now"; /accept goes there')
        report.of = 999
        self.assertIn("it is gone", self.tell(report)[0])
        self.server.refuse = lambda _: WireError("denied", "no")
        self.assertIn("it is gone", self.tell(report)[0])

    def test_a_deletion_is_one_on_the_screen(self) -> None:
        seq = self.server.say("hi")
        self.network.flush()
        room = self.client.room("lobby")
        assert room is not None
        for listener in (Deleted("bob", seq, seq + 1, "lobby"), Deleted("bob", 1, 2, "elsewhere")):
            self.client._call_listeners(listener, None)
        for direct in (Deleted("Bob", 3, 4, to="alice"), Deleted("alice", 5, 6, to="carol")):
            self.client._call_listeners(direct, None)
        self.assertEqual(self.screen.gone, [("lobby", seq), ("Bob", 3), ("carol", 5)])


class DurationTests(SynchronousTestCase):
    def test_a_time_is_a_number_with_a_unit(self) -> None:
        for text, seconds in (("90", 90), ("90s", 90), ("30M", 1800), ("1h", 3600), ("7d", 604800), ("2w", 1209600)):
            self.assertEqual(read_duration(text), seconds)
        for text in ("", "h", "-1h", "1.5h", "1y", "٣h", "1h30m", "1 h", "9" * 10):
            self.assertRaises(ValueError, read_duration, text)

    def test_it_is_said_in_the_longest_unit_that_fits(self) -> None:
        for seconds, text in (
            (0, "0 seconds"),
            (1, "1 second"),
            (90, "90 seconds"),
            (3600, "1 hour"),
            (86400 * 3, "3 days"),
            (604800, "1 week"),
            (3601, "3,601 seconds"),
        ):
            self.assertEqual(duration_text(seconds), text)
