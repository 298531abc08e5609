"""Logging in: the accounts of a registry, behind `twisted.cred`.

A portal turns credentials into an account. Its checker is the registry, whose passwords are hashed; other checkers of
`twisted.cred` (`twistd chat --auth`) may take its place. A token of an account is checked before: it is random and
long, so its hash needs no time.

An unknown account costs the same hash as a known one and gets the same answer. Wrong passwords are answered with
growing pauses (`Pauses`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, NamedTuple

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from zope.interface import Interface, implementer

from . import clock, names
from .limits import AddressBuckets, Buckets, Limits
from .messages import WireError
from .names import Name
from .passwords import Passwords, check_password
from .pauses import Pauses, SharedPauses
from .registry import Registry, StoredAccount, StoredToken
from .rules import Account
from .shared_limits import SharedLimits

Registration = Literal["open", "approved", "closed"]
"""The people who may make an account: everybody, everybody whom an operator then lets in, or nobody."""

TOKEN_PREFIX: Final = "tc_"
"""The beginning of a token: a secret that leaks into a file or a log can be searched for."""

TOKEN_BYTES: Final = 32
"""Random bytes of a token, which cannot be guessed (RFC 4086 asks for 16 at least)."""

MAX_TOKENS: Final = 20
"""The maximum number of tokens of an account: more devices than a person has, and a list that can be read."""

LOGINS: Final = (5.0, 100)
"""Log-ins with a password of one address: per second in the long run, and at once. One takes some 30 ms of a core, so
that somebody who guesses takes a sixth of one."""

OWN_LOGINS: Final = (0.1, 20)
"""Log-ins of an account with the right password that its address is not charged for: all its connections come back
after a restart. So an office of two hundred is back in seconds; the threads that hash are the bound."""

NEW_TOKENS: Final = (10 / 3600, MAX_TOKENS)
"""Tokens that an account may make: all that it may have at once, and 10 an hour. Each is a write of its own."""

REGISTRATIONS: Final = (10 / 3600, 10)
"""Accounts that one address may make: 10 an hour. A class that registers together asks its operator for the rest."""

PASSWORD_CHANGES: Final = (10 / 3600, 10)
"""Changes of the password that an account may try: each takes two hashes, and the old one could be guessed here."""

_log = Logger("twisted_chat.accounts")


class Policy(NamedTuple):
    """The people who are let in, and those who run the server."""

    registration: Registration = "open"
    guests: bool = True
    """True if nicks without an account are let in."""
    operators: frozenset[str] = frozenset()
    """The keys of the accounts of those who run the server."""
    checkers: tuple[ICredentialsChecker, ...] = ()
    """The checkers that take the place of the registry's passwords; each is asked until one knows a password."""


EVERYBODY: Final = Policy()
"""Guests are let in, and everybody can make an account."""


class IAccount(Interface):
    """The interface of a portal's result: an `Account`."""


