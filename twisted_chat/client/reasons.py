"""Why a connection has ended, for a person."""

from __future__ import annotations

from twisted.python.failure import Failure


def reason_text(reason: Failure) -> str:
    """Say for a person why a connection has ended."""
    if reason.check("twisted.internet.error.ConnectionDone"):
        return "the server ended the connection"
    return tls_problem(reason) or reason.getErrorMessage()


def tls_problem(reason: Failure) -> str:
    """Say for a person why there was no TLS; empty where that is not why a connection has ended."""
    if reason.check("service_identity.exceptions.VerificationError"):
        return "its certificate is for another name"
    if not reason.check("OpenSSL.SSL.Error"):
        return ""
    why = ", ".join(entry[-1] for entry in reason.value.args[0]) if reason.value and reason.value.args else ""
    if why == "certificate verify failed":
        return "its certificate is not one that this machine trusts"
    return f"it does not speak TLS as we do ({why})"
