"""Certificates of servers are trusted or refused, and it is said why, in words that are the same for all clients."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client import trust
from twisted_chat.client.trust import MAX_NAMES, OTHER_NAME, UNTRUSTED, WRONG_NAME, certificate_problem, read_trusted

from .programs import folder
from .test_certificates import Identity


class ProblemTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(os, "environ", {})

    def test_each_problem_has_words(self) -> None:
        for code, text in (
            (9, "its certificate is not valid yet, unless this machine's clock is wrong"),
            (
                10,
                "its certificate has expired, and its operator has to renew it, unless this machine's ",
            ),
            (18, f"{UNTRUSTED}: it is signed by itself"),
            (20, UNTRUSTED),
            (79, f"{UNTRUSTED}: the one above it is not one of an authority"),
            (64, OTHER_NAME),
            (66, "its certificate is refused, with the error 66 of OpenSSL's verify(1)"),
        ):
            self.assertTrue(certificate_problem(code).startswith(text), certificate_problem(code))

    def test_a_certificate_for_other_names_is_told_with_a_few_of_them(self) -> None:
        names = [f"{letter}.example" for letter in "abcdef"]
        for shown, text in (
            (None, ""),
            ([], ", and for no other"),
            (names[:2], ", but for a.example, b.example"),
            (names[:MAX_NAMES], ", but for a.example, b.example, c.example, d.example, e.example"),
            (names, ", but for a.example, b.example, c.example, d.example, e.example and more"),
            (["a\x1b[2J\u202e", "b" * 300], f", but for a?[2J?, {'b' * 253}"),
        ):
            self.assertEqual(certificate_problem(WRONG_NAME, shown), OTHER_NAME + text)
            self.assertEqual(certificate_problem(10, shown), certificate_problem(10))

    def test_a_file_of_trusted_certificates_that_is_missing_is_named(self) -> None:
        here = Path(__file__)
        for variables, text in (
            ({"SSL_CERT_FILE": str(here), "SSL_CERT_DIR": str(here.parent)}, ""),
            ({"SSL_CERT_FILE": "nope.pem"}, "; SSL_CERT_FILE is nope.pem, and there is no such file"),
            ({"SSL_CERT_DIR": "nowhere"}, "; SSL_CERT_DIR is nowhere, and there is no such folder"),
        ):
            self.patch(os, "environ", variables)
            self.assertEqual(certificate_problem(20), UNTRUSTED + text)
            self.assertEqual(certificate_problem(18), f"{UNTRUSTED}: it is signed by itself{text}")


class ReadTests(SynchronousTestCase):
    """The certificates to trust are read from a file or a folder."""

    def setUp(self) -> None:
        self.home = folder(self)

    def count(self, path: Path) -> int:
        return read_trusted(str(path)).count("BEGIN CERTIFICATE")

    def refuses(self, path: Path) -> str:
        return str(self.assertRaises(ValueError, read_trusted, str(path))).replace(str(self.home), "FOLDER")

    def test_a_file_may_have_several_and_other_things(self) -> None:
        alice, bob = Identity("alice.example"), Identity("bob.example")
        path = self.home / "trusted"
        path.write_bytes(b"\xff\xfe some text\n" + alice.both + bob.certificate)
        self.assertEqual(self.count(path), 2)
        self.assertNotIn("KEY", read_trusted(str(path)))

    def test_of_a_folder_the_files_of_pem_are_read(self) -> None:
        for name in ("a.pem", "b.pem", "c.crt"):
            (self.home / name).write_bytes(Identity(name).certificate)
        self.assertEqual(self.count(self.home), 2)

    def test_what_cannot_be_used_is_refused_with_the_reason(self) -> None:
        self.assertEqual(self.refuses(self.home / "no"), "FOLDER/no cannot be read: No such file or directory")
        none = "FOLDER has no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----"
        self.assertEqual(self.refuses(self.home), none)
        path = self.home / "trusted"
        path.write_bytes(Identity("alice.example").private())
        self.assertEqual(self.refuses(path), none.replace("FOLDER", "FOLDER/trusted"))
        path.write_bytes(Identity("alice.example").certificate.replace(b"M", b"N"))
        self.assertEqual(self.refuses(path), "a certificate in FOLDER/trusted is damaged")


class ContextTests(SynchronousTestCase):
    """The client for scripts gets a context of Python's."""

    def test_it_verifies_names_and_the_certificate_and_has_no_old_tls(self) -> None:
        for trusted in (None, Identity("alice.example").certificate.decode()):
            made = trust.context(trusted)
            self.assertEqual((made.check_hostname, made.verify_mode), (True, ssl.CERT_REQUIRED))
            self.assertFalse(made.hostname_checks_common_name)
            self.assertGreaterEqual(made.minimum_version, ssl.TLSVersion.TLSv1_2)

    def test_what_is_named_is_trusted_and_nothing_else(self) -> None:
        authority = Identity(common="authority")
        made = trust.context(Identity("alice.example", by=authority).certificate.decode())
        self.assertEqual(made.cert_store_stats()["x509"], 1)
        self.assertTrue(made.verify_flags & ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN)
