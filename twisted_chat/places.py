"""The places where the server listens: how the options name them, and how they are opened.

A wire is a way to speak to the server, such as JSON lines over a stream. A new one is a module with a factory (or, for
datagrams, a protocol) that takes the `Chat`, and a line in `WIRES`.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.python.failure import Failure

from .chat import Chat
from .leftovers import remove_lock, remove_socket
from .wire.jsonlines import JSONLinesFactory
from .wire.proxy import ProxyHeaderFactory
from .wire.udp import UDPPort

if TYPE_CHECKING:
    from .certificates import Certificates

BACKLOG: Final = "backlog=4096"
"""The connections that the kernel queues until the server accepts them: what Linux allows by default. After a restart
all clients come back at once. With Twisted's 50, a thousand of them needed 16 s, since a client whose connection does
not fit into the queue tries again only after a second or more."""


MAX_PATH: Final = 107 if sys.platform == "linux" else 103
"""Bytes of the path of a Unix socket: what `sun_path` holds, see unix(7)."""


class WrongPlace(ValueError):
    """A place that nobody can listen on; the text says what is wrong and what is right, for the user."""


@dataclass(frozen=True)
class Place:
    """A place to listen on."""

    text: str
    """The place as people read it: `127.0.0.1:14900`, or the description of an endpoint as they wrote it."""
    make: Callable[[Chat], Any]
    """Makes what `open` takes; see `WireKind.make`."""
    open: Callable[[Any], Deferred[IListeningPort]]
    reload: Callable[[], object] = lambda: None
    """Reads the files of the place again, such as its certificates, and logs what is wrong with them."""

    def listen(self, chat: Chat) -> Deferred[IListeningPort]:
        """Open the port."""
        return self.open(self.make(chat))


class Reading(NamedTuple):
    """The context in which the description of a place is read."""

    reactor: ReactorBase
    option: str
    """The option, such as `--port`, for the error."""
    text: str
    address: str
    """The address to listen on if the text is only a port number."""


_Opener = Callable[[Any], Deferred[IListeningPort]]


class WireKind(NamedTuple):
    """A kind of wire: how its places are read, and what listens there."""

    make: Callable[[Chat], Any]
    """Makes what listens: a factory for a stream, a protocol for datagrams."""
    read: Callable[[Reading], tuple[str, _Opener]]
    """Reads the description of a place; returns its text for people and what opens it. Raises `WrongPlace`."""
    help: str


def read_places(
    reactor: ReactorBase, texts: Iterable[tuple[str, WireKind, str]], interface: str | None
) -> Sequence[Place]:
    """Read descriptions of places, each with its option and its kind of wire; raises `WrongPlace`.

    `interface` is the address, or the host name, for those that are only a port number.
    """
    texts = list(texts)
    numbered = any(is_number(text) for _, _, text in texts)
    if interface is not None and not numbered:
        raise WrongPlace("--interface is for a port number; in an endpoint, write interface=ADDRESS instead")
    address = _resolve("--interface", "127.0.0.1" if interface is None else interface) if numbered else ""
    places: list[Place] = []
    for option, wire, text in texts:
        shown, opener = wire.read(Reading(reactor, option, text, address))
        places.append(Place(shown, wire.make, opener))
    return places


def is_number(text: str) -> bool:
    """True for a whole number of at most nine digits."""
    return re.fullmatch(r"-?[0-9]{1,9}", text) is not None


def _is_port(text: str) -> bool:
    return is_number(text) and 0 <= int(text) <= 65535


def _pair(host: str, port: int) -> str:
    """Write an address and a port as people paste them: RFC 3986 (section 3.2.2) puts IPv6 into brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolve(option: str, name: str) -> str:
    """Return the address to listen on: the first IPv4 address or, if the name has none, the first IPv6 address.

    It is one address, since a host name often has one that the host does not listen on (`localhost` and IPv6 in many
    containers); `--listen` adds others.
    """
    name = name.removeprefix("[").removesuffix("]")
    if isIPAddress(name) or isIPv6Address(name):
        return name  # as it is: the resolver would lose the scope of fe80::1%eth0
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: what IDNA cannot encode
        raise WrongPlace(
            f"{option} takes an address or a host name of this machine, and '{name}' is neither: "
            f"{getattr(error, 'strerror', error)}"
        ) from None
    _, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return str(address[0])


# Datagrams


