"""The examples run as their first lines say, against the real server."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SkipTest, TestCase

from twisted_chat.client import Message, Page

from .programs import ROOT, TIMEOUT, WEBSOCKETS, Client, Program, Server, folder, node

EXAMPLES = ROOT / "examples"

SERVER = ".venv/bin/twistd -n chat"


def commands(name: str) -> list[str]:
    """Find the commands in an example's first lines: those for servers, and at last its own."""
    text = (EXAMPLES / name).read_text("utf-8")
    return re.findall(rf"^(?:#|//)? {{4,5}}(\.venv/bin/twistd .*|\S+ examples/{name} .*)$", text, re.MULTILINE)


def run(
    test: TestCase,
    name: str,
    *ports: int,
    home: Path | None = None,
    instead: tuple[str, str] = ("", ""),
    path: Path | None = None,
    group: bool = False,
) -> Program:
    """Run an example as its first lines say, but at the ports of these servers.

    `instead` is a part of the command, and what to write in its place. Where `path` is given, the example finds the
    programs there before those of the machine. With `group` it has a process group of its own, as it has in a terminal.
    """
    *servers, command = commands(name)
    test.assertEqual(servers[0], SERVER)
    test.assertEqual(len(servers), len(ports))
    for shown, used in (*zip(("14900", "14901"), map(str, ports), strict=False), instead):
        command = command.replace(shown, used) if shown else command
    program, example, *arguments = shlex.split(command)
    words = (*interpreter(program), str(ROOT / example), *arguments)
    if path is not None:
        words = ("/usr/bin/env", f"PATH={path}:{os.environ['PATH']}", *words)
    if group:
        words = (sys.executable, "-c", "import os, sys; os.setpgid(0, 0); os.execvp(sys.argv[1], sys.argv[1:])", *words)
    return Program(test, *words, home=home)


def interpreter(name: str) -> tuple[str, ...]:
    if name == ".venv/bin/python":
        return (sys.executable,)
    return (node() if name == "node" else "/bin/sh",)


def load(name: str) -> ModuleType:
    """Import an example, to ask one of its functions something."""
    spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), EXAMPLES / name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def hears(person: Client, type: str) -> Any:
    """Wait for the next object of a type; what comes before it is let go."""
    while (heard := await person.hears())["type"] != type:
        pass
    return heard


async def said(person: Client) -> str:
    """Wait for the next message; returns it as `author: text`."""
    message = await hears(person, "")
    return f"{message['author']}: {message['msg']}"


async def comes(person: Client, nick: str) -> None:
    """Wait until somebody has joined."""
    while (await hears(person, "join"))["author"] != nick:
        pass


async def goes(person: Client, nick: str) -> None:
    """Wait until somebody has left."""
    while (await hears(person, "leave"))["author"] != nick:
        pass


def says(person: Client, *texts: str, room: str = "lobby") -> None:
    for text in texts:
        person.says(type="", room=room, msg=text)


async def log(person: Client, room: str = "lobby") -> list[str]:
    """Read a room's log, up to 500 messages."""
    person.says(type="history", room=room, limit=500)
    page = await hears(person, "history")
    return [f"{message['author']}: {message['msg']}" for message in page["messages"]]


async def newest(person: Client) -> int:
    """Ask for the number of the newest message in the lobby."""
    person.says(type="history", room="lobby", limit=1)
    (message,) = (await hears(person, "history"))["messages"]
    return int(message["seq"])


class ReadmeTests(TestCase):
    def test_every_example_is_named_with_its_command(self) -> None:
        text = (EXAMPLES / "README.md").read_text("utf-8")
        self.assertIn(f"```sh\n{SERVER}\n```", text)
        named = re.findall(r"^\| \[(\S+)\]\(\1\) \|.*\| `(.*)` \|$", text, re.MULTILINE)
        files = [path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".js", ".mjs", ".sh")]
        self.assertEqual(sorted(name for name, _ in named), sorted(files))
        for name, command in named:
            *servers, own = commands(name)
            self.assertEqual(own, command)
            for server in servers:
                self.assertIn(server, text)


