"""The options of `twistd chat` and the service that they describe: the only place that opens ports.

    twistd -n chat --port 14900

To add an option: a line in `Options.optParameters` and, where not every text is right, a function that takes the text
and gives the value, or raises `UsageError` with what is wrong and what is right. A default is not checked.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import re
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple, cast, get_args

from twisted.application.service import Service
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred, execute, maybeDeferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint, IUDPTransport
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from . import __version__
from .chat import Chat
from .clock import keep_steady
from .limits import Limits
from .log import Unavailable, Unusable
from .room import TAIL_BYTES, Soon
from .stores.retention import EVERYTHING, Keep, read_keep
from .stores.sqlite.database import Durability
from .stores.sqlite.log import SQLiteLog
from .wire.jsonlines import JSONLinesFactory
from .wire.udp import UDPPort

FAREWELL: Final = 3.0
"""Seconds that clients have to take what was written to them when the server stops. A supervisor that waits five
before it kills still sees the log closed."""

BACKLOG: Final = "backlog=4096"
"""Connections that the kernel holds for us until we take them: what Linux allows by default. After a restart all come
back at once, and with the 50 of Twisted a thousand needed 16 s, since who finds no place asks again in a second or
more."""

YOUNG_OBJECTS: Final = 10_000
"""New objects after which Python looks for cycles among them. A server makes none for a message; to look after 700, as
Python does by itself, took 4 % of a busy one's time."""

FILES: Final = 64
"""Files that are open beside the connections: the database's, the ports', the log's, Python's own."""

MEMORY: Final = ":memory:"
"""The name of a database that is on no disk."""

_log = Logger()


class CannotStart(SystemExit, Exception):
    """The server cannot start; the text says why and what to do.

    `twistd` cleans up after an `Exception`: it removes its pid file and tells a parent that waits for its daemon. Of a
    `SystemExit` the interpreter prints the text alone, and ends with status 1. It takes both to have both.
    """


@dataclass(frozen=True)
class Place:
    """Where to listen."""

    text: str
    """For people: `127.0.0.1:14900`, or the description of an endpoint as they wrote it."""
    endpoint: IStreamServerEndpoint

    def listen(self, chat: Chat) -> Deferred[IListeningPort]:
        """Open the port."""
        return self.endpoint.listen(JSONLinesFactory(chat))


@dataclass(frozen=True)
class UDPPlace:
    """Where to take datagrams."""

    text: str
    reactor: Any
    host: str
    port: int

    def listen(self, chat: Chat) -> Deferred[IListeningPort]:
        """Open the port."""
        return execute(self.reactor.listenUDP, self.port, UDPPort(chat), self.host)


