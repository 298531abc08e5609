"""Certificates for TLS: a folder of PEM files, as certbot and others write them.

Twisted's own `tls:` endpoint reads such a folder too. It stops at whatever is not a plain key or certificate without
saying why, never takes a renewed certificate by itself, and reads the whole folder again, with two lines in the log,
for every name that a stranger asks for.

RFC 7468 describes PEM, RFC 6066 (section 3) how a client names the server, RFC 6125 (6.4.3) wildcards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from OpenSSL.crypto import FILETYPE_PEM
from OpenSSL.SSL import Connection, Context
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, KeyPair
from twisted.logger import Logger
from zope.interface import implementer

LOOK_SECONDS: Final = 10.0
"""Seconds for which the folder is not checked again for a renewed certificate, which happens when a client connects."""

MAX_CHAIN: Final = 10
"""Certificates above the server's own. Real chains have two or three."""

_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)

_log = Logger()


class WrongCertificates(ValueError):
    """Certificates that cannot be used; the text says why and what to do."""


class _Held(NamedTuple):
    """A certificate and where it was found."""

    path: Path
    certificate: x509.Certificate
    pem: bytes


class _Key(NamedTuple):
    path: Path
    key: PrivateKeyTypes
    pem: bytes


class _Pair(NamedTuple):
    """A certificate with its key and the certificates above it."""

    held: _Held
    key: _Key
    chain: Sequence[_Held]


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """The certificates of a folder, each for the names in it. Other clients get the first one by file name."""

    def __init__(self, folder: Path, seconds: Callable[[], float]) -> None:
        """Read a folder; raises `WrongCertificates`. `seconds` returns the time of a steady clock."""
        self._folder = folder
        self._seconds = seconds
        self._looked = seconds()
        self._found: object = None
        self._contexts: dict[str, Context] = {}
        self._default: Context
        self._take(_files(folder))

    def serverConnectionForTLS(self, tlsProtocol: object) -> Connection:
        """Make the TLS part of a new connection. Called by Twisted."""
        if self._seconds() - self._looked >= LOOK_SECONDS:
            self._looked = self._seconds()
            self._look_again()
        return Connection(self._default)

    def _look_again(self) -> None:
        """Read the folder again if it has changed. If the new certificates cannot be used, keep the old ones."""
        try:
            files = _files(self._folder)
            if _state(files) != self._found:
                self._take(files)
                _log.info("certificates in {folder} were read again", folder=self._folder)
        except (WrongCertificates, OSError) as error:
            _log.error("certificates stay as they were: {error}", error=error)

    def _take(self, files: Sequence[Path]) -> None:
        self._found = _state(files)
        pairs = _pairs(files, f"the files *.pem in '{self._folder}'")
        by_name: dict[str, _Pair] = {}
        for pair in sorted(pairs, key=lambda pair: pair.held.certificate.not_valid_after_utc, reverse=True):
            for name in _names(pair.held.certificate):
                by_name.setdefault(name, pair)  # the newest one, since certbot's archive also has the old ones
        used = {id(pair): pair for pair in by_name.values()}
        contexts = {number: self._context(pair) for number, pair in used.items()}
        self._contexts = {name: contexts[id(pair)] for name, pair in by_name.items()}
        self._default = self._contexts[_names(pairs[0].held.certificate)[0]]
        for pair in used.values():
            _warn_of_dates(pair.held)

    def _context(self, pair: _Pair) -> Context:
        options = CertificateOptions(
            privateKey=KeyPair.load(pair.key.pem, FILETYPE_PEM).original,
            certificate=Certificate.loadPEM(pair.held.pem).original,
            extraCertChain=[Certificate.loadPEM(above.pem).original for above in pair.chain],
            contextForServerName=self._for_name,
        )
        return options.getContext()

    def _for_name(self, name: bytes | None) -> Context | None:
        """Return the certificate for the name that a client asks for, or None for the default one."""
        host = (name or b"?").decode("ascii", "replace").lower()
        return self._contexts.get(host) or self._contexts.get(f"*.{host.partition('.')[2]}")


def check_files(certificate: Path, key: Path) -> None:
    """Check that a certificate and its key can be used; raises `WrongCertificates`."""
    files = [certificate] if certificate == key else [certificate, key]
    for pair in _pairs(files, f"'{certificate}'"):
        _warn_of_dates(pair.held)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.pem") if path.is_file())


