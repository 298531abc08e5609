"""Certificates for TLS are read as people have them, or it is said what is wrong with them."""

from __future__ import annotations

import contextlib
import os
from base64 import encodebytes
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from OpenSSL.SSL import (
    TLS1_1_VERSION,
    TLS1_2_VERSION,
    TLS1_3_VERSION,
    TLS1_VERSION,
    TLS_CLIENT_METHOD,
    Connection,
    Context,
    Error,
    WantReadError,
)
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from twisted_chat.certificates import LOOK_SECONDS, WARN_SECONDS, Certificates, NoKey, WrongCertificates

from .programs import folder

DAY = timedelta(days=1)


class Identity:
    """A key and its certificate, for some names, by another identity or by itself."""

    def __init__(
        self,
        *names: str,
        by: Identity | None = None,
        days: tuple[int, int] = (-1, 30),
        key: Any = None,
        common: str = "",
        authority: bool = False,
    ) -> None:
        now = datetime.now(UTC)
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common or (names or ("",))[0] or "x")])
        builder = (
            x509.CertificateBuilder(
                (by or self).subject, self.subject, self.key.public_key(), x509.random_serial_number()
            )
            .not_valid_before(now + days[0] * DAY)
            .not_valid_after(now + days[1] * DAY)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        if authority:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        signer = (by or self).key
        without = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)  # they have one of their own
        self.made = builder.sign(signer, None if without else hashes.SHA256())

    @property
    def certificate(self) -> bytes:
        return self.made.public_bytes(Encoding.PEM)

    def private(
        self,
        form: PrivateFormat = PrivateFormat.PKCS8,
        encryption: KeySerializationEncryption | None = None,
    ) -> bytes:
        return bytes(self.key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()))

    @property
    def both(self) -> bytes:
        return self.private() + self.certificate


def shown(certificates: Certificates, name: bytes | None = None, version: int | None = None) -> list[x509.Certificate]:
    """Shake hands, in memory, and return the certificates that the server shows to a client that asks for a name."""
    return handshake(certificates.serverConnectionForTLS(None), name, version)


def handshake(
    server: Connection, name: bytes | None = None, version: int | None = None, offers: Sequence[bytes] = ()
) -> list[x509.Certificate]:
    """Connect a client with one version of TLS, or with the newest; raises `Error` if the server refuses it.

    `offers` are the names of protocols that the client speaks (ALPN).
    """
    context = Context(TLS_CLIENT_METHOD)
    if offers:
        context.set_alpn_protos([*offers])
    if version is not None:
        context.set_cipher_list(b"ALL:@SECLEVEL=0")  # without it, OpenSSL's client does not try old versions
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
    client = Connection(context)
    client.set_connect_state()
    server.set_accept_state()
    if name is not None:
        client.set_tlsext_host_name(name)
    for _ in range(4):
        for here, there in ((client, server), (server, client)):
            with contextlib.suppress(WantReadError):
                here.do_handshake()
            with contextlib.suppress(WantReadError):
                there.bio_write(here.bio_read(2**16))
    chain = client.get_peer_cert_chain()
    assert chain
    return [certificate.to_cryptography() for certificate in chain]


AGAIN = "certificates were read again from the files *.pem in 'FOLDER'"


@implementer(IProtocolNegotiationFactory)
class Web:
    """Makes connections that speak HTTP."""

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]