def _read_datagrams(reading: Reading) -> tuple[str, _Opener]:
    """Read a place for datagrams: a port, or an address and a port."""
    reactor, option, text, address = reading
    host, colon, port = text.rpartition(":")
    if not is_number(port) or (colon and (not host or (":" in host and (host[0], host[-1]) != ("[", "]")))):
        raise WrongPlace(
            f"{option} takes a port, or an address and a port such as 127.0.0.1:14900 or [::1]:14900, not '{text}'"
        )
    if not _is_port(port):
        raise WrongPlace(f"{option} takes a port from 0 to 65535, not {port}")
    host = _resolve(option, host) if host else address
    listen_udp: Callable[..., IListeningPort] = reactor.listenUDP  # type: ignore[attr-defined]  # as every reactor has
    return f"udp {_pair(host, int(port))}", lambda protocol: execute(listen_udp, int(port), protocol, host)


# Streams


def _read_stream(reading: Reading) -> tuple[str, _Opener]:
    """Read a place for a stream: a port, or the description of an endpoint."""
    return _read_number(reading) if is_number(reading.text) else _read_endpoint(reading)


def _read_number(reading: Reading) -> tuple[str, _Opener]:
    reactor, option, text, address = reading
    if not _is_port(text):
        raise WrongPlace(f"{option} takes a port from 0 to 65535, not {text}")
    endpoint = serverFromString(reactor, f"tcp:{int(text)}:interface={quoteStringArgument(address)}:{BACKLOG}")
    return _pair(address, int(text)), endpoint.listen


def _read_endpoint(reading: Reading) -> tuple[str, _Opener]:
    reactor, option, text, _ = reading
    try:
        return text, _Stream(reactor, text).listen
    except Exception as error:  # each type of endpoint has its own ways to fail
        why = _address_hint(text) or _reason(error)
    if why:
        raise WrongPlace(f"{option} '{text}' cannot be used: {why}")
    raise WrongPlace(f"{option} takes a port or an endpoint such as tcp:14900:interface=0.0.0.0, not '{text}'")


class _Stream:
    """A place for a stream: an endpoint, and what is put between it and the wire."""

    def __init__(self, reactor: ReactorBase, text: str) -> None:
        """Read a description; raises various exceptions if it is wrong."""
        self._reactor = reactor
        inner = text.removeprefix("haproxy:")
        self._proxied = inner != text
        self._parts = _split(inner)
        _check_description(self._parts, self._proxied)
        self._certificates = _certificates(self._parts, reactor)
        if self._parts[0] == "tls":
            inner = _beneath_tls(self._parts)
        self._endpoint: IStreamServerEndpoint = serverFromString(reactor, with_backlog(inner))

    def listen(self, factory: Any) -> Deferred[IListeningPort]:
        """Open the port."""
        if self._certificates is not None:
            from twisted.protocols.tls import TLSMemoryBIOFactory

            factory = TLSMemoryBIOFactory(self._certificates, False, factory)
        if self._proxied:
            factory = ProxyHeaderFactory(factory, self._reactor)
        if self._parts[0] != "unix":
            return self._endpoint.listen(factory)
        path = _argument(self._parts, "address", 1)
        remove_socket(path)
        return self._endpoint.listen(factory).addErrback(_let_go_of_lock, path)


def _let_go_of_lock(failure: Failure, path: str) -> Failure:
    """Remove the lock file that Twisted made for a socket that it then could not open."""
    remove_lock(path)
    return failure


def _certificates(parts: list[str], reactor: ReactorBase) -> Certificates | None:
    """Read what `tls:` needs, and check what `ssl:` does; raises `_Misfit`."""
    if parts[0] not in ("tls", "ssl"):
        return None
    from .certificates import Certificates, WrongCertificates, check_files  # they need OpenSSL, which is there now

    try:
        if parts[0] == "tls":
            return Certificates(Path(_argument(parts, "path", 1)), reactor.seconds)
        key = _argument(parts, "privateKey", 2) or "server.pem"  # as Twisted has it
        check_files(Path(_argument(parts, "certKey", 3) or key), Path(key))
    except WrongCertificates as error:
        raise _Misfit(str(error)) from None
    return None


def _beneath_tls(parts: list[str]) -> str:
    """Return the description without the folder, as a TCP port for IPv6 and IPv4, like that of Twisted's `tls:`."""
    rest = parts[1:]
    rest.remove(next(part for part in rest if part.startswith("path=") or "=" not in part))
    if not _argument(parts, "port", 2):
        rest.append("port=443")
    return ":".join(["tcp6", *rest])


