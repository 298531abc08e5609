"""A registry in memory, for the tests of what uses one: all of its Deferreds have fired, unless it is told to wait."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed

from twisted_chat.log import Unavailable
from twisted_chat.names import Name
from twisted_chat.registry import MAX_REPORTS, AccountState, Action, Report, StoredAccount, StoredToken
from twisted_chat.rules import Change, Rules

_T = TypeVar("_T")
_P = ParamSpec("_P")


def _at_once(
    method: Callable[Concatenate[MemoryRegistry, _P], _T],
) -> Callable[Concatenate[MemoryRegistry, _P], Deferred[_T]]:
    """Make a method fire with its result, or fail if its registry is unavailable."""

    @wraps(method)
    def call(self: MemoryRegistry, /, *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        self.calls.append(method.__name__)
        if self.is_unavailable:
            return fail(Unavailable("the registry is switched off"))
        if self.held is None:
            return maybeDeferred(method, self, *args, **kwargs)
        done: Deferred[_T] = Deferred()
        self.held.append(lambda: maybeDeferred(method, self, *args, **kwargs).chainDeferred(done))
        return done

    return call


class MemoryRegistry:
    """Accounts, tokens, rules and the audit log in plain dicts and lists; see `registry.Registry`."""

    def __init__(self) -> None:
        self.rules = Rules()
        self.is_unavailable = False
        """While this is true, nothing can be read or stored."""
        self.held: list[Callable[[], object]] | None = None
        """What was asked for and waits to be called, while this is a list."""
        self.is_closed = False
        self.calls: list[str] = []
        """The names of the methods that were called, in order: a test can count what something costs."""
        self._accounts: dict[str, StoredAccount] = {}
        self._tokens: dict[bytes, StoredToken] = {}
        self._actions: list[Action] = []
        self._reports: list[Report] = []
        self._reported = 0
        self._followers: list[Callable[[str], object]] = []

    def follow(self, heard: Callable[[str], object]) -> None:
        self._followers.append(heard)

    @_at_once
    def find(self, key: str) -> StoredAccount | None:
        return self._accounts.get(key)

    @_at_once
    def find_alike(self, skeleton: str) -> Name | None:
        return self._alike(skeleton)

    def _alike(self, skeleton: str) -> Name | None:
        return next((account.name for account in self._accounts.values() if account.skeleton == skeleton), None)

    @_at_once
    def add(self, account: StoredAccount) -> bool:
        if account.name.key in self._accounts or self._alike(account.skeleton):
            return False
        self._accounts[account.name.key] = account
        return True

    @_at_once
    def set_password(self, key: str, old: str, new: str) -> bool:
        account = self._accounts.get(key)
        if account is None or account.password != old:
            return False
        self._accounts[key] = replace(account, password=new)
        return True

    @_at_once
    def set_state(self, key: str, state: AccountState) -> bool:
        if key not in self._accounts or self._accounts[key].state == "removed":
            return False
        self._accounts[key] = replace(self._accounts[key], state=state)
        if state != "active":
            self.end_sessions(key)
        return True

    def end_sessions(self, key: str) -> None:
        """Tell the followers what they are told if a command resets the password of an account."""
        for heard in self._followers:
            heard(key)

    @_at_once
    def accounts(self, after: str, most: int, state: AccountState | None = None) -> list[StoredAccount]:
        found = (a for key, a in sorted(self._accounts.items()) if key > after and state in (None, a.state))
        return list(found)[:most]

    @_at_once
    def add_token(self, token: StoredToken, most: int) -> bool:
        others = {d: t for d, t in self._tokens.items() if (t.account, t.label) != (token.account, token.label)}
        if sum(other.account == token.account for other in others.values()) >= most:
            return False
        self._tokens = {**others, token.digest: token}
        return True

    @_at_once
    def find_token(self, digest: bytes) -> StoredToken | None:
        return self._tokens.get(digest)

    @_at_once
    def use_token(self, digest: bytes, time: int) -> None:
        if digest in self._tokens:
            self._tokens[digest] = replace(self._tokens[digest], used=time)

    @_at_once
    def tokens(self, key: str) -> list[StoredToken]:
        return sorted((t for t in self._tokens.values() if t.account == key), key=lambda token: token.label)

    @_at_once
    def revoke_tokens(self, key: str, label: str | None = None) -> int:
        ended = [d for d, t in self._tokens.items() if t.account == key and label in (None, t.label)]
        for digest in ended:
            del self._tokens[digest]
        return len(ended)

    @_at_once
    def act(self, action: Action, change: Change | None = None, check: Callable[[], object] | None = None) -> Action:
        if check is not None:
            check()
        stored = replace(action, seq=len(self._actions) + 1)
        self._actions.append(stored)
        if change is not None:
            self.rules.apply(change)
        return stored

    @_at_once
    def actions(self, room: str | None, before: int, most: int) -> list[Action]:
        found = (a for a in reversed(self._actions) if a.seq < before and room in (None, a.room))
        return list(found)[:most]

    @_at_once
    def report(self, report: Report, most: int = MAX_REPORTS) -> Report:
        self._reported += 1
        stored = replace(report, seq=self._reported)
        self._reports = [*self._reports, stored][-most:]
        return stored

    @_at_once
    def reports(self, after: int, most: int) -> list[Report]:
        return [report for report in self._reports if report.seq > after][:most]

    @_at_once
    def finish_reports(self, seq: int) -> None:
        self._reports = [report for report in self._reports if report.seq > seq]

    def close(self) -> Deferred[None]:
        self.is_closed = True
        return succeed(None)
