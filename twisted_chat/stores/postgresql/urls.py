"""The URLs of databases: `postgresql://user@host,other-host/database`."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_SCHEMES: Final = ("postgresql://", "postgres://")


def is_url(database: str) -> bool:
    """True for the URL of a database, and false for the name of a file."""
    return database.startswith(_SCHEMES)


def check_url(url: str) -> None:
    """Check the parts of a URL on which the server depends; raises `ValueError` with the reason."""
    for host in hosts_of(url):
        urlsplit(host).port  # noqa: B018  # raises `ValueError`


def hosts_of(url: str) -> list[str]:
    """Split a URL with several hosts into one for each host, so that each gets its own time to answer."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    rest = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return [f"{parts.scheme}://{user}{at}{host}{rest}" for host in hosts.split(",")]


def without_password(url: str) -> str:
    """Return a URL as a log may have it: without a password, and without options, among which there may be one."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{hosts}{parts.path}"
