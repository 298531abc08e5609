"""The configuration file: what one does not want to type each time. TOML, in the user's configuration folder.

    host = "chat.example"
    port = 14943
    nick = "alice"
    room = ["lobby", "garden"]
    tls = true
    color = false
    plain = true

All of it may be left out, and what is typed on the command line comes first.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "twisted_chat"
FILE: Final = "client.toml"


class BadConfig(Exception):
    """The file cannot be used; the text says which, where and why."""


def default_path() -> Path:
    """Say where the file is looked for: on Linux, `~/.config/twisted_chat/client.toml`."""
    from platformdirs import user_config_path  # here, so that only who asks for it pays for it

    return user_config_path(FOLDER, appauthor=False) / FILE


def read_config(path: Path, must_be_there: bool) -> dict[str, Any]:
    """Read a file; gives what it sets. Raises `BadConfig`."""
    try:
        text = path.read_bytes().decode("utf-8")
        settings = tomllib.loads(text)
    except FileNotFoundError:
        if must_be_there:
            raise BadConfig(f"there is no file {path}") from None
        return {}
    except OSError as error:
        raise BadConfig(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path} is not in UTF-8: see byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path} is no TOML: {error}") from None
    checked = {name: _check(path, name, value) for name, value in settings.items()}
    if checked.get("tls") and checked.get("udp"):
        raise BadConfig(f"{path}: tls and udp cannot both be true, since over UDP nothing is encrypted; leave one out")
    return checked


def _check(path: Path, name: str, value: Any) -> Any:
    if name not in _SETTINGS:
        near = difflib.get_close_matches(name, _SETTINGS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_SETTINGS)}"
        raise BadConfig(f"{path}: there is no setting {name}; {hint}")
    takes, check = _SETTINGS[name]
    if not check(value):
        raise BadConfig(f"{path}: {name} takes {takes}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    """Write a value about as TOML does."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _is_host(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not any(character.isspace() for character in value)


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_rooms(value: Any) -> bool:
    rooms = value if isinstance(value, list) else [value]
    return bool(rooms) and all(isinstance(room, str) for room in rooms)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


_SETTINGS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "host": ('a name or an address such as "chat.example"', _is_host),
    "port": ("a number from 1 to 65535", _is_port),
    "nick": ('a text such as "alice"', _is_text),
    "room": ('a text such as "lobby", or several: ["lobby", "garden"]', _is_rooms),
    "tls": ("true or false", _is_bool),
    "udp": ("true or false", _is_bool),
    "color": ("true or false", _is_bool),
    "plain": ("true or false", _is_bool),
    "remember": ("true or false", _is_bool),
    "mouse": ("true or false", _is_bool),
}
"""What can be set, each with what it takes."""
