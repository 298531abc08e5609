"""The client of three fields, and the pace that its server needs."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from twisted_chat.client.program.bare import END_TIME, PACE, BareClient, BareHeard, connect_bare
from twisted_chat.client.protocol.errors import ChatError, ClosedError, RequestError, UnreachableError

from .client_fakes import result


class Segments(StringTransport):
    """A connection that keeps each segment apart."""

    def __init__(self) -> None:
        super().__init__()
        self.segments: list[dict[str, Any]] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.segments.append(json.loads(data))

    def abortConnection(self) -> None:
        self.aborted = True


class BareTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.heard: list[BareHeard] = []
        self.ended: list[ChatError] = []
        self.client = BareClient(self.clock, self.heard.append, self.ended.append)
        self.transport = Segments()
        self.client.makeConnection(self.transport)

    def lose(self, error: Exception | None = None) -> None:
        self.client.connectionLost(Failure(error or ConnectionDone()))

    def test_each_object_goes_alone_some_time_after_the_last_one(self) -> None:
        said = [self.client.say(text) for text in ('"привет"', "2", "3")]
        self.assertEqual(self.transport.segments, [{"type": "", "msg": '"привет"', "author": "self"}])
        self.assertIsNone(result(said[0]))
        self.assertNoResult(said[1])
        self.clock.advance(0.010)
        self.assertEqual(len(self.transport.segments), 1, "10 ms at least")
        self.clock.pump([PACE] * 5)
        self.assertEqual([segment["msg"] for segment in self.transport.segments], ['"привет"', "2", "3"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.client.say("4")
        self.assertEqual(len(self.transport.segments), 4)

    def test_after_a_pause_the_next_two_are_apart_too(self) -> None:
        self.client.say("1")
        self.clock.advance(PACE * 0.9)
        self.client.say("2")
        self.assertEqual(len(self.transport.segments), 1)
        self.clock.advance(PACE * 0.1)
        self.assertEqual(len(self.transport.segments), 2)

    def test_objects_are_heard_back_to_back_and_authors_may_be_numbers(self) -> None:
        self.client.dataReceived(b'{"type": "", "msg": "a}", "author": 49474}{"msg":"b","author":"x","new":1}{"ms')
        self.client.dataReceived(b'g":"c"}\nnonsense\n{"msg":1}\n{"msg":"d"}')
        self.assertEqual(
            [(message.author, message.msg) for message in self.heard],
            [(49474, "a}"), ("x", "b"), ("self", "c"), ("self", "d")],
        )

    def test_what_cannot_be_said_is_refused_here(self) -> None:
        for text, code in (("x" * 20_000, "too-long"), ("\ud800", "bad-message")):
            self.assertEqual(self.failureResultOf(self.client.say(text), RequestError).value.code, code)

    def test_closing_waits_until_all_is_sent_and_the_server_says_stop(self) -> None:
        self.client.say("1")
        self.client.say("2")
        closing = Deferred.fromCoroutine(self.client.close())
        self.failureResultOf(self.client.say("too late"), ClosedError)
        self.clock.pump([PACE] * 5)
        self.assertEqual([segment["msg"] for segment in self.transport.segments], ["1", "2", ""])
        self.assertEqual(self.transport.segments[-1]["type"], "quit")
        self.assertNoResult(closing)
        self.client.dataReceived(b'{"type": "stop", "msg": "", "author": "server"}')
        self.lose()
        self.assertIsNone(result(closing))
        self.assertEqual((self.ended, self.clock.getDelayedCalls()), ([], []))

    def test_a_server_that_does_not_answer_is_left(self) -> None:
        closing = Deferred.fromCoroutine(self.client.close())
        self.clock.pump([PACE, END_TIME])
        self.assertTrue(self.transport.aborted)
        self.lose(ConnectionLost())
        self.assertIsNone(result(closing))
        self.assertEqual([str(end) for end in self.ended], ["the server did not answer within 5 seconds"])

    def test_closing_without_flush_leaves_at_once(self) -> None:
        self.client.say("1")
        waiting = self.client.say("2")
        closing = Deferred.fromCoroutine(self.client.close(flush=False))
        self.assertIsNone(result(closing))
        self.assertTrue(self.transport.aborted)
        self.lose(ConnectionLost())
        self.failureResultOf(waiting, ClosedError)
        self.assertIsNone(result(Deferred.fromCoroutine(self.client.close())))
        self.assertEqual(self.ended, [])

    def test_a_connection_that_ends_without_a_goodbye_while_it_leaves_is_told(self) -> None:
        self.client.dataReceived(b'{"type": "", "msg": "hi", "author": "bob"}')
        self.client.say("1")
        waiting = self.client.say("2")
        closing = Deferred.fromCoroutine(self.client.close())
        self.lose(ConnectionLost())
        self.failureResultOf(waiting, ClosedError)
        self.assertIsNone(result(closing))
        self.assertEqual([type(end) for end in self.ended], [ClosedError])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_whoever_waits_for_the_goodbye_may_stop_waiting(self) -> None:
        closing = Deferred.fromCoroutine(self.client.close())
        closing.cancel()
        self.failureResultOf(closing, CancelledError)
        self.lose(ConnectionLost())
        self.clock.advance(PACE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_never_said_anything_may_speak_another_protocol(self) -> None:
        self.lose()
        (end,) = self.ended
        assert isinstance(end, UnreachableError)
        self.assertEqual((end.reason, end.foreign), ("the server ended the connection", True))

    def test_a_server_that_stops_is_reported(self) -> None:
        self.client.dataReceived(b'{"type": "stop", "msg": "", "author": "server"}')
        self.lose()
        self.assertEqual(str(self.ended[0]), "the server stopped")
        self.failureResultOf(self.client.say("hi"), ClosedError)

    def test_a_connection_that_breaks_is_reported(self) -> None:
        self.client.dataReceived(b'{"type": "stop", "msg": "", "author": "bob"}')
        self.lose()
        self.assertEqual(str(self.ended[0]), "the server ended the connection")


class ConnectTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", 14900)
        self.connecting = connect_bare(endpoint, self.reactor, lambda _: None, lambda _: None)
        self.factory = self.reactor.tcpClients[0][2]

    def test_segments_are_not_delayed(self) -> None:
        set_to: dict[str, bool] = {}
        transport: Any = StringTransport()
        alsoProvides(transport, ITCPTransport)
        transport.setTcpNoDelay = lambda on: set_to.update(no_delay=on)
        transport.setTcpKeepAlive = lambda on: set_to.update(keep_alive=on)
        protocol = self.factory.buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(transport)
        self.assertEqual(set_to, {"no_delay": True, "keep_alive": True})
        self.assertIsInstance(result(self.connecting), BareClient)

    def test_a_missing_server_is_reported(self) -> None:
        self.factory.clientConnectionFailed(self.reactor.connectors[0], Failure(Refused()))
        self.assertIsInstance(self.failureResultOf(self.connecting, UnreachableError).value.__cause__, Refused)
