"""What went wrong, in plain words."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from OpenSSL import SSL
from twisted.internet import error
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.errors import UnreachableError
from twisted_chat.client.program.options import Options
from twisted_chat.client.program.trouble import complain, lost, why_not
from twisted_chat.client.reasons import reason_text


class Unread(io.StringIO):
    """Standard error that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


class ComplainTests(SynchronousTestCase):
    def test_where_nobody_reads_errors_nothing_else_goes_wrong(self) -> None:
        for stream in (None, Unread()):
            self.patch(sys, "stderr", stream)
            complain("no")


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


class ForeignTests(SynchronousTestCase):
    def why(self, transport: str, foreign: bool = True) -> str:
        options = Options("chat.example", 14900, "al", ("lobby",), False, transport=transport)
        return why_not(options, UnreachableError("", "the server ended the connection", foreign))

    def test_where_something_else_answers_it_is_said_what_it_may_be(self) -> None:
        ended = "chat.example:14900 did not let you in: the server ended the connection"
        tls, old = "if the port is one for TLS, add --tls", "if it is an original server, of three fields, add --bare"
        self.assertEqual(self.why("tcp"), f"{ended}; {tls}; {old}")
        self.assertEqual(self.why("tls"), f"{ended}; {old}")
        self.assertEqual(self.why("tcp", foreign=False), ended)


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
