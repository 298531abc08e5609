"""The parts of a client that know nothing of servers: answers, ids, outboxes, the rate limit, backoff, listeners."""

from __future__ import annotations

import asyncio
import math
import uuid
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.answers import Answer, Waiters
from twisted_chat.client.events import Listeners, State, StateChanged
from twisted_chat.client.ids import Ids
from twisted_chat.client.protocol.errors import ClosedError
from twisted_chat.client.protocol.exchange import Pending
from twisted_chat.client.protocol.objects import Message
from twisted_chat.client.protocol.outbox import WINDOW, Outbox
from twisted_chat.client.protocol.pace import LEAST_PAUSE, TOKEN_BYTES, Pace, backoff, pause_before_retry
from twisted_chat.messages import MAX_ID

from .client_fakes import result


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


class OutboxTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.outbox = Outbox[Pending]()
        self.made = 0

    def add(self, count: int = 1) -> list[Pending]:
        added = []
        for _ in range(count):
            self.made += 1
            request = Pending("message", id=str(self.made), number=self.made)
            self.outbox.add(request)
            added.append(request)
        return added

    def take(self) -> list[int]:
        taken = []
        while self.outbox.first < math.inf:
            taken.append(self.outbox.take().number)
        return taken

    def test_messages_go_in_their_order_some_at_a_time(self) -> None:
        added = self.add(WINDOW + 10)
        self.assertEqual(self.take(), list(range(1, WINDOW + 1)))
        self.outbox.answered(added[0])
        self.assertEqual(self.take(), [WINDOW + 1])
        self.assertFalse(self.outbox.is_empty)

    def test_a_lost_connection_leaves_the_whole_window(self) -> None:
        added = self.add(WINDOW + 1)
        self.take()
        self.outbox.lost()
        self.assertEqual(self.take(), list(range(1, WINDOW + 1)))
        self.outbox.lost()
        self.assertEqual(self.outbox.empty(), added)

    def test_what_was_under_way_goes_first_after_a_lost_connection(self) -> None:
        added = self.add(4)
        self.outbox.take(), self.outbox.take()
        self.outbox.answered(added[0])
        self.outbox.lost()
        self.assertEqual(self.outbox.unacked, {"2"}, "it is not known what became of it")
        self.assertEqual(self.take(), [2, 3, 4])
        self.outbox.answered(added[1])
        self.assertEqual(self.outbox.unacked, {"3", "4"})

    def test_what_was_put_off_keeps_its_place_and_the_rest_goes_singly(self) -> None:
        added = self.add(4)
        self.assertEqual(self.take(), [1, 2, 3, 4])
        self.outbox.put_off(added[1])
        self.outbox.answered(added[0])
        self.outbox.put_off(added[2])
        self.assertEqual(self.outbox.unacked, {"4"}, "the server has not stored the others")
        self.assertEqual(self.take(), [], "the server has asked for a rest")
        self.outbox.rested()
        self.assertEqual(self.take(), [], "one is still under way")
        self.outbox.answered(added[3])
        self.assertEqual(self.take(), [2])
        self.outbox.answered(added[1])
        self.assertEqual(self.take(), [3])

    def test_when_all_are_acked_several_go_at_once_again(self) -> None:
        added = self.add(2)
        self.take()
        for request in added:
            self.outbox.put_off(request)
        self.outbox.rested()
        for request in added:
            self.assertEqual(self.take(), [request.number])
            self.outbox.answered(request)
        self.add(3)
        self.assertEqual(self.take(), [3, 4, 5])

    def test_what_was_put_off_may_be_in_the_log_if_a_connection_was_lost_before(self) -> None:
        (request,) = self.add()
        self.take()
        self.outbox.lost()
        self.take()
        self.outbox.put_off(request)
        self.assertEqual(self.outbox.unacked, {"1"})

    def test_a_change_of_nick_waits_for_what_may_be_in_the_log_and_for_what_can_be_sent_before_it(self) -> None:
        (request,) = self.add()
        self.assertTrue(self.outbox.holds_up(2, is_open=True))
        self.assertFalse(self.outbox.holds_up(2, is_open=False), "the room refuses for now")
        self.assertFalse(self.outbox.holds_up(1, is_open=True), "it was said later")
        self.take()
        self.assertTrue(self.outbox.holds_up(2, is_open=False), "it may be in the log")
        self.outbox.put_off(request)
        self.assertFalse(self.outbox.holds_up(2, is_open=True), "the server has asked for a rest")

    def test_only_what_was_never_sent_can_be_withdrawn(self) -> None:
        added = self.add(3)
        self.outbox.take()
        self.assertFalse(self.outbox.withdraw(added[0]))
        self.assertTrue(self.outbox.withdraw(added[1]))
        self.assertFalse(self.outbox.withdraw(added[1]))
        self.assertEqual(self.take(), [3])
        self.outbox.lost()
        self.assertFalse(self.outbox.withdraw(added[0]))

    def test_emptying_it_gives_everything_in_order(self) -> None:
        self.add(3)
        self.outbox.take()
        self.assertEqual([request.number for request in self.outbox.empty()], [1, 2, 3])
        self.assertTrue(self.outbox.is_empty)


