"""Cookies: the proof that the sender of a datagram also receives what is sent to its address."""

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
        """The time at which an address was given this cookie, in hundredths of a second; 0 if it is not valid."""
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
