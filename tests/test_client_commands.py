"""The commands of a person, in any interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import messages as wire
from twisted_chat.client import Client, Message, RequestError, Room
from twisted_chat.client.answers import Answer
from twisted_chat.client.program.command import Command, Mistake, Quit, help_lines
from twisted_chat.client.program.commands import COMMANDS, ELSEWHERE
from twisted_chat.client.program.person import UNDER_WAY, Direct, Person
from twisted_chat.messages import WireError

from .client_fakes import FakeServer, Network, result


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
        names = "join leave nick who rooms topic msg history help quit"
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

    async def message(self, message: Message, room: Room | None) -> None:
        self.messages.append(f"{room.name if room else 'direct'} {message.author}: {message.msg}")

    async def past(self, messages: Sequence[Message], room: Room, attention: int) -> None:
        for message in messages:
            await self.message(message, room)

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


class PersonTests(SynchronousTestCase):
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
        self.assertEqual(self.screen.shown, ["! you are in no room; /join ROOM enters one"])

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
            self.screen.shown, ["! you are no longer in lobby: not you", "! you are no longer in other: not you"]
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
