"""The registry of the embedded store: accounts, tokens, rules and the audit log, in the file of the logs.

Accounts and tokens are read from the file, in a thread, whenever they are needed. The rules are in memory as well, and
the file has what a restart needs of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import chain
from typing import Any, Final, TypeVar

from msgspec.structs import replace
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.task import deferLater

from ... import clock
from ...names import Name
from ...registry import MAX_REPORTS, AccountState, Action, Report, StoredAccount, StoredToken
from ...rules import Change, Rules
from . import database
from . import registry_sql as sql
from .file import ChangeCheck, DatabaseFile, report

RULES_AT_ONCE: Final = 100
"""Rules of another program that are put into force in one turn, which takes about a millisecond."""

_T = TypeVar("_T")


class SQLiteRegistry:
    """The registry in a file; see `registry.Registry`."""

    def __init__(self, file: DatabaseFile, reactor: Any) -> None:
        """Load the rules from an open file. Raises `sqlite3.Error`."""
        self._file = file
        self._reactor = reactor
        self._epoch = database.epoch(file.writer)
        self._followers: list[Callable[[str], object]] = []
        now = clock.milliseconds(reactor)
        self.rules = Rules()
        self.rules.apply(Change(made=tuple(sql.rules(file.writer, now))))
        self._write(sql.forget_rules, now).addErrback(report, "The rules that are over could not be deleted")
        self._change_check = ChangeCheck(file, reactor, lambda: self._epoch, self._read_changes)
        self._change_check.start()

    def follow(self, heard: Callable[[str], object]) -> None:
        self._followers.append(heard)

    def _end_sessions(self, key: str) -> None:
        for heard in self._followers:
            heard(key)

    # Accounts

    def find(self, key: str) -> Deferred[StoredAccount | None]:
        return self._file.look_up(sql.find, key)

    def find_alike(self, skeleton: str) -> Deferred[Name | None]:
        return self._file.look_up(sql.find_alike, skeleton)

    def add(self, account: StoredAccount) -> Deferred[bool]:
        return self._write(sql.add, account)

    def set_password(self, key: str, old: str, new: str) -> Deferred[bool]:
        return self._write(sql.set_password, key, old, new)

    def set_state(self, key: str, state: AccountState) -> Deferred[bool]:
        def stored(is_there: bool) -> bool:
            if is_there and state != "active":
                self._end_sessions(key)
            return is_there

        return self._write(sql.set_state, key, state, then=stored)

    def accounts(self, after: str, most: int, state: AccountState | None = None) -> Deferred[list[StoredAccount]]:
        return self._file.read(sql.accounts, after, most, state)

    # Tokens

    def add_token(self, token: StoredToken, most: int) -> Deferred[bool]:
        return self._write(sql.add_token, token, most)

    def find_token(self, digest: bytes) -> Deferred[StoredToken | None]:
        return self._file.look_up(sql.find_token, digest)

    def use_token(self, digest: bytes, time: int) -> Deferred[None]:
        return self._write(sql.use_token, digest, time)

    def tokens(self, key: str) -> Deferred[list[StoredToken]]:
        return self._file.read(sql.tokens, key)

    def revoke_tokens(self, key: str, label: str | None = None) -> Deferred[int]:
        return self._write(sql.revoke_tokens, key, label)

    # Rules, the audit log, and reports

    def act(
        self, action: Action, change: Change | None = None, check: Callable[[], object] | None = None
    ) -> Deferred[Action]:
        def stored(seq: int) -> Action:
            if change is not None:
                self.rules.apply(change)
            return replace(action, seq=seq)

        stored_change = None if change is None else self._with_over(change)
        return self._write(sql.act, action, stored_change, then=stored, check=check)

    def _with_over(self, change: Change) -> Change:
        """Let a change delete the rules that are over, too, in the rooms in which it makes others."""
        now = clock.milliseconds(self._reactor)
        over = [self.rules.forget_over(room, now) for room in {rule.room for rule in change.made}]
        return replace(change, ended=(*change.ended, *chain(*over)))

    def actions(self, room: str | None, before: int, most: int) -> Deferred[list[Action]]:
        return self._file.read(sql.actions, room, before, most)

    def report(self, report: Report, most: int = MAX_REPORTS) -> Deferred[Report]:
        return self._write(sql.report, report, most, then=lambda seq: replace(report, seq=seq))

    def reports(self, after: int, most: int) -> Deferred[list[Report]]:
        return self._file.read(sql.reports, after, most)

    def finish_reports(self, seq: int) -> Deferred[None]:
        return self._write(sql.finish_reports, seq)

    # The file

    def _write(
        self,
        function: Callable[..., Any],
        *args: object,
        then: Callable[[Any], Any] = lambda result: result,
        check: Callable[[], object] | None = None,
    ) -> Deferred[Any]:
        """Write to the file, unless `check` raises. Fires with the result of `then`, before anybody else writes."""

        def job(until: float) -> Deferred[Any]:
            if check is not None:
                check()
            return self._file.attempt(until, function, *args).addCallback(self._written).addCallback(then)

        return self._file.in_turn(job)

    def _written(self, result: _T) -> _T:
        self._file.has_worked()
        self._file.copy_wal()
        return result

    @inlineCallbacks
    def _read_changes(self, until: float) -> Generator[Deferred[Any], Any, None]:
        """Read the changes of another program, and put them into force."""
        known = tuple(self.rules)
        now = clock.milliseconds(self._reactor)
        changes: sql.Changes = yield self._file.attempt_in_thread(until, sql.read_changes, known, self._epoch, now)
        self._epoch = changes.epoch
        for key in changes.ended:
            self._end_sessions(key)
        made, ended = changes.change.made, changes.change.ended
        for first in range(0, max(len(made), len(ended)), RULES_AT_ONCE):
            behind = first + RULES_AT_ONCE
            self.rules.apply(Change(made[first:behind], ended[first:behind]))
            yield deferLater(self._reactor, 0)

    def close(self) -> Deferred[None]:
        self._change_check.stop()
        return succeed(None)
