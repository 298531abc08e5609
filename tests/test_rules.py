"""The rules that are in force: roles, bans, locks, mutes and slow mode."""

from __future__ import annotations

import operator
from collections.abc import Sized
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import names, rules
from twisted_chat.limits import network_of
from twisted_chat.messages import WireError
from twisted_chat.names import NOBODY, Name
from twisted_chat.rules import FEW_RULES, SERVER_WIDE, Account, Change, Role, Rule, RuleKey, RuleKind, Rules

DEN = names.room("Den")
HOUR = 60 * 60 * 1000


@dataclass
class Somebody:
    """A person with a nick, perhaps an account, and an address."""

    nick: Name
    account: Account | None = None
    address: str = ""
    since: int = 0


def guest(nick: str, address: str = "", since: int = 0) -> Somebody:
    return Somebody(names.nick(nick), None, address, since)


def registered(nick: str, address: str = "", shown: str = "") -> Somebody:
    return Somebody(names.nick(shown or nick), Account(names.nick(nick)), address)


class RulesTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.rules = Rules(operators=["olga"])

    def make(self, kind: RuleKind, subject: str = "", room: str = "den", **fields: Any) -> RuleKey:
        rule = Rule(room=room, kind=kind, subject=subject, **fields)
        self.rules.apply(Change(made=(rule,)))
        return rule.key

    def end(self, *keys: RuleKey) -> None:
        self.rules.apply(Change(ended=keys))

    def entry(self, person: Somebody, now: int = 0) -> str:
        """The code with which somebody is refused in the den, or nothing."""
        try:
            self.rules.check_entry(person, DEN, now)
        except WireError as error:
            self.assertFalse(self.rules.may_enter(person, DEN.key, now))
            return error.code
        self.assertTrue(self.rules.may_enter(person, DEN.key, now))
        return ""

    def speech(self, person: Somebody, now: int = 0) -> float | None:
        """Seconds after which somebody may speak in the den; None where it may speak now."""
        try:
            self.rules.check_speech(person, "den", lambda: now)
        except WireError as error:
            self.assertEqual(error.code, "rate-limited")
            return error.retry
        return None


class RoleTests(RulesTestCase):
    def test_the_numbers_that_are_stored_stay(self) -> None:
        self.assertEqual([role.value for role in (Role.MEMBER, Role.MODERATOR, Role.OWNER)], [20, 30, 40])

    def test_somebody_without_an_account_is_a_guest(self) -> None:
        self.make("role", "al", value=Role.OWNER)
        self.assertIs(self.rules.role(None, "den"), Role.GUEST)

    def test_a_role_counts_in_its_room(self) -> None:
        al = registered("al").account
        key = self.make("role", "al", value=Role.MODERATOR)
        self.assertIs(self.rules.role(al, "den"), Role.MODERATOR)
        self.assertIs(self.rules.role(al, "other"), Role.GUEST)
        self.assertIs(self.rules.role(al), Role.GUEST)
        self.assertIs(self.rules.role(registered("bo").account, "den"), Role.GUEST)
        self.make("role", "al", value=Role.OWNER)
        self.assertIs(self.rules.role(al, "den"), Role.OWNER)
        self.end(key)
        self.assertIs(self.rules.role(al, "den"), Role.GUEST)

    def test_a_role_ends_while_others_stay(self) -> None:
        key = self.make("role", "al", value=Role.MODERATOR)
        self.make("role", "bo", value=Role.MEMBER)
        self.end(key)
        self.assertIs(self.rules.role(registered("al").account, "den"), Role.GUEST)
        self.assertIs(self.rules.role(registered("bo").account, "den"), Role.MEMBER)

    def test_an_operator_is_one_everywhere(self) -> None:
        self.assertIs(self.rules.role(registered("olga").account, "den"), Role.OPERATOR)
        self.assertIs(self.rules.role(registered("olga").account), Role.OPERATOR)

    def test_a_room_with_a_rule_is_somebodys(self) -> None:
        self.assertFalse(self.rules.has_rules("den"))
        key = self.make("role", "al", value=Role.OWNER)
        self.assertTrue(self.rules.has_rules("den"))
        self.end(key, key)
        self.assertFalse(self.rules.has_rules("den"))


class InForceTestCase(RulesTestCase):
    """The den has another rule all the time: whatever ends there has to leave nothing behind."""

    def setUp(self) -> None:
        super().setUp()
        self.make("role", "zed", value=Role.MEMBER)
        self.make("role", "zed", value=Role.MEMBER, room=SERVER_WIDE)


