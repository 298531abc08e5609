"""The settings of the program, in the table that gives the options, the keys of the configuration file and the help.

A setting that is neither typed nor in the file has its default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple


class Kind(NamedTuple):
    """The values of a setting."""

    takes: str
    """A description of right values, for a person."""
    read: Callable[[str], Any]
    """The function that reads a typed value. The result may still be wrong."""
    check: Callable[[Any], bool]
    """The function that returns true if a value, of the command line or of the file, is right."""


class Setting(NamedTuple):
    """A setting, which can be typed or stand in the file."""

    name: str
    """The key in the file; `--name` is the option."""
    kind: Kind
    default: Any
    help: str


def _is_host(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not any(character.isspace() for character in value)


def _read_port(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else text


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_rooms(value: Any) -> bool:
    rooms = value if isinstance(value, list) else [value]
    return bool(rooms) and all(isinstance(room, str) for room in rooms)


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


HOST: Final = Kind("a name or an address such as chat.example or ::1", str, _is_host)
PORT: Final = Kind("a number from 1 to 65535", _read_port, _is_port)
NICK: Final = Kind('a text such as "alice"', str, _is_text)
ROOMS: Final = Kind('a text such as "lobby", or several: ["lobby", "garden"]', str, _is_rooms)
FILE: Final = Kind("the name of a file", str, _is_file)
SWITCH: Final = Kind("true or false", str, _is_switch)

SETTINGS: Final = {
    setting.name: setting
    for setting in (
        Setting("host", HOST, "127.0.0.1", "name or address of the server"),
        Setting("port", PORT, 14900, "port of the server"),
        Setting("nick", NICK, None, "your nick [default: your login name]"),
        Setting("password-file", FILE, None, "file with the password of your nick, or a token, as its first line"),
        Setting("room", ROOMS, "lobby", "the room to join; can be repeated, and you talk in the first one"),
        Setting("tls", SWITCH, False, "use TLS; the certificate has to be valid for the host's name"),
        Setting("ca", FILE, None, "trust the certificates in this file, and no others [default: those of the machine]"),
        Setting("udp", SWITCH, False, "use UDP, which is not encrypted"),
        Setting("color", SWITCH, None, "use colours, or not [default: yes, unless NO_COLOR is set]"),
        Setting("plain", SWITCH, False, "print lines instead of using the whole screen, also on a terminal"),
        Setting("remember", SWITCH, True, "remember your rooms, how far you have read and, if you say so, your login"),
        Setting("mouse", SWITCH, True, "scroll with the mouse wheel"),
    )
}
"""All settings by their names, in the order of the help."""