class PaceTests(SynchronousTestCase):
    now = 0.0

    def spend(self, pace: Pace) -> int:
        spent = 0
        while not pace.pause(self.now):
            pace.spend()
            spent += 1
        return spent

    def test_it_stays_below_the_servers_limits(self) -> None:
        pace = Pace({"burst": 100, "rate": 10}, self.now)
        self.assertEqual(self.spend(pace), 80)
        self.assertGreater(pace.pause(self.now), 0)
        self.now = 5.0
        self.assertEqual(self.spend(pace), 47)
        self.now = 1000.0
        self.assertEqual(self.spend(pace), 80)

    def test_after_the_pause_that_it_asks_for_something_may_go(self) -> None:
        pace = Pace({"burst": 1, "rate": 1}, self.now)
        pace.spend()
        pace.spend()
        self.now += pace.pause(self.now)
        self.assertEqual(pace.pause(self.now), 0)

    def test_long_messages_take_more(self) -> None:
        pace = Pace({"burst": 10, "rate": 10}, self.now)
        pace.spend(TOKEN_BYTES - 1)
        pace.spend(3 * TOKEN_BYTES)
        self.assertEqual(self.spend(pace), 8 - 1 - 4)

    def test_without_limits_there_are_no_pauses(self) -> None:
        pace = Pace({}, self.now)
        for _ in range(10_000):
            pace.spend()
        self.assertEqual(pace.pause(self.now), 0)

    def test_pauses_before_a_retry_grow_up_to_half_a_minute_and_differ(self) -> None:
        pauses = [backoff(tries) for tries in (1, 4, 1000)]
        self.assertEqual(pauses, sorted(pauses))
        self.assertTrue(0.5 <= pauses[0] <= 0.75 and 30 <= pauses[-1] <= 45, pauses)
        self.assertGreater(len({backoff(1) for _ in range(10)}), 1)

    def test_the_server_says_how_long_a_pause_is_but_for_a_least_one(self) -> None:
        self.assertEqual([pause_before_retry(1, retry) for retry in (3.0, 0.0)], [3.0, LEAST_PAUSE])
        self.assertTrue(0.5 <= pause_before_retry(1, None) <= 0.75)


class ListenersTests(SynchronousTestCase):
    def test_each_is_told_of_its_kind_until_it_hears_no_more(self) -> None:
        listeners = Listeners()
        heard: list[Any] = []
        forget = listeners.on(StateChanged, heard.append)
        listeners.on(Message, heard.append)
        event = StateChanged(State.CONNECTED)
        listeners.call(event)
        self.assertEqual(heard, [event])
        self.assertTrue(listeners.has(StateChanged))
        forget()
        listeners.call(event)
        self.assertEqual(heard, [event])
        self.assertFalse(listeners.has(StateChanged))

    def test_coroutines_run(self) -> None:
        listeners = Listeners()
        gate: Deferred[str] = Deferred()
        heard: list[str] = []

        async def hear(event: StateChanged) -> None:
            heard.append(await gate + event.reason)

        listeners.on(StateChanged, hear)
        listeners.call(StateChanged(State.WAITING, "b"))
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
        listeners.call(StateChanged(State.CONNECTED))
        self.assertEqual(len(heard), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError, ZeroDivisionError)), 2)