class BanTests(InForceTestCase):
    def test_a_room_without_rules_is_open(self) -> None:
        self.assertEqual(self.entry(guest("al")), "")

    def test_a_nick_is_banned_from_one_room(self) -> None:
        key = self.make("ban", "al")
        self.assertEqual(self.entry(guest("Al")), "banned")
        self.assertEqual(self.entry(guest("bo")), "")
        self.rules.check_entry(guest("al"), names.room("other"), 0)
        self.end(key)
        self.assertEqual(self.entry(guest("al")), "")

    def test_an_account_is_banned_under_any_nick(self) -> None:
        self.make("ban", "al")
        self.assertEqual(self.entry(registered("al", shown="bo")), "banned")

    def test_a_ban_ends_by_itself(self) -> None:
        key = self.make("ban", "al", until=HOUR)
        self.assertEqual(self.entry(guest("al"), HOUR - 1), "banned")
        self.assertEqual(self.entry(guest("al"), HOUR), "")
        self.assertEqual(self.rules.in_force("den", "ban", HOUR), [])
        rule = self.rules.get(key)
        self.assertEqual(self.rules.in_force("den", "ban", HOUR - 1), [rule])

    def test_the_error_says_until_when_and_why(self) -> None:
        self.make("ban", "al", until=HOUR, msg="spam")
        with self.assertRaises(WireError) as caught:
            self.rules.check_entry(guest("al"), DEN, 0)
        text = "you are banned from the room Den until 1970-01-01T01:00:00.000Z: spam"
        self.assertEqual((caught.exception.text, caught.exception.until), (text, HOUR))
        self.make("ban", "bo")
        with self.assertRaises(WireError) as caught:
            self.rules.check_entry(guest("bo"), DEN, 0)
        self.assertEqual((caught.exception.text, caught.exception.until), ("you are banned from the room Den", None))

    def test_guests_of_the_address_of_a_banned_guest_are_banned_too(self) -> None:
        key = self.make("ban", "al", address="192.0.2.1")
        other = self.make("ban", "cy", address="192.0.2.1")
        self.assertEqual(self.entry(guest("bo", "192.0.2.1")), "banned")
        self.assertEqual(self.entry(guest("bo", "192.0.2.2")), "")
        self.assertEqual(self.entry(registered("bo", "192.0.2.1")), "")
        self.end(key)
        self.assertEqual(self.entry(guest("bo", "192.0.2.1")), "banned")
        self.end(other)
        self.assertEqual(self.entry(guest("bo", "192.0.2.1")), "")

    def test_so_is_an_account_that_was_made_there_after_the_ban(self) -> None:
        self.make("ban", "al", address="192.0.2.1", time=7)
        for created, code in (7, ""), (8, "banned"):
            person = Somebody(names.nick("bo"), Account(names.nick("bo"), created), "192.0.2.1")
            self.assertEqual(self.entry(person), code)
        self.make("ban", "al", address="192.0.2.1", time=7, until=HOUR)
        self.assertEqual(self.entry(guest("bo", "192.0.2.1"), HOUR), "")

    def test_a_new_ban_of_somebody_takes_the_place_of_the_old_one(self) -> None:
        self.make("ban", "al", address="192.0.2.1")
        self.make("ban", "al", address="192.0.2.2")
        self.assertEqual(self.entry(guest("bo", "192.0.2.1")), "")
        self.assertEqual(self.entry(guest("bo", "192.0.2.2")), "banned")

    def test_nothing_is_left_of_a_rule_that_has_ended(self) -> None:
        def sizes() -> list[int]:
            rules = self.rules.rooms["den"]
            indexes: list[Sized] = [rules.by_key, rules.roles, rules._guests, rules._looks, rules._networks]
            return [len(index) for index in indexes]

        before = sizes()
        made = [
            self.make("ban", "al", address="192.0.2.1"),
            self.make("mute", "bo", address="192.0.2.1"),
            self.make("ban", "192.0.2.0/24"),
            self.make("role", "cy", value=Role.MEMBER),
        ]
        self.assertTrue(all(now > then for now, then in zip(sizes(), before, strict=True)))
        self.end(*made)
        self.assertEqual(sizes(), before)

    def test_rooms_that_have_an_owner_and_no_more_have_no_indexes_of_their_own(self) -> None:
        for room in ("den", "attic"):
            self.make("role", "al", value=Role.OWNER, room=room)
        den, attic = (self.rules.rooms[room] for room in ("den", "attic"))
        for index in ("_guests", "_looks", "_networks", "spoken"):
            self.assertIs(getattr(den, index), getattr(attic, index))

    def test_guests_whose_nicks_look_like_that_of_a_banned_one_are_banned_too(self) -> None:
        key = self.make("ban", "вob", shown="ВOB")
        other = self.make("ban", "al")
        self.assertEqual(self.entry(guest("BOB")), "banned")
        self.assertEqual(self.entry(guest("bo")), "")
        self.assertEqual(self.entry(guest("аl")), "banned")
        self.assertEqual(self.entry(registered("BOB")), "")
        self.assertEqual(self.entry(Somebody(NOBODY)), "")
        self.end(key, other)
        for nick in "BOB", "аl":
            self.assertEqual(self.entry(guest(nick)), "")

    def test_a_nick_may_read_like_an_address(self) -> None:
        kinds: list[RuleKind] = ["mute", "invite"]
        for kind in kinds:
            key = self.make(kind, "192.0.2.7")
            self.assertEqual(self.entry(guest("al", "192.0.2.7")), "")
            self.end(key)

    def test_nobody_from_a_banned_address_may_connect(self) -> None:
        self.rules.check_address("192.0.2.7", 0)
        key = self.make("ban", "192.0.2.0/24", room=SERVER_WIDE, until=HOUR)
        error = self.assertRaises(WireError, self.rules.check_address, "192.0.2.7", HOUR - 1)
        self.assertEqual(error.text, "you are banned from this server until 1970-01-01T01:00:00.000Z")
        self.rules.check_address("192.0.2.7", HOUR)
        self.rules.check_address("192.0.3.7", 0)
        self.end(key)
        self.rules.check_address("192.0.2.7", 0)

    def test_a_network_beyond_the_addresses_of_ipv4_is_one_of_ipv6(self) -> None:
        for text, network in (
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:0.0.0.0/95", "::fffe:0:0/95"),
            ("2001:db8::/120", "2001:db8::/120"),
        ):
            self.assertEqual(str(rules.as_network(text)), network)
        self.assertIsNone(rules.as_network("al"))

    def test_there_is_one_text_for_a_network(self) -> None:
        for text, subject in (
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.9/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:DB8::1", "2001:db8::1"),
        ):
            network = rules.as_network(text)
            assert network
            self.assertEqual(rules.network_text(network), subject)

    def test_an_address_or_a_network_is_banned_whoever_it_is(self) -> None:
        for subject, inside, outside in (
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.9/24", "192.0.2.1", "192.0.3.0"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.8"),
            ("::ffff:192.0.2.0/120", "192.0.2.7", "::7"),
        ):
            key = self.make("ban", subject)
            for person in guest("al", inside), registered("al", inside):
                self.assertEqual(self.entry(person), "banned", subject)
            for address in outside, "", "unknown":
                self.assertEqual(self.entry(guest("al", address)), "", subject)
            self.end(key)
            self.assertEqual(self.entry(guest("al", inside)), "", subject)

    def test_a_search_looks_once_at_each_prefix(self) -> None:
        for number in range(200):
            self.make("ban", f"10.0.{number}.0/24")
        self.make("ban", "10.1.0.0/16")
        looked: list[RuleKey] = []

        class Keys(dict[RuleKey, Rule]):
            def get(self, key: RuleKey, default: Any = None) -> Any:
                looked.append(key)
                return super().get(key, default)

        room = self.rules.rooms["den"]
        room.by_key = Keys(room.by_key)
        self.assertEqual(self.entry(guest("al", "10.0.9.1")), "banned")
        self.assertEqual(len(looked), 2 * 2)  # by nick and by network, for each of the two questions of `entry`

    def test_an_operator_is_never_banned(self) -> None:
        self.make("ban", "olga")
        self.make("ban", "olga", room=SERVER_WIDE)
        self.assertEqual(self.entry(registered("olga")), "")
        self.rules.check_server(registered("olga"), 0)

    def test_a_ban_from_the_server_is_no_ban_from_a_room(self) -> None:
        self.rules.check_server(guest("al"), 0)
        self.make("ban", "al", room=SERVER_WIDE)
        self.rules.check_server(guest("bo"), 0)
        error = self.assertRaises(WireError, self.rules.check_server, guest("al"), 0)
        self.assertEqual((error.code, error.text), ("banned", "you are banned from this server"))


