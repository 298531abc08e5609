"""How much is kept: what is read from the options, and when something is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from twisted_chat import names
from twisted_chat.log import Unavailable
from twisted_chat.stores.retention import (
    AHEAD_SECONDS,
    CHECK_SECONDS,
    EVERYTHING,
    FORGET_ROWS,
    STEP_PAUSE,
    Keep,
    Trimmer,
    Trusted,
    TrustedTime,
    read_keep,
)
from twisted_chat.stores.sqlite import database
from twisted_chat.stores.sqlite.log import SQLiteLog

from . import stores
from .stores import MOST, PLENTY, StoreTestCase, entry, numbers, room, row_of, texts

DAY = 86_400


class Options(TestCase):
    def test_a_time_or_a_number_of_messages(self) -> None:
        for text, keep in (
            ("12h", Keep(DAY // 2)),
            ("90d", Keep(90 * DAY)),
            ("8w", Keep(56 * DAY)),
            ("2y", Keep(730 * DAY)),
            ("1000000", Keep(None, 1_000_000)),
        ):
            self.assertEqual(read_keep([text]), keep)

    def test_the_narrowest_of_several(self) -> None:
        self.assertEqual(read_keep(["2w", "1000", "90d", "5"]), Keep(14 * DAY, 5))

    def test_without_any_everything_is_kept(self) -> None:
        self.assertEqual(read_keep([]), EVERYTHING)

    def test_other_limits_are_refused(self) -> None:
        for text in ("", "0", "0d", "-1", "1.5d", "d", "90 d", "90m", "forever", "٣d", "9" * 13):
            error = self.assertRaises(ValueError, read_keep, ["90d", text])
            self.assertEqual(
                str(error), f"a time such as 12h, 90d, 8w or 2y, or a number of messages a room, not '{text}'"
            )


class FakeStore:
    """A store without a message, in whose rooms there are some steps to take."""

    def __init__(self) -> None:
        self.found: list[int] | Unavailable = []
        self.left = {1: 3, 2: 1}
        """The number of steps to take in each room."""
        self.asked: list[int] = []
        """The times for which it was asked what is overdue."""
        self.steps: list[tuple[int, int]] = []
        """The rooms in which a step was taken, and the times."""
        self.empty: list[int] = []
        """The rooms in which nothing is kept."""
        self.forgotten: list[int] = []
        self.kept = Trusted(0)

    def overdue(self, now: int) -> Deferred[list[int]]:
        self.asked.append(now)
        return fail(self.found) if isinstance(self.found, Unavailable) else succeed(self.found)

    def trim(self, room: int, now: int) -> Deferred[bool]:
        self.steps.append((room, now))
        self.left[room] -= 1
        return succeed(self.left[room] > 0)

    def empty_rooms(self, now: int) -> Deferred[list[int]]:
        return succeed([room for room in self.empty if room not in self.forgotten])

    def forget_rooms(self, rooms: Sequence[int]) -> Deferred[None]:
        self.forgotten += rooms
        return succeed(None)

    def trusted(self) -> Deferred[Trusted]:
        return succeed(self.kept)

    def keep_trusted(self, trusted: Trusted) -> Deferred[None]:
        self.kept = trusted
        return succeed(None)


class Times(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = FakeStore()
        self.trimmer = Trimmer(self.clock, self.store)

    def test_the_store_is_looked_at_once_a_minute(self) -> None:
        self.clock.pump([30] * 6)
        self.assertEqual(self.store.asked, [60_000, 120_000, 180_000])

    def test_each_room_is_trimmed_until_nothing_more_is_to_go_with_pauses(self) -> None:
        self.store.found = [1, 2]
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(self.store.steps, [(1, 60_000)])
        self.clock.pump([0.02] * 5)
        self.assertEqual(self.store.steps, [(1, 60_000)] * 3 + [(2, 60_000)])

    def test_empty_rooms_are_forgotten_in_steps_with_pauses(self) -> None:
        self.store.empty = list(range(2 * FORGET_ROWS + 1))
        self.clock.advance(CHECK_SECONDS)
        counts = []
        for _ in range(4):
            counts.append(len(self.store.forgotten))
            self.clock.advance(STEP_PAUSE)
        self.assertEqual(counts, [FORGET_ROWS, 2 * FORGET_ROWS, 2 * FORGET_ROWS + 1, 2 * FORGET_ROWS + 1])

    def test_stopped_it_forgets_no_more_rooms(self) -> None:
        self.store.empty = list(range(2 * FORGET_ROWS))
        self.clock.advance(CHECK_SECONDS)
        self.trimmer.stop()
        self.clock.advance(STEP_PAUSE)
        self.assertEqual(self.store.forgotten, list(range(FORGET_ROWS)))

    def test_a_store_that_does_not_work_now_is_asked_again(self) -> None:
        self.store.found = Unavailable("full")
        self.clock.advance(CHECK_SECONDS)
        self.store.found = [2]
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(self.store.steps, [(2, 120_000)])

    def test_a_trimmer_can_be_stopped_twice(self) -> None:
        self.store.found = [1]
        for _ in range(2):
            self.trimmer.stop()
        self.clock.advance(10 * CHECK_SECONDS)
        self.assertEqual((self.store.steps, self.clock.getDelayedCalls()), ([], []))

    def test_a_fault_is_logged_and_it_goes_on(self) -> None:
        self.store.found = [3]
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.store.found = [2]
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(self.store.steps[-1], (2, 120_000))

    def test_stopped_it_begins_nothing_more(self) -> None:
        self.store.found = [1, 2]
        self.clock.advance(CHECK_SECONDS)
        self.trimmer.stop()
        self.clock.pump([1] * 200)
        self.assertEqual(len(self.store.steps), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_before_it_began_it_leaves_nothing_behind(self) -> None:
        self.trimmer.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Clocks(TestCase):
    """A clock that was set ahead does not delete what was kept a minute ago."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000 * DAY)
        self.ahead = 0.0
        cast(Any, self.clock).time_of_day = lambda: self.clock.seconds() + self.ahead
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def offsets(self, time: TrustedTime, *steps: float) -> list[int]:
        """Advance the clock, and return by how many days each trusted time differs from the timers."""
        found = []
        for seconds in steps:
            self.clock.advance(seconds)
            found.append(round((time.now().time / 1_000 - self.clock.seconds()) / DAY))
        return found

    def events_of_clock(self) -> list[LogEvent]:
        return [event for event in self.events if "The clock " in str(event["log_format"])]

    def warnings(self) -> int:
        return len(self.events_of_clock())

    def test_a_clock_that_was_set_ahead_and_back_is_not_followed(self) -> None:
        time = TrustedTime(self.clock, Trusted(0))
        self.assertEqual(self.offsets(time, 60), [0])
        self.ahead = 91 * DAY
        self.assertEqual(self.offsets(time, 60, 60, DAY / 2), [0, 0, 0])
        self.assertEqual(self.warnings(), 1)
        self.ahead = 0
        self.assertEqual(self.offsets(time, 60), [0])
        self.ahead = 91 * DAY
        self.assertEqual(self.offsets(time, 60, DAY - 1), [0, 0], "the day begins anew")
        self.assertEqual(self.warnings(), 2)

    def test_a_clock_that_stays_ahead_for_a_day_is_followed(self) -> None:
        time = TrustedTime(self.clock, Trusted(0))
        self.ahead = 91 * DAY
        self.assertEqual(self.offsets(time, 60, DAY - 1, 1, 60), [0, 0, 91, 91])
        self.assertEqual(self.warnings(), 1)

    def test_a_clock_that_was_set_back_is_followed_at_once(self) -> None:
        time = TrustedTime(self.clock, Trusted(0))
        self.ahead = -5 * DAY
        self.assertEqual(self.offsets(time, 60, 60), [-5, -5])
        self.assertEqual(self.warnings(), 0)

    def test_small_steps_of_a_clock_are_followed(self) -> None:
        time = TrustedTime(self.clock, Trusted(0))
        for _ in range(1_000):
            self.ahead += AHEAD_SECONDS
            self.offsets(time, 60)
        self.assertEqual((time.now().time / 1_000 - self.clock.seconds(), self.warnings()), (self.ahead, 0))
        self.ahead += AHEAD_SECONDS + 0.1
        self.offsets(time, 60)
        self.assertEqual(self.warnings(), 1)

    def test_a_clock_far_ahead_of_the_newest_message_is_not_trusted_at_the_start(self) -> None:
        now = int(self.clock.seconds() * 1_000)
        self.assertEqual(
            self.offsets(TrustedTime(self.clock, Trusted(now - 3 * DAY * 1_000)), 60, DAY - 1, 1), [-3, -3, 0]
        )
        self.assertEqual(self.warnings(), 1)
        now = int(self.clock.seconds() * 1_000)
        self.assertEqual(self.offsets(TrustedTime(self.clock, Trusted(now - DAY * 1_000)), 60), [0])
        self.assertEqual(self.warnings(), 1)
        now = int(self.clock.seconds() * 1_000)
        self.assertEqual(self.offsets(TrustedTime(self.clock, Trusted(now - DAY * 1_000 - 1)), 60), [-1])

    def days(self, hours: int, off: int, last: Trusted, days: int) -> list[int]:
        """Run a server for some hours a day. Returns how far behind its time is at each end."""
        behind = []
        for _ in range(days):
            time = TrustedTime(self.clock, last)
            for _ in range(hours):
                self.clock.advance(3_600)
                last = time.now()
            behind.append(round((self.clock.seconds() - last.time / 1_000) / 3_600))
            self.clock.advance(off * 3_600)
        return behind

    def test_a_quiet_server_that_is_restarted_each_day_follows_the_clock(self) -> None:
        """Its newest message is five days old: a run alone is never as long as a day."""
        now = int(self.clock.seconds() * 1_000)
        last = Trusted(now - 5 * DAY * 1_000)
        self.assertEqual(self.days(10, 14, last, 5), [5 * 24, 5 * 24 + 14, 0, 0, 0])
        self.assertEqual(self.warnings(), 3)
        self.assertIn("for another 4 h.", str(formatEvent(self.events_of_clock()[-1])))

    def test_one_that_is_off_for_days_follows_it_too(self) -> None:
        now = int(self.clock.seconds() * 1_000)
        self.assertEqual(self.days(10, 38, Trusted(now), 5), [0, 38, 76, 0, 38])

    def test_a_clock_that_is_right_in_a_run_begins_the_day_anew(self) -> None:
        start = int(self.clock.seconds() * 1_000)
        last = Trusted(start, DAY - 60)
        self.assertEqual(self.offsets(TrustedTime(self.clock, last), 60), [0])
        time = TrustedTime(self.clock, last)
        self.ahead = 91 * DAY
        self.assertEqual(self.offsets(time, 60, DAY - 60), [0, 0])

    def test_the_trimmer_goes_on_where_the_last_run_has_stopped(self) -> None:
        store = FakeStore()
        start = int(self.clock.seconds() * 1_000)
        store.kept = Trusted(start - 3 * DAY * 1_000, DAY - 60)
        Trimmer(self.clock, store)
        self.clock.pump([60, 60])
        self.assertEqual(store.asked, [start - 3 * DAY * 1_000, start + 120_000])
        self.assertEqual(store.kept, Trusted(start + 120_000))

    def test_the_trimmer_goes_by_the_trusted_time(self) -> None:
        store = FakeStore()
        start = int(self.clock.seconds() * 1_000)
        Trimmer(self.clock, store)
        self.clock.advance(60)
        self.ahead = 91 * DAY
        self.clock.advance(60)
        self.assertEqual(store.asked, [start + 60_000, start + 120_000])


