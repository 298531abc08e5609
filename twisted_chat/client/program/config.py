"""The configuration file, a TOML file in the user's configuration folder with settings that need not be typed.

    host = "chat.example"
    port = 14943
    nick = "alice"
    room = ["lobby", "garden"]
    tls = true

`settings.py` has all settings.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from .settings import SETTINGS

FOLDER: Final = "twisted_chat"
FILE: Final = "client.toml"


class BadConfig(Exception):
    """The file cannot be used. The text says which file, in which line, and why."""


class Config:
    """The settings of a file."""

    def __init__(self, path: Path, text: str = "", values: dict[str, Any] | None = None) -> None:
        self._path = path
        self._text = text
        self.values: dict[str, Any] = values or {}
        """The values by the names of their settings."""

    def path(self, text: str) -> str:
        """Read the path of another file, which is relative to the folder of this one and may begin with a `~`."""
        return str(self._path.parent / Path(text).expanduser())

    def bad(self, name: str, problem: str) -> BadConfig:
        """Return the error for a setting, with its file and line."""
        found = re.search(rf"""^[ \t]*\[?["']?{re.escape(name)}\b""", self._text, re.MULTILINE)
        line = f", line {self._text.count(chr(10), 0, found.start()) + 1}" if found else ""
        return BadConfig(f"{self._path}{line}: {problem}")


def default_path() -> Path:
    """Return the default path of the file: on Linux, `~/.config/twisted_chat/client.toml`."""
    from platformdirs import user_config_path  # here, so that it costs nothing where no file is read

    return user_config_path(FOLDER, appauthor=False) / FILE


def read_config(path: Path, must_be_there: bool) -> Config:
    """Read a file. Raises `BadConfig`."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors on Windows begin a file with a byte order mark
        config = Config(path, text, tomllib.loads(text))
    except FileNotFoundError:
        if must_be_there:
            raise BadConfig(f"there is no file {path}") from None
        return Config(path)
    except OSError as error:
        raise BadConfig(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BadConfig(f"{path}, line {line}: this is not UTF-8; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _bad_toml(path, text, str(error)) from None
    for name, value in config.values.items():
        _check(config, name, value)
    return config


def _bad_toml(path: Path, text: str, error: str) -> BadConfig:
    """Return the error for a file that is not TOML, from that of `tomllib`: `what is wrong (at line 1, column 8)`."""
    what, _, place = error.rpartition(" (at ")
    found = re.match(r"line (\d+)", place)
    line = found[1] if found else str(text.rstrip().count("\n") + 1)  # "at end of document"
    return BadConfig(f"{path}, line {line}: this is not TOML: {what}")


def _check(config: Config, name: str, value: Any) -> None:
    if name not in SETTINGS:
        near = difflib.get_close_matches(name, SETTINGS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(SETTINGS)}"
        raise config.bad(name, f"there is no setting {name}; {hint}")
    kind = SETTINGS[name].kind
    if not kind.check(value):
        raise config.bad(name, f"{name} takes {kind.takes}, not {_shown(value)}")


def _shown(value: Any) -> str:
    """Write a value about as TOML does."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
