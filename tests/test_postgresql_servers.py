"""Two real servers, `twistd -n chat`, on one database."""

from __future__ import annotations

from .postgresql import PostgreSQLTestCase
from .programs import Server


class ServersTests(PostgreSQLTestCase):
    """People at different servers are in the same chat."""

    async def test_what_is_said_at_one_server_is_heard_at_the_other(self) -> None:
        one, other = [await Server.start(self, "--database", self.cluster.url) for _ in range(2)]
        al, bo = await one.hello(self, "al", "den"), await other.hello(self, "bo", "den")
        ack = await al.asks(room="den", msg="hi", id="1")
        self.assertEqual((ack["type"], ack["seq"]), ("ack", 1))
        heard = await bo.hears()
        self.assertEqual((heard["author"], heard["msg"], heard["seq"]), ("al", "hi", 1))
        await bo.asks(room="den", msg="ho", id="1")
        self.assertEqual((await al.hears())["msg"], "ho")
        self.assertEqual(await one.stop(), 0)
        again = await other.client(self)
        await again.asks(type="hello", nick="al")
        joined = await again.asks(type="join", room="den", since=1)
        self.assertEqual(joined["seq"], 2)
        self.assertEqual((await again.hears())["seq"], 2)
        self.assertEqual(await other.stop(), 0)
        self.assertNotIn("Traceback", one.output + other.output)
