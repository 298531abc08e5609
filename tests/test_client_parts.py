"""The parts of a client that know nothing of servers: answers, ids, places, outboxes, pace, feeds, events."""

from __future__ import annotations

import asyncio
import uuid
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.answers import Answer, Waiters
from twisted_chat.client.errors import ClosedError, RequestError
from twisted_chat.client.events import Listeners, State, StateChanged
from twisted_chat.client.feed import HIGH, LOW, Feed
from twisted_chat.client.ids import Ids
from twisted_chat.client.outbox import WINDOW, Outbox, Pending
from twisted_chat.client.pace import Pace
from twisted_chat.client.place import Place
from twisted_chat.client.requests import Requests
from twisted_chat.messages import MAX_ID, MAX_OBJECT, Message, Ping, Say

from .client_fakes import ids, result


class AnswerTests(SynchronousTestCase):
    def test_a_coroutine_of_twisted_awaits_it(self) -> None:
        answer: Answer[int] = Answer()

        async def wait() -> int:
            return await answer + 1

        waiting = Answer.of(wait())
        self.assertNoResult(waiting)
        answer.callback(1)
        self.assertEqual(result(waiting), 2)

    def test_a_task_of_asyncio_awaits_it(self) -> None:
        async def main() -> list[object]:
            loop = asyncio.get_running_loop()
            seen: list[object] = [await Answer.given(1)]
            answer: Answer[int] = Answer()
            loop.call_soon(answer.callback, 2)
            seen.append(await answer)
            failing: Answer[int] = Answer()
            loop.call_soon(failing.errback, ClosedError("closed"))
            try:
                await failing
            except ClosedError as error:
                seen.append(str(error))
            return seen

        self.assertEqual(asyncio.run(main()), [1, 2, "closed"])

    def test_a_coroutine_of_twisted_that_a_task_starts_awaits_it(self) -> None:
        answer: Answer[int] = Answer()

        async def wait() -> int:
            return await answer

        async def main() -> int:
            deferred = Deferred.fromCoroutine(wait())  # driven by Twisted, though a task is running
            asyncio.get_running_loop().call_soon(answer.callback, 3)
            return await deferred.asFuture(asyncio.get_running_loop())

        self.assertEqual(asyncio.run(main()), 3)

    def test_asyncio_can_gather_it_and_give_it_a_time(self) -> None:
        async def main() -> list[int]:
            answers: list[Answer[int]] = [Answer(), Answer()]
            loop = asyncio.get_running_loop()
            for i, answer in enumerate(answers):
                loop.call_soon(answer.callback, i)
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(Answer(), 0.001)
            return list(await asyncio.gather(*answers))

        self.assertEqual(asyncio.run(main()), [0, 1])

    def test_a_task_that_is_cancelled_cancels_it(self) -> None:
        cancelled: list[object] = []

        async def main() -> None:
            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        async def wait() -> None:
            await Answer(cancelled.append)

        asyncio.run(main())
        self.assertEqual(len(cancelled), 1)

    def test_a_task_that_was_cancelled_by_another_way_is_not_woken_twice(self) -> None:
        async def main() -> None:
            answer: Answer[None] = Answer()

            async def wait() -> None:
                await answer

            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            answer.add_done_callback(lambda _: None)
            answer.callback(None)
            await task

        asyncio.run(main())

    def test_one_that_follows_has_the_same_result(self) -> None:
        self.assertEqual(result(Answer.following(succeed(1))), 1)
        self.failureResultOf(Answer.failed(ClosedError("")), ClosedError)

    def test_cancelling_one_that_follows_cancels_what_it_follows(self) -> None:
        cancelled: list[object] = []
        followed: Deferred[None] = Deferred(cancelled.append)
        following = Answer.following(followed)
        following.cancel()
        self.assertEqual(len(cancelled), 1)
        self.failureResultOf(following, CancelledError)

    def test_what_comes_after_an_answer_is_not_an_error(self) -> None:
        for late in (None, CancelledError()):
            followed: Deferred[None] = Deferred()
            following = Answer.following(followed)
            following.callback(None)  # somebody else was faster
            followed.callback(None) if late is None else followed.errback(late)
            self.assertIsNone(result(following))

    def test_those_who_wait_are_told_once(self) -> None:
        waiters = Waiters()
        first, second, cancelled = waiters.add(), waiters.add(), waiters.add()
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.assertTrue(waiters)
        waiters.fire()
        self.assertIsNone(result(first))
        self.assertIsNone(result(second))
        self.assertFalse(waiters)
        last = waiters.add()
        waiters.fire(ClosedError("closed"))
        self.failureResultOf(last, ClosedError)


