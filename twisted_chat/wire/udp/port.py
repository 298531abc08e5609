"""The UDP port: finds the session that a datagram belongs to, and opens new sessions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.logger import Logger

from ...chat import Chat
from ...limits import WORK_A_TURN
from ...messages import Cookie, Envelope, encode
from .cookies import Address, Cookies, Hellos
from .requests import read_envelope
from .wire import UDPWire

_log = Logger("twisted_chat.wire.udp")


class UDPPort(DatagramProtocol):
    """A UDP port, which passes each datagram to the session of its address."""

    noisy = False

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self._cookies = Cookies(chat.reactor.seconds)
        self._hellos = Hellos(chat.reactor.seconds)
        self.wires: dict[Address, UDPWire] = {}
        """The sessions by their addresses, those included whose last reply may be sent again."""
        self._left = WORK_A_TURN
        """The datagrams that are still read in this turn."""

    def startProtocol(self) -> None:
        port = self.transport
        if isinstance(port, Port):
            port.doRead = partial(self._read, port, port.doRead)

    def _read(self, port: Port, read: Callable[[], None]) -> None:
        """Read some datagrams. The others wait for the next turn.

        Twisted's port reads until it has 256 kB, or nothing is left. While datagrams came faster than they were read,
        short ones were a turn of seconds, and empty ones one without an end.
        """
        self._left = WORK_A_TURN
        port.maxThroughput = Port.maxThroughput
        read()

    def datagramReceived(self, datagram: bytes, addr: tuple[Any, ...]) -> None:
        self._left -= 1
        if not self._left and isinstance(self.transport, Port):
            self.transport.maxThroughput = 0  # this ends its loop
        address = addr[0], addr[1]
        try:
            envelope = read_envelope(datagram)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            envelope = None
        wire = self.wires.get(address)
        if envelope is not None and envelope.type == "hello":
            self._hello(datagram, address, envelope, wire)
        elif wire is not None:
            wire.received(datagram, envelope)

    def _hello(self, datagram: bytes, address: Address, hello: Envelope, wire: UDPWire | None) -> None:
        cookie = hello.cookie or ""
        time = self._cookies.time(cookie, address)
        client = hello.token or address
        if wire is not None and (cookie == wire.cookie or (time and (wire.is_greeted_by(hello) or time <= wire.time))):
            self._hellos.let_in(client, time, cookie)
            wire.hello(datagram, hello)
        elif not time or self._hellos.is_late(client, time, cookie):
            self._challenge(len(datagram), address)
        elif not self.chat.stopping and self.chat.admits(address[0]):
            self._hellos.let_in(client, time, cookie)
            self._open(datagram, address, hello, cookie, time)

    def _challenge(self, most: int, address: Address) -> None:
        """Send an address its cookie, in no more bytes than it has sent: the source of its datagram may be forged."""
        answer = encode(Cookie(cookie=self._cookies.make(address)))
        if len(answer) <= most:
            self.send(answer, address)

    def _open(self, datagram: bytes, address: Address, hello: Envelope, cookie: str, time: int) -> None:
        """Open a session. It replaces an earlier one at the same address."""
        old = self.wires.get(address)
        if old is not None:
            old.abort()
            old.forget()
        wire = self.wires[address] = UDPWire(self, address, cookie, time)
        self.chat.connected(wire)
        wire.hello(datagram, hello)

    def send(self, datagram: bytes, address: Address) -> bool:
        """Send a datagram. False if the socket could not take it."""
        assert self.transport
        try:
            self.transport.write(datagram, address)
        except OSError as error:  # the socket's buffer is full, or there is no route for now
            _log.debug("cannot send to {address}: {error}", address=address, error=error)
            return False
        return True

    def forget(self, wire: UDPWire) -> None:
        """Called when a session is over for good, and its last reply is not sent again any more."""
        del self.wires[wire.at]

    def stopProtocol(self) -> None:
        for wire in tuple(self.wires.values()):
            wire.abort()
            wire.forget()
