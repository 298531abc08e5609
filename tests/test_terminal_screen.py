"""The real client on a real terminal, against the real server."""

from __future__ import annotations

import re
import signal
import socket
import sys
import termios
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from .programs import Program, Server, folder
from .terminals import Terminal

PAGE_UP, PAGE_DOWN = "\x1b[5~", "\x1b[6~"

TYPED = "Привет, 你好 👋 שלום مرحبا e\u0301"
SHOWN = "Привет, 你好 👋 שלום مرحبا \u00e9"
"""The emulator joins a letter and its mark, as terminals do."""


def talk(test: TestCase, server: Server, *arguments: str, nick: str = "alice", **more: Any) -> Terminal:
    """Start the client on a terminal."""
    command = (sys.executable, "-m", "twisted_chat.client", "--port", str(server.port), "--nick", nick)
    more["environment"] = {"XDG_STATE_HOME": str(folder(test)), **more.get("environment", {})}
    return Terminal(test, *command, *arguments, **more)


def remembered(state: dict[str, str]) -> bytes:
    """The files that the client has written into its state folder."""
    return (Path(state["XDG_STATE_HOME"]) / "twisted_chat" / "screen.json").read_bytes()


class ScreenTests(TestCase):
    async def test_two_people_talk(self) -> None:
        server = await Server.start(self)
        alice, bob = (talk(self, server, nick=nick) for nick in ("alice", "bob"))
        for person in (alice, bob):
            await person.says(r"\| 2 members \| online")
        alice.types(f"{TYPED}\r")
        await bob.says(rf"\n\d\d:\d\d alice: {SHOWN}\n")
        await alice.says(rf"\n\d\d:\d\d alice: {SHOWN}\n1:lobby \| alice \| 2 members \| online\n>\n")
        bob.types("hi alice!\r")
        await alice.says(r"\n\d\d:\d\d!bob: hi alice!\n")
        alice.types("exit\r")
        await bob.says(r"\* alice left lobby\n1:lobby \| bob \| 1 member \| online\n>\n")
        self.assertEqual(await alice.ends(), 0)
        self.assertEqual(alice.current_modes(), alice.modes)
        self.assertIn(b"\x1b[?1049l", alice.raw)

    async def test_text_of_others_does_nothing_to_the_terminal(self) -> None:
        server = await Server.start(self)
        eve = await server.hello(self, "eve", "lobby")
        eve.says(type="topic", room="lobby", msg="\x1b]2;owned\x07\u202etopic")
        alice = talk(self, server)
        await alice.says("1:lobby")
        eve.says(type="", room="lobby", msg="a\x1b[2J\x1b]2;owned\x07\x9b5A\u202eb\u200b\x08\r\nc")
        eve.says(type="", to="alice", msg="\x1b[5;5Hpsst")
        await alice.says(
            r"^lobby: \]2;ownedtopic\n(.*\n)*\d\d:\d\d eve: a\[2J\]2;owned5Ab\n      \| c\n1:lobby 2:@eve\(1!\)"
        )
        alice.types("\x1b2")
        await alice.says(r"\d\d:\d\d eve: \[5;5Hpsst\n")
        for bad in (b"\x1b]", b"\x07", "\u202e".encode(), "\u200b".encode(), "\x9b".encode(), b"\x1b[2J", b"\x1b[5;5H"):
            self.assertNotIn(bad, alice.raw.replace(b"\x1b[0m\x1b[?7l\x1b[2J", b""))
        self.assertEqual(alice.screen.title, "")

    async def test_the_line_being_typed_is_not_broken(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "lobby")
        alice = talk(self, server)
        await alice.says("1:lobby")
        for i in range(5):
            alice.types(f"часть {i} 你好 ")
            bob.says(type="", room="lobby", msg=f"message {i}")
            typed = "".join(f"часть {part} 你好 " for part in range(i + 1)).strip()
            # What is longer than the line goes on in the next one, and a wide character is not cut in two.
            await alice.says(rf"bob: message {i}\n1:lobby .*\n> {re.escape(typed[:70])}")
        alice.types("\r")
        heard = await bob.hears_all(2)
        self.assertEqual(heard[-1]["msg"], "".join(f"часть {part} 你好 " for part in range(5)))

    async def test_twenty_columns_and_a_terminal_that_is_resized(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "lobby")
        alice = talk(self, server, columns=20, rows=10)
        await alice.says(r"1:lobby \| online")
        bob.says(type="", room="lobby", msg="a message that is longer than a line, 你好你好你好你好你好")
        await alice.says(r"bob: a message that\n  is longer than a\n  line, 你好你好你好\n  你好你好\n1:lobby")
        alice.types("this is being typed while")
        await alice.says(r"online\n> this is being type\nd while\n$")
        alice.resize(60, 12)
        await alice.says(
            r"\n\d\d:\d\d bob: a message that is longer than a line, 你好你好你\n      好你好你好\n1:lobby"
        )
        await alice.says(r"\n> this is being typed while\n")
        alice.types(" it is resized")
        alice.resize(30, 12)
        await alice.says(r"\n> this is being typed while it\n is resized\n")
        alice.types("\r")
        self.assertEqual((await bob.hears_all(2))[-1]["msg"], "this is being typed while it is resized")

    async def test_rooms_with_what_is_unread_in_them(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "lobby", "garden", "кухня")
        alice = talk(self, server, "--room", "lobby", "--room", "garden")
        await alice.says("1:lobby 2:garden")
        alice.types("/rooms\r")  # which is answered after the question for the rooms to complete
        await alice.says(r"\* кухня \(1 member\)")
        alice.types("/join к\t\r")
        await alice.says("1:lobby 2:garden 3:кухня")
        bob.says(type="", room="garden", msg="one")
        bob.says(type="", room="garden", msg="two")
        bob.says(type="", room="lobby", msg="Alice?")
        await alice.says(r"1:lobby\(1!\) 2:garden\(2\) 3:кухня")
        alice.types("\x1ba")
        await alice.says(r"bob: Alice\?\n1:lobby 2:garden\(2\) 3:кухня")
        alice.types("\x0e")
        await alice.says(r"bob: one\n.*bob: two\n1:lobby 2:garden 3:кухня")
        alice.types("b\t")
        await alice.says(r"\n> bob:")
        alice.types("yes\r")
        await alice.says(r"alice: bob: yes\n1:lobby")

    async def test_several_lines_are_pasted_typed_and_heard_as_one_message(self) -> None:
        server = await Server.start(self)
        alice, bob = (talk(self, server, nick=nick) for nick in ("alice", "bob"))
        for person in (alice, bob):
            await person.says("2 members")
        alice.types("\x1b[200~def f(x):\n    return x\n\x1b[201~")
        await alice.says(r"online\n> def f\(x\):\n      return x\n")
        alice.types("\r")
        for person in (alice, bob):
            await person.says(r"alice: def f\(x\):\n      \|     return x\n1:lobby")
        bob.types("a\x1b\rb\r")
        await alice.says(r"bob: a\n      \| b\n1:lobby")

    async def test_the_question_about_many_lines_can_be_read_in_twenty_columns(self) -> None:
        server = await Server.start(self)
        alice = talk(self, server, "--room", "кухня", columns=20, rows=12)
        await alice.says(r"1:кухня \| online")
        alice.types("\x1b[200~1\n2\n3\n4\n5\n6\n\x1b[201~")
        await alice.says(r"\| online\n6 lines with 11\ncharacters were\npasted\. y: say them\nin кухня as one")
        alice.types("y")
        await alice.says(r"alice: 1\n\| 2\n\| 3\n\| 4\n\| 5\n\| 6\n1:кухня")

    async def test_a_long_link_is_whole_for_the_terminal_in_each_of_its_rows(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "lobby")
        alice = talk(self, server, columns=40)
        await alice.says("2 members")
        link = f"https://chat.example/{'x' * 60}"
        bob.says(type="", room="lobby", msg=f"see {link} now")
        await alice.says(r"see\n      https://chat\.example/x+\n      x+\n      x+ now\n")
        opened = re.findall(rb"\x1b\]8;id=\w+;([^\x1b]+)\x1b", alice.raw)
        self.assertEqual(set(opened), {link.encode()})
        self.assertLess(alice.raw.rindex(b"\x1b]8;id="), alice.raw.rindex(b"\x1b]8;;\x1b"))

    async def test_where_it_connects_to_is_shown_before_there_is_an_answer(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        alice = Terminal(self, sys.executable, "-m", "twisted_chat.client", "--port", str(port), "--nick", "alice")
        await alice.says(rf"connecting to 127\.0\.0\.1:{port} \.\.\. What you type is sent then\n")
        alice.types("early\r")
        await alice.says(rf"~alice: early\nalice \| connecting to 127\.0\.0\.1:{port}, 1 unsent\n")
        alice.types("\x03\x03")
        self.assertEqual(await alice.ends(), 1)
        self.assertIn(b"1 of what you said may be lost:\r\n  early\r\n", alice.raw)

    async def test_rooms_and_what_is_unread_come_back_in_the_next_run(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "lobby", "garden")
        state = {"XDG_STATE_HOME": str(folder(self))}
        alice = talk(self, server, environment=state)
        await alice.says("1:lobby")
        alice.types("/join garden\r")
        await alice.says("2:garden")
        alice.types("/quit\r")
        self.assertEqual(await alice.ends(), 0)
        bob.says(type="", room="lobby", msg="a secret")
        await bob.asks(type="ping")
        alice = talk(self, server, environment=state)
        await alice.says(r"1:lobby\(1\) 2:garden \|")
        alice.types("\x1ba")
        await alice.says(r"-- new --\n\d\d:\d\d bob: a secret\n")
        self.assertIn(b"garden", remembered(state))
        self.assertNotIn(b"secret", remembered(state))

    async def test_a_signal_ends_the_program_and_leaves_the_terminal_as_it_was(self) -> None:
        server = await Server.start(self)
        for number in (signal.SIGTERM, signal.SIGINT):
            alice = talk(self, server)
            await alice.says("1 member ")
            alice.signal(number)
            self.assertEqual(await alice.ends(), 128 + number)
            self.assertEqual(alice.current_modes(), alice.modes)
            self.assertIn(b"\x1b[?1049l", alice.raw)


class HistoryTests(TestCase):
    """Rooms with more in them than a screen."""

    async def start(self, messages: int) -> tuple[Server, Terminal]:
        server = await Server.start(self, "--rate", "0", "--burst", "1000000")
        bob = await server.hello(self, "bob", "lobby")
        for i in range(messages):
            bob.says(type="", room="lobby", msg=f"message {i}")
        await bob.asks(type="ping")
        self.bob = bob
        alice = talk(self, server)
        await alice.says("2 members")
        return server, alice

    async def test_two_thousand_messages_can_be_looked_back_over(self) -> None:
        _, alice = await self.start(2000)
        await alice.says("bob: message 1999\n")
        seen = 2000
        while seen > 20:
            alice.types(PAGE_UP)
            (match,) = await alice.says(rf"\A.*\n(older messages.*|.*bob: message (?!{seen}\n)(\d+))\n")
            if match[2] is None:
                await alice.says(r"\A.*\n(?!older messages)")  # or this would look at the same screen for ever
            seen = int(match[2] or seen)
        for _ in range(3):
            alice.types(PAGE_UP)
        await alice.says(r"this is the beginning of lobby\n.*\n.*bob: message 0\n.*bob: message 1\n")
        alice.types("\x1b[1;5F")
        await alice.says("bob: message 1999\n")

    async def test_a_burst_of_five_thousand_does_not_stop_it(self) -> None:
        _, alice = await self.start(0)
        for i in range(5000):
            self.bob.says(type="", room="lobby", msg=f"message {i}")
        alice.types("typed in the burst\r")
        await alice.says("bob: message 4999\n")
        while (await self.bob.hears()).get("msg") != "typed in the burst":
            pass
        self.assertLess(alice.raw.count(b"\x1b[?25l"), 1000, "it is not drawn for each message")
        alice.types("\x1b[5~")
        await alice.says("scrolled back")


class ConnectionTests(TestCase):
    async def test_a_server_that_is_killed_and_comes_back(self) -> None:
        home = folder(self)
        server = await Server.start(self, home=home)
        port = server.addresses[0].rpartition(":")[2]
        alice, bob = (talk(self, server, nick=nick) for nick in ("alice", "bob"))
        for person in (alice, bob):
            await person.says("2 members")
        for number in (signal.SIGKILL, signal.SIGTERM):
            alice.types(f"before {number}\r")
            await bob.says(f"alice: before {number}\n")
            alice.types("typed ")
            await server.stop(number)
            await alice.says("offline, trying again")
            await bob.says("offline, trying again")
            alice.types(f"while {number}\r")
            await alice.says(rf"~alice: typed while {number}\n1:lobby .* offline, 1 unsent")
            bob.types(f"bob, too {number}\r")
            await bob.says("1 unsent")
            server = await Server.start(self, "--port", port, home=home)
            for person in (alice, bob):
                await person.says(rf" alice: typed while {number}\n(.*\n)*.*\| 2 members \| online")
                await person.says(rf" bob: bob, too {number}\n(.*\n)*.*\| 2 members \| online")
        said = r"(?<=: )((?:before|typed while|bob, too) \d+)\n"
        orders = [re.findall(said, person.output) for person in (alice, bob)]
        self.assertEqual(len(orders[0]), 6)
        self.assertEqual(len(set(orders[0])), 6)
        self.assertEqual(*orders)

    async def test_leaving_at_once_tells_which_messages_may_be_lost(self) -> None:
        server = await Server.start(self)
        alice = talk(self, server)
        await alice.says("1 member ")
        await server.stop(signal.SIGKILL)
        await alice.says("offline")
        alice.types("lost words\r")
        await alice.says("1 unsent")
        alice.types("\x04")
        await alice.says("leaving, 1 unsent, Ctrl-C leaves at once")
        alice.types("\x03\x03")
        self.assertEqual(await alice.ends(), 1)
        self.assertIn(b"1 of what you said may be lost:\r\n  lobby: lost words\r\n", alice.raw)


class ChoiceTests(TestCase):
    """Colours or none, the whole screen or lines."""

    async def test_colours_are_as_they_are_asked_for(self) -> None:
        server = await Server.start(self)
        for arguments, environment, colours in (
            ((), {}, True),
            ((), {"NO_COLOR": "1"}, False),
            (("--no-color",), {}, False),
            (("--color",), {"NO_COLOR": "1"}, True),
        ):
            alice = talk(self, server, *arguments, environment=environment)
            await alice.says("1 member ")
            alice.types("hi\r/quit\r")
            self.assertEqual(await alice.ends(), 0)
            self.assertEqual(
                re.search(rb"\x1b\[[\d;]*[34]8;", alice.raw) is not None, colours, (arguments, environment)
            )

    async def test_a_terminal_that_is_dumb_or_not_wanted_gets_lines(self) -> None:
        server = await Server.start(self)
        for arguments, environment in (((), {"TERM": "dumb"}), (("--plain",), {})):
            alice = talk(self, server, *arguments, environment=environment)
            await alice.says(r"\A\* you are alice in lobby; /help shows what you can do\n")
            self.assertNotIn(b"\x1b", alice.raw)
            alice.types("exit\r")
            self.assertEqual(await alice.ends(), 0)

    async def test_in_lines_what_is_being_typed_can_be_shown_again(self) -> None:
        server = await Server.start(self)
        alice = talk(self, server, "--plain")
        await alice.says("you are alice in lobby")
        bob = await server.hello(self, "bob", "lobby")
        alice.types("typed in")
        await alice.says("typed in")
        bob.says(type="", room="lobby", msg="hi")
        await alice.says("bob: hi\n")
        alice.types("\x12")
        await alice.says(r"bob: hi\n\^R\ntyped in\n")
        alice.types(" two parts\r")
        self.assertEqual((await bob.hears())["msg"], "typed in two parts")

    async def test_the_line_client_does_not_load_the_whole_screen(self) -> None:
        modules = "twisted_chat.client.library, twisted_chat.client.program.lines, twisted_chat.client.__main__"
        code = f"import sys, {modules}; print(sorted({{'prompt_toolkit', 'platformdirs'}} & set(sys.modules)))"
        program = Program(self, sys.executable, "-c", code)
        self.assertEqual((await program.ends(), program.output), (0, "[]\n"))

    async def test_the_configuration_file_is_read(self) -> None:
        server = await Server.start(self)
        home = folder(self)
        (home / "twisted_chat").mkdir()
        (home / "twisted_chat" / "client.toml").write_text(f'port = {server.port}\nnick = "zoe"\nroom = "garden"\n')
        command = (sys.executable, "-m", "twisted_chat.client")
        zoe = Terminal(self, *command, environment={"XDG_CONFIG_HOME": str(home)})
        await zoe.says(r"1:garden \| zoe \| 1 member \| online")
        zoe.types("\x04")
        self.assertEqual(await zoe.ends(), 0)


class AccountTests(TestCase):
    """A password is neither on the screen nor among the bytes that the terminal gets."""

    SECRET = "Zauberwort 魔法"

    async def register(self, server: Server) -> None:
        alice = await server.hello(self, "alice")
        registered = await alice.asks(type="register", password=self.SECRET)
        self.assertEqual(registered["type"], "registered")
        alice.hang_up()

    async def test_a_password_is_asked_for_and_leaves_no_trace(self) -> None:
        server = await Server.start(self)
        await self.register(server)
        alice = talk(self, server, columns=20, rows=10)
        await alice.says("password of alice")
        alice.types(f"wrong {self.SECRET}\r")
        await alice.says("that was not right")
        alice.types(f"{self.SECRET}\r")
        await alice.says("stay logged in")
        alice.types("y")
        await alice.says("you stay logged in")
        alice.types("/login bob hunter2\r")
        await alice.says("it asks for")
        alice.types("\x1b[A\x1b[A\x1b[A\x04\x03\x04")
        self.assertEqual(await alice.ends(), 0)
        for secret in (self.SECRET.encode(), b"Zauber", "魔".encode()):
            self.assertNotIn(secret, alice.raw)
        (kept,) = (alice.home / "twisted_chat").glob("tokens.json")
        self.assertEqual(kept.stat().st_mode & 0o777, 0o600)
        self.assertNotIn(self.SECRET, kept.read_text())

    async def test_on_a_terminal_of_lines_it_is_not_echoed(self) -> None:
        server = await Server.start(self)
        await self.register(server)
        alice = talk(self, server, "--plain", "--no-remember")
        await alice.says("password of alice, which is not shown:")
        self.assertFalse(alice.current_modes()[3] & termios.ECHO)
        alice.types(f"{self.SECRET}\n")
        await alice.says("you are alice in lobby")
        self.assertTrue(alice.current_modes()[3] & termios.ECHO)
        alice.types("exit\n")
        self.assertEqual(await alice.ends(), 0)
        self.assertNotIn(b"Zauber", alice.raw)
        self.assertFalse((alice.home / "twisted_chat" / "tokens.json").exists())

    async def test_an_interrupt_at_the_question_restores_the_terminal(self) -> None:
        server = await Server.start(self)
        await self.register(server)
        alice = talk(self, server, "--plain")
        await alice.says("password of alice, which is not shown:")
        alice.signal(signal.SIGINT)
        self.assertEqual(await alice.ends(), 130)
        self.assertEqual(alice.current_modes(), alice.modes)
