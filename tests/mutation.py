"""Mutation testing: `python -m tests.mutation [--sample N] [--seed N] [--jobs N] [MODULE ...]`.

A mutant is a module with one small fault: a statement left out, a condition turned round, a bound off by one. Each
module has tests of its own, and a mutant that passes them all has survived: either a test is missing, or the mutant is
equal to the original. Without modules, all are taken; with `--sample`, so many mutants of each. The exit status is 1
where less than 95 % are found.

A mutant costs a second or less: a process that has imported all libraries forks for each, and the child imports the
package with the fault in one of its modules, in memory; no file is changed. Where a fault makes a loop endless, a limit
of CPU time ends the child, which counts as found.

`cosmic-ray` and `mutmut` were looked at first. Neither leaves out a statement, which is what tests miss most; the one
starts a program for each mutant, and the other runs no trial.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.util
import math
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple
from unittest import TestCase

PACKAGE: Final = "twisted_chat"

ENOUGH: Final = 0.95
"""The part of the mutants that has to be found."""

TESTS: Final = {
    "client.tls": ("client_tls",),
    "client.trust": ("client_trust",),
    "client.protocol.datagrams": ("client_datagrams", "client_over_udp"),
    "client.protocol.engine": ("client_engine",),
    "client.protocol.exchange": ("client_engine",),
    "client.protocol.lines": ("client_line_reader",),
    "client.protocol.membership": ("client_engine",),
    "client.protocol.objects": ("client_engine", "client_datagrams"),
    "client.protocol.outbox": ("client_parts", "client_engine"),
    "client.protocol.pace": ("client_parts",),
    "client.protocol.partial_log": ("client_partial_log", "client_engine"),
    "client.protocol.requests": ("client_engine",),
    "client.protocol.room_reader": ("client_room_reader", "client_engine"),
    "client.protocol.rooms": ("client_engine", "client_over_udp"),
    "atomic_write": ("atomic_write",),
    "confusables.skeletons": ("confusables", "names"),
    "names": ("names", "confusables", "chat", "importing"),
    "forbidden_nicks": ("forbidden_nicks",),
    "certificates": ("certificates",),
    "http_requests": ("http_requests", "web", "status_site"),
    "http_visit": ("web", "websocket"),
    "handed_over": ("handed_over", "places"),
    "supervisor": ("supervisor",),
    "framing": ("framing",),
    "limits": ("limits", "session", "chat"),
    "participant": ("session", "limits", "bare", "chat", "jsonlines", "stream", "promises"),
    "signals": ("signals",),
    "session": ("session", "chat", "accounts", "moderation", "jsonlines", "stream", "room", "promises"),
    "newcomer": ("bare", "jsonlines", "stream", "chat"),
    "bare": ("bare", "jsonlines", "stream"),
    "chat": ("chat", "accounts", "session", "bare", "jsonlines", "stream", "udp", "room"),
    "gate": ("chat", "accounts", "moderation", "account_requests", "direct_logs", "session", "bare", "udp"),
    "enforcement": ("moderation",),
    "requests.acting": ("moderation",),
    "requests.audit": ("moderation",),
    "requests.entry": ("moderation", "cluster_listener"),
    "requests.moderation": ("moderation", "cluster_listener"),
    "requests.roles": ("moderation",),
    "nicks": ("account_requests", "chat"),
    "requests.direct_logs": ("direct_logs",),
    "founding": ("moderation", "cluster_listener"),
    "requests.reports": ("moderation", "cluster_listener"),
    "requests.deleting": ("deleting", "known_holes"),
    "requests.accounts": ("account_requests",),
    "requests.common": (
        "requests",
        "chat",
        "accounts",
        "moderation",
        "account_requests",
        "session",
        "bare",
        "udp",
        "room",
    ),
    "requests.connection": (
        "chat",
        "accounts",
        "moderation",
        "account_requests",
        "direct_logs",
        "session",
        "bare",
        "udp",
    ),
    "requests.identity": (
        "chat",
        "accounts",
        "moderation",
        "account_requests",
        "direct_logs",
        "session",
        "bare",
        "udp",
    ),
    "requests.reading": ("chat", "accounts", "moderation", "account_requests", "direct_logs", "session", "bare", "udp"),
    "requests.rooms": ("chat", "accounts", "moderation", "account_requests", "direct_logs", "session", "bare", "udp"),
    "requests.speaking": (
        "chat",
        "accounts",
        "moderation",
        "account_requests",
        "direct_logs",
        "session",
        "bare",
        "udp",
    ),
    "login": ("login", "account_requests"),
    "passwords": ("passwords",),
    "pauses": ("pauses",),
    "rules": ("rules", "moderation"),
    "encoding": ("encoding", "bare", "room", "chat"),
    "room.appending": ("room", "session", "chat", "bare", "promises", "counters"),
    "room.backlog": ("backlog",),
    "room.catching_up": ("room", "bare", "session", "chat", "promises"),
    "room.fair_queue": ("fair_queue", "backlog"),
    "room.members": ("room", "session", "chat", "bare", "promises"),
    "room.page": ("page", "room", "promises"),
    "room.rooms": ("room", "session", "chat", "bare", "promises"),
    "room.tail": ("tail", "room"),
    "room.turn": ("room", "session", "chat", "promises"),
    "status.visit": ("status_visit",),
    "cluster_listener": ("cluster_listener",),
    "stores.postgresql.limits": ("postgresql_limits",),
    "stores.postgresql.presence": ("postgresql_presence",),
    "stores.retention": ("retention",),
    "stores.sqlite.database": ("sqlite_database", "sqlite_log", "retention", "sqlite_file"),
    "stores.sqlite.file": ("sqlite_file", "sqlite_log"),
    "stores.sqlite.lock": ("sqlite_lock",),
    "stores.sqlite.registry": ("sqlite_registry", "registry_contract"),
    "stores.sqlite.registry_sql": ("sqlite_registry", "registry_contract", "account_command"),
    "stores.sqlite.log": ("sqlite_log", "retention", "store_contract", "sqlite_file"),
    "stores.sqlite.trouble": ("sqlite_trouble",),
    "stores.sqlite.watch": ("sqlite_watch",),
    "web.handshake": ("web",),
    "web.site": ("web",),
    "web.visit": ("web", "websocket"),
    "wire.tls": ("wire_tls",),
    "wire.udp.cookies": ("udp_cookies", "udp"),
    "wire.udp.fitting": ("udp_fitting", "udp"),
    "wire.udp.port": ("udp",),
    "wire.udp.requests": ("udp_requests", "udp"),
    "wire.udp.sending": ("udp_sending", "udp"),
    "wire.udp.silence": ("udp_silence", "udp"),
    "wire.udp.wire": ("udp",),
    "wire.frames": ("frames",),
    "wire.websocket": ("websocket", "web"),
}
"""Modules, and the tests that have to find their faults: the quickest first, and none that starts a process."""

LIBRARIES: Final = (
    "hypothesis",
    "hypothesis.strategies",
    "msgspec",
    "precis_i18n",
    "twisted.internet.endpoints",
    "twisted.internet.ssl",
    "twisted.internet.task",
    "twisted.internet.testing",
    "twisted.protocols.basic",
    "twisted.protocols.tls",
    "twisted.trial.reporter",
    "twisted.trial.runner",
    "twisted.trial.unittest",
    "twisted.web.http",
    "wsproto.connection",
)
"""The modules that are imported once for all mutants. None of them installs a reactor."""

PATIENCE: Final = 3
"""How many times the CPU time of the original a mutant may take, and a second; more is an endless loop."""

WALL_SECONDS: Final = 40
"""When a mutant that waits for something that never comes is ended: the tests of any one module take less than ten."""


_LOOK: Final = "0 in accumulate(memoryview(steps).cast('b'), initial=self._depth)"

EQUAL: Final[dict[str, dict[str, str]]] = {
    "bare": {
        "received: def received(self, request: Asked, size: int=0) -> None:"
        " -> def received(self, request: Asked, size: int=1) -> None:": "every wire says how large a request was",
        "__init__: self._farewell = '' -> pass": "it is set when the end begins, and read then",
    },
    "chat": {
        "__init__: self._largest_until = 0.0 -> self._largest_until = 1.0": "the first list is of a later time",
        "_largest_open: len(occupied) > LIST_MANY -> len(occupied) >= LIST_MANY": "a list is kept at one room less",
    },
    "client.protocol.engine": {
        "__init__: self._heard = 0.0 -> pass": "it is set when a connection is made, and read then",
    },
    "client.protocol.exchange": {
        "__init__: Pace({}, 0.0) -> Pace({}, 1.0)": "without limits there is no rate, and the time does not matter",
        "__init__: self.now = 0.0 -> self.now = 1.0": "the first connection sets it before it is read",
        "_send_messages: del self._posting[outbox] -> pass": "an outbox without messages has nothing to send",
        "drop: self._posting.pop(membership.outbox, None) -> pass": "the same",
        "lost: self._posting.clear() -> pass": "the same",
        "lost: self._renaming = None -> pass": "the nick is the first of those that it held up, and is sent again",
        "__init__: self.now = 0.0 -> pass": "the first connection sets it before it is read",
        "__init__: self.pace = Pace({}, 0.0) -> pass": "the same",
        "__init__: self._number = 0 -> self._number = 1": "only the order of the numbers matters",
        "later: self._number += 1 -> self._number += 2": "the same",
        "new: self._number += 1 -> self._number += 2": "the same",
    },
    "client.protocol.room_reader": {
        "pause: min(pauses, 10) -> min(pauses, 11)": "both are beyond the longest pause",
    },
    "confusables.skeletons": {
        "_prototypes: range(128) -> range(129)": "the table has no U+0080",
    },
    "framing": {
        "feed: ends > MANY_LINES -> ends >= MANY_LINES": "it only saves time",
        "_is_one_object: len(line) <= self._limit -> len(line) < self._limit": "the other way finds the same object",
        "_cut: data.find(b'}', start) >= 0 -> data.find(b'}', start) > 0": "at 0 stands the bracket that opens it",
        "_cut: data.find(b'}', start) >= 0 -> data.find(b'}', start) >= 1": "the same",
        "_closes: data.rfind(b'\"') + 1 -> data.rfind(b'\"') + 2": "no string ends in a byte behind the last quote",
        f"_closes: down >= self._depth and {_LOOK} -> {_LOOK}": "the count only saves the slower look",
    },
    "limits": {
        "find: Bucket(0, 0, now) -> Bucket(0, 1, now)": "a rate of 0 is no limit, whatever the burst",
        "__init__: self._refusals = 0 -> pass": "the first refusal sets it",
        "take_for_part: self.tokens >= 0 -> self.tokens > 0": "what is owed no more is found after a refill",
        "take_for_part: shared.tokens >= 0 -> shared.tokens > 0": "the same",
    },
    "gate": {
        "handle: bucket.tokens >= 1.0 -> bucket.tokens > 1.0": "the last token is taken after a refill",
        "handle: shared.tokens >= 1.0 -> shared.tokens > 1.0": "the same",
        "handle: row.needs > _GUEST -> row.needs >= _GUEST": "everybody has the role of a guest",
    },
    "newcomer": {
        "received: def received(self, request: Asked, size: int=0) -> None:"
        " -> def received(self, request: Asked, size: int=1) -> None:": "every wire says how large a request was",
    },
    "names": {
        "_check_appearance: return -> pass": "it only saves the look at letters that bear no marks",
    },
    "participant": {
        "__init__: self._silent = 0 -> pass": "it is set by the first request, which makes a participant",
        "__init__: self._owed = 0 -> self._owed = 1": "the first turn begins anew",
        "__init__: self._turn_number = 0 -> self._turn_number = 1": "nothing was done in any turn yet",
        "received: def received(self, request: Asked, size: int=0) -> None:"
        " -> def received(self, request: Asked, size: int=1) -> None:": "every wire says how large a request was",
        "close: self._waiting = None -> pass": "what waits is not handled once it is closed",
        "go_on: return -> pass": "only calls are in each other more deeply, as far as a quantum goes",
        "go_on: self._going_on = True -> self._going_on = False": "the same",
    },
    "login": {
        "_check: stored is None or not verdict.is_right -> not verdict.is_right": "no password of nobody is right",
        "_change_password: stored is None or not verdict.is_right -> not verdict.is_right": "the same",
        "_find_by_password: isinstance(account, Account) and account.name.key == nick.key"
        " -> account.name.key == nick.key": "the realm gives nothing else",
    },
    "passwords": {
        "_check: os.urandom(16) -> os.urandom(17)": "nobody knows that one either",
        "_check: stored or self._nobodys -> stored": "nobody's password is never right",
    },
    "room.fair_queue": {
        "__init__: self.start = 0 -> self.start = 1": "only its differences count",
        "__init__: self._now = 0 -> self._now = 1": "the same",
        "serve: if len(self._flows) >= self._most: -> if not len(self._flows) >= self._most:": "it is only slower",
        "serve: len(self._flows) >= self._most -> len(self._flows) > self._most": "a flow more is remembered",
        "_forget: flow.start > now -> flow.start >= now": "such a flow is served as if it were new",
        "_forget: self._most = max(LEAST_FORGOTTEN, 2 * len(self._flows)) -> pass": "it is only slower",
        "_forget: max(LEAST_FORGOTTEN, 2 * len(self._flows)) -> min(LEAST_FORGOTTEN, 2 * len(self._flows))": "the same",
        "_forget: 2 * len(self._flows) -> 2 + len(self._flows)": "the same",
        "_forget: 2 * len(self._flows) -> 3 * len(self._flows)": "more flows are remembered",
    },
    "pauses": {
        "check: max((side.until(key) for side, key in self._sides(account, address, self._is_concerned(account,"
        " address))), default=0.0) -> max((side.until(key) for side, key in self._sides(account, address,"
        " self._is_concerned(account, address))), default=1.0)": "both have passed",
        "_after: min(beyond, 30) -> min(beyond, 31)": "both are beyond the longest pause",
        "until: 0.0 if failures is None else failures.until"
        " -> 1.0 if failures is None else failures.until": "both have passed",
    },
    "enforcement": {
        "put_out: return 0 -> return 1": "nobody asks for the number of those who were told",
        "__init__: self._lined_up = False -> pass": "the first change sets it",
    },
    "nicks": {
        "remove: return False -> return True": "whoever has no nick is in no room",
    },
    "founding": {
        "forget_first_owner: len(rules) == 1 and rules[0].kind == 'role' and (rules[0].author == SERVER)"
        " -> len(rules) == 1 and rules[0].author == SERVER": "no other rule is the server's own",
        "has_no_owner_yet: room.pinned or host.accounts.rules.has_rules(room.name.key) -> room.pinned": "the registry"
        " refuses a first owner of a room with rules",
    },
    "requests.identity": {
        "_take_nick: account is None or account.name.key != name.key"
        " -> account is None": "the nick of an account is its name",
    },
    "requests.deleting": {
        "_delete: request.by or '' -> request.by": "there is a nick where there is no number",
        "_delete_in: origin.gone = True -> pass": "these entries have no id, so it is told nothing",
        "_delete_in: origin.gone = True -> origin.gone = False": "the same",
        "_delete_at: of - 1 if of else 0 -> of - 1 if of else 1": "none has number 0",
        "_delete_at: member.room.read_after(of - 1 if of else 0, 1, 1)"
        " -> member.room.read_after(of - 1 if of else 0, 2, 1)": "only the first one is used",
        "_delete: request.room or '' -> request.room": "there is a room where there is no partner",
        "_delete_one: session.closed or member.gone -> member.gone": "whoever is gone is out of all rooms",
    },
    "requests.reading": {
        "_log: request.room or '' -> request.room": "there is a room where there is no partner",
        "_show_history: messages.HistoryPage(messages=[], more=False, id=request.id)"
        " -> messages.HistoryPage(messages=[], more=True, id=request.id)": "`more` is set later",
        "_show_history: shown and request.skip -> shown": "from 0 on it is the same text",
        "_show_history: answer.messages[-1].seq or 0 -> answer.messages[-1].seq": "a message of a log has a number",
        "_show_history: answer.messages[-1].seq or 0 -> answer.messages[-1].seq or 1": "the same",
        "_show_history: answer.messages[0].seq or 0 -> answer.messages[0].seq": "the same",
        "_show_history: answer.messages[0].seq or 0 -> answer.messages[0].seq or 1": "the same",
    },
    "room.appending": {
        "__init__: self._handled = 0 -> self._handled = 1": "only its differences count",
        "_has_entries: self._entries or self._backlog.count"
        " -> self._backlog.count": "while there are entries, the log is busy or the next turn has an end",
        "_next_entries: len(entries) > MESSAGES_A_TURN"
        " -> len(entries) >= MESSAGES_A_TURN": "they only go by the backlog",
        "_next_entries: len(entries) > 1 and to_send > BYTES_A_TURN -> to_send > BYTES_A_TURN": "the same",
        "settled: ([], 0) -> ([], 1)": "it is one byte of sixteen million",
        "_remember: len(tail) or oldest.members -> oldest.members": "the room is looked at again later",
        "_fan_out_all: len(said) > 1 -> len(said) >= 1": "it is only slower",
        "_remember: len(tail) or oldest.members -> len(tail)": "the room is looked at again later",
    },
    "room.backlog": {
        "take: max(1, min(AUTHORS_A_TURN, len(self._authors)))"
        " -> max(2, min(AUTHORS_A_TURN, len(self._authors)))": "one author gets all in two parts",
        "take_share: self.to_send > most_bytes -> self.to_send >= most_bytes": "all of it fits",
        "__init__: self.to_send = 0 -> self.to_send = 1": "it is a bound, and only saves looks at sizes",
        "_cut: break -> pass": "nothing is left to go through",
    },
    "room.catching_up": {
        "_go_live: room.topic is not None and member.topic is not room.topic"
        " -> member.topic is not room.topic": "a topic that there was is never None again",
    },
    "room.members": {
        "drop: self._page.start < tail.floor -> self._page.start <= tail.floor": "a page is made again too early, once",
        "drop: self._page is not None and self._page.start < tail.floor -> self._page is not None": "the same",
        "page_after: seq < self.tail.floor -> seq <= self.tail.floor": "`read_after` finds it in the tail as well",
        "read_before: self.head + 1 -> self.head + 2": "what was not handed out is left out anyway",
    },
    "room.page": {
        "_find_places: zip(map(seq_of, self.records), pairwise(self._find_ends()), strict=True)"
        " -> zip(map(seq_of, self.records), pairwise(self._find_ends()), strict=False)": "there are as many",
    },
    "room.rooms": {
        "forget_if_empty: room.members or len(room.tail) or room.pinned"
        " -> len(room.tail) or room.pinned": "it is looked again who is there before a room is let go",
        "forget_if_empty: room.members or len(room.tail) or room.pinned -> room.members or room.pinned": "the same",
        "forget_if_empty: room.members or len(room.tail) or room.pinned -> room.members or len(room.tail)": "the same",
        "_forget_emptied: self._appending.emptied and (not self._appending.is_busy)"
        " -> not self._appending.is_busy": "there is nothing to do then",
    },
    "room.tail": {
        "drop: start * 2 >= len(self._records) -> start * 2 > len(self._records)": "they are moved one message later",
        "drop: start * 2 -> start + 2": "they are moved more seldom",
        "drop: start * 2 -> start * 3": "they are moved more often",
    },
    "room.turn": {
        "__init__: self.number = 0 -> self.number = 1": "only its differences count",
        "_end: self.number += 1 -> self.number += 2": "the same",
        "_end: self._busy.length or self._new.length or self.out"
        " -> self._busy.length or self._new.length": "a part that sends something also schedules the end of a turn",
    },
    "session": {
        "depends: self.paused and self._owed > MAX_OWED -> self._owed > MAX_OWED": "its turn is over then, anyway",
        "depends: self._owed > MAX_OWED -> self._owed >= MAX_OWED": "a byte less",
        "is_loaded: self._owed > MAX_OWED -> self._owed >= MAX_OWED": "the same",
        "owes: self._owed > MAX_OWED -> self._owed >= MAX_OWED": "the same",
        "owes: size >= ANSWER_BYTES -> size > ANSWER_BYTES": "the same",
        "resumeProducing: self._owed = 0 -> self._owed = 1": "a byte more",
        "owes: self.adjust_reading() -> pass": "it is read no more when the next request of it waits",
    },
    "stores.sqlite.database": {
        "__init__: super().__init__(first) -> pass": "nobody prints this exception",
        "connect: connection.execute('PRAGMA mmap_size = 0') -> pass": "it is SQLite's default where it was not built"
        " with another one",
        "explain: code is None and str(error).startswith(_NO_TEXT)"
        " -> str(error).startswith(_NO_TEXT)": "an error with a code has another text",
        "explain: code or 0 -> code": "no code is explained by its own text",
        "explain: code or 0 -> code or 1": "neither is explained",
        "look_up_oldest: connection.execute(sql, {'room': room, 'most': most}).fetchone()"
        " -> pass": "it only reads ahead",
        "page: max(1, most_bytes // LONG) -> max(2, most_bytes // LONG)": "the first look is at one message more",
        "page: max(1, most_bytes // LONG) -> min(1, most_bytes // LONG)": "a second look is taken more often",
    },
    "stores.sqlite.file": {
        "__init__: 1 + READERS -> 2 + READERS": "a connection more, which nobody uses",
        "let_go: self._watch is not None and self._file_lock is not None -> self._watch is not None": "both or neither",
        "_size: return 0 -> return 1": "both are below every bound",
        "_threads: ThreadPool(0, most, f'twisted_chat.stores.sqlite, {name}')"
        " -> ThreadPool(1, most, f'twisted_chat.stores.sqlite, {name}')": "the first thread begins a little earlier",
        "let_go: self._watch is not None and self._file_lock is not None"
        " -> self._watch is not None or self._file_lock is not None": "the same",
        "let_go: self._watch is not None and self._file_lock is not None -> self._file_lock is not None": "the same",
        "_close: self.attempt_in_thread(0, function)"
        " -> self.attempt_in_thread(1, function)": "nothing is tried again once the file is being closed",
        "copy_wal: _size(f'{self.path}-wal') >= WAL_BYTES -> _size(f'{self.path}-wal') > WAL_BYTES": "a byte more",
        "was_written_by_others: not self._closed and database.epoch(self.writer) != epoch"
        " -> database.epoch(self.writer) != epoch": "a closed connection raises an error, which is suppressed",
    },
    "stores.sqlite.log": {
        "__init__: self.epoch = 0 -> self.epoch = 1": "only its changes count",
        "_append: self._journal_bytes >= MAX_JOURNAL_BYTES -> self._journal_bytes > MAX_JOURNAL_BYTES": "a byte more",
        "_tidy: self._moving = True -> self._moving = False": "the next move begins only with as many bytes again",
        "take: self.epoch += 1 -> self.epoch += 2": "it only has to change",
    },
    "stores.sqlite.watch": {
        "_needs_more_than: _COPIED_AT + 4 -> _COPIED_AT + 5": "a byte more, which nobody looks at",
        "_wal_trouble: status.st_size < self._wal_size -> status.st_size <= self._wal_size": "one more look",
        "_wal_trouble: status.st_size < self._wal_size and self._needs_more_than(status.st_size)"
        " -> self._needs_more_than(status.st_size)": "the same",
    },
    "rules": {
        "find: kind in _ABOUT_GUESTS and person.address"
        " -> kind in _ABOUT_GUESTS or person.address": "it only saves a look at an index that has nothing there",
        "find: kind in _ABOUT_GUESTS and person.address -> kind in _ABOUT_GUESTS": "the same",
        "find: kind in _ABOUT_GUESTS and person.address -> person.address": "the same",
        "_keys: kind in _ABOUT_GUESTS and person.nick is not NOBODY"
        " -> kind in _ABOUT_GUESTS or person.nick is not NOBODY": "the same",
        "_keys: kind in _ABOUT_GUESTS and person.nick is not NOBODY -> person.nick is not NOBODY": "the same",
        "_keys: kind in _ABOUT_GUESTS and person.nick is not NOBODY -> kind in _ABOUT_GUESTS": "the same",
        "networks_of: self._networks and (address := as_network(text)) is not None"
        " -> (address := as_network(text)) is not None": "only slower",
        "check_speech: rules.slow * 1000 -> rules.slow * 1001": "an entry that is over is forgotten a little later",
        "as_network: isinstance(network, IPv6Network) and network.prefixlen >= 96"
        " and network.network_address.ipv4_mapped"
        " -> network.prefixlen >= 96 and network.network_address.ipv4_mapped": "no prefix of IPv4 is so long",
        "as_network: isinstance(network, IPv6Network) and network.prefixlen >= 96"
        " and network.network_address.ipv4_mapped"
        " -> isinstance(network, IPv6Network) and network.network_address.ipv4_mapped": "a shorter one is never mapped",
    },
    "stores.sqlite.registry_sql": {
        "_read: zip(names, row, strict=True) -> zip(names, row, strict=False)": "the statements have all fields",
    },
    "signals": {
        "has_hung_up: poll.register(descriptor, 0) -> poll.register(descriptor, 1)": "a hang-up is always told",
        "has_hung_up: poll.poll(0) -> poll.poll(1)": "a millisecond more",
    },
    "wire.udp.cookies": {
        "make: secrets.token_bytes(32) -> secrets.token_bytes(33)": "a longer key is as good",
    },
    "wire.udp.fitting": {
        "_cut: len(text) + 1 -> len(text) + 2": "a text has no more characters than all",
    },
    "wire.udp.port": {
        "_hello: time <= wire.time -> time < wire.time": "a cookie of the same time is the same cookie",
    },
    "wire.udp.sending": {
        "ask: Datagram(PingSent(), 0) -> Datagram(PingSent(), 1)": "nobody asks for the size of a ping",
    },
    "wire.udp.silence": {
        "__init__: self._probed = 0 -> self._probed = 1": "the first message begins with 0",
    },
    "wire.udp.wire": {
        "__init__: self._paused = False -> self._paused = True": "a participant is resumed once too often",
        "write: len(self._sender.waiting) > HIGH and (not self._paused)"
        " -> len(self._sender.waiting) > HIGH": "a participant is paused more than once",
        "_pump: self._paused and len(self._sender.waiting) <= LOW -> len(self._sender.waiting) <= LOW": "the same",
        "abort: self._requests.clear() -> pass": "it only takes memory for ten seconds more",
    },
    "status.visit": {
        "__init__: self._count = 0 -> self._count = 1": "any names do that differ",
        "buildProtocol: self._count += 1 -> self._count += 2": "the same",
    },
    "web.handshake": {
        "accept_key: sha1(keys[0] + _GUID, usedforsecurity=False) -> sha1(keys[0] + _GUID, usedforsecurity=True)": (
            "it only matters where the operating system forbids SHA-1"
        ),
        "__init__: urlsplit(origin).hostname or '' -> urlsplit(origin).hostname": "every origin has a host by now",
    },
    "web.site": {
        "_read: gzip.compress(body, mtime=0) -> gzip.compress(body, mtime=1)": "any time that stays the same does",
    },
    "web.visit": {
        "_be_websocket: self._leave() -> pass": "a visit is told nothing more after an upgrade",
        "lost: self._newcomer.lost() -> pass": "a newcomer that has not begun holds nothing",
    },
    "wire.frames": {
        "_end: (None, 0) -> (None, 1)": "nothing is read after the end",
        "_unmask: size // 4 -> size * 4": "it makes more keys than are needed",
    },
}
"""Mutants that no test can find, since what they do is the same, and why. They do not count."""


class Change(NamedTuple):
    """The difference between a mutant and the original."""

    line: int
    function: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.function}: {self.before} -> {self.after}"


_SWAPS: Final[dict[type[ast.AST], type[ast.AST]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
_FUNCTIONS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Mutator(ast.NodeTransformer):
    """Lists the changes that a module can have, and makes the one with a number.

    Changed is what functions do, not what a module or a class declares: a limit is a choice. Left alone are docstrings,
    annotations, assertions (they are for the type checker) and entries of the program's own log; and an assignment to a
    local variable is not left out, since any test would notice.
    """

    def __init__(self, number: int = -1) -> None:
        self.changes: list[Change] = []
        self._number = number
        self._functions: list[str] = []
        self._around: ast.AST = ast.Pass()
        """The expression or statement that the present one is a part of."""

    def _offer(self, node: ast.AST, *others: ast.AST) -> ast.AST:
        """Offer changes of a node: it is replaced by one of them, or its parts may be changed."""
        before = _text(node)
        return self._choose(node, before, [(other, _text(other)) for other in others])

    def _choose(self, node: ast.AST, before: str, others: list[tuple[ast.AST, str]]) -> ast.AST:
        first = len(self.changes)
        line: int = node.lineno  # type: ignore[attr-defined]  # statements and expressions have one
        self.changes += [Change(line, self._functions[-1], before, after) for _, after in others]
        if not first <= self._number < len(self.changes):
            return self.generic_visit(node)
        return ast.fix_missing_locations(ast.copy_location(others[self._number - first][0], node))

    def _offer_constant(self, node: ast.Constant, value: float) -> ast.AST:
        """Offer another value, which is shown as a part of what it is a part of."""
        before = _text(self._around)
        value, node.value = node.value, value  # type: ignore[assignment]  # a number is one afterwards
        after = _text(self._around)
        node.value, value = value, node.value
        return self._choose(node, before, [(ast.Constant(value), after)])

    def visit(self, node: ast.AST) -> ast.AST:
        around = self._around
        if isinstance(node, ast.stmt | ast.expr) and not isinstance(node, ast.Constant):
            self._around = node
        visited = self._visit(node)
        self._around = around
        return visited

    def _visit(self, node: ast.AST) -> ast.AST:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._visit_function(node)
                return node
            case ast.Assert() | ast.JoinedStr() | ast.arg():
                return node
            case _ if not self._functions:
                return self.generic_visit(node)
            case ast.AnnAssign(value=value):
                node.value = self.visit(value) if value else None  # type: ignore[assignment]  # an expression stays one
                return node
            case ast.Expr(value=ast.Constant()):
                return node
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="_log")))):
                return node
            case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Raise() | ast.Break() | ast.Return(value=None):
                return self._offer(node, ast.Pass())
            case ast.Continue():
                return self._offer(node, ast.Pass(), ast.Break())
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
                return self._offer(node, ast.Pass())
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Constant):
                return self._offer(node, _with(node, test=ast.UnaryOp(ast.Not(), test)))
            case ast.comprehension(ifs=[_, *_]):
                return self._visit_comprehension(node)
            case ast.BoolOp(op=op, values=values):
                shorter = [_with(node, values=values[:i] + values[i + 1 :]) for i in range(len(values))]
                if len(values) == 2:
                    shorter = [values[1], values[0]]
                return self._offer(node, _with(node, op=_SWAPS[type(op)]()), *shorter)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._offer(node, operand)
            case ast.Compare(ops=[op, *others]) if type(op) in _SWAPS:
                return self._offer(node, _with(node, ops=[_SWAPS[type(op)](), *others]))
            case ast.BinOp(op=op) if type(op) in _SWAPS:
                return self._offer(node, _with(node, op=_SWAPS[type(op)]()))
            case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS:
                return self._offer(node, _with(node, func=ast.Name(_FUNCTIONS[name], ast.Load())))
            case ast.Constant(value=bool(value)):
                return self._offer_constant(node, not value)
            case ast.Constant(value=int(value) | float(value)):
                return self._offer_constant(node, value + 1)
            case _:
                return self.generic_visit(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._functions.append(node.name)
        node.args.defaults = [self.visit(default) for default in node.args.defaults]  # type: ignore[misc]  # expressions
        node.body = [self.visit(statement) for statement in node.body]  # type: ignore[misc]  # statements stay such
        self._functions.pop()

    def _visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.iter = self.visit(node.iter)  # type: ignore[assignment]  # an expression stays one
        node.ifs = [self._offer(test, ast.UnaryOp(ast.Not(), test)) for test in node.ifs]  # type: ignore[misc]  # the same
        return node


def _with(node: ast.AST, **fields: object) -> ast.AST:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def _text(node: ast.AST) -> str:
    """Write a node in one line; of a statement with a body, its head."""
    return next(line for line in ast.unparse(node).splitlines() if not line.startswith("@"))


def _path(module: str) -> Path:
    return Path(__file__).parent.parent / PACKAGE / (module.replace(".", "/") + ".py")


def parse(module: str) -> ast.Module:
    """Read a module of the package."""
    return ast.parse(_path(module).read_text())


def changes(tree: ast.Module) -> list[Change]:
    """List the changes by which the mutants of a module come about."""
    mutator = Mutator()
    mutator.visit(copy.deepcopy(tree))
    return mutator.changes


def mutant(tree: ast.Module, number: int) -> tuple[ast.Module, Change]:
    """Make the mutant with a number, from 0 on."""
    mutator = Mutator(number)
    mutated = copy.deepcopy(tree)
    mutator.visit(mutated)
    return mutated, mutator.changes[number]


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a tree."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self._name = name
        self._path = path
        self._tree = tree

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, str(self._path), "exec"), module.__dict__)


def _passes(tests: Sequence[str]) -> bool:
    """Run tests until one fails."""
    from hypothesis import settings
    from twisted.trial.reporter import TestResult
    from twisted.trial.runner import TestLoader

    class UntilOneFails(TestResult):
        def stopTest(self, test: TestCase) -> None:
            super().stopTest(test)
            if not self.wasSuccessful():
                self.stop()

    settings.register_profile("mutation", derandomize=True, database=None, deadline=None)
    settings.load_profile("mutation")
    for test in tests:
        result = UntilOneFails()
        TestLoader().loadByNames([f"tests.test_{test}"]).run(result)
        if not result.wasSuccessful():
            return False
    return True


def start(name: str, path: Path, tree: ast.Module, tests: Sequence[str], seconds: int) -> int:
    """Start the tests of a module in a child, which may take so many seconds of CPU; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    passed = False
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        signal.alarm(WALL_SECONDS)
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(silent, descriptor)
        sys.meta_path.insert(0, _Loader(name, path, tree))
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            passed = _passes(tests)
    finally:
        os._exit(0 if passed else 1)