class CertificatesTests(TestCase):
    """A folder of PEM files."""

    def setUp(self) -> None:
        self.home = folder(self)
        self.clock = Clock()
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def read(self, **files: bytes) -> Certificates:
        """Write files, each with the ending `.pem`, and read the folder."""
        self.write(**files)
        return Certificates.in_folder(self.home, self.clock.seconds)

    def write(self, **files: bytes) -> None:
        for name, data in files.items():
            (self.home / f"{name}.pem").write_bytes(data)

    def refuses(self, **files: bytes) -> str:
        """Return what is said of wrong files, with `FOLDER` in the folder's place."""
        return str(self.assertRaises(WrongCertificates, self.read, **files)).replace(str(self.home), "FOLDER")

    def said(self) -> list[str]:
        mine = [event for event in self.events if event["log_namespace"] == "twisted_chat.certificates"]
        return [formatEvent(event).replace(str(self.home), "FOLDER") for event in mine]

    def test_a_key_and_its_certificate_may_be_in_one_file_or_in_two(self) -> None:
        alice = Identity("alice.example")
        self.assertEqual(shown(self.read(both=alice.both)), [alice.made])
        (self.home / "both.pem").unlink()
        self.assertEqual(shown(self.read(key=alice.private(), certificate=alice.certificate)), [alice.made])

    def test_certbots_folder_of_links(self) -> None:
        authority = Identity(common="authority")
        between = Identity(by=authority, common="between")
        alice = Identity("alice.example", by=between)
        archive = folder(self)
        chain = between.certificate + authority.certificate
        for name, data in (
            ("privkey", alice.private()),
            ("cert", alice.certificate),
            ("chain", chain),
            ("fullchain", alice.certificate + chain),
        ):
            (archive / f"{name}1.pem").write_bytes(data)
            (self.home / f"{name}.pem").symlink_to(archive / f"{name}1.pem")
        (self.home / "README").write_text("This directory contains your keys and certificates.")
        self.assertEqual(shown(self.read()), [alice.made, between.made], "clients have the one at the top themselves")

    def test_keys_of_any_kind_and_form(self) -> None:
        old, new = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        for key, forms in (
            (ec.generate_private_key(ec.SECP256R1()), (old, new)),
            (ec.generate_private_key(ec.SECP384R1()), (old, new)),
            (rsa.generate_private_key(65537, 2048), (old, new)),
            (ed25519.Ed25519PrivateKey.generate(), (new,)),
            (ed448.Ed448PrivateKey.generate(), (new,)),
        ):
            identity = Identity("a", key=key)
            for form in forms:
                for before in (b"", parameters):
                    data = before + identity.private(form) + identity.certificate
                    self.assertEqual(shown(self.read(chat=data)), [identity.made], (key, form))

    def test_a_key_that_no_client_can_use_is_refused(self) -> None:
        short, curve = rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256K1())
        for key, reason in ((short, "ee key too small"), (curve, "no suitable signature algorithm")):
            refusal = self.refuses(chat=Identity("a", key=key).both)
            start = f"the certificate in 'FOLDER/chat.pem' cannot be used for TLS: {reason}; get one for a key such as "
            self.assertTrue(refusal.startswith(start), refusal)
        refusal = self.refuses(chat=Identity("a", key=dsa.generate_private_key(1024)).both)
        kind = "the private key in 'FOLDER/chat.pem' is of a kind that TLS has no use for: take EC, RSA or Ed25519"
        self.assertEqual(refusal, kind)

    def test_a_certificate_beside_it_may_have_a_key_of_an_unknown_kind(self) -> None:
        alice = Identity("alice.example")
        curve, unknown = b"\x2a\x86\x48\xce\x3d\x02\x01", b"\x2a\x86\x48\xce\x3d\x02\x7f"  # RFC 5480, section 2.1.1
        strange = Identity(common="authority").made.public_bytes(Encoding.DER).replace(curve, unknown)
        data = f"-----BEGIN CERTIFICATE-----\n{encodebytes(strange).decode()}-----END CERTIFICATE-----\n".encode()
        self.assertEqual(shown(self.read(a=data, b=alice.both)), [alice.made])

    def test_old_versions_of_tls_are_refused(self) -> None:
        alice = Identity("alice.example")
        read = self.read(chat=alice.both)
        for version in (TLS1_2_VERSION, TLS1_3_VERSION):
            self.assertEqual(shown(read, version=version), [alice.made])
        for version in (TLS1_VERSION, TLS1_1_VERSION):
            error = self.assertRaises(Error, shown, read, version=version)
            self.assertEqual([reason for _, _, reason in error.args[0]], ["unsupported protocol"])

    def test_a_client_that_offers_protocols_is_told_the_one_that_is_spoken(self) -> None:
        certificates = self.read(both=Identity("localhost").both)
        for wire, offers, chosen in (
            (Web(), (b"h2", b"http/1.1"), b"http/1.1"),
            (Web(), (b"h2",), b""),
            (Web(), (), b""),
            (None, (b"h2", b"http/1.1"), b""),
        ):
            layer = SimpleNamespace(factory=SimpleNamespace(wrappedFactory=wire))
            server = certificates.serverConnectionForTLS(layer)
            server.set_app_data(layer)  # as Twisted does
            self.assertTrue(handshake(server, offers=offers))
            self.assertEqual(server.get_alpn_proto_negotiated(), chosen)

    def test_what_editors_and_programs_add(self) -> None:
        alice = Identity("alice.example")
        text = alice.both.decode()
        for data in (
            text.encode("utf-8-sig"),
            text.encode("utf-16"),
            text.replace("\n", "\r\n").encode(),
            f"Bag Attributes\n    friendlyName: älice\n{text}-----BEGIN DH PARAMETERS-----\nx\n".encode(),
        ):
            self.assertEqual(shown(self.read(chat=data)), [alice.made])

    def test_a_client_gets_the_certificate_for_the_name_that_it_asks_for(self) -> None:
        alice, bob = Identity("alice.example", "*.alice.example"), Identity("bob.example")
        certificates = self.read(a=alice.both, b=bob.both)
        for name, expected in (
            (b"bob.example", bob),
            (b"BOB.example", bob),
            (b"chat.alice.example", alice),
            (b"alice.example", alice),
            (b"a.b.alice.example", alice),
            (b"nobody.example", alice),
            (b"\xff", alice),
            (None, alice),
        ):
            self.assertEqual(shown(certificates, name), [expected.made], name)
        self.assertEqual(self.said(), [], "a name that is asked for is in no log")

    def test_a_certificate_without_names_is_for_everybody(self) -> None:
        alice = Identity()
        self.assertEqual(shown(self.read(chat=alice.both), b"alice.example"), [alice.made])

    def test_of_two_certificates_for_a_key_the_newer_one_is_shown(self) -> None:
        old = Identity("alice.example", days=(-60, 1))
        new = Identity("alice.example", key=old.key)
        self.assertEqual(shown(self.read(a=old.both, b=new.certificate)), [new.made])
        self.assertEqual(shown(self.read(a=new.both, b=old.certificate)), [new.made])

    def test_of_two_keys_for_a_name_the_one_of_the_newer_certificate_is_shown(self) -> None:
        old, new = Identity("alice.example", days=(-60, -1)), Identity("alice.example")
        certificates = self.read(a=old.both, b=new.both)
        for name in (b"alice.example", b"other.example", None):
            self.assertEqual(shown(certificates, name), [new.made], name)
        self.assertEqual(self.said(), [], "one that is not shown may have expired")

    def test_a_chain_that_goes_round_ends(self) -> None:
        one, two = Identity(common="one"), Identity(common="two")
        loop = [Identity(common="one", by=two), Identity(common="two", by=one)]
        alice = Identity("alice.example", by=one)
        chain = shown(self.read(chat=alice.both + loop[0].certificate + loop[1].certificate))
        self.assertEqual(chain[:3], [alice.made, loop[0].made, loop[1].made])

    def test_what_is_missing_is_named(self) -> None:
        alice, bob = Identity("alice.example"), Identity("bob.example")
        self.assertEqual(
            self.refuses(),
            "no certificate is in the files *.pem in 'FOLDER': put the server's own there, with its key",
        )
        self.assertEqual(
            self.refuses(chat=alice.certificate),
            "no private key is in the files *.pem in 'FOLDER': put the key of the certificate there too",
        )
        self.assertEqual(
            self.refuses(chat=alice.certificate + bob.private()),
            "the private key in 'FOLDER/chat.pem' belongs to no certificate in the files *.pem in 'FOLDER': "
            "put its certificate there",
        )

    def test_a_file_in_another_form_is_named_with_what_converts_it(self) -> None:
        alice = Identity("alice.example")
        start = "no certificate is in the files *.pem in 'FOLDER': put the server's own there, with its key; "
        request = x509.CertificateSigningRequestBuilder(alice.subject).sign(alice.key, hashes.SHA256())
        for data, said in (
            (alice.made.public_bytes(Encoding.DER), "'FOLDER/chat.pem' is not PEM: 'openssl x509 -in OLD -out NEW' "),
            (
                alice.certificate.replace(b" CERT", b" TRUSTED CERT"),
                "of OpenSSL's own",
            ),
            (
                request.public_bytes(Encoding.PEM),
                "'FOLDER/chat.pem' has a request for one: take what the authority made",
            ),
        ):
            refusal = self.refuses(chat=data, key=alice.private())
            self.assertTrue(refusal.startswith(start), refusal)
            self.assertIn(said, refusal)
        public = alice.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        refusal = self.refuses(chat=alice.certificate, key=public)
        self.assertTrue(
            refusal.endswith("the key of the certificate there too; 'FOLDER/key.pem' has a public key"), refusal
        )

    def test_an_encrypted_key_is_named_with_what_decrypts_it(self) -> None:
        alice = Identity("alice.example")
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            encrypted = alice.private(form, BestAvailableEncryption(b"secret"))
            refusal = self.refuses(chat=encrypted + alice.certificate)
            self.assertIn("the private key in 'FOLDER/chat.pem' is encrypted", refusal)
            self.assertIn("openssl pkey -in OLD -out NEW", refusal)

    def test_a_damaged_file_is_named(self) -> None:
        alice = Identity("alice.example")
        damaged = alice.certificate.replace(b"M", b"N")
        self.assertEqual(self.refuses(chat=damaged), "a certificate in 'FOLDER/chat.pem' is damaged: get it again")
        damaged = alice.private().replace(b"M", b"N") + alice.certificate
        expected = "the private key in 'FOLDER/chat.pem' is damaged, or of an unknown kind"
        self.assertEqual(self.refuses(chat=damaged), expected)

    def test_a_file_that_cannot_be_read_is_named(self) -> None:
        def refuse(path: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        self.patch(Path, "read_bytes", refuse)
        self.assertEqual(self.refuses(chat=b""), "'FOLDER/chat.pem' cannot be read: Permission denied")

    def test_clients_would_refuse_one_that_has_expired_or_is_not_valid_yet(self) -> None:
        self.read(a=Identity("a", days=(-30, -1)).both, b=Identity("b", days=(1, 30)).both)
        first, second = sorted(self.said())
        self.assertRegex(
            first, r"^the certificate in 'FOLDER/a.pem' has expired on 20\d\d-\d\d-\d\d \d\d:\d\d UTC, and "
        )
        self.assertRegex(second, r"^the certificate in 'FOLDER/b.pem' is valid from 20\d\d-\S+ \S+ UTC on, and ")

    def test_the_log_warns_each_day_of_one_that_expires_soon(self) -> None:
        expected = (
            r"^the certificate in 'FOLDER/chat.pem' expires on 20.* UTC, and clients refuse it from then: renew it$"
        )
        total = 0
        for days, warns in (((-80, 8), False), ((-80, 6), True), ((-1, 6), False), ((-5, 1), True)):
            read = self.read(chat=Identity("alice.example", days=days).both)
            total += warns
            self.assertEqual(len(self.said()), total, days)
            for _ in range(3):
                self.clock.advance(WARN_SECONDS)
                for _ in range(2):
                    read.serverConnectionForTLS(None)
                total += warns
            self.assertEqual(len(self.said()), total, days)
        for said in self.said():
            self.assertRegex(said, expected)

    def test_a_renewed_certificate_is_shown_without_a_restart(self) -> None:
        old, new = Identity("alice.example"), Identity("alice.example")
        certificates = self.read(chat=old.both)
        self.write(chat=new.both)
        self.assertEqual(shown(certificates), [old.made], "the folder is not looked at for every connection")
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(shown(certificates), [new.made])
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(shown(certificates), [new.made])
        self.assertEqual(self.said(), [AGAIN])

    def test_files_are_looked_at_once_in_a_while_and_not_for_each_connection(self) -> None:
        self.write(chat=Identity("alice.example").both)
        looks: list[None] = []

        def find() -> list[Path]:
            looks.append(None)
            return [self.home / "chat.pem"]

        certificates = Certificates(find, "there", self.clock.seconds)
        counts = []
        for _ in range(3):
            for _ in range(5):
                certificates.serverConnectionForTLS(None)
            counts.append(len(looks))
            self.clock.advance(LOOK_SECONDS)
        self.assertEqual(counts, [1, 2, 3])

    def test_after_reload_a_renewed_certificate_is_shown_at_once(self) -> None:
        old, new = Identity("alice.example"), Identity("alice.example")
        certificates = self.read(chat=old.both)
        before = certificates.serverConnectionForTLS(None)
        self.write(chat=new.both)
        certificates.reload()
        self.assertEqual(shown(certificates), [new.made])
        self.assertEqual(handshake(before), [old.made], "a connection keeps the certificate with which it began")
        certificates.reload()
        self.assertEqual(self.said(), [AGAIN] * 2, "it is said each time, also if nothing has changed")

    def test_after_reload_of_wrong_files_the_last_certificate_stays(self) -> None:
        alice = Identity("alice.example")
        certificates = self.read(chat=alice.both)
        for data, reason in (
            (b"", "no certificate is in the files *.pem in 'FOLDER'"),
            (alice.private() + Identity("alice.example").certificate, "belongs to no certificate"),
            (Identity("a", key=rsa.generate_private_key(65537, 1024)).both, "ee key too small"),
        ):
            self.write(chat=data)
            certificates.reload()
            self.assertEqual(shown(certificates), [alice.made])
            self.assertTrue(self.said()[-1].startswith("certificates stay as they were: "))
            self.assertIn(reason, self.said()[-1])
        os.unlink(self.home / "chat.pem")
        certificates.reload()
        self.assertEqual(shown(certificates), [alice.made])
        self.assertEqual(len(self.said()), 4)

    def test_where_a_renewed_certificate_cannot_be_used_the_last_one_stays(self) -> None:
        alice = Identity("alice.example")
        certificates = self.read(chat=alice.both)
        self.write(chat=alice.certificate)
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(shown(certificates), [alice.made])
        self.assertIn("certificates stay as they were: no private key is in the files", self.said()[0])
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(shown(certificates), [alice.made])
        self.assertEqual(len(self.said()), 1, "it is said once")
        os.unlink(self.home / "chat.pem")
        self.write(chat=alice.both)
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(shown(certificates), [alice.made])


class FilesTests(TestCase):
    """A certificate and its key, by the names of their files."""

    def setUp(self) -> None:
        self.home = folder(self)
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def read(self, *names: str) -> Certificates:
        return Certificates.in_files([self.home / name for name in names], Clock().seconds)

    def refuses(self, *names: str, error: type[WrongCertificates] = WrongCertificates) -> str:
        return str(self.assertRaises(error, self.read, *names)).replace(str(self.home), "FOLDER")

    def test_they_may_have_any_name_and_be_one_file_or_several(self) -> None:
        authority = Identity(common="authority")
        between = Identity(by=authority, common="between")
        alice = Identity("alice.example", by=between)
        for name, data in (("both", alice.both), ("key", alice.private()), ("chain", between.certificate)):
            (self.home / name).write_bytes(data)
        for files in (("both", "both"), ("both", "key")):
            self.assertEqual(shown(self.read(*files)), [alice.made])
        self.assertEqual(shown(self.read("both", "key", "chain")), [alice.made, between.made])

    def test_what_is_wrong_is_named(self) -> None:
        alice, bob = Identity("alice.example"), Identity("bob.example")
        for name, data in (("alice", alice.certificate), ("bob", bob.private())):
            (self.home / name).write_bytes(data)
        for files, reason in (
            (
                ("alice", "bob"),
                "the private key in 'FOLDER/bob' belongs to no certificate in 'FOLDER/alice' and 'FOLDER/bob': ",
            ),
            (("no", "bob"), "'FOLDER/no' cannot be read: No such file or directory"),
            (("alice", "."), "'FOLDER' cannot be read: Is a directory"),
        ):
            self.assertTrue(self.refuses(*files).startswith(reason), self.refuses(*files))
        self.assertTrue(self.refuses("alice", error=NoKey).startswith("no private key is in 'FOLDER/alice': "))

    def test_both_are_read_again(self) -> None:
        old, new = Identity("alice.example"), Identity("alice.example")
        (self.home / "key").write_bytes(old.private())
        (self.home / "certificate").write_bytes(old.certificate)
        certificates = self.read("certificate", "key")
        (self.home / "certificate").write_bytes(new.certificate)
        certificates.reload()
        self.assertEqual(shown(certificates), [old.made], "while only one of them is new, the old pair stays")
        (self.home / "key").write_bytes(new.private())
        certificates.reload()
        self.assertEqual(shown(certificates), [new.made])
        said = [formatEvent(event).replace(str(self.home), "FOLDER") for event in self.events]
        self.assertEqual(said[-1], "certificates were read again from 'FOLDER/certificate' and 'FOLDER/key'")

    def test_a_file_that_vanishes_is_no_reason_to_stop(self) -> None:
        alice = Identity("alice.example")
        (self.home / "both").write_bytes(alice.both)
        clock = Clock()
        certificates = Certificates.in_files([self.home / "both"], clock.seconds)
        os.unlink(self.home / "both")
        clock.advance(LOOK_SECONDS)
        self.assertEqual(shown(certificates), [alice.made])
        expected = "certificates stay as they were: 'FOLDER/both' cannot be read: No such file or directory"
        self.assertEqual([formatEvent(event).replace(str(self.home), "FOLDER") for event in self.events], [expected])
