"""The options of `twistd chat`, and the service that they describe.

    twistd -n chat --port 14900

To add an option, add a line to `Options.optParameters` and, if not every text is right, a function that takes the text
and returns the value, or raises `UsageError` with what is wrong and what is right. A default is not checked. An option
that names a place to listen on comes with its kind of wire, in `places.WIRES`.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar, cast, get_args

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import AuthOptionMixin
from twisted.internet.base import ReactorBase
from twisted.logger import Logger
from twisted.python import usage

from . import __version__, names
from .chat import Chat
from .clock import keep_steady
from .descriptions import is_number
from .forbidden_nicks import ForbiddenNicks, explain
from .leftovers import remove_pid_file
from .limits import Limits
from .login import Policy, Registration
from .logs.access import FORMATS, AccessLog
from .logs.json_format import json_observer
from .messages import WireError
from .needs_asyncpg import NEEDS_ASYNCPG
from .places import LINES, WIRES, Place, WebSettings, WrongPlace, read_places
from .service import ChatService, StoreSettings
from .stores.postgresql.urls import check_url, is_url
from .stores.retention import read_keep
from .stores.sqlite.database import Durability
from .stores.sqlite.file import IN_MEMORY
from .supervisor import Supervisor
from .wire.proxy import THIS_MACHINE, Network

MIN_TOKEN: Final = 16
"""Characters of the secret of the status, at least: it may be tried as often as somebody likes."""

FILES: Final = 64
"""The number of files that are open beside the connections: those of the database, the ports, the log, and Python."""


_log = Logger()
_T = TypeVar("_T")


class Options(AuthOptionMixin, usage.Options):
    """The options of `twistd chat`. Once all are read, there is also `places`, a list of `Place`."""

    synopsis = "[options]"
    longdesc = (
        "PLACE is a port number or the description of a Twisted endpoint, such as tcp:14900:interface=0.0.0.0, "
        "unix:/run/chat.sock, systemd:domain=INET:index=0 or tls:/etc/certificates:14943."
    )

    optParameters = [
        ["port", "p", "14900", "PLACE to listen on; port 0 takes a free one."],
        ["interface", "i", None, "Address or host name for places that are a port number. [default: 127.0.0.1]"],
        ["certificate", None, None, "PEM file with the certificate of --tls, and those of its authority above it."],
        ["key", None, None, "PEM file with its private key, unless that is in the same file."],
        [
            "database",
            "d",
            "chat.sqlite",
            f"File with the rooms' logs, {IN_MEMORY} to keep nothing on disk, or the URL of a database in PostgreSQL, "
            "such as postgresql://chat@one,two/chat.",
        ],
        ["durability", None, "process", "What acked messages survive: kill -9 (process) or a power cut too (power)."],
        ["memory", None, "1", "MiB of the newest messages of all rooms that stay in memory."],
        ["rate", None, "200", "Requests per second of one connection, in the long run; 0 is no limit."],
        ["burst", None, "2000", "Requests that one connection may send at once."],
        ["address-rate", None, None, "The same of all connections of one address. [default: five times --rate]"],
        ["address-burst", None, None, "Requests that they may send at once. [default: five times --burst]"],
        ["connections", None, "100000", "Connections in all."],
        ["connections-per-address", None, "1000", "Connections of one address, and how many may come at once."],
        ["new-connections", None, "20", "New connections per second of one address; 0 is no limit."],
        ["rooms-per-session", None, "500", "Rooms that one connection may be in."],
        ["members", None, "10000", "Members of one room."],
        ["rooms", None, "100000", "Rooms in all that have messages, a topic or members."],
        ["new-rooms", None, "100", "Rooms that one connection may begin per hour; 0 is no limit."],
        [
            "registration",
            None,
            "open",
            "Who may make a nick an account: open, approved (an operator lets in) or closed.",
        ],
        ["guests", None, "yes", "Let nicks in that are no account (yes), or only to register (no)."],
        ["forbid-nicks", None, None, "File with patterns of nicks that nobody may take, such as *admin*, one a line."],
        ["status", None, None, "PLACE for the status of the server: /metrics, /readyz, and a page with the last hour."],
        [
            "log-format",
            None,
            "text",
            "Format of the server's log and of --access-log: text, or json, one object a line.",
        ],
        ["access-log", None, None, "File for a line on each connection that has ended; SIGHUP opens it anew."],
        ["status-token", None, None, "File with the secret that the status needs where other machines can reach it."],
        ["bare", None, "yes", "Serve clients that never say hello, in the room lobby (yes), or end them (no)."],
    ]

    supportedInterfaces = (IUsernamePassword,)

    def __init__(self, reactor: ReactorBase | None = None) -> None:
        """Make options for a reactor: by default, the one that `chosen_reactor` returns."""
        usage.Options.__init__(self)
        self["reactor"] = reactor

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the command line. Under `twistd`, an error is a single line, without a page on all options above it."""
        try:
            usage.Options.parseOptions(self, options)
        except usage.UsageError as error:
            if self.parent is None:
                raise
            raise SystemExit(f"twistd chat: {error}\n'twistd chat --help' lists all options.") from None

    def opt_keep(self, limit: str) -> None:
        """How long messages stay, such as 90d, or how many a room, such as 1000000; may be given several times."""
        self.setdefault("keep", []).append(limit)

    def opt_trust_proxy(self, address: str) -> None:
        """Address or network of a proxy in front of --web or haproxy: [for haproxy: this machine]; may be repeated."""
        self.setdefault("trust-proxy", []).append(address)

    def opt_web_origin(self, origin: str) -> None:
        """Origin of pages that may use the chat, such as https://chat.example.org; may be given several times."""
        self.setdefault("web-origin", []).append(_origin(origin))

    def opt_operator(self, nick: str) -> None:
        """Account of somebody who runs the server; may be given several times."""
        self.setdefault("operator", []).append(nick)

    def opt_auth(self, description: str) -> None:
        """Checker of passwords in place of the database, such as file:/etc/passwords; see --help-auth."""
        super().opt_auth(description)  # type: ignore[no-untyped-call]  # Twisted gives it no types

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"twisted_chat {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *arguments: str) -> None:
        """Accept options and no other arguments. Raises `UsageError`."""
        if arguments:
            raise usage.UsageError(f"chat takes options such as --port 14900 and no arguments, not '{arguments[0]}'")

    def postOptions(self) -> None:
        """Check the options that depend on others. Raises `UsageError`."""
        self["reactor"] = self["reactor"] or chosen_reactor()
        rundir = self.parent["rundir"] if self.parent else ""
        self["database"] = _database(self["database"], rundir)
        self["places"] = self._read_places(rundir)
        self["status"] = self._read_status(rundir)
        self["log-format"] = _one_of("--log-format", self["log-format"], tuple(FORMATS))
        self._check_log_format()
        self["access-log"] = self._access_log(rundir)
        self["durability"] = _one_of("--durability", self["durability"], get_args(Durability))
        try:
            self["keep"] = read_keep(self.get("keep", []))
        except ValueError as error:
            raise usage.UsageError(f"--keep takes {error}") from None
        self["forbid-nicks"] = _forbidden_nicks(self["forbid-nicks"], rundir)
        self["memory"] = _count("--memory", self["memory"], 0) * 2**20
        self["policy"] = Policy(
            _one_of("--registration", self["registration"], get_args(Registration)),
            _yes_or_no("--guests", self["guests"]),
            frozenset(_operator(nick) for nick in self.get("operator", ())),
            tuple(self.get("credCheckers", ())),
        )
        self["limits"] = self._read_limits()
        if self.parent and self.parent["pidfile"] and remove_pid_file(pid_file := self.parent["pidfile"]):
            _log.info("removed {path}, which a server that was killed had left", path=pid_file)

    def _read_places(self, rundir: str) -> Sequence[Place]:
        """Read the places where the server listens. Raises `UsageError`."""
        places = [("--port", LINES, self["port"])]
        places += [(f"--{option}", wire, text) for option, wire in WIRES.items() for text in self.get(option, [])]
        for option in ("certificate", "key"):
            if self[option] is not None and "tls" not in self:
                raise usage.UsageError(f"--{option} is for --tls PLACE, such as --tls 14943")
        if "web-origin" in self and "web" not in self:
            raise usage.UsageError("--web-origin is for --web PLACE, such as --web 14980")
        trusted = _proxies(self.get("trust-proxy", []), places)
        try:
            return read_places(
                self["reactor"],
                places,
                self["interface"],
                self["certificate"],
                self["key"],
                rundir,
                trusted or THIS_MACHINE,
                WebSettings(self.get("web-origin", ()), trusted),
            )
        except WrongPlace as error:
            raise usage.UsageError(str(error)) from None

    def _read_limits(self) -> Limits:
        """Read the options that set limits. Raises `UsageError`."""
        rate, burst = _count("--rate", self["rate"], 0), _count("--burst", self["burst"], 1)
        return Limits(
            rate=rate,
            burst=burst,
            address_rate=_count("--address-rate", self["address-rate"], 0, 5 * rate),
            address_burst=_count("--address-burst", self["address-burst"], 1, 5 * burst),
            connections=min(_count("--connections", self["connections"], 1), _most_connections()),
            connections_per_address=_count("--connections-per-address", self["connections-per-address"], 1),
            new_connections=_count("--new-connections", self["new-connections"], 0),
            rooms_per_session=_count("--rooms-per-session", self["rooms-per-session"], 1),
            members=_count("--members", self["members"], 1),
            rooms=_count("--rooms", self["rooms"], 1),
            new_rooms=_count("--new-rooms", self["new-rooms"], 0),
            bare=_yes_or_no("--bare", self["bare"]) and self["policy"].guests,
        )

    def _read_status(self, rundir: str) -> Sequence[Place]:
        """Read the place of `--status`, if it is given. Raises `UsageError`."""
        if self["status"] is None:
            if self["status-token"] is not None:
                raise usage.UsageError("--status-token is for --status PLACE, such as --status 14990")
            return ()
        token = _token(self["status-token"], rundir)
        if not token and self["status"].startswith("haproxy:"):
            raise usage.UsageError(
                "--status with haproxy: can be reached through a proxy: give it a --status-token FILE"
            )
        kind = LINES._replace(make=partial(_make_status, token=token))
        try:
            places = read_places(self["reactor"], [("--status", kind, self["status"])], None, folder=rundir)
        except WrongPlace as error:
            raise usage.UsageError(str(error)) from None
        return [replace(place, for_this_machine=not token) for place in places]

    def _check_log_format(self) -> None:
        """Check that `twistd` was not asked for another kind of log. Raises `UsageError`."""
        for option in ("logger", "syslog"):
            if self["log-format"] != "text" and self.parent and self.parent[option]:
                raise usage.UsageError(f"--log-format is for a log in a file: leave out --{option} of twistd")

    def _access_log(self, rundir: str) -> AccessLog | None:
        """Read `--access-log`. The file is opened later, by the user that `twistd` changes to. Raises `UsageError`."""
        if self["access-log"] is None:
            return None
        if self["access-log"] == "-":
            raise usage.UsageError("--access-log takes the name of a file: write ./- for one that is called -")
        path = os.path.abspath(os.path.join(rundir, self["access-log"]))
        if os.path.isdir(path):
            raise usage.UsageError(f"--access-log takes the name of a file, and '{path}' is a folder")
        return AccessLog(path, self["reactor"], FORMATS[self["log-format"]])


