"""Which reactor a client uses where it was given none: programs that begin in Twisted, and in `asyncio.run`."""

from __future__ import annotations

import asyncio

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat.client.reactors import OTHER_LOOP, find_reactor

from .programs import TIMEOUT, Server, run_script


class FindTests(SynchronousTestCase):
    def test_without_a_running_loop_it_is_twisteds(self) -> None:
        self.assertIs(find_reactor(), reactor)

    def test_in_a_loop_that_is_not_the_reactors_it_says_what_to_do(self) -> None:
        async def main() -> None:
            find_reactor()

        error = self.assertRaises(RuntimeError, asyncio.run, main())
        self.assertEqual(str(error), OTHER_LOOP)


class RunTests(TestCase):
    """Whole programs."""

    async def test_a_program_may_begin_with_asyncio_run(self) -> None:
        server = await Server.start(self)
        done = await run_script(f"""
import asyncio
from twisted_chat.client import connect

async def main():
    one, other = await asyncio.gather(*(connect("tcp:localhost:{server.port}", nick=nick) for nick in ("al", "bo")))
    room, there = await one.join("lobby"), await other.join("lobby")
    async with asyncio.timeout({TIMEOUT}):
        print(await room.say("hi"), (await there.receive()).msg)
    await one.close()
    await other.close()

asyncio.run(main())
""")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "1 hi\n", ""))

    async def test_a_client_that_was_not_closed_does_not_keep_the_program(self) -> None:
        server = await Server.start(self)
        done = await run_script(f"""
import asyncio
from twisted_chat.client import connect

async def main():
    await connect("tcp:localhost:{server.port}", nick="al")

asyncio.run(main())
try:
    asyncio.run(main())
except RuntimeError as error:
    print(str(error)[:22])
""")
        self.assertEqual((done.returncode, done.stdout), (0, "this asyncio loop is n\n"))
