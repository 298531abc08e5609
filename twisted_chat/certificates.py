"""Certificates for TLS: a folder of PEM files, as certbot and others write them, or a certificate and its key.

Twisted's own `tls:` endpoint reads such a folder too. It stops at whatever is not a plain key or certificate without
saying why, never takes a renewed certificate by itself, and reads the whole folder again, with two lines in the log,
for every name that a stranger asks for. Its `ssl:` endpoint never reads a file again.

RFC 7468 describes PEM, RFC 6066 (section 3) how a client names the server, RFC 6125 (6.4.3) wildcards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from OpenSSL.crypto import X509, PKey
from OpenSSL.SSL import (
    NO_OVERLAPPING_PROTOCOLS,
    TLS_CLIENT_METHOD,
    Connection,
    Context,
    Error,
    WantReadError,
)
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolNegotiationFactory
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.logger import Logger
from zope.interface import implementer

LOOK_SECONDS: Final = 10.0
"""Seconds for which the files are not checked again for a renewed certificate, which happens when a client connects."""

WARN_SECONDS: Final = 86_400.0
"""Seconds after which the log warns again of a certificate that nobody has renewed, when a client connects."""

SOON: Final = timedelta(days=7)
"""The time before its end from which the log warns of a certificate, or a quarter of its life if that is shorter.
Programs renew earlier: certbot 30 days before the end, or when a third of a short life is left."""

MAX_CHAIN: Final = 10
"""Certificates above the server's own. Real chains have two or three."""

_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)

_log = Logger()


class WrongCertificates(ValueError):
    """Certificates that cannot be used. The text says why and what to do."""


class NoKey(WrongCertificates):
    """Files without a private key."""


_UsableKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey
"""The kinds of keys with which a server can sign in TLS 1.3 (RFC 8446, section 4.2.3)."""


class _Held(NamedTuple):
    """A certificate and where it was found."""

    path: Path
    certificate: x509.Certificate
    subject: x509.Name
    issuer: x509.Name


class _Key(NamedTuple):
    path: Path
    key: _UsableKey
    public: bytes
    """The public key that belongs to it, in DER."""


class _Pair(NamedTuple):
    """A certificate with its key and the certificates above it."""

    held: _Held
    key: _Key
    chain: Sequence[_Held]


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """Certificates, each for the names in it. Clients that ask for another name get the first one by file name.

    Renewed files are noticed by themselves, and at once after `reload`. A connection keeps the certificate with which
    it began.
    """

    def __init__(self, find: Callable[[], Sequence[Path]], where: str, seconds: Callable[[], float]) -> None:
        """Read the files that `find` returns; raises `WrongCertificates`.

        `where` names them for people. `seconds` returns the time of a steady clock.
        """
        self._find = find
        self._where = where
        self._seconds = seconds
        self._looked = self._warned = seconds()
        self._used: list[_Held] = []
        self._found: object = None
        self._contexts: dict[str, Context] = {}
        self._default: Context
        self._take(find())

    @classmethod
    def in_folder(cls, folder: Path, seconds: Callable[[], float]) -> Self:
        """Read all files `*.pem` below a folder; raises `WrongCertificates`."""
        return cls(lambda: _pem_files(folder), f"the files *.pem in '{folder}'", seconds)

    @classmethod
    def in_files(cls, files: Sequence[Path], seconds: Callable[[], float]) -> Self:
        """Read a certificate, its key, and perhaps its chain, from one file or several; raises `WrongCertificates`."""
        files = list(dict.fromkeys(files))
        return cls(lambda: files, " and ".join(f"'{file}'" for file in files), seconds)

    def serverConnectionForTLS(self, tlsProtocol: object) -> Connection:
        """Make the TLS part of a new connection. Called by Twisted."""
        if self._seconds() - self._looked >= LOOK_SECONDS:
            self._looked = self._seconds()
            self._look_again()
            if self._seconds() - self._warned >= WARN_SECONDS:
                self._warn()
        return Connection(self._default)

    def reload(self) -> None:
        """Read the files again. If the new certificates cannot be used, the old ones stay, and the log says why."""
        try:
            self._take(self._find())
        except WrongCertificates as error:
            _log.error("certificates stay as they were: {error}", error=error)
        else:
            _log.info("certificates were read again from {where}", where=self._where)

    def _look_again(self) -> None:
        """Read the files again if they have changed."""
        if _state(self._find()) != self._found:
            self.reload()

    def _warn(self) -> None:
        """Warn of certificates that clients refuse, or will refuse soon."""
        self._warned = self._seconds()
        for held in self._used:
            _warn_of_dates(held)

    def _take(self, files: Sequence[Path]) -> None:
        self._found = _state(files)
        pairs = _pairs(files, self._where)
        by_name: dict[str, _Pair] = {}
        for pair in sorted(pairs, key=lambda pair: pair.held.certificate.not_valid_after_utc, reverse=True):
            for name in _names(pair.held.certificate):
                by_name.setdefault(name, pair)  # the newest one, since certbot's archive also has the old ones
        used = {id(pair): pair for pair in by_name.values()}
        contexts = {number: self._context(pair) for number, pair in used.items()}
        self._contexts = {name: contexts[id(pair)] for name, pair in by_name.items()}
        self._default = self._contexts[_names(pairs[0].held.certificate)[0]]
        self._used = [pair.held for pair in used.values()]
        self._warn()

    def _context(self, pair: _Pair) -> Context:
        """Make the settings of connections with a certificate; raises `WrongCertificates` if OpenSSL cannot use it."""
        options = CertificateOptions(
            privateKey=PKey.from_cryptography_key(pair.key.key),
            certificate=X509.from_cryptography(pair.held.certificate),
            extraCertChain=[X509.from_cryptography(above.certificate) for above in pair.chain],
            contextForServerName=self._for_name,
            # RFC 8996 forbids TLS 1.0 and 1.1. Twisted's default is the same today.
            insecurelyLowerMinimumTo=TLSVersion.TLSv1_2,
        )
        try:
            context: Context = options.getContext()
            # Twisted's own function chooses an empty name if there is no other, and OpenSSL then ends the connection.
            context.set_alpn_select_callback(_choose_protocol)
            _shake_hands(context)
        except Error as error:
            why = ", ".join(reason for _, _, reason in error.args[0])
            raise WrongCertificates(
                f"the certificate in '{pair.held.path}' cannot be used for TLS: {why}; get one for a key such as "
                "'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256' makes"
            ) from None
        return context

    def _for_name(self, name: bytes | None) -> Context | None:
        """Return the certificate for the name that a client asks for, or None for the default one."""
        host = (name or b"?").decode("ascii", "replace").lower()
        return self._contexts.get(host) or self._contexts.get(f"*.{host.partition('.')[2]}")


