"""The sockets that systemd has opened and hands over to the server.

Twisted's endpoint finds them, and believes what the description says about them. It adopts sockets for streams only,
and takes a Unix socket for its own: it lets everybody connect (mode 0666), shortens the queue of connections, and at
the end shuts the socket down and removes its file, so that clients are refused until systemd opens another one.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Protocol, cast

from twisted.internet import unix
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IListeningPort


class HandedOver(Protocol):
    """The part of Twisted's `AdoptedStreamServerEndpoint` that is needed here."""

    fileno: int
    addressFamily: int

    def listen(self, factory: Any) -> Deferred[IListeningPort]: ...


class WrongSocket(ValueError):
    """A socket that is not the one that is needed. The text says what to write instead, for the user."""


def check(handed_over: HandedOver, kind: socket.SocketKind) -> None:
    """Check the type and the family of a socket, and that one for streams listens. Raises `WrongSocket`.

    A wrong family would give all clients wrong addresses. On a socket that does not listen, each try to accept a
    connection fails at once, again and again.
    """
    with socket.socket(fileno=os.dup(handed_over.fileno)) as probe:
        actual, family = probe.type, probe.family
        listens = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if actual != kind:
        setting = "ListenStream=" if kind == socket.SOCK_STREAM else "ListenDatagram="
        raise WrongSocket(f"this socket is of another type: in its unit, write {setting} (systemd.socket(5))")
    if family != handed_over.addressFamily:
        raise WrongSocket(f"this socket has another domain: write domain={socket.AddressFamily(family).name[3:]}")
    if kind == socket.SOCK_STREAM and not listens:
        raise WrongSocket(
            "this socket does not listen: whoever hands it over has to call listen() first, as systemd does"
        )


def listen(reactor: ReactorBase, handed_over: HandedOver, factory: Any, backlog: int) -> Deferred[IListeningPort]:
    """Listen on a socket for streams. `backlog` is the length of the queue of a Unix socket."""
    if handed_over.addressFamily != socket.AF_UNIX:
        return handed_over.listen(factory)  # the queue stays as systemd has made it
    return execute(_listen_unix, reactor, handed_over.fileno, factory, backlog)


def listen_datagrams(reactor: ReactorBase, handed_over: HandedOver, protocol: Any) -> Deferred[IListeningPort]:
    """Listen on a socket for datagrams."""
    return execute(_listen_datagrams, reactor, handed_over, protocol)


def _listen_unix(reactor: ReactorBase, number: int, factory: Any, backlog: int) -> IListeningPort:
    os.set_blocking(number, False)
    port: Any = _UnixPort._fromListeningDescriptor(reactor, number, factory)  # type: ignore[no-untyped-call]  # Twisted's
    os.close(number)  # the port has a duplicate
    port.backlog = backlog
    port.startListening()
    return cast(IListeningPort, port)


def _listen_datagrams(reactor: Any, handed_over: HandedOver, protocol: Any) -> IListeningPort:
    os.set_blocking(handed_over.fileno, False)  # Twisted does so for streams only
    port: IListeningPort = reactor.adoptDatagramPort(handed_over.fileno, handed_over.addressFamily, protocol)
    os.close(handed_over.fileno)  # the port has a duplicate
    return port


class _UnixPort(unix.Port):
    """A Unix socket that stays open, and whose file is systemd's.

    Twisted touches no file for a socket whose name begins with a zero, since that has none (unix(7), *abstract*).
    """

    _shouldShutdown = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._bindPath = b"\0" + self._bindPath
