"""What went wrong, said in a line for a person, with what to do."""

from __future__ import annotations

import sys
from contextlib import suppress

from twisted.internet import error

from ..errors import ChatError, RequestError, UnreachableError
from ..reasons import LOST, REFUSED
from .clean import clean
from .options import Options


def complain(text: str) -> None:
    """Say on standard error what went wrong, if there is anybody to read it."""
    if sys.stderr is not None:  # None where the program was started with it closed
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def lost(connection: str, server: str, reason: str) -> str:
    """Say that a connection is lost, and why where there is more to say."""
    why = {LOST: "", REFUSED: f": nobody listens at {server}"}.get(reason, f": {reason.rstrip('.')}")
    return clean(f"{connection} is lost{why}")


def why_not(options: Options, problem: ChatError) -> str:
    """Say why there is no conversation."""
    server = options.server
    if not isinstance(problem, UnreachableError):
        bad_nick = isinstance(problem, RequestError) and "nick" in problem.code
        hint = "; choose another one with --nick" if bad_nick else ""
        return clean(f"{server} does not let you in: {problem}{hint}")
    match problem.__cause__:
        case error.ConnectionRefusedError():
            return f"there is no server at {server}; --host and --port say where to look"
        case error.DNSLookupError():
            return f"there is no host with the name {options.host}; --host says where to look"
        case None:
            return clean(f"{server} did not let you in: {problem.reason}{_foreign(options) if problem.foreign else ''}")
    return clean(f"cannot reach {server}: {problem.reason}")


def _foreign(options: Options) -> str:
    """Say what to do where what answers speaks something else."""
    tls = "if the port is one for TLS, add --tls; " if options.transport == "tcp" else ""
    return f"; {tls}if it is an original server, of three fields, add --bare"
