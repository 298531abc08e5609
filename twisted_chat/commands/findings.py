"""What `twisted-chat check` finds, and what it looks for in every kind of database: names, accounts and rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, get_args

from .. import names
from ..messages import WireError
from ..registry import AccountState
from ..rules import Role
from .files import Readable

NAMED: Final = 3
"""The number of places that are named where the same thing is wrong in many."""


class _Finding(NamedTuple):
    what: str
    remedy: str
    is_problem: bool


class Findings:
    """What was found. The same thing in many places is reported once."""

    def __init__(self, restore: str) -> None:
        self.restore = restore
        """How a backup of the database that is checked takes its place: the remedy where nothing else is one."""
        self._places: dict[_Finding, list[str]] = {}

    def problem(self, what: str, remedy: str, *places: str) -> None:
        """Note something that is wrong, and what to do about it."""
        self._places.setdefault(_Finding(what, remedy, True), []).extend(places)

    def note(self, what: str, remedy: str, *places: str) -> None:
        """Note something that an operator should know, and that is not wrong by itself."""
        self._places.setdefault(_Finding(what, remedy, False), []).extend(places)

    @property
    def problems(self) -> int:
        return sum(finding.is_problem for finding in self._places)

    def lines(self) -> Iterator[str]:
        """Yield a line for each finding, the problems first."""
        for finding, places in sorted(self._places.items(), key=lambda item: not item[0].is_problem):
            more = len(places) - NAMED
            named = ", ".join(places[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
            what = f"{finding.what}: {named}" if places else finding.what
            yield f"{'problem' if finding.is_problem else 'note'}: {what}. {finding.remedy}."


def many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def key_of(log: str) -> str | None:
    """Return the key of the name of a log, or None if it is not valid."""
    try:
        return names.log(log).key
    except WireError:
        return None


def key_of_author(nick: str) -> str | None:
    try:
        return names.author(nick).key
    except WireError:
        return None


def check_accounts(connection: Readable, findings: Findings) -> int:
    """Check each account. Returns their number."""
    count = 0
    for key, name, skeleton, password, state in connection.execute(
        "SELECT key, name, skeleton, password, state FROM account ORDER BY key"
    ):
        count += 1
        if key_of_author(name) != key or names.skeleton(name) != skeleton:
            findings.problem(
                "an account's key or skeleton is not that of its name, so that somebody else could take a name like it",
                "Export everything with --accounts, and import it into a new database",
                name,
            )
        if state not in get_args(AccountState) or (password != "" and not password.startswith("$argon2")):
            findings.problem("an account's state or password is damaged", findings.restore, name)
    removed = connection.execute(
        """SELECT DISTINCT name FROM account WHERE state = 'removed' AND (
               EXISTS (SELECT 1 FROM token WHERE account = key)
               OR EXISTS (SELECT 1 FROM rule WHERE kind = 'role' AND subject = key))"""
    )
    if left := [name for (name,) in removed]:
        findings.problem("a removed account has tokens or roles", findings.restore, *left)
    return count


def check_rules(connection: Readable, findings: Findings) -> None:
    roles: dict[str, set[int]] = {}
    for room, shown, value, has_account in connection.execute(
        """SELECT room, shown, value, EXISTS (SELECT 1 FROM account WHERE key = subject)
           FROM rule WHERE kind = 'role' ORDER BY room, subject"""
    ):
        roles.setdefault(room, set()).add(value)
        if value not in tuple(Role):
            findings.problem("a role is none that there is", "Grant it again", f"{shown} in {room}")
        if not has_account:
            findings.note(
                "roles are those of names without an account, which whoever registers such a name gets",
                "Take them back with /grant, unless the accounts come from --auth",
                f"{shown} in {room}",
            )
    if ownerless := [room for room, values in roles.items() if Role.OWNER not in values]:
        findings.note("rooms have moderators or members, and no owner", "An operator can /grant one", *ownerless)