class Options(usage.Options):
    """What `twistd chat` takes. Beside the options there are `places`, a list of `Place`, once all are read."""

    synopsis = "[options]"
    longdesc = (
        "PLACE is a port's number or the description of a Twisted endpoint, such as tcp:14900:interface=0.0.0.0, "
        "unix:/run/chat.sock, systemd:domain=INET:index=0 or tls:/etc/certificates:14943."
    )

    optParameters = [
        ["port", "p", "14900", "PLACE to listen on; port 0 takes a free one."],
        ["interface", "i", None, "Address or host name for ports given as numbers. [default: 127.0.0.1]"],
        ["database", "d", "chat.sqlite", f"File with the rooms' logs, or {MEMORY} to keep nothing on disk."],
        ["durability", None, "process", "What acked messages survive: kill -9 (process) or a power cut too (power)."],
        ["memory", None, "1", "MiB of the newest messages of all rooms that stay in memory."],
        ["rate", None, "200", "Requests a second of one connection, in the long run; 0 is no limit."],
        ["burst", None, "2000", "Requests that one connection may send at once."],
        ["connections", None, "100000", "Connections in all."],
        ["connections-per-address", None, "1000", "Connections from one address."],
    ]

    def opt_listen(self, place: str) -> None:
        """Another PLACE to listen on, any number of times."""
        self.setdefault("listen", []).append(place)

    def opt_udp(self, place: str) -> None:
        """Listen on UDP too, at a port, such as 14900, ADDRESS:14900 or [IPv6]:14900; any number of times."""
        self.setdefault("udp", []).append(place)

    def opt_keep(self, limit: str) -> None:
        """How long messages stay, such as 90d, or how many a room, such as 1000000; may be given several times."""
        self.setdefault("keep", []).append(limit)

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"twisted_chat {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *arguments: str) -> None:
        """Take options and nothing else; raises `UsageError`."""
        if arguments:
            raise usage.UsageError(f"chat takes options such as --port 14900 and no arguments, not '{arguments[0]}'")

    def postOptions(self) -> None:
        """Check what depends on other options; raises `UsageError`."""
        reactor = _reactor()
        places = [("--port", self["port"])]
        places += [(f"--{option}", text) for option in ("listen", "udp") for text in self.get(option, [])]
        self["database"] = _database(self["database"], self.parent["rundir"] if self.parent else "")
        self["places"] = _places(reactor, places, self["interface"])
        if self["durability"] not in get_args(Durability):
            raise usage.UsageError(f"--durability takes process or power, not '{self['durability']}'")
        try:
            self["keep"] = read_keep(self.get("keep", []))
        except ValueError as error:
            raise usage.UsageError(f"--keep takes {error}") from None
        self["memory"] = _count("--memory", self["memory"], 0) * 2**20
        self["limits"] = Limits(
            rate=_count("--rate", self["rate"], 0),
            burst=_count("--burst", self["burst"], 1),
            connections=min(_count("--connections", self["connections"], 1), _most_connections()),
            connections_per_address=_count("--connections-per-address", self["connections-per-address"], 1),
        )


def makeService(options: Options) -> ChatService:
    """Make the server that the options describe."""
    reactor = _reactor()
    keep_steady(reactor)
    store = Store(options["database"], options["durability"], options["keep"], options["memory"])
    return ChatService(reactor, options["places"], store, options["limits"])


def _count(option: str, text: str, least: int) -> int:
    """Read a number of things; raises `UsageError`."""
    if not _is_number(text) or int(text) < least:
        raise usage.UsageError(f"{option} takes a whole number from {least} on, not '{text}'")
    return int(text)


def _most_connections() -> int:
    """Raise the number of files that this process may open as far as it may; say how many may be connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return max(1, most - FILES)


def _soon(reactor: ReactorBase) -> Soon:
    """Find the cheapest way to have a function called at the end of this turn: asyncio's own, where it runs."""
    call_soon: Callable[[Callable[[], None]], object] | None = None

    def soon(function: Callable[[], None]) -> None:
        nonlocal call_soon
        if call_soon is None:
            try:
                call_soon = asyncio.get_running_loop().call_soon
            except RuntimeError:  # it is another reactor, or does not run yet
                reactor.callLater(0, function)
                return
        call_soon(function)

    return soon


def _reactor() -> ReactorBase:
    """Return the reactor; where none is installed (with `--reactor` one is), that on asyncio, for asyncio's libraries.

    `twistd` imports it only after the options are read, and `--reactor` installs what it names before ours are.
    """
    if "twisted.internet.reactor" not in sys.modules:
        from twisted.internet import asyncioreactor

        asyncioreactor.install()
    from twisted.internet import reactor

    return cast(ReactorBase, reactor)


def _database(text: str, rundir: str) -> str:
    """Check `--database`; `rundir` is the folder that `twistd` will change to. Returns an absolute path."""
    if text == MEMORY:
        return text
    path = os.path.abspath(os.path.join(rundir, text))
    folder = os.path.dirname(path)
    if not text or os.path.isdir(path):
        raise usage.UsageError(f"--database takes the name of a file, such as chat.sqlite, and '{text}' is none")
    if not os.path.isdir(folder):
        raise usage.UsageError(f"--database needs a folder that is there: make '{folder}' first, or name another")
    # SQLite keeps files of its own beside the database.
    for needed in (folder, path):
        if os.path.exists(needed) and not os.access(needed, os.R_OK | os.W_OK):
            raise usage.UsageError(f"--database needs a place to write to, and this user may not write to '{needed}'")
    return path


