"""Logging in: passwords, tokens, registration, and who may bear a nick."""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.defer import Deferred, succeed
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import login, names
from twisted_chat.log import Unavailable
from twisted_chat.login import EVERYBODY, MAX_TOKENS, Login, Policy
from twisted_chat.messages import WireError
from twisted_chat.passwords import Passwords
from twisted_chat.registry import AccountState
from twisted_chat.rules import Account
from twisted_chat.shared_limits import ACCOUNT, ADDRESS, Permission

from .logins import HORSE, CountingHasher, FakeSharedLimits, Reactor, make_login
from .memory_registry import MemoryRegistry

_T = TypeVar("_T")

HOME = "192.0.2.1"
AWAY = "198.51.100.1"


class LoginTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.reactor.advance(1_000.5)
        self.registry = MemoryRegistry()
        self.accounts = self.make()

    def make(self, policy: Policy = EVERYBODY, memory: int = 64) -> Login:
        self.hasher = CountingHasher(memory)
        return make_login(self.registry, policy, self.reactor, self.hasher)

    def get(self, result: Deferred[_T]) -> _T:
        return self.successResultOf(result)

    def code(self, result: Deferred[Any]) -> str:
        code: str = self.failureResultOf(result, WireError).value.code
        return code

    def log_in(self, nick: str, password: str | None = None, address: str = HOME) -> Deferred[Account | None]:
        return self.accounts.log_in(names.nick(nick), password, address)

    def register(self, nick: str, password: str = HORSE, address: str = HOME, is_local: bool = False) -> Account:
        account = self.get(self.accounts.register(names.nick(nick), password, address, is_local))
        assert account is not None
        return account


class GuestTests(LoginTestCase):
    def test_a_nick_without_an_account_is_a_guests(self) -> None:
        self.assertIsNone(self.get(self.log_in("al")))

    def test_a_registered_nick_is_nobody_elses(self) -> None:
        self.register("Al")
        self.assertEqual(self.code(self.log_in("al")), "auth-failed")

    def test_nor_is_one_that_looks_like_it(self) -> None:
        self.register("paul")
        error = self.failureResultOf(self.log_in("pаul"), WireError).value  # with a Cyrillic а
        self.assertEqual((error.code, error.text), ("nick-taken", "pаul looks like paul, which is somebody's account"))
        self.assertIsNone(self.get(self.log_in("pau1")))

    def test_a_server_may_have_no_guests(self) -> None:
        self.accounts = self.make(Policy("closed", guests=False))
        self.assertEqual(self.code(self.log_in("al")), "denied")

    def test_guests_need_no_registration(self) -> None:
        self.accounts = self.make(Policy("closed"))
        self.assertIsNone(self.get(self.log_in("al")))

    def test_where_they_may_register_they_are_let_in_for_that(self) -> None:
        self.accounts = self.make(Policy("open", guests=False))
        self.assertFalse(self.accounts.guests)
        self.assertIsNone(self.get(self.log_in("al")))


