"""Errors, in plain words."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.program.options import Options
from twisted_chat.client.program.trouble import complain, lost, why_not
from twisted_chat.client.protocol.errors import UnreachableError
from twisted_chat.client.reasons import reason_text
from twisted_chat.client.trust import WRONG_NAME, CertificateError, certificate_problem


class Unread(io.StringIO):
    """Standard error that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


class ComplainTests(SynchronousTestCase):
    def test_a_complaint_that_nobody_can_read_causes_no_other_error(self) -> None:
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


class HintTests(SynchronousTestCase):
    """The line says what to try if another transport, or another server, may be meant."""

    def why(self, transport: str, reason: str, foreign: bool = True, bare: bool = False, cause: Any = None) -> str:
        options = Options("chat.example", 14900, "al", ("lobby",), bare, transport=transport)
        problem = UnreachableError("", reason, foreign)
        problem.__cause__ = cause
        return why_not(options, problem)

    def test_something_that_speaks_another_protocol_may_want_tls_or_bare(self) -> None:
        reason = "the server ended the connection"
        ended = f"chat.example:14900 did not let you in: {reason}"
        tls = "if that port is one for TLS, try --tls"
        old = "if it is a server of the oldest kind, whose messages have three fields, try --bare"
        self.assertEqual(self.why("tcp", reason), f"{ended}; {tls}; {old}")
        self.assertEqual(self.why("tls", reason), f"{ended}; {old}")
        self.assertEqual(self.why("tcp", reason, bare=True), f"{ended}; {tls}")
        self.assertEqual(self.why("tls", reason, bare=True), ended)
        self.assertEqual(self.why("tcp", reason, foreign=False), ended)

    def test_a_tls_problem_comes_with_an_option_or_variable_to_try(self) -> None:
        for failure, hint in (
            (tls_failure("wrong version number"), "if that port is not one for TLS, try --no-tls"),
            (tls_failure("certificate verify failed"), "--ca FILE trusts the certificates in that file"),
            (Failure(CertificateError(certificate_problem(18))), "--ca FILE trusts the certificates in that file"),
            (Failure(VerificationError([])), "--host has to be a name in the certificate"),
            (Failure(CertificateError(certificate_problem(WRONG_NAME, ["a"]))), "--host has to be a name in the cert"),
        ):
            reason = reason_text(failure)
            self.assertRegex(self.why("tls", reason, foreign=False), rf": {re.escape(reason)}; {hint}")

    def test_of_a_certificate_that_has_expired_the_reason_says_what_to_do(self) -> None:
        reason = reason_text(Failure(CertificateError(certificate_problem(10))))
        self.assertEqual(self.why("tls", reason, foreign=False), f"chat.example:14900 did not let you in: {reason}")

    def test_a_udp_problem_comes_with_an_option_to_try(self) -> None:
        hint = "if it has no UDP at that port, or UDP does not get through, try --no-udp"
        for cause, said in (
            (
                error.ConnectionRefusedError(),
                "there is no server at chat.example:14900; --host and --port say where to look",
            ),
            (error.TimeoutError(), "cannot reach chat.example:14900: why"),
            (None, "chat.example:14900 did not let you in: why"),
        ):
            self.assertEqual(self.why("udp", "why", cause=cause), f"{said}; {hint}")
            self.assertEqual(self.why("tcp", "why", foreign=False, cause=cause), said)


def tls_failure(why: str) -> Failure:
    return Failure(SSL.Error([("SSL routines", "", why)]))