def _state(files: Sequence[Path]) -> object:
    """True if the files have not changed. A renewed certificate is another file, or a newer one."""
    found = [(path, path.stat()) for path in files]
    return [(path, status.st_ino, status.st_mtime_ns, status.st_size) for path, status in found]


def _pairs(files: Sequence[Path], where: str) -> list[_Pair]:
    """Match each key with its newest certificate; raises `WrongCertificates`."""
    certificates: list[_Held] = []
    keys: list[_Key] = []
    for path in files:
        for label, pem in _blocks(path):
            if label == "CERTIFICATE":
                certificates.append(_read_certificate(path, pem))
            elif label.endswith("PRIVATE KEY"):
                keys.append(_read_key(path, pem))
    if not certificates:
        raise WrongCertificates(f"no certificate is in {where}: put the server's own there, with its key")
    if not keys:
        raise WrongCertificates(f"no private key is in {where}: put the key of the certificate there too")
    pairs = []
    for key in keys:
        public = _public_bytes(key.key.public_key())
        own = [held for held in certificates if _public_bytes(held.certificate.public_key()) == public]
        if own:
            newest = max(own, key=lambda held: held.certificate.not_valid_after_utc)
            pairs.append(_Pair(newest, key, _chain(newest, certificates)))
    if not pairs:
        raise WrongCertificates(
            f"the private key in '{keys[0].path}' belongs to no certificate in {where}: put its certificate there"
        )
    return pairs


def _blocks(path: Path) -> Iterator[tuple[str, bytes]]:
    """Return the blocks of a PEM file with their labels, and ignore the text between them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WrongCertificates(f"'{path}' cannot be read: {error.strerror}") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # UTF-16, as some editors write
        data = data.decode("utf-16", "replace").encode()
    for match in _PEM.finditer(data):
        yield match[1].decode(), match[0] + b"\n"


def _read_certificate(path: Path, pem: bytes) -> _Held:
    try:
        return _Held(path, x509.load_pem_x509_certificate(pem), pem)
    except ValueError:
        raise WrongCertificates(f"a certificate in '{path}' is damaged: get it again") from None


def _read_key(path: Path, pem: bytes) -> _Key:
    if b"ENCRYPTED" in pem:
        raise WrongCertificates(
            f"the private key in '{path}' is encrypted, and the server has no passphrase for it: "
            "decrypt it with 'openssl pkey -in OLD -out NEW'"
        )
    try:
        return _Key(path, load_pem_private_key(pem, None), pem)
    except (ValueError, TypeError):
        raise WrongCertificates(f"the private key in '{path}' is damaged, or of an unknown kind") from None


def _public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _chain(held: _Held, certificates: Sequence[_Held]) -> list[_Held]:
    """Return the chain above a certificate, from any file, without the root, which clients have themselves."""
    by_subject = {other.certificate.subject: other for other in certificates}
    chain: list[_Held] = []
    issuer = held.certificate.issuer
    while issuer in by_subject and len(chain) < MAX_CHAIN:
        above = by_subject[issuer]
        if above.certificate.subject == above.certificate.issuer:
            break
        chain.append(above)
        issuer = above.certificate.issuer
    return chain


def _names(certificate: x509.Certificate) -> list[str]:
    """Return the host names of a certificate, or an empty name if it has none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return [""]
    return [name.lower() for name in names.value.get_values_for_type(x509.DNSName)] or [""]


def _warn_of_dates(held: _Held) -> None:
    """Warn that clients will refuse a certificate. The server starts nevertheless, since it may serve others."""
    now = datetime.now(UTC)
    certificate = held.certificate
    if now > certificate.not_valid_after_utc:
        _log.warn(
            "the certificate in '{path}' has expired on {date:%Y-%m-%d}, and clients refuse it: renew it",
            path=held.path,
            date=certificate.not_valid_after_utc,
        )
    elif now < certificate.not_valid_before_utc:
        _log.warn(
            "the certificate in '{path}' is valid from {date:%Y-%m-%d %H:%M} UTC on, and clients refuse it before: "
            "see that this machine's clock is right",
            path=held.path,
            date=certificate.not_valid_before_utc,
        )
