"""The options of the program, checked when they are read."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from random import randrange
from typing import Final

from .. import __version__, names
from ..messages import WireError

LOBBY: Final = "lobby"
"""The room of who names none."""

_EXAMPLES = """\
examples:
  python -m twisted_chat.client                                  talk in the lobby of the server on this machine
  python -m twisted_chat.client --host chat.example --nick alice --room garden
  python -m twisted_chat.client --host ::1 --port 14901
  python -m twisted_chat.client --host chat.example --port 14943 --tls
  python -m twisted_chat.client --host chat.example --udp        over UDP, where a network loses a lot
  SSL_CERT_FILE=chat.pem python -m twisted_chat.client --tls     a server whose certificate nobody else vouches for
  printf 'hi\\nexit\\n' | python -m twisted_chat.client --nick bot  say one thing and leave
  tail -f log | python -m twisted_chat.client --nick log --literal
                                                                 say each line of a file as it comes

Type /help in the conversation for what can be done there. `exit`, /quit or the end of input leaves, after the server
has kept everything that was said. The exit status is 0 then; 1 when there is no server, when it does not let you in
or goes away, or when anything that was typed was refused, a text or a command; 2 when the command line cannot be read.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    host: str
    port: int
    nick: str
    room: str
    bare: bool
    literal: bool = False
    way: str = "tcp"
    """How to reach the server: `tcp`, `tls` or `udp`."""

    @property
    def server(self) -> str:
        """The server's address, for a person."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_options(arguments: Sequence[str]) -> Options:
    """Read the command line. What is wrong with it is told, and the program ends with status 2.

    A nick or a room that cannot be one raises `WireError`: it is the server's to say, only earlier.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.bare and (given.nick is not None or given.room is not None):
        parser.error("--bare goes without --nick and --room: an original server has neither nicks nor rooms")
    if given.bare and given.way == "udp":
        parser.error("--bare goes without --udp: an original server has no datagrams")
    if given.way == "tls" and find_spec("OpenSSL") is None:
        parser.error("--tls needs more packages: pip install 'twisted[tls]'")
    nick = default_nick() if given.nick is None else given.nick
    host = given.host.removeprefix("[").removesuffix("]")
    room = LOBBY if given.room is None else given.room
    nick, room = _name("--nick", names.nick, nick), _name("--room", names.room, room)
    return Options(host, given.port, nick, room, given.bare, given.literal, given.way)


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m twisted_chat.client",
        description="Talk: lines typed are sent, messages are printed. In a pipe it is a filter.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--host", type=_host, default="127.0.0.1", help="the server's name or address (%(default)s)")
    parser.add_argument("--port", type=_port, default=14900, help="the server's port (%(default)s)")
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--tls",
        action="store_const",
        dest="way",
        const="tls",
        help="encrypted; the certificate must be for the host's name, and one that this machine trusts",
    )
    way.add_argument("--udp", action="store_const", dest="way", const="udp", help="over UDP, which is not encrypted")
    parser.set_defaults(way="tcp")
    parser.add_argument("--nick", help="what to be called (the login name)")
    parser.add_argument("--room", help=f"the room to enter ({LOBBY})")
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