class LockTests(InForceTestCase):
    def test_a_locked_room_is_for_members_and_those_who_are_invited(self) -> None:
        lock = self.make("lock")
        self.make("role", "mo", value=Role.MEMBER)
        self.make("invite", "in", until=HOUR)
        self.assertEqual(self.entry(guest("al")), "denied")
        self.assertEqual(self.entry(guest("mo")), "denied")  # it is the account that is a member
        self.assertEqual(self.entry(registered("mo")), "")
        self.assertEqual(self.entry(guest("in")), "")
        self.assertEqual(self.entry(guest("in"), HOUR), "denied")
        self.assertEqual(self.entry(registered("olga")), "")
        self.end(lock)
        self.assertEqual(self.entry(guest("al")), "")

    def test_an_invitation_is_for_the_one_who_had_the_nick_then_or_its_account(self) -> None:
        self.make("lock")
        self.make("invite", "in", time=1_000)
        self.assertEqual(self.entry(guest("in", since=1_000)), "")
        self.assertEqual(self.entry(guest("in", since=1_001)), "denied")
        for created, since, code in (1_000, 2_000, ""), (2_000, 2_000, "denied"), (2_000, 900, ""):
            nick = names.nick("in")
            self.assertEqual(self.entry(Somebody(nick, Account(nick, created), since=since)), code, (created, since))

    def test_the_rooms_that_are_locked_are_known(self) -> None:
        key = self.make("lock")
        self.assertEqual(self.rules.locked, {"den"})
        self.end(key)
        self.assertEqual(self.rules.locked, set())


