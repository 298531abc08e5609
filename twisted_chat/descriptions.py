"""The descriptions of endpoints, such as `tcp:14900:interface=0.0.0.0`, and the mistakes in them.

Twisted reads descriptions with `serverFromString`. It accepts some that fail later, and of others it only says that
something is wrong. TLS is not left to Twisted: the server puts it on a plain endpoint itself (`BENEATH`).
"""

from __future__ import annotations

import os
import re
import stat
import sys
from importlib.util import find_spec
from typing import Final

from twisted.internet.abstract import isIPv6Address
from twisted.internet.endpoints import quoteStringArgument

from .needs_tls import NEEDS_TLS

BACKLOG: Final = 4096
"""The connections that the kernel queues until the server accepts them: what Linux allows by default. After a restart
all clients come back at once. With Twisted's 50, a thousand of them needed 16 s, since a client whose connection does
not fit into the queue tries again only after a second or more."""


MAX_PATH: Final = 107 if sys.platform == "linux" else 103
"""The maximum number of bytes of the path of a Unix socket, as `sun_path` holds them; see unix(7)."""


class Misfit(Exception):
    """A description that Twisted accepts and fails with later, or rejects with an unintelligible error."""


def is_number(text: str) -> bool:
    """True for a whole number of at most nine digits."""
    return re.fullmatch(r"-?[0-9]{1,9}", text) is not None


def is_port(text: str) -> bool:
    return is_number(text) and 0 <= int(text) <= 65535


SSL: Final = (
    "port",
    "privateKey",
    "certKey",
    "sslmethod",
    "interface",
    "backlog",
    "extraCertChain",
    "dhParameters",
)
"""The arguments of `ssl:`, in the order of their positions."""


def _beneath_tls(parts: list[str]) -> str:
    """Return the description without the folder, as a TCP port for IPv6 and IPv4, like that of Twisted's `tls:`."""
    rest = parts[1:]
    rest.remove(next(part for part in rest if part.startswith("path=") or "=" not in part))
    if not argument(parts, "port", 2):
        rest.append("port=443")
    return ":".join(["tcp6", *rest])


def _beneath_ssl(parts: list[str]) -> str:
    """Return the description without the certificates, as a TCP port for IPv4, like that of Twisted's `ssl:`."""
    given = {name: argument(parts, name, SSL.index(name) + 1) for name in ("port", "interface", "backlog")}
    return ":".join(["tcp", *(f"{name}={quoteStringArgument(value)}" for name, value in given.items() if value)])


BENEATH: Final = {"tls": _beneath_tls, "ssl": _beneath_ssl}
"""The part of a description beneath its TLS."""


def colons_hint(text: str) -> str:
    """Return a hint on how to write an address, if a description has unescaped colons of IPv6."""
    found = re.search(r":interface=([^=]*?)(?=:\w+=|$)", text)
    address = found[1] if found else ""
    if not isIPv6Address(address):
        return ""
    return f"escape the colons of the address, interface={quoteStringArgument(address)}"


def with_backlog(text: str) -> str:
    """Add the length of the queue, if the type of endpoint has one and the description does not set it."""
    kind = text.partition(":")[0]
    takes_it = kind in ("tcp", "tcp6", "unix") and "backlog=" not in text
    return f"{text}:backlog={BACKLOG}" if takes_it else text


_PORT_AT: Final = {"tcp": 1, "tcp6": 1, "ssl": 1, "tls": 2}
"""The position of the port in a description, counted from the type. It can also be written as `port=`."""


def check_description(parts: list[str], has_tls: bool) -> None:
    """Check a description for mistakes that Twisted does not report, or not clearly; raises `Misfit`.

    `has_tls` is true if the option says so already.
    """
    kind = parts[0]
    if kind == "stdio":
        raise Misfit("nobody can connect to stdio")
    if kind in BENEATH and has_tls:
        raise Misfit("it has certificates of its own: use --listen for it")
    if kind in BENEATH and find_spec("OpenSSL") is None:
        raise Misfit(NEEDS_TLS)
    if kind == "ssl":
        _check_ssl(parts)
    if kind == "unix":
        _check_socket(argument(parts, "address", 1))
    port = argument(parts, "port", _PORT_AT.get(kind, len(parts)))
    if port and not is_port(port):
        raise Misfit(f"a port is a number from 0 to 65535, not '{port}'")


def _check_ssl(parts: list[str]) -> None:
    named = {part.partition("=")[0] for part in parts[1:] if "=" in part}
    if unknown := sorted(named.difference(SSL)):
        raise Misfit(f"ssl: has no argument {unknown[0]}")
    for name in ("sslmethod", "dhParameters"):
        if argument(parts, name, SSL.index(name) + 1):
            raise Misfit(
                f"leave out {name}: the server speaks TLS 1.2 and 1.3, with keys agreed on over elliptic curves"
            )


def _check_socket(path: str) -> None:
    if len(os.fsencode(path)) > MAX_PATH:
        raise Misfit(f"the path of a Unix socket has at most {MAX_PATH} bytes")
    if os.path.exists(path) and not stat.S_ISSOCK(os.stat(path).st_mode):
        raise Misfit(f"'{path}' is there already, and is no socket: name another path")


def split(text: str) -> list[str]:
    """Split a description at its colons; the first part is the type of the endpoint."""
    return re.split(r"(?<!\\):", text)


def argument(parts: list[str], name: str, at: int) -> str:
    """Return an argument of a description by its name or its position, or an empty text if it is absent."""
    named = [part.partition("=")[2] for part in parts if part.startswith(f"{name}=")]
    return "".join(named or [part for part in parts if "=" not in part][at : at + 1]).replace("\\", "")