class NoServerTests(TestCase):
    async def test_without_a_server_each_example_says_so_in_a_line(self) -> None:
        server = await Server.start(self)
        await server.stop()
        for name in sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".js")):
            with self.subTest(name):
                example = run(self, name, *[server.port] * (len(commands(name)) - 1), home=folder(self))
                self.assertEqual(await example.ends(), 1)
                self.assertRegex(example.output, rf"^{name.partition('.')[0]}: [^\n]+\n$")


class EchoBotTests(TestCase):
    async def test_it_says_what_it_is_told_to_and_nothing_else(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        run(self, "echo_bot.py", server.port)
        await comes(alice, "echo")
        says(alice, "hi", "!echo hello, \t👋", "!echo" + 3000 * " y", "!echo end")
        self.assertEqual(await said(alice), "echo: hello, \t👋")
        self.assertEqual(await said(alice), "echo: " + 1000 * "y ")
        self.assertEqual(await said(alice), "echo: end")

    async def test_the_longest_message_of_all_does_not_end_it(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        run(self, "echo_bot.py", server.port)
        await comes(alice, "echo")
        text = "!echo " + 2500 * "\x01"
        says(alice, text)
        self.assertEqual(await said(alice), "echo: " + 2000 * "\x01")


class HistoryBotTests(TestCase):
    async def test_it_greets_who_comes(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        run(self, "history_bot.py", server.port)
        await comes(alice, "historian")
        bob = await server.hello(self, "bob", "lobby")
        greeting = await hears(bob, "")
        self.assertEqual((greeting["author"], greeting["to"]), ("historian", "bob"))
        self.assertRegex(greeting["msg"], "^Hello, bob")

    async def test_it_answers_from_the_history(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        bob = await server.hello(self, "bob", "lobby")
        says(bob, "Tea is ready", "bye")
        await hears(alice, "")
        await hears(alice, "")
        says(alice, *(f"line {i}" for i in range(600)))  # more than a page
        run(self, "history_bot.py", server.port)
        await comes(alice, "historian")
        says(alice, "!seen BOB", "!search tea", "!last 2", "!last two", "what now?", "!search coffee")
        stamp = r"20\d\d-\d\d-\d\d \d\d:\d\d"
        for answer in (
            f"{stamp} bob: bye",
            f"{stamp} bob: Tea is ready",
            f"{stamp} alice: !seen BOB",
            f"{stamp} alice: !search tea",
            r"I found nothing\.",
        ):
            self.assertRegex(await said(alice), f"^historian: alice: {answer}$")

    async def test_it_answers_once_though_it_is_killed(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        home = folder(self)
        bot = run(self, "history_bot.py", server.port, home=home)
        await comes(alice, "historian")
        for _ in range(2):
            says(alice, "!search nothing")
            self.assertEqual(await said(alice), "historian: alice: I found nothing.")
            # Noted before it was answered: whenever the bot is killed, it does not answer again.
            self.assertEqual((home / "history_bot.place").read_text(), str(await newest(alice) - 1))
            bot.signal(signal.SIGKILL)
            await goes(alice, "historian")
            says(alice, "!seen nobody")
            bot = run(self, "history_bot.py", server.port, home=home)
            self.assertEqual(await said(alice), "historian: alice: I found nothing.")
        says(alice, "!seen alice")
        self.assertRegex(await said(alice), "alice: !seen nobody$")

    async def test_a_question_costs_no_more_than_some_pages(self) -> None:
        bot = load("history_bot.py")
        asked: list[int] = []

        class Endless:
            """A room whose log has no beginning."""

            async def history(self, *, before: int, limit: int) -> Page:
                asked.append(before)
                return Page([Message(msg="", author="bob", seq=before - 1)], more=True)

        question = Message(msg="!seen nobody", author="alice", seq=1000)
        self.assertEqual(await bot.answers(Endless(), question), ["I found nothing."])
        self.assertEqual(asked, list(range(1000, 1000 - bot.PAGES, -1)))


class BridgeTests(TestCase):
    """Alice is on one server and bob on the other."""

    async def start(self) -> None:
        """Start two servers, with something said before, and the bridge."""
        self.home = folder(self)
        self.places = self.home / "bridge.json"
        other = commands("bridge.py")[1].replace(" 14901 ", " 0 ").partition(" chat ")[2]
        self.arguments = [("--port", "0"), tuple(other.split())]
        self.servers = [await Server.start(self, *each, home=self.home) for each in self.arguments]
        self.alice = await self.servers[0].hello(self, "alice", "lobby")
        self.bob = await self.servers[1].hello(self, "bob", "lobby")
        says(self.alice, "before")
        await self.bridge_starts()

    async def bridge_starts(self) -> None:
        self.bridge = run(self, "bridge.py", *(server.port for server in self.servers), home=self.home)
        await comes(self.alice, "bridge")
        await comes(self.bob, "bridge")

    async def bridge_is_killed(self) -> None:
        self.bridge.signal(signal.SIGKILL)
        await goes(self.alice, "bridge")
        await goes(self.bob, "bridge")

    async def server_is_killed(self, which: int, nick: str) -> Client:
        """Kill a server and start it again; returns the one who was on it, connected again."""
        again = ("--port", str(self.servers[which].port), *self.arguments[which][2:])
        await self.servers[which].stop(signal.SIGKILL)
        self.servers[which] = await Server.start(self, *again, home=self.home)
        return await self.servers[which].hello(self, nick, "lobby")

    async def test_it_carries_both_ways_and_back_nothing(self) -> None:
        await self.start()
        says(self.alice, "hi", "")
        self.assertEqual(await said(self.bob), "bridge: <alice> hi")
        self.assertEqual(await said(self.bob), "bridge: <alice> ")
        says(self.bob, "привет")
        self.assertEqual(await said(self.alice), "bridge: <bob> привет")
        self.assertEqual(await log(self.alice), ["alice: before", "alice: hi", "alice: ", "bridge: <bob> привет"])
        self.assertEqual(await log(self.bob), ["bridge: <alice> hi", "bridge: <alice> ", "bob: привет"])

    async def test_what_is_said_while_it_is_away_crosses_once(self) -> None:
        await self.start()
        for i in range(3):
            says(self.alice, f"a{i} with the bridge")
            self.assertEqual(await said(self.bob), f"bridge: <alice> a{i} with the bridge")
            await self.bridge_is_killed()
            says(self.alice, f"a{i} without")
            says(self.bob, f"b{i} without")
            await self.bridge_starts()
            self.assertEqual(await said(self.bob), f"bridge: <alice> a{i} without")
            self.assertEqual(await said(self.alice), f"bridge: <bob> b{i} without")
        each = [f"a{i} {what}" for i in range(3) for what in ("with the bridge", "without")]
        own = [line for line in await log(self.alice) if line.startswith("alice")]
        self.assertEqual(own, ["alice: before", *(f"alice: {text}" for text in each)])
        carried = [line for line in await log(self.bob) if line.startswith("bridge")]
        self.assertEqual(carried, [f"bridge: <alice> {text}" for text in each])

    async def test_what_was_said_and_not_noted_is_not_said_again(self) -> None:
        await self.start()
        says(self.alice, "noted")
        await said(self.bob)
        long = 5000 * "x"
        says(self.bob, "noted, too")
        await said(self.alice)
        await self.bridge_is_killed()
        noted = self.places.read_text()
        await self.bridge_starts()
        says(self.alice, long)
        parts = [f"bridge: <alice> {2000 * 'x'}", f"bridge: <alice> {2000 * 'x'}", f"bridge: <alice> {1000 * 'x'}"]
        self.assertEqual([await said(self.bob) for _ in parts], parts)
        await self.bridge_is_killed()
        self.places.write_text(noted)  # as if it had been killed a moment before
        thief = await self.servers[1].hello(self, "bridge", "lobby")  # who says what is not the bridge's
        says(thief, "I am the bridge")
        self.assertEqual(await said(self.bob), "bridge: I am the bridge")
        thief.hang_up()
        await goes(self.bob, "bridge")
        await self.bridge_starts()
        says(self.alice, "next")
        self.assertEqual(await said(self.bob), "bridge: <alice> next")
        carried = ["bridge: <alice> noted", "bob: noted, too", *parts, "bridge: I am the bridge"]
        self.assertEqual(await log(self.bob), [*carried, "bridge: <alice> next"])

    async def test_servers_are_killed_and_nothing_is_lost_or_doubled(self) -> None:
        await self.start()
        says(self.alice, *(f"a{i}" for i in range(100)))
        says(self.bob, *(f"b{i}" for i in range(100)))
        await said(self.bob)
        bob = await self.server_is_killed(1, "bob")
        says(self.alice, *(f"a{i}" for i in range(100, 200)))
        await log(self.alice)  # so that all that she said has been taken
        alice = await self.server_is_killed(0, "alice")
        says(alice, "end")
        says(bob, "end")
        while await said(bob) != "bridge: <alice> end":
            pass
        while await said(alice) != "bridge: <bob> end":
            pass
        for one, nick, other in ((alice, "alice", bob), (bob, "bob", alice)):
            own = [line for line in await log(one) if line.startswith(f"{nick}:") and not line.endswith("before")]
            carried = [line for line in await log(other) if line.startswith("bridge:")]
            self.assertEqual(carried, [re.sub(r"^(\w+): ", r"bridge: <\1> ", line) for line in own])
            self.assertIn(f"{nick}: end", own)
        self.assertEqual(len([line for line in await log(alice) if line.startswith("alice: a")]), 200)


class FeedTests(TestCase):
    async def test_it_follows_a_file(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "logs")
        home = folder(self)
        file = home / "README.md"
        file.write_text("old\n")
        feed = run(self, "feed.py", server.port, home=home, group=True)
        self.assertEqual(await said(alice), "feed: old")
        with file.open("a") as end:
            end.write("new\nunfinished")
        self.assertEqual(await said(alice), "feed: new")
        os.killpg(feed.pid, signal.SIGINT)  # what a terminal does when Ctrl-C is typed: the command gets it, too
        self.assertEqual(await feed.ends(), 130)
        self.assertEqual(feed.output, "")

    async def test_it_ends_as_the_command_does(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "logs")
        home = folder(self)
        printed = ("one", "", 1000 * "x", 1001 * "y", 5000 * "z", 1000 * "👋")
        (home / "output").write_bytes("".join(f"{line}\n" for line in printed).encode() + b"\xff\nend")
        command = ("tail -n 5 -f README.md", "sh -c 'cat output; exit 3'")
        feed = run(self, "feed.py", server.port, home=home, instead=command)
        cut = (1000 * "x", 1000 * "y" + "…", 1000 * "z" + "…", 1000 * "👋")
        expected = ("one", *cut, "\N{REPLACEMENT CHARACTER}", "end")
        self.assertEqual([await said(alice) for _ in expected], [f"feed: {text}" for text in expected])
        await goes(alice, "feed")
        self.assertEqual(await feed.ends(), 3)

    async def test_without_a_command_it_says_what_is_missing(self) -> None:
        feed = Program(self, sys.executable, str(EXAMPLES / "feed.py"))
        self.assertEqual(await feed.ends(), 2)
        self.assertRegex(feed.output, r"a command is needed, such as: tail -f FILE\n$")

    async def test_what_goes_wrong_is_said_in_a_line(self) -> None:
        server = await Server.start(self)
        feed = run(self, "feed.py", server.port, instead=("tail", "no-such-command"))
        self.assertEqual(await feed.ends(), 1)
        self.assertRegex(feed.output, r"^feed: [^\n]+no-such-command[^\n]+\n$")
        await server.stop()
        feed = run(self, "feed.py", server.port)
        self.assertEqual(await feed.ends(), 1)
        self.assertRegex(feed.output, r"^feed: [^\n]+\n$")


class QuizTests(TestCase):
    async def test_the_first_right_answer_to_the_question_gets_the_point(self) -> None:
        server = await Server.start(self)
        alice, bob = [await server.hello(self, nick, "quiz") for nick in ("alice", "bob")]
        quiz = run(self, "quiz.py", server.port)
        self.assertEqual(await said(bob), "quiz: What is 7 times 8?")
        # In one go, so that the second answer is there before the second question.
        guesses = ("55", "56", "Jupiter")
        alice.writes("".join(json.dumps({"room": "quiz", "msg": guess}) for guess in guesses).encode())
        answers = [f"alice: {guess}" for guess in guesses]
        for line in (*answers, "quiz: Yes, alice: 56.", "quiz: Which planet is the largest?"):
            self.assertEqual(await said(bob), line)
        says(bob, " jupiter ", room="quiz")
        self.assertEqual(await said(bob), "quiz: Yes, bob: Jupiter.")
        self.assertEqual(await said(bob), "quiz: alice: 1, bob: 1")
        self.assertEqual(await quiz.ends(), 0)

    async def test_a_question_that_nobody_answers_is_over_in_time(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "quiz")
        quiz = run(self, "quiz.py", server.port, instead=(" 60", " 0"))
        self.assertEqual(await quiz.ends(), 0)
        lines = (line.removeprefix("quiz: ") for line in await log(alice, "quiz"))
        questions = ("What is 7 times 8?", "Nobody knew: 56.", "Which planet is the largest?", "Nobody knew: Jupiter.")
        self.assertEqual(tuple(lines), (*questions, "No points."))


class Scripted(Protocol):
    """A server that waits until it has heard something, and then says something, and so on; then it hangs up."""

    transport: Any

    def __init__(self, *script: tuple[bytes, bytes]) -> None:
        self._script = list(script)
        self._heard = b""

    @classmethod
    async def start(cls, test: TestCase, *script: tuple[bytes, bytes]) -> int:
        """Start it, for one connection; returns its port."""
        factory = Factory.forProtocol(lambda: cls(*script))
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        test.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        while self._script and self._script[0][0] in self._heard:
            awaited, answer = self._script.pop(0)
            self._heard = self._heard.partition(awaited)[2]
            self.transport.write(answer)
            if not self._script:
                self.transport.loseConnection()


class NodeTests(TestCase):
    async def test_it_says_what_is_typed_and_shows_what_is_said(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        nora = run(self, "talk.js", server.port)
        await comes(alice, "nora")
        nora.types('"Привет", 👋\n')
        self.assertEqual(await said(alice), 'nora: "Привет", 👋')
        says(alice, "one\u2028line", "\x1b[2J\u202e\x9bevil", "end")
        await nora.says("end\n")
        self.assertEqual(nora.output, "alice: one\u2028line\nalice: [2Jevil\nalice: end\n")
        nora.hears_no_more()
        await goes(alice, "nora")
        self.assertEqual(await nora.ends(), 0)

    async def test_it_shows_why_it_is_not_let_in(self) -> None:
        server = await Server.start(self)
        await server.hello(self, "nora")
        nora = run(self, "talk.js", server.port)
        await nora.says("server: somebody else has this nick")

    async def test_it_answers_a_ping_and_puts_pieces_together(self) -> None:
        message = '{"type": "", "author": "alice", "msg": "👋"}\n'.encode()
        middle = message.index("👋".encode()) + 2
        ping, pong = b'{"type": "ping"}\n', b'{"type":"pong"}\n'
        script = ((b'"join"', ping + message[:middle]), (pong, message[middle:] + ping), (pong, b""))
        nora = run(self, "talk.js", await Scripted.start(self, *script))
        self.assertEqual(await nora.ends(), 0)
        self.assertEqual(nora.output, "alice: 👋\n")


class WelcomeBotTests(TestCase):
    async def test_it_welcomes_whom_it_does_not_know(self) -> None:
        server = await Server.start(self, "--web", "0", places=2)
        alice = await server.hello(self, "alice", "lobby")
        text = (EXAMPLES / "welcome_bot.mjs").read_text("utf-8")
        self.assertIn(f"//     {SERVER} --web 14980\n", text)
        words = ("examples/welcome_bot.mjs", f"ws://127.0.0.1:{server.ports[1]}/chat", "lobby")
        self.assertIn(f"//     node {' '.join(words).replace(str(server.ports[1]), '14980')}\n", text)
        bot = Program(self, node(WEBSOCKETS), str(ROOT / words[0]), *words[1:])
        await bot.says("in lobby\n")
        bob = await server.hello(self, "bob", "lobby")
        self.assertEqual(await said(alice), "welcome-bot: Welcome, bob!")
        bob.says(type="leave", room="lobby")
        await goes(alice, "bob")
        bob.says(type="join", room="lobby")  # somebody who comes back is not welcomed again
        await comes(alice, "bob")
        carol = await server.hello(self, "carol", "lobby")
        self.assertEqual(await said(alice), "welcome-bot: Welcome, carol!")
        carol.hang_up()
        bot.signal(signal.SIGINT)
        self.assertEqual(await bot.ends(), 0)
        self.assertEqual(bot.output, "in lobby\nclosed the client is closed\n")

    async def test_it_says_why_it_is_not_let_in(self) -> None:
        server = await Server.start(self, "--web", "0", places=2)
        await server.hello(self, "welcome-bot")
        bot = Program(
            self, node(WEBSOCKETS), str(EXAMPLES / "welcome_bot.mjs"), f"ws://127.0.0.1:{server.ports[1]}/chat"
        )
        self.assertEqual(await bot.ends(), 1)
        self.assertIn("welcome_bot: somebody else has this nick", bot.output)


STAND_IN = """#!{python}
import shutil, socket, sys

with socket.create_connection(sys.argv[1:], timeout={timeout}) as opened, opened.makefile("rwb") as chat:
    shutil.copyfileobj(sys.stdin.buffer, chat)
    chat.flush()
    shutil.copyfileobj(chat, sys.stdout.buffer)
"""
"""An `nc`, as far as it is needed: many machines have none, and its test shall be run there too."""


class ShellTests(TestCase):
    async def check_says(self, path: Path | None) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        for text, shown in (
            ("the backup is done", "the backup is done"),
            ("'the \"backup\" of\nC:\\new\tis' done 👋", 'the "backup" of C:\\new is done 👋'),
            ('\'{"type":"ack"}\'', '{"type":"ack"}'),
        ):
            say = run(self, "say.sh", server.port, instead=("the backup is done", text), path=path)
            self.assertRegex(await said(alice), rf"^sh-\d+: {re.escape(shown)}$")
            self.assertEqual(await say.ends(), 0, say.output)
            self.assertEqual(say.output, "")
        say = run(self, "say.sh", server.port, instead=("the backup is done", 17000 * "x"), path=path)
        self.assertEqual(await say.ends(), 1)
        self.assertRegex(say.errors, r'^not stored: (.*\n)+.*"too-long"')
        self.assertEqual(len(await log(alice)), 3)
        await server.stop()
        say = run(self, "say.sh", server.port, path=path)
        self.assertEqual(await say.ends(), 1)
        self.assertRegex(say.errors, r"not stored: nobody answers at port \d+\n$")
        others = b'{"type":"","msg":"{\\"type\\":\\"ack\\",","author":"mallory"}\n'
        say = run(self, "say.sh", await Scripted.start(self, (b'"quit"', others)), path=path)
        self.assertEqual(await say.ends(), 1)
        self.assertIn("mallory", say.errors)

    async def test_it_says_its_arguments(self) -> None:
        if shutil.which("nc") is None:
            raise SkipTest("there is no nc here; the next test has its own")
        await self.check_says(None)

    async def test_it_says_its_arguments_with_a_stand_in_for_nc(self) -> None:
        path = folder(self)
        nc = path / "nc"
        nc.write_text(STAND_IN.format(python=sys.executable, timeout=TIMEOUT))
        nc.chmod(0o755)
        await self.check_says(path)
