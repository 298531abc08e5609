"""The client that needs no Twisted: places in a log, datagrams, the protocol, and threads with real servers."""

from __future__ import annotations

import errno
import inspect
import json
import os
import queue
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat import client as package
from twisted_chat.client import blocking
from twisted_chat.client.blocking import (
    ClosedError,
    DirectMessage,
    Message,
    RequestError,
    RoomLost,
    State,
    StateChanged,
    UnreachableError,
    client,
    links,
)
from twisted_chat.client.blocking.calls import Call
from twisted_chat.client.blocking.client import EXIT_TIME
from twisted_chat.client.blocking.inbox import HIGH
from twisted_chat.client.blocking.links import DatagramLink, LostError, StreamLink, reason_text
from twisted_chat.client.protocol import actions, engine
from twisted_chat.client.protocol.lines import MAX_LINE
from twisted_chat.client.protocol.objects import encode

from .certificates import certificate
from .programs import TIMEOUT, Server, folder, run_script
from .test_udp_lossy import start


class StreamLinkTests(SynchronousTestCase):
    """Objects over TCP."""

    def setUp(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.link = StreamLink("127.0.0.1", self.listener.getsockname()[1], None)
        self.addCleanup(self.link.close)
        self.server, _ = self.listener.accept()
        self.addCleanup(self.server.close)

    def receive(self) -> list[dict[str, Any]]:
        """Wait until something has arrived, and read it: the kernel may take its time, even within one machine."""
        readable, _, _ = select.select([self.link.socket], [], [], TIMEOUT)
        self.assertTrue(readable)
        return self.link.receive()

    def test_what_the_socket_does_not_take_waits(self) -> None:
        text = "x" * 20_000_000
        self.link.send({"msg": text})
        self.link.flush()
        self.assertTrue(self.link.unsent)
        received = bytearray()
        while not received.endswith(b"\n"):
            received += self.server.recv(2**20)
            self.link.flush()
        self.assertEqual((json.loads(received), self.link.unsent), ({"msg": text}, False))

    def test_objects_may_come_in_pieces(self) -> None:
        self.assertEqual(self.link.receive(), [])
        self.server.sendall(b'{"type":"a"}\n{"ty')
        self.assertEqual(self.receive(), [{"type": "a"}])
        self.server.sendall(b'pe":"b"}\n\nx\n')
        self.assertEqual(self.receive(), [{"type": "b"}])

    def test_a_line_may_come_in_many_pieces(self) -> None:
        obj = {"msg": "x" * (MAX_LINE - 10)}
        sending = threading.Thread(target=self.server.sendall, args=(encode(obj) + b'\n{"type":"a"}\n',))
        sending.start()
        self.addCleanup(sending.join)
        received: list[dict[str, Any]] = []
        while len(received) < 2:
            received += self.link.receive()
        self.assertEqual(received, [obj, {"type": "a"}])

    def test_a_line_without_an_end_is_the_end(self) -> None:
        def send() -> None:
            self.server.sendall(b"x" * (MAX_LINE + 1))
            self.server.close()

        sending = threading.Thread(target=send)
        sending.start()
        self.addCleanup(sending.join)
        with self.assertRaisesRegex(LostError, "a line of more than 1,048,576 bytes"):
            while True:
                self.assertEqual(self.link.receive(), [])

    def test_its_end_is_one(self) -> None:
        self.server.close()
        self.assertRaises(LostError, self.receive)


class DatagramLinkTests(SynchronousTestCase):
    """Objects over UDP: only the socket, the rest is `Lossless`."""

    def setUp(self) -> None:
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 0))
        self.server.settimeout(TIMEOUT)
        self.addCleanup(self.server.close)
        answering = threading.Thread(target=self.answer)
        answering.start()
        self.link = self.open(self.server.getsockname())
        self.addCleanup(self.link.close)
        answering.join()

    def answer(self) -> None:
        """Ignore the first hello, and answer the second one."""
        self.server.recv(2000)
        _, address = self.server.recvfrom(2000)
        self.server.sendto(b'{"type":"cookie","cookie":"c"}', address)

    def open(self, *addresses: tuple[str, int]) -> DatagramLink:
        infos = [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", address) for address in addresses]
        patch = self.patch(socket, "getaddrinfo", lambda *_, **__: infos)
        try:
            return DatagramLink("chat.example", 1)
        finally:
            patch.restore()

    def test_a_host_may_have_several_addresses(self) -> None:
        answering = threading.Thread(target=self.answer)
        answering.start()
        link = self.open(("255.255.255.255", 1), self.server.getsockname())
        answering.join()
        self.assertEqual(link.socket.getpeername(), self.server.getsockname())
        link.close()

    def test_where_nobody_answers_it_says_so(self) -> None:
        self.patch(links, "OPEN_TIME", 0.3)
        error = self.assertRaises(LostError, self.open, self.server.getsockname())
        self.assertIn("the server did not answer within 0.3 seconds; if its port is not one for UDP", str(error))

    def test_many_at_once_are_read_in_several_turns(self) -> None:
        waiting = [b'{"type":"x","n":%d}' % number for number in range(1, 151)]

        class Full:
            def recv(self, _: int) -> bytes:
                if not waiting:
                    raise BlockingIOError
                return waiting.pop(0)

        self.replace_socket(Full())
        self.assertEqual((len(self.link.receive()), len(self.link.receive())), (100, 50))

    def test_a_full_socket_loses_datagrams(self) -> None:
        self.fails(BlockingIOError())
        self.assertIn(b"pong", self.server.recv(2000))

    def test_a_network_that_is_away_for_a_moment_loses_datagrams(self) -> None:
        self.fails(OSError(errno.ENETUNREACH, "Network is unreachable"))
        self.assertIn(b"pong", self.server.recv(2000))

    def test_a_server_that_is_gone_ends_it(self) -> None:
        self.assertRaises(ConnectionRefusedError, self.fails, ConnectionRefusedError())

    def replace_socket(self, other: object) -> socket.socket:
        """Give the link another socket for this test; returns its own."""
        own = self.link.socket
        cast(Any, self.link).socket = other
        self.addCleanup(setattr, self.link, "socket", own)
        return own

    def fails(self, error: OSError) -> None:
        """Send what the socket does not take, and then something else."""

        class Failing:
            def send(self, _: bytes) -> int:
                raise error

        link = self.replace_socket(Failing())
        self.link.send({"type": "pong"})
        self.link.flush()
        self.link.socket = link
        self.link.send({"type": "pong"})
        self.link.flush()

    def test_an_address_that_cannot_be_reached_is_an_error(self) -> None:
        self.assertRaises(OSError, DatagramLink, "255.255.255.255", 1)


class RealTests(TestCase):
    """Threads and sockets."""

    async def client(self, port: int, nick: str, **options: Any) -> blocking.Client:
        client = blocking.Client("127.0.0.1", port, nick, timeout=TIMEOUT, **options)
        self.addCleanup(deferToThread, client.close, False)
        await deferToThread(client.start)
        return client

    def use(self, al: blocking.Client, bo: blocking.Client) -> None:
        """Do all that can be done."""
        garden = al.join("garden")
        assert al.join("GARDEN") is garden is al.room("Garden")
        assert (garden.name, sorted(al.joined), al.room("kitchen")) == ("garden", ["garden", "lobby"], None)
        assert garden.say("nobody here") == 1
        first = al.say("hi") or 0
        message = bo.receive(TIMEOUT)
        assert (message.msg, message.author, message.room, message.seq) == ("hi", "al", "lobby", first)
        for number in range(300):
            al.say(str(number), wait=False)
        lobby = bo.join("lobby")
        assert [lobby.receive(TIMEOUT).msg for _ in range(300)] == [str(number) for number in range(300)]
        assert al.tell("bo", "psst") is None
        assert isinstance(bo.receive(TIMEOUT), DirectMessage)
        assert al.set_nick("alf") == al.nick == "alf"
        lobby.set_topic("small talk")
        assert lobby.topic == "small talk"
        assert al.who("lobby").members == ["alf", "bo"] == lobby.who().members
        assert {room.room for room in al.rooms()} == {"lobby", "garden"}
        page = lobby.history(after=first, limit=3)
        assert ([message.msg for message in page.messages], page.more) == (["0", "1", "2"], True)
        assert lobby.history(before=first).messages == []
        assert (garden.count, garden.topic, garden.oldest) == (1, "", 0)
        assert repr(garden) == "<Room garden>"
        garden.leave()
        assert list(garden) == []
        assert (list(al.joined), al.unanswered) == (["lobby"], 0)
        for wrong in (lambda: al.join("a b"), lambda: al.join("lobby", since=0), lambda: al.say("x" * 20_000)):
            try:
                wrong()
            except RequestError as error:
                assert error.code in ("bad-room", "bad-message", "too-long")
            else:
                raise AssertionError("it was not refused")
        assert al.state is State.CONNECTED
        assert al.server.startswith("twisted_chat ")
        assert al.limits["nick"] == 32

    async def test_over_tcp(self) -> None:
        server = await Server.start(self)
        al, bo = await self.client(server.port, "al"), await self.client(server.port, "bo")
        await deferToThread(self.use, al, bo)
        await deferToThread(al.close)
        await deferToThread(al.close)
        self.assertIs(al.state, State.CLOSED)
        self.assertRaises(ClosedError, al.say, "too late")
        self.assertRaises(ClosedError, al.join, "lobby")
        self.assertEqual(list(al), [])

    async def test_over_tls(self) -> None:
        home = folder(self)
        certificate(home)
        server = await Server.start(self, "--port", f"tls:{home}:0:interface=127.0.0.1", home=home)
        trusted = str(home / "trusted.crt")

        def use() -> list[str]:
            with (
                blocking.Client("localhost", server.port, "al", tls=True, ca=trusted) as al,
                blocking.Client("localhost", server.port, "bo", tls=True, ca=trusted) as bo,
            ):
                for number in range(500):
                    al.say("x" * 1000 + str(number), wait=False)
                return [bo.receive(TIMEOUT).msg[1000:] for _ in range(500)]

        self.assertEqual(await deferToThread(use), [str(number) for number in range(500)])

    async def reason(self, host: str, port: int, **options: Any) -> str:
        """Give why a client is not let in."""
        with self.assertRaises(UnreachableError) as caught:
            await deferToThread(blocking.Client(host, port, "al", timeout=TIMEOUT, **options).start)
        self.assertTrue(str(caught.exception).startswith(("cannot reach ", f"{host}, port {port} did not let")))
        return str(caught.exception).partition(": ")[2]

    async def test_a_certificate_that_is_refused_is_told_with_what_to_do(self) -> None:
        home = folder(self)
        certificate(home)
        server = await Server.start(self, "--port", f"tls:{home}:0:interface=127.0.0.1", home=home)
        reason = await self.reason("localhost", server.port, tls=True)
        untrusted = "its certificate is not one that this machine trusts: it is signed by itself"
        self.assertEqual(reason, f"{untrusted}; ca=FILE trusts the certificates in that file")
        trusted = str(home / "trusted.crt")
        reason = await self.reason("127.0.0.1", server.port, tls=True, ca=trusted)
        self.assertEqual(reason, "its certificate is not for this name")
        context = ssl.create_default_context(cafile=trusted)
        self.assertEqual(await self.reason("127.0.0.1", server.port, tls=context), reason)
        reason = await self.reason("localhost", server.port)
        self.assertIn("use tls=True", reason)

    def test_certificates_to_trust_need_tls_and_a_file_that_has_some(self) -> None:
        self.assertRaisesRegex(ValueError, "needs tls=True", blocking.Client, ca="chat.pem")
        self.assertRaisesRegex(ValueError, "no.pem cannot be read", blocking.Client, tls=True, ca="no.pem")

    async def test_a_server_without_tls_is_called_that(self) -> None:
        server = await Server.start(self)
        reason = await self.reason("127.0.0.1", server.port, tls=True)
        self.assertEqual(reason, "it does not speak TLS there: leave out tls=True")

    async def test_a_port_that_is_not_for_udp_is_called_that(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            reason = await self.reason("127.0.0.1", listener.getsockname()[1], udp=True)
        self.assertEqual(reason, "nobody listens there; if its port is not one for UDP, leave out udp=True")

    async def test_something_else_that_ends_the_connection_says_what_to_try(self) -> None:
        for said, expected in (
            (b"", "the server ended the connection; if its port is one for TLS, use tls=True"),
            (b"\x15\x03\x01\x00\x02\x02\x46", "it speaks TLS there: use tls=True"),
        ):
            with socket.create_server(("127.0.0.1", 0)) as listener:

                def answer(listener: socket.socket = listener, said: bytes = said) -> None:
                    with listener.accept()[0] as peer:
                        peer.recv(2000)
                        peer.sendall(said)

                answering = threading.Thread(target=answer)
                answering.start()
                reason = await self.reason("127.0.0.1", listener.getsockname()[1])
                answering.join()
            self.assertTrue(reason.startswith(expected), reason)

    async def test_what_waits_is_known_in_the_order_of_asking(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        await server.stop()
        al.say("one", wait=False)
        al.timeout = 0.01
        with self.assertRaises(TimeoutError):
            await deferToThread(al.who, "lobby")
        self.assertEqual(
            [(one.kind, one.text, one.changes) for one in al.waiting],
            [("message", "one", True), ("members", None, False)],
        )

    async def test_a_connection_that_went_silent_does_not_keep_its_nick(self) -> None:
        """As where a machine goes from one network to another: the server hears nothing of the old connection's end."""
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        reasons: queue.Queue[str] = (
            queue.Queue()
        )  # callbacks have a thread of their own, which may be later than the ack
        al.on(StateChanged, lambda change: reasons.put(change.reason))
        with al._loop.lock:
            descriptors = {key.fd for key in al._loop._selector.get_map().values()}
            kept = os.dup((descriptors - {al._loop._asleep.fileno()}).pop())  # the client closes only its own
            self.addCleanup(os.close, kept)
            al._engine.hang_up = "the network has changed"
        al._loop.wake()
        self.assertEqual(await deferToThread(al.say, "after the network changed"), 1)
        heard = [await deferToThread(reasons.get, timeout=TIMEOUT) for _ in range(2)]
        self.assertEqual(heard, ["the network has changed", ""])

    async def test_a_slow_consumer_misses_none(self) -> None:
        server = await Server.start(self, "--rate", "0")
        bob = await server.hello(self, "bob", "lobby")
        al = await self.client(server.port, "al")
        await bob.hears()
        count = 3 * HIGH
        for number in range(count):
            bob.says(type="", room="lobby", msg=str(number))
        bob.says(type="", room="lobby", msg="end", id="end")
        await bob.hears()

        def take() -> list[str]:
            texts = []
            for message in al:
                if message.msg == "end":
                    break
                texts.append(message.msg)
            return texts

        self.assertEqual(await deferToThread(take), [str(number) for number in range(count)])

    async def test_over_udp(self) -> None:
        _, port = await start(self)
        al, bo = await self.client(port, "al", udp=True), await self.client(port, "bo", udp=True)
        await deferToThread(self.use, al, bo)

    async def test_a_place_beyond_the_log_is_one_of_another_log(self) -> None:
        server, port = await start(self)
        bob = await server.hello(self, "bob", "lobby")
        await bob.asks(type="", room="lobby", msg="first", id="1")
        for nick, udp in (("al", False), ("cy", True)):
            client = await self.client(port if udp else server.port, nick, udp=udp, since=1000)
            self.assertEqual((await deferToThread(client.receive, TIMEOUT)).msg, "first")

    async def test_a_long_message_is_whole_over_udp(self) -> None:
        server, port = await start(self)
        bob = await server.hello(self, "bob", "lobby")
        al = await self.client(port, "al", udp=True)
        text = "".join(f"{number:05}," for number in range(1500))
        bob.says(type="", room="lobby", msg=text)
        self.assertEqual((await deferToThread(al.receive, TIMEOUT)).msg, text)

    async def test_a_server_that_comes_back(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        await deferToThread(al.say, "before")
        self.assertEqual(await server.stop(), 0)
        al.say("meanwhile", wait=False)
        server = await Server.start(self, "--port", str(server.port), home=server.home)
        bo = await self.client(server.port, "bo", since=0)
        texts = await deferToThread(lambda: [bo.receive(TIMEOUT).msg for _ in range(2)])
        self.assertEqual(texts, ["before", "meanwhile"])

    async def test_closing_while_there_is_no_server(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        self.assertEqual(await server.stop(), 0)
        with self.assertRaises(TimeoutError):
            al.timeout = 0.1
            await deferToThread(al.say, "x")
        await deferToThread(al.close, False)

    async def test_closing_while_the_server_says_nothing(self) -> None:
        self.patch(engine, "QUIT_TIME", 0.1)
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        os.kill(server.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, server.pid, signal.SIGCONT)
        al.say("x", wait=False)
        al.timeout = 0.1
        with self.assertRaises(TimeoutError):
            await deferToThread(al.close)
        self.assertEqual((al.state, al._loop.is_alive()), (State.CLOSED, False))

    async def test_a_program_that_gives_up_does_not_wait_for_a_connection_that_is_being_made(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = blocking.Client("127.0.0.1", listener.getsockname()[1], "al", timeout=0.1)
            loop, connect, connecting = client._loop, client._loop._connect, threading.Event()
            self.addCleanup(connecting.set)

            def connect_late() -> links.Link:
                connecting.wait(TIMEOUT)
                return connect()

            loop._connect = connect_late
            with self.assertRaises(TimeoutError):
                await deferToThread(client.start)
            await deferToThread(client.close)
            self.assertEqual((client.state, loop.is_alive()), (State.CLOSED, True))
            self.assertRaises(ClosedError, client.rooms)
            connecting.set()
            await deferToThread(loop.join)
            with listener.accept()[0] as late:
                self.assertEqual(late.recv(1), b"", "it says nothing")

    def test_a_client_that_is_closed_before_a_connection_is_made_needs_none(self) -> None:
        client = blocking.Client("127.0.0.1", 1, "al")
        client.close()
        client._loop._connect = lambda: self.fail("it connects")
        client._loop.run()
        self.assertIs(client.state, State.CLOSED)

    async def test_callbacks_may_ask_the_server(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "lobby")
        echo = blocking.Client("127.0.0.1", server.port, "echo", timeout=TIMEOUT)
        self.addCleanup(deferToThread, echo.close, False)
        heard: list[Any] = []
        over = threading.Event()

        def repeat(message: Message) -> None:
            heard.append(echo.say(f"{message.author} said {message.msg}"))
            if message.msg == "bye":
                echo.close()
                over.set()

        echo.on(Message, repeat)
        echo.on(StateChanged, lambda change: heard.append(change.state))
        await deferToThread(echo.start)
        (await bob.hears())["type"]
        bob.says(type="", room="lobby", msg="hi")
        bob.says(type="", room="lobby", msg="bye")
        self.assertEqual([(await bob.hears())["msg"] for _ in range(2)], ["bob said hi", "bob said bye"])
        await deferToThread(over.wait, TIMEOUT)
        await deferToThread(echo.close)
        self.assertEqual(heard, [State.CONNECTED, 3, 4, State.CLOSED])

    async def test_a_slow_callback_misses_nothing(self) -> None:
        server = await Server.start(self, "--rate", "0")
        bob = await server.hello(self, "bob", "lobby")
        al = await self.client(server.port, "al")
        await bob.hears()
        room = al.room("lobby")
        assert room
        held, over = threading.Event(), threading.Event()
        heard: list[str] = []

        def hear(message: Message) -> None:
            held.wait(TIMEOUT)
            heard.append(message.msg)
            if message.msg == "end":
                over.set()

        room.on(Message, hear)
        count = 3 * HIGH
        for number in range(count):
            bob.says(type="", room="lobby", msg=str(number))
        bob.says(type="", room="lobby", msg="end", id="end")
        await bob.hears()
        held.set()
        await deferToThread(over.wait, TIMEOUT)
        self.assertEqual(heard, [*map(str, range(count)), "end"])

    async def test_a_room_that_is_being_left_is_entered_again_after_that(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        room = al.room("lobby")
        assert room
        os.kill(server.pid, signal.SIGSTOP)

        class GoesOn(Call):
            def wait(self, timeout: float | None) -> Any:
                os.kill(server.pid, signal.SIGCONT)
                return super().wait(timeout)

        room._left = GoesOn()
        al._do(lambda engine: engine.leave(room._membership))
        again = await deferToThread(al.join, "lobby")
        self.assertIsNot(again, room)
        self.assertEqual(await deferToThread(again.say, "hi"), 1)

    async def test_what_has_no_answer_is_counted(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        await server.stop()
        for _ in range(3):
            al.say("x", wait=False)
        self.assertEqual(al.unanswered, 3)
        await deferToThread(al.close, False)
        self.assertEqual(al.unanswered, 0)

    async def test_nobody_there(self) -> None:
        with socket.socket() as bound:  # and does not listen; nobody else gets its port
            bound.bind(("127.0.0.1", 0))
            for udp in (False, True):
                client = blocking.Client("127.0.0.1", bound.getsockname()[1], "al", udp=udp)
                with self.assertRaises(UnreachableError):
                    await deferToThread(client.start)

    async def test_a_host_that_cannot_be_one(self) -> None:
        for udp in (False, True):
            client = blocking.Client("x" * 70, 1, "al", udp=udp)
            with self.assertRaises(UnreachableError) as caught:
                await deferToThread(client.start)
            self.assertEqual(caught.exception.reason, f"'{'x' * 70}' is not the name of a host")

    async def test_a_nick_that_is_taken(self) -> None:
        server = await Server.start(self)
        await self.client(server.port, "al")
        with self.assertRaises(RequestError) as caught:
            await self.client(server.port, "al")
        self.assertEqual(caught.exception.code, "nick-taken")

    async def test_without_a_room(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al", room=None)
        with self.assertRaises(ClosedError):
            al.say("where?")
        with self.assertRaises(TimeoutError):
            al.receive(0)

    async def test_an_error_within_closes_at_once(self) -> None:
        server = await Server.start(self)

        def use() -> None:
            with blocking.Client("127.0.0.1", server.port, "al") as chat:
                raise ValueError(chat.nick)

        with self.assertRaises(ValueError):
            await deferToThread(use)

    async def test_a_fault_of_the_client_is_told(self) -> None:
        self.patch(threading, "excepthook", lambda _: None)
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        self.patch(al._engine, "tick", lambda _: 1 // 0)
        al._loop.wake()
        with self.assertRaises(ClosedError) as caught:
            await deferToThread(list, al)
        self.assertIn("ZeroDivisionError", str(caught.exception))

    async def test_accounts_and_moderation(self) -> None:
        server = await Server.start(self, "--operator", "owner")
        told: list[Any] = []

        def use() -> None:
            options: Any = {"timeout": TIMEOUT}
            with (
                blocking.Client("127.0.0.1", server.port, "owner", room=None, **options) as owner,
                blocking.Client("127.0.0.1", server.port, "bob", room=None, **options) as bob,
            ):
                self.assertTrue(owner.register("correct horse"))
                room, theirs = owner.join("garden"), bob.join("garden")
                room.mute("bob", 60, "quiet")
                with self.assertRaises(RequestError) as muted:
                    theirs.say("hi")
                self.assertEqual(muted.exception.code, "rate-limited")
                with self.assertRaises(RequestError) as denied:
                    bob.ban("192.0.2.1")
                self.assertEqual(denied.exception.code, "denied")
                lost = threading.Event()
                bob.on(RoomLost, lambda event: told.append(event.error.code))
                bob.on(RoomLost, lambda _: lost.set())
                room.kick("bob", "spam")
                self.assertTrue(lost.wait(TIMEOUT))
                with self.assertRaises(RequestError):
                    theirs.receive(TIMEOUT)
                self.assertEqual([action.type for action in room.audit().actions][:2], ["kick", "mute"])
                owner.ban("192.0.2.1")
                self.assertEqual([ban.who for ban in owner.bans().bans], ["192.0.2.1"])
                bob.register("battery staple")
                seq = owner.tell("bob", "psst")
                self.assertEqual(bob.receive(TIMEOUT).msg, "psst")
                self.assertEqual([message.seq for message in bob.direct_history("owner").messages], [seq])
                self.assertEqual(bob.direct, {"owner": seq})
                owner.close()
                self.assertEqual(bob.log_in("owner", "correct horse"), "owner")
            with blocking.Client("127.0.0.1", server.port, "owner", password="correct horse", **options) as owner:
                told.append(owner.account)

        await deferToThread(use)
        self.assertEqual(told, ["kicked", True])

    def test_what_is_asked_by_an_action_is_described_like_it(self) -> None:
        for method, action, parameters in (
            (blocking.Room.kick, actions.kick, ["self", "nick", "reason"]),
            (blocking.Client.ban, actions.ban, ["self", "who", "seconds", "reason"]),
            (blocking.Client.register, actions.register, ["self", "password"]),
        ):
            self.assertEqual((method.__name__, method.__doc__), (action.__name__, action.__doc__))
            self.assertEqual(list(inspect.signature(method).parameters), parameters)

    async def test_connect_is_short_for_it(self) -> None:
        server = await Server.start(self)
        chat = await deferToThread(blocking.connect, "127.0.0.1", server.port, "al")
        await deferToThread(chat.close)

    def test_tls_and_udp_do_not_go_together(self) -> None:
        self.assertRaises(ValueError, blocking.Client, tls=True, udp=True)


class ReasonTests(SynchronousTestCase):
    def test_each_says_what_is_wrong(self) -> None:
        for error, text in (
            (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "there is no host with this name"),
            (TimeoutError("timed out"), "there was no answer in time"),
            (OSError(errno.ENETUNREACH, "Network is unreachable"), "Network is unreachable"),
            (OSError("odd"), "odd"),
        ):
            self.assertEqual(reason_text(error), text)
        odd = ssl.SSLError()
        odd.reason = "ODD"
        self.assertEqual(reason_text(odd), "TLS failed: ODD")


class ProcessTests(TestCase):
    """Programs that fork, or that end without closing their client."""

    async def test_a_forked_process_is_told_that_the_client_is_not_its_own(self) -> None:
        server = await Server.start(self)
        done = await run_script(f"""
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, Python warns of a fork beside threads
from twisted_chat.client.blocking import Client, ClosedError, Message
with Client("127.0.0.1", {server.port}, nick="al") as chat:
    chat.say("before")
    pid = os.fork()
    if not pid:
        refused = 0
        for call in (lambda: chat.say("x"), lambda: chat.receive(), lambda: chat.on(Message, print), chat.rooms):
            try:
                call()
            except ClosedError as error:
                refused += str(os.getppid()) in str(error)
        chat.close()
        os._exit(refused)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), chat.say("after"))
""")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "4 2\n", ""))

    async def test_what_was_said_arrives_though_the_program_ends(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "lobby")
        done = await run_script(f"""
from twisted_chat.client.blocking import Client
chat = Client("127.0.0.1", {server.port}, nick="al").start()
for number in range(500):
    chat.say(str(number), wait=False)
""")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        heard = [await bob.hears() for _ in range(502)]
        self.assertEqual([obj["msg"] for obj in heard if obj["type"] == ""], [str(number) for number in range(500)])

    async def test_a_program_that_ends_without_its_server_says_what_may_be_lost(self) -> None:
        server = await Server.start(self)
        done = await run_script(f"""
import os, signal
from twisted_chat.client.blocking import Client, client
client.EXIT_TIME = 0.1
chat = Client("127.0.0.1", {server.port}, nick="al").start()
os.kill({server.pid}, signal.SIGSTOP)
chat.say("one", wait=False)
chat.say("two", wait=False)
""")
        os.kill(server.pid, signal.SIGCONT)
        self.assertEqual(done.returncode, 0)
        self.assertIn("the program has ended, and the server has not answered in time: 2 of what was", done.stderr)

    def test_in_another_process_a_client_does_nothing(self) -> None:
        """As above, where it can be seen which lines were run."""
        forked = blocking.Client()
        self.patch(os, "getpid", lambda: -1)
        self.assertRaises(ClosedError, forked.rooms)
        forked.close()

    def test_a_client_that_was_left_open_is_closed_within_its_own_time(self) -> None:
        closed: list[float] = []

        class Left(blocking.Client):
            def close(self, flush: bool = True) -> None:
                closed.append(self.timeout or 0.0)
                raise TimeoutError

        clients = [Left(timeout=timeout) for timeout in (None, 1.0)]
        self.patch(client, "_started", set(clients))
        with self.assertLogs("twisted_chat.client.blocking", "WARNING") as logs:
            client._close_all()
        self.assertEqual((sorted(closed), len(logs.output)), ([1.0, EXIT_TIME], 2))


class AloneTests(TestCase):
    """It needs Python and nothing else."""

    USE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("twisted", "msgspec", "zope"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
from {module} import Client
with Client("127.0.0.1", {port}, nick="cron") as chat:
    chat.say("done")
"""

    async def check(self, server: Server, module: str, path: Path) -> None:
        script = self.USE.format(module=module, port=server.port)
        command = [sys.executable, "-S", "-c", script]
        environment = {**os.environ, "PYTHONPATH": str(path)}
        done: Any = await deferToThread(subprocess.run, command, env=environment, capture_output=True, timeout=TIMEOUT)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    async def test_within_the_package(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "lobby")
        await self.check(server, "twisted_chat.client.blocking", Path(blocking.__file__).parents[3])
        self.assertEqual([(await bob.hears())["type"] for _ in range(3)], ["join", "", "leave"])

    def test_all_names_of_the_package_are_found(self) -> None:
        for name in package.__all__:
            self.assertEqual(getattr(package, name).__name__, name)
        self.assertRaises(AttributeError, getattr, package, "nothing")
