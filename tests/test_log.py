"""The words that a store and the rooms share."""

from __future__ import annotations

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from twisted_chat import names
from twisted_chat.log import Entry, Record
from twisted_chat.stores.sqlite.store import open_store


class Words(TestCase):
    def test_an_entry_is_not_kept_until_a_log_says_so(self) -> None:
        log = open_store(":memory:", Clock()).log
        self.addCleanup(log.close)
        room = self.successResultOf(log.open(names.room("lobby")))
        origin = succeed(None)
        entry = Entry(room, names.nick("alice"), "hi", "1", origin)
        self.assertEqual((entry.seq, entry.time, entry.fresh), (0, 0, False))
        self.assertEqual((entry.room, entry.author.shown, entry.msg, entry.id), (room, "alice", "hi", "1"))
        self.assertIs(entry.origin, origin)

    def test_records_sort_by_their_number(self) -> None:
        self.assertLess(Record(1, 9, "b", "b"), Record(2, 1, "a", "a"))
