"""Certificates for TLS are read as people have them, or it is said what is wrong with them."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from OpenSSL.SSL import TLS_CLIENT_METHOD, Connection, Context, WantReadError
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from twisted_chat.certificates import LOOK_SECONDS, Certificates, WrongCertificates, check_files

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
        self.made = builder.sign((by or self).key, hashes.SHA256())

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


def shown(certificates: Certificates, name: bytes | None = None) -> list[x509.Certificate]:
    """Shake hands, in memory, and return the certificates that the server shows to one who asks for a name."""
    server = certificates.serverConnectionForTLS(None)
    client = Connection(Context(TLS_CLIENT_METHOD))
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


class CertificatesTests(TestCase):
    """A folder of PEM files."""

    def setUp(self) -> None:
        self.home = folder(self)
        self.clock = Clock()
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def read(self, **files: bytes) -> Certificates:
        """Write files, each with the ending `.pem`, and read the folder."""
        self.write(**files)
        return Certificates(self.home, self.clock.seconds)

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
        curve, number = Identity("a"), Identity("b", key=rsa.generate_private_key(65537, 2048))
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        for identity, key in (
            (curve, parameters + curve.private(PrivateFormat.TraditionalOpenSSL)),
            (number, number.private(PrivateFormat.TraditionalOpenSSL)),
            (number, number.private()),
        ):
            self.assertEqual(shown(self.read(chat=key + identity.certificate)), [identity.made])

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
        self.assertRegex(first, r"^the certificate in 'FOLDER/a.pem' has expired on 20\d\d-\d\d-\d\d, and clients ")
        self.assertRegex(second, r"^the certificate in 'FOLDER/b.pem' is valid from 20\d\d-\S+ \S+ UTC on, and ")

    def test_a_renewed_certificate_is_shown_without_a_restart(self) -> None:
        old, new = Identity("alice.example"), Identity("alice.example")
        certificates = self.read(chat=old.both)
        self.write(chat=new.both)
        self.assertEqual(shown(certificates), [old.made], "the folder is not looked at for every connection")
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(shown(certificates), [new.made])
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(shown(certificates), [new.made])
        self.assertEqual(self.said(), ["certificates in FOLDER were read again"])

    def test_where_a_renewed_certificate_cannot_be_used_the_last_one_stays(self) -> None:
        alice = Identity("alice.example")
        certificates = self.read(chat=alice.both)
        self.write(chat=alice.certificate)
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(shown(certificates), [alice.made])
        self.assertIn("certificates stay as they were: no private key is in the files", self.said()[0])
        os.unlink(self.home / "chat.pem")
        self.write(chat=alice.both)
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(shown(certificates), [alice.made])


class CheckFilesTests(TestCase):
    """One certificate and its key, as `ssl:` takes them."""

    def test_they_are_checked(self) -> None:
        home = folder(self)
        alice, bob = Identity("alice.example"), Identity("bob.example")
        for name, data in (("both", alice.both), ("key", alice.private()), ("other", bob.certificate)):
            (home / name).write_bytes(data)
        check_files(home / "both", home / "both")
        check_files(home / "both", home / "key")
        error = self.assertRaises(WrongCertificates, check_files, home / "other", home / "key")
        self.assertIn(f"the private key in '{home}/key' belongs to no certificate in '{home}/other'", str(error))