class TopicTests(InForceTestCase):
    def may_set(self, person: Somebody) -> bool:
        try:
            self.rules.check_topic(person, DEN)
        except WireError as error:
            self.assertEqual(error.code, "denied")
            return False
        return True

    def test_everybody_sets_it_where_nobody_keeps_order(self) -> None:
        self.assertTrue(self.may_set(guest("al")))
        self.rules.check_topic(guest("al"), names.room("other"))

    def test_where_somebody_does_only_accounts_with_a_role_set_it(self) -> None:
        self.make("role", "mo", value=Role.MODERATOR)
        people = guest("al"), registered("al"), registered("zed"), registered("mo"), registered("olga")
        self.assertEqual([self.may_set(person) for person in people], [False, False, True, True, True])


class SpeechTests(InForceTestCase):
    def test_the_clock_is_not_read_where_a_room_has_no_rules(self) -> None:
        self.rules.check_speech(guest("al"), "quiet", lambda: self.fail("it was read"))

    def test_somebody_is_muted_for_a_time(self) -> None:
        self.make("mute", "al", until=HOUR, address="192.0.2.1")
        for person in guest("al"), registered("al", shown="bo"), guest("cy", "192.0.2.1"):
            self.assertEqual(self.speech(person, HOUR - 2500), 2.5)
            self.assertIsNone(self.speech(person, HOUR))
        self.assertIsNone(self.speech(guest("bo"), 0))

    def test_a_mute_without_an_end_may_be_lifted_tomorrow(self) -> None:
        self.make("mute", "al", msg="calm down")
        self.assertEqual(self.speech(guest("al")), rules.LONG_SECONDS)
        error = self.assertRaises(WireError, self.rules.check_speech, guest("al"), "den", lambda: 0)
        self.assertEqual(error.text, "you are muted in this room: calm down")
        self.make("mute", "al", until=10**13)
        self.assertEqual(self.speech(guest("al")), rules.LONG_SECONDS)

    def test_a_moderator_is_never_muted_nor_slow(self) -> None:
        self.make("mute", "mo")
        self.make("slow", value=60)
        self.make("role", "mo", value=Role.MODERATOR)
        self.assertIsNone(self.speech(registered("mo")))
        self.assertIsNone(self.speech(registered("mo")))

    def test_slow_mode_counts_for_each_nick_or_account(self) -> None:
        slow = self.make("slow", value=30)
        self.assertIsNone(self.speech(guest("first"), 30_000))
        self.assertIsNone(self.speech(guest("al"), HOUR))
        self.assertEqual(self.speech(guest("al"), HOUR + 10_000), 20)
        self.assertIsNone(self.speech(guest("bo"), HOUR))
        self.assertIsNone(self.speech(registered("cy"), HOUR))
        self.assertEqual(self.speech(registered("cy", shown="cyril"), HOUR + 29_000), 1)
        self.assertIsNone(self.speech(guest("al"), HOUR + 30_000))
        self.end(slow)
        self.assertIsNone(self.speech(guest("al"), HOUR + 30_001))
        self.assertIsNone(self.speech(guest("al"), HOUR + 30_001))
        self.make("slow", value=30)
        self.assertIsNone(self.speech(guest("al"), HOUR + 30_002), "what was said before does not count")

    def test_slow_mode_counts_a_guest_that_came_a_moment_ago_by_its_address_too(self) -> None:
        self.make("slow", value=30)
        here, there = "2001:db8::1", "2001:db8:0:1::1"
        self.assertIsNone(self.speech(guest("al", here, since=HOUR), HOUR))
        for nick, address in ("bo", here), ("cy", "2001:db8::2"):  # in the same network
            self.assertEqual(self.speech(guest(nick, address, since=HOUR + 1_000), HOUR + 1_000), 29)
        self.assertIsNone(self.speech(guest("di", there, since=HOUR + 1_000), HOUR + 1_000))
        self.assertIsNone(self.speech(guest("ed", here, since=HOUR - 29_000), HOUR + 1_000), "it was there before")
        self.assertEqual(self.speech(guest("bo", here, since=HOUR + 1_000), HOUR + 30_000), 1, "since ed spoke")
        self.assertIsNone(self.speech(guest("bo", here, since=HOUR + 1_000), HOUR + 31_000))
        self.assertIsNone(self.speech(registered("flo", here), HOUR + 31_000))

    def test_another_nick_is_no_way_around_slow_mode(self) -> None:
        self.make("slow", value=10)
        self.assertIsNone(self.speech(guest("al"), HOUR))
        self.rules.rename("al", "bo", "den")
        self.rules.rename("zoe", "cy", "den")
        self.rules.rename("al", "cy", "other")
        self.assertEqual([self.speech(guest(nick), HOUR + 1_000) for nick in ("bo", "cy")], [9.0, None])

    def test_a_guest_who_is_muted_does_not_change_its_nick(self) -> None:
        self.make("mute", "al", until=10)
        self.assertFalse(self.rules.may_change_nick(guest("al"), "den", lambda: 9))
        self.assertTrue(self.rules.may_change_nick(guest("al"), "den", lambda: 10))
        self.assertTrue(self.rules.may_change_nick(guest("bo"), "den", lambda: 9))
        self.assertTrue(self.rules.may_change_nick(guest("al"), "other", lambda: 9))

    def test_the_memory_of_slow_mode_is_bounded(self) -> None:
        self.patch(rules, "MAX_SPOKEN", 3)
        self.make("slow", value=10)
        for number in range(3):
            self.assertIsNone(self.speech(guest(f"al{number}"), HOUR + 1000 * number))
        self.assertIsNone(self.speech(guest("bo"), HOUR + 10_500))
        self.assertEqual(sorted(self.rules.rooms["den"].spoken), ["@", "al1", "al2", "bo"])