class PasswordTests(LoginTestCase):
    def test_an_account_logs_in_with_its_password(self) -> None:
        account = self.register("Al")
        self.assertEqual(account, Account(names.nick("Al"), 1_000_500))
        self.assertEqual(self.get(self.log_in("aL", HORSE)), account)

    def test_the_hash_is_stored_and_not_the_password(self) -> None:
        self.register("al")
        stored = self.get(self.registry.find("al"))
        assert stored
        self.assertTrue(stored.password.startswith("$argon2id$"))
        self.assertNotIn(HORSE, repr(stored))

    def test_an_unknown_account_costs_the_same_and_gets_the_same_answer(self) -> None:
        self.register("al")
        answers = []
        for nick in "al", "bo":
            before = self.hasher.checked
            error = self.failureResultOf(self.log_in(nick, "wrong password"), WireError).value
            answers.append((error.code, error.text, self.hasher.checked - before))
        self.assertEqual(answers, [("auth-failed", "the nick or the password is wrong", 1)] * 2)

    def test_a_password_with_weaker_parameters_is_hashed_again(self) -> None:
        account = self.register("al")
        self.accounts = self.make(memory=128)
        self.assertEqual(self.get(self.log_in("al", HORSE)), account)
        stored = self.get(self.registry.find("al"))
        assert stored
        self.assertIn("m=128,", stored.password)
        self.assertEqual(self.get(self.log_in("al", HORSE)), account)

    def test_the_same_password_may_be_composed_otherwise(self) -> None:
        self.register("al", "pass\u00e9word")
        self.assertIsNotNone(self.get(self.log_in("al", "passe\u0301word")))

    def test_a_password_that_cannot_be_chosen_is_refused(self) -> None:
        for password in "short", "with\ttab.", "":
            self.assertEqual(self.code(self.accounts.register(names.nick("al"), password, HOME)), "bad-message")
            self.assertEqual(self.code(self.log_in("al", password)), "auth-failed")

    def test_wrong_passwords_are_answered_with_pauses_and_without_a_hash(self) -> None:
        self.register("al")
        for _ in range(ACCOUNT.free):
            self.assertEqual(self.code(self.log_in("al", "wrong password", AWAY)), "auth-failed")
        checked = self.hasher.checked
        self.assertEqual(self.code(self.log_in("al", HORSE, AWAY)), "rate-limited")
        self.assertEqual(self.hasher.checked, checked)
        self.reactor.advance(1.1)
        self.assertIsNotNone(self.get(self.log_in("al", HORSE, AWAY)))

    def test_the_pause_of_an_account_does_not_concern_the_address_where_it_was_registered(self) -> None:
        self.register("al")
        for _ in range(ACCOUNT.free):
            self.assertEqual(self.code(self.log_in("al", "wrong password", AWAY)), "auth-failed")
        self.assertEqual(self.code(self.log_in("al", HORSE, "203.0.113.1")), "rate-limited")
        self.assertIsNotNone(self.get(self.log_in("al", HORSE)))

    def test_the_right_password_ends_what_was_counted(self) -> None:
        self.register("al")
        for _ in range(2):
            for _ in range(ACCOUNT.free - 1):
                self.assertEqual(self.code(self.log_in("al", "wrong password")), "auth-failed")
            self.assertIsNotNone(self.get(self.log_in("al", HORSE)))

    def test_log_ins_are_counted_by_their_result(self) -> None:
        self.register("al")
        for password in [HORSE] * 2 + ["wrong password"] * (ADDRESS.free + 3):
            self.get(self.log_in("al", password).addErrback(lambda failure: failure.trap(WireError)))
        self.get(self.log_in("guest"))
        self.assertEqual(self.accounts.logins, {"succeeded": 2, "failed": ADDRESS.free, "limited": 3})

    def test_passwords_that_are_compared_at_the_same_time_count_at_once(self) -> None:
        self.register("al")
        held = self.registry.held = []
        guesses = [self.log_in("al", "wrong password", AWAY) for _ in range(ACCOUNT.free + 3)]
        self.assertEqual(len(held), ACCOUNT.free)
        self.registry.held = None
        while held:
            held.pop()()
        codes = [self.code(guess) for guess in guesses]
        self.assertEqual(codes, ["auth-failed"] * ACCOUNT.free + ["rate-limited"] * 3)

    def test_log_ins_of_one_address_have_a_rate(self) -> None:
        self.register("al")
        self.patch(login, "LOGINS", (1.0, 2))
        self.accounts = self.make()
        for _ in range(2):
            self.assertEqual(self.code(self.log_in("al", "wrong password")), "auth-failed")
        self.assertEqual(self.code(self.log_in("al", HORSE)), "rate-limited")
        self.assertIsNotNone(self.get(self.log_in("al", HORSE, AWAY)))
        self.reactor.advance(1)
        self.assertIsNotNone(self.get(self.log_in("al", HORSE)))

    def test_some_log_ins_of_an_account_cost_its_address_nothing(self) -> None:
        self.register("al")
        self.register("bo")
        self.patch(login, "LOGINS", (1.0, 2))
        self.patch(login, "OWN_LOGINS", (0.1, 4))
        self.accounts = self.make()
        for _ in range(4):
            self.assertIsNotNone(self.get(self.log_in("al", HORSE)))
        for _ in range(4):
            self.assertIsNotNone(self.get(self.log_in("bo", HORSE)))
        for _ in range(2):
            self.assertIsNotNone(self.get(self.log_in("al", HORSE)))
        self.assertEqual(self.code(self.log_in("al", HORSE)), "rate-limited")

    def test_what_could_not_be_compared_is_not_a_wrong_password(self) -> None:
        self.register("al")
        self.registry.is_unavailable = True
        for _ in range(ADDRESS.free + 1):
            self.failureResultOf(self.log_in("al", HORSE, AWAY), Unavailable)
        self.registry.is_unavailable = False
        self.assertIsNotNone(self.get(self.log_in("al", HORSE, AWAY)))


