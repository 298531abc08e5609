"""The interface of a store for accounts, their tokens, the rules in force, and the audit log.

It is for people what `log.py` is for logs. A method that cannot store or read fails with `log.Unavailable`, and nothing
is stored then. Keys are those of `names.Name`; times are milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec
from twisted.internet.defer import Deferred

from .names import Name
from .rules import Change, Rules

MAX_REPORTS: Final = 10_000
"""The number of reports that are kept while no operator reads them: some 2 MB. The oldest ones are then forgotten,
since nobody would read more."""

AccountState = Literal["active", "pending", "suspended", "removed"]
"""`pending`: an operator has to let it in. `suspended`: an operator has shut it out. `removed`: nobody's any more, for
good; the name stays reserved, since its next bearer would read the old one's direct messages."""


class StoredAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account, as it is stored."""

    name: Name
    skeleton: str
    """The skeleton, which all names that look like this one have in common."""
    password: str
    """The hash of the password, with its parameters; empty if no password is right (a removed account)."""
    created: int
    state: AccountState = "active"


class StoredToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token of an account, as it is stored."""

    account: str
    """The account's key."""
    label: str
    digest: bytes
    """The hash of the secret, which is random and long: it needs no salt."""
    created: int
    used: int | None = None


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit log: who did what to whom, when and why."""

    kind: str
    """The type of the request."""
    author: str
    """The nick of the one who did it."""
    account: str = ""
    """The key of the author's account, if the author has one."""
    room: str = ""
    """The key of the room; empty for the whole server."""
    target: str = ""
    """The target of the action, as it is shown."""
    value: str = ""
    """The role, the seconds, or the number of a message, by the kind of action."""
    msg: str = ""
    """The reason."""
    until: int | None = None
    time: int = 0
    seq: int = 0
    """Its number in the audit log, which the store assigns."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A message that somebody reported to the operators."""

    room: str
    """The key of the room."""
    of: int
    """The number of the message."""
    author: str
    """The nick of the one who reported it."""
    msg: str = ""
    time: int = 0
    seq: int = 0
    """Its number among the reports, which the store assigns."""


class Registry(Protocol):
    """A store of accounts, rules, the audit log and reports."""

    rules: Rules
    """The rules in force, which were loaded when the store was opened."""

    def follow(self, heard: Callable[[str], object]) -> None:
        """Call `heard` with the key of each account whose sessions have to end.

        These are suspended and removed accounts, and those whose password was set by a command beside the server.
        """

    # Accounts

    def find(self, key: str) -> Deferred[StoredAccount | None]:
        """Find an account."""

    def find_alike(self, skeleton: str) -> Deferred[Name | None]:
        """Find the account whose name has this skeleton, in any state."""

    def add(self, account: StoredAccount) -> Deferred[bool]:
        """Store a new account. False if there is one with its key or its skeleton, in any state."""

    def set_password(self, key: str, old: str, new: str) -> Deferred[bool]:
        """Replace the hash of a password by another one; False if it is not `old` any more.

        Hashing takes a while, and a password that was changed meanwhile must not come back.
        """

    def set_state(self, key: str, state: AccountState) -> Deferred[bool]:
        """Let an account in, or shut it out, and tell the followers. False if there is none, or if it was removed."""

    def accounts(self, after: str, most: int, state: AccountState | None = None) -> Deferred[list[StoredAccount]]:
        """List at most `most` accounts after a key, in the order of their keys."""

    # Tokens

    def add_token(self, token: StoredToken, most: int) -> Deferred[bool]:
        """Store a token in place of that of the same account and label. False if the account has `most` others."""

    def find_token(self, digest: bytes) -> Deferred[StoredToken | None]:
        """Find a token by its hash."""

    def use_token(self, digest: bytes, time: int) -> Deferred[None]:
        """Note when a token was used."""

    def tokens(self, key: str) -> Deferred[list[StoredToken]]:
        """List the tokens of an account, by label."""

    def revoke_tokens(self, key: str, label: str | None = None) -> Deferred[int]:
        """End a token of an account, or all of them. Fires with the number of them."""

    # Rules, the audit log, and reports

    def act(
        self, action: Action, change: Change | None = None, check: Callable[[], object] | None = None
    ) -> Deferred[Action]:
        """Store an entry of the audit log, and a change of the rules with it, both or none.

        Fires with the entry as it was numbered, once the change is stored and in force (`rules.apply`).

        `check` is called when all earlier changes of the room's rules are in force, no matter who has made them, and
        none can come before this one any more. If it raises, nothing is stored, and the Deferred fails with that. It is
        called again if another server has made a change just then.
        """

    def actions(self, room: str | None, before: int, most: int) -> Deferred[list[Action]]:
        """Read the newest entries of the audit log before a number, newest first.

        They are those of a room, given by its key, or of all rooms and the server (None).
        """

    def report(self, report: Report, most: int = MAX_REPORTS) -> Deferred[Report]:
        """Store a report, and forget all but the newest `most`; fires with it as it was numbered."""

    def reports(self, after: int, most: int) -> Deferred[list[Report]]:
        """Read the oldest reports after a number, in order."""

    def finish_reports(self, seq: int) -> Deferred[None]:
        """Forget the reports up to a number, which were dealt with."""

    def close(self) -> Deferred[None]:
        """Finish the work under way, and stop checking for changes of other programs."""
