"""The interface of the whole screen, for a terminal.

Most modules work without a terminal: `entry.py`, `pane.py` and `panes.py` hold the conversations; `layout.py`,
`viewport.py`, `statusline.py`, `menu.py`, `colours.py` and `hyperlinks.py` make rows from them; `completing.py`,
`paste.py` and `asking.py` help with typing; `memory.py` keeps a few things from one run to the next. `view.py`,
`controls.py`, `keys.py` and `output.py` are the screen and the keys, on prompt_toolkit. `screen.py` shows there what
the client receives, `directory.py` has the names to complete, and `controller.py` joins all of them.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogBeginner

from ..program.endpoint import endpoint
from ..program.options import Options
from ..program.tokens import Tokens
from ..program.tokens import default_path as default_tokens
from .controller import Controller
from .memory import Memory, default_path


def start(reactor: Any, options: Options) -> Deferred[int]:
    """Talk on the terminal. The answer is the exit status. The reactor has to be asyncio's."""
    memory = Memory(default_path() if options.remember else None, options.server, options.nick)
    tokens = Tokens(default_tokens() if options.remember else None, options)
    controller = Controller(reactor, options, endpoint(reactor, options), memory, tokens=tokens)
    globalLogBeginner.beginLoggingTo(
        [cast(ILogObserver, controller.fault)], discardBuffer=True, redirectStandardIO=False
    )
    return Deferred.fromCoroutine(controller.run())
