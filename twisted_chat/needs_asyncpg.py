"""The error if the driver of PostgreSQL is missing."""

from __future__ import annotations

import sys
from typing import Final

NEEDS_ASYNCPG: Final = f"a database in PostgreSQL needs one more package: {sys.executable} -m pip install asyncpg"
"""It names the interpreter, since `pip` alone may belong to another environment than the program, such as pipx's."""
