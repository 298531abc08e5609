"""The library talks over TLS to the real server, and says why a certificate is refused."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from twisted_chat.client import UnreachableError, connect
from twisted_chat.client.trust import OTHER_NAME, UNTRUSTED

from .certificates import certificate
from .programs import Server, folder


class ClientTests(TestCase):
    async def start(self) -> tuple[Server, Path]:
        home = folder(self)
        certificate(home)
        server = await Server.start(self, "--port", f"tls:{home}:0:interface=127.0.0.1", home=home)
        return server, home / "trusted.crt"

    async def test_it_talks_to_a_server_whose_certificate_is_named(self) -> None:
        server, trusted = await self.start()
        client = await connect(f"tls:localhost:{server.port}:ca={trusted}", "alice")
        room = await client.join("lobby")
        self.assertEqual(await room.say("hi"), 1)
        await client.close()

    async def test_it_says_why_a_certificate_is_refused(self) -> None:
        server, trusted = await self.start()
        for description, reason in (
            (f"tls:localhost:{server.port}", f"{UNTRUSTED}: it is signed by itself"),
            (f"tls:127.0.0.1:{server.port}:ca={trusted}", f"{OTHER_NAME}, but for localhost"),
        ):
            with self.assertRaises(UnreachableError) as caught:
                await connect(description, "alice")
            self.assertEqual(caught.exception.reason, reason)
            self.assertFalse(caught.exception.foreign)