class OverTests(RulesTestCase):
    def bans(self, count: int, until: int | None, name: str) -> None:
        for number in range(count):
            self.make("ban", f"{name}{number}", until=until)

    def test_few_rules_are_not_looked_through(self) -> None:
        self.assertEqual(self.rules.forget_over("den", 9), ())
        self.bans(FEW_RULES - 1, 5, "n")
        self.assertEqual(self.rules.forget_over("den", 9), ())
        self.assertEqual(len(list(self.rules)), FEW_RULES - 1)

    def test_those_that_are_over_are_forgotten_and_nobody_hears_of_it(self) -> None:
        self.bans(FEW_RULES, 5, "n")
        self.bans(3, None, "kept")
        self.bans(3, 6, "later")
        heard: list[Change] = []
        self.rules.follow(heard.append)
        self.assertEqual(self.rules.forget_over("other", 5), ())
        self.assertEqual(len(self.rules.forget_over("den", 5)), FEW_RULES)
        self.assertEqual(len(list(self.rules)), 6)
        self.assertEqual(heard, [])

    def test_a_room_all_of_whose_rules_are_over_has_none(self) -> None:
        self.bans(FEW_RULES, 5, "n")
        self.rules.forget_over("den", 5)
        self.assertFalse(self.rules.has_rules("den"))

    def test_the_next_look_is_when_there_are_twice_as_many(self) -> None:
        self.bans(2 * FEW_RULES, None, "kept")
        self.rules.forget_over("den", 5)
        self.bans(2 * FEW_RULES - 1, 5, "n")
        self.assertEqual(self.rules.forget_over("den", 5), ())
        self.bans(1, 5, "last")
        self.assertEqual(len(self.rules.forget_over("den", 5)), 2 * FEW_RULES)


