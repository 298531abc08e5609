"""The real client: as a program in a pipe, and as a library over real sockets, against the real server."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from twisted_chat.client import Client, Message, Room, State, StateChanged, connect

from .certificates import certificate
from .programs import TIMEOUT, Program, Server, folder
from .programs import Client as Person
from .test_udp_lossy import start

CLIENT = (sys.executable, "-m", "twisted_chat.client")
TOOL = (sys.executable, "-m", "twisted_chat")


def talk(test: TestCase, server: Server, *arguments: str) -> Program:
    """Start the client in a pipe."""
    return Program(test, *CLIENT, "--port", str(server.port), *arguments)


class ProgramTests(TestCase):
    async def test_in_a_pipe_it_says_what_it_reads_and_leaves(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        bot = talk(self, server, "--nick", "bot")
        bot.types("hi\nexit\n")
        self.assertEqual(await bot.ends(), 0)
        self.assertEqual([(await alice.hears())["type"] for _ in range(3)], ["join", "", "leave"])
        self.assertEqual(bot.output, "")

    async def test_three_people_talk(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "кухня")
        bob, carol = (talk(self, server, "--nick", nick, "--room", "кухня") for nick in ("bob", "carol"))
        await alice.hears_all(2)
        bob.types('"Привет", 👋\n')
        await carol.says('bob: "Привет", 👋\n')
        alice.says(type="", room="кухня", msg="\x1b[2J\u202eevil")
        await bob.says(r"alice: \[2Jevil\n")
        carol.types("/who\n/msg bob psst\n")
        await carol.says(r"\* in кухня: alice, bob, carol\n")
        await bob.says(r"carol \(to you\): psst\n")
        for person in (bob, carol):
            person.hears_no_more()
            self.assertEqual(await person.ends(), 0)

    async def test_it_goes_by_the_encoding_of_the_locale_unless_that_is_ascii(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        text = "Grüße 👋"
        for encoding, said in (("ascii", text), ("latin-1", text.encode().decode("latin-1"))):
            environment = ("/usr/bin/env", f"PYTHONIOENCODING={encoding}")
            bot = Program(self, *environment, *CLIENT, "--port", str(server.port), "--nick", "bot")
            bot.types(f"{text}\nexit\n")  # bytes of UTF-8
            self.assertEqual(await bot.ends(), 0)
            heard = [await alice.hears() for _ in range(3)]
            self.assertEqual([obj.get("msg") for obj in heard if obj["type"] == ""], [said])

    async def test_a_server_that_is_killed_ends_it_with_a_line(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        bob = talk(self, server, "--nick", "bob")
        await alice.hears()
        await server.stop(signal.SIGKILL)
        self.assertEqual(await bob.ends(), 1)
        self.assertRegex(bob.output, r"^the connection to 127\.0\.0\.1:\d+ is lost: [^\n]+\n$")

    async def test_without_a_server_it_says_so_in_a_line(self) -> None:
        server = await Server.start(self)
        await server.stop()
        bob = talk(self, server, "--nick", "bob")
        self.assertEqual(await bob.ends(), 1)
        self.assertRegex(bob.output, r"^there is no server at 127\.0\.0\.1:\d+; [^\n]+\n$")

    async def test_a_nick_that_is_taken_is_said_in_a_line(self) -> None:
        server = await Server.start(self)
        await server.hello(self, "alice")
        bob = talk(self, server, "--nick", "ALICE")
        self.assertEqual(await bob.ends(), 1)
        self.assertRegex(bob.output, r"^[^\n]+--nick\n$")

    async def test_a_script_registers_and_logs_in_with_a_file(self) -> None:
        server, udp_port = await start(self)
        helper = talk(self, server, "--nick", "helper")
        helper.types("/register\ncorrect horse\n/token ci\nexit\n")
        self.assertEqual(await helper.ends(), 0)
        (token,) = re.findall(r"tc_\S+", helper.output)
        self.assertNotIn("horse", helper.output)
        refused = talk(self, server, "--nick", "helper")
        self.assertEqual(await refused.ends(), 3)
        self.assertRegex(refused.output, r"^[^\n]+log in with its password; --password-file FILE [^\n]+\n$")
        path = refused.home / "password"
        for udp, secret in ((), "correct horse"), (("--udp", "--port", str(udp_port)), token):
            path.write_text(f"{secret}\n")
            helper = talk(self, server, "--nick", "helper", "--password-file", str(path), *udp)
            helper.types("/tokens\nexit\n")
            self.assertEqual(await helper.ends(), 0)
            self.assertIn("* ci: made ", helper.output)

    async def test_an_interrupt_ends_it(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        bob = talk(self, server, "--nick", "bob")
        await alice.hears()
        bob.signal(signal.SIGINT)
        self.assertEqual(await bob.ends(), 130)
        self.assertEqual(bob.output, "")

    async def test_twisted_chat_talk_is_the_same_program(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        bob = Program(self, *TOOL, "talk", "--port", str(server.port), "--nick", "bob")
        bob.types("hi\nexit\n")
        self.assertEqual(await bob.ends(), 0)
        self.assertEqual([(await alice.hears())["type"] for _ in range(3)], ["join", "", "leave"])
        wrong = Program(self, *TOOL, "talk", "--port", "x")
        self.assertEqual(await wrong.ends(), 2)
        self.assertEqual(
            wrong.output,
            "twisted-chat talk: --port takes a number from 1 to 65535, not 'x'\nTry 'twisted-chat talk --help'.\n",
        )


def read(descriptor: int) -> bytes:
    """Read what has come, or comes in time."""
    readable, _, _ = select.select([descriptor], [], [], TIMEOUT)
    assert readable, "nothing came"
    return os.read(descriptor, 10_000)


class SilentServer(Factory):
    """A server that takes a connection and says nothing."""

    def __init__(self) -> None:
        self.connected: Deferred[None] = Deferred()

    def buildProtocol(self, addr: Any) -> Protocol:
        self.connected.callback(None)
        return Protocol()


class InterruptTests(TestCase):
    """An interrupt at any time is a clean end."""

    async def interrupted(self, *command: str) -> None:
        """Interrupt a command when it imports one module, and another one, and another one."""
        python, *rest = command
        for module in (
            "argparse",
            "twisted.internet.defer",
            "twisted_chat.messages",
            "twisted.internet.asyncioreactor",
        ):
            program = Program(self, python, "-X", "importtime", *rest)
            await program.says(rf"\| +{re.escape(module)}\n")
            program.signal(signal.SIGINT)
            self.assertIn(await program.ends(), (130, -signal.SIGINT))
            said = [line for line in program.output.splitlines() if not line.startswith("import time:")]
            self.assertEqual(said, [], module)

    async def test_an_interrupt_while_the_client_starts_is_quiet(self) -> None:
        server = await Server.start(self)
        await self.interrupted(*CLIENT, "--port", str(server.port))
        await self.interrupted(*TOOL, "talk", "--port", str(server.port))

    async def test_a_signal_while_it_waits_for_the_welcome_ends_it(self) -> None:
        silent = SilentServer()
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(silent)
        self.addCleanup(port.stopListening)
        bob = Program(self, *CLIENT, "--port", str(port.getHost().port))
        await silent.connected.addTimeout(TIMEOUT, reactor)
        bob.signal(signal.SIGTERM)
        self.assertEqual((await bob.ends(), bob.output), (143, ""))


class StreamTests(TestCase):
    """Standard input, output and error, as others hand them over."""

    async def start_with(self, *streams: str) -> tuple[Person, Program]:
        """Start a server, somebody who listens, and the client with redirections of a shell."""
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        script = f'exec "$@" {" ".join(streams)}'
        bob = Program(self, "/bin/sh", "-c", script, "sh", *CLIENT, "--port", str(server.port), "--nick", "bob")
        self.assertEqual((await alice.hears())["type"], "join")
        return alice, bob

    async def test_what_it_shares_with_others_stays_blocking(self) -> None:
        """`O_NONBLOCK` belongs to all who have the same open file description, and outlives a kill."""
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        pipes = [os.pipe() for _ in range(3)]
        for pipe in pipes:
            for end in pipe:
                self.addCleanup(os.close, end)
        shared = [pipes[0][0], pipes[1][1], pipes[2][1]]
        command = (*CLIENT, "--port", str(server.port), "--nick", "bob")
        bob = Program(self, *command, hand_over=dict(enumerate(shared)))
        await alice.hears()
        os.write(pipes[0][1], b"/what\n")
        alice.says(type="", room="lobby", msg="hello")
        self.assertEqual(await deferToThread(read, pipes[1][0]), b"alice: hello\n")
        self.assertIn(b"/what", await deferToThread(read, pipes[2][0]))
        self.assertEqual([os.get_blocking(descriptor) for descriptor in shared], [True] * 3)
        bob.signal(signal.SIGKILL)
        await bob.ends()
        self.assertEqual([os.get_blocking(descriptor) for descriptor in shared], [True] * 3)

    async def test_the_whole_screen_leaves_its_terminal_blocking_too(self) -> None:
        self.patch(os, "environ", {**os.environ, "TERM": "xterm-256color"})
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        window, terminal = os.openpty()
        for end in (window, terminal):
            self.addCleanup(os.close, end)
        command = (*CLIENT, "--port", str(server.port), "--nick", "bob")
        bob = Program(self, *command, hand_over={0: terminal, 1: terminal})
        await alice.hears()
        alice.says(type="", room="lobby", msg="hello")
        shown = b""
        while b"hello" not in shown:
            shown += await deferToThread(read, window)
        self.assertTrue(os.get_blocking(terminal))
        bob.signal(signal.SIGKILL)
        await bob.ends()
        self.assertTrue(os.get_blocking(terminal))

    async def test_without_standard_input_it_leaves(self) -> None:
        for streams in (("<&-",), ("</dev/null",), ("<&-", ">&-", "2>&-")):
            alice, bob = await self.start_with(*streams)
            self.assertEqual((await alice.hears())["type"], "leave")
            self.assertEqual((await bob.ends(), bob.output), (0, ""), streams)

    async def test_without_standard_output_it_says_what_it_reads(self) -> None:
        for streams in ((">&-",), (">&-", "2>&-")):
            alice, bob = await self.start_with(*streams)
            alice.says(type="", room="lobby", msg="hello")
            bob.types("hi\n/what\nexit\n")
            self.assertEqual((await alice.hears())["msg"], "hi")
            self.assertEqual(await bob.ends(), 1, "a command was refused")

    async def test_a_full_disk_ends_it_with_the_reason(self) -> None:
        alice, bob = await self.start_with(">/dev/full")
        alice.says(type="", room="lobby", msg="hello")
        self.assertEqual((await bob.ends(), bob.output), (1, "standard output: No space left on device\n"))

    async def test_a_reader_that_is_gone_ends_it_though_nobody_says_anything(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        reader, writer = os.pipe()
        command = (*CLIENT, "--port", str(server.port), "--nick", "bob")
        bob = Program(self, *command, hand_over={1: writer})
        os.close(writer)
        await alice.hears()
        os.close(reader)
        self.assertEqual((await bob.ends(), bob.output), (141, ""))

    async def test_a_terminal_that_is_gone_ends_it_though_hang_ups_are_ignored(self) -> None:
        self.patch(os, "environ", {**os.environ, "TERM": "xterm-256color"})
        for arguments in ((), ("--plain",)):
            server = await Server.start(self)
            alice = await server.hello(self, "alice", "lobby")
            window, terminal = os.openpty()
            command = ("/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh", *CLIENT, "--port", str(server.port), *arguments)
            bob = Program(self, *command, "--nick", "bob", hand_over={0: terminal, 1: terminal})
            os.close(terminal)
            await alice.hears()
            os.close(window)
            self.assertEqual((await alice.hears())["type"], "leave")
            self.assertEqual((await bob.ends(), bob.errors), (129, ""))


class WayTests(TestCase):
    """By other ways than TCP."""

    async def talk(self, server: Server, host: str, address: str, *options: str) -> Program:
        """Start the client, let it say one thing and leave; returns it at its end."""
        command = ("--host", host, "--port", address.rpartition(":")[2], "--nick", "bot", *options)
        bot = Program(self, *CLIENT, *command, home=server.home)
        bot.types("hi\n/who\nexit\n")
        await bot.ends()
        return bot

    async def test_over_udp_it_says_what_it_reads(self) -> None:
        server = await Server.start(self, "--udp", "0")
        (listening,) = await server.says(r"listening on udp (\S+)\n")
        alice = await server.hello(self, "alice", "lobby")
        bot = await self.talk(server, "localhost", listening[1], "--udp")
        self.assertEqual((bot.status, bot.output), (0, "* in lobby: alice, bot\n"))
        self.assertEqual([(await alice.hears())["type"] for _ in range(3)], ["join", "", "leave"])

    async def test_over_udp_a_missing_server_is_reported_in_a_line(self) -> None:
        server = await Server.start(self, "--udp", "0")
        (listening,) = await server.says(r"listening on udp (\S+)\n")
        await server.stop()
        bot = await self.talk(server, "127.0.0.1", listening[1], "--udp")
        self.assertEqual(bot.status, 1)
        self.assertRegex(bot.output, r"^there is no server at 127\.0\.0\.1:\d+; [^\n]+ try --no-udp\n$")

    async def test_over_tls_it_talks_to_a_server_that_it_trusts_and_to_no_other(self) -> None:
        home = folder(self)
        certificate(home)
        places = ("--port", f"tls:{home}:0:interface=127.0.0.1", "--listen", "0")
        server = await Server.start(self, *places, home=home, places=2)
        tls, plain = server.addresses
        stranger = await self.talk(server, "localhost", tls, "--tls")
        untrusted = r"its certificate is not one that this machine trusts: [^\n]+; --ca FILE trusts [^\n]+\n$"
        self.assertRegex(stranger.output, f" did not let you in: {untrusted}")
        trusted = str(home / "trusted.crt")
        bot = await self.talk(server, "localhost", tls, "--tls", "--ca", trusted)
        self.assertEqual((bot.status, bot.output), (0, "* in lobby: bot\n"))
        other = await self.talk(server, "127.0.0.1", tls, "--tls", "--ca", trusted)
        self.patch(os, "environ", {**os.environ, "SSL_CERT_FILE": trusted})
        machine = await self.talk(server, "localhost", tls, "--tls")
        self.assertEqual((machine.status, machine.output), (0, bot.output))
        self.assertRegex(other.output, r": its certificate is not for this name, but for localhost; --host [^\n]+\n$")
        wrong = await self.talk(server, "localhost", plain, "--tls")
        nothing = await self.talk(server, "localhost", tls, "--tls", "--ca", "no.pem")
        self.assertIn(": --ca cannot be used: no.pem cannot be read: No such file or directory\n", nothing.output)
        self.assertEqual([end.status for end in (stranger, other, wrong, nothing)], [1, 1, 1, 2])
        self.assertRegex(
            wrong.output, r"did not let you in: it does not speak TLS as we do \([^\n]+\); [^\n]+ try --no-tls\n$"
        )


class OldServer(Factory):
    """A server of the oldest kind: it takes objects of three fields, and anything else ends the connection."""

    def __init__(self) -> None:
        self.connections: list[OldConnection] = []
        self.heard: list[str] = []
        self.two: Deferred[None] = Deferred()
        """Fires when two are connected."""

    def buildProtocol(self, addr: Any) -> OldConnection:
        return OldConnection(self, addr.port)


class OldConnection(Protocol):
    transport: Any

    def __init__(self, server: OldServer, port: int) -> None:
        self.server = server
        self.port = port

    def connectionMade(self) -> None:
        self.server.connections.append(self)
        if len(self.server.connections) == 2:
            self.server.two.callback(None)

    def dataReceived(self, data: bytes) -> None:
        # A real one takes each read for one object. This one may be late on a busy machine, and read several at once;
        # that they come one by one is for the client's own tests, which have a clock.
        text = data.decode()
        while text:
            try:
                message, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                message, end = {"type": "quit"}, len(text)
            text = text[end:].lstrip()
            self.take(message if set(message) == {"type", "msg", "author"} else {"type": "quit"})

    def take(self, message: dict[str, str]) -> None:
        if message["type"] == "quit":
            self.transport.write(json.dumps({"type": "stop", "msg": "", "author": "server"}).encode())
            self.transport.loseConnection()
            return
        self.server.heard.append(message["msg"])
        for other in self.server.connections:
            if other is not self:
                other.transport.write(json.dumps({**message, "author": self.port}).encode())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.server.connections.remove(self)


class BareProgramTests(TestCase):
    async def test_it_speaks_to_an_old_server(self) -> None:
        server = OldServer()
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(server)
        self.addCleanup(port.stopListening)
        command = (*CLIENT, "--bare", "--port", str(port.getHost().port))
        bob, alice = Program(self, *command), Program(self, *command)
        await server.two.addTimeout(TIMEOUT, reactor)
        alice.types("ready\n")
        await bob.says(r"^\d+: ready\n")
        texts = [f'строка "{i}" 😀' for i in range(50)]
        alice.types("".join(f"{text}\n" for text in texts) + "exit\n")
        self.assertEqual(await alice.ends(), 0)
        self.assertEqual(server.heard, ["ready", *texts])
        await bob.says("строка", 50)
        self.assertEqual([line.partition(": ")[2] for line in bob.output.splitlines()], ["ready", *texts])
        bob.hears_no_more()
        self.assertEqual(await bob.ends(), 0)


class LibraryTests(TestCase):
    """Four people talk while the server is killed, and started again, and killed."""

    MESSAGES = 300
    PEOPLE = 4

    async def test_each_message_comes_once_and_in_order_though_the_server_is_killed(self) -> None:
        home = folder(self)
        server = await Server.start(self, home=home)
        place = f"tcp:127.0.0.1:{server.port}"
        people = [await self.person(place, f"bot{i}") for i in range(self.PEOPLE)]
        talking = gatherResults([self.talk(room) for _, room in people])
        hearing = gatherResults([self.hear(room) for _, room in people])
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            await self.somebody_spoke(people[0][0])
            again = self.comes_back(people)
            await server.stop(number)
            server = await Server.start(self, "--port", server.addresses[0].rpartition(":")[2], home=home)
            await again
        numbers = await talking.addTimeout(TIMEOUT, reactor)
        heard = await hearing.addTimeout(TIMEOUT, reactor)
        for i, messages in enumerate(heard):
            seqs = [message.seq for message in messages]
            self.assertEqual(seqs, sorted(seq for other, own in enumerate(numbers) if other != i for seq in own))
            for other in range(self.PEOPLE):
                texts = [message.msg for message in messages if message.author == f"bot{other}"]
                self.assertEqual(texts, [] if other == i else [str(n) for n in range(self.MESSAGES)])
        await gatherResults([client.close() for client, _ in people])

    async def person(self, place: str, nick: str) -> tuple[Client, Room]:
        random = Random(nick)
        client = await connect(place, nick, retry=lambda attempt: 0.05 + random.random() / 10)
        self.addCleanup(client.close, flush=False)
        return client, await client.join("lobby", since=0)

    def talk(self, room: Room) -> Deferred[list[int]]:
        """Say a third of it at once, and each other one when the one before it is acked."""

        async def say() -> list[int]:
            first = [room.say(str(i)) for i in range(self.MESSAGES // 3)]
            numbers = [await answer for answer in first]
            for i in range(self.MESSAGES // 3, self.MESSAGES):
                numbers.append(await room.say(str(i)))
            return numbers

        return Deferred.fromCoroutine(say())

    def hear(self, room: Room) -> Deferred[list[Message]]:
        async def hear() -> list[Message]:
            count = (self.PEOPLE - 1) * self.MESSAGES
            return [await room.receive() for _ in range(count)]

        return Deferred.fromCoroutine(hear())

    async def somebody_spoke(self, client: Client) -> None:
        """Wait until somebody has heard something, so that the next fault comes in the middle of it."""
        page = await client.rooms()
        self.assertEqual([room.room for room in page], ["lobby"])

    def comes_back(self, people: list[tuple[Client, Room]]) -> Deferred[list[None]]:
        """Wait until everybody was away, and is there again."""
        answers: list[Deferred[None]] = []
        for client, _ in people:
            back: Deferred[None] = Deferred()
            answers.append(back.addTimeout(TIMEOUT, reactor))
            seen: list[State] = []

            def changed(change: StateChanged, seen: list[State] = seen, back: Deferred[None] = back) -> None:
                seen.append(change.state)
                if seen[-2:] == [State.WAITING, State.CONNECTED] and not back.called:
                    back.callback(None)

            client.on(StateChanged, changed)
        return gatherResults(answers)