class IdsTests(SynchronousTestCase):
    def test_they_are_uuids_of_version_7(self) -> None:
        made = Ids(lambda: 1_763_800_000.123)()
        parsed = uuid.UUID(made)
        self.assertEqual((parsed.version, parsed.variant), (7, uuid.RFC_4122))
        self.assertEqual(parsed.int >> 80, 1_763_800_000_123)
        self.assertLessEqual(len(made), MAX_ID)

    def test_they_rise_within_a_millisecond_and_when_the_clock_goes_back(self) -> None:
        times = iter([2.0] * 5000 + [1.0] * 10 + [3.0])
        source = Ids(lambda: next(times))
        made = [source() for _ in range(5011)]
        self.assertEqual(made, sorted(set(made)))
        self.assertEqual(uuid.UUID(made[-1]).int >> 80, 3000)

    def test_two_sources_do_not_make_the_same(self) -> None:
        one, other = Ids(lambda: 1.0), Ids(lambda: 1.0)
        self.assertFalse({one() for _ in range(100)} & {other() for _ in range(100)})


class PlaceTests(SynchronousTestCase):
    def test_what_was_seen_is_no_news(self) -> None:
        place = Place(5)
        self.assertFalse(place.is_news(5))
        self.assertTrue(place.is_news(6))
        place.advance(7)
        self.assertFalse(place.is_news(6))
        place.advance(6)
        self.assertEqual(place.seq, 7)

    def test_ones_own_is_no_news_and_does_not_move_it(self) -> None:
        place = Place(5)
        for seq in (9, 7, 4):
            place.acked(seq)
        self.assertEqual((place.seq, place.own), (5, 2))
        self.assertEqual([seq for seq in range(5, 11) if place.is_news(seq)], [6, 8, 10])
        place.advance(8)
        self.assertEqual(place.own, 1)
        self.assertFalse(place.is_news(9))

    def test_the_log_moves_it_over_ones_own_up_to_anothers(self) -> None:
        place = Place(5)
        for seq in (6, 7, 9):
            place.acked(seq)
        place.confirm([6, 7, 8, 9])
        self.assertEqual((place.seq, place.own), (7, 1))
        place.confirm([])
        self.assertEqual(place.seq, 7)

    @given(st.sets(st.integers(1, 40)), st.integers())
    def test_each_message_of_others_is_news_once(self, own: set[int], seed: int) -> None:
        """However acks come between, and from wherever the log is read again."""
        random = Random(seed)
        place = Place(0)
        unacked = sorted(own)
        news = []
        seq = 0
        while seq < 40:
            seq += 1
            while unacked and (unacked[0] <= seq or random.random() < 0.5):
                place.acked(unacked.pop(0))  # at the latest before it comes by
            if place.is_news(seq):
                news.append(seq)
            place.advance(seq)
            if random.random() < 0.1:
                seq = max(0, seq - 5)
        self.assertEqual(news, [seq for seq in range(1, 41) if seq not in own])


class OutboxTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.outbox = Outbox()
        self.made = 0

    def add(self, count: int = 1) -> list[Pending]:
        added = []
        for _ in range(count):
            self.made += 1
            pending = Pending(str(self.made), Say(msg=str(self.made)), self.made, Answer(), outbox=self.outbox)
            self.outbox.add(pending)
            added.append(pending)
        return added

    def take(self, settling: bool = False) -> list[int]:
        taken = []
        while (pending := self.outbox.take(settling)) is not None:
            taken.append(pending.number)
        return taken

    def test_messages_go_in_their_order_some_at_a_time(self) -> None:
        added = self.add(WINDOW + 10)
        self.assertEqual(self.take(), list(range(1, WINDOW + 1)))
        self.outbox.answered(added[0])
        self.assertEqual(self.take(), [WINDOW + 1])
        self.assertFalse(self.outbox.empty)

    def test_what_was_under_way_goes_first_after_a_lost_connection(self) -> None:
        added = self.add(4)
        self.outbox.take(False), self.outbox.take(False)
        self.outbox.answered(added[0])
        self.assertFalse(self.outbox.quiet)
        self.outbox.lost()
        self.assertTrue(self.outbox.unsettled)
        self.assertFalse(self.outbox.quiet)
        self.assertEqual(self.take(settling=True), [2])
        self.assertTrue(self.outbox.unsettled, "it is not known yet what became of it")
        self.outbox.answered(added[1])
        self.assertFalse(self.outbox.unsettled)
        self.assertTrue(self.outbox.quiet)
        self.assertEqual(self.take(), [3, 4])

    def test_what_was_put_off_keeps_its_place_and_the_rest_goes_singly(self) -> None:
        added = self.add(4)
        self.assertEqual(self.take(), [1, 2, 3, 4])
        self.outbox.put_off(added[1])
        self.outbox.answered(added[0])
        self.outbox.put_off(added[2])
        self.assertEqual(self.take(), [], "the server has asked for a rest")
        self.outbox.resting = False
        self.assertEqual(self.take(), [], "one is still under way")
        self.outbox.answered(added[3])
        self.assertEqual(self.take(), [2])
        self.outbox.answered(added[1])
        self.assertEqual(self.take(), [3])

    def test_settling_goes_up_to_the_last_unsettled_one(self) -> None:
        added = self.add(3)
        self.outbox.take(False), self.outbox.take(False)
        self.outbox.put_off(added[0])
        self.outbox.lost()
        self.assertEqual(self.take(settling=True), [1, 2])

    def test_only_what_was_never_sent_can_be_withdrawn(self) -> None:
        added = self.add(3)
        self.outbox.take(False)
        self.assertFalse(self.outbox.withdraw(added[0]))
        self.assertTrue(self.outbox.withdraw(added[1]))
        self.assertFalse(self.outbox.withdraw(added[1]))
        self.assertEqual(self.take(), [3])
        self.outbox.lost()
        self.assertFalse(self.outbox.withdraw(added[0]))

    def test_giving_up_gives_everything_in_order(self) -> None:
        self.add(3)
        self.outbox.take(False)
        self.assertEqual([pending.number for pending in self.outbox.give_up()], [1, 2, 3])
        self.assertTrue(self.outbox.empty)

    def test_who_does_not_wait_any_more_is_not_told(self) -> None:
        for fire in (lambda pending: pending.succeed(1), lambda pending: pending.fail(ClosedError(""))):
            (pending,) = self.add()
            pending.answer.cancel()
            self.failureResultOf(pending.answer, CancelledError)
            fire(pending)