def _address_hint(text: str) -> str:
    """Return a hint on how to write an address, if a description is one or has unescaped colons of IPv6."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if _is_port(port) and (isIPAddress(host) or isIPv6Address(host) or host == "localhost"):
        return f"write it as two options, --port {port} --interface {host}"
    found = re.search(r":interface=([^=]*?)(?=:\w+=|$)", text)
    address = found[1] if found else ""
    if not isIPv6Address(address):
        return ""
    return f"escape the colons of the address, interface={quoteStringArgument(address)}"


def with_backlog(text: str) -> str:
    """Add the length of the queue, if the type of endpoint has one and the description does not set it."""
    kind = text.partition(":")[0]
    takes_it = kind in ("tcp", "tcp6", "ssl", "tls", "unix") and "backlog=" not in text
    return f"{text}:{BACKLOG}" if takes_it else text


class _Misfit(Exception):
    """A description that Twisted accepts and fails with later, or rejects with an unintelligible error."""


_PORT_AT: Final = {"tcp": 1, "tcp6": 1, "ssl": 1, "tls": 2}
"""The position of the port in a description, counted from the type. It can also be written as `port=`."""


def _check_description(parts: list[str], proxied: bool) -> None:
    """Check a description for mistakes that Twisted does not report, or not clearly; raises `_Misfit`."""
    kind = parts[0]
    if kind == "stdio":
        raise _Misfit("nobody can connect to stdio")
    if kind in ("ssl", "tls") and find_spec("OpenSSL") is None:
        raise _Misfit("TLS needs pyOpenSSL: pip install 'twisted[tls]'")
    if kind == "ssl" and proxied:
        raise _Misfit("write haproxy:tls:FOLDER:PORT: a proxy says whose connection it is before TLS begins")
    if kind == "unix":
        _check_socket(_argument(parts, "address", 1))
    if kind == "tls" and not os.path.isdir(folder := _argument(parts, "path", 1)):
        raise _Misfit(f"tls:FOLDER:PORT takes a folder of certificates, and '{folder}' is not a folder")
    port = _argument(parts, "port", _PORT_AT.get(kind, len(parts)))
    if port and not _is_port(port):
        raise _Misfit(f"a port is a number from 0 to 65535, not '{port}'")


def _check_socket(path: str) -> None:
    if len(os.fsencode(path)) > MAX_PATH:
        raise _Misfit(f"the path of a Unix socket has at most {MAX_PATH} bytes")
    if os.path.exists(path) and not stat.S_ISSOCK(os.stat(path).st_mode):
        raise _Misfit(f"'{path}' is there already, and is no socket: name another path")


def _split(text: str) -> list[str]:
    """Split a description at its colons; the first part is the type of the endpoint."""
    return re.split(r"(?<!\\):", text)


def _argument(parts: list[str], name: str, at: int) -> str:
    """Return an argument of a description by its name or its position, or an empty text if it is absent."""
    named = [part.partition("=")[2] for part in parts if part.startswith(f"{name}=")]
    return "".join(named or [part for part in parts if "=" not in part][at : at + 1]).replace("\\", "")


def _reason(error: Exception) -> str:
    """Return the reason why a description is wrong, or nothing if only a programmer would understand it."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror}: {os.fsdecode(error.filename)}"
    if isinstance(error, IndexError | KeyError):  # of what LISTEN_FDS and LISTEN_FDNAMES tell
        return "systemd has handed over no such socket"
    return str(error) if isinstance(error, _Misfit) else ""


# Texts for people


def address_text(address: IAddress) -> str:
    """Return the address of a port in a form that can be pasted into a client."""
    if isinstance(address, IPv4Address | IPv6Address):
        return f"{'udp ' * (address.type == 'UDP')}{_pair(address.host, address.port)}"
    if isinstance(address, UNIXAddress) and address.name:
        return os.path.abspath(os.fsdecode(address.name))
    return str(address)


_ADVICE: Final = {
    errno.EADDRINUSE: "something listens there already; stop it, or choose another place",
    errno.EADDRNOTAVAIL: "this machine has no such address; give --interface one that it has, or 127.0.0.1",
    errno.EACCES: "this user may not; choose a port above 1023, or a folder that this user may write to",
    errno.EINVAL: "invalid address; one that begins with fe80 needs its interface, such as fe80::1%eth0",
    errno.ENOENT: "its folder does not exist; make it first",
}


def refusal(place: Place, error: Exception) -> str:
    """Return the reason why a place cannot be listened on, and what to do."""
    cause = error.socketError if isinstance(error, CannotListenError) else error
    if isinstance(cause, OSError):
        why = _ADVICE.get(cause.errno or 0) or cause.strerror
    elif isinstance(error, CannotListenError) and error.interface is None:  # the lock beside a Unix socket is taken
        why = _ADVICE[errno.EADDRINUSE]
    else:
        why = str(cause)
    return f"cannot listen on {place.text}: {why}"


LINES: Final = WireKind(JSONLinesFactory, _read_stream, "Another PLACE to listen on; may be given several times.")

WIRES: Final[dict[str, WireKind]] = {
    "listen": LINES,
    "udp": WireKind(
        UDPPort,
        _read_datagrams,
        "Listen on UDP too, at a port, such as 14900, ADDRESS:14900 or [IPv6]:14900; may be given several times.",
    ),
}
"""The wires by the options that name their places. `--port` is one more `--listen`."""
