"""The memory of the whole screen from one run to the next: the rooms of the person, and how far each is read.

It is a small file in the user's state folder, readable for that user alone. It contains names of servers, nicks and
rooms, and numbers, but never a text of a message. `remember = false` in the configuration file, `--no-remember`, or a
symbolic link to /dev/null in the file's place turns it off.
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
"""The maximum number of remembered servers and nicks. Those used last are kept."""

MAX_ROOMS: Final = 500
"""The maximum number of remembered rooms for each: as many as a server lets one person be in."""


class Place(msgspec.Struct):
    """The memory of one nick on one server, as it is in the file."""

    rooms: dict[str, int | None] = msgspec.field(default_factory=dict)
    """The rooms in their order, with the numbers of the last messages that were seen."""
    shown: str = ""
    """The room that was shown last."""
    direct: dict[str, int] | None = None
    """The partners of direct messages, with the numbers of the last ones that were seen; None if this nick has never
    logged in here."""


class _File(msgspec.Struct):
    places: dict[str, Place] = msgspec.field(default_factory=dict)


def default_path() -> Path:
    """Return the path of the file: on Linux, `~/.local/state/twisted_chat/screen.json`."""
    from platformdirs import user_state_path  # imported here, since it takes time and is needed once

    return user_state_path(FOLDER, appauthor=False) / FILE


class Memory:
    """The memory for one nick on one server. Without a path, nothing is remembered."""

    def __init__(self, path: Path | None, server: str, nick: str) -> None:
        self._path = path
        self._key = f"{server} {nick}"
        self._saved = self.place = Place()
        self.problem = ""
        """The reason why the file cannot be read or written, for a person; empty if it can."""
        if path is not None:
            self.place = self._read(path).places.get(self._key, Place())
            # Somebody may have edited the file.
            self.place.rooms = {room: seq for room, seq in self.place.rooms.items() if _key_of(room)}
            self._saved = _copy(self.place)

        self._names = {_key_of(room): room for room in self.place.rooms}
        """The rooms in the spelling of the file, by their keys: `Lobby` and `lobby` are one."""

    @property
    def rooms(self) -> Sequence[str]:
        """Return the remembered rooms, in their order."""
        return tuple(self.place.rooms)

    def read_seq(self, room: str) -> int | None:
        """Return the number of the last message that was seen in a room; None if it is not known."""
        return self.place.rooms.get(self._names.get(_key_of(room), room))

    def note(self, room: str, seq: int | None) -> None:
        """Remember a room, and how far it has been read."""
        self.place.rooms[self._names.setdefault(_key_of(room), room)] = seq

    def forget(self, room: str) -> None:
        """Forget a room that was left."""
        self.place.rooms.pop(self._names.pop(_key_of(room), room), None)

    def save(self) -> None:
        """Write the file if anything has changed. The parts of other servers and nicks stay as they are in it."""
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
    """Return the key of a room's name; empty for an invalid name."""
    try:
        return names.room(room).key
    except WireError:
        return ""


def _copy(place: Place) -> Place:
    return Place(dict(place.rooms), place.shown, None if place.direct is None else dict(place.direct))


def _write(path: Path, data: bytes) -> None:
    """Replace a file as a whole, so that no reader sees half of it. Only its user can read it (mode 0600)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:  # made with mode 0600
        try:
            file.write(data)
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