class InTheStore(StoreTestCase):
    def opened(self, keep: Keep) -> SQLiteLog:
        return self.open_store(":memory:", keep=keep)

    def say(self, log: SQLiteLog, times: list[int], name: str = "lobby") -> None:
        lobby = self.successResultOf(room(log, name))
        for time in times:
            self.successResultOf(log.append([entry(lobby, str(time), str(time))], time * 1000))

    def kept(self, log: SQLiteLog, name: str = "lobby") -> list[int]:
        return numbers(self.successResultOf(self.successResultOf(room(log, name)).after(0, MOST, PLENTY)))

    def test_by_default_nothing_is_ever_taken_away(self) -> None:
        self.opened(EVERYTHING)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_newest_messages_of_each_room_are_kept(self) -> None:
        log = self.opened(Keep(messages=3))
        self.say(log, list(range(10)))
        self.say(log, [1, 2], "other")
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual((self.kept(log), self.kept(log, "other")), ([8, 9, 10], [1, 2]))
        lobby = self.successResultOf(room(log))
        self.assertEqual((lobby.oldest, lobby.seq), (8, 10))

    def test_young_ones_are_kept_and_numbers_do_not_fall_when_none_is(self) -> None:
        log = self.opened(Keep(seconds=100))
        self.say(log, [1, 2, 50, 60])
        lobby = self.successResultOf(room(log))
        self.clock.advance(60)
        self.assertEqual((self.kept(log), lobby.oldest), ([1, 2, 3, 4], 1))
        self.clock.advance(60)
        self.assertEqual((self.kept(log), lobby.oldest), ([3, 4], 3))
        self.clock.advance(60)
        self.assertEqual((self.kept(log), lobby.oldest, lobby.seq), ([], 5, 4))
        self.say(log, [200])
        self.assertEqual((self.kept(log), lobby.oldest, lobby.seq), ([5], 5, 5))

    def test_after_a_long_pause_nothing_is_deleted_for_a_day(self) -> None:
        self.clock.advance(10 * DAY)
        log = self.opened(Keep(seconds=100))
        self.say(log, [1, 2])
        self.successResultOf(log.flush())
        self.say(log, [3])
        self.clock.advance(60)
        self.assertEqual(self.kept(log), [1, 2, 3])
        self.clock.pump([3_600] * 24)
        self.assertEqual(self.kept(log), [])

    def test_age_and_number_limit_a_room_together(self) -> None:
        log = self.opened(Keep(seconds=100, messages=2))
        self.say(log, [1, 2, 57, 58, 59])
        self.say(log, [1, 59], "other")
        self.clock.pump([60, 60])
        self.assertEqual((self.kept(log), self.kept(log, "other")), ([4, 5], [2]))

    def test_an_old_message_behind_a_young_one_stays_as_long(self) -> None:
        log = self.opened(Keep(seconds=100))
        self.say(log, [1, 90, 2, 91])
        self.clock.pump([60, 60])
        self.assertEqual(self.kept(log), [2, 3, 4])
        self.clock.pump([60, 60])
        self.assertEqual(self.kept(log), [])

    def test_after_a_restart_numbers_go_on(self) -> None:
        log = self.opened(Keep(messages=2))
        self.say(log, [1, 2, 3])
        self.say(log, [1, 2, 3], "other")
        self.clock.advance(CHECK_SECONDS)
        self.file.writer.execute("DELETE FROM message")  # whatever is left
        self.file.writer.execute("UPDATE room SET trimmed = 3")
        lobby = self.successResultOf(room(log))
        self.assertEqual((lobby.seq, lobby.oldest), (3, 4))

    def test_what_is_in_the_journal_counts(self) -> None:
        log = self.opened(Keep(messages=2))
        lobby = self.successResultOf(room(log))
        self.say(log, [1, 2, 3])
        self.assertEqual(self.file.writer.execute("SELECT count(*) FROM message").fetchone(), (0,))
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual((self.kept(log), lobby.oldest), ([2, 3], 2))

    def test_what_was_said_while_it_was_trimmed_is_the_oldest_then(self) -> None:
        log = self.opened(Keep(seconds=10))
        lobby = self.successResultOf(room(log))
        self.say(log, [1])
        self.successResultOf(log.flush())
        self.say(log, [59])
        self.successResultOf(log.trim(row_of(lobby) or 0, 60_000))
        self.assertEqual((self.kept(log), lobby.oldest), ([2], 2))

    def test_a_room_that_nobody_holds_is_trimmed_too(self) -> None:
        log = self.opened(Keep(messages=1))
        self.say(log, [1, 2])
        self.successResultOf(log.flush())
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(self.successResultOf(room(log)).oldest, 2)

    def test_many_messages_are_deleted_in_small_steps(self) -> None:
        log = self.opened(Keep(messages=10))
        lobby = self.successResultOf(room(log))
        self.successResultOf(log.append([entry(lobby, "a") for _ in range(1_700)], 1))
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(lobby.oldest, 501)
        self.clock.pump([0.02] * 5)
        self.assertEqual((lobby.oldest, self.kept(log)), (1_691, list(range(1_691, 1_701))))

    def test_a_step_in_a_room_where_nothing_is_to_go_changes_nothing(self) -> None:
        log = self.opened(Keep(messages=1))
        self.say(log, [1])
        lobby = self.successResultOf(room(log))
        for _ in range(2):  # once with all of it in the journal
            self.assertFalse(self.successResultOf(log.trim(row_of(lobby) or 0, 60_000)))
            self.assertEqual((lobby.oldest, lobby.seq), (1, 1))
            self.successResultOf(log.flush())

    def test_what_was_taken_away_may_be_said_again(self) -> None:
        log = self.opened(Keep(messages=1))
        self.say(log, [1, 2])
        self.clock.advance(CHECK_SECONDS)
        self.say(log, [1])
        self.assertEqual(texts(self.successResultOf(self.successResultOf(room(log)).after(0, 9, PLENTY))), ["2", "1"])

    @settings(suppress_health_check=[HealthCheck.differing_executors])
    @given(
        st.lists(st.tuples(st.integers(1, 5), st.integers(0, 20)), max_size=20),
        st.integers(1, 12) | st.none(),
        st.integers(1, 20) | st.none(),
        st.integers(1, 7),
    )
    def test_whatever_numbers_are_skipped_so_many_are_kept(
        self, gaps_and_times: list[tuple[int, int]], messages: int | None, seconds: int | None, most: int
    ) -> None:
        log = self.open_store(":memory:")
        id = database.make_room(self.file.writer, names.room("lobby"))
        seq, model = 0, []
        for gap, time in gaps_and_times:
            seq += gap
            model.append((seq, time))
            self.file.writer.execute(
                "INSERT INTO message VALUES (?, ?, ?, 'a', 'a', NULL, '', '', NULL, NULL)", (id, seq, time * 1000)
            )
        skipped = model[-1][0] - model[0][0] + 1 - len(model) if model else 0
        self.file.writer.execute("UPDATE room SET skipped = ?", (skipped,))
        keep = Keep(seconds, messages)
        gone = seq
        for _ in range(30):
            found = database.overdue(self.file.writer, keep, 20_000)
            more = database.trim(self.file.writer, id, keep, 20_000, most).more if found else False
            self.assertLessEqual(more, bool(found))
        while model and (
            (messages is not None and len(model) > messages)
            or (seconds is not None and model[0][1] * 1000 < 20_000 - seconds * 1000)
        ):
            gone = model.pop(0)[0]
        rows = self.file.writer.execute("SELECT seq FROM message ORDER BY seq").fetchall()
        self.assertEqual([seq for (seq,) in rows], [seq for seq, _ in model])
        state = database.room_state(self.file.writer, "lobby")
        self.assertEqual(state.seq, seq)
        if rows:
            kept = self.file.writer.execute("SELECT skipped FROM room").fetchone()[0]
            self.assertEqual(kept, rows[-1][0] - rows[0][0] + 1 - len(rows))
        elif gone:
            self.assertEqual(state.oldest, gone + 1)
        self.successResultOf(log.close())


