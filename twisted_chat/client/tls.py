"""TLS for the library: endpoints whose servers have to show a certificate for their name that is trusted.

Twisted's own endpoint does not say why a certificate is refused. And it accepts one that is trusted but is for no name
at all, whatever the server is called, since it takes the error of the library that compares names for a bug of its own
(Twisted 26.10, `twisted.internet._sslverify._verifyCB`).

This module needs the packages for TLS.
"""

from __future__ import annotations

from typing import Any, Final

from cryptography import x509
from OpenSSL.crypto import X509, X509StoreFlags
from OpenSSL.SSL import VERIFY_FAIL_IF_NO_PEER_CERT, VERIFY_PEER, Connection
from service_identity import CertificateError as NoNames
from service_identity import VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from .trust import WRONG_NAME, CertificateError, certificate_problem, read_trusted

CONNECT_SECONDS: Final = 30.0
"""Seconds for an attempt to connect to one address, as Twisted has it."""


def tls_endpoint(
    reactor: Any,
    host: str,
    port: int,
    ca: str | None = None,
    timeout: float = CONNECT_SECONDS,
    bind: str | None = None,
) -> IStreamClientEndpoint:
    """Make the endpoint of a server over TLS.

    `ca` is a file with the certificates to trust, or a folder of such files; by default those that the machine trusts.
    `timeout` is the time in seconds for an attempt, and `bind` the address to connect from. Raises `ValueError` if `ca`
    cannot be used.
    """
    trust = platformTrust() if ca is None else _trust(ca)
    try:
        verifier = _Verifier(host, trust, is_pinned=ca is not None)
    except UnicodeError:  # the error for what is no name in the DNS
        return _NoHost(host)
    source = None if bind is None else (bind, 0)
    stream = HostnameEndpoint(reactor, host, port, timeout, source)
    return wrapClientTLS(verifier, stream)


@implementer(IStreamClientEndpoint)
class _NoHost:
    """The endpoint of a name that no host can have, such as one with a label of 70 letters."""

    def __init__(self, host: str) -> None:
        self._host = host

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return fail(DNSLookupError(f"{self._host} is not the name of a host"))


@implementer(IOpenSSLClientConnectionCreator)
class _Verifier:
    """Makes the TLS part of connections to a host, and verifies the certificate of the server."""

    def __init__(self, host: str, trust: Any, is_pinned: bool) -> None:
        """Make one; raises `UnicodeError` for what is no name. `is_pinned` is true if the trusted ones were named."""
        self._options = optionsForClientTLS(host, trustRoot=trust)
        self._host = host
        self._is_pinned = is_pinned

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> Connection:
        """Make the TLS part of a new connection. Called by Twisted."""

        def verify(_: Connection, certificate: X509, code: int, depth: int, trusted: int) -> bool:
            """Called by OpenSSL for each certificate of the chain. What is raised here counts as a refusal."""
            problem = ""
            if not trusted:
                problem = certificate_problem(code)
            elif depth == 0:
                problem = self._wrong_name(certificate)
            if problem:
                tlsProtocol.failVerification(Failure(CertificateError(problem)))
            return not problem

        connection = self._options.clientConnectionForTLS(tlsProtocol)
        connection.set_verify(VERIFY_PEER | VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        if self._is_pinned:  # what was named is trusted, also if it is not the certificate of an authority
            store = connection.get_context().get_cert_store()
            assert store is not None
            store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
        return connection

    def _wrong_name(self, certificate: X509) -> str:
        """Return what is wrong if a certificate is for other names than the host's, or for none."""
        made = certificate.to_cryptography()
        is_address = isIPAddress(self._host) or isIPv6Address(self._host)
        check = verify_certificate_ip_address if is_address else verify_certificate_hostname
        try:
            check(made, self._host)
        except (VerificationError, NoNames):
            return certificate_problem(WRONG_NAME, _names(made))
        return ""


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):  # ValueError: a damaged extension
        return []
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def _trust(ca: str) -> Any:
    pem = read_trusted(ca)
    ends = "-----END CERTIFICATE-----"
    return trustRootFromCertificates([Certificate.loadPEM(f"{part}{ends}".encode()) for part in pem.split(ends)[:-1]])