@implementer(ICredentialsChecker)
class RegistryChecker:
    """The checker that knows the passwords of a registry."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, registry: Registry, passwords: Passwords) -> None:
        self._registry = registry
        self._passwords = passwords

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """Compare a nick and a password with an account. Fires with its key, or fails with `UnauthorizedLogin`."""
        return _deferred(self._check(credentials.username.decode(), credentials.password.decode()))

    async def _check(self, nick: str, password: str) -> bytes:
        key = names.nick(nick).key
        stored = await self._registry.find(key)
        verdict = await self._passwords.check(stored.password if stored else None, password)
        if stored is None or not verdict.is_right:
            raise UnauthorizedLogin
        if verdict.new_hash is not None:
            await self._registry.set_password(key, stored.password, verdict.new_hash)
        return key.encode()


@implementer(IRealm)
class Realm:
    """The accounts of a registry. One that only another checker knows is entered at its first login."""

    def __init__(self, registry: Registry, reactor: Any) -> None:
        self._registry = registry
        self._reactor = reactor

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Deferred[Any]:
        """Find an account. Fails with `WireError` if an operator has not let it in, or has shut it out."""
        name = names.nick(avatarId.decode() if isinstance(avatarId, bytes) else avatarId)
        return Deferred.fromCoroutine(self._find(name)).addCallback(lambda account: (IAccount, account, _do_nothing))

    async def _find(self, name: Name) -> Account:
        stored = await self._registry.find(name.key)
        if stored is None:
            stored = new_account(name, "", self._reactor)
            if not await self._registry.add(stored):
                raise WireError("nick-taken", f"the nick {name.shown} looks like that of another account")
        return account_of(stored)


def _do_nothing() -> None:
    """Do nothing. A session ends by itself."""


def new_account(name: Name, password: str, reactor: Any) -> StoredAccount:
    """Make an account that is let in. `password` is a hash, or empty if another checker knows it."""
    now = clock.milliseconds(reactor)
    return StoredAccount(name=name, skeleton=names.skeleton(name.shown), password=password, created=now)


def account_of(stored: StoredAccount) -> Account:
    """Return an account that may log in. Raises `WireError` (`denied`)."""
    if stored.state == "pending":
        raise WireError("denied", f"an operator has to let the account {stored.name.shown} in first: ask one")
    if stored.state == "suspended":
        raise WireError("denied", f"an operator has suspended the account {stored.name.shown}")
    if stored.state == "removed":
        raise WireError("denied", f"an operator has removed the account {stored.name.shown}")
    return Account(stored.name, stored.created)


class Login:
    """The accounts of a registry; see `accounts.Accounts`."""

    def __init__(
        self,
        registry: Registry,
        passwords: Passwords,
        reactor: Any,
        policy: Policy = EVERYBODY,
        shared: SharedLimits | None = None,
    ) -> None:
        """`shared` are the limits that count at all servers of a cluster together; None for a server by itself."""
        self.registry = registry
        self.rules = registry.rules
        self.rules.operators = policy.operators
        self.policy = policy
        self.guests = policy.guests
        self.logins: Counter[str] = Counter()
        self._passwords = passwords
        self._reactor = reactor
        self._has_own_passwords = not policy.checkers
        realm = Realm(registry, reactor)
        self._portals = [Portal(realm, [one]) for one in policy.checkers or [RegistryChecker(registry, passwords)]]
        self._shared = shared
        self._pauses = Pauses(reactor.seconds) if shared is None else SharedPauses(reactor.seconds, shared)
        self._logins = AddressBuckets(reactor.seconds, *LOGINS, "log-ins")
        self._own_logins = AddressBuckets(reactor.seconds, *OWN_LOGINS)
        self._registrations = AddressBuckets(reactor.seconds, *REGISTRATIONS, "registrations")
        self._new_tokens = Buckets(reactor.seconds, *NEW_TOKENS, "new tokens", whose="your account")
        self._changes = Buckets(reactor.seconds, *PASSWORD_CHANGES, "changes of the password", whose="your account")

    def start(self) -> None:
        """Start the threads that hash."""
        self._passwords.pool.start()

    def stop(self) -> None:
        """End them once their work is done."""
        self._passwords.stop()

    def follow(self, heard: Callable[[str], object]) -> None:
        self.registry.follow(heard)

    def limits(self, account: Account | None, limits: Limits) -> Limits:
        return limits

    # Logging in

    def log_in(self, nick: Name, password: str | None, address: str) -> Deferred[Account | None]:
        if password is None:
            return _deferred(self._check_guest(nick))
        return _deferred(self._count_login(nick, password, address))

    def check_guest(self, nick: Name) -> Deferred[None]:
        return _deferred(self._check_guest(nick))

    async def _check_guest(self, nick: Name) -> None:
        if not self.policy.guests and self.policy.registration == "closed":
            raise WireError("denied", "there are no guests on this server: log in with a password")
        if await self.registry.find(nick.key) is not None:
            raise WireError("auth-failed", f"the nick {nick.shown} is somebody's account: log in with its password")
        alike = await self.registry.find_alike(names.skeleton(nick.shown))
        if alike is not None:
            raise WireError("nick-taken", f"{nick.shown} looks like {alike.shown}, which is somebody's account")

    async def _count_login(self, nick: Name, password: str, address: str) -> Account:
        try:
            account = await self._log_in(nick, password, address)
        except WireError as error:
            self.logins["limited" if error.code == "rate-limited" else "failed"] += 1
            raise
        self.logins["succeeded"] += 1
        return account

    async def _log_in(self, nick: Name, password: str, address: str) -> Account:
        account = await self._find_by_token(nick, password)
        if account is not None:
            await maybeDeferred(self._pauses.note_owner, nick.key, address)
            return account
        await self._pauses.begin(nick.key, address)
        try:
            self._logins.take(address)
            account = await self._find_by_password(nick, password)
            if account is None:
                await maybeDeferred(self._pauses.failed, nick.key, address)
                raise WireError("auth-failed", "the nick or the password is wrong")
            await maybeDeferred(self._pauses.succeeded, nick.key, address)
        finally:
            self._pauses.end(nick.key, address)
        if not self._own_logins.find(f"account:{nick.key}").take(self._reactor.seconds()):
            self._logins.give_back(address)
        return account

    async def _find_by_token(self, nick: Name, secret: str) -> Account | None:
        if not secret.startswith(TOKEN_PREFIX):
            return None
        token = await self.registry.find_token(_digest(secret))
        if token is None or token.account != nick.key:
            return None
        stored = await self.registry.find(token.account)
        assert stored is not None  # a token goes with its account
        await self.registry.use_token(token.digest, clock.milliseconds(self._reactor))
        return account_of(stored)

    async def _find_by_password(self, nick: Name, password: str) -> Account | None:
        credentials = UsernamePassword(nick.shown.encode(), password.encode())
        for portal in self._portals:
            try:
                _, account, _ = await portal.login(credentials, None, IAccount)
            except UnauthorizedLogin:
                continue
            if isinstance(account, Account) and account.name.key == nick.key:
                return account
        return None

    async def _take(self, buckets: Buckets, key: str) -> None:
        """Take a token of a key here, and then at all servers. Raises `WireError` if there is none."""
        buckets.take(key)
        counted = buckets.counted(key)
        if self._shared is not None and counted:
            wait = await self._shared.take(f"{buckets.what} {counted}", buckets.rate, buckets.burst)
            if wait:
                raise buckets.error(wait)

    # Requests of an account about itself

    def register(self, nick: Name, password: str, address: str, is_local: bool = False) -> Deferred[Account | None]:
        return _deferred(self._register(nick, password, address, is_local))

    async def _register(self, nick: Name, password: str, address: str, is_local: bool) -> Account | None:
        if self.policy.registration == "closed" or not self._has_own_passwords:
            raise WireError("denied", "nobody can register here: ask an operator for an account")
        if names.is_label(nick):
            raise WireError("bad-nick", f"{nick.shown} is what a client without a hello is called: take another nick")
        if nick.key in self.policy.operators and not is_local:
            why = "can only be made on the server's machine, and not through a proxy"
            raise WireError("denied", f"the operator's account {nick.shown} {why}")
        check_password(password)
        await self._take(self._registrations, address)
        stored = new_account(nick, await self._passwords.hash(password), self._reactor)
        if self.policy.registration == "approved":
            stored = StoredAccount(
                name=nick, skeleton=stored.skeleton, password=stored.password, created=stored.created, state="pending"
            )
        if not await self.registry.add(stored):
            raise WireError("nick-taken", f"{nick.shown} is, or looks like, somebody's account: take another nick")
        await maybeDeferred(self._pauses.note_owner, nick.key, address)
        _log.info("The account {nick} was registered", nick=nick.shown)
        return None if stored.state == "pending" else account_of(stored)

    def change_password(self, account: Account, old: str, new: str, revoke: bool) -> Deferred[None]:
        return _deferred(self._change_password(account, old, new, revoke))

    async def _change_password(self, account: Account, old: str, new: str, revoke: bool) -> None:
        if not self._has_own_passwords:
            raise WireError("denied", "this server does not keep the passwords: change yours where it is kept")
        check_password(new)
        await self._take(self._changes, account.name.key)
        stored = await self.registry.find(account.name.key)
        verdict = await self._passwords.check(stored.password if stored else None, old)
        if stored is None or not verdict.is_right:
            raise WireError("auth-failed", "the old password is wrong")
        if not await self.registry.set_password(account.name.key, stored.password, await self._passwords.hash(new)):
            raise WireError("auth-failed", "the password was changed meanwhile: log in again")
        if revoke:
            await self.registry.revoke_tokens(account.name.key)

    def make_token(self, account: Account, label: str) -> Deferred[str]:
        return _deferred(self._make_token(account, label))

    async def _make_token(self, account: Account, label: str) -> str:
        self._new_tokens.take(account.name.key)
        secret = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        now = clock.milliseconds(self._reactor)
        token = StoredToken(account=account.name.key, label=label, digest=_digest(secret), created=now)
        if not await self.registry.add_token(token, MAX_TOKENS):
            raise WireError("full", f"an account has at most {MAX_TOKENS} tokens: revoke one first")
        return secret

    def tokens(self, account: Account) -> Deferred[list[StoredToken]]:
        return self.registry.tokens(account.name.key)

    def revoke_token(self, account: Account, label: str) -> Deferred[int]:
        return self.registry.revoke_tokens(account.name.key, label)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _deferred(coroutine: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(coroutine)
