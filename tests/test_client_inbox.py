"""The messages and events that wait for the program, each once."""

from __future__ import annotations

import logging
import threading
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.blocking import ClosedError, DirectMessage, MemberJoined, Message, Stop
from twisted_chat.client.blocking.inbox import Inbox, Slot

from .programs import TIMEOUT


def said(msg: str) -> Message:
    return Message(msg, "bob", "lobby")


class InboxTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.taken: list[Slot] = []
        self.inbox = Inbox(self.taken.append)
        self.lobby, self.garden = Slot(), Slot()
        self.heard: list[Any] = []

    def end(self) -> None:
        """Wait until all callbacks were called."""
        self.inbox.end(None, ClosedError("closed", wanted=True))
        self.inbox.wait_for_callbacks(TIMEOUT)

    def test_messages_are_taken_in_order_of_one_room_or_of_all(self) -> None:
        for slot, msg in ((self.lobby, "1"), (self.garden, "2"), (self.lobby, "3")):
            self.inbox.put(slot, said(msg))
        self.assertEqual(self.inbox.take(self.garden, 0).msg, "2")
        self.assertEqual([self.inbox.take(None, 0).msg for _ in range(2)], ["1", "3"])
        self.assertEqual(self.taken, [self.garden, self.lobby, self.lobby])
        self.assertRaises(TimeoutError, self.inbox.take, None, 0)

    def test_what_is_left_can_be_taken_after_the_end(self) -> None:
        self.inbox.put(self.lobby, said("1"))
        self.inbox.end(self.lobby, ClosedError("left"))
        self.assertEqual(self.inbox.take(self.lobby, 0).msg, "1")
        self.assertEqual(str(self.assertRaises(ClosedError, self.inbox.take, self.lobby, 0)), "left")

    def test_a_listener_is_told_and_nobody_else(self) -> None:
        self.inbox.put_event(self.lobby, MemberJoined("early", "lobby"))
        self.inbox.on(self.lobby, MemberJoined, self.heard.append)
        self.inbox.on(None, Stop, self.heard.append)
        events = [MemberJoined("al", "lobby"), Stop("maintenance")]
        self.inbox.put_event(self.lobby, events[0])
        self.inbox.put_event(self.garden, MemberJoined("bo", "garden"))
        self.inbox.put_event(None, events[1])
        self.end()
        self.assertEqual(self.heard, events)

    def test_messages_go_to_callbacks_also_those_that_waited(self) -> None:
        self.inbox.put(self.lobby, said("1"))
        self.inbox.put(self.garden, said("elsewhere"))
        self.inbox.on(self.lobby, Message, lambda message: self.heard.append(message.msg))
        self.inbox.put(self.lobby, said("2"))
        self.assertRaises(RuntimeError, self.inbox.take, self.lobby, 0)
        self.assertEqual(self.inbox.take(None, 0).msg, "elsewhere")
        self.end()
        self.assertEqual((self.heard, self.lobby.queued), (["1", "2"], 0))

    def test_what_was_not_told_when_a_callback_goes_can_be_taken(self) -> None:
        held, hold = threading.Event(), threading.Event()

        def slow(message: Message) -> None:
            held.set()
            hold.wait(TIMEOUT)
            self.heard.append(message.msg)

        forget = self.inbox.on(None, Message, slow)
        for msg in ("1", "2", "3"):
            self.inbox.put(self.lobby, said(msg))
        held.wait(TIMEOUT)
        forget()
        self.assertEqual([self.inbox.take(self.lobby, 0).msg for _ in range(2)], ["2", "3"])
        self.assertRaises(TimeoutError, self.inbox.take, self.lobby, 0)
        hold.set()
        self.end()
        self.assertEqual(self.heard, ["1"])

    def test_a_message_for_this_client_alone_is_of_another_kind(self) -> None:
        self.inbox.on(None, DirectMessage, self.heard.append)
        psst = DirectMessage("psst", "bob", to="al")
        self.inbox.put(None, psst)
        self.inbox.put(self.lobby, said("aloud"))
        self.assertEqual(self.inbox.take(None, TIMEOUT).msg, "aloud")
        self.end()
        self.assertEqual(self.heard, [psst])

    def test_a_callback_that_fails_is_logged_and_the_next_is_told(self) -> None:
        logged: list[logging.LogRecord] = []
        handler = logging.Handler()
        self.patch(handler, "emit", logged.append)
        log = logging.getLogger("twisted_chat.client.blocking")
        log.addHandler(handler)
        self.addCleanup(log.removeHandler, handler)
        self.inbox.on(None, Stop, lambda _: 1 // 0)
        self.inbox.on(None, Stop, self.heard.append)
        self.inbox.put_event(None, Stop())
        self.end()
        self.assertEqual(self.heard, [Stop()])
        self.assertEqual([record.getMessage() for record in logged], ["a callback for Stop failed"])

    def test_a_callback_may_wait_for_the_end(self) -> None:
        def wait(stop: Stop) -> None:
            self.inbox.wait_for_callbacks(TIMEOUT)
            self.heard.append(stop)

        self.inbox.on(None, Stop, wait)
        self.inbox.put_event(None, Stop())
        self.end()
        self.assertEqual(self.heard, [Stop()])

    def test_after_the_end_one_can_still_listen_to_what_is_left(self) -> None:
        self.inbox.on(None, Stop, self.heard.append)
        self.inbox.put(self.lobby, said("left"))
        self.end()
        self.inbox.on(None, Message, lambda message: self.heard.append(message.msg))
        self.inbox.wait_for_callbacks(TIMEOUT)
        self.assertEqual(self.heard, ["left"])
