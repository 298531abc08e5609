"""The documents show what the server does."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from typing import Any, get_args

import msgspec
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twisted_chat import client as library
from twisted_chat import limits, service, tap
from twisted_chat.client.program.commands import COMMANDS
from twisted_chat.client.program.config import BadConfig, read_config
from twisted_chat.client.program.options import read_options
from twisted_chat.client.protocol import pace
from twisted_chat.client.terminal import paste
from twisted_chat.limits import Limits
from twisted_chat.messages import MAX_OBJECT, BareMessage, Code, decode_bare, decode_reply, decode_request, encode
from twisted_chat.stores.postgresql.urls import is_url
from twisted_chat.wire.udp import datagram, requests, sending

from .certificates import certificate
from .faults.__main__ import FAULTS, LONG
from .faults.cluster import failover, one
from .faults.sabotage import BUGS
from .programs import ROOT, TIMEOUT, WEBSOCKETS, Client, Program, Server, folder, node

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ")
VERSION = re.compile(r"twisted_chat \d+\.\d+\S*")
PORT = re.compile(r"\b\d{4,5}\b")

FOLDERS = (".", "docs", "examples")
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for place in FOLDERS for path in (ROOT / place).glob("*.md"))


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(text: str, kind: str) -> list[str]:
    """Find the fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def table(text: str, heading: str) -> list[list[str]]:
    """Find the first table with this heading in its first column; returns its rows."""
    rows = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert rows, heading
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].splitlines()]


def blurred(value: Any) -> Any:
    """Take out of an object what is different each time."""
    if isinstance(value, dict):
        return {key: blurred(item) for key, item in value.items()}
    if isinstance(value, list):
        return [blurred(item) for item in value]
    if isinstance(value, str):
        return PORT.sub("PORT", VERSION.sub("VERSION", TIME.sub("TIME", value)))
    return value


class ProtocolTests(TestCase):
    """docs/protocol.md is true."""

    text = read("docs/protocol.md")

    def check_is(self, line: str, read_as: msgspec.Struct) -> None:
        """See that nothing in a line was ignored when it was read."""
        self.assertEqual(json.loads(encode(read_as)), json.loads(line))

    def test_requests_are_requests_and_answers_are_answers(self) -> None:
        examples = blocks(self.text, "json")
        self.assertEqual(len(examples), 35)
        for example in examples:
            request, *answers = example.splitlines()
            self.check_is(request, decode_request(request.encode()))
            self.assertNotEqual(answers, [])
            for answer in answers:
                self.check_is(answer, decode_reply(answer.encode()))

    def test_what_others_get_is_what_the_server_can_send(self) -> None:
        lines = "".join(blocks(self.text, "json reply")).splitlines()
        self.assertEqual(len(lines), 11)
        for line in lines:
            self.check_is(line, decode_reply(line.encode()))

    def test_what_a_bare_client_gets_has_three_fields(self) -> None:
        lines = "".join(blocks(self.text, "json bare")).splitlines()
        self.assertEqual(len(lines), 3)
        for line in lines:
            self.check_is(line, decode_bare(line.encode()))
            self.assertEqual(len(json.loads(line)), len(BareMessage.__struct_fields__))

    def test_every_error_is_explained(self) -> None:
        self.assertEqual([row[0].strip("`") for row in table(self.text, "code")], list(get_args(Code)))

    def test_the_limits_are_those_of_the_server(self) -> None:
        limits = {key.strip("`"): int(value) for key, value, _ in table(self.text, "key")}
        self.assertEqual(limits, Limits().for_clients())

    async def test_the_session_can_be_replayed(self) -> None:
        server = await Server.start(self)
        clients: dict[str, Client] = {}
        for number, line in enumerate("".join(blocks(self.text, "session")).splitlines(), 1):
            who, way, what = line.split(" ", 2)
            if who not in clients:
                clients[who] = await server.client(self)
            client = clients[who]
            if way == ">":
                client.writes(what.encode() + b"\n")
                continue
            heard = await client.hears()
            self.assertEqual(blurred(heard), blurred(json.loads(what)), f"line {number}: {line}")
            if heard["type"] == "stop":
                self.assertEqual(await clients.pop(who).hears_the_end(), [])
        for client in clients.values():
            client.says(type="quit")
            (stop,) = await client.hears_the_end()
            self.assertEqual(stop["type"], "stop", "there was more to hear than the session shows")


