"""Certificates of servers: which ones a client trusts, and what is wrong with one, in words.

It needs nothing but Python, and all clients use it, so that they say the same.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

OTHER_NAME: Final = "its certificate is not for this name"
"""The beginning of the reason if a certificate is for other names than that of the server."""

UNTRUSTED: Final = "its certificate is not one that this machine trusts"
"""The beginning of the reason if nobody vouches for a certificate."""

_CLOCK: Final = "unless this machine's clock is wrong"

_PROBLEMS: Final = {
    2: UNTRUSTED,
    9: f"its certificate is not valid yet, {_CLOCK}",
    10: f"its certificate has expired, and its operator has to renew it, {_CLOCK}",
    18: f"{UNTRUSTED}: it is signed by itself",
    19: UNTRUSTED,
    20: UNTRUSTED,
    21: UNTRUSTED,
    24: f"{UNTRUSTED}: the one above it is not one of an authority",
    62: OTHER_NAME,
    64: OTHER_NAME,
    79: f"{UNTRUSTED}: the one above it is not one of an authority",
}
"""The problems with certificates, by the codes of OpenSSL's verify(1)."""

WRONG_NAME: Final = 62
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH."""

MAX_NAMES: Final = 5
"""Names of a certificate that are shown. Some are for a hundred, and a line has to be readable."""

MAX_NAME: Final = 253
"""Characters of a name in the DNS (RFC 1035, section 2.3.4)."""

_STRANGE: Final = re.compile(r"[^!-~]")
"""The characters that are in no name. A stranger may put them there to disturb a terminal or a log."""

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(Exception):
    """The certificate of a server is refused; the text says why, for a person."""


def certificate_problem(code: int, names: Sequence[str] | None = None) -> str:
    """Say what is wrong with a certificate, by a code of OpenSSL. `names` are those that it is for, if known."""
    problem = _PROBLEMS.get(code, f"its certificate is refused, with the error {code} of OpenSSL's verify(1)")
    if problem.startswith(UNTRUSTED):
        return f"{problem}{_no_file()}"
    if code != WRONG_NAME or names is None:
        return problem
    if not names:
        return f"{problem}, and for no other"
    shown = [_STRANGE.sub("?", name[:MAX_NAME]) for name in names[:MAX_NAMES]]
    return f"{problem}, but for {', '.join(shown)}{' and more' * (len(names) > MAX_NAMES)}"


def _no_file() -> str:
    """Name a missing file of trusted certificates. OpenSSL goes on without it and says nothing."""
    for variable, kind, there in (("SSL_CERT_FILE", "file", os.path.isfile), ("SSL_CERT_DIR", "folder", os.path.isdir)):
        path = os.environ.get(variable)
        if path and not there(path):
            return f"; {variable} is {path}, and there is no such {kind}"
    return ""


def read_trusted(path: str) -> str:
    """Read the certificates to trust: a file, or the files *.pem of a folder. Returns PEM; raises `ValueError`."""
    try:
        files = sorted(Path(path).glob("*.pem")) if os.path.isdir(path) else [Path(path)]
        text = "\n".join(file.read_bytes().decode("utf-8", "replace") for file in files)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    certificates = "\n".join(_PEM.findall(text))
    if not certificates:
        raise ValueError(f"{path} has no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----")
    try:
        context(certificates)
    except ssl.SSLError:
        raise ValueError(f"a certificate in {path} is damaged") from None
    return certificates


def context(trusted: str | None) -> ssl.SSLContext:
    """Make a context that trusts these certificates and no others, or those that the machine trusts."""
    made = ssl.create_default_context(cadata=trusted)
    made.hostname_checks_common_name = False  # as browsers and Twisted do: RFC 9525, section 2
    if trusted is not None:
        # A certificate that was named is trusted, also if it is not one of an authority.
        made.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return made
