"""The reactor of a client that is given none: Twisted's, or one on the running asyncio loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from functools import partial
from typing import Any, Final

OTHER_LOOP: Final = """\
this asyncio loop is not the one that Twisted's reactor runs on, so the client would wait for ever. \
Under asyncio.run(), use the client in one asyncio.run() of the program, and do not import twisted.internet.reactor \
or install a reactor before; or let the reactor run the program: \
twisted.internet.task.react(lambda reactor: Deferred.fromCoroutine(main()))"""


def find_reactor() -> Any:
    """Return the reactor. Raises `RuntimeError` in an asyncio loop that is not the reactor's.

    Under `asyncio.run` there is no reactor yet. Then the asyncio reactor is installed on the running loop, and started.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # no loop is running
        loop = None
    if loop is not None and "twisted.internet.reactor" not in sys.modules:
        _install_on(loop)
    from twisted.internet import reactor  # here, so that importing the library installs no reactor

    if loop is not None and getattr(reactor, "_asyncioEventloop", None) is not loop:
        raise RuntimeError(OTHER_LOOP)
    return reactor


def _install_on(loop: asyncio.AbstractEventLoop) -> None:
    from twisted.internet import asyncioreactor

    asyncioreactor.install(loop)
    from twisted.internet import reactor

    started: Any = reactor
    # Its threads, which look up names, end with the program: nobody stops this reactor, and asyncio only ends its loop.
    started.getThreadPool().threadFactory = partial(threading.Thread, daemon=True)
    started.startRunning(installSignalHandlers=False)  # as `run` does, except for running the loop, which runs already