class Result(NamedTuple):
    """The result for the mutants of a module."""

    found: int
    survivors: list[Change]


def test_module(module: str, sample: int | None, seed: int, jobs: int) -> Result:
    """Test mutants of a module. Raises `AssertionError` if the original does not pass."""
    path, tree, tests = _path(module), parse(module), TESTS[module]
    name = f"{PACKAGE}.{module}"
    _, status, used = os.wait4(start(name, path, tree, tests, WALL_SECONDS), 0)
    assert status == 0, f"the tests of {module} do not pass without a fault: {', '.join(tests)}"
    seconds = 1 + PATIENCE * math.ceil(used.ru_utime + used.ru_stime)
    numbers = list(range(len(changes(tree))))
    if sample is not None and sample < len(numbers):
        numbers = sorted(random.Random(seed).sample(numbers, sample))
    found, survivors = 0, []
    for change, survived in _run(module, numbers, jobs, seconds):
        if survived and str(change) not in EQUAL.get(module, {}):
            survivors.append(change)
            print(f"    {module}.py, line {change.line}: {change}", flush=True)
        elif not survived:
            found += 1
    return Result(found, survivors)


def _run(module: str, numbers: Sequence[int], jobs: int, seconds: int) -> Iterator[tuple[Change, bool]]:
    tree = parse(module)
    running: dict[int, Change] = {}
    waiting = list(reversed(numbers))
    while waiting or running:
        while waiting and len(running) < jobs:
            mutated, change = mutant(tree, waiting.pop())
            pid = start(f"{PACKAGE}.{module}", _path(module), mutated, TESTS[module], seconds)
            running[pid] = change
        pid, status = os.wait()
        yield running.pop(pid), status == 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="See which faults the tests miss.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"such as framing; all: {', '.join(TESTS)}")
    parser.add_argument("--sample", type=int, metavar="N", help="at most so many mutants of each module, at random")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another number takes other ones (1)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at the same time (1)")
    options = parser.parse_args(arguments)
    unknown = set(options.modules) - set(TESTS)
    if unknown:
        parser.error(f"there are no tests listed for {', '.join(sorted(unknown))}")
    for library in LIBRARIES:
        importlib.import_module(library)
    found = survived = 0
    for module in options.modules or TESTS:
        begun = time.monotonic()
        result = test_module(module, options.sample, options.seed, options.jobs)
        found += result.found
        survived += len(result.survivors)
        total = result.found + len(result.survivors)
        print(f"{module}: {result.found} of {total} found, {time.monotonic() - begun:.0f} s", flush=True)
    part = found / max(found + survived, 1)
    print(f"in all {found} of {found + survived} found: {part:.1%}")
    return 0 if part >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
