"""The error if the packages for TLS are missing."""

from __future__ import annotations

import sys
from typing import Final

NEEDS_TLS: Final = f"TLS needs more packages: {sys.executable} -m pip install 'twisted[tls]'"
"""It names the interpreter, since `pip` alone may belong to another environment than the program, such as pipx's."""
