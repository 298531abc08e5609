"""The promises of every registry. `test_registry_contract.py` runs these tests for each one."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred

from twisted_chat import names
from twisted_chat.registry import AccountState, Action, Registry, Report, StoredAccount, StoredToken
from twisted_chat.rules import SERVER_WIDE, Account, Change, Role, Rule, RuleKey

from .stores import StoreTestCase

WHOLE = 2**53
"""A number behind all others."""


def account(nick: str, skeleton: str = "", **fields: object) -> StoredAccount:
    name = names.nick(nick)
    usual = {"name": name, "skeleton": skeleton or f"like {name.key}", "password": "$argon2id$1", "created": 7}
    return StoredAccount(**{**usual, **fields})  # type: ignore[arg-type]  # each test knows its fields


def token(secret: bytes, label: str = "phone", key: str = "alice") -> StoredToken:
    return StoredToken(account=key, label=label, digest=secret, created=3)


def action(target: str, room: str = "den") -> Action:
    return Action(kind="ban", author="Olga", room=room, target=target)


class RegistryContract(StoreTestCase):
    """The promises of a registry; `open_registry` opens an empty one."""

    registry: Registry

    def open_registry(self) -> Registry | Deferred[Registry]:
        raise NotImplementedError

    def setUp(self) -> Any:
        super().setUp()
        return maybeDeferred(self.open_registry).addCallback(partial(setattr, self, "registry"))

    async def add(self, *accounts: StoredAccount) -> None:
        for one in accounts:
            self.assertTrue(await self.registry.add(one))

    async def state(self, key: str) -> str:
        stored = await self.registry.find(key)
        assert stored
        return stored.state

    # Accounts

    async def test_an_account_is_found_by_its_key_as_it_was_stored(self) -> None:
        alice = account("Alice", "a1ice", created=1_700_000_000_000, state="pending")
        await self.add(alice, account("bob"))
        self.assertEqual(await self.registry.find("alice"), alice)
        self.assertIsNone(await self.registry.find("Alice"))
        self.assertIsNone(await self.registry.find("carol"))

    async def test_a_name_that_looks_like_that_of_an_account_is_found(self) -> None:
        await self.add(account("Alice", "a1ice", state="suspended"), account("bob"))
        self.assertEqual(await self.registry.find_alike("a1ice"), names.nick("Alice"))
        self.assertIsNone(await self.registry.find_alike("alice"))

    async def test_there_is_one_account_of_a_key_and_of_a_look(self) -> None:
        alice = account("Alice", "a1ice", state="removed", password="")
        await self.add(alice)
        self.assertFalse(await self.registry.add(account("ALICE", "something else")))
        self.assertFalse(await self.registry.add(account("аlice", "a1ice")))
        self.assertEqual(await self.registry.accounts("", 9), [alice])

    async def test_a_new_password_takes_the_place_of_the_old_one(self) -> None:
        await self.add(account("alice"), account("bob"))
        self.assertTrue(await self.registry.set_password("alice", "$argon2id$1", "$argon2id$2"))
        self.assertFalse(await self.registry.set_password("alice", "$argon2id$1", "$argon2id$3"), "it is another one")
        self.assertFalse(await self.registry.set_password("carol", "$argon2id$1", "$argon2id$3"))
        stored = await self.registry.accounts("", 9)
        self.assertEqual([(a.name.key, a.password) for a in stored], [("alice", "$argon2id$2"), ("bob", "$argon2id$1")])

    async def test_an_account_is_let_in_and_shut_out(self) -> None:
        await self.add(account("alice", state="pending"), account("bob"))
        states: list[AccountState] = ["active", "suspended", "active", "removed"]
        for state in states:
            self.assertTrue(await self.registry.set_state("alice", state))
            self.assertEqual(await self.state("alice"), state)
        self.assertFalse(await self.registry.set_state("carol", "active"))
        self.assertFalse(await self.registry.set_state("alice", "active"), "it was removed for good")
        self.assertEqual(await self.state("alice"), "removed")
        self.assertEqual(await self.state("bob"), "active")

    async def test_a_follower_hears_whose_sessions_have_to_end(self) -> None:
        await self.add(account("alice", state="pending"), account("bob"))
        heard: list[str] = []
        self.registry.follow(heard.append)
        await self.registry.set_state("alice", "active")
        await self.registry.set_password("alice", "$argon2id$1", "$argon2id$2")
        await self.registry.set_state("carol", "suspended")
        self.assertEqual(heard, [], "the owner of the password set it, and carol has no account")
        await self.registry.set_state("bob", "suspended")
        await self.registry.set_state("alice", "removed")
        self.assertEqual(heard, ["bob", "alice"])

    async def test_accounts_are_listed_in_pages_by_their_keys(self) -> None:
        await self.add(account("Bob"), account("alice"), account("Ёж"), account("dave", state="pending"), account("𐐨"))
        keys = [one.name.key for one in await self.registry.accounts("", 9)]
        self.assertEqual(keys, sorted(keys))
        self.assertEqual(len(keys), 5)
        page = await self.registry.accounts("alice", 2)
        self.assertEqual([one.name.shown for one in page], ["Bob", "dave"])
        self.assertEqual([one.name.key for one in await self.registry.accounts("", 9, "pending")], ["dave"])
        self.assertEqual(await self.registry.accounts("dave", 9, "pending"), [])

    # Tokens

    async def test_a_token_is_found_by_its_hash(self) -> None:
        await self.registry.add_token(token(b"\x00one"), 9)
        self.assertEqual(await self.registry.find_token(b"\x00one"), token(b"\x00one"))
        self.assertIsNone(await self.registry.find_token(b"one"))

    async def test_a_token_with_the_same_label_takes_the_place_of_the_old_one(self) -> None:
        await self.registry.add_token(token(b"1"), 1)
        await self.registry.add_token(token(b"2", key="bob"), 1)
        self.assertTrue(await self.registry.add_token(token(b"3"), 1))
        self.assertIsNone(await self.registry.find_token(b"1"))
        self.assertEqual(await self.registry.tokens("alice"), [token(b"3")])
        self.assertEqual(await self.registry.tokens("bob"), [token(b"2", key="bob")])

    async def test_an_account_has_a_number_of_tokens(self) -> None:
        self.assertTrue(await self.registry.add_token(token(b"1", "a"), 2))
        self.assertTrue(await self.registry.add_token(token(b"2", "b"), 2))
        self.assertFalse(await self.registry.add_token(token(b"3", "c"), 2))
        self.assertIsNone(await self.registry.find_token(b"3"))
        self.assertTrue(await self.registry.add_token(token(b"4", "b"), 2))
        self.assertEqual([one.digest for one in await self.registry.tokens("alice")], [b"1", b"4"])

    async def test_the_use_of_a_token_is_noted(self) -> None:
        await self.registry.add_token(token(b"1", "a"), 9)
        await self.registry.add_token(token(b"2", "b"), 9)
        await self.registry.use_token(b"1", 1_700_000_000_000)
        await self.registry.use_token(b"gone", 5)
        self.assertEqual([one.used for one in await self.registry.tokens("alice")], [1_700_000_000_000, None])

    async def test_tokens_are_listed_by_label_and_revoked_one_by_one_or_together(self) -> None:
        for secret, label in ((b"1", "tablet"), (b"2", "laptop"), (b"3", "phone")):
            await self.registry.add_token(token(secret, label), 9)
        await self.registry.add_token(token(b"4", key="bob"), 9)
        self.assertEqual([one.label for one in await self.registry.tokens("alice")], ["laptop", "phone", "tablet"])
        self.assertEqual(await self.registry.revoke_tokens("alice", "phone"), 1)
        self.assertEqual(await self.registry.revoke_tokens("alice", "phone"), 0)
        self.assertIsNone(await self.registry.find_token(b"3"))
        self.assertEqual(await self.registry.revoke_tokens("alice"), 2)
        self.assertEqual(await self.registry.tokens("alice"), [])
        self.assertEqual(len(await self.registry.tokens("bob")), 1)

    # Rules, and what was done

    async def test_a_change_is_in_force_once_it_is_stored_with_its_action(self) -> None:
        heard: list[Change] = []
        self.registry.rules.follow(heard.append)
        role = Rule(room="den", kind="role", subject="alice", value=Role.MODERATOR)
        change = Change(made=(role, Rule(room="den", kind="lock")))
        done = await self.registry.act(action("alice"), change)
        self.assertEqual(heard, [change])
        self.assertIs(self.registry.rules.role(Account(names.nick("alice")), "den"), Role.MODERATOR)
        self.assertEqual(await self.registry.actions("den", WHOLE, 9), [done])
        await self.registry.act(action("alice"), Change(ended=(role.key,)))
        self.assertIs(self.registry.rules.role(Account(names.nick("alice")), "den"), Role.GUEST)
        self.assertIsNotNone(self.registry.rules.get(RuleKey("den", "lock", "")))

    async def test_a_change_is_checked_when_those_before_it_are_in_force(self) -> None:
        role = Rule(room="den", kind="role", subject="alice", value=Role.OWNER)
        seen: list[bool] = []

        def check() -> None:
            seen.append(self.registry.rules.has_rules("den"))
            if seen[-1]:
                raise ZeroDivisionError

        changes = [Change(made=(replace(role, subject=subject),)) for subject in ("alice", "bob")]
        first = self.registry.act(action("alice"), changes[0], check)
        second = self.registry.act(action("bob"), changes[1], check)
        results: list[Any] = [await one for one in (DeferredList([first]), DeferredList([second], consumeErrors=True))]
        (((is_stored, done),), ((is_stored_too, failure),)) = results
        self.assertEqual((is_stored, is_stored_too, failure.type), (True, False, ZeroDivisionError))
        self.assertEqual([rule.subject for rule in self.registry.rules], ["alice"])
        self.assertEqual(await self.registry.actions("den", WHOLE, 9), [done])
        self.assertEqual(seen[-1], True)

    async def test_a_rule_that_ends_and_is_made_in_one_change_is_in_force(self) -> None:
        old = Rule(room="den", kind="slow", value=5)
        await self.registry.act(action("den"), Change(made=(old,)))
        new = Rule(room="den", kind="slow", value=30)
        await self.registry.act(action("den"), Change(made=(new,), ended=(old.key,)))
        self.assertEqual(self.registry.rules.get(old.key), new)

    async def test_an_action_comes_back_as_it_was_stored_with_a_number(self) -> None:
        full = Action(
            kind="ban",
            author="Olga",
            account="olga",
            room="den",
            target="192.0.2.0/24",
            value="3600",
            msg="spam\x00 \u202e",
            until=1_700_000_003_600,
            time=1_700_000_000_000,
        )
        heard: list[Change] = []
        self.registry.rules.follow(heard.append)
        first, second = await self.registry.act(full), await self.registry.act(full)
        self.assertEqual(heard, [])
        self.assertLess(0, first.seq)
        self.assertLess(first.seq, second.seq)
        for stored in (first, second):
            self.assertEqual(stored, replace(full, seq=stored.seq))
        self.assertEqual(await self.registry.actions("den", WHOLE, 9), [second, first])

    async def test_actions_are_read_newest_first_of_a_room_or_of_all(self) -> None:
        places = ("den", "other", SERVER_WIDE, "den", "den")
        done = [await self.registry.act(action(str(number), room)) for number, room in enumerate(places)]

        async def targets(room: str | None, before: int = WHOLE, most: int = 9) -> str:
            return "".join(one.target for one in await self.registry.actions(room, before, most))

        self.assertEqual(await targets("den"), "430")
        self.assertEqual(await targets("den", most=2), "43")
        self.assertEqual(await targets("den", before=done[3].seq), "0")
        self.assertEqual(await targets(SERVER_WIDE), "2")
        self.assertEqual(await targets(None), "43210")
        self.assertEqual(await targets(None, before=done[3].seq, most=2), "21")

    async def test_reports_are_kept_in_order_until_they_were_seen_to(self) -> None:
        texts = ("", "rude", "ads")
        made = [await self.registry.report(Report(room="den", of=4, author="bob", msg=msg, time=8)) for msg in texts]
        self.assertEqual(await self.registry.reports(0, 9), made)
        self.assertEqual([report.msg for report in made], list(texts))
        self.assertEqual(await self.registry.reports(made[0].seq, 1), [made[1]])
        await self.registry.finish_reports(made[1].seq)
        self.assertEqual(await self.registry.reports(0, 9), [made[2]])
        await self.registry.finish_reports(made[2].seq)
        again = await self.registry.report(Report(room="den", of=5, author="bob"))
        self.assertLess(made[2].seq, again.seq, "no number is given twice")

    async def test_the_newest_reports_are_kept(self) -> None:
        made = [await self.registry.report(Report(room="den", of=of, author="bob"), 3) for of in range(1, 6)]
        self.assertEqual(await self.registry.reports(0, 9), made[2:])
