"""What the whole screen remembers over runs: the rooms one was in, and how far each was read.

A small file in the user's state folder, readable for that user alone. It holds names of servers, nicks and rooms, and
numbers; never a text that somebody said. `remember = false` in the configuration file, `--no-remember`, or a symbolic
link to /dev/null in the file's place turns it off.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import msgspec

from ... import names
from ...messages import WireError
from ..program.config import FOLDER

FILE: Final = "screen.json"

MAX_PLACES: Final = 50
"""Servers and nicks that are remembered, those used last."""

MAX_ROOMS: Final = 500
"""Rooms that are remembered of each: as many as a server lets one person be in."""


class Place(msgspec.Struct):
    """What is remembered of one nick on one server."""

    rooms: dict[str, int | None] = msgspec.field(default_factory=dict)
    """The rooms, in their order, with the number of the last message that was seen."""
    shown: str = ""
    """The room that was shown last."""


class _File(msgspec.Struct):
    places: dict[str, Place] = msgspec.field(default_factory=dict)


def default_path() -> Path:
    """Where the file is: on Linux, `~/.local/state/twisted_chat/screen.json`."""
    from platformdirs import user_state_path  # imported here, since it costs time and is needed once

    return user_state_path(FOLDER, appauthor=False) / FILE


class Memory:
    """What is remembered for one nick on one server; without a path, nothing is."""

    def __init__(self, path: Path | None, server: str, nick: str) -> None:
        self._path = path
        self._key = f"{server} {nick}"
        self._saved = self.place = Place()
        self.problem = ""
        """Why the file cannot be read or written, for a person; empty where all is well."""
        if path is not None:
            self.place = self._read(path).places.get(self._key, Place())
            # Somebody may have edited the file.
            self.place.rooms = {room: seq for room, seq in self.place.rooms.items() if _key_of(room)}
            self._saved = _copy(self.place)

        self._names = {_key_of(room): room for room in self.place.rooms}
        """The rooms as they are written in the file, by their keys: `Lobby` and `lobby` are one."""

    @property
    def rooms(self) -> Sequence[str]:
        """The rooms that are remembered, in their order."""
        return tuple(self.place.rooms)

    def read_seq(self, room: str) -> int | None:
        """The number of the last message that was seen in a room; None where it is not known."""
        return self.place.rooms.get(self._names.get(_key_of(room), room))

    def note(self, room: str, seq: int | None) -> None:
        """Remember a room, and how far it has been read."""
        self.place.rooms[self._names.setdefault(_key_of(room), room)] = seq

    def forget(self, room: str) -> None:
        """Forget a room that was left."""
        self.place.rooms.pop(self._names.pop(_key_of(room), room), None)

    def save(self) -> None:
        """Write the file, if anything has changed. What other runs have written of other places stays."""
        if self._path is None or self.place == self._saved:
            return
        path = Path(os.path.realpath(self._path))  # through a link, so that the link stays
        if path.exists() and not path.is_file():
            return  # such as /dev/null
        content = self._read(path)
        content.places.pop(self._key, None)
        place = _copy(self.place)
        place.rooms = dict(list(place.rooms.items())[-MAX_ROOMS:])
        content.places[self._key] = place
        content.places = dict(list(content.places.items())[-MAX_PLACES:])
        try:
            _write(path, msgspec.json.encode(content))
        except OSError as error:
            self.problem = f"{path} cannot be written: {error.strerror}; what is unread is not remembered"
        else:
            self._saved = _copy(self.place)

    def _read(self, path: Path) -> _File:
        try:
            if path.exists() and not path.is_file():
                return _File()
            return msgspec.json.decode(path.read_bytes(), type=_File)
        except FileNotFoundError:
            return _File()
        except OSError as error:
            self.problem = f"{path} cannot be read: {error.strerror}; what was unread is not known"
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.problem = f"{path} is damaged and begins anew; what was unread is not known"
        return _File()


@lru_cache(maxsize=MAX_ROOMS)
def _key_of(room: str) -> str:
    """The key of a room's name; empty for what cannot be one."""
    try:
        return names.room(room).key
    except WireError:
        return ""


def _copy(place: Place) -> Place:
    return Place(dict(place.rooms), place.shown)


def _write(path: Path, data: bytes) -> None:
    """Replace a file as a whole, so that no reader ever sees half of it. It belongs to its user alone (mode 0600)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:  # made with mode 0600
        try:
            file.write(data)
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