def _places(reactor: ReactorBase, texts: list[tuple[str, str]], interface: str | None) -> list[Place | UDPPlace]:
    """Read what `--port`, `--listen` and `--udp` say, as pairs of the option and its text."""
    numbered = [text for _, text in texts if _is_number(text)]
    if interface is not None and not numbered:
        raise usage.UsageError("--interface goes with a port's number; in an endpoint, write interface=… instead")
    address = _resolve("--interface", "127.0.0.1" if interface is None else interface) if numbered else ""
    places: list[Place | UDPPlace] = []
    for option, text in texts:
        if option == "--udp":
            places.append(_for_datagrams(reactor, text, address))
        elif text in numbered:
            places.append(_numbered(reactor, option, text, address))
        else:
            places.append(_described(reactor, option, text))
    return places


def _for_datagrams(reactor: ReactorBase, text: str, address: str) -> UDPPlace:
    """Read what `--udp` says; `address` is for a port's number alone."""
    host, colon, port = text.rpartition(":")
    if not _is_number(port) or (colon and (not host or (":" in host and (host[0], host[-1]) != ("[", "]")))):
        raise usage.UsageError(
            f"--udp takes a port, or an address and a port such as 127.0.0.1:14900 or [::1]:14900, not '{text}'"
        )
    if not _is_port(port):
        raise usage.UsageError(f"--udp takes a port from 0 to 65535, not {port}")
    host = _resolve("--udp", host) if host else address
    return UDPPlace(f"udp {_pair(host, int(port))}", reactor, host, int(port))


def _resolve(option: str, name: str) -> str:
    """Find an address to listen on: the first of IPv4 or, where the name has none, the first of IPv6.

    One address, since a host's name often has one that the host does not listen on (`localhost` and IPv6 in many a
    container); `--listen` adds others.
    """
    name = name.removeprefix("[").removesuffix("]")
    if isIPAddress(name) or isIPv6Address(name):
        return name  # as it is: the resolver would lose the scope of fe80::1%eth0
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: what IDNA cannot encode
        raise usage.UsageError(
            f"{option} takes an address or a name of this machine, and '{name}' is no name that is known: "
            f"{getattr(error, 'strerror', error)}"
        ) from None
    _, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return str(address[0])


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,9}", text) is not None


def _numbered(reactor: ReactorBase, option: str, text: str, address: str) -> Place:
    """Read a port's number."""
    if not _is_port(text):
        raise usage.UsageError(f"{option} takes a port from 0 to 65535, not {text}")
    endpoint = serverFromString(reactor, f"tcp:{int(text)}:interface={quoteStringArgument(address)}:{BACKLOG}")
    return Place(_pair(address, int(text)), endpoint)


def _is_port(text: str) -> bool:
    return _is_number(text) and 0 <= int(text) <= 65535


def _pair(host: str, port: int) -> str:
    """Write an address as people paste it: RFC 3986 (section 3.2.2) has brackets around one of IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _described(reactor: ReactorBase, option: str, text: str) -> Place:
    """Read the description of an endpoint."""
    try:
        _check_description(text)
        return Place(text, serverFromString(reactor, _with_backlog(text)))
    except Exception as error:  # each type of endpoint has its own ways to fail
        why = _address_hint(text) or _misfit(error)
    raise usage.UsageError(
        f"{option} takes a number or an endpoint such as tcp:14900:interface=0.0.0.0, not '{text}'{why and f': {why}'}"
    )


def _address_hint(text: str) -> str:
    """Say how an address of IPv6 is written, where a description that cannot be read has one that is not."""
    found = re.search(r":interface=([^=]*?)(?=:\w+=|$)", text)
    address = found[1] if found else ""
    if not isIPv6Address(address):
        return ""
    return f"the colons of an address are escaped, interface={quoteStringArgument(address)}"


def _with_backlog(text: str) -> str:
    """Say how many may wait, where the type of endpoint takes that and the description does not have it."""
    kind = text.partition(":")[0]
    takes_it = kind in ("tcp", "tcp6", "ssl", "tls", "unix") and "backlog=" not in text
    return f"{text}:{BACKLOG}" if takes_it else text


class _Misfit(Exception):
    """An endpoint's description that Twisted would read and that fails later, or says nothing to a person."""