class UDPTests(TestCase):
    """docs/udp.md is true."""

    text = read("docs/udp.md")

    async def test_the_sessions_can_be_replayed(self) -> None:
        server = await Server.start(self, "--udp", "0")
        (port,) = await server.says(r"listening on udp 127.0.0.1:(\d+)\n")
        sockets: dict[str, socket.socket] = {}
        cookies: dict[str, str] = {}
        for number, line in enumerate("".join(blocks(self.text, "session")).splitlines(), 1):
            who, way, what = line.split(" ", 2)
            shown = json.loads(what)
            if who not in sockets:
                sockets[who] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self.addCleanup(sockets[who].close)
                sockets[who].settimeout(TIMEOUT)
                sockets[who].connect(("127.0.0.1", int(port[1])))
            if way == ">":
                if "cookie" in shown:
                    shown["cookie"] = cookies[who]
                sockets[who].send(json.dumps(shown).encode())
                continue
            heard = json.loads(await deferToThread(sockets[who].recv, 2000))
            if heard["type"] == "cookie":
                cookies[who] = heard["cookie"]
                self.assertEqual(len(heard.pop("cookie")), len(shown.pop("cookie")))
            self.assertEqual(blurred(heard), blurred(shown), f"line {number}: {line}")

    def test_the_other_examples_are_what_is_said(self) -> None:
        (example,) = blocks(self.text, "json")
        request, answer = example.splitlines()
        self.assertEqual(json.loads(encode(decode_request(request.encode()))), json.loads(request))
        self.assertEqual(json.loads(encode(decode_reply(answer.encode()))) | {"n": 7}, json.loads(answer))


class ReadmeTests(TestCase):
    """The commands of the README work."""

    text = read("README.md")

    async def check_is_heard(self, server: Server, *command: str, text: str = "hi") -> Program:
        """Run something that says hi, or another text; returns it when it has ended."""
        alice = await server.hello(self, "alice", "lobby")
        program = Program(self, *command)
        self.assertEqual((await alice.hears())["type"], "join")
        self.assertEqual((await alice.hears())["msg"], text)
        self.assertEqual((await alice.hears())["type"], "leave")
        self.assertEqual(await program.ends(), 0, program.output)
        alice.hang_up()
        return program

    async def test_ten_lines_of_python(self) -> None:
        server = await Server.start(self)
        (code,) = blocks(self.text, "python")
        self.assertEqual(len(code.split("\n")) - code.count("\n\n") - 1, 10)
        code = code.replace("14900", str(server.port))
        program = await self.check_is_heard(server, sys.executable, "-c", code)
        expected = ["welcome None None", "joined None None", "ack None None", "stop server "]
        self.assertEqual(program.output.splitlines(), expected)

        again = code.replace('"hi"', '"hi again"')
        program = await self.check_is_heard(server, sys.executable, "-c", again, text="hi again")
        self.assertIn(" python hi", program.output.splitlines())

    async def test_pipes(self) -> None:
        server = await Server.start(self)
        commands = [block for block in blocks(self.text, "sh") if block.startswith("printf")]
        self.assertEqual(len(commands), 2)
        for command in commands:
            if "nc -N" in command and not has_nc():
                continue
            command = command.replace(".venv/bin/twisted-chat", f"{sys.executable} -m twisted_chat")
            command = command.replace("14900", str(server.port))
            command = command.replace("--nick", f"--port {server.port} --nick")
            await self.check_is_heard(server, "/bin/sh", "-c", command)

    def test_it_names_every_document(self) -> None:
        documents = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
        self.assertEqual(sorted(set(re.findall(r"\((docs/[^)#]+\.md)\)", self.text))), documents)

    def test_the_conversation_has_the_limits_of_today(self) -> None:
        (limits,) = re.findall(r'"limits":(\{[^}]*\})', self.text)
        self.assertEqual(json.loads(limits), Limits().for_clients())


