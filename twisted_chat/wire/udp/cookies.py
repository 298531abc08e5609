"""Cookies: the proof that the sender of a datagram also receives what is sent to its address.

A datagram may be late, or arrive twice. A hello is recognized by its cookie then, also when its session is over.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Final

KEY_SECONDS: Final = 60.0
"""Lifetime of a key. A cookie is valid until the next key but one is in use: for one to two minutes."""

Address = tuple[str, int]


class Cookies:
    """Makes and checks cookies, without remembering any of them.

    A cookie is the time and an HMAC-SHA256 of it and the address. The key changes every `KEY_SECONDS`.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._keys: dict[int, bytes] = {}
        """The two newest keys, by the number of the period that each was made for."""

    def make(self, address: Address) -> str:
        """Make a cookie for an address."""
        now = self._now()
        period = int(now / KEY_SECONDS)
        if period not in self._keys:
            last = {number: key for number, key in self._keys.items() if number == period - 1}
            self._keys = last | {period: secrets.token_bytes(32)}
        return self._cookie(int(now * 100), address)

    def time(self, cookie: str, address: Address) -> int:
        """Return the time at which an address got this cookie, in hundredths of a second; 0 if it is not valid."""
        try:
            time = int.from_bytes(urlsafe_b64decode(cookie)[:5])
        except ValueError:
            return 0
        if not 0 <= int(self._now() / KEY_SECONDS) - _period(time) <= 1 or _period(time) not in self._keys:
            return 0
        return time if hmac.compare_digest(cookie.encode(), self._cookie(time, address).encode()) else 0

    def _cookie(self, time: int, address: Address) -> str:
        stamp = time.to_bytes(5)
        host, port = address
        digest = hmac.digest(self._keys[_period(time)], stamp + f"{host} {port}".encode(), "sha256")
        return urlsafe_b64encode(stamp + digest[:16]).decode()


def _period(time: int) -> int:
    return int(time / (100 * KEY_SECONDS))


class Hellos:
    """The hellos that were let in, so that one of them that arrives late does not open another session.

    It would take the nick from the newer session of its own client, which has the same token. The newest hello of each
    client is remembered for as long as its cookie, or an older one, may be valid.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._period = 0
        self._newest: dict[object, tuple[int, str]] = {}
        """The time and text of the cookie in each client's newest hello, by its token, or else by its address."""
        self._before: dict[object, tuple[int, str]] = {}
        """The same of the period before."""

    def is_late(self, client: object, time: int, cookie: str) -> bool:
        """True for a hello that was let in before, or is older than one that was."""
        self._turn_page()
        known = self._newest.get(client) or self._before.get(client)
        return known is not None and (time < known[0] or cookie == known[1])

    def let_in(self, client: object, time: int, cookie: str) -> None:
        """Remember a hello that is let in."""
        if not self.is_late(client, time, cookie):
            self._newest[client] = time, cookie

    def _turn_page(self) -> None:
        period = int(self._now() / KEY_SECONDS)
        if period != self._period:
            self._before = self._newest if period == self._period + 1 else {}
            self._newest = {}
            self._period = period
