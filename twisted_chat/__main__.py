"""`twisted-chat COMMAND`, or `python -m twisted_chat COMMAND`.

The modules of a command are imported once it is known, since an interrupt is quiet only from `end_quietly` on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .interrupts import end_quietly


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command of the arguments, by default those of the process, and return the exit status."""
    end_quietly()
    from .commands import TALK, TOOL

    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == [TALK]:
        from .client.__main__ import main as talk

        return talk(words[1:], f"{TOOL} {TALK}")
    from .commands.main import main as run

    return run(words)


if __name__ == "__main__":
    sys.exit(main())
