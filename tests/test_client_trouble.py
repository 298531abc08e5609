"""What went wrong, in plain words."""

from __future__ import annotations

import os
from pathlib import Path

from OpenSSL import SSL
from twisted.internet import error
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.reasons import reason_text
from twisted_chat.client.trouble import lost


class LostTests(SynchronousTestCase):
    def lost(self, problem: Exception) -> str:
        return lost("the connection", "chat.example:14900", reason_text(Failure(problem)))

    def test_a_connection_that_is_lost_is_told_in_plain_words(self) -> None:
        for problem, text in (
            (error.ConnectionLost(), "the connection is lost"),
            (error.ConnectionAborted(), "the connection is lost"),
            (error.ConnectionDone(), "the connection is lost: the server ended the connection"),
            (error.ConnectionRefusedError(), "the connection is lost: nobody listens at chat.example:14900"),
            (error.TimeoutError(), "the connection is lost: there was no answer in time"),
            (error.TCPTimedOutError(), "the connection is lost: there was no answer in time"),
            (ValueError("something else."), "the connection is lost: something else"),
        ):
            self.assertEqual(self.lost(problem), text)

    def test_what_a_server_says_is_clean_and_ends_without_a_full_stop(self) -> None:
        self.assertEqual(lost("it", "there", "back\x1b soon."), "it is lost: back soon")


class TrustTests(SynchronousTestCase):
    def why(self, **environment: str) -> str:
        self.patch(os, "environ", environment)
        return reason_text(Failure(SSL.Error([("SSL routines", "", "certificate verify failed")])))

    def test_a_file_of_certificates_that_is_missing_is_named(self) -> None:
        plain = "its certificate is not one that this machine trusts"
        here = Path(__file__)
        self.assertEqual(self.why(), plain)
        self.assertEqual(self.why(SSL_CERT_FILE=str(here), SSL_CERT_DIR=str(here.parent)), plain)
        self.assertEqual(
            self.why(SSL_CERT_FILE="nope.pem"), f"{plain}; SSL_CERT_FILE is nope.pem, and there is no such file"
        )
        self.assertEqual(
            self.why(SSL_CERT_DIR="nowhere"), f"{plain}; SSL_CERT_DIR is nowhere, and there is no such folder"
        )