def _make_status(chat: Chat, token: bytes) -> object:
    from .status.visit import StatusFactory  # here, since most servers need none of its packages

    return StatusFactory(chat, token)


def _token(text: str | None, rundir: str) -> bytes:
    """Read the file of `--status-token`; empty if there is none. Raises `UsageError`."""
    if text is None:
        return b""
    path = os.path.abspath(os.path.join(rundir, text))
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise usage.UsageError(f"--status-token: {path} cannot be read: {error.strerror}") from None
    token = lines[0].strip() if lines else b""
    if len(token) < MIN_TOKEN:
        raise usage.UsageError(
            f"--status-token: the first line of {path} needs {MIN_TOKEN} characters or more, such as those that "
            "'openssl rand -hex 16' prints"
        )
    return token


def _repeatable(option: str, explained: str) -> Callable[[Options, str], None]:
    """Return the method by which `usage.Options` finds an option that may be given several times."""

    def take(self: Options, text: str) -> None:
        self.setdefault(option, []).append(text)

    take.__doc__ = explained
    return take


for _option, _wire in WIRES.items():
    setattr(Options, f"opt_{_option}", _repeatable(_option, _wire.help))


def makeService(options: Options) -> ChatService:
    """Make the server that the options describe."""
    reactor = options["reactor"]
    keep_steady(reactor)
    store = StoreSettings(options["database"], options["durability"], options["keep"], options["memory"])
    forbidden_nicks = options["forbid-nicks"]
    return ChatService(
        reactor,
        options["places"],
        store,
        options["limits"],
        options["policy"],
        make_chat=partial(Chat, forbidden_nicks=forbidden_nicks),
        terminal=kept_terminal(options.parent),
        reloads=[forbidden_nicks.reload],
        status=options["status"],
        supervisor=Supervisor(reactor),
        access_log=options["access-log"],
        make_log_observer=partial(json_observer, options.parent or {}) if options["log-format"] == "json" else None,
    )


