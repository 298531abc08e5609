"""The library speaks TLS with servers that show a trusted certificate for their name, and with no others."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, cast
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.error import DNSLookupError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import PrivateCertificate
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from twisted_chat.client import tls as tls_module
from twisted_chat.client.endpoints import read_endpoint
from twisted_chat.client.tls import CONNECT_SECONDS, tls_endpoint
from twisted_chat.client.trust import OTHER_NAME, UNTRUSTED, CertificateError
from twisted_chat.commands.certificate import make_certificate
from twisted_chat.needs_tls import NEEDS_TLS

from .programs import TIMEOUT, folder
from .test_certificates import Identity


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:  # as in some containers
        return False
    return True


class Greeter(Protocol):
    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(b"hi")


class Caller(Protocol):
    """A client: what the server has said is its result, or why there was no connection."""

    transport: Any

    def __init__(self) -> None:
        self.heard: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard.callback(data)
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.heard.called:
            self.heard.errback(reason)


class VerifyTests(TestCase):
    """A certificate is trusted or refused."""

    def setUp(self) -> None:
        self.home = folder(self)

    def listen(self, both: bytes, address: str = "127.0.0.1") -> int:
        """Let a server show a certificate; returns its port."""
        options = PrivateCertificate.loadPEM(both).options()
        listen_ssl = cast(Any, reactor).listenSSL
        port = listen_ssl(0, Factory.forProtocol(Greeter), options, interface=address)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def call(self, both: bytes, trusted: bytes, host: str = "localhost", address: str = "127.0.0.1") -> None:
        """Connect to a server with a certificate; raises why not."""
        ca = self.home / "ca.pem"
        ca.write_bytes(trusted)
        endpoint = tls_endpoint(reactor, host, self.listen(both, address), str(ca), bind=address)
        caller = await connectProtocol(endpoint, Caller())
        self.assertEqual(await caller.heard.addTimeout(TIMEOUT, reactor), b"hi")

    async def refusal(self, shown: Identity, trusted: Identity | None = None, host: str = "localhost") -> str:
        with self.assertRaises(CertificateError) as caught:
            await self.call(shown.both, (trusted or shown).certificate, host)
        return str(caught.exception)

    async def test_a_certificate_that_is_named_is_trusted_also_if_it_is_of_an_unknown_authority(self) -> None:
        for identity in (Identity("localhost"), Identity("localhost", by=Identity(common="authority"))):
            await self.call(identity.both, identity.certificate)

    async def test_a_certificate_of_a_trusted_authority_is_trusted_for_its_name(self) -> None:
        authority = Identity(common="authority", authority=True)
        await self.call(Identity("localhost", by=authority).both, authority.certificate)
        refusal = await self.refusal(Identity("a.example", by=authority), authority)
        self.assertEqual(refusal, f"{OTHER_NAME}, but for a.example")

    async def test_one_of_several_may_be_the_right_one(self) -> None:
        identity = Identity("localhost")
        await self.call(identity.both, Identity("localhost").certificate + identity.certificate)

    async def test_a_certificate_may_be_for_an_address(self) -> None:
        now, day = datetime.now(UTC), timedelta(days=1)
        addresses = ["127.0.0.1", "::1"]
        pair = make_certificate([ip_address(address) for address in addresses], now - day, now + day)
        for address in addresses if has_ipv6() else addresses[:1]:
            await self.call(pair.key + pair.certificate, pair.certificate, address, address)

    async def test_another_certificate_is_not_trusted(self) -> None:
        reason = await self.refusal(Identity("localhost"), Identity("localhost"))
        self.assertEqual(reason, f"{UNTRUSTED}: it is signed by itself")

    async def test_without_a_file_the_machine_says_which_ones_are_trusted(self) -> None:
        port = self.listen(Identity("localhost").both)
        caller = await connectProtocol(tls_endpoint(reactor, "localhost", port), Caller())
        with self.assertRaises(CertificateError) as caught:
            await caller.heard.addTimeout(TIMEOUT, reactor)
        self.assertTrue(str(caught.exception).startswith(f"{UNTRUSTED}: it is signed by itself"))

    async def test_a_certificate_for_another_name_or_address_is_refused(self) -> None:
        identity = Identity("a.example", "*.localhost")
        names = f"{OTHER_NAME}, but for a.example, *.localhost"
        self.assertEqual(await self.refusal(identity), names)
        self.assertEqual(await self.refusal(identity, host="127.0.0.1"), names)

    async def test_a_certificate_for_no_name_is_refused(self) -> None:
        # Twisted's own endpoint accepts it.
        identity = Identity(common="localhost")
        self.assertEqual(await self.refusal(identity), f"{OTHER_NAME}, and for no other")
        self.assertEqual(await self.refusal(identity, host="127.0.0.1"), f"{OTHER_NAME}, and for no other")

    async def test_a_certificate_that_has_expired_or_is_not_valid_yet_is_refused(self) -> None:
        self.assertIn("has expired", await self.refusal(Identity("localhost", days=(-3, -1))))
        self.assertIn("is not valid yet", await self.refusal(Identity("localhost", days=(1, 3))))

    def test_a_name_that_no_host_can_have_is_not_found(self) -> None:
        for host in ("a" * 70, "a..b", "☃.example"):
            caller = Factory.forProtocol(Caller)
            self.failureResultOf(tls_endpoint(reactor, host, 1).connect(caller), DNSLookupError)

    def test_a_file_that_cannot_be_used_is_refused(self) -> None:
        missing = self.home / "no.pem"
        with self.assertRaisesRegex(ValueError, f"{missing} cannot be read"):
            tls_endpoint(reactor, "localhost", 1, str(missing))


class DescriptionTests(TestCase):
    """An endpoint is described by a text."""

    def read(self, text: str) -> tuple[Any, ...]:
        with mock.patch.object(tls_module, "tls_endpoint") as made:
            self.assertIs(read_endpoint("the reactor", text), made.return_value)
        ((the_reactor, *arguments),) = (call.args for call in made.call_args_list)
        self.assertEqual(the_reactor, "the reactor")
        return tuple(arguments)

    def test_tls_has_a_host_a_port_and_perhaps_more(self) -> None:
        for text, expected in (
            ("tls:chat.example:1", ("chat.example", 1, None, CONNECT_SECONDS, None)),
            ("tls:port=1:host=\\:\\:1", ("::1", 1, None, CONNECT_SECONDS, None)),
            ("tls:chat.example:1:ca=a\\:b=c.pem", ("chat.example", 1, "a:b=c.pem", CONNECT_SECONDS, None)),
            ("tls:a:1:trustRoots=/etc/chat", ("a", 1, "/etc/chat", CONNECT_SECONDS, None)),
            ("tls:a:1:timeout=5:bindAddress=192.0.2.1", ("a", 1, None, 5.0, "192.0.2.1")),
        ):
            self.assertEqual(self.read(text), expected, text)

    def test_a_wrong_description_is_refused(self) -> None:
        for text in ("tls:", "tls:a", "tls:a:b", "tls::1", "tls:a:1:2", "tls:a:1:color=red", "tls:a:1:certificate=x"):
            with self.assertRaisesRegex(ValueError, "an endpoint with TLS is tls:HOST:PORT"):
                read_endpoint(reactor, text)
        self.assertRaises(ValueError, read_endpoint, reactor, "tls:a:1:timeout=soon")

    def test_other_kinds_are_twisteds(self) -> None:
        self.assertIsInstance(read_endpoint(reactor, "unix:/run/chat.sock"), UNIXClientEndpoint)
        self.assertRaises(ValueError, read_endpoint, reactor, "nothing:1")

    def test_tls_without_its_packages_says_how_to_install_them(self) -> None:
        with mock.patch.dict(sys.modules, {"OpenSSL": None}):
            error = self.assertRaises(ValueError, read_endpoint, reactor, "tls:a:1")
        self.assertEqual(str(error), NEEDS_TLS)