_PORT_AT: Final = {"tcp": 1, "tcp6": 1, "ssl": 1, "tls": 2}
"""Where in a description its port is, counted from the type. It can also be written as `port=`."""


def _check_description(text: str) -> None:
    """Find what Twisted itself does not find, or does not name; raises `_Misfit`."""
    parts = re.split(r"(?<!\\):", text.removeprefix("haproxy:"))
    kind = parts[0]
    if kind == "stdio":
        raise _Misfit("nobody can connect to stdio")
    if kind in ("ssl", "tls") and find_spec("OpenSSL") is None:
        raise _Misfit("this needs pyOpenSSL: pip install 'twisted[tls]'")
    if kind == "tls" and not os.path.isdir(folder := _argument(parts, "path", 1)):
        raise _Misfit(f"tls:FOLDER:PORT takes a folder of certificates, and '{folder}' is none")
    port = _argument(parts, "port", _PORT_AT.get(kind, len(parts)))
    if port and not _is_port(port):
        raise _Misfit(f"a port is a number from 0 to 65535, not '{port}'")
    if kind == "tls":
        _check_certificates(folder)


def _check_certificates(folder: str) -> None:
    """See that there is something to show to clients, since Twisted would only fail them; raises `_Misfit`."""
    pem = b"".join(path.read_bytes() for path in Path(folder).rglob("*.pem") if path.is_file())
    for what in ("CERTIFICATE", "PRIVATE KEY"):
        if f"{what}-----".encode() not in pem:
            raise _Misfit(f"no file *.pem in '{folder}' has a {what.lower()}")


def _argument(parts: list[str], name: str, at: int) -> str:
    """Find an argument in a description's parts by its name or its place; an empty text where it is left out."""
    named = [part.partition("=")[2] for part in parts if part.startswith(f"{name}=")]
    return "".join(named or [part for part in parts if "=" not in part][at : at + 1]).replace("\\", "")


def _misfit(error: Exception) -> str:
    """Say why a description cannot be read, or nothing where only a programmer would understand it."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror}: {os.fsdecode(error.filename)}"
    if isinstance(error, IndexError | KeyError):  # of what LISTEN_FDS and LISTEN_FDNAMES tell
        return "systemd has handed over no such socket"
    known = isinstance(error, _Misfit) or str(error).startswith("Unknown endpoint type")
    return str(error) if known else ""


class Store(NamedTuple):
    """How the rooms' logs are kept."""

    database: str
    durability: Durability = "process"
    keep: Keep = EVERYTHING
    memory: int = TAIL_BYTES
    """Bytes of the newest messages that stay in memory."""