def kept_terminal(twistd: Any) -> TextIO | None:
    """Keep the standard error that a daemon is about to give up, so that it can report why it cannot start."""
    if twistd is None or twistd["nodaemon"]:
        return None
    try:
        return open(os.dup(2), "w")
    except OSError:  # standard error is closed
        return None


def _forbidden_nicks(text: str | None, rundir: str) -> ForbiddenNicks:
    """Read the file of `--forbid-nicks`; `rundir` is the folder that `twistd` will change to. Raises `UsageError`."""
    path = None if text is None else os.path.abspath(os.path.join(rundir, text))
    try:
        return ForbiddenNicks(path)
    except (OSError, ValueError) as error:
        raise usage.UsageError(f"--forbid-nicks: {explain(str(path), error)}") from None


def _proxies(texts: Sequence[str], places: Sequence[tuple[str, object, str]]) -> Sequence[Network]:
    """Read the addresses of `--trust-proxy`; raises `UsageError`."""
    if texts and not any(place.startswith("haproxy:") or option == "--web" for option, _, place in places):
        raise usage.UsageError(
            "--trust-proxy is for a place with haproxy:, such as --port haproxy:tcp:14900, or for --web PLACE"
        )
    networks = []
    for text in texts:
        try:
            networks.append(ip_network(text, strict=False))
        except ValueError:
            raise usage.UsageError(
                f"--trust-proxy takes an address or a network, such as 192.0.2.7 or 10.0.0.0/8, not '{text}'"
            ) from None
    return networks


