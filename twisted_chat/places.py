"""The places where the server listens: how the options name them, and how they are opened.

A kind of wire, such as JSON lines over a stream, is a module with a factory (or, for datagrams, a protocol) that takes
the `Chat`, and a line in `WIRES`.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from ipaddress import ip_address
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
from .descriptions import (
    BACKLOG,
    BENEATH,
    SSL,
    Misfit,
    argument,
    check_description,
    colons_hint,
    is_number,
    is_port,
    split,
    with_backlog,
)
from .handed_over import WrongSocket, listen_datagrams
from .handed_over import check as check_handed_over
from .handed_over import listen as listen_handed_over
from .leftovers import remove_lock, remove_socket
from .needs_tls import NEEDS_TLS
from .web import WebFactory
from .wire.jsonlines import JSONLinesFactory
from .wire.proxy import THIS_MACHINE, Network, ProxyHeaderFactory
from .wire.udp import UDPPort

if TYPE_CHECKING:
    from .certificates import Certificates
    from .wire.tls import HandshakeQueue


class WrongPlace(ValueError):
    """A place that cannot be listened on. The text says what is wrong and what is right, for the user."""


@dataclass(frozen=True)
class Place:
    """A place to listen on."""

    text: str
    """The place as people read it: `127.0.0.1:14900`, or the description of an endpoint as they wrote it."""
    make: Callable[[Chat], Any]
    """Makes the argument of `open`; see `WireKind.make`."""
    open: Callable[[Any], Deferred[IListeningPort]]
    reload: Callable[[], object] = lambda: None
    """Reads the files of the place again, such as its certificates, and logs what is wrong with them. It is equal for
    places that share their files."""
    in_clear: bool = True
    """True if what comes to this place is not encrypted on its way, as far as the server knows."""
    scheme: str = ""
    """The scheme of its web page, `http` or `https`; empty if it has none, or if a proxy in front has its address."""
    for_this_machine: bool = False
    """True if other machines must not reach it."""

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
    path: Callable[[str], Path]
    """Reads the path of a certificate."""
    make: Callable[[Chat], Any]
    """Makes what listens there; see `WireKind.make`."""
    certificates: Callable[[], Certificates]
    """Returns the certificates of the option `--certificate`, which all places share; raises `WrongPlace`."""
    handshakes: Callable[[], HandshakeQueue]
    """Returns the queue of TLS handshakes, which all places share."""
    proxies: Sequence[Network]
    """The proxies that may send headers to a place with `haproxy:`."""
    web: WebSettings
    """What all places of the web share."""


class WebSettings(NamedTuple):
    """The settings that all places of the web share."""

    origins: Sequence[str] = ()
    """The origins of pages that may use the chat, beside its own."""
    proxies: Sequence[Network] = ()
    """The proxies that are believed when they name their clients."""


NO_WEB_SETTINGS: Final = WebSettings()


class WireKind(NamedTuple):
    """A kind of wire: how its places are read, and what listens there."""

    make: Callable[[Chat], Any]
    """Makes the listener: a factory for a stream, a protocol for datagrams."""
    read: Callable[[Reading], Place]
    """Reads the description of a place. Raises `WrongPlace`."""
    help: str


def read_places(
    reactor: ReactorBase,
    texts: Iterable[tuple[str, WireKind, str]],
    interface: str | None,
    certificate: str | None = None,
    key: str | None = None,
    folder: str = "",
    proxies: Sequence[Network] = THIS_MACHINE,
    web: WebSettings = NO_WEB_SETTINGS,
) -> Sequence[Place]:
    """Read descriptions of places, each with its option and its kind of wire; raises `WrongPlace`.

    `interface` is the address, or the host name, for those that are only a port number; `certificate` and `key` are
    files for those that have TLS by their option. Paths of certificates are read from `folder` on. `proxies` may send
    headers to places with `haproxy:`.
    """
    texts = list(texts)
    numbered = any(is_number(text) for _, _, text in texts)
    if interface is not None and not numbered:
        raise WrongPlace("--interface is for a port number; in an endpoint, write interface=ADDRESS instead")
    address = _resolve("--interface", "127.0.0.1" if interface is None else interface) if numbered else ""
    path = partial(_path, folder)
    files = [None if text is None else path(text) for text in (certificate, key)]
    certificates = cache(partial(_named_certificates, reactor, *files))
    handshakes = cache(partial(_make_queue, reactor))
    return [
        wire.read(Reading(reactor, option, text, address, path, wire.make, certificates, handshakes, proxies, web))
        for option, wire, text in texts
    ]


def _make_queue(reactor: ReactorBase) -> HandshakeQueue:
    from .wire.tls import HandshakeQueue  # here, since it needs more packages

    return HandshakeQueue(reactor)


def _path(folder: str, text: str) -> Path:
    """Return a path that stays the same when `twistd` changes to another folder."""
    return Path(os.path.abspath(os.path.join(folder, text)))


def _pair(host: str, port: int) -> str:
    """Return an address and a port as people paste them: RFC 3986 (section 3.2.2) puts IPv6 into brackets."""
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


def _read_datagrams(reading: Reading) -> Place:
    """Read a place for datagrams: a port, or an address and a port."""
    option, text = reading.option, reading.text
    if text.startswith("systemd:"):
        return _read_handed_over(reading)
    host, colon, port = text.rpartition(":")
    if not is_number(port) or (colon and (not host or (":" in host and (host[0], host[-1]) != ("[", "]")))):
        raise WrongPlace(
            f"{option} takes a port, or an address and a port such as 127.0.0.1:14900 or [::1]:14900, not '{text}'"
        )
    if not is_port(port):
        raise WrongPlace(f"{option} takes a port from 0 to 65535, not {port}")
    host = _resolve(option, host) if host else reading.address
    listen_udp: Callable[..., IListeningPort] = reading.reactor.listenUDP  # type: ignore[attr-defined]  # all have it
    shown = f"udp {_pair(host, int(port))}"
    return Place(shown, reading.make, lambda protocol: execute(listen_udp, int(port), protocol, host))


def _read_handed_over(reading: Reading) -> Place:
    """Read a place for datagrams at a socket that systemd hands over. Twisted finds only sockets for streams there."""
    text, reactor = reading.text, reading.reactor
    try:
        handed_over: Any = serverFromString(reactor, text)
        check_handed_over(handed_over, socket.SOCK_DGRAM)
    except Exception as error:  # as for streams
        why = _reason(error) or "write it as systemd:domain=INET:name=chat-udp.socket"
        raise WrongPlace(f"{reading.option} '{text}' cannot be used: {why}") from None
    return Place(text, reading.make, partial(listen_datagrams, reactor, handed_over))


# Streams


def _read_stream(reading: Reading) -> Place:
    """Read a place for a stream: a port, an address and a port, or the description of an endpoint."""
    return _read_endpoint(reading, None)


def _read_tls(reading: Reading) -> Place:
    """Read a place for a stream that gets TLS with the certificate of `--certificate`."""
    return _read_endpoint(reading, reading.certificates())


def _read_web(reading: Reading) -> Place:
    """Read a place of the web: a port, an address and a port, or the description of an endpoint."""
    is_proxied = reading.text.startswith("haproxy:")
    proxies = () if is_proxied else reading.web.proxies  # the PROXY header names the client
    make = partial(WebFactory, origins=reading.web.origins, proxies=proxies)
    place = _read_stream(reading._replace(make=make))
    return replace(place, scheme="" if is_proxied else "http" if place.in_clear else "https")


def _read_endpoint(reading: Reading, certificates: Certificates | None) -> Place:
    option, text, address = reading.option, reading.text, reading.address
    host, port = (address, text) if is_number(text) else _literal(text)
    if port and not is_port(port):
        raise WrongPlace(f"{option} takes a port from 0 to 65535, not {port}")
    description = f"tcp:{port}:interface={quoteStringArgument(host)}" if port else text
    try:
        stream = _Stream(reading, description, certificates)
    except Exception as error:  # each type of endpoint has its own ways to fail
        why = colons_hint(text) or _reason(error)
    else:
        shown = _pair(host, int(port)) if port else text
        return Place(shown, reading.make, stream.listen, stream.reload, stream.in_clear)
    if why:
        raise WrongPlace(f"{option} '{text}' cannot be used: {why}")
    raise WrongPlace(f"{option} takes a port or an endpoint such as tcp:14900:interface=0.0.0.0, not '{text}'")


def _literal(text: str) -> tuple[str, str]:
    """Split an address and its port, such as 0.0.0.0:14900 or [::]:14900; returns empty texts for anything else."""
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host  # as `_resolve` finds it
    bare = host[1:-1] if host[:1] + host[-1:] == "[]" else ""
    is_address = isIPAddress(host) or isIPv6Address(bare)
    return (bare or host, port) if is_address and is_number(port) else ("", "")


class _Stream:
    """A place for a stream: an endpoint, and the layers between it and the wire."""

    def __init__(self, reading: Reading, text: str, certificates: Certificates | None) -> None:
        """Read a description. Raises various exceptions if it is wrong."""
        self._reading = reading
        reactor = reading.reactor
        inner = text.removeprefix("haproxy:")
        self._proxied = inner != text
        self._parts = split(inner)
        check_description(self._parts, certificates is not None)
        self._certificates = certificates or _certificates_of(self._parts, reading.path, reactor)
        self.reload: Callable[[], object] = self._certificates.reload if self._certificates else Place.reload
        if self._parts[0] in BENEATH:
            inner = BENEATH[self._parts[0]](self._parts)
        self._endpoint: IStreamServerEndpoint = serverFromString(reactor, with_backlog(inner))
        self._handed_over: Any = self._endpoint if self._parts[0] == "systemd" else None
        if self._handed_over is not None:
            check_handed_over(self._handed_over, socket.SOCK_STREAM)

    @property
    def in_clear(self) -> bool:
        """True without TLS, unless a proxy is in front, which has the TLS of its own."""
        return self._certificates is None and not self._proxied

    def listen(self, factory: Any) -> Deferred[IListeningPort]:
        """Open the port."""
        if self._proxied:
            factory.is_proxied = True
        if self._certificates is not None:
            from .wire.tls import TLSFactory  # here, since it needs more packages

            factory = TLSFactory(self._certificates, factory, self._reading.handshakes(), self._reading.reactor)
        if self._proxied:
            factory = ProxyHeaderFactory(factory, self._reading.reactor, self._reading.proxies)
        if self._handed_over is not None:
            return listen_handed_over(self._reading.reactor, self._handed_over, factory, BACKLOG)
        if self._parts[0] != "unix":
            return self._endpoint.listen(factory)
        path = argument(self._parts, "address", 1)
        remove_socket(path)
        return self._endpoint.listen(factory).addErrback(_let_go_of_lock, path)


def _let_go_of_lock(failure: Failure, path: str) -> Failure:
    """Remove the lock file that Twisted made for a socket that it then could not open."""
    remove_lock(path)
    return failure


def _certificates_of(parts: list[str], path: Callable[[str], Path], reactor: ReactorBase) -> Certificates | None:
    """Read the certificates of `tls:` or `ssl:`. Raises `Misfit`."""
    if parts[0] not in ("tls", "ssl"):
        return None
    from .certificates import Certificates, WrongCertificates  # here, since they need OpenSSL, which is there now

    try:
        if parts[0] == "tls":
            folder = path(argument(parts, "path", 1))
            if not folder.is_dir():
                raise Misfit(f"tls:FOLDER:PORT takes a folder of certificates, and '{folder}' is not a folder")
            return Certificates.in_folder(folder, reactor.seconds)
        given = {name: argument(parts, name, at) for at, name in enumerate(SSL, 1)}
        key = given["privateKey"] or "server.pem"  # as Twisted has it
        files = [given["certKey"] or key, key, *filter(None, [given["extraCertChain"]])]
        return Certificates.in_files([path(file) for file in files], reactor.seconds)
    except WrongCertificates as error:
        raise Misfit(str(error)) from None


def _named_certificates(reactor: ReactorBase, certificate: Path | None, key: Path | None) -> Certificates:
    """Read the files of `--certificate` and `--key`. Raises `WrongPlace`."""
    if certificate is None:
        raise WrongPlace(
            "--tls needs --certificate FILE, and --key FILE unless the same file has the key; "
            "'twisted-chat certificate' makes both for a try"
        )
    if find_spec("OpenSSL") is None:
        raise WrongPlace(NEEDS_TLS)
    from .certificates import Certificates, NoKey, WrongCertificates

    for option, file in (("--certificate", certificate), ("--key", key)):
        if file is not None and file.is_dir():
            raise WrongPlace(
                f"{option} takes a file, and '{file}' is a folder; for a folder, use --port tls:FOLDER:PORT"
            )
    try:
        return Certificates.in_files([certificate, key or certificate], reactor.seconds)
    except WrongCertificates as error:
        hint = ", or name its file with --key" if isinstance(error, NoKey) and key is None else ""
        raise WrongPlace(f"--certificate cannot be used: {error}{hint}") from None


def _reason(error: Exception) -> str:
    """Return the reason why a description is wrong, or nothing if only a programmer would understand it."""
    if isinstance(error, IndexError | KeyError):  # of the environment variables LISTEN_FDS and LISTEN_FDNAMES
        return "systemd has handed over no such socket"
    return str(error) if isinstance(error, Misfit | WrongSocket) else ""


# Texts for people


def address_text(address: IAddress) -> str:
    """Return the address of a port in a form that can be pasted into a client."""
    if isinstance(address, IPv4Address | IPv6Address):
        return f"{'udp ' * (address.type == 'UDP')}{_pair(address.host, address.port)}"
    if isinstance(address, UNIXAddress) and address.name:
        return os.path.abspath(os.fsdecode(address.name))
    return str(address)


def page_address(scheme: str, address: IAddress) -> str:
    """Return the address of a web page, for a browser on this machine; empty if the port is on no single address."""
    if not (scheme and isinstance(address, IPv4Address | IPv6Address)) or address.host in ("0.0.0.0", "::"):
        return ""
    return f"{scheme}://{_pair(address.host, address.port)}/"


_ADVICE: Final = {
    errno.EADDRINUSE: "something listens there already; stop it, or choose another place",
    errno.EADDRNOTAVAIL: "this machine has no such address; give --interface one that it has, or 127.0.0.1",
    errno.EACCES: "this user may not; choose a port above 1023, or a folder that this user may write to",
    errno.EINVAL: "invalid address; one that begins with fe80 needs its interface, such as fe80::1%eth0",
    errno.ENOENT: "its folder does not exist; make it first",
}


class TooPublic(Exception):
    """Other machines can reach a place that is for this one only."""


def refusal(place: Place, error: Exception) -> str:
    """Return the reason why a place cannot be listened on, and what to do."""
    if isinstance(error, TooPublic):
        return f"--status {place.text} can be reached from other machines: give it a --status-token FILE, or 127.0.0.1"
    cause = error.socketError if isinstance(error, CannotListenError) else error
    if isinstance(cause, OSError):
        why = _ADVICE.get(cause.errno or 0) or cause.strerror
    elif isinstance(error, CannotListenError) and error.interface is None:  # the lock beside a Unix socket is taken
        why = _ADVICE[errno.EADDRINUSE]
    else:
        why = str(cause)
    return f"cannot listen on {place.text}: {why}"


def is_public(address: IAddress) -> bool:
    """True if other machines may reach an address."""
    if not isinstance(address, IPv4Address | IPv6Address):
        return False
    ip = ip_address(address.host)
    return not (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


LINES: Final = WireKind(JSONLinesFactory, _read_stream, "Another PLACE to listen on; may be given several times.")

WIRES: Final[dict[str, WireKind]] = {
    "listen": LINES,
    "tls": WireKind(
        JSONLinesFactory,
        _read_tls,
        "PLACE to listen on with TLS and the certificate of --certificate; may be given several times.",
    ),
    "udp": WireKind(
        UDPPort,
        _read_datagrams,
        "Listen on UDP too, at a port, such as 14900, ADDRESS:14900 or [IPv6]:14900; may be given several times.",
    ),
    "web": WireKind(
        WebFactory,
        _read_web,
        "PLACE to serve the chat at as a web page, and to browsers; may be given several times.",
    ),
}
"""The kinds of wires by the options that name their places. `--port` is one more `--listen`."""
