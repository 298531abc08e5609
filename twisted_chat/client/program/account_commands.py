"""The commands about one's own account. A password is never part of a typed line: it is asked for, and not shown."""

from __future__ import annotations

from typing import Final

from .clean import clean
from .command import Command, Mistake
from .login import token_label
from .person import Person
from .times import local_time


async def _secret(person: Person, prompt: str) -> str:
    """Ask for a password. Raises `Mistake` if there is none."""
    secret = await person.screen.secret(prompt)
    if not secret:
        raise Mistake("nothing was done, since no password was typed")
    return secret


async def _new_secret(person: Person, prompt: str) -> str:
    """Ask for a new password: twice, where a person types it without seeing it. Raises `Mistake`."""
    secret = await _secret(person, prompt)
    if person.screen.is_personal and await _secret(person, "the same once more") != secret:
        raise Mistake("nothing was done, since the two passwords differ")
    return secret


def _check_alone(argument: str, words: int, usage: str) -> None:
    """Raise `Mistake` if somebody typed a password after a command, as in other programs."""
    if len(argument.split()) > words:
        raise Mistake(f"type {usage} alone: it asks for the password, which is not shown then")


async def _register(person: Person, argument: str) -> None:
    _check_alone(argument, 0, "/register")
    nick = clean(person.client.nick)
    if person.client.account:
        raise Mistake(f"{nick} is your account already; /password changes its password")
    secret = await _new_secret(person, f"a password for {nick}{person.warning}")
    if await person.client.register(secret):
        person.screen.note(f"{nick} is your account now: nobody else can take this nick")
        await offer_to_remember(person)
    else:
        person.screen.note(f"{nick} is your account as soon as an operator lets it in")


async def _login(person: Person, argument: str) -> None:
    _check_alone(argument, 1, "/login NICK")
    nick = argument.removeprefix("@") or person.client.nick
    secret = await _secret(person, f"password of {clean(nick)}{person.warning}")
    nick = await person.client.log_in(nick, secret)
    person.screen.note(f"you are {clean(nick)}, and logged in")
    await offer_to_remember(person)


async def _password(person: Person, argument: str) -> None:
    if argument not in ("", "-r"):
        raise Mistake("type /password, or /password -r: it asks for the passwords, which are not shown then")
    _check_account(person)
    old = await _secret(person, f"the old password of {clean(person.client.nick)}{person.warning}")
    new = await _new_secret(person, "the new password")
    await person.client.change_password(old, new, revoke=bool(argument))
    ended = "; its tokens and other connections are ended" if argument else ""
    person.screen.note(f"the password of {clean(person.client.nick)} is changed{ended}")
    if argument:
        await offer_to_remember(person)


def _check_account(person: Person) -> None:
    if not person.client.account:
        raise Mistake(f"{clean(person.client.nick)} is no account: /register makes it one, /login NICK logs in")


async def offer_to_remember(person: Person) -> None:
    """Ask a person who has logged in whether to stay logged in on this machine, with a token in a file."""
    tokens = person.tokens
    if tokens is None or tokens.path is None or not person.screen.is_personal:
        return
    if not await person.screen.confirm(f"stay logged in on this machine? y keeps a token in {tokens.path}"):
        return
    tokens.get(person.client.nick)
    if tokens.problem:
        raise Mistake(tokens.problem)
    label = token_label()
    secret = await person.client.make_token(label)
    try:
        tokens.set(person.client.nick, secret)
    except OSError as error:
        raise Mistake(f"{tokens.path} cannot be written: {error.strerror}") from None
    person.screen.note(clean(f"you stay logged in here; /revoke {label} ends that"))


async def _token(person: Person, argument: str) -> None:
    _check_account(person)
    secret = await person.client.make_token(argument)
    person.screen.note(clean(f"a token, which logs in like your password and is shown this once: {secret}"))


async def _tokens(person: Person, argument: str) -> None:
    _check_account(person)
    tokens = await person.client.tokens()
    for token in tokens:
        used = "never used" if token.used is None else f"last used {local_time(token.used)}"
        person.screen.note(f"{clean(token.label)}: made {local_time(token.created)}, {used}")
    if not tokens:
        person.screen.note("your account has no tokens; /token LABEL makes one")


async def _revoke(person: Person, argument: str) -> None:
    _check_account(person)
    await person.client.revoke_token(argument)
    if person.tokens is not None and argument == token_label():
        person.tokens.set(person.client.nick, None)
    person.screen.note(f"the token {clean(argument)} is revoked: it logs in no more")


COMMANDS: Final = (
    Command("register", "", "make your nick an account; asks for a password", _register, lasting=True, secret=True),
    Command(
        "login",
        "[NICK]",
        "log in to an account; asks for its password",
        _login,
        aliases=("identify", "auth", "signin"),
        lasting=True,
        secret=True,
    ),
    Command(
        "password",
        "[-r]",
        "change your password; -r also ends your tokens and other connections",
        _password,
        aliases=("passwd", "setpass"),
        lasting=True,
        secret=True,
    ),
    Command("token", "LABEL", "make a token, which logs in like your password", _token, lasting=True),
    Command("tokens", "", "list your tokens", _tokens),
    Command("revoke", "LABEL", "end a token", _revoke, lasting=True),
)