def _choose_protocol(connection: Connection, offered: Sequence[bytes]) -> Any:
    """Choose one of the protocols that a client offers, as browsers do (ALPN, RFC 7301). Called by OpenSSL.

    Few wires have a name in ALPN. A client that offers only others is told none, and goes on without. OpenSSL has a
    mark for that, of a private type.
    """
    wire = connection.get_app_data().factory.wrappedFactory  # Twisted keeps the TLS layer there
    negotiation = IProtocolNegotiationFactory(wire, None)
    for protocol in () if negotiation is None else negotiation.acceptableProtocols():
        if protocol in offered:
            return protocol
    return NO_OVERLAPPING_PROTOCOLS


def _shake_hands(context: Context) -> None:
    """Connect a client to a server in memory, as a check. Raises `Error`.

    Some keys can be read, and no client can do anything with them, such as one of DSA or of the curve secp256k1.
    """
    server, client = Connection(context), Connection(Context(TLS_CLIENT_METHOD))
    server.set_accept_state()
    client.set_connect_state()
    for _ in range(2):  # the flights of the client; TLS 1.3 (RFC 8446, section 2) takes two
        for speaker, listener in ((client, server), (server, client)):
            with suppress(WantReadError):
                speaker.do_handshake()
            with suppress(WantReadError):
                listener.bio_write(speaker.bio_read(2**16))


def _pem_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.pem") if path.is_file())


def _state(files: Sequence[Path]) -> object:
    """Return something that is equal while the files are. A renewed certificate is another file, or a newer one."""
    return [(path, _stamp(path)) for path in files]


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:  # a file may be gone
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _pairs(files: Sequence[Path], where: str) -> list[_Pair]:
    """Match each key with its newest certificate; raises `WrongCertificates`."""
    certificates: list[_Held] = []
    keys: list[_Key] = []
    others: list[str] = []
    for path in files:
        for label, data in _blocks(path):
            if label in ("CERTIFICATE", "X509 CERTIFICATE"):
                certificates.append(_read_certificate(path, data))
            elif label.endswith("PRIVATE KEY"):
                keys.append(_read_key(path, data))
            elif label in _OTHER_FORMS:
                others.append(f"; '{path}' {_OTHER_FORMS[label]}")
    hint = others[0] if others else ""
    if not certificates:
        raise WrongCertificates(f"no certificate is in {where}: put the server's own there, with its key{hint}")
    if not keys:
        raise NoKey(f"no private key is in {where}: put the key of the certificate there too{hint}")
    public = {held: _public_bytes(held.certificate) for held in certificates}
    pairs = []
    for key in keys:
        own = [held for held in certificates if public[held] == key.public]
        if own:
            newest = max(own, key=lambda held: held.certificate.not_valid_after_utc)
            pairs.append(_Pair(newest, key, _chain(newest, certificates)))
    if not pairs:
        raise WrongCertificates(
            f"the private key in '{keys[0].path}' belongs to no certificate in {where}: put its certificate there"
        )
    return pairs


