"""Two real servers, `twistd -n chat`, on one database."""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.defer import maybeDeferred

from twisted_chat import names, service

from .postgresql import PostgreSQLTestCase
from .programs import Client, Server

PASSWORD = "correct horse battery"


class ServersTests(PostgreSQLTestCase):
    """People at different servers are in the same chat."""

    async def begin(self) -> None:
        self.one, self.other = [await Server.start(self, "--database", self.cluster.url) for _ in range(2)]

    async def end(self) -> None:
        for server in self.one, self.other:
            self.assertEqual(await server.stop(), 0)
            self.assertNotIn("Traceback", server.output)

    async def until(self, client: Client, kind: str) -> Any:  # type: ignore[override]  # a client is waited for here
        """Hear objects until there is one of a type."""
        while (heard := await client.hears())["type"] != kind:
            pass
        return heard

    async def test_what_is_said_at_one_server_is_heard_at_the_other(self) -> None:
        await self.begin()
        al, bo = await self.one.hello(self, "al", "den"), await self.other.hello(self, "bo", "den")
        self.assertEqual((await al.hears())["author"], "bo")
        ack = await al.asks(room="den", msg="hi", id="1")
        self.assertEqual((ack["type"], ack["seq"]), ("ack", 1))
        heard = await bo.hears()
        self.assertEqual((heard["author"], heard["msg"], heard["seq"]), ("al", "hi", 1))
        await bo.asks(room="den", msg="ho", id="1")
        self.assertEqual((await al.hears())["msg"], "ho")
        self.assertEqual((await bo.asks(type="who", room="den"))["members"], ["al", "bo"])
        ack = await bo.asks(to="al", msg="psst", id="2")
        self.assertEqual((ack["type"], (await al.hears())["msg"]), ("ack", "psst"))
        stranger = await self.other.client(self)
        self.assertEqual((await stranger.asks(type="hello", nick="AL"))["code"], "nick-taken")
        self.assertEqual(await self.one.stop(), 0)
        left = await self.until(bo, "leave")
        self.assertEqual((left["author"], left["room"]), ("al", "den"))
        third = await self.other.hello(self, "al")
        joined = await third.asks(type="join", room="den", since=1)
        self.assertEqual((joined["seq"], joined["count"]), (2, 2))
        self.assertEqual((await third.hears())["seq"], 2)
        self.assertEqual(await self.other.stop(), 0)

    async def test_accounts_and_moderators_are_the_same_at_all_servers(self) -> None:
        await self.begin()
        al, bo = await self.one.hello(self, "al"), await self.other.hello(self, "bo")
        for client in al, bo:
            self.assertEqual((await client.asks(type="register", password=PASSWORD))["type"], "registered")
        phone = await self.other.client(self)
        welcome = await phone.asks(type="hello", nick="al", password=PASSWORD)
        self.assertTrue(welcome["account"])
        ack = await al.asks(to="bo", msg="psst", id="1")
        self.assertEqual(ack["seq"], 1)
        for client in bo, phone:
            heard = await client.hears()
            self.assertEqual((heard["msg"], heard["to"], heard["seq"]), ("psst", "bo", 1))
        self.assertEqual((await al.asks(type="join", room="den"))["role"], "owner")
        await al.asks(room="den", msg="hi", id="1")
        await bo.asks(type="join", room="den")
        await self.until(al, "join")
        kicked = await al.asks(type="kick", room="den", nick="bo", msg="spam", id="2")
        self.assertEqual((kicked["type"], (await self.until(bo, "kick"))["author"]), ("kick", "al"))
        await bo.asks(type="join", room="den")
        await self.until(al, "join")
        al.says(type="ban", room="den", who="bo", id="3")
        self.assertEqual((await self.until(bo, "kick"))["nick"], "bo")
        self.assertEqual((await bo.asks(type="join", room="den"))["code"], "banned")
        await self.end()

    async def test_the_people_of_a_killed_server_leave_within_seconds(self) -> None:
        await self.begin()
        await self.one.hello(self, "al", "den")
        bo = await self.other.hello(self, "bo", "den")
        self.one.signal(signal.SIGKILL)
        await self.one.ends()
        await self.sql("UPDATE lease SET until = until - interval '9 s'")
        self.assertEqual((await self.until(bo, "leave"))["author"], "al")
        self.assertEqual((await bo.asks(type="who", room="den"))["members"], ["bo"])
        await self.other.stop()


class StoreTests(PostgreSQLTestCase):
    """The service opens the store of a URL."""

    async def test_a_url_is_opened_on_the_event_loop_of_the_reactor(self) -> None:
        self.patch(service, "event_loop", lambda reactor: self.loop)
        settings: Any = service.StoreSettings(self.cluster.url)
        opened = await maybeDeferred(settings.open, self.clock)
        self.addCleanup(opened.log.close)
        room = await opened.log.open(names.room("den"))
        self.assertFalse(room.is_kept)