class ChatService(Service):
    """The server as `twistd` starts and stops it: a log, a chat on it, and the ports.

    It listens in `startService`, when `twistd --uid` has already changed the user: the files are that user's, and a
    port below 1024 has to come from systemd.
    """

    def __init__(
        self,
        reactor: ReactorBase,
        places: Sequence[Place | UDPPlace],
        store: Store,
        limits: Limits | None = None,
    ) -> None:
        self._reactor = reactor
        self._places = places
        self._store = store
        self._limits = limits
        self._ports: list[IListeningPort] = []

    def startService(self) -> None:
        """Open the log and listen everywhere; raises `CannotStart`, with all closed again.

        It returns when that is done, since only from here does an error reach `twistd`, its exit status, and whoever
        waits for its daemon.
        """
        self._log = self._open()
        self._chat = Chat(self._reactor, self._log, self._limits, _soon(self._reactor), self._store.memory)
        failures: list[Failure] = []
        self._turn_until(Deferred.fromCoroutine(self._start()).addErrback(failures.append))
        if failures:
            self._turn_until(self.stopService())
            failures[0].raiseException()
        gc.collect()
        gc.freeze()  # what stays as long as the server is not looked through again and again
        gc.set_threshold(YOUNG_OBJECTS)
        Service.startService(self)

    def _turn_until(self, done: Deferred[Any]) -> None:
        """Turn the reactor, which `twistd` does not run yet, until something is done."""
        while not done.called:
            self._reactor.iterate(0.01)

    def _open(self) -> SQLiteLog:
        try:
            log = SQLiteLog.open_file(self._store.database, self._reactor, self._store.durability, self._store.keep)
        except Unusable as error:
            raise CannotStart(str(error)) from None
        _log.info("twisted_chat {version}, database {database}", version=__version__, database=self._store.database)
        return log

    async def _start(self) -> None:
        try:
            await self._chat.start()
        except Unavailable as error:
            raise CannotStart(f"{self._store.database} cannot be read: {error}") from None
        for place in self._places:
            try:
                port = await place.listen(self._chat)
            except Exception as error:  # each type of endpoint has its own ways to fail
                raise CannotStart(_refusal(place, error)) from None
            self._ports.append(port)
            # Said when the reactor runs: before, a signal would kill, and a client get no answer.
            self._reactor.callWhenRunning(_log.info, "listening on {address}", address=_address(port.getHost()))

    def stopService(self) -> Deferred[None]:
        """Say goodbye to all and close; fires when the log is closed, `FAREWELL` seconds and a little later at most."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        # A port for datagrams is where its clients are told; all others only let new ones in.
        carriers = [port for port in self._ports if IUDPTransport.providedBy(port)]
        await _close([port for port in self._ports if port not in carriers])
        goodbye = maybeDeferred(self._chat.stop, "the server is shutting down")
        await _settled("telling all clients", goodbye.addTimeout(FAREWELL, self._reactor))
        await _close(carriers)
        await _settled("closing the log", maybeDeferred(self._log.close))
        # twistd would end itself with the signal that stopped it, and there is no public way to say that all is well.
        self._reactor._exitSignal = None


async def _close(ports: Sequence[IListeningPort]) -> None:
    for closed in [maybeDeferred(port.stopListening) for port in ports]:
        await _settled("closing a port", closed)


async def _settled(step: str, done: Deferred[Any]) -> None:
    """Wait for a step of stopping; where it fails, the others are taken all the same."""
    try:
        await done
    except TookTooLong:
        _log.warn("{step} took too long: some do not read", step=step)
    except Exception:
        _log.failure("{step} failed", step=step)


def _address(address: IAddress) -> str:
    """Write where a port listens, in a form that can be pasted into a client."""
    if isinstance(address, IPv4Address | IPv6Address):
        return f"{'udp ' * (address.type == 'UDP')}{_pair(address.host, address.port)}"
    if isinstance(address, UNIXAddress) and address.name:
        return os.path.abspath(os.fsdecode(address.name))
    return str(address)


_ADVICE: Final = {
    errno.EADDRINUSE: "something listens there already; stop it, or choose another port",
    errno.EADDRNOTAVAIL: "this machine has no such address; give --interface one that it has, or 127.0.0.1",
    errno.EACCES: "this user may not; choose a port above 1023, or a folder that it may write to",
    errno.ENOENT: "its folder is not there; make it first",
}


def _refusal(place: Place | UDPPlace, error: Exception) -> str:
    """Say why a port cannot be had, and what to do."""
    cause = error.socketError if isinstance(error, CannotListenError) else error
    if isinstance(cause, OSError):
        why = _ADVICE.get(cause.errno or 0) or cause.strerror
    elif isinstance(error, CannotListenError) and error.interface is None:  # the lock beside a Unix socket is taken
        why = _ADVICE[errno.EADDRINUSE]
    else:
        why = str(cause)
    return f"cannot listen on {place.text}: {why}"