class RequestsTests(SynchronousTestCase):
    def test_what_is_too_long_is_refused_here(self) -> None:
        requests = Requests(ids())
        pending = requests.new(Say(msg="я" * (MAX_OBJECT // 2), room="lobby"))
        self.assertNotIn(pending, requests)
        error = self.failureResultOf(pending.answer, RequestError).value
        self.assertEqual(error.code, "too-long")
        self.assertIn("16,384", str(error))
        self.assertIn(requests.new(Say(msg="я" * 8000, room="lobby")), requests)

    def test_what_is_no_text_is_refused_here(self) -> None:
        pending = Requests(ids()).new(Say(msg="\ud800", room="lobby"))
        self.assertEqual(self.failureResultOf(pending.answer, RequestError).value.code, "bad-message")

    def test_dropping_twice_is_dropping_once(self) -> None:
        requests = Requests(ids())
        pending = requests.new(Ping())
        requests.drop(pending, ClosedError("closed"))
        requests.drop(pending, ClosedError("closed"))
        self.failureResultOf(pending.answer, ClosedError)
        self.assertEqual(requests.owed, 0)


class PaceTests(SynchronousTestCase):
    now = 0.0

    def spend(self, pace: Pace) -> int:
        spent = 0
        while not pace.pause():
            pace.spend()
            spent += 1
        return spent

    def test_it_stays_below_the_servers_limits(self) -> None:
        pace = Pace({"burst": 100, "rate": 10}, lambda: self.now)
        self.assertEqual(self.spend(pace), 80)
        self.assertGreater(pace.pause(), 0)
        self.now = 5.0
        self.assertEqual(self.spend(pace), 47)
        self.now = 1000.0
        self.assertEqual(self.spend(pace), 80)

    def test_after_the_pause_that_it_asks_for_something_may_go(self) -> None:
        pace = Pace({"burst": 1, "rate": 1}, lambda: self.now)
        pace.spend()
        pace.spend()
        self.now += pace.pause()
        self.assertEqual(pace.pause(), 0)

    def test_without_limits_there_are_no_pauses(self) -> None:
        pace = Pace({}, lambda: self.now)
        for _ in range(10_000):
            pace.spend()
        self.assertEqual(pace.pause(), 0)


class FeedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked = 0
        self.feed = Feed(self.more)

    def more(self) -> None:
        self.asked += 1

    def put(self, count: int) -> None:
        for seq in range(1, count + 1):
            self.feed.put(Message(msg="", author="bob", seq=seq))

    def test_messages_are_taken_in_order_by_whoever_asked_first(self) -> None:
        first, second = self.feed.take(), self.feed.take()
        self.put(3)
        self.assertEqual([result(taken).seq for taken in (first, second, self.feed.take())], [1, 2, 3])

    def test_a_cancelled_taker_takes_none(self) -> None:
        first, second = self.feed.take(), self.feed.take()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.put(1)
        self.assertEqual(result(second).seq, 1)

    def test_it_is_bounded_and_asks_for_more_in_time(self) -> None:
        self.put(HIGH - 1)
        self.assertTrue(self.feed.ready())
        self.put(1)
        self.assertFalse(self.feed.ready())
        for _ in range(HIGH - LOW - 1):
            self.feed.take()
        self.assertEqual((self.asked, self.feed.hungry()), (0, False))
        self.feed.take()
        self.assertEqual((self.asked, self.feed.hungry()), (1, True))

    def test_the_end_comes_after_what_is_there(self) -> None:
        self.put(1)
        self.feed.end(ClosedError("closed"))
        self.assertEqual(result(self.feed.take()).seq, 1)
        self.failureResultOf(self.feed.take(), ClosedError)

    def test_the_end_reaches_who_waits(self) -> None:
        taker = self.feed.take()
        self.feed.end(ClosedError("closed"))
        self.failureResultOf(taker, ClosedError)

    def test_it_can_be_emptied(self) -> None:
        self.put(2)
        self.assertEqual(len(self.feed.empty()), 2)
        self.assertNoResult(self.feed.take())


class ListenersTests(SynchronousTestCase):
    def test_each_is_told_of_its_kind_until_it_hears_no_more(self) -> None:
        listeners = Listeners()
        heard: list[Any] = []
        forget = listeners.on(StateChanged, heard.append)
        listeners.on(Message, heard.append)
        event = StateChanged(State.CONNECTED)
        listeners.tell(event)
        self.assertEqual(heard, [event])
        self.assertTrue(listeners.has(StateChanged))
        forget()
        listeners.tell(event)
        self.assertEqual(heard, [event])
        self.assertFalse(listeners.has(StateChanged))

    def test_coroutines_run(self) -> None:
        listeners = Listeners()
        gate: Deferred[str] = Deferred()
        heard: list[str] = []

        async def hear(event: StateChanged) -> None:
            heard.append(await gate + event.reason)

        listeners.on(StateChanged, hear)
        listeners.tell(StateChanged(State.WAITING, "b"))
        gate.callback("a")
        self.assertEqual(heard, ["ab"])

    def test_one_that_fails_is_logged_and_the_others_are_told(self) -> None:
        listeners = Listeners()
        heard: list[Any] = []

        async def late(event: StateChanged) -> None:
            raise ValueError

        def early(event: StateChanged) -> None:
            raise ZeroDivisionError

        for callback in (late, early, heard.append):
            listeners.on(StateChanged, callback)
        listeners.tell(StateChanged(State.CONNECTED))
        self.assertEqual(len(heard), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError, ZeroDivisionError)), 2)
