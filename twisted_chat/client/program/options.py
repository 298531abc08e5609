"""The options of the program: of the command line and of the configuration file, checked when they are read."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from random import randrange
from typing import Any, Final

from ... import __version__, names
from ...command_line import Parser
from ...messages import WireError
from ...needs_tls import NEEDS_TLS
from ..trust import read_trusted
from .config import Config, default_path, read_config
from .settings import SETTINGS, SWITCH, Kind, Setting

PASSWORD_VARIABLE: Final = "TWISTED_CHAT_PASSWORD"
"""The variable of the environment for the password of the nick's account, or a token."""

DESCRIPTION: Final = "Talk: what you type is said, and what others say is shown. In a pipe, it is a filter."

_MORE: Final = """\
examples:
  {command}    # the lobby of the server on this machine
  {command} --host chat.example --nick alice --room garden
  {command} --host ::1 --port 14901 --no-color
  {command} --host chat.example --port 14943 --tls
  {command} --host chat.example --udp    # for a network that loses a lot
  {command} --host chat.example --port 14943 --tls --ca chat.pem    # trust this certificate
  printf 'hi\\nexit\\n' | {command} --nick bot    # say one thing and leave
  tail -f log | {command} --nick log --literal    # say each line of a file as it is written

On a terminal, the program uses the whole screen. Tab completes commands, nicks and rooms; Ctrl-N, Ctrl-P and Alt-1
to Alt-9 switch to another room, Alt-A to one with unread messages; PageUp and PageDown scroll; Ctrl-D leaves. If the
connection is lost, the program connects again by itself and then sends what you have said meanwhile.

In a pipe, where TERM is dumb, with --plain and with --bare, each line that is read is said, and each message is
printed on a line of its own; if it has several lines, the others begin with blanks. The program ends when the
connection is lost. Messages that arrive while you type appear within your line; Ctrl-R shows what you have typed.

Type /help to see the commands. `exit`, /quit and the end of input leave, after the server has stored everything you
said. The exit status is then 0. It is 1 if there is no server, if the server refuses you or goes away, or if it
refused anything you typed (but 0 on a whole screen, where you have seen that); 2 if the command line or the
configuration file is wrong; 3 if the server refuses your login (a password, or a ban); 128 and the number of the signal
if a signal ended the program, and 141 if nobody reads its output any more.

If your nick is an account, the program asks for its password on a terminal, without showing it. Elsewhere it takes
--password-file, or the variable {variable}.

{config} holds what you do not want to type each time:
  host = "chat.example"
  nick = "alice"
  room = ["lobby", "garden"]
It may set {settings}. Options on the command line take precedence.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run."""

    host: str
    port: int
    nick: str
    rooms: tuple[str, ...]
    """The rooms to join. The person talks in the first one."""
    bare: bool
    literal: bool = False
    transport: str = "tcp"
    """The transport: `tcp`, `tls` or `udp`."""
    ca: str | None = None
    """The file of the certificates to trust; None for those that the machine trusts."""
    plain: bool = False
    """True for the interface of lines, even on a terminal."""
    color: bool | None = None
    """True for colours; None if the environment decides."""
    rooms_from: str = "command line"
    """The place where the rooms are named: the `command line`, the `file`, or none (`default`)."""
    remember: bool = True
    """True if files keep a token to log in with and, for the whole screen, the rooms and how far they are read."""
    mouse: bool = True
    """On the whole screen, true if the mouse wheel scrolls."""
    password: str | None = field(default=None, repr=False)
    """The password of the nick's account, or a token; None if none was given."""

    @property
    def server(self) -> str:
        """The server's address, for a person."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_options(arguments: Sequence[str], command: str) -> Options:
    """Read the command line, without the `command` before it, and the configuration file.

    A mistake on the command line is reported, and the program ends with status 2. Raises `BadConfig` for the file.
    """
    path = default_path()
    parser = _parser(path, command)
    typed = parser.parse_args(arguments)
    for one, other, reason in (
        ("bare", "nick", "an original server has no nicks"),
        ("bare", "room", "an original server has no rooms"),
        ("bare", "password_file", "an original server has no accounts"),
        ("bare", "udp", "an original server has no UDP"),
        ("tls", "udp", "UDP is not encrypted"),
    ):
        if getattr(typed, one) and getattr(typed, other) not in (None, False):
            parser.error(f"--{one} cannot be combined with --{other.replace('_', '-')}: {reason}")
    config = read_config(typed.config or path, must_be_there=typed.config is not None)
    transport = _transport(typed, config)
    if transport == "tls" and find_spec("OpenSSL") is None:
        if not typed.tls:
            raise config.bad("tls", NEEDS_TLS)
        parser.error(f"--tls: {NEEDS_TLS}")
    if typed.ca is not None and transport != "tls":
        parser.error("--ca is for --tls")

    def choose(name: str) -> Any:
        value = getattr(typed, name)
        return config.values.get(name, SETTINGS[name].default) if value is None else value

    def name(setting: str, check: Callable[[str], names.Name], text: str) -> str:
        """Check a name here, since the server would refuse it only later."""
        try:
            return check(text).shown
        except WireError as error:
            problem = f"{setting} cannot be {text!r}: {_hint(setting, text) or error.text}"
            if getattr(typed, setting) is None:
                raise config.bad(setting, problem) from None
            parser.error(f"--{problem}")

    rooms, nick = choose("room"), choose("nick")
    return Options(
        host=choose("host").removeprefix("[").removesuffix("]"),
        port=choose("port"),
        nick=default_nick() if nick is None else name("nick", names.nick, nick),
        rooms=tuple(name("room", names.room, room) for room in ([rooms] if isinstance(rooms, str) else rooms)),
        bare=typed.bare,
        literal=typed.literal,
        transport=transport,
        ca=_ca(typed, config, parser) if transport == "tls" else None,
        plain=choose("plain"),
        color=choose("color"),
        rooms_from="command line" if typed.room is not None else "file" if "room" in config.values else "default",
        remember=choose("remember"),
        mouse=choose("mouse"),
        password=None if typed.bare else _password(typed, config, parser),
    )


def _hint(setting: str, name: str) -> str:
    """Return the characters to leave out of a name if it is written as in other programs; empty if it is not."""
    mark, what = {"room": ("#", "the names of rooms"), "nick": ("@", "nicks")}[setting]
    return f"leave out the {mark}, {what} have none here" if name.startswith(mark) else ""


def _ca(typed: argparse.Namespace, config: Config, parser: argparse.ArgumentParser) -> str | None:
    """Choose the file of the certificates to trust, and check it."""
    setting = config.values.get("ca")
    path = typed.ca if setting is None or typed.ca is not None else config.path(setting)
    try:
        if path is not None:
            read_trusted(path)
    except ValueError as error:
        if typed.ca is None:
            raise config.bad("ca", f"ca cannot be used: {error}") from None
        parser.error(f"--ca cannot be used: {error}")
    return path


def _password(typed: argparse.Namespace, config: Config, parser: argparse.ArgumentParser) -> str | None:
    """Read the password from the file that was named, or else from the environment. It is never on the command line.

    Everybody on a machine can see the command lines of its programs.
    """
    setting = config.values.get("password-file")
    path = typed.password_file if setting is None or typed.password_file is not None else config.path(setting)
    if path is None:
        return os.environ.get(PASSWORD_VARIABLE) or None
    try:
        with open(path, encoding="utf-8") as file:
            password = file.readline().rstrip("\r\n")
        problem = "" if password else "its first line is empty"
    except OSError as error:
        problem = error.strerror or "it cannot be read"
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    if not problem:
        return password
    problem = f"password-file cannot be used: {path}: {problem}"
    if typed.password_file is None:
        raise config.bad("password-file", problem)
    parser.error(f"--{problem}")


def default_nick() -> str:
    """Return the login name as a nick, if it is a valid one."""
    try:
        return names.nick(getpass.getuser()).shown
    except (WireError, OSError, KeyError, ImportError):  # what `getuser` raises differs between versions of Python
        return f"guest{randrange(1000, 10000)}"


def _transport(typed: argparse.Namespace, config: Config) -> str:
    """Return the transport that was typed, or else that of the file, unless `--no-...` was typed."""
    for transport in ("tls", "udp"):
        if getattr(typed, transport):
            return transport
    tls = config.values.get("tls") and typed.tls is None
    udp = config.values.get("udp") and typed.udp is None and not typed.bare
    if tls and udp:
        raise config.bad("udp", "tls and udp cannot both be true, since UDP is not encrypted; remove one of them")
    return "tls" if tls else "udp" if udp else "tcp"


def _parser(config: Path, command: str) -> argparse.ArgumentParser:
    more = _MORE.format(command=command, config=config, settings=", ".join(SETTINGS), variable=PASSWORD_VARIABLE)
    parser = Parser(
        prog=command,
        usage="%(prog)s [options]",
        description=DESCRIPTION,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for setting in SETTINGS.values():
        parser.add_argument(f"--{setting.name}", **_argument(setting))
    parser.add_argument("--config", type=Path, metavar="FILE", help="another configuration file")
    parser.add_argument(
        "--literal", action="store_true", help="say each line as it is, also `exit` and one that begins with a slash"
    )
    parser.add_argument(
        "--bare", action="store_true", help="talk to a server of the oldest kind, whose messages have three fields"
    )
    parser.add_argument("--version", action="version", version=f"twisted_chat {__version__}")
    return parser


def _argument(setting: Setting) -> dict[str, Any]:
    """Return the arguments of `add_argument` for a setting. Each setting is None if it is not typed."""
    default = {None: "", False: " [default: no]", True: " [default: yes]"}
    about = setting.help + default.get(setting.default, f" [default: {setting.default}]")
    if setting.kind is SWITCH:
        return {"action": argparse.BooleanOptionalAction, "help": about}
    action = "append" if setting.name == "room" else "store"
    return {"action": action, "type": _reader(setting.kind), "metavar": setting.name.upper(), "help": about}


def _reader(kind: Kind) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value = kind.read(text)
        if not kind.check(value):
            raise argparse.ArgumentTypeError(f"takes {kind.takes}, not {text!r}")
        return value

    return read
