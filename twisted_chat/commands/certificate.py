"""`twisted-chat certificate`: makes a certificate for a try, signed by itself, and its private key.

Clients trust it once they are given the file. It cannot sign other certificates (`ca=False`), so somebody who steals
the key can pretend to be this server and nobody else.
"""

from __future__ import annotations

import os
import shlex
import socket
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from ..atomic_write import atomic_write
from ..needs_tls import NEEDS_TLS
from . import TALK, TOOL, Command, Problem

if TYPE_CHECKING:
    from cryptography import x509

PORT: Final = 14943
"""The port in the examples, as in the documents."""

DAYS: Final = 365

MAX_DAYS: Final = 36_500
"""A hundred years. The dates of a certificate end with the year 9999 (RFC 5280, section 4.1.2.5)."""

EARLIER: Final = timedelta(days=1)
"""The time before now at which a certificate becomes valid: clocks of clients are late, by hours if a zone is wrong."""

MAX_COMMON_NAME: Final = 64
"""Characters of a common name (RFC 5280, appendix A.1). Clients look at the other names; this one is for people."""

Name = str | IPv4Address | IPv6Address
"""The name of a host, as the DNS has it, or an address."""


class Pair(NamedTuple):
    """A certificate and its private key, in PEM."""

    certificate: bytes
    key: bytes


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="name or address by which clients reach the server [default: those of this machine]",
    )
    parser.add_argument(
        "--certificate", metavar="FILE", default="chat.pem", help="file of the certificate [default: chat.pem]"
    )
    parser.add_argument(
        "--key", metavar="FILE", default="chat-key.pem", help="file of the private key [default: chat-key.pem]"
    )
    parser.add_argument(
        "--days", metavar="N", type=_days, default=DAYS, help=f"days for which it is valid [default: {DAYS}]"
    )


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= MAX_DAYS):
        raise ArgumentTypeError(f"takes a number of days from 1 to {MAX_DAYS}, not {text!r}")
    return int(text)


def _run(options: Namespace) -> int:
    if find_spec("OpenSSL") is None:
        raise Problem(NEEDS_TLS)
    names = [read_name(text) for text in options.names] or own_names()
    for path in (options.certificate, options.key):
        if os.path.lexists(path):
            raise Problem(f"{path} is there already: remove it, or name other files with --certificate and --key")
    now = datetime.now(UTC)
    until = now + timedelta(days=options.days)
    pair = make_certificate(names, now - EARLIER, until)
    _write(options, pair)
    print("\n".join(_explained(options, names, until)))
    return 0


def read_name(text: str) -> Name:
    """Read the name of a host, such as chat.example or *.example, or an address; raises `Problem`."""
    import idna  # here, since it comes with the packages for TLS

    with suppress(ValueError):
        return ip_address(text.removeprefix("[").removesuffix("]"))
    host = text.removeprefix("*.").removesuffix(".")
    with suppress(idna.IDNAError):
        name = idna.encode(host, uts46=True).decode()
        if not name.rpartition(".")[2].isdecimal():  # an address with a slip of the pen
            return f"*.{name}" if text.startswith("*.") else name
    raise Problem(f"'{text}' is neither the name of a host nor an address")


def own_names() -> list[Name]:
    """Return the names and addresses by which clients may reach this machine, those for other machines first."""
    found: dict[Name, None] = {}
    for text in (socket.getfqdn(), socket.gethostname(), *_own_addresses(), "localhost", "127.0.0.1", "::1"):
        with suppress(Problem):  # a host may have a name that the DNS cannot have
            found.setdefault(read_name(text))
    return sorted(found, key=_is_local)


def _is_local(name: Name) -> bool:
    """True if only this machine can use a name."""
    return name == "localhost" or getattr(name, "is_loopback", False)


def _own_addresses() -> Iterable[str]:
    """Find the addresses from which this machine would reach others. Nothing is sent."""
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):  # for documentation
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as there:  # it may have no such network
            there.connect((elsewhere, PORT))
            yield there.getsockname()[0]


def make_certificate(names: Sequence[Name], begin: datetime, end: datetime) -> Pair:
    """Make a certificate for some names, signed by itself, and its private key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, str(names[0])[:MAX_COMMON_NAME])])
    own_key = x509.SubjectKeyIdentifier.from_public_key(public)
    certificate = (
        x509.CertificateBuilder(own, own, public, x509.random_serial_number(), begin, end)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(own_key, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_key), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate.public_bytes(Encoding.PEM), private)


def _general_name(name: Name) -> x509.GeneralName:
    from cryptography import x509

    return x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)


def _write(options: Namespace, pair: Pair) -> None:
    """Write both files or none; raises `Problem`."""
    path = options.key
    try:
        with atomic_write(options.key, 0o600) as key:
            key.write(pair.key)
            path = options.certificate
            with atomic_write(options.certificate) as certificate:
                certificate.write(pair.certificate)
    except OSError as error:
        raise Problem(f"cannot write {path}: {error.strerror}") from None


def _explained(options: Namespace, names: Sequence[Name], until: datetime) -> Iterable[str]:
    certificate, key = shlex.quote(options.certificate), shlex.quote(options.key)
    place = PORT if all(map(_is_local, names)) else f"0.0.0.0:{PORT}"
    host = next((name for name in names if not str(name).startswith("*")), "chat.example")
    yield f"{certificate} is the certificate, valid until {until:%Y-%m-%d}, for {', '.join(map(str, names))}."
    yield f"{key} is its private key. Only the server may read it."
    yield ""
    yield "Start the server:"
    yield f"    twistd -n chat --tls {place} --certificate {certificate} --key {key}"
    yield f"Copy {certificate}, and not the key, to the machine of each client, and connect:"
    yield f"    {TOOL} {TALK} --host {host} --port {PORT} --tls --ca {certificate}"


CERTIFICATE: Final = Command("certificate", "Make a certificate for a try with TLS, and its key.", _arguments, _run)
"""The command."""