class ServiceTests(LoginTestCase):
    def test_it_starts_and_stops_the_threads_that_hash(self) -> None:
        pool = ThreadPool(0, 1)
        accounts = Login(self.registry, Passwords(self.reactor, pool), self.reactor)
        accounts.start()
        self.assertTrue(pool.started)
        accounts.stop()
        self.assertTrue(pool.joined)

    def test_the_operators_are_those_of_the_policy(self) -> None:
        self.make(Policy(operators=frozenset({"boss"})))
        self.assertEqual(self.registry.rules.operators, frozenset({"boss"}))


class RegistrationTests(LoginTestCase):
    def test_a_nick_is_registered_once(self) -> None:
        self.register("al")
        for nick in "al", "Al":
            self.assertEqual(self.code(self.accounts.register(names.nick(nick), HORSE, HOME)), "nick-taken")

    def test_registration_may_be_closed(self) -> None:
        self.accounts = self.make(Policy("closed"))
        self.assertEqual(self.code(self.accounts.register(names.nick("al"), HORSE, HOME)), "denied")
        self.assertIsNone(self.get(self.registry.find("al")))

    def test_the_account_of_an_operator_is_made_on_the_servers_machine(self) -> None:
        self.accounts = self.make(Policy(operators=frozenset(("ops", "olga"))))
        for address in HOME, "unknown", "127.0.0.1", "::1", "":  # a proxy may name any address, and none
            self.assertEqual(self.code(self.accounts.register(names.nick("ops"), HORSE, address, False)), "denied")
        self.register("ops", address="127.0.0.1", is_local=True)
        self.register("olga", address="", is_local=True)
        self.register("al")

    def test_or_an_operator_lets_in(self) -> None:
        self.accounts = self.make(Policy("approved"))
        self.assertIsNone(self.get(self.accounts.register(names.nick("al"), HORSE, HOME)))
        self.assertEqual(self.code(self.log_in("al", HORSE)), "denied")
        self.assertEqual(self.code(self.log_in("al")), "auth-failed")
        self.get(self.registry.set_state("al", "active"))
        self.assertIsNotNone(self.get(self.log_in("al", HORSE)))

    def test_a_suspended_or_removed_account_does_not_get_in(self) -> None:
        account = self.register("al")
        token = self.get(self.accounts.make_token(account, "phone"))
        states: list[AccountState] = ["suspended", "removed"]
        for state in states:
            self.get(self.registry.set_state("al", state))
            for secret in HORSE, token:
                self.assertEqual(self.code(self.log_in("al", secret)), "denied")

    def test_an_address_makes_ten_accounts_an_hour(self) -> None:
        for number in range(10):
            self.register(f"al{number}")
        self.assertEqual(self.code(self.accounts.register(names.nick("bo"), HORSE, HOME)), "rate-limited")
        self.register("bo", address="198.51.100.1")
        self.reactor.advance(361)
        self.register("cy")


