"""The tokens with which this user stays logged in: a file that takes the place of a typed password.

It is in the user's configuration folder and readable for that user alone. A token logs in like a password, can be
revoked (`/revoke`), and is used on the server only for which it was made, over the transport over which it was made: so
one that was made over TLS is never sent unencrypted. `--no-remember` neither reads nor writes the file.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

import msgspec

from ... import names
from ...atomic_write import atomic_write
from .config import FOLDER
from .options import Options

FILE: Final = "tokens.json"


def default_path() -> Path:
    """Return the path of the file: on Linux, `~/.config/twisted_chat/tokens.json`."""
    from platformdirs import user_config_path  # here, so that it costs nothing where no file is read

    return user_config_path(FOLDER, appauthor=False) / FILE


class Tokens:
    """The remembered tokens. Without a path, none is remembered."""

    def __init__(self, path: Path | None, options: Options) -> None:
        self.path = path
        self.problem = ""
        """The reason why the file is not used, for a person; empty if it is."""
        self._server = f"{options.transport}://{options.server}"

    def get(self, nick: str) -> str | None:
        """Return the token of a nick on this server, if there is one."""
        return self._read().get(self._key(nick))

    def set(self, nick: str, token: str | None) -> None:
        """Remember the token of a nick on this server, or forget it. Raises `OSError`."""
        tokens = self._read()
        tokens.pop(self._key(nick), None)
        if token is not None:
            tokens[self._key(nick)] = token
        if self.path is not None and not self.problem:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_write(str(self.path), 0o600) as file:
                file.write(msgspec.json.format(msgspec.json.encode(tokens)))

    def _key(self, nick: str) -> str:
        return f"{self._server} {names.nick(nick).key}"

    def _read(self) -> dict[str, str]:
        if self.path is None:
            return {}
        self.problem = ""
        try:
            if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
                self.problem = f"{self.path} can be read by others: run chmod 600 on it, or remove it"
                return {}
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            pass
        except OSError as error:
            self.problem = f"{self.path} cannot be read: {error.strerror}"
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.problem = f"{self.path} is damaged: remove it"
        return {}