class TutorialTests(TestCase):
    """The bot of docs/tutorial.md does what the text says."""

    async def test_the_bot_rolls_dice(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        (code,) = blocks(read("docs/tutorial.md"), "python")
        Program(self, sys.executable, "-c", code.replace("14900", str(server.port)))
        self.assertEqual((await alice.hears())["type"], "join")
        alice.says(type="", room="lobby", msg="roll")
        self.assertRegex((await alice.hears())["msg"], "^alice rolls a [1-6]$")


class LibraryTests(TestCase):
    """The examples of docs/library.md print what it shows."""

    text = read("docs/library.md")

    async def test_the_examples(self) -> None:
        examples = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)
        self.assertEqual(len(examples), len(blocks(self.text, "python")))
        for code, shown in examples:
            server = await Server.start(self)
            alice = await server.hello(self, "alice", "lobby")
            program = Program(self, sys.executable, "-c", code.replace("14900", str(server.port)))
            if "register" in code:  # nobody talks in this one
                self.assertEqual((await program.ends(), program.output), (0, shown))
                continue
            while (await alice.hears())["type"] != "join":
                pass
            if "hello" in code:
                self.assertEqual((await alice.hears())["msg"], "hello")
            alice.says(type="", room="lobby", msg="ping")
            if "pong" in code:
                self.assertEqual((await alice.hears())["msg"], "pong, alice")
            alice.says(type="", room="lobby", msg="bye")
            self.assertEqual(await program.ends(), 0, program.output)
            self.assertEqual(program.output, shown)

    async def test_the_examples_in_javascript(self) -> None:
        bot, page = blocks(self.text, "js")
        (shown,) = re.findall(r"^```js\n.*?^```\n\n```text\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)
        server = await Server.start(self, "--web", "0", places=2)
        alice = await server.hello(self, "alice", "lobby")
        port = server.ports[1]
        script = folder(self) / "bot.mjs"
        script.write_text(bot.replace("./twisted_chat", f"{ROOT}/twisted_chat").replace("14980", str(port)))
        program = Program(self, node(WEBSOCKETS), str(script))
        while (await alice.hears())["type"] != "join":
            pass
        self.assertEqual((await alice.hears())["msg"], "hello")
        alice.says(type="", room="lobby", msg="ping")
        self.assertEqual((await alice.hears())["msg"], "pong, alice")
        await program.says("3\n")
        alice.says(type="", room="lobby", msg="bye")
        self.assertEqual((await program.ends(), program.output), (0, shown))

        # That of a page, with what a browser has, and its client closed at the end.
        storage = "{ length: 0, key() {}, getItem: () => null, setItem() {}, removeItem() {} }"
        names = f'globalThis.location = new URL("http://127.0.0.1:{port}/"); const noStorage = {storage};'
        code = page.replace('"/client.js"', f'"{ROOT}/twisted_chat/web/page/client.js"')
        for name in ("localStorage", "sessionStorage"):
            code = code.replace(name, "noStorage")
        code = code.replace('"alice"', '"carol"') + 'await client.room("lobby").say("hello"); await client.close();'
        script.write_text(names + code)
        program = Program(self, node(WEBSOCKETS), str(script))
        self.assertEqual(await program.ends(), 0, program.output)
        self.assertRegex(program.output, r"^the message [0-9a-f-]+ is number 5\n$")

    def test_everything_public_is_named(self) -> None:
        for name in library.__all__:
            self.assertIn(f"`{name}", self.text)
        for kind, prefix in ((library.Client, "client"), (library.Room, "room")):
            for name in vars(kind):
                if not name.startswith("_") and name not in ("on", "room"):
                    self.assertRegex(self.text, rf"`({prefix}\.)?{name}[`(]", name)


class TerminalTests(TestCase):
    """docs/terminal.md has what the client has."""

    text = read("docs/terminal.md")

    def test_the_commands(self) -> None:
        shown = [(row[0].strip("`"), row[1]) for row in table(self.text, "command")]
        self.assertEqual(shown, [(command.usage, command.help) for command in COMMANDS.values()])

    def test_the_settings(self) -> None:
        (example,) = blocks(self.text, "toml")
        path = folder(self) / "client.toml"
        path.write_text(example)
        settings = read_config(path, must_be_there=True).values
        self.assertEqual([row[0].strip("`") for row in table(self.text, "setting")], list(settings))
        path.write_text("x = 1")
        error = self.assertRaises(BadConfig, read_config, path, must_be_there=True)
        self.assertIn(f"there are {', '.join(settings)}", str(error))

    def test_the_options(self) -> None:
        command = (sys.executable, "-m", "twisted_chat.client", "--help")
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("examples:")[0]
        shown = {flag for row in table(self.text, "option") for flag in re.findall(r"--[a-z-]+", row[0])}
        self.assertEqual(shown, set(re.findall(r"--[a-z-]+", usage)))

    def test_the_pictures(self) -> None:
        documents = ("docs/terminal.md", "docs", 1), ("README.md", ".", 1), ("docs/moderation.md", "docs", 4)
        for name, place, count in documents:
            pictures = re.findall(r"!\[[^]]+\]\(([^)]+\.svg)\)", read(name))
            self.assertEqual(len(pictures), count)
            for picture in pictures:
                self.assertIn("<svg", read(f"{place}/{picture}"))

    def test_the_commands_of_moderators(self) -> None:
        """Each command in the table of docs/moderation.md is one of the client."""
        (text,) = re.findall(r"^## In the client\n(.*?)^## ", read("docs/moderation.md"), re.DOTALL | re.MULTILINE)
        named = re.findall(r"`/(\w+)", text)
        self.assertGreater(len(named), 15)
        for name in named:
            self.assertIsNotNone(COMMANDS.named(name), name)


def has_nc() -> bool:
    """Tell whether there is an `nc` that knows `-N`."""
    nc = shutil.which("nc")
    return nc is not None and "-N" in subprocess.run([nc, "-h"], capture_output=True, text=True).stderr


class OptionsTests(TestCase):
    """The options in the documents are those of `twistd chat --help`."""

    def test_the_reference_has_all_of_them_with_their_defaults(self) -> None:
        options = table(read("docs/reference.md"), "option")
        shown = {flag for row in options for flag in re.findall(r"(?<![\w-])--?[a-z-]+", row[0])}
        usage = tap.Options().getUsage(width=1000)
        self.assertEqual(shown, set(re.findall(r"(?<=[ ,])--?[a-z-]+(?==|,|  )", usage.partition("Options:")[2])))
        for option, default, _ in options:
            if default.startswith("`"):
                said = re.search(rf"{re.findall(r'--[a-z-]+', option)[-1]}=.*\[default: (.*)\]", usage)
                self.assertEqual(said and said[1], default.strip("`"), option)


class CommandsTests(TestCase):
    """The commands in the documents are ones that the programs take."""

    def arguments(self, program: str) -> list[list[str]]:
        """Find what the blocks for a shell or for systemd give to a program."""
        found = []
        for name in DOCUMENTS:
            for block in blocks(read(name), "(?:sh|ini)"):
                pattern = rf"(?:^|[ /]){re.escape(program)}((?: [^|>&;#\n]*)?)$"
                lines = re.sub(r" (?:[|>&;#]|&&) ", "\n ", block.replace("\\\n", ""))
                found += [shlex.split(words) for words in re.findall(pattern, lines, re.MULTILINE)]
        return found

    def test_the_server_takes_its_options(self) -> None:
        home = folder(self)
        certificate(home)
        commands = [words for words in self.arguments("twistd") if "chat" in words]
        self.assertGreater(len(commands), 10)
        for words in commands:
            # The folders of a server are this test's here, and systemd hands over nothing.
            here = [re.sub(r"/etc/chat/certificates|/(run|var/lib)/chat\b", str(home), word) for word in words]
            here = [
                re.sub(r"^\S*(fullchain|privkey|chat|key)\.pem$", str(home / "localhost.pem"), word) for word in here
            ]
            options = [re.sub(r"^systemd:.*", "0", word) for word in here[words.index("chat") + 1 :]]
            tap.Options().parseOptions(options)

    def test_the_client_takes_its_options(self) -> None:
        home = folder(self)
        certificate(home)
        commands = self.arguments("twisted-chat talk")
        self.assertGreater(len(commands), 10)
        for words in commands:
            if "--help" not in words:
                here = [re.sub(r"^chat\.pem$", str(home / "trusted.crt"), word) for word in words]
                read_options(here, "twisted-chat talk")

    async def test_the_commands_for_the_file_work(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        alice.says(type="", room="lobby", msg="hi", id="1")
        await alice.hears()
        bob = await server.hello(self, "bob")
        bob.says(type="register", password="correct horse")
        await bob.hears()
        with closing(sqlite3.connect(server.home / "chat.sqlite")) as database:
            database.execute("VACUUM INTO ?", [str(server.home / "chat-2026-11-22.sqlite")])
        commands = [words for words in self.arguments("twisted-chat") if words[0] not in ("talk", "top")]
        # test_postgresql_transfer runs those for PostgreSQL
        commands = [words for words in commands if not any(word == "$DATABASE" or is_url(word) for word in words)]
        self.assertEqual(
            {words[0] for words in commands}, {"stats", "export", "import", "backup", "check", "certificate", "account"}
        )
        for words in dict.fromkeys(map(tuple, commands)):
            program = Program(self, sys.executable, "-m", "twisted_chat", *words, home=server.home)
            if words[:2] in (("account", "add"), ("account", "reset-password")):
                program.transport.write(b"a password\n")
            self.assertEqual(await program.ends(), 0, program.output)


class LogTests(TestCase):
    """docs/operations.md explains every line that the server can write to its log."""

    LEVELS = ("debug", "info", "warn", "error", "critical", "failure")
    ELSEWHERE = {
        ("service.py", "text"): {"listening on {address}", "the status is served on {address}"},
        ("service.py", "IN_CLEAR"): {service.IN_CLEAR},
        ("stores/sqlite/file.py", "what"): {
            "The journal could not be moved",
            "The write-ahead log could not be copied",
            "Deleted texts could not be overwritten in the write-ahead log",
            "What another program wrote could not be read",
            "The rules that are over could not be deleted",
        },
    }
    """The lines where the call that writes them has only a name."""

    def written(self) -> Iterator[tuple[str, str]]:
        """Find the lines in the code, each with its importance."""
        package = ROOT / "twisted_chat"
        for path in package.rglob("*.py"):
            module = path.relative_to(package).as_posix()
            if module.startswith(("client/", "commands/")):  # they write to a terminal
                continue
            for call in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(call, ast.Call):
                    yield from self.lines_of(module, call)

    def lines_of(self, module: str, call: ast.Call) -> Iterator[tuple[str, str]]:
        # `_log.info("…")`, or a call that hands `_log.info` on with its first argument.
        parts = [call.func, *call.args]
        for part, text in zip(parts, [*parts[1:], None], strict=True):
            if isinstance(part, ast.Attribute) and part.attr in self.LEVELS and ast.unparse(part.value).endswith("log"):
                level = "critical" if part.attr == "failure" else part.attr
                assert text is not None, ast.unparse(call)
                lines = (
                    {str(text.value)} if isinstance(text, ast.Constant) else self.ELSEWHERE[module, ast.unparse(text)]
                )
                for line in lines:
                    yield re.sub(r"\{(\w+):[^}]*\}", r"{\1}", line), level

    def test_every_line_is_explained_with_its_importance(self) -> None:
        shown = re.findall(rf"^\| `(.+?)` \| ({'|'.join(self.LEVELS)}) \|", read("docs/operations.md"), re.MULTILINE)
        written = set(self.written())
        self.assertEqual((written - set(shown), set(shown) - written), (set(), set()), "(missing, of no use)")
        self.assertEqual(len(shown), len(set(shown)))

    def test_the_lines_that_have_a_name_exist(self) -> None:
        source = "".join(path.read_text("utf-8") for path in (ROOT / "twisted_chat").rglob("*.py"))
        for lines in self.ELSEWHERE.values():
            for line in lines - {service.IN_CLEAR}:
                self.assertIn(f'"{line}"', source)

    def test_lines_that_get_their_text_from_a_caller_are_all_known(self) -> None:
        """Each call of a function that logs what it is given names a line that is explained."""
        source = "".join(path.read_text("utf-8") for path in (ROOT / "twisted_chat" / "stores").rglob("*.py"))
        given = set(re.findall(r'\breport(?:\(failure|, errbackArgs=\(|), "([^"]+)"', source))
        given |= set(re.findall(r'errbackArgs=\("([^"]+)"', source))
        self.assertEqual(given, self.ELSEWHERE["stores/sqlite/file.py", "what"])


class DesignTests(TestCase):
    """docs/design.md shows the code as it is, and CONTRIBUTING.md names files that exist."""

    def test_every_module_is_in_the_table_in_the_order_of_the_layers(self) -> None:
        package = ROOT / "twisted_chat"
        shown = [row[0].strip("`/").removesuffix(".py") for row in table(read("docs/design.md"), "module")]
        modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
        packages = {path.parent.name for path in package.glob("*/__init__.py")}
        self.assertEqual(set(shown), modules | packages)
        contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
        layers = [re.findall(r"\w+", layer) for layer in contracts[0]["layers"]]
        depth = {module: number for number, layer in enumerate(layers) for module in layer}
        self.assertEqual(shown, sorted(shown, key=depth.__getitem__))

    def test_the_files_to_change_exist(self) -> None:
        named = re.findall(r"`((?:twisted_chat|tests|docs)/[\w./-]*)`", read("CONTRIBUTING.md"))
        self.assertGreater(len(named), 10)
        for path in named:
            self.assertTrue((ROOT / path).exists(), path)


class ReliabilityTests(TestCase):
    """docs/reliability.md has all faults, and all deliberate bugs."""

    text = read("docs/reliability.md")

    def test_every_fault_is_explained(self) -> None:
        shown = [name for row in table(self.text, "fault") for name in re.findall(r"`([a-z-]+)`", row[0])]
        self.assertEqual(shown, list(FAULTS))
        for name in LONG:
            self.assertIn(f"`{name}`", self.text)

    def test_every_fault_of_a_cluster_is_explained(self) -> None:
        shown = [row[0].strip("`") for row in table(self.text, "fault of a cluster")]
        self.assertEqual(sorted(shown), sorted({*one.FAULTS, *failover.FAULTS}))

    def test_every_deliberate_bug_has_its_round(self) -> None:
        shown = [row[0].replace("`", "") for row in table(self.text, "deliberate bug")]
        self.assertEqual(shown, list(BUGS))


class NumbersTests(TestCase):
    """The numbers in the text are those of the code."""

    def check_says(self, name: str, *phrases: str) -> None:
        text = " ".join(read(name).split())
        for phrase in phrases:
            self.assertIn(phrase, text)

    def test_of_the_protocol(self) -> None:
        self.check_says(
            "docs/protocol.md",
            f"An object has at most {MAX_OBJECT:,} bytes",
            f"more than {limits.MAX_ERRORS} errors in a row",
            f"one more for every {limits.TOLD} members",
            f"at least {limits.REST_SECONDS:g}",
        )

    def test_of_udp(self) -> None:
        self.check_says(
            "docs/udp.md",
            f"at most {datagram.MAX_DATAGRAM:,} bytes",
            f"for **{requests.WINDOW} numbers**",
            f"at most {sending.RATE:,.0f} datagrams per second to a session, and at most {sending.BURST} at once",
            f"The window is {sending.FIRST_WINDOW} datagrams at first",
            f"it grows up to {sending.WINDOW} datagrams",
        )

    def test_of_the_server(self) -> None:
        told, of_address = limits.MAX_REFUSED, limits.MAX_REFUSED_OF_ADDRESS
        self.check_says("docs/reference.md", f"At most {told} refused connections, and {of_address} of one address,")
        own = f"two requests per second, and {limits.OWN_BURST} at once, of its own"
        self.check_says("docs/reference.md", f"each connection has {own}")
        self.assertEqual((limits.OWN_RATE, limits.REFUSALS, limits.CALM_SECONDS, limits.PART), (2, 3, 10, 1 / 4))
        self.check_says("docs/protocol.md", f"a long request takes one more for each {limits.TOKEN_BYTES // 1024} KiB")
        self.assertEqual(pace.TOKEN_BYTES, limits.TOKEN_BYTES)
        self.assertEqual((limits.FAN_OUT, limits.BESIDE_TEXT), (128 * 1024, 100))
        self.check_says("docs/protocol.md", f"`who` takes one more for each {limits.MEMBERS} members")
        self.check_says("docs/protocol.md", f"`history` for each {limits.MESSAGES} messages")
        self.check_says("docs/protocol.md", f"a long answer for each {limits.ANSWER_BYTES // 1024} KiB")

    def test_of_the_terminal(self) -> None:
        self.check_says(
            "docs/terminal.md", f"more than {paste.MANY_LINES} lines, or more than {paste.LONG:,} characters"
        )


class LinkTests(TestCase):
    """The links in the documents lead somewhere."""

    def test_files_and_headings_exist(self) -> None:
        count = 0
        for name in DOCUMENTS:
            text = re.sub(r"^```.*?^```$", "", read(name), flags=re.DOTALL | re.MULTILINE)
            for target in re.findall(r"\]\(([^)]+)\)", text):
                if "://" in target:
                    continue
                file, _, heading = target.partition("#")
                path = (ROOT / name).parent / file if file else ROOT / name
                self.assertTrue(path.exists(), f"{name}: {target}")
                if heading:
                    self.assertIn(heading, headings(path.read_text("utf-8")), f"{name}: {target}")
                count += 1
        self.assertGreater(count, 40)


def headings(text: str) -> set[str]:
    """Find the anchors that a document's headings have."""
    words = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in words}