class FollowTests(RulesTestCase):
    def test_a_follower_that_fails_does_not_keep_the_change_from_the_others(self) -> None:
        heard: list[Change] = []
        self.rules.follow(lambda change: operator.truediv(1, 0))
        self.rules.follow(heard.append)
        self.make("lock")
        self.assertEqual((len(heard), len(self.flushLoggedErrors(ZeroDivisionError))), (1, 1))

    def test_a_follower_hears_of_a_change_that_is_in_force(self) -> None:
        heard: list[tuple[Change, bool]] = []
        self.rules.follow(lambda change: heard.append((change, self.rules.has_rules("den"))))
        change = Change(made=(Rule(room="den", kind="lock"),))
        self.rules.apply(change)
        over = Change(ended=(RuleKey("den", "lock", ""),))
        self.rules.apply(over)
        self.assertEqual(heard, [(change, True), (over, False)])


NICKS: Final = ("ann", "Ann", "аnn", "bob", "eve")
"""The third one is Cyrillic."""

ADDRESSES: Final = ("192.0.2.1", "192.0.2.1", "198.51.100.1", "192.0.2.77", "2001:db8::1", "2001:db8:0:1::1", "")

NETWORKS: Final = ("192.0.2.1/32", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/64", "2001:db8::/32")

people = st.builds(
    lambda nick, is_registered, address: registered(nick, address) if is_registered else guest(nick, address),
    st.sampled_from(NICKS),
    st.booleans(),
    st.sampled_from(ADDRESSES),
)
some_rules = st.builds(
    lambda kind, subject, network, until, address: Rule(
        room="den",
        value=Role.MEMBER if kind == "role" else 1,
        kind=kind,
        subject="" if kind == "lock" else network if network and kind == "ban" else names.nick(subject).key,
        shown="" if kind == "lock" or network else subject,
        address=address if kind == "ban" and not network else "",
        until=until,
    ),
    st.sampled_from(("ban", "ban", "lock", "invite", "role")),
    st.sampled_from(NICKS),
    st.sampled_from((*[None] * 8, *NETWORKS)),
    st.sampled_from((None, 10, 20)),
    st.sampled_from(("192.0.2.1", "192.0.2.1", "198.51.100.1", "2001:db8::", "")),
)


def is_concerned(rule: Rule, person: Somebody) -> bool:
    """True if a rule is about somebody, found without any index."""
    if person.account is not None and rule.subject == person.account.name.key:
        return True
    if rule.subject == person.nick.key:
        return True
    if rule.kind == "ban" and "/" in rule.subject:
        return bool(person.address) and ip_address(person.address) in ip_network(rule.subject)
    if rule.kind != "ban" or person.account is not None:
        return False
    is_alike = names.skeleton(person.nick.shown) == names.skeleton(rule.shown)
    return is_alike or bool(rule.address and rule.address == network_of(person.address))


class AnyRulesTests(SynchronousTestCase):
    @settings(max_examples=300)
    @given(
        st.lists(st.tuples(some_rules, st.sampled_from([True, True, False])), max_size=12),
        people,
        st.integers(0, 25),
        st.integers(0, 9),
    )
    def test_who_may_enter_is_what_a_look_at_every_rule_says(
        self, changes: list[tuple[Rule, bool]], person: Somebody, now: int, few: int
    ) -> None:
        self.patch(rules, "FEW_RULES", few + 1)
        kept = Rules()
        model: dict[RuleKey, Rule] = {}
        for rule, is_made in changes:
            kept.apply(Change((rule,)) if is_made else Change((), (rule.key,)))
            if is_made:
                model[rule.key] = rule
            else:
                model.pop(rule.key, None)
            for key in kept.forget_over("den", now):
                self.assertTrue(model.pop(key).is_over(now))
        self.assertEqual({rule.key: rule for rule in kept}, model)
        in_force = [rule for rule in model.values() if not rule.is_over(now)]
        is_banned = any(rule.kind == "ban" and is_concerned(rule, person) for rule in in_force)
        is_locked = any(rule.kind == "lock" for rule in model.values())
        is_invited = any(rule.kind == "invite" and is_concerned(rule, person) for rule in in_force)
        is_member = person.account is not None and RuleKey("den", "role", person.account.name.key) in model
        is_let_in = not is_locked or is_invited or is_member
        self.assertEqual(kept.may_enter(person, DEN.key, now), is_let_in and not is_banned)
