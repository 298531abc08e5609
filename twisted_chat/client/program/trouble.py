"""Errors as lines for a person, with what to do."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final

from twisted.internet import error

from ...command_line import FAILED
from ..protocol.errors import REFUSED, ChatError, ClosedError, RequestError, UnreachableError
from ..reasons import LOST, NO_TLS
from ..trust import OTHER_NAME, UNTRUSTED
from .clean import clean
from .options import PASSWORD_VARIABLE, Options

LOGIN_REFUSED: Final = 3
"""The exit status if the server does not let this person in: a wrong password or none, a ban, a suspended account."""

_LOGIN: Final = frozenset({"auth-failed", "banned", "denied"})
"""The codes of such a refusal."""


def complain(text: str) -> None:
    """Print an error to standard error, if there is one."""
    if sys.stderr is not None:  # None if the program was started with it closed
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def lost(connection: str, server: str, reason: str) -> str:
    """Return a line about a lost connection, with the reason if it is known."""
    why = {LOST: "", REFUSED: f": nobody listens at {server}"}.get(reason, f": {reason.rstrip('.')}")
    return clean(f"{connection} is lost{why}")


def why_not(options: Options, problem: ChatError) -> str:
    """Return a line about a conversation that could not begin."""
    server = options.server
    if not isinstance(problem, UnreachableError):
        code = problem.code if isinstance(problem, RequestError) else ""
        hint = "; choose another one with --nick" if "nick" in code else ""
        if code == "auth-failed":
            hint = f"; --password-file FILE or the variable {PASSWORD_VARIABLE} gives it, --nick takes another nick"
        return clean(f"{server} does not let you in: {problem}{hint}")
    hint = f"; {_try(options, problem)}" if _try(options, problem) else ""
    match problem.__cause__:
        case error.ConnectionRefusedError():
            return f"there is no server at {server}; --host and --port say where to look{hint}"
        case error.DNSLookupError():
            return f"there is no host with the name {options.host}; --host says where to look"
        case None:
            return clean(f"{server} did not let you in: {problem.reason}{hint}")
    return clean(f"cannot reach {server}: {problem.reason}{hint}")


def exit_status(problem: ChatError) -> int:
    """Return the exit status for a conversation that could not begin, or that the server has ended."""
    refusal = problem.__cause__ if isinstance(problem, ClosedError) else problem
    is_login = isinstance(refusal, RequestError) and refusal.request is None and refusal.code in _LOGIN
    return LOGIN_REFUSED if is_login else FAILED


def _try(options: Options, problem: UnreachableError) -> str:
    """Return what to try if another transport or another server may be meant; empty if that is not known."""
    if options.transport == "udp":
        return "if it has no UDP at that port, or UDP does not get through, try --no-udp"
    for reason, hint in (
        (NO_TLS, "if that port is not one for TLS, try --no-tls"),
        (OTHER_NAME, "--host has to be a name in the certificate"),
        (UNTRUSTED, "--ca FILE trusts the certificates in that file"),
    ):
        if problem.reason.startswith(reason):
            return hint
    if not problem.foreign:
        return ""
    old = "" if options.bare else "if it is a server of the oldest kind, whose messages have three fields, try --bare"
    tls = "if that port is one for TLS, try --tls" if options.transport == "tcp" else ""
    return "; ".join(filter(None, (tls, old)))