_NO_PEM: Final = "no PEM"

_OTHER_FORMS: Final = {
    "TRUSTED CERTIFICATE": "has one in a form of OpenSSL's own, which 'openssl x509 -in OLD -out NEW' converts",
    "CERTIFICATE REQUEST": "has a request for one: take what the authority made of it",
    "PKCS7": "has certificates in another form, which 'openssl pkcs7 -print_certs -in OLD -out NEW' converts",
    "PUBLIC KEY": "has a public key",
    _NO_PEM: (
        "is not PEM: 'openssl x509 -in OLD -out NEW' converts a certificate, 'openssl pkey -in OLD -out NEW' a key, "
        "and 'openssl pkcs12 -nodes -in OLD -out NEW' both, from a file such as chat.p12 or chat.pfx"
    ),
}
"""The descriptions of a file in which something is missing, by what it has instead."""


def _blocks(path: Path) -> Iterator[tuple[str, bytes]]:
    """Return the blocks of a PEM file with their labels, and ignore the text between them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WrongCertificates(f"'{path}' cannot be read: {error.strerror}") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # UTF-16, as some editors write
        data = data.decode("utf-16", "replace").encode()
    if data[:1] == b"\x30":  # a SEQUENCE: all of X.509 begins so in DER, its binary form (X.690, section 8.9)
        yield _NO_PEM, data
    for match in _PEM.finditer(data):
        yield match[1].decode(), match[0] + b"\n"


def _read_certificate(path: Path, pem: bytes) -> _Held:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        return _Held(path, certificate, certificate.subject, certificate.issuer)
    except ValueError:
        raise WrongCertificates(f"a certificate in '{path}' is damaged: get it again") from None


def _read_key(path: Path, pem: bytes) -> _Key:
    if b"ENCRYPTED" in pem:
        raise WrongCertificates(
            f"the private key in '{path}' is encrypted, and the server has no passphrase for it: "
            "decrypt it with 'openssl pkey -in OLD -out NEW'"
        )
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise WrongCertificates(f"the private key in '{path}' is damaged, or of an unknown kind") from None
    if not isinstance(key, _UsableKey):
        raise WrongCertificates(
            f"the private key in '{path}' is of a kind that TLS has no use for: take EC, RSA or Ed25519"
        )
    return _Key(path, key, _public_bytes(key))


def _public_bytes(holder: x509.Certificate | _UsableKey) -> bytes:
    """Return the public key of a certificate or a private key; nothing if it is of an unknown kind."""
    try:
        return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):  # a certificate of an authority may have any
        return b""


def _chain(held: _Held, certificates: Sequence[_Held]) -> list[_Held]:
    """Return the chain above a certificate, from any file, without the root, which clients have themselves."""
    by_subject = {other.subject: other for other in certificates}
    chain: list[_Held] = []
    issuer = held.issuer
    while issuer in by_subject and len(chain) < MAX_CHAIN:
        above = by_subject[issuer]
        if above.subject == above.issuer:
            break
        chain.append(above)
        issuer = above.issuer
    return chain


def _names(certificate: x509.Certificate) -> list[str]:
    """Return the host names of a certificate, or an empty name if it has none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):  # ValueError: a damaged extension
        return [""]
    return [name.lower() for name in names.value.get_values_for_type(x509.DNSName)] or [""]


def _warn_of_dates(held: _Held) -> None:
    """Warn that clients refuse a certificate, or will do so soon. The server goes on, since it may serve others."""
    now = datetime.now(UTC)
    certificate = held.certificate
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end - min(SOON, (end - begin) / 4):
        what = "has expired on" if now > end else "expires on"
        _log.warn(
            "the certificate in '{path}' {what} {date:%Y-%m-%d %H:%M} UTC, and clients refuse it from then: renew it",
            path=held.path,
            what=what,
            date=end,
        )
    elif now < begin:
        _log.warn(
            "the certificate in '{path}' is valid from {date:%Y-%m-%d %H:%M} UTC on, and clients refuse it before: "
            "see that this machine's clock is right",
            path=held.path,
            date=begin,
        )