class EmptyRooms(StoreTestCase):
    """Rooms in which nothing is kept and nobody is are forgotten, and their numbers go on."""

    def opened(self, keep: Keep | None = None, path: str = ":memory:") -> SQLiteLog:
        return self.open_store(path, keep=keep or Keep(seconds=100))

    def names(self, log: SQLiteLog) -> list[str]:
        return [known.name.shown for known in self.successResultOf(log.rooms(MOST))]

    def say(self, log: SQLiteLog, name: str) -> int:
        said = entry(self.successResultOf(room(log, name)), "hi")
        self.successResultOf(log.append([said], int(self.clock.seconds() * 1_000)))
        return said.seq

    def test_one_without_messages_is_forgotten_with_its_topic(self) -> None:
        log = self.opened()
        self.say(log, "Lobby")
        self.successResultOf(self.successResultOf(room(log, "Lobby")).set_topic("cats"))
        self.clock.advance(90)
        self.say(log, "den")
        self.clock.advance(90)
        self.assertEqual((self.names(log), log.room_count), (["den"], 1))
        lobby = self.successResultOf(room(log, "LOBBY"))
        self.assertEqual((lobby.name.shown, lobby.topic, lobby.seq, lobby.oldest), ("LOBBY", "", 1, 2))
        self.assertFalse(lobby.is_kept)
        self.assertEqual((self.say(log, "LOBBY"), self.names(log), log.room_count), (2, ["den", "LOBBY"], 2))
        self.assertTrue(lobby.is_kept)

    async def test_one_that_was_forgotten_goes_on_with_its_numbers_after_a_restart(self) -> None:
        log = self.open_store(keep=Keep(seconds=100))
        await stores.keep(log, [entry(await room(log), "hi")], 1_000)
        (found,) = await self.until(log.overdue(10**9))
        self.assertEqual(await self.until(log.empty_rooms(10**9)), [])
        await self.until(log.trim(found, 10**9))
        self.assertEqual(await self.until(log.empty_rooms(10**9)), [found])
        await self.until(log.forget_rooms([found]))
        await self.until(log.close())
        log = self.open_store()
        self.assertEqual(log.room_count, 0)
        said = entry(await room(log), "hi")
        await stores.keep(log, [said], 2_000)
        self.assertEqual((said.seq, log.room_count), (2, 1))

    def test_a_topic_is_kept_as_long_as_a_message(self) -> None:
        log = self.opened()
        self.clock.advance(50)
        self.successResultOf(self.successResultOf(room(log, "lobby")).set_topic("cats"))
        self.clock.advance(80)
        self.assertEqual(self.names(log), ["lobby"])
        self.clock.advance(80)
        self.assertEqual(self.names(log), [])

    def test_one_that_somebody_is_in_is_not_forgotten(self) -> None:
        log = self.opened()
        lobby = self.successResultOf(room(log, "lobby"))
        self.successResultOf(lobby.set_topic("cats"))
        lobby.follow(lambda records: None)
        self.clock.advance(180)
        self.assertEqual((self.names(log), lobby.topic), (["lobby"], "cats"))
        lobby.unfollow()
        self.clock.advance(60)
        self.assertEqual((self.names(log), lobby.topic), ([], ""))
        self.successResultOf(lobby.set_topic("dogs"))
        self.assertEqual((self.names(log), log.room_count), (["lobby"], 1))

    def test_one_in_which_something_was_said_meanwhile_is_not_forgotten(self) -> None:
        log = self.opened()
        self.successResultOf(self.successResultOf(room(log, "lobby")).set_topic("cats"))
        self.clock.advance(1)
        (found,) = self.successResultOf(log.empty_rooms(10**15))
        self.say(log, "lobby")
        self.successResultOf(log.forget_rooms([found]))
        self.assertEqual((self.names(log), log.room_count), (["lobby"], 1))
        self.assertEqual(self.successResultOf(room(log, "lobby")).topic, "cats")

    def test_a_limit_of_messages_alone_forgets_none(self) -> None:
        log = self.opened(Keep(messages=1))
        self.successResultOf(self.successResultOf(room(log, "lobby")).set_topic("cats"))
        self.clock.advance(DAY)
        self.assertEqual(self.names(log), ["lobby"])

    def test_messages_and_topics_make_a_room_that_counts_once(self) -> None:
        log = self.opened()
        counts = [log.room_count]
        for _ in range(2):
            self.say(log, "lobby")
            self.successResultOf(self.successResultOf(room(log, "den")).set_topic(str(counts)))
            counts.append(log.room_count)
        self.assertEqual(counts, [0, 2, 2])
