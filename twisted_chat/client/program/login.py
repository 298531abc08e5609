"""What the program says hello with: a given password, a remembered token, or a password that is typed."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from ..protocol.errors import RequestError
from .options import Options
from .tokens import Tokens

Secret = Callable[[str], Awaitable[str | None]]
"""Asks the person for a password with these words, without showing it. None if there is no answer."""


class Login:
    """The password for the first hello, and for the next one if the server has refused that."""

    def __init__(self, options: Options, tokens: Tokens) -> None:
        self.password = options.password or tokens.get(options.nick)
        """The password for the next hello; None for a guest."""
        self.was_typed = False
        """True if the password was typed, and could be remembered."""
        self._options = options
        self._tokens = tokens
        self._is_remembered = options.password is None and self.password is not None

    async def refused(self, error: RequestError, secret: Secret | None) -> None:
        """Get another password after a hello was refused. Raises the error if there is none.

        `secret` is None if nobody is there to be asked.
        """
        if error.code != "auth-failed" or error.request is not None:
            raise error
        if self._is_remembered:  # the token was revoked
            self._is_remembered = False
            self._tokens.set(self._options.nick, None)
        elif self._options.password is not None:
            raise error
        if secret is None:
            raise error
        again = "that was not right; " if self.was_typed else ""
        self.password = await secret(f"{again}password of {self._options.nick}{unsafe(self._options)}")
        if not self.password:
            raise error
        self.was_typed = True


def unsafe(options: Options) -> str:
    """Return a warning for a person who is to type a password that others could read on its way; empty otherwise."""
    if options.transport == "tls" or options.host == "localhost":
        return ""
    try:
        return "" if ip_address(options.host).is_loopback else UNSAFE
    except ValueError:
        return UNSAFE


UNSAFE = " (it is sent unencrypted: --tls encrypts it)"


def token_label() -> str:
    """Return the label of the token that keeps this user logged in on this machine."""
    return f"the client on {socket.gethostname()}"[:64]
