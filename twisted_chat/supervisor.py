"""The notifications for systemd: the server is ready, reads its files again, stops, and still runs (sd_notify(3)).

Without systemd, or for a service of another type than `notify`, nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Final

from twisted.internet.task import LoopingCall

READY: Final = "READY=1"


class Supervisor:
    """The service manager that has started this process, if there is one."""

    def __init__(self, reactor: Any, environment: MutableMapping[str, str] = os.environ) -> None:
        """Take the settings out of the environment: they are not meant for processes that this one starts."""
        self._address = environment.pop("NOTIFY_SOCKET", "")
        limit = environment.pop("WATCHDOG_USEC", "0")
        process = environment.pop("WATCHDOG_PID", str(os.getpid()))
        self._watchdog = int(limit) / 1e6 if process == str(os.getpid()) else 0.0
        """Seconds without a sign of life after which systemd ends this process; 0 for no limit."""
        self._signs = LoopingCall(self._send, "WATCHDOG=1")
        self._signs.clock = reactor

    def ready(self, status: str) -> None:
        """Tell that the server has started. `systemctl status` shows the status."""
        self._send(f"{READY}\nSTATUS={status}")
        if self._watchdog:
            self._signs.start(self._watchdog / 2)

    def reloading(self) -> None:
        """Tell that the server reads its files again, until `reloaded`."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """Tell that the server has read its files again."""
        self._send(READY)

    def stopping(self) -> None:
        """Tell that the server stops."""
        if self._signs.running:
            self._signs.stop()
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # An address that begins with @ is in the abstract namespace (unix(7)).
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            to_systemd.setblocking(False)
            to_systemd.sendto(text.encode(), address)
