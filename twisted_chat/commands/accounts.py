"""`twisted-chat account`: what the person who runs a server does to accounts, also while it runs."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from getpass import getpass, getuser
from typing import Final, get_args

from .. import names
from ..messages import SERVER, WireError, time_text
from ..passwords import check_password, hash_now
from ..registry import AccountState, Action, StoredAccount
from . import Command, Problem
from .account_stores import AccountStore, accounts_of, changing_accounts
from .files import takes_database
from .table import table

PAGE: Final = 5_000
"""Accounts that are read in one statement."""

_HEADS: Final = ("nick", "state", "registered (UTC)", "tokens")

_Prompt = Callable[[str], str]
"""Shows a text on the terminal, and returns the line that is typed."""

_Change = Callable[[AccountStore, StoredAccount], None]
"""Changes an account as part of a transaction."""


def _arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    states = get_args(AccountState)

    def add(name: str, text: str, act: Callable[..., int]) -> ArgumentParser:
        action: ArgumentParser = actions.add_parser(name, help=text, description=text)
        takes_database(action, of_any_kind=True)
        action.set_defaults(act=act, action=name)
        return action

    add("list", "Show all accounts.", _list).add_argument("--state", choices=states, help="only those in this state")
    for name, text, act in (
        ("approve", "Let accounts in that wait for it, or were suspended.", _approve),
        ("suspend", "Shut accounts out, until they are approved again; their sessions end.", _suspend),
        (
            "remove",
            "Remove accounts for good, with their roles. Their messages stay, and their nicks stay reserved.",
            _remove,
        ),
    ):
        action = add(name, text, act)
        action.add_argument("nicks", metavar="NICK", nargs="+", help="the nick of an account")
        action.add_argument("--reason", metavar="TEXT", default="", help="why, for the audit log")
        if act is _remove:
            action.add_argument("--yes", action="store_true", help="do not ask first")
    for name, text, act in (
        ("add", "Make an account, whether people can register or not.", _add),
        ("reset-password", "Set a new password. The tokens and the sessions of the account end.", _reset_password),
    ):
        action = add(name, f"{text} The password is asked for, or is the first line of the standard input.", act)
        action.add_argument("nicks", metavar="NICK", nargs=1, help="the nick of the account")
        action.set_defaults(reason="")


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def run(
    options: Namespace,
    prompt: _Prompt = getpass,
    confirm: _Prompt = input,
    is_terminal: Callable[[], bool] = _is_terminal,
) -> int:
    """Run the command. Where the input is a terminal, `prompt` asks for a password, and `confirm` whether to go on."""
    options.prompt, options.confirm = (prompt, confirm) if is_terminal() else (None, None)
    act: Callable[[Namespace], int] = options.act
    try:
        return act(options)
    except EOFError:  # Ctrl-D
        raise Problem("there was no answer: nothing was changed") from None


def _list(options: Namespace) -> int:
    with accounts_of(options.database) as store:
        tokens = store.token_counts()
        rows: list[tuple[str, ...]] = []
        last = ""
        while page := store.accounts(last, PAGE, options.state):
            last = page[-1].name.key
            rows += [(a.name.shown, a.state, _minute(a.created), str(tokens.get(a.name.key, 0))) for a in page]
    print("\n".join(table(_HEADS, rows)))
    return 0


def _minute(milliseconds: int) -> str:
    return time_text(milliseconds)[:16].replace("T", " ")


def _add(options: Namespace) -> int:
    try:
        name = names.nick(options.nicks[0])
    except WireError as error:
        raise Problem(error.text) from None
    if names.is_reserved(name):
        raise Problem(f"the nick {name.shown} is reserved for the server: choose another one")
    if names.is_label(name):
        raise Problem(f"{name.shown} is what a client without a hello is called: choose another one")
    hashed = hash_now(_new_password(options.prompt, name.shown))
    account = StoredAccount(name=name, skeleton=names.skeleton(name.shown), password=hashed, created=_now())
    with changing_accounts(options.database) as store:
        if not store.add(account):
            raise Problem(f"the nick {name.shown} is that of another account, or looks like it: choose another one")
        store.write_action(_action(options, account))
    print(f"{name.shown} has an account")
    return 0


def _approve(options: Namespace) -> int:
    for account in _change(options, lambda store, account: store.approve(account.name.key)):
        print(f"{account.name.shown} is let in")
    return 0


def _suspend(options: Namespace) -> int:
    for account in _change(options, lambda store, account: store.suspend(account.name.key)):
        print(f"{account.name.shown} is suspended")
    return 0


def _remove(options: Namespace) -> int:
    if not options.yes:
        with accounts_of(options.database) as store:
            accounts = [_find(store, nick) for nick in options.nicks]
        _confirm(options.confirm, f"Remove {', '.join(account.name.shown for account in accounts)} for good?")
    for account in _change(options, lambda store, account: store.remove(account.name.key)):
        print(f"{account.name.shown} is removed, and the nick stays reserved for good")
    return 0


def _confirm(confirm: _Prompt | None, question: str) -> None:
    """Ask whether to do what cannot be undone. Raises `Problem` unless the answer is yes."""
    if confirm is None:
        raise Problem("this cannot be undone: add --yes, as there is no terminal to ask on")
    if confirm(f"{question} This cannot be undone. Type yes: ").strip().lower() != "yes":
        raise Problem("nothing was changed")


def _reset_password(options: Namespace) -> int:
    (nick,) = options.nicks
    with accounts_of(options.database) as store:
        _find(store, nick)  # before the password is asked for
    hashed = hash_now(_new_password(options.prompt, nick))
    (account,) = _change(options, lambda store, account: store.reset_password(account, hashed))
    print(f"{account.name.shown} has a new password, and no tokens")
    if account.state != "active":
        print(f"{account.name.shown} is {account.state}: approve lets it in", file=sys.stderr)
    return 0


def _new_password(prompt: _Prompt | None, nick: str) -> str:
    """Ask for a password, or read it; raises `Problem`."""
    if prompt is not None:
        password = prompt(f"New password of {nick}: ")
        if prompt("The same again: ") != password:
            raise Problem("these were two passwords: nothing was changed")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    try:
        check_password(password)
    except WireError as error:
        raise Problem(error.text) from None
    return password


def _change(options: Namespace, change: _Change) -> list[StoredAccount]:
    """Change all accounts that are named, or none, with an entry in the audit log for each; returns them as they were.

    Raises `Problem`.
    """
    with changing_accounts(options.database) as store:
        accounts = [_find(store, nick) for nick in options.nicks]
        for account in accounts:
            change(store, account)
            store.write_action(_action(options, account))
    return accounts


def _action(options: Namespace, account: StoredAccount) -> Action:
    """Make an entry of the audit log."""
    return Action(
        kind=options.action,
        author=SERVER,  # a nick that nobody else can take
        target=account.name.shown,
        value=_user(),
        msg=options.reason,
        time=_now(),
    )


def _now() -> int:
    """The time of day, in milliseconds since 1970."""
    return int(time.time() * 1000)


def _find(store: AccountStore, nick: str) -> StoredAccount:
    """Find an account that can be changed. A removed one cannot: its next bearer would read its direct messages."""
    try:
        account = store.find(names.author(nick).key)
    except WireError as error:
        raise Problem(f"'{nick}' is no nick: {error.text}") from None
    if account is None:
        raise Problem(f"there is no account '{nick}': see twisted-chat account list")
    if account.state == "removed":
        raise Problem(f"the account {account.name.shown} was removed for good, and its nick stays reserved")
    return account


def _user() -> str:
    """The name of the user of this machine who runs the command, for the audit log."""
    try:
        return getuser()
    except (KeyError, OSError):  # a container may have no name for it
        return str(os.getuid())


ACCOUNT: Final = Command(
    "account", "Show and make accounts, let them in or shut them out, reset passwords.", _arguments, run
)
