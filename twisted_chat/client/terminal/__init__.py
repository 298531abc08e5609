"""The interface of the whole screen, for a terminal.

`model.py`, `columns.py`, `layout.py`, `statusline.py`, `colours.py` and `completing.py` decide what is shown and know
no terminal; `view.py` and `keys.py` are the screen and the keys, on prompt_toolkit; `talk.py` joins them to the client.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogBeginner

from ..program.endpoint import endpoint
from ..program.options import Options
from .talk import Talk


def start(reactor: Any, options: Options) -> Deferred[int]:
    """Talk on the terminal; the answer is the exit status. The reactor has to be asyncio's."""
    talk = Talk(reactor, options, endpoint(reactor, options))
    globalLogBeginner.beginLoggingTo([cast(ILogObserver, talk.fault)], discardBuffer=True, redirectStandardIO=False)
    return Deferred.fromCoroutine(talk.run())
