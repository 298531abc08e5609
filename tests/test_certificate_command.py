"""`twisted-chat certificate` makes a certificate for a try, and its key."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from unittest import mock

from cryptography import x509
from twisted.internet.task import Clock

from twisted_chat.certificates import Certificates
from twisted_chat.commands import Problem
from twisted_chat.commands.certificate import DAYS, EARLIER, make_certificate, own_names, read_name
from twisted_chat.needs_tls import NEEDS_TLS

from .commands import CommandTestCase, Outcome
from .programs import folder
from .test_certificates import shown


class CertificateTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.home = folder(self)
        self.files = {"--certificate": self.home / "chat.pem", "--key": self.home / "chat-key.pem"}

    def certificate(self, *arguments: str) -> Outcome:
        options = [text for option, path in self.files.items() for text in (option, str(path))]
        return self.run_command("certificate", *options, *arguments)

    def made(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.files["--certificate"].read_bytes())

    def names(self) -> list[str]:
        names = self.made().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]

    def left(self) -> list[str]:
        return sorted(os.listdir(self.home))

    def test_the_server_can_use_it(self) -> None:
        outcome = self.certificate("chat.example")
        self.assertEqual((outcome.status, outcome.errors, self.left()), (0, "", ["chat-key.pem", "chat.pem"]))
        read = Certificates.in_files([*self.files.values()], Clock().seconds)
        self.assertEqual(shown(read, b"chat.example"), [self.made()])

    def test_only_the_owner_may_read_the_key(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.certificate("chat.example")
        self.assertEqual(stat.S_IMODE(self.files["--key"].stat().st_mode), 0o600)
        self.assertNotIn(b"PRIVATE", self.files["--certificate"].read_bytes())

    def test_it_is_for_the_names_that_are_given(self) -> None:
        self.certificate("chat.example", "*.Bücher.example", "192.0.2.1", "[::1]")
        self.assertEqual(self.names(), ["chat.example", "*.xn--bcher-kva.example", "192.0.2.1", "::1"])

    def test_it_says_how_to_start_the_server_and_the_client(self) -> None:
        certificate, key = self.files.values()
        output = self.certificate("*.example", "chat.example").output
        until = self.made().not_valid_after_utc
        self.assertEqual(
            output,
            f"{certificate} is the certificate, valid until {until:%Y-%m-%d}, for *.example, chat.example.\n"
            f"{key} is its private key. Only the server may read it.\n\n"
            "Start the server:\n"
            f"    twistd -n chat --tls 0.0.0.0:14943 --certificate {certificate} --key {key}\n"
            f"Copy {certificate}, and not the key, to the machine of each client, and connect:\n"
            f"    twisted-chat talk --host chat.example --port 14943 --tls --ca {certificate}\n",
        )

    def test_for_this_machine_alone_the_server_listens_on_the_loopback(self) -> None:
        output = self.certificate("localhost", "127.0.0.1").output
        self.assertIn("chat --tls 14943 ", output)
        self.assertIn("--host localhost ", output)

    def test_it_is_valid_for_some_days(self) -> None:
        for days, arguments in ((DAYS, ()), (7, ("--days", "7"))):
            self.certificate("a.example", *arguments)
            made = self.made()
            self.assertEqual(made.not_valid_after_utc - made.not_valid_before_utc, timedelta(days=days) + EARLIER)
            for path in self.files.values():
                path.unlink()
        for text in ("0", "-1", "36501", "x", "9" * 99):
            outcome = self.certificate("a.example", "--days", text)
            expected = f"--days takes a number of days from 1 to 36500, not '{text}'"
            self.assertEqual((outcome.status, outcome.errors.partition(": ")[2].splitlines()[0]), (2, expected))

    def test_nothing_is_written_over(self) -> None:
        for there, expected in (("--certificate", ["chat.pem"]), ("--key", ["chat-key.pem"])):
            path = self.files[there]
            path.write_text("mine")
            outcome = self.certificate("a.example")
            advice = "remove it, or name other files with --certificate and --key"
            self.assertEqual(outcome.errors, f"twisted-chat: {path} is there already: {advice}\n")
            self.assertEqual((outcome.status, path.read_text(), self.left()), (1, "mine", expected))
            path.unlink()

    def test_where_one_file_cannot_be_written_the_other_is_not(self) -> None:
        for there in self.files:
            before = self.files[there]
            self.files[there] = self.home / "no" / "file"
            outcome = self.certificate("a.example")
            self.assertEqual(
                outcome.errors, f"twisted-chat: cannot write {self.home}/no/file: No such file or directory\n"
            )
            self.assertEqual((outcome.status, self.left()), (1, []))
            self.files[there] = before

    def test_what_is_no_name_is_refused(self) -> None:
        for text in ("a b", "1.2.3", "chat.example:14943", "*", "a..b", "", "-a"):
            outcome = self.certificate("--", text)
            expected = f"twisted-chat: '{text}' is neither the name of a host nor an address\n"
            self.assertEqual((outcome.status, outcome.errors, self.left()), (1, expected, []))

    def test_without_the_packages_for_tls_it_says_how_to_install_them(self) -> None:
        with mock.patch.dict(sys.modules, {"OpenSSL": None}):
            outcome = self.certificate()
        self.assertEqual((outcome.status, outcome.errors), (1, f"twisted-chat: {NEEDS_TLS}\n"))


class NamesTests(CommandTestCase):
    """Without names, it is for those of the machine."""

    def test_those_for_other_machines_come_first(self) -> None:
        self.patch(socket, "getfqdn", lambda: "localhost")
        self.patch(socket, "gethostname", lambda: "chat")
        first, *others = own_names()
        self.assertEqual(first, "chat")
        local = ["localhost", ip_address("127.0.0.1"), ip_address("::1")]
        self.assertEqual(others[-3:], local)
        self.assertEqual([name for name in others[:-3] if isinstance(name, str) or name.is_loopback], [])

    def test_a_host_name_that_is_none_in_the_dns_is_left_out(self) -> None:
        self.patch(socket, "getfqdn", lambda: "my_host")
        self.patch(socket, "gethostname", lambda: "my_host")
        self.assertRaises(Problem, read_name, "my_host")
        self.assertNotIn("my_host", own_names())
        self.assertIn("localhost", own_names())

    def test_a_machine_may_have_no_network(self) -> None:
        self.patch(socket.socket, "connect", mock.Mock(side_effect=OSError(101, "Network is unreachable")))
        self.patch(socket, "getfqdn", lambda: "localhost")
        self.patch(socket, "gethostname", lambda: "localhost")
        self.assertEqual([str(name) for name in own_names()], ["localhost", "127.0.0.1", "::1"])


class PairTests(CommandTestCase):
    def test_python_accepts_it_under_its_strictest_rules(self) -> None:
        now = datetime.now(UTC)
        pair = make_certificate(["chat.example"], now - EARLIER, now + EARLIER)
        path = folder(self) / "both.pem"
        path.write_bytes(pair.key + pair.certificate)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(path)
        client = ssl.create_default_context(cadata=pair.certificate.decode())
        client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [
            client.wrap_bio(here, there, server_hostname="chat.example"),
            server.wrap_bio(there, here, server_side=True),
        ]
        for end in ends * 2:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
        self.assertEqual(ends[0].version(), "TLSv1.3")
        self.assertTrue(ends[0].getpeercert())

    def test_it_can_sign_no_other_certificate(self) -> None:
        now = datetime.now(UTC)
        made = x509.load_pem_x509_certificate(make_certificate(["a" * 70], now, now + EARLIER).certificate)
        self.assertFalse(made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
        self.assertEqual(made.subject.rfc4514_string(), f"CN={'a' * 64}")