def _origin(text: str) -> str:
    """Read an origin (RFC 6454). Raises `UsageError`."""
    if re.fullmatch(r"https?://([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?", text, re.ASCII) is None:
        raise usage.UsageError(
            f"--web-origin takes the beginning of an address, such as https://chat.example.org, not '{text}'"
        )
    return text


def _one_of(option: str, text: str, values: Sequence[_T]) -> _T:
    """Read one of several words; raises `UsageError`."""
    for value in values:
        if text == value:
            return value
    raise usage.UsageError(f"{option} takes {', '.join(map(str, values[:-1]))} or {values[-1]}, not '{text}'")


def _operator(nick: str) -> str:
    """Read the name of an account, and return its key; raises `UsageError`."""
    try:
        return names.nick(nick).key
    except WireError as error:
        raise usage.UsageError(f"--operator takes the nick of an account, not '{nick}': {error.text}") from None


def _yes_or_no(option: str, text: str) -> bool:
    """Read yes or no. Raises `UsageError`."""
    if text not in ("yes", "no"):
        raise usage.UsageError(f"{option} takes yes or no, not '{text}'")
    return text == "yes"


def _count(option: str, text: str | None, least: int, default: int = 0) -> int:
    """Read a number of things; the default if the option was not given. Raises `UsageError`."""
    if text is None:
        return default
    if not is_number(text) or int(text) < least:
        raise usage.UsageError(f"{option} takes a whole number from {least} on, not '{text}'")
    return int(text)


def _most_connections() -> int:
    """Raise this process's limit of open files as far as possible. Returns how many of them may be connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return max(1, most - FILES)


def chosen_reactor() -> ReactorBase:
    """Return the reactor; where none is installed (`--reactor` installs one), asyncio's, for asyncio's libraries.

    `twistd` imports it only after the options are read, and `--reactor` installs what it names before ours are.
    """
    if "twisted.internet.reactor" not in sys.modules:
        from .reactor import install  # imported here, since a reactor that was chosen needs nothing of it

        install()
    from twisted.internet import reactor

    return cast(ReactorBase, reactor)


def _database(text: str, rundir: str) -> str:
    """Check `--database`; `rundir` is the folder that `twistd` will change to. Returns an absolute path."""
    if text == IN_MEMORY:
        return text
    if is_url(text):
        return _database_url(text)
    path = os.path.abspath(os.path.join(rundir, text))
    folder = os.path.dirname(path)
    if not text or (os.path.exists(path) and not os.path.isfile(path)):  # a folder, a device, a pipe
        raise usage.UsageError(f"--database takes the name of a file, such as chat.sqlite, not '{text}'")
    if not os.path.isdir(folder):
        raise usage.UsageError(f"--database needs a folder that exists: make '{folder}' first, or name another")
    for needed in (folder, path, *(f"{path}{ending}" for ending in _BESIDE)):
        if os.path.exists(needed) and not os.access(needed, os.R_OK | os.W_OK):
            raise usage.UsageError(
                f"--database needs write access, and this user may not write to '{needed}', "
                f"which belongs to {_owner(needed)}"
            )
    return path


def _database_url(url: str) -> str:
    """Check the URL of a database. Raises `UsageError`."""
    if find_spec("asyncpg") is None:
        raise usage.UsageError(f"--database: {NEEDS_ASYNCPG}")
    try:
        check_url(url)
    except ValueError as error:
        raise usage.UsageError(f"--database takes a URL such as postgresql://chat@one,two/chat: {error}") from None
    return url


_BESIDE: Final = ("-wal", "-shm", "-lock")
"""Endings of the files that SQLite and the server keep beside a database. A program of another user, such as one that
root has run on the file of a server, may have made them."""


def _owner(path: str) -> str:
    try:
        return Path(path).owner()
    except (KeyError, OSError):  # a user without a name, as in many containers
        return f"the user with the number {os.stat(path).st_uid}"
