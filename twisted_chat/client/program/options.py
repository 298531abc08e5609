"""The options of the program: of the command line and of the configuration file, checked when they are read."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from random import randrange
from typing import Any, Final

from ... import __version__, names
from ...messages import WireError
from .config import BadConfig, default_path, read_config

LOBBY: Final = "lobby"
"""The room of who names none."""

_EXAMPLES = """\
examples:
  python -m twisted_chat.client                                  talk in the lobby of the server on this machine
  python -m twisted_chat.client --host chat.example --nick alice --room garden
  python -m twisted_chat.client --host ::1 --port 14901 --no-color
  python -m twisted_chat.client --host chat.example --port 14943 --tls
  python -m twisted_chat.client --host chat.example --udp        over UDP, where a network loses a lot
  SSL_CERT_FILE=chat.pem python -m twisted_chat.client --tls     a server whose certificate nobody else vouches for
  python -m twisted_chat.client --plain                          a line a message, and no full screen
  printf 'hi\\nexit\\n' | python -m twisted_chat.client --nick bot  say one thing and leave
  tail -f log | python -m twisted_chat.client --nick log --literal
                                                                 say each line of a file as it comes

On a terminal, it is an interface of the whole screen. Tab completes commands, nicks and rooms; Ctrl-N, Ctrl-P and
Alt-1 to Alt-9 turn to another room, Alt-A to one with something new; PageUp and PageDown look back; Ctrl-D leaves. A
connection that is lost comes back by itself, and what was said meanwhile is sent then.

In a pipe, where TERM is dumb, with --plain and with --bare, lines that are read are said and messages are printed, a
line each. It ends when the connection is lost. What comes while you type stands in the middle of it; Ctrl-R shows what
you have typed so far.

Type /help in the conversation for what can be done there. `exit`, /quit or the end of input leaves, after the server
has kept everything that was said. The exit status is 0 then; 1 when there is no server, when it does not let you in
or goes away, or when anything that was typed was refused, a text or a command; 2 when the command line or the
configuration file cannot be read. (On a whole screen, what was refused was seen, and the status is 0.)

{config} may have what is not to be typed each time:
  host = "chat.example"
  nick = "alice"
  room = ["lobby", "garden"]
