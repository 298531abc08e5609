"""What systemd is told."""

from __future__ import annotations

import os
import socket
import time
import uuid
from unittest import mock

from twisted.internet.task import Clock
from twisted.python.runtime import platform
from twisted.trial.unittest import TestCase

from twisted_chat.supervisor import Supervisor

from .programs import folder


class SupervisorTests(TestCase):
    """Notifications are datagrams to a socket that the environment names (sd_notify(3))."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(self.systemd.close)
        self.address = str(folder(self) / "notify")
        self.systemd.bind(self.address)

    def supervisor(self, **environment: str) -> Supervisor:
        return Supervisor(self.clock, {"NOTIFY_SOCKET": self.address, **environment})

    def told(self) -> list[str]:
        """Return what systemd was told since the last call."""
        told = []
        while True:
            try:
                told.append(self.systemd.recv(1000).decode())
            except BlockingIOError:
                return told

    def test_it_is_told_that_the_server_is_ready_and_stops(self) -> None:
        supervisor = self.supervisor()
        self.assertEqual(self.told(), [])
        supervisor.ready("listening on 127.0.0.1:14900")
        self.assertEqual(self.told(), ["READY=1\nSTATUS=listening on 127.0.0.1:14900"])
        self.clock.advance(1000)
        supervisor.stopping()
        self.assertEqual(self.told(), ["STOPPING=1"])

    def test_it_is_told_that_files_are_read_again(self) -> None:
        """The time tells the end of this reload from that of an earlier one (`Type=notify-reload`)."""
        supervisor, before = self.supervisor(), time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        supervisor.reloading()
        (reloading,) = self.told()
        first, _, moment = reloading.partition("\nMONOTONIC_USEC=")
        self.assertEqual(first, "RELOADING=1")
        self.assertGreaterEqual(int(moment), before)
        supervisor.reloaded()
        self.assertEqual(self.told(), ["READY=1"])

    def test_a_watchdog_gets_two_signs_of_life_in_its_time(self) -> None:
        supervisor = self.supervisor(WATCHDOG_USEC="10000000", WATCHDOG_PID=str(os.getpid()))
        self.clock.advance(100)
        self.assertEqual(self.told(), [], "it has not started")
        supervisor.ready("ready")
        self.clock.pump([5] * 4)
        self.assertEqual(self.told()[1:], ["WATCHDOG=1"] * 5)
        supervisor.stopping()
        self.clock.advance(100)
        self.assertEqual(self.told(), ["STOPPING=1"])

    def test_the_time_of_a_watchdog_is_in_microseconds(self) -> None:
        supervisor = self.supervisor(WATCHDOG_USEC="2000002000000")
        supervisor.ready("ready")
        self.clock.advance(1_000_000.5)
        self.assertEqual(self.told()[1:], ["WATCHDOG=1"])
        self.clock.advance(1)
        self.assertEqual(self.told(), ["WATCHDOG=1"])

    def test_the_watchdog_of_another_process_gets_none(self) -> None:
        supervisor = self.supervisor(WATCHDOG_USEC="10000000", WATCHDOG_PID="1")
        supervisor.ready("ready")
        self.clock.advance(100)
        self.assertEqual(len(self.told()), 1)

    def test_processes_that_the_server_starts_are_not_taken_for_it(self) -> None:
        environment = {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
        Supervisor(self.clock, environment)
        self.assertEqual(environment, {"HOME": "/"})

    def test_nobody_is_told_without_systemd(self) -> None:
        supervisor = Supervisor(self.clock, {})
        with mock.patch.object(socket, "socket") as opened:
            supervisor.ready("ready")
            supervisor.stopping()
        self.assertEqual((opened.mock_calls, self.clock.getDelayedCalls()), ([], []))

    def test_a_server_runs_on_without_its_supervisor(self) -> None:
        supervisor = self.supervisor()
        self.systemd.close()
        supervisor.ready("ready")
        os.remove(self.address)
        supervisor.stopping()

    def test_a_server_does_not_wait_for_its_supervisor(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as other:
            while True:
                try:
                    other.sendto(b"x", self.address)
                except BlockingIOError:
                    break
        self.supervisor().stopping()
        self.assertNotIn("STOPPING=1", self.told())

    def test_an_address_may_be_in_the_abstract_namespace(self) -> None:
        name = f"chat-{uuid.uuid4()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as systemd:
            systemd.bind(f"\0{name}")
            self.supervisor(NOTIFY_SOCKET=f"@{name}").stopping()
            self.assertEqual(systemd.recv(100), b"STOPPING=1")

    if not platform.isLinux():
        skip = "systemd is Linux's"
