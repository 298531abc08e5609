"""Connections to the place of the status: what they may cost the chat, and that they do not shut out a monitor."""

from __future__ import annotations

import gc
from typing import Final
from weakref import ref

from twisted.internet.address import UNIXAddress

from twisted_chat.http_visit import IDLE_TICKS, MAX_HEAD
from twisted_chat.session import TICK_SECONDS
from twisted_chat.status import site as site_module
from twisted_chat.status.metrics import Metrics
from twisted_chat.status.site import FRESH_SECONDS
from twisted_chat.status.visit import ARRIVALS, CLOSE_SECONDS, MAX_CONNECTIONS, REQUESTS, StatusFactory

from .test_status_site import TOKEN, Browser, SiteTestCase

HEALTH: Final = b"GET /healthz HTTP/1.1\r\n\r\n"


class CostTests(SiteTestCase):
    """What strangers may cost the chat, and who gives way to whom."""

    def test_requests_in_one_read_are_answered_one_a_turn(self) -> None:
        browser = Browser(self.site())
        browser.send(HEALTH * 50)
        self.assertEqual((browser.count, browser.transport.producerState), (1, "paused"))
        turn = self.server.chat.rooms.turn
        before = turn.number
        while browser.count < 50:
            self.server.clock.turn()
            self.assertLessEqual(browser.count, 2 + turn.number - before)
        self.assertEqual(browser.transport.producerState, "producing")

    def test_a_flood_of_one_address_is_answered_at_its_rate(self) -> None:
        site = self.site(TOKEN)
        flood = [Browser(site, address="192.0.2.1") for _ in range(4)]
        rate, burst = REQUESTS
        for _ in range(1000):
            self.server.clock.advance(0.01)
            for browser in flood:
                while browser.transport.producerState == "producing":
                    browser.send(HEALTH * 10)
        count = sum(browser.count for browser in flood)
        self.assertGreaterEqual(count, burst)
        self.assertLessEqual(count, burst + 10 * (rate + len(flood)) + 5 * len(flood))
        self.assertEqual(Browser(site, address="192.0.2.1").ask("/healthz").status, 200)
        self.assertEqual(Browser(site, address="192.0.2.2").ask("/healthz").status, 200)

    def test_one_that_does_not_read_is_answered_no_more(self) -> None:
        browser = Browser(self.site())
        producer = browser.transport.producer
        assert producer is not None
        self.assertTrue(browser.transport.streaming)
        producer.pauseProducing()
        browser.send(HEALTH * 2)
        self.server.settle()
        self.assertEqual((browser.count, browser.transport.producerState), (0, "paused"))
        producer.resumeProducing()
        self.server.settle()
        self.assertEqual((browser.count, browser.transport.producerState), (2, "producing"))

    def test_texts_that_take_long_are_made_once_in_half_a_second(self) -> None:
        made: list[str] = []

        def make(what: str, text: str | bytes) -> str | bytes:
            made.append(what)
            return text

        self.patch(site_module, "draw", lambda *_: make("page", ""))
        self.patch(Metrics, "text", lambda _: make("metrics", b""))
        site = self.site()
        for later, times in (0.0, 1), (FRESH_SECONDS / 2, 1), (FRESH_SECONDS / 2, 2):
            self.server.clock.advance(later)
            for path in ("/", "/metrics") * 3:
                self.assertEqual(Browser(site).ask(path).status, 200)
            self.assertEqual(sorted(made), ["metrics"] * times + ["page"] * times)

    def test_the_crowd_of_an_address_shuts_out_only_itself(self) -> None:
        site = self.site(TOKEN)
        monitor = Browser(site)
        monitor.ask("/healthz")
        crowd = [Browser(site, address="192.0.2.1") for _ in range(2 * MAX_CONNECTIONS)]
        self.assertEqual([browser.is_open for browser in crowd].count(True), MAX_CONNECTIONS - 1)
        self.assertTrue(crowd[-1].is_open)
        self.assertEqual(monitor.ask("/healthz").status, 200)
        other = Browser(site, address="192.0.2.2")
        self.assertEqual((other.ask("/healthz").status, monitor.is_open), (200, True))

    def test_in_a_crowd_the_one_without_a_request_for_longest_gives_way(self) -> None:
        site = self.site()
        crowd = [Browser(site) for _ in range(MAX_CONNECTIONS)]
        crowd[0].ask("/healthz")
        monitor = Browser(site)
        self.assertEqual(monitor.ask("/healthz").status, 200)
        self.assertEqual([browser.is_open for browser in crowd], [True, False] + [True] * (MAX_CONNECTIONS - 2))
        self.assertTrue(crowd[1].transport.disconnected)
        crowd[1].connection.connectionLost()
        crowd[0].hang_up()
        Browser(site)
        self.assertEqual([browser.is_open for browser in crowd].count(True), MAX_CONNECTIONS - 1)

    def test_one_that_gave_way_is_forgotten_even_if_a_request_of_it_waited(self) -> None:
        site = self.site()
        first = Browser(site)
        first.send(HEALTH * 2)
        for _ in range(MAX_CONNECTIONS):
            Browser(site)
        self.assertFalse(first.is_open)
        self.server.settle()
        last = Browser(site)
        first.hang_up()
        self.assertTrue(last.is_open)

    def test_at_a_unix_socket_each_connection_counts_alone(self) -> None:
        site = self.site()
        first, second = (site.buildProtocol(UNIXAddress(None)) for _ in range(2))
        self.assertNotEqual(first.flow, second.flow)

    def test_connections_of_an_address_may_come_at_a_rate(self) -> None:
        site = self.site()
        rate, burst = ARRIVALS
        for _ in range(burst):
            Browser(site, address="192.0.2.1").hang_up()
        refused = Browser(site, address="192.0.2.1")
        refused.send(HEALTH)
        refused.connection.readConnectionLost()
        self.assertEqual((refused.is_open, refused.count), (False, 0))
        refused.hang_up()
        self.assertTrue(Browser(site, address="192.0.2.2").is_open)
        self.server.clock.advance(1 / rate)
        self.assertTrue(Browser(site, address="192.0.2.1").is_open)
        self.assertFalse(Browser(site, address="192.0.2.1").is_open)

    def test_a_head_has_ten_seconds_however_it_comes(self) -> None:
        browser = Browser(self.site())
        browser.send(b"GET / HTTP/1.1\r\nA: ")
        for _ in range(9):
            self.server.clock.advance(1)
            browser.send(b"x")
        self.assertTrue(browser.is_open)
        self.server.clock.advance(1)
        self.assertFalse(browser.is_open)

    def test_a_transport_that_ends_waits_for_no_head(self) -> None:
        browser = Browser(self.site())
        producer = browser.transport.producer
        assert producer is not None
        calls = len(self.server.clock.getDelayedCalls())
        producer.stopProducing()
        self.assertEqual(len(self.server.clock.getDelayedCalls()), calls - 1)

    def test_a_head_has_a_maximum_size(self) -> None:
        browser = Browser(self.site())
        browser.send(b"GET / HTTP/1.1\r\nA: " + b"x" * MAX_HEAD)
        self.assertEqual((browser.read().status, browser.is_open), (431, False))
        browser.send(HEALTH)
        self.assertEqual(browser.count, 0)

    def test_an_idle_connection_is_closed(self) -> None:
        browser = Browser(self.site())
        browser.ask("/healthz")
        self.server.clock.pump([TICK_SECONDS] * (IDLE_TICKS - 1))
        browser.ask("/healthz")
        self.server.clock.pump([TICK_SECONDS] * (IDLE_TICKS - 1))
        self.assertTrue(browser.is_open)
        self.server.clock.advance(TICK_SECONDS)
        self.assertFalse(browser.is_open)

    def test_one_that_does_not_read_its_last_answer_is_cut(self) -> None:
        aborted = []
        browser = Browser(self.site())
        self.patch(browser.transport, "abortConnection", lambda: aborted.append(True))
        browser.ask("/healthz", "Connection: close")
        self.assertEqual((browser.is_open, browser.transport.producer), (False, None))
        self.server.clock.advance(CLOSE_SECONDS)
        self.assertEqual(aborted, [True])
        browser.hang_up()

    def test_what_comes_after_the_end_is_forgotten(self) -> None:
        browser = Browser(self.site())
        browser.ask("/healthz", "Connection: close")
        calls = len(self.server.clock.getDelayedCalls())
        browser.send(b"x" * 5_000_000)  # for which it would have to rest
        self.assertEqual((browser.count, len(self.server.clock.getDelayedCalls())), (0, calls))

    def test_a_peer_that_has_closed_its_side_gets_its_answers(self) -> None:
        browser = Browser(self.site())
        browser.send(HEALTH * 3)
        browser.connection.readConnectionLost()
        self.server.settle()
        self.assertEqual((browser.count, browser.is_open), (3, False))
        browser.connection.readConnectionLost()
        self.server.settle()
        self.assertEqual(browser.count, 3)

    def test_nothing_is_left_of_connections_that_are_gone(self) -> None:
        site = self.site()
        before = len(self.server.clock.getDelayedCalls())
        for headers in [], ["Connection: close"]:
            browser = Browser(site)
            browser.ask("/healthz", *headers)
            browser.send(b"GET")
            browser.hang_up()
        browser = Browser(site)
        browser.send(HEALTH * 2)
        browser.hang_up()
        self.server.settle()
        self.assertEqual(len(self.server.clock.getDelayedCalls()), before)

    def test_a_site_that_is_closed_asks_for_no_more_calls(self) -> None:
        site = StatusFactory(self.server.chat)
        before = len(self.server.clock.getDelayedCalls())
        site.startFactory()
        self.assertEqual(len(self.server.clock.getDelayedCalls()), before + 2)  # the last hour, and the ticks
        site.stopFactory()
        self.assertEqual(len(self.server.clock.getDelayedCalls()), before)

    def test_a_connection_that_is_gone_is_freed_without_a_search_for_cycles(self) -> None:
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        browser = Browser(self.site())
        browser.ask("/healthz")
        gone = ref(browser.connection)
        browser.hang_up()
        browser.transport.producer = None
        del browser
        self.assertIsNone(gone())
