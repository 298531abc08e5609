"""The reasons for the end of a connection, for a person."""

from __future__ import annotations

from typing import Final

from twisted.python.failure import Failure

from .protocol.errors import ENDED, NO_ANSWER, REFUSED
from .trust import OTHER_NAME, UNTRUSTED, CertificateError

LOST: Final = "the connection was lost"
"""The reason if no other one is known."""

NO_TLS: Final = "it does not speak TLS as we do"
"""The beginning of the reason if the answer was not TLS."""

_REASONS: Final = {
    "twisted.internet.error.ConnectionDone": ENDED,
    "twisted.internet.error.ConnectionLost": LOST,
    "twisted.internet.error.ConnectionAborted": LOST,
    "twisted.internet.error.ConnectionRefusedError": REFUSED,
    "twisted.internet.error.TimeoutError": NO_ANSWER,
    "twisted.internet.error.TCPTimedOutError": NO_ANSWER,
}


def reason_text(reason: Failure) -> str:
    """Return the reason why a connection has ended or was not made, for a person."""
    known = next((text for name, text in _REASONS.items() if reason.check(name)), "")
    return known or tls_problem(reason) or reason.getErrorMessage().rstrip(".")


def tls_problem(reason: Failure) -> str:
    """Return the reason why there was no TLS, for a person; empty if a connection has ended for another reason."""
    if reason.check(CertificateError):
        return reason.getErrorMessage()
    # What follows is of endpoints that a program has made itself.
    if reason.check("service_identity.exceptions.VerificationError"):
        return OTHER_NAME
    if not reason.check("OpenSSL.SSL.Error"):
        return ""
    why = ", ".join(entry[-1] for entry in reason.value.args[0]) if reason.value and reason.value.args else ""
    return UNTRUSTED if why == "certificate verify failed" else f"{NO_TLS} ({why})"