class ChangeTests(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.al = self.register("al")

    def change(self, old: str, new: str, revoke: bool = False) -> Deferred[None]:
        return self.accounts.change_password(self.al, old, new, revoke)

    def test_a_password_is_changed_by_whoever_knows_the_old_one(self) -> None:
        self.assertEqual(self.code(self.change("wrong password", "battery staple")), "auth-failed")
        self.get(self.change(HORSE, "battery staple"))
        self.assertEqual(self.code(self.log_in("al", HORSE)), "auth-failed")
        self.assertEqual(self.get(self.log_in("al", "battery staple")), self.al)

    def test_the_new_one_must_be_one_that_can_be_chosen(self) -> None:
        self.assertEqual(self.code(self.change(HORSE, "short")), "bad-message")

    def test_tokens_stay_unless_they_are_to_end(self) -> None:
        token = self.get(self.accounts.make_token(self.al, "phone"))
        self.get(self.change(HORSE, "battery staple"))
        self.assertEqual(self.get(self.log_in("al", token)), self.al)
        self.get(self.change("battery staple", HORSE, revoke=True))
        self.assertEqual(self.code(self.log_in("al", token)), "auth-failed")

    def test_a_password_that_was_changed_meanwhile_stays_changed(self) -> None:
        self.patch(self.registry, "set_password", lambda key, old, new: succeed(old == "another hash"))
        error = self.failureResultOf(self.change(HORSE, "battery staple"), WireError).value
        self.assertEqual((error.code, "meanwhile" in error.text), ("auth-failed", True))

    def test_an_account_changes_its_password_ten_times_an_hour(self) -> None:
        for _ in range(10):
            self.assertEqual(self.code(self.change("wrong password", "battery staple")), "auth-failed")
        error = self.failureResultOf(self.change(HORSE, "battery staple"), WireError).value
        self.assertEqual(error.code, "rate-limited")
        self.assertIn("there were too many changes of the password from your account: try again", error.text)


class TokenTests(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.al = self.register("al")

    def test_a_token_logs_its_account_in_without_a_hash(self) -> None:
        token = self.get(self.accounts.make_token(self.al, "phone"))
        self.assertEqual(self.get(self.log_in("al", token)), self.al)
        self.assertEqual(self.hasher.checked, 0)

    def test_it_is_stored_hashed_with_when_it_was_used(self) -> None:
        token = self.get(self.accounts.make_token(self.al, "phone"))
        (stored,) = self.get(self.accounts.tokens(self.al))
        self.assertEqual((stored.label, stored.created, stored.used), ("phone", 1_000_500, None))
        self.assertNotIn(token, repr(stored))
        self.reactor.advance(1)
        self.get(self.log_in("al", token))
        (stored,) = self.get(self.accounts.tokens(self.al))
        self.assertEqual(stored.used, 1_001_500)

    def test_it_is_of_no_use_to_another_account(self) -> None:
        token = self.get(self.accounts.make_token(self.al, "phone"))
        self.register("bo")
        self.assertEqual(self.code(self.log_in("bo", token)), "auth-failed")
        self.assertEqual(self.code(self.log_in("al", "tc_" + "x" * 43)), "auth-failed")

    def test_it_works_during_a_pause(self) -> None:
        token = self.get(self.accounts.make_token(self.al, "phone"))
        for _ in range(ACCOUNT.free):
            self.log_in("al", "wrong password", AWAY).addErrback(lambda failure: None)
        self.assertEqual(self.code(self.log_in("al", HORSE, AWAY)), "rate-limited")
        self.assertEqual(self.get(self.log_in("al", token, AWAY)), self.al)
        self.assertEqual(self.get(self.log_in("al", HORSE, AWAY)), self.al, "its owner is known there now")

    def test_it_is_revoked_by_its_label(self) -> None:
        token = self.get(self.accounts.make_token(self.al, "phone"))
        self.assertEqual(self.get(self.accounts.revoke_token(self.al, "laptop")), 0)
        self.assertEqual(self.get(self.accounts.revoke_token(self.al, "phone")), 1)
        self.assertEqual(self.code(self.log_in("al", token)), "auth-failed")

    def test_it_makes_a_number_of_them_in_an_hour(self) -> None:
        for _ in range(MAX_TOKENS):
            self.get(self.accounts.make_token(self.al, "phone"))
        error = self.failureResultOf(self.accounts.make_token(self.al, "phone"), WireError).value
        self.assertEqual(error.code, "rate-limited")
        self.assertIn("there were too many new tokens from your account: try again", error.text)
        self.reactor.advance(361)
        self.get(self.accounts.make_token(self.al, "phone"))

    def test_an_account_has_a_number_of_them(self) -> None:
        for number in range(MAX_TOKENS):
            self.get(self.accounts.make_token(self.al, str(number)))
        self.reactor.advance(3600)
        self.assertEqual(self.code(self.accounts.make_token(self.al, "one more")), "full")
        self.get(self.accounts.make_token(self.al, "7"))


class CheckerTests(LoginTestCase):
    """Checkers of `twisted.cred` in the place of the registry's passwords."""

    def setUp(self) -> None:
        super().setUp()
        first, second = (InMemoryUsernamePasswordDatabaseDontUse() for _ in range(2))
        first.addUser(b"al", b"als password")
        second.addUser(b"bo", b"bos password")
        second.addUser(b"p\xd0\xb0ul", b"another")
        self.accounts = self.make(Policy(checkers=(first, second)))

    def test_each_is_asked_until_one_knows_the_password(self) -> None:
        for nick in "al", "bo":
            self.assertEqual(self.get(self.log_in(nick, f"{nick}s password")), Account(names.nick(nick), 1_000_500))
            self.assertEqual(self.code(self.log_in(nick, "wrong password")), "auth-failed")

    def test_who_has_logged_in_has_an_account_from_then_on(self) -> None:
        self.assertIsNone(self.get(self.log_in("bo")))
        self.get(self.log_in("bo", "bos password"))
        self.assertEqual(self.code(self.log_in("bo")), "auth-failed")

    def test_there_is_nothing_to_register_or_to_change_here(self) -> None:
        self.assertEqual(self.code(self.accounts.register(names.nick("cy"), HORSE, HOME)), "denied")
        al = self.get(self.log_in("al", "als password"))
        assert al
        self.assertEqual(self.code(self.accounts.change_password(al, "als password", HORSE, False)), "denied")

    def test_an_account_that_looks_like_another_is_not_entered(self) -> None:
        self.get(self.registry.add(login.new_account(names.nick("paul"), "", self.reactor)))
        self.assertEqual(self.code(self.log_in("pаul", "another")), "nick-taken")

    def test_a_checker_that_answers_with_another_name_does_not_log_in(self) -> None:
        class Renaming(InMemoryUsernamePasswordDatabaseDontUse):
            def requestAvatarId(self, credentials: Any) -> Any:
                return super().requestAvatarId(credentials).addCallback(lambda name: name.decode() + "-x")

        checker = Renaming()
        checker.addUser(b"al", b"als password")
        self.accounts = self.make(Policy(checkers=(checker,)))
        self.assertEqual(self.code(self.log_in("al", "als password")), "auth-failed")


class SharedTests(LoginTestCase):
    """What an attacker would gain by using all servers is counted at all of them."""

    def setUp(self) -> None:
        super().setUp()
        self.shared = FakeSharedLimits()
        self.accounts = make_login(self.registry, EVERYBODY, self.reactor, self.hasher, self.shared)

    def told(self) -> list[tuple[object, ...]]:
        told = self.shared.told[:]
        self.shared.told.clear()
        return told

    def test_log_ins_are_counted_at_all_servers(self) -> None:
        account = self.register("al")
        self.told()
        self.get(self.log_in("al", HORSE))
        self.assertEqual(self.told(), [("begin", "al", HOME), ("succeeded", "al", HOME)])
        self.assertEqual(self.code(self.log_in("al", "wrong password")), "auth-failed")
        self.assertEqual(self.told(), [("begin", "al", HOME), ("failed", "al", HOME)])
        secret = self.get(self.accounts.make_token(account, "phone"))
        self.get(self.log_in("al", secret, AWAY))
        self.assertEqual(self.told(), [("owner", "al", AWAY)])
        self.shared.permission = succeed(Permission(wait=5))
        checked = self.hasher.checked
        self.assertEqual(self.code(self.log_in("al", HORSE)), "rate-limited")
        self.assertEqual(self.hasher.checked, checked)

    def test_registrations_and_changes_of_a_password_are_counted_at_all_servers(self) -> None:
        account = self.register("al", address="2001:db8::1")
        rate, burst = login.REGISTRATIONS
        take = ("take", "registrations 2001:db8::/64", rate, burst)
        self.assertEqual(self.told(), [take, ("owner", "al", "2001:db8::/64")])
        self.shared.wait = 30.0
        error = self.failureResultOf(self.accounts.register(names.nick("bo"), HORSE, HOME), WireError).value
        self.assertEqual((error.code, error.retry), ("rate-limited", 30.001))
        self.assertIsNone(self.get(self.registry.find("bo")))
        self.assertEqual(self.code(self.accounts.change_password(account, HORSE, HORSE + "2", False)), "rate-limited")
        self.assertEqual(self.told()[1], ("take", "changes of the password al", *login.PASSWORD_CHANGES))

    def test_what_has_no_address_is_not_counted(self) -> None:
        self.register("al", address="")
        self.assertEqual(self.told(), [("owner", "al", "")])
