"""The promises of every store. `test_store_contract.py` runs these tests for each one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from twisted_chat import names
from twisted_chat.log import DELETE, Entry, Log, Record, RoomLog, RoomSummary

from .stores import MOST, PLENTY, StoreTestCase, entry, keep, numbers, texts

WHOLE = 2**40
"""A number behind all others."""


class StoreContract(StoreTestCase):
    """The promises of a store; `open_log` opens an empty one, or the same one again."""

    log: Log

    def open_log(self) -> Log | Deferred[Log]:
        raise NotImplementedError

    async def begin(self) -> RoomLog:
        opened: Any = maybeDeferred(self.open_log)
        self.log = await opened
        return await self.room()

    async def room(self, name: str = "lobby") -> RoomLog:
        return await self.log.open(names.room(name))

    async def say(self, *entries: Entry, time: int = 5) -> None:
        await keep(self.log, list(entries), time)

    async def test_a_turn_gets_numbers_in_its_order_and_one_time(self) -> None:
        lobby = await self.begin()
        first, second = entry(lobby, "a"), entry(lobby, "b", "1")
        await self.say(first, second, time=7)
        self.assertLess(first.seq, second.seq)
        self.assertEqual([(e.time, e.fresh) for e in (first, second)], [(7, True), (7, True)])
        self.assertEqual((lobby.oldest, lobby.seq), (first.seq, second.seq))
        records = [Record(first.seq, 7, "alice", "a"), Record(second.seq, 7, "alice", "b")]
        self.assertEqual(await lobby.after(0, MOST, PLENTY), records)
        self.assertEqual(await lobby.before(WHOLE, MOST, PLENTY), records)

    async def test_a_room_in_which_nothing_was_said_is_empty_and_leaves_no_trace(self) -> None:
        lobby = await self.begin()
        self.assertEqual((lobby.seq, lobby.oldest, lobby.topic), (0, 0, ""))
        self.assertEqual(await lobby.after(0, MOST, PLENTY), [])
        self.assertEqual(await lobby.before(WHOLE, MOST, PLENTY), [])
        self.assertEqual(await self.log.rooms(9), [])

    async def test_rooms_that_are_kept_are_counted(self) -> None:
        lobby = await self.begin()
        other = await self.room("other")
        self.assertEqual((self.log.room_count, lobby.is_kept), (0, False))
        for _ in range(2):
            await self.say(entry(lobby, "a"))
            self.assertEqual((self.log.room_count, lobby.is_kept, other.is_kept), (1, True, False))
        await other.set_topic("cats")
        await self.log.flush()
        self.assertEqual((self.log.room_count, other.is_kept), (2, True))

    async def test_a_store_has_trouble_once_it_is_closed(self) -> None:
        lobby = await self.begin()
        await self.say(entry(lobby, "a"))
        self.assertEqual(self.log.condition().trouble, "")
        await self.log.close()
        self.assertNotEqual(self.log.condition().trouble, "")

    async def test_rooms_do_not_share_numbers(self) -> None:
        lobby = await self.begin()
        other = await self.room("other")
        await self.say(entry(lobby, "a"), entry(other, "b"), entry(lobby, "c"))
        self.assertEqual(texts(await lobby.after(0, MOST, PLENTY)), ["a", "c"])
        self.assertEqual(texts(await other.after(0, MOST, PLENTY)), ["b"])

    async def test_two_logs_of_one_room_are_one_object(self) -> None:
        lobby = await self.begin()
        self.assertIs(await self.room("LOBBY"), lobby)

    async def test_saying_twice_is_saying_once(self) -> None:
        lobby = await self.begin()
        first = entry(lobby, "a", "1")
        await self.say(first, time=7)
        in_one_turn = [entry(lobby, "b", "2"), entry(lobby, "b", "2")]
        again = entry(lobby, "a", "1")
        await self.say(again, *in_one_turn, time=9)
        await self.log.flush()
        late = entry(lobby, "b", "2", "ALICE")
        await self.say(late)
        self.assertEqual([(e.seq, e.time, e.fresh) for e in (again,)], [(first.seq, 7, False)])
        self.assertEqual([e.fresh for e in (*in_one_turn, late)], [True, False, False])
        self.assertEqual({e.seq for e in (*in_one_turn, late)}, {lobby.seq})
        self.assertEqual(texts(await lobby.after(0, MOST, PLENTY)), ["a", "b"])

    async def test_another_author_room_or_id_is_another_message(self) -> None:
        lobby = await self.begin()
        other = await self.room("other")
        said = [
            entry(lobby, "a", "1"),
            entry(lobby, "a", "2"),
            entry(lobby, "a", "1", "bob"),
            entry(other, "a", "1"),
            entry(lobby, "a"),
            entry(lobby, "a"),
        ]
        await self.say(*said)
        self.assertEqual([e.fresh for e in said], [True] * 6)

    async def test_pages_are_cut_by_count(self) -> None:
        lobby = await self.begin()
        await self.say(*(entry(lobby, str(number)) for number in range(1, 6)))
        await self.log.flush()
        await self.say(*(entry(lobby, str(number)) for number in range(6, 10)))
        seqs = numbers(await lobby.after(0, MOST, PLENTY))
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertEqual(texts(await lobby.after(0, 3, PLENTY)), ["1", "2", "3"])
        self.assertEqual(texts(await lobby.after(seqs[3], 4, PLENTY)), ["5", "6", "7", "8"])
        self.assertEqual(texts(await lobby.after(seqs[8], 4, PLENTY)), [])
        self.assertEqual(texts(await lobby.before(WHOLE, 5, PLENTY)), ["5", "6", "7", "8", "9"])
        self.assertEqual(texts(await lobby.before(seqs[2], 5, PLENTY)), ["1", "2"])
        self.assertEqual(texts(await lobby.before(seqs[0], 5, PLENTY)), [])

    async def test_a_page_has_a_message_however_long_it_is(self) -> None:
        lobby = await self.begin()
        await self.say(entry(lobby, "x" * 1_000))
        self.assertEqual(len(await lobby.after(0, MOST, 1)), 1)
        self.assertEqual(len(await lobby.before(WHOLE, MOST, 1)), 1)

    async def test_every_character_comes_back(self) -> None:
        lobby = await self.begin()
        said = ["", "\n\r\t", '"quoted" \\ back', "привет 💬", "\x00\x01\x7f\x80", "\ufffe\uffff", "x" * 16_000]
        await self.say(*(entry(lobby, text) for text in said))
        await self.log.flush()
        self.assertEqual(texts(await lobby.after(0, MOST, PLENTY)), said)

    async def test_an_entry_has_a_kind_and_what_it_is_about(self) -> None:
        lobby = await self.begin()
        heard: list[Record] = []
        lobby.follow(heard.extend)
        edit = entry(lobby, "b", "2")
        edit.kind, edit.of = "edit", 1
        await self.say(entry(lobby, "a", "1"), edit)
        records = [Record(1, 5, "alice", "a"), Record(2, 5, "alice", "b", "edit", 1)]
        self.assertEqual(heard, records)
        for _ in range(2):
            self.assertEqual(await lobby.after(0, MOST, PLENTY), records)
            await self.log.flush()

    async def test_topics_and_the_list_of_rooms(self) -> None:
        lobby = await self.begin()
        await self.say(entry(lobby, "a"))
        other = await self.room("Another")
        await other.set_topic("t")
        self.assertEqual(other.topic, "t")
        rooms = [RoomSummary(names.room("Another"), "t"), RoomSummary(names.room("lobby"), "")]
        self.assertEqual(await self.log.rooms(9), rooms)
        self.assertEqual(await self.log.rooms(1), rooms[:1])

    async def test_a_follower_gets_each_record_once_and_in_order(self) -> None:
        lobby = await self.begin()
        other = await self.room("other")
        await self.say(entry(lobby, "before"))
        heard: list[list[str]] = []
        lobby.follow(lambda records: heard.append(texts(list(records))))
        await self.say(entry(lobby, "a"), entry(other, "elsewhere"), entry(lobby, "b", "1"))
        await self.say(entry(lobby, "b", "1"), entry(lobby, "c"))
        await self.say(entry(lobby, "c", "1", "bob"))
        await self.say(entry(lobby, "b", "1"))
        self.assertEqual(heard, [["a", "b"], ["c"], ["c"]])
        lobby.unfollow()
        await self.say(entry(lobby, "d"))
        self.assertEqual(len(heard), 3)

    async def test_a_follower_is_told_in_the_same_turn_and_knows_its_own_entries(self) -> None:
        lobby = await self.begin()
        said = [entry(lobby, "a", "1"), entry(lobby, "a", "1"), entry(lobby, "b")]
        heard: list[Any] = []

        def hear(records: Any) -> None:
            heard.append((list(records), lobby.seq, [(e.seq, e.fresh) for e in said]))

        lobby.follow(hear)
        epoch = lobby.epoch
        kept = Deferred.fromCoroutine(self.say(*said)).addCallback(lambda _: len(heard))
        self.assertEqual(await kept, 1, "it is heard before the append is done")
        ((records, seq, own),) = heard
        self.assertEqual(records, await lobby.after(0, MOST, PLENTY))
        self.assertEqual(seq, lobby.seq)
        self.assertEqual(own, [(1, True), (1, False), (2, True)])
        self.assertEqual(lobby.epoch, epoch)

    async def test_a_log_has_one_follower(self) -> None:
        lobby = await self.begin()
        heard: list[str] = []
        lobby.follow(lambda records: heard.append("first"))
        lobby.follow(lambda records: heard.append("second"))
        await self.say(entry(lobby, "a"))
        self.assertEqual(heard, ["second"])

    async def test_the_logs_of_direct_messages_are_listed_by_account_and_not_as_rooms(self) -> None:
        await self.begin()
        alice, bob, carol = (names.nick(nick) for nick in ("Alice", "bob", "carol"))
        logs = [await self.log.open(names.direct(*pair)) for pair in ((alice, bob), (carol, alice), (bob, carol))]
        await self.say(*(entry(log, "hi") for log in logs), entry(logs[0], "again"))
        self.assertEqual(await self.log.directs(alice, 9), [("bob", logs[0].seq), ("carol", logs[1].seq)])
        self.assertEqual(await self.log.directs(bob, 9), [("Alice", logs[0].seq), ("carol", logs[2].seq)])
        self.assertEqual(await self.log.directs(bob, 1), [("Alice", logs[0].seq)])
        self.assertEqual(await self.log.directs(names.nick("li"), 9), [])
        self.assertEqual(await self.log.rooms(9), [])
        await self.log.flush()
        newest = [("bob", logs[0].seq), ("carol", logs[1].seq)]
        del logs
        self.assertEqual(await self.log.directs(alice, 9), newest)

    def delete(self, log: RoomLog, of: int, id: str | None = None) -> Entry:
        return Entry(log, names.nick("mo"), "", id, kind=DELETE, of=of)

    async def test_a_delete_takes_the_text_away_in_its_turn(self) -> None:
        for is_flushed in False, True:
            room = await self.begin_again("flushed" if is_flushed else "journal")
            await self.say(entry(room, "one"), entry(room, "a secret"), entry(room, "three"))
            if is_flushed:
                await self.log.flush()
            heard: list[Record] = []
            room.follow(heard.extend)
            entries = [self.delete(room, 2, "1"), entry(room, "four"), self.delete(room, 5)]
            await self.say(*entries)
            self.assertEqual(
                [(one.kind, one.of, one.seq) for one in heard], [(DELETE, 2, 4), ("", None, 5), (DELETE, 5, 6)]
            )
            for read in (room.after(0, MOST, PLENTY), room.before(WHOLE, MOST, PLENTY)):
                records = await read
                texts = [(one.seq, one.msg, one.deleted, one.kind) for one in records]
                first = [(1, "one", 0, ""), (2, "", 4, ""), (3, "three", 0, "")]
                self.assertEqual(texts, [*first, (4, "", 0, DELETE), (5, "", 6, ""), (6, "", 0, DELETE)])
            again = self.delete(room, 2, "1")
            await self.say(again)
            self.assertEqual((again.seq, again.fresh), (4, False))
            room.unfollow()

    async def begin_again(self, name: str) -> RoomLog:
        if not hasattr(self, "log"):
            await self.begin()
        return await self.room(name)

    async def test_a_delete_of_what_is_not_there_or_deleted_already_changes_nothing(self) -> None:
        room = await self.begin()
        await self.say(entry(room, "one"), entry(room, "two"))
        await self.say(self.delete(room, 1), self.delete(room, 7))
        await self.log.flush()
        await self.say(self.delete(room, 1), self.delete(room, 3))
        records = await room.after(0, MOST, PLENTY)
        self.assertEqual(
            [(one.seq, one.msg, one.deleted) for one in records[:3]], [(1, "", 3), (2, "two", 0), (3, "", 0)]
        )
        self.assertEqual([one.deleted for one in records[3:]], [0, 0, 0])

    async def test_a_page_that_is_read_meanwhile_does_not_bring_the_text_back(self) -> None:
        await self.begin()
        for name in "forwards", "backwards":
            room = await self.room(name)
            await self.say(entry(room, "a secret"))
            await self.log.flush()
            forwards = name == "forwards"
            page = room.after(0, MOST, PLENTY) if forwards else room.before(WHOLE, MOST, PLENTY)
            was_read: list[bool] = []
            room.follow(partial(self.see_if_read, page, was_read))
            await self.say(self.delete(room, 1))
            room.unfollow()
            self.assertEqual([one.msg for one in await page if not one.kind], ["a secret"] if was_read[0] else [""])

    def see_if_read(self, page: Deferred[list[Record]], was_read: list[bool], _: Sequence[Record]) -> None:
        """Note whether a page was there before the delete was heard of."""
        was_read.append(page.called)

    async def test_the_messages_of_an_author_are_found(self) -> None:
        den, attic = await self.begin(), await self.room("attic")
        mine = [entry(den, "1", author="Al"), entry(den, "2", author="al"), entry(attic, "3", author="al")]
        await self.say(mine[0], entry(den, "x", author="bo"), *mine[1:], entry(attic, "x", author="al2"))
        await self.say(self.delete(den, mine[0].seq))
        self.assertEqual(await den.seqs_by("al", 0, 9), [mine[1].seq])
        self.assertEqual(await den.seqs_by("al", mine[1].seq, 9), [])
        self.assertEqual(await den.seqs_by("al", 0, 0), [])
        self.assertEqual(sorted(name.key for name in await self.log.rooms_of("al")), ["attic", "lobby"])
        self.assertEqual(await self.log.rooms_of("mo"), [])
