"""Sockets that systemd has opened, and keeps open for the next start."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any, cast
from unittest import mock

from twisted.internet import reactor
from twisted.internet.base import ReactorBase
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from twisted_chat.handed_over import HandedOver, WrongSocket, check, listen

from .programs import folder

BACKLOG = 200


class UnixTests(TestCase):
    """The file of a Unix socket is systemd's, and stays as it is."""

    def setUp(self) -> None:
        self.path = folder(self) / "chat.sock"
        self.systemd = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.systemd.close)
        self.systemd.bind(str(self.path))
        os.chmod(self.path, 0o660)
        self.systemd.listen(BACKLOG)

    async def listen(self) -> IListeningPort:
        number = os.dup(self.systemd.fileno())
        handed_over: Any = AdoptedStreamServerEndpoint(reactor, number, socket.AF_UNIX)
        with mock.patch.object(os, "close", wraps=os.close) as close:
            port = await listen(cast(ReactorBase, reactor), handed_over, Factory.forProtocol(Protocol), BACKLOG)
        close.assert_any_call(number)
        self.assertFalse(os.get_blocking(self.systemd.fileno()), "a client that goes at once would hold up all others")
        return port

    def mode(self) -> str:
        return stat.filemode(os.stat(self.path).st_mode)

    async def test_whoever_may_not_connect_may_not_later(self) -> None:
        port = await self.listen()
        self.assertEqual(self.mode(), "srw-rw----")
        self.assertEqual(Path(os.fsdecode(cast(Any, port.getHost()).name)), self.path)
        await cast(Any, port.stopListening())

    async def test_clients_find_the_socket_after_the_server_has_stopped(self) -> None:
        await cast(Any, (await self.listen()).stopListening())
        self.assertEqual(self.mode(), "srw-rw----")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))

    async def test_many_clients_may_come_at_once(self) -> None:
        port = await self.listen()
        for _ in range(BACKLOG):  # in one turn of the reactor
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.setblocking(False)
            client.connect(str(self.path))
        await cast(Any, port.stopListening())


class TCPTests(TestCase):
    async def test_clients_find_the_socket_after_the_server_has_stopped(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as systemd:
            number = os.dup(systemd.fileno())
            handed_over: Any = AdoptedStreamServerEndpoint(reactor, number, socket.AF_INET)
            port = await listen(cast(ReactorBase, reactor), handed_over, Factory.forProtocol(Protocol), BACKLOG)
            self.assertEqual(cast(Any, port.getHost()).port, systemd.getsockname()[1])
            await cast(Any, port.stopListening())
            socket.create_connection(systemd.getsockname()).close()


class CheckTests(TestCase):
    """What the description says of a socket is compared with the socket."""

    def check(self, opened: socket.socket, family: int, kind: socket.SocketKind) -> None:
        with opened:
            check(cast(HandedOver, AdoptedStreamServerEndpoint(reactor, opened.fileno(), family)), kind)

    def test_a_socket_that_is_as_described_is_taken(self) -> None:
        self.check(socket.create_server(("127.0.0.1", 0)), socket.AF_INET, socket.SOCK_STREAM)
        self.check(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.AF_INET, socket.SOCK_DGRAM)

    def test_a_socket_of_another_type_or_domain_is_refused(self) -> None:
        for kind, family, asked, expected in (
            (socket.SOCK_STREAM, socket.AF_UNIX, socket.SOCK_STREAM, "write domain=UNIX"),
            (socket.SOCK_STREAM, socket.AF_INET, socket.SOCK_DGRAM, "write ListenDatagram="),
            (socket.SOCK_DGRAM, socket.AF_INET, socket.SOCK_STREAM, "write ListenStream="),
        ):
            error = self.assertRaises(WrongSocket, self.check, socket.socket(family, kind), socket.AF_INET, asked)
            self.assertIn(expected, str(error))

    def test_a_socket_for_streams_that_does_not_listen_is_refused(self) -> None:
        opened = socket.socket(socket.AF_INET)
        opened.bind(("127.0.0.1", 0))
        error = self.assertRaises(WrongSocket, self.check, opened, socket.AF_INET, socket.SOCK_STREAM)
        self.assertIn("this socket does not listen", str(error))