and also port, and tls, udp, color, plain, remember and mouse (true or false). What is
typed on the command line comes first. Where neither says so, NO_COLOR in the environment turns colours off (https://no-color.org).
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    host: str
    port: int
    nick: str
    rooms: tuple[str, ...]
    """The rooms to enter. The first one is talked in."""
    bare: bool
    literal: bool = False
    transport: str = "tcp"
    """How to reach the server: `tcp`, `tls` or `udp`."""
    plain: bool = False
    """Lines, even on a terminal."""
    color: bool | None = None
    """Whether to use colours; None: as the environment says."""
    rooms_from: str = "command line"
    """Where the rooms were named: on the `command line`, in the `file`, or nowhere (`default`)."""
    remember: bool = True
    """On a whole screen: keep in a file which rooms one is in, and how far they are read."""
    mouse: bool = True
    """On a whole screen: the mouse wheel scrolls."""

    @property
    def server(self) -> str:
        """The server's address, for a person."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_options(arguments: Sequence[str]) -> Options:
    """Read the command line and the configuration file.

    What is wrong with the command line is told, and the program ends with status 2; with the file, `BadConfig` is
    raised. A nick or a room that cannot be one raises `WireError`: it is the server's to say, only earlier.
    """
    path = default_path()
    parser = _parser(path)
    given = parser.parse_args(arguments)
    if given.bare and (given.nick is not None or given.room is not None):
        parser.error("--bare goes without --nick and --room: an original server has neither nicks nor rooms")
    if given.bare and given.udp:
        parser.error("--bare goes without --udp: an original server has no datagrams")
    if given.tls and given.udp:
        parser.error("--tls goes without --udp: over UDP nothing is encrypted")
    path = given.config or path
    config = read_config(path, must_be_there=given.config is not None)
    transport = _transport(given, config)
    if transport == "tls" and find_spec("OpenSSL") is None:
        needs = "needs more packages: pip install 'twisted[tls]'"
        if not given.tls:
            raise BadConfig(f"{path}: tls {needs}")
        parser.error(f"--tls {needs}")

    def choose(name: str, default: Any) -> Any:
        typed = getattr(given, name)
        return config.get(name, default) if typed is None else typed

    rooms, nick = choose("room", LOBBY), choose("nick", None)
    return Options(
        host=choose("host", "127.0.0.1").removeprefix("[").removesuffix("]"),
        port=choose("port", 14900),
        nick=_name("--nick", names.nick, default_nick() if nick is None else nick),
        rooms=tuple(_name("--room", names.room, room) for room in ([rooms] if isinstance(rooms, str) else rooms)),
        bare=given.bare,
        literal=given.literal,
        transport=transport,
        plain=choose("plain", False),
        color=choose("color", None),
        rooms_from="command line" if given.room is not None else "file" if "room" in config else "default",
        remember=choose("remember", True),
        mouse=choose("mouse", True),
    )


def _transport(given: argparse.Namespace, config: Mapping[str, Any]) -> str:
    """Choose the transport: the one that was typed, or else the file's, unless `--no-...` was typed."""
    for transport in ("tls", "udp"):
        if getattr(given, transport):
            return transport
    if config.get("tls") and given.tls is None:
        return "tls"
    return "udp" if config.get("udp") and given.udp is None and not given.bare else "tcp"


def _name(option: str, check: Callable[[str], names.Name], name: str) -> str:
    try:
        return check(name).shown
    except WireError as error:
        raise WireError(error.code, f"{option} {name!r} cannot be: {error.text}") from None


def default_nick() -> str:
    """Take the login name for a nick, if it can be one."""
    try:
        return names.nick(getpass.getuser()).shown
    except (WireError, OSError, KeyError, ImportError):  # what `getuser` raises differs between versions of Python
        return f"guest{randrange(1000, 10000)}"


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"takes a number from 1 to 65535, not {text!r}")
    return int(text)


def _host(text: str) -> str:
    if not text.strip() or any(character.isspace() for character in text):
        raise argparse.ArgumentTypeError(f"takes a name or an address such as chat.example or ::1, not {text!r}")
    return text


def _parser(config: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m twisted_chat.client",
        description="Talk: what is typed is said, and what others say is shown. In a pipe it is a filter.",
        epilog=_EXAMPLES.replace("{config}", str(config)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--host", type=_host, help="the server's name or address (127.0.0.1)")
    parser.add_argument("--port", type=_port, help="the server's port (14900)")
    parser.add_argument(
        "--tls",
        action=argparse.BooleanOptionalAction,
        help="encrypted; the certificate must be for the host's name, and one that this machine trusts",
    )
    parser.add_argument("--udp", action=argparse.BooleanOptionalAction, help="over UDP, which is not encrypted")
    parser.add_argument("--nick", help="what to be called (the login name)")
    parser.add_argument(
        "--room", action="append", help=f"the room to enter; again, for more, the first one to talk in ({LOBBY})"
    )
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, help="a line a message, also on a terminal")
    parser.add_argument("--color", action=argparse.BooleanOptionalAction, help="with colours, or without")
    parser.add_argument(
        "--remember",
        action=argparse.BooleanOptionalAction,
        help="on a whole screen, keep in a file which rooms you are in and how far you have read (yes)",
    )
    parser.add_argument(
        "--mouse", action=argparse.BooleanOptionalAction, help="on a whole screen, scroll with the mouse wheel (yes)"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file, if it is another one")
    parser.add_argument(
        "--literal", action="store_true", help="say every line as it is, also `exit` and one that begins with a slash"
    )
    parser.add_argument(
        "--bare",
        action="store_true",
        help="speak the three fields of the original server, which knows no nicks or rooms",
    )
    parser.add_argument("--version", action="version", version=f"twisted_chat {__version__}")
    return parser
