"""A chat moves from SQLite to PostgreSQL and back, and nothing is lost or changed."""

from __future__ import annotations

import json
import sys

from twisted.internet import reactor
from twisted.internet.task import deferLater

from twisted_chat import names
from twisted_chat.commands import postgresql
from twisted_chat.log import DELETE, Entry
from twisted_chat.registry import Action, Report
from twisted_chat.rules import Change, Role, Rule

from .commands import CommandTestCase, Outcome
from .postgresql import PostgreSQLTestCase
from .registry_contract import account, token
from .stores import MOST, PLENTY, entry, keep, numbers
from .test_postgresql_log import Follower

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g"


class TransferTests(PostgreSQLTestCase, CommandTestCase):
    """`twisted-chat export` and `import` with the URL of a database."""

    async def run_here(self, command: str, *arguments: str, given: str = "") -> Outcome:
        """Run a command on PostgreSQL."""
        return await self.run_alone(command, "--database", self.cluster.url, *arguments, given=given)

    async def run_alone(self, *arguments: str, given: str = "") -> Outcome:
        """Run a command while the event loop of the tests does not run, since it has one of its own."""
        await deferLater(reactor, 0)
        return self.run_command(*arguments, given=given.encode())

    async def exported(self) -> str:
        """Fill PostgreSQL with a bit of everything, and export it."""
        opened = await self.open_postgresql()
        log, registry = opened.log, opened.registry
        den = await log.open(names.room("Den"))
        direct = await log.open(names.direct(names.nick("al"), names.nick("bo")))
        await den.set_topic("cats \0")
        said = [entry(den, "a\0", "1\0"), entry(den, "secret"), entry(direct, "psst", "x"), entry(den, "c", "2", "Bo")]
        await keep(log, said, 1_700_000_000_000)
        await keep(log, [Entry(den, names.nick("mo"), "", kind=DELETE, of=2)], 1_700_000_001_000)
        await registry.add(account("Al", names.skeleton("Al"), password=HASH, created=1_700_000_000_000))
        await registry.add_token(token(b"x" * 32, key="al"), 9)
        role = Rule(room="den", kind="role", subject="al", shown="Al", value=Role.OWNER, author="server")
        lock = Rule(room="den", kind="lock", msg="full\0")
        for change in Change((role, lock)), Change(ended=(lock.key,)):
            await registry.act(Action(kind="grant", author="al", room="den", msg="\0"), change)
        await registry.report(Report(room="den", of=1, author="Al", msg="rude"))
        done = await self.run_here("export", "--accounts")
        self.assertEqual((done.status, done.errors), (0, ""))
        return done.output

    async def test_a_chat_moves_to_sqlite_and_back_with_everything(self) -> None:
        text = await self.exported()
        kinds = [next(iter(json.loads(line))) for line in text.splitlines()]
        self.assertEqual(kinds.count("room"), 6)
        self.assertEqual(
            [kinds.count(kind) for kind in ("account", "token", "rule", "action", "report")], [1, 1, 1, 2, 1]
        )
        file = str(self.folder / "moved.sqlite")
        for database in (file, self.cluster.url):
            await self.sql("TRUNCATE room, message, account, token, rule, audit, report")
            await self.sql("UPDATE store SET rooms = 0")
            options = ("--database", database)
            moved = await self.run_alone("import", *options, "--accounts", given=text)
            self.assertEqual(moved.status, 0, moved.errors)
            self.assertIn(
                "imported 5 messages, 1 topic, 1 account, 1 token, 1 rule, 2 actions and 1 report", moved.errors
            )
            again = await self.run_alone("export", *options, "--accounts")
            self.assertEqual(again.output, text)
        twice = await self.run_here("import", "--accounts", given=text)
        self.assertIn("already there: 12; in conflict with what is there: 0", twice.errors)
        self.assertEqual((await self.sql("SELECT rooms FROM store"))[0][0], 2)

    async def test_a_running_server_goes_on_behind_an_import(self) -> None:
        opened = await self.open_postgresql()
        await self.until_true(lambda: opened.cluster._listens_on is not None)  # type: ignore[attr-defined]  # a cluster
        here = Follower(await opened.log.open(names.room("den")))
        await keep(opened.log, [entry(here.log, "10") for _ in range(10)], 5)
        lines = [self.line(number) for number in (3, 12, 15)] + [self.line(12, msg="other")]
        done = await self.run_here("import", given="".join(lines))
        self.assertEqual(done.status, 1)
        self.assertIn("den has another message with the number 3", done.errors)
        self.assertIn("den has another message with the number 12", done.errors)
        await self.until_true(lambda: here.log.seq == 15)
        self.assertLess(0, here.log.epoch)
        await keep(opened.log, [entry(here.log, "16")], 6)
        self.assertEqual(numbers(await here.log.after(9, MOST, PLENTY)), [10, 12, 15, 16])
        self.assertEqual((await self.sql("SELECT oldest, head, skipped FROM room"))[0], (1, 16, 3))

    def line(self, number: int, **fields: object) -> str:
        usual = {"room": "den", "seq": number, "time": "2026-01-01T00:00:00.000Z", "author": "bob", "msg": "hi"}
        return json.dumps(usual | fields) + "\n"

    async def test_messages_of_the_same_id_and_other_topics_are_conflicts(self) -> None:
        lines = [self.line(5, id="1"), self.line(6, id="1"), self.line(2)]
        lines += [json.dumps({"room": "den", "topic": topic}) + "\n" for topic in ("cats", "cats", "dogs")]
        done = await self.run_here("import", given="".join(lines))
        self.assertIn("den has a message of that author and id with another number", done.errors)
        self.assertIn("den has another topic", done.errors)
        self.assertIn(
            "imported 2 messages and 1 topic; already there: 1; in conflict with what is there: 2", done.errors
        )
        self.assertEqual((await self.sql("SELECT oldest, head, skipped FROM room"))[0], (2, 5, 2))

    async def test_a_bad_line_ends_the_import_with_the_lines_before_it(self) -> None:
        done = await self.run_here("import", given=self.line(1) + "nonsense\n")
        self.assertEqual(done.status, 1)
        self.assertEqual((await self.sql("SELECT count(*) FROM message"))[0][0], 1)

    async def test_a_database_that_is_not_there_is_an_error_in_one_line(self) -> None:
        options = ("export", "--database", "postgresql://chat:secret@127.0.0.1:1/chat")
        done = await self.run_alone(*options)
        self.assertEqual((done.status, done.errors.count("\n")), (1, 1))
        self.assertNotIn("secret", done.errors)

    async def test_trouble_in_the_middle_is_an_error_in_one_line(self) -> None:
        await self.open_postgresql()
        await self.sql("DROP TABLE report")
        done = await self.run_here("export", "--accounts")
        self.assertEqual(done.status, 1)
        self.assertIn('relation "report" does not exist', done.errors)

    async def test_other_errors_are_not_hidden(self) -> None:
        await deferLater(reactor, 0)
        with self.assertRaises(ZeroDivisionError), postgresql.connecting(self.cluster.url) as connection:
            connection.execute("SELECT 1")
            raise ZeroDivisionError

    async def test_the_package_is_named_where_it_is_missing(self) -> None:
        self.patch(postgresql, "find_spec", lambda _: None)
        done = await self.run_here("export")
        self.assertIn(f"{sys.executable} -m pip install asyncpg", done.errors)
