"""The real `twistd -n chat`, talked to over real sockets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
from typing import Any
from unittest import skipUnless
from urllib.request import urlopen

from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.threads import deferToThread
from twisted.python.runtime import platform
from twisted.trial.unittest import TestCase

from twisted_chat import __version__
from twisted_chat.messages import MAX_OBJECT

from .certificates import certificate
from .programs import (
    TIMEOUT,
    TWISTD,
    Client,
    ClientProgram,
    OldClient,
    Program,
    Server,
    connect,
    endpoint,
    folder,
    reactor_turn,
)


async def old_client(test: TestCase, server: Server) -> OldClient:
    """Connect one of the oldest kind, which says nothing yet, and wait until the server has taken it.

    Nobody is told of it. The server takes connections in their order, so one that was made later shows it.
    """
    old = OldClient(test, server.port)
    later = await server.client(test)
    assert (await later.asks(type="ping"))["code"] == "not-welcome"
    later.hang_up()
    return old


TIME = r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ$"


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


class ConversationTests(TestCase):
    """People who say hello, and talk in rooms."""

    async def test_hello_is_answered_with_the_limits(self) -> None:
        server = await Server.start(self)
        alice = await server.client(self)
        welcome = await alice.asks(type="hello", nick="alice", id="h")
        limits = welcome.pop("limits")
        self.assertEqual(
            welcome,
            {"type": "welcome", "nick": "alice", "server": f"twisted_chat {__version__}", "protocol": 1, "id": "h"},
        )
        self.assertEqual(limits["object"], MAX_OBJECT)
        self.assertTrue(all(isinstance(limit, int) for limit in limits.values()))
        self.assertEqual(await alice.asks(type="ping", id="p"), {"type": "pong", "id": "p"})

    async def test_people_talk_in_a_room(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "garden")
        bob = await server.hello(self, "bob", "garden")
        self.assertEqual(await alice.hears(), {"type": "join", "author": "bob", "room": "garden"})
        ack = await alice.asks(type="", room="garden", msg='"Привет", 👋', id="1")
        self.assertRegex(ack["time"], TIME)
        self.assertEqual(ack, {"type": "ack", "id": "1", "room": "garden", "seq": ack["seq"], "time": ack["time"]})
        message = {"type": "", "msg": '"Привет", 👋', "author": "alice", "room": "garden"}
        self.assertEqual(await bob.hears(), {**message, "seq": ack["seq"], "time": ack["time"]})
        bob.says(msg="without a type", author="alice", room="garden", unknown=1)
        self.assertEqual((await alice.hears())["author"], "bob")

    async def test_a_join_replays_what_was_said_since(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "garden")
        first, second = [await alice.asks(type="", room="garden", msg=str(i), id=str(i)) for i in range(2)]
        bob = await server.hello(self, "bob")
        joined = await bob.asks(type="join", room="garden", since=first["seq"])
        self.assertEqual(
            joined,
            {
                "type": "joined",
                "room": "garden",
                "topic": "",
                "seq": second["seq"],
                "oldest": first["seq"],
                "count": 2,
            },
        )
        self.assertEqual((await bob.hears())["seq"], second["seq"])
        alice.says(type="", room="garden", msg="live")
        self.assertEqual((await bob.hears())["msg"], "live")

    async def test_history_is_read_in_pages(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "garden")
        seqs = [(await alice.asks(type="", room="garden", msg=str(i), id=str(i)))["seq"] for i in range(5)]
        self.assertEqual(seqs, sorted(set(seqs)))

        async def history(**where: int) -> tuple[list[int], bool]:
            page = await alice.asks(type="history", room="garden", **where)
            self.assertEqual((page["type"], page["room"]), ("history", "garden"))
            return [message["seq"] for message in page["messages"]], page["more"]

        self.assertEqual(await history(), (seqs, False))
        self.assertEqual(await history(limit=2), (seqs[3:], True))
        self.assertEqual(await history(before=seqs[3], limit=2), (seqs[1:3], True))
        self.assertEqual(await history(before=seqs[1]), (seqs[:1], False))
        self.assertEqual(await history(after=seqs[1], limit=2), (seqs[2:4], True))
        self.assertEqual(await history(after=seqs[3], limit=2), (seqs[4:], False))
        self.assertEqual(await history(after=seqs[4]), ([], False))

    async def test_direct_messages_reach_one_nick_and_are_not_kept(self) -> None:
        server = await Server.start(self)
        alice, bob = [await server.hello(self, nick) for nick in ("alice", "bob")]
        ack = await alice.asks(type="", to="BOB", msg="psst", id="1")
        self.assertEqual(ack, {"type": "ack", "id": "1", "to": "bob", "time": ack["time"]})
        heard = await bob.hears()
        self.assertEqual(heard, {"type": "", "msg": "psst", "author": "alice", "to": "bob", "time": heard["time"]})
        error = await alice.asks(type="", to="carol", msg="psst", id="2")
        self.assertEqual((error["code"], error["id"]), ("no-such-nick", "2"))

    async def test_topics_are_told_and_kept(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "кухня")
        bob = await server.hello(self, "bob", "Кухня")
        self.assertEqual((await alice.hears())["type"], "join")
        told = {"type": "topic", "author": "bob", "room": "кухня", "msg": "борщ"}
        self.assertEqual(await bob.asks(type="topic", room="КУХНЯ", msg="борщ", id="t"), {**told, "id": "t"})
        self.assertEqual(await alice.hears(), told)
        carol = await server.hello(self, "carol")
        rooms = {"type": "rooms", "rooms": [{"room": "кухня", "count": 2, "topic": "борщ"}]}
        self.assertEqual(await carol.asks(type="rooms"), rooms)
        self.assertEqual((await carol.asks(type="join", room="кухня"))["topic"], "борщ")

    async def test_members_are_listed_and_nicks_change(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "garden")
        alice = await server.hello(self, "alice", "garden")
        self.assertEqual((await bob.hears())["type"], "join")
        who = await alice.asks(type="who", room="garden")
        self.assertEqual(who, {"type": "members", "room": "garden", "members": ["alice", "bob"], "count": 2})
        changed = {"type": "nick", "author": "alice", "nick": "Алиса"}
        self.assertEqual(await alice.asks(type="nick", nick="Алиса"), changed)
        self.assertEqual(await bob.hears(), {**changed, "room": "garden"})
        self.assertEqual((await bob.asks(type="nick", nick="АЛИСА"))["code"], "nick-taken")
        self.assertEqual((await bob.asks(type="who", room="garden", after="bob"))["members"], ["Алиса"])

    async def test_leaving_is_told(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "garden", "kitchen")
        bob = await server.hello(self, "bob", "garden", "kitchen")
        self.assertEqual([heard["type"] for heard in await alice.hears_all(2)], ["join", "join"])
        self.assertEqual(await bob.asks(type="leave", room="garden"), {"type": "left", "room": "garden"})
        self.assertEqual(await alice.hears(), {"type": "leave", "author": "bob", "room": "garden"})
        stop = await bob.asks(type="quit", msg="good night", id="q")
        self.assertEqual(stop, {"type": "stop", "msg": "", "author": "server", "id": "q"})
        self.assertEqual(await bob.hears_the_end(), [])
        farewell = {"type": "leave", "author": "bob", "room": "kitchen", "msg": "good night"}
        self.assertEqual(await alice.hears(), farewell)

    async def test_the_others_hear_that_a_connection_was_cut(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "garden")
        bob = await server.hello(self, "bob", "garden")
        self.assertEqual((await alice.hears())["type"], "join")
        bob.hang_up()
        self.assertEqual(await alice.hears(), {"type": "leave", "author": "bob", "room": "garden"})
        await server.hello(self, "bob")

    async def test_saying_twice_is_saying_once(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "garden")
        bob = await server.hello(self, "bob", "garden")
        self.assertEqual((await alice.hears())["type"], "join")
        first = await alice.asks(type="", room="garden", msg="once", id="1")
        self.assertEqual(await alice.asks(type="", room="garden", msg="once", id="1"), first)
        alice.says(type="", room="garden", msg="next")
        self.assertEqual([heard["msg"] for heard in await bob.hears_all(2)], ["once", "next"])

    async def test_a_large_room_is_told_how_many_it_has(self) -> None:
        server = await Server.start(self)
        first = await server.hello(self, "first", "garden")
        crowd = [await server.client(self) for _ in range(110)]
        for i, client in enumerate(crowd):
            client.says(type="hello", nick=f"c{i}")
            client.says(type="join", room="garden")
        heard = await first.hears()
        joins = 0
        while heard["type"] == "join":
            joins += 1
            heard = await first.hears()
        self.assertLess(joins, 110)
        while heard != {"type": "presence", "room": "garden", "count": 111}:
            self.assertEqual((heard["type"], heard["room"]), ("presence", "garden"))
            heard = await first.hears()


class LastingTests(TestCase):
    """Acked messages are kept, however the server ends."""

    async def check_is_kept(self, number: int, status: int) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "garden")
        said = [f"№ {i}" for i in range(300)]
        for i, msg in enumerate(said):
            alice.says(type="", room="garden", msg=msg, id=str(i))
        acks = await alice.hears_all(len(said))
        await alice.asks(type="topic", room="garden", msg="what was said")
        self.assertEqual(await server.stop(number), status, server.output)

        again = await Server.start(self, home=server.home)
        alice = await again.hello(self, "alice")
        joined = await alice.asks(type="join", room="garden", since=0)
        self.assertEqual((joined["topic"], joined["seq"]), ("what was said", acks[-1]["seq"]))
        replayed = await alice.hears_all(len(said))
        self.assertEqual(
            [(m["msg"], m["seq"], m["time"], m["author"]) for m in replayed],
            [(msg, ack["seq"], ack["time"], "alice") for msg, ack in zip(said, acks, strict=True)],
        )
        first = await alice.asks(type="", room="garden", msg=said[0], id="0")
        self.assertEqual(first, acks[0], "saying twice is saying once, also to the next server")
        ack = await alice.asks(type="", room="garden", msg="more", id="more")
        self.assertGreater(ack["seq"], acks[-1]["seq"])

    async def test_history_is_there_after_a_restart(self) -> None:
        await self.check_is_kept(signal.SIGTERM, 0)

    async def test_what_was_acked_survives_kill_9(self) -> None:
        await self.check_is_kept(signal.SIGKILL, -signal.SIGKILL)

    async def test_what_was_acked_survives_kill_9_in_a_burst(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "garden")
        for i in range(1500):
            alice.says(type="", room="garden", msg=str(i), id=str(i))
        heard = await alice.hears_all(100)
        server.signal(signal.SIGKILL)
        heard += await alice.hears_the_end()
        self.assertEqual(await server.ends(), -signal.SIGKILL)

        again = await Server.start(self, home=server.home)
        bob = await again.hello(self, "bob")
        joined = await bob.asks(type="join", room="garden", since=0)
        kept = await bob.hears_all(joined["seq"])
        self.assertEqual([message["msg"] for message in kept], [str(i) for i in range(len(kept))])
        self.assertEqual(
            {ack["seq"]: ack["id"] for ack in heard}, {message["seq"]: message["msg"] for message in kept[: len(heard)]}
        )

    async def test_a_copy_of_the_file_that_is_made_while_the_server_runs_is_whole(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "garden")
        said = [f"№ {i}" for i in range(100)]
        for i, msg in enumerate(said):
            alice.says(type="", room="garden", msg=msg, id=str(i))
        await alice.hears_all(len(said))
        reader = sqlite3.connect(server.home / "chat.sqlite")
        reader.execute("VACUUM INTO ?", (str(server.home / "copy.sqlite"),))
        reader.close()
        alice.says(type="", room="garden", msg="too late")
        other = await Server.start(self, "--database", str(server.home / "copy.sqlite"))
        bob = await other.hello(self, "bob", "garden")
        page = await bob.asks(type="history", room="garden", limit=500)
        self.assertEqual([message["msg"] for message in page["messages"]], said)


class StoppingTests(TestCase):
    """The server ends in order, and tells everyone."""

    async def test_a_client_that_reads_nothing_does_not_keep_the_server_from_ending(self) -> None:
        server = await Server.start(self, "--rate", "0")
        talker = await server.hello(self, "talker", "lobby", "kitchen")
        stuck = await server.hello(self, "stuck", "kitchen")
        self.assertEqual((await talker.hears())["type"], "join")
        old = await old_client(self, server)
        stuck.transport.pauseProducing()
        text = "x" * 15_000
        for i in range(600):  # more than the buffers of two sockets hold
            talker.says(type="", room="kitchen", msg=text, id=str(i))
        acks = await talker.hears_all(600)
        self.assertEqual([ack["id"] for ack in acks], [str(i) for i in range(600)])
        stuck.says(type="", room="kitchen", msg="out of the silence", id="s")
        self.assertEqual((await talker.hears())["msg"], "out of the silence")
        self.assertEqual(await server.stop(), 0, server.output)
        (stop,) = await talker.hears_the_end()
        self.assertEqual(stop, {"type": "stop", "msg": stop["msg"], "author": "server"})
        self.assertNotEqual(stop["msg"], "")
        await old.ends()
        self.assertEqual((old.heard[-1], old.misread), (("stop", "", "server"), ""))
        self.assertNotIn("Traceback", server.output)
        self.assertNotIn("out of the silence", server.output, "the text of a message is in no log")

    async def test_what_is_under_way_is_acked_and_everyone_is_told(self) -> None:
        server = await Server.start(self)
        talkers = [await server.hello(self, f"talker{i}", f"room{i}") for i in range(5)]
        for talker in talkers:
            for i in range(1000):
                talker.says(type="", room=f"room{talkers.index(talker)}", msg="x", id=str(i))
        self.assertEqual((await talkers[0].hears())["type"], "ack")
        self.assertEqual(await server.stop(signal.SIGINT), 0, server.output)
        heard = [await talker.hears_the_end() for talker in talkers]
        self.assertRaises(OSError, socket.create_connection, ("127.0.0.1", server.port))
        for objects in heard:
            self.assertEqual(objects[-1]["type"], "stop")
        again = await Server.start(self, home=server.home)
        reader = await again.hello(self, "reader")
        for i, objects in enumerate(heard):
            acked = [ack["seq"] for ack in objects[:-1]]
            joined = await reader.asks(type="join", room=f"room{i}")
            self.assertEqual(joined["seq"], acked[-1] if acked else 0, "what was kept was acked")


class PlacesTests(TestCase):
    """It listens wherever it is told to."""

    async def check_talks(self, server: Server, *addresses: str) -> None:
        """See that people who came by different ways are in one room."""
        first = await server.hello(self, "first", "garden", address=addresses[0])
        for i, address in enumerate(addresses):
            other = await server.hello(self, f"other{i}", "garden", address=address)
            self.assertEqual((await first.hears())["type"], "join")
            other.says(type="", room="garden", msg="hi")
            self.assertEqual((await first.hears())["author"], f"other{i}")
            other.hang_up()
            self.assertEqual((await first.hears())["type"], "leave")

    async def test_people_meet_over_a_unix_socket_which_is_gone_afterwards(self) -> None:
        server = await Server.start(self, "--port", "unix:chat.sock")
        self.assertEqual(os.path.basename(server.addresses[0]), "chat.sock")
        await self.check_talks(server, *server.addresses)
        self.assertEqual(await server.stop(), 0, server.output)
        self.assertNotIn("chat.sock", os.listdir(server.home))

    @skipUnless(has_ipv6(), "this machine has no IPv6")
    async def test_people_meet_over_ipv6(self) -> None:
        server = await Server.start(self, "--interface", "::1")
        self.assertRegex(server.addresses[0], r"^\[::1\]:[1-9][0-9]*$")
        await self.check_talks(server, *server.addresses)

    async def test_people_meet_who_came_by_several_places(self) -> None:
        places = ["--listen", "0", "--listen", "tcp:0:interface=127.0.0.1", "--listen", "unix:a.sock"]
        server = await Server.start(self, *places, places=4)
        await self.check_talks(server, *server.addresses)

    async def test_people_meet_at_a_host_name(self) -> None:
        server = await Server.start(self, "--interface", "localhost")
        await self.check_talks(server, *server.addresses)

    async def test_behind_a_proxy_the_address_of_the_client_counts_and_a_half_close_works(self) -> None:
        place = "haproxy:unix:chat.sock"
        server = await Server.start(self, "--port", place, "--connections-per-address", "1")
        path = str(server.home / "chat.sock")
        clients = []
        for number in (1, 2, 1):
            client = await server.client(self, path)
            client.writes(f"PROXY TCP4 192.0.2.{number} 192.0.2.9 4947{number} 14900\r\n".encode())
            clients.append(client)
        first, second, third = clients
        self.assertEqual((await first.asks(type="hello", nick="alice"))["type"], "welcome")
        self.assertEqual((await third.asks(type="hello", nick="carol"))["code"], "full")
        second.says(type="", msg="hi")  # without a hello, it is named by the client's port
        second.transport.loseWriteConnection()
        self.assertEqual((await second.hears_the_end())[-1]["type"], "stop")
        page = await first.asks(type="history", room="lobby")
        self.assertEqual([(m["msg"], m["author"]) for m in page["messages"]], [("hi", "49472")])

    @skipUnless(platform.isLinux(), "systemd is Linux's")
    async def test_systemd_opens_a_socket_for_every_wire_and_is_told_how_the_server_is(self) -> None:
        home = folder(self)
        trusts = optionsForClientTLS("localhost", trustRoot=certificate(home))
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notices.bind(str(home / "notify"))
        notices.settimeout(TIMEOUT)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        opened = [*(socket.create_server(("127.0.0.1", 0)) for _ in range(4)), datagrams, socket.socket(socket.AF_UNIX)]
        opened[-1].bind(str(home / "chat.sock"))
        opened[-1].listen()
        os.chmod(home / "chat.sock", 0o600)
        for opened_socket in (notices, *opened):
            self.addCleanup(opened_socket.close)
        names = ("chat", "tls", "web", "status", "udp", "unix")
        options = []
        for option, name in zip(("port", *names[1:-1], "listen"), names, strict=True):
            options += [f"--{option}", f"systemd:domain={'UNIX' if name == 'unix' else 'INET'}:name={name}.socket"]
        # As systemd sets it, with the process's own number.
        command = f"""export LISTEN_FDS=6 LISTEN_FDNAMES={":".join(f"{name}.socket" for name in names)} LISTEN_PID=$$
            export NOTIFY_SOCKET={home}/notify; exec "$0" "$@" """
        server = Server(
            self,
            *("/bin/sh", "-c", command, *TWISTD, "chat", *options, "--certificate", str(home / "localhost.pem")),
            home=home,
            hand_over={number: opened_socket.fileno() for number, opened_socket in enumerate(opened, 3)},
        )
        ready = await deferToThread(notices.recv, 1000)
        ports = dict(zip(names, (opened_socket.getsockname()[1] for opened_socket in opened), strict=True))
        expected = f"127.0.0.1:{ports['chat']}, {home}/chat.sock, 127.0.0.1:{ports['tls']}"
        expected += f", udp 127.0.0.1:{ports['udp']}, 127.0.0.1:{ports['web']}"
        self.assertEqual(ready.decode(), f"READY=1\nSTATUS=listening on {expected}")

        await self.check_talks(server, f"127.0.0.1:{ports['chat']}", f"{home}/chat.sock")
        over_tls = await connect(self, endpoint(f"127.0.0.1:{ports['tls']}"), trusts)
        self.assertEqual((await over_tls.asks(type="hello", nick="alice"))["type"], "welcome")
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(TIMEOUT)
        client.connect(("127.0.0.1", ports["udp"]))
        client.send(json.dumps({"type": "hello", "nick": "bob", "pad": "x" * 99}).encode())
        self.assertIn("cookie", json.loads(await deferToThread(client.recv, 1200)))
        for name, path in (("web", "/"), ("status", "/readyz")):
            answer = await deferToThread(urlopen, f"http://127.0.0.1:{ports[name]}{path}", timeout=TIMEOUT)
            self.assertEqual(answer.status, 200)
            answer.close()

        server.signal(signal.SIGHUP)
        self.assertTrue((await deferToThread(notices.recv, 1000)).startswith(b"RELOADING=1\nMONOTONIC_USEC="))
        self.assertEqual(await deferToThread(notices.recv, 1000), b"READY=1")
        self.assertEqual(await server.stop(), 0, server.output)
        self.assertEqual(await deferToThread(notices.recv, 1000), b"STOPPING=1")
        self.assertEqual(stat.filemode(os.stat(home / "chat.sock").st_mode), "srw-------")


class TLSTests(TestCase):
    """It speaks TLS with a certificate that it is given."""

    async def start(self) -> tuple[Server, Any]:
        home = folder(self)
        trusts = optionsForClientTLS("localhost", trustRoot=certificate(home))
        return await Server.start(self, "--port", f"tls:{home}:0:interface=127.0.0.1", home=home), trusts

    async def test_people_talk(self) -> None:
        server, trusts = await self.start()
        alice, bob = [await connect(self, endpoint(server.addresses[0]), trusts) for _ in range(2)]
        for client, nick in ((alice, "alice"), (bob, "bob")):
            self.assertEqual((await client.asks(type="hello", nick=nick))["type"], "welcome")
            self.assertEqual((await client.asks(type="join", room="garden"))["type"], "joined")
        self.assertEqual((await alice.hears())["type"], "join")
        for i in range(500):
            alice.says(type="", room="garden", msg=f"{i} " + "x" * 3000, id=str(i))
        heard = await bob.hears_all(500)
        self.assertEqual([message["msg"].split()[0] for message in heard], [str(i) for i in range(500)])
        self.assertEqual([ack["id"] for ack in await alice.hears_all(500)], [str(i) for i in range(500)])
        self.assertEqual(await server.stop(), 0, server.output)
        for client in (alice, bob):
            (stop,) = await client.hears_the_end()
            self.assertEqual(stop["type"], "stop")

    async def test_a_session_moves_from_wire_to_wire_with_its_token(self) -> None:
        home = folder(self)
        trusts = optionsForClientTLS("localhost", trustRoot=certificate(home))
        places = ["--port", f"tls:{home}:0:interface=127.0.0.1", "--listen", "0", "--listen", "unix:a.sock"]
        server = await Server.start(self, *places, "--udp", "0", home=home, places=3)
        (udp,) = await server.says(r"listening on udp 127.0.0.1:(\d+)\n")
        hello = {"type": "hello", "nick": "alice", "token": "0123456789abcdef"}
        ways = [(address, None) for address in server.addresses[1:]] + [(server.addresses[0], trusts)]
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(datagrams.close)
        datagrams.settimeout(TIMEOUT)
        datagrams.connect(("127.0.0.1", int(udp[1])))
        datagrams.send(json.dumps({**hello, "pad": "x" * 99}).encode())
        datagrams.send(json.dumps({**hello, "cookie": json.loads(datagrams.recv(1200))["cookie"]}).encode())
        self.assertEqual(json.loads(datagrams.recv(1200))["type"], "welcome")
        old: Client | None = None
        for address, trust in ways * 2:
            client = await connect(self, endpoint(address), trust)
            self.assertEqual((await client.asks(**hello))["type"], "welcome")
            stops = await old.hears_the_end() if old else [json.loads(datagrams.recv(1200))]
            self.assertEqual([obj["type"] for obj in stops], ["stop"])
            self.assertIn("new connection of yours", stops[0]["msg"])
            old = client
        self.assertEqual(await server.stop(), 0, server.output)
        self.assertNotIn(hello["token"], server.output)

    async def test_a_client_that_reads_nothing_does_not_keep_the_server_from_ending(self) -> None:
        server, trusts = await self.start()
        stuck = await connect(self, endpoint(server.addresses[0]), trusts)
        self.assertEqual((await stuck.asks(type="hello", nick="stuck"))["type"], "welcome")
        stuck.transport.pauseProducing()
        self.assertEqual(await server.stop(), 0, server.output)

    @skipUnless(shutil.which("openssl"), "openssl is not installed")
    async def test_s_client_of_openssl_talks(self) -> None:
        server, _ = await self.start()
        trusted = str(server.home / "trusted.crt")
        command = [str(shutil.which("openssl")), "s_client", "-quiet", "-verify_return_error", "-CAfile", trusted]
        openssl = Program(self, *command, "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost")
        openssl.types('{"type": "hello", "nick": "openssl"}\n{"type": "join", "room": "garden"}\n')
        await openssl.says(r'"type":"joined"')
        openssl.types('{"type": "", "room": "garden", "msg": "hi", "id": "1"}\n')
        await openssl.says(r'"type":"ack","id":"1"')
        openssl.types('{"type": "quit"}\n')
        await openssl.says(r'"type":"stop"')
        self.assertEqual(await openssl.ends(), 0, openssl.output)

    @skipUnless(shutil.which("openssl"), "openssl is not installed")
    async def test_it_speaks_tls_1_2_and_1_3_and_no_older_version(self) -> None:
        server, _ = await self.start()
        command = [str(shutil.which("openssl")), "s_client", "-brief", "-CAfile", str(server.home / "trusted.crt")]
        command += ["-verify_return_error", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost"]
        command += ["-cipher", "ALL:@SECLEVEL=0"]  # without which this client does not try an old version
        for version in ("1.2", "1.3"):
            openssl = Program(self, *command, f"-tls{version.replace('.', '_')}")
            await openssl.says(rf"Protocol version: TLSv{version}\n")
            openssl.types('{"type": "hello", "nick": "openssl"}\n{"type": "quit"}\n')
            await openssl.says(r'"type":"stop"')
            self.assertEqual(await openssl.ends(), 0, openssl.output)
        for version in ("-tls1", "-tls1_1"):
            openssl = Program(self, *command, version)
            self.assertEqual(await openssl.ends(), 1)
            self.assertIn("alert protocol version", openssl.output)

    async def test_after_sighup_new_connections_get_the_new_certificate_and_the_others_stay(self) -> None:
        home = folder(self)
        old = optionsForClientTLS("localhost", trustRoot=certificate(home))
        files = ("--certificate", "localhost.pem", "--key", "localhost.pem")
        server = await Server.start(
            self, "--port", "tcp:0:interface=127.0.0.1", "--tls", "0", *files, home=home, places=2
        )
        there = endpoint(server.addresses[1])
        alice = await connect(self, there, old)
        self.assertEqual((await alice.asks(type="hello", nick="alice"))["type"], "welcome")
        new = optionsForClientTLS("localhost", trustRoot=certificate(home))
        server.signal(signal.SIGHUP)
        await server.says("certificates were read again from ")
        bob = await connect(self, there, new)
        self.assertEqual((await bob.asks(type="hello", nick="bob"))["type"], "welcome")
        stranger = await connect(self, there, old)
        self.assertEqual(await stranger.hears_the_end(), [], "it does not trust the new certificate")
        (home / "localhost.pem").write_text("nothing")
        server.signal(signal.SIGHUP)
        await server.says("certificates stay as they were: no certificate is in ")
        carol = await connect(self, there, new)
        self.assertEqual((await carol.asks(type="hello", nick="carol"))["type"], "welcome")
        self.assertEqual((await alice.asks(type="ping"))["type"], "pong")
        self.assertEqual(await server.stop(), 0, server.output)


class ForbiddenNickTests(TestCase):
    async def test_after_sighup_other_nicks_are_forbidden(self) -> None:
        home = folder(self)
        (home / "nicks").write_text("*admin*\n")
        server = await Server.start(self, "--forbid-nicks", "nicks", home=home)
        alice = await server.hello(self, "alice")
        for nick in "the-ADMIN", "аdmin":
            answer = await alice.asks(type="nick", nick=nick)
            self.assertEqual(
                (answer["code"], answer["msg"]),
                ("bad-nick", "this nick is not allowed on this server: take another one"),
            )
        (home / "nicks").write_text("bob*\n")
        server.signal(signal.SIGHUP)
        await server.says("the forbidden nicks were read again from ")
        self.assertEqual((await alice.asks(type="nick", nick="bobby"))["code"], "bad-nick")
        self.assertEqual((await alice.asks(type="nick", nick="admin"))["nick"], "admin")
        self.assertEqual(await server.stop(), 0, server.output)


class WarningTests(TestCase):
    """The log warns of a server that other machines can reach without TLS."""

    async def test_it_warns_of_tcp_and_not_of_tls(self) -> None:
        home = folder(self)
        certificate(home)
        places = ("--port", "0.0.0.0:0", "--tls", "0.0.0.0:0", "--certificate", "localhost.pem")
        server = await Server.start(self, *places, home=home, places=2)
        (warning,) = await server.says(r"traffic to (.*) is not encrypted: .* use --tls, ")
        self.assertEqual(warning[1], server.addresses[0])
        self.assertEqual(await server.stop(), 0, server.output)


LONG = "x" * 10_000
DEEP = 5_000  # brackets that open, and as many that close: an object may have 16,384 bytes


def of_size(size: int) -> bytes:
    """Make an object of so many bytes, with a message in it."""
    start, end = b'{"id":"s","room":"lobby","msg":"', b'"}'
    return start + b"x" * (size - len(start) - len(end)) + end


FIELDS = {
    "": "msg room to id",
    "hello": "nick password cookie id",
    "join": "room since# id",
    "leave": "room id",
    "history": "room before# after# limit# id",
    "who": "room after id",
    "rooms": "id",
    "nick": "nick id",
    "topic": "room msg id",
    "ping": "id",
    "quit": "msg id",
}
"""The fields of each request that are looked at: texts, and numbers where there is a #."""

MISFITS: list[tuple[str, bytes]] = [
    ("bad-json", b"hello"),
    ("bad-json", b'{"type":"ping"'),
    ("bad-json", b'{"type":"ping",}'),
    ("bad-json", b'{"type":"ping"]'),
    ("bad-json", b"}"),
    ("bad-json", b"[]"),
    ("bad-json", b'[{"type":"ping"}]'),
    ("bad-json", b"7"),
    ("bad-json", b"null"),
    ("bad-json", b"true"),
    ("bad-json", b'"hello"'),
    ("bad-json", b'"'),
    ("bad-json", b"GET / HTTP/1.1"),
    ("bad-json", b"[" * 10_000),
    ("bad-json", b'{"type":"ping","x":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    ("bad-json", b'{"type":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    ("too-long", b'{"type":"ping","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
    ("bad-json", b'{"x":' * 2_500 + b"1" + b"}" * 2_500),
    ("bad-json", b'{"type":"","room":"lobby","msg":"\\ud800"}'),
    ("bad-json", b'{"type":"","room":"lobby","msg":"\\udc00\\ud800"}'),
    ("bad-json", b'{"type":"","room":"lobby","msg":"\xed\xa0\x80"}'),
    ("bad-json", b'{"type":"","room":"lobby","msg":"\xff\xfe"}'),
    ("bad-json", b'{"type":"","room":"lobby","msg":"\xc0\xaf"}'),
    ("bad-json", b"\xff\xfe{\x00}\x00"),
    ("bad-json", b"\x00"),
    ("bad-json", b'{"type":"","room":"lobby","msg":"\x00"}'),
    ("bad-json", b'\xef\xbb\xbf{"type":"ping"}'),
    ("bad-json", b'{"type":"","room":"lobby","msg":"a\tb"}'),
    ("bad-json", b'{"type":"ping","id":NaN}'),
    ("bad-message", b'{"type":"join","room":"lobby","since":1e400}'),
    ("bad-message", b'{"type":"join","room":"lobby","since":' + b"9" * 5_000 + b"}"),
    ("bad-message", b'{"type":"join","room":"lobby","since":18446744073709551616}'),
    ("bad-message", b'{"type":"join","room":"lobby","since":9223372036854775808}'),
    ("bad-message", b'{"type":"join","room":"lobby","since":-1}'),
    ("bad-message", b'{"type":"join","room":"lobby","since":1.5}'),
    ("bad-message", b'{"type":"history","room":"lobby","limit":0}'),
    ("bad-message", b'{"type":"history","room":"lobby","before":2,"after":1}'),
    ("bad-message", b'{"type":null,"msg":"hi"}'),
    ("bad-message", b'{"type":7}'),
    ("bad-message", b'{"type":["ping"]}'),
    ("bad-message", b'{"type":"join"}'),
    ("bad-message", b'{"type":"nick"}'),
    ("bad-message", b'{"type":"hello","nick":"alice"}'),
    ("bad-message", b'{"type":"","msg":"hi"}'),
    ("bad-message", b'{"type":"","msg":"hi","room":"lobby","to":"bob"}'),
    ("bad-message", b'{"type":"ping","id":"' + LONG.encode() + b'"}'),
    ("bad-message", b'{"type":"topic","room":"lobby","msg":"' + LONG.encode() + b'"}'),
    ("unknown-type", b'{"type":"dance"}'),
    ("unknown-type", b'{"type":"' + LONG.encode() + b'"}'),
    ("unknown-type", b'{"type":"\\u0000"}'),
    ("bad-nick", b'{"type":"nick","nick":""}'),
    ("bad-nick", b'{"type":"nick","nick":"a b"}'),
    ("bad-nick", b'{"type":"nick","nick":"\\u0000"}'),
    ("bad-nick", b'{"type":"nick","nick":"' + LONG.encode() + b'"}'),
    ("bad-nick", b'{"type":"","to":"' + LONG.encode() + b'"}'),
    ("bad-room", b'{"type":"join","room":""}'),
    ("bad-room", b'{"type":"join","room":"' + LONG.encode() + b'"}'),
    ("not-joined", b'{"type":"","room":"elsewhere","msg":"hi"}'),
    ("not-joined", b'{"type":"leave","room":"elsewhere"}'),
    ("no-such-nick", b'{"type":"","to":"nobody","msg":"hi"}'),
    ("too-long", of_size(MAX_OBJECT + 1)),
] + [
    ("bad-message", f'{{"room":"lobby","nick":"x","type":"{type}","{field.rstrip("#")}":{value}}}'.encode())
    for type, fields in FIELDS.items()
    for field in fields.split()
    for value in ("[]", "{}", "true", '"1"' if "#" in field else "1")
]


class BadInputTests(TestCase):
    """Nothing that a client sends costs it more than an error, and nobody else anything."""

    async def check_lives(self, client: Client, data: bytes) -> Any:
        """Write something and then a good line; returns what was answered in front of that one's answer."""
        client.writes(data + b'\n{"type":"ping","id":"next"}\n')
        answer = await client.hears()
        if answer != {"type": "pong", "id": "next"}:
            self.assertEqual(await client.hears(), {"type": "pong", "id": "next"}, (data[:100], answer))
        return answer

    async def test_each_misfit_gets_its_error_and_the_next_line_works(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        for code, data in MISFITS:
            answer = await self.check_lives(alice, data)
            self.assertEqual((answer["type"], answer.get("code")), ("error", code), (data[:100], answer))
            self.assertEqual(answer["author"], "server")
            self.assertNotEqual(answer["msg"], "")
        self.assertNotIn("Traceback", server.output)

    async def test_each_misfit_gets_its_error_when_it_comes_in_pieces(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        for code, data in MISFITS[:30]:
            for i in range(0, len(data), 1 + len(data) // 20):
                alice.writes(data[i : i + 1 + len(data) // 20])
                await reactor_turn()
            self.assertEqual((await self.check_lives(alice, b""))["code"], code, data[:100])

    async def test_odd_objects_that_are_right_are_answered(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        pong = {"type": "pong", "id": "b"}
        for data in (
            b'{"id":"a","type":"ping","id":"b"}',
            b'{"type":"ping","id":"b","author":7,"x":[{"y":{}}]}',
            b' \t{ "id" : "b" , "type" : "ping" }\r',
            b'{"\\u0074ype":"ping","id":"b"}',
            b'{"type":"ping","x":' + b"[" * 50 + b"]" * 50 + b',"id":"b"}',
        ):
            self.assertEqual(await self.check_lives(alice, data), pong, data[:100])
        ack = await self.check_lives(alice, of_size(MAX_OBJECT))
        self.assertEqual(ack["type"], "ack")
        ack = await self.check_lives(alice, b'{"type":"","room":"lobby","id":"0","msg":"a\\u0000b\\ufeff"}')
        page = await alice.asks(type="history", room="lobby", after=ack["seq"] - 1)
        self.assertEqual(page["messages"][0]["msg"], "a\0b\ufeff")

    async def test_objects_may_have_any_line_end_or_none(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice")
        alice.writes(b'{"type":"ping","id":"1"}{"type":"ping","id":"2"}\r\n\r\n\n  {"type":"ping","id":"3"}')
        self.assertEqual([pong["id"] for pong in await alice.hears_all(3)], ["1", "2", "3"])
        alice.writes(b"\n" * 10_000 + b"\r\n" * 10_000)
        self.assertEqual(await alice.asks(type="ping"), {"type": "pong"})
        for byte in b'{"type":"ping","id":"{}\\"\xd0\x96"}':
            alice.writes(bytes([byte]))
            await reactor_turn()
        self.assertEqual(await alice.hears(), {"type": "pong", "id": '{}"Ж'})

    @skipUnless(platform.isLinux(), "this is how Linux tells what a process has in use")
    async def test_ten_megabytes_without_a_line_end_take_no_memory(self) -> None:
        server = await Server.start(self, "--database", ":memory:", "--rate", "0")
        alice = await server.hello(self, "alice")
        for start in (b"x", b'{"msg":"', b"{" * 20_000, b"\xff"):
            before = server.memory()
            alice.writes(start)
            for _ in range(160):
                alice.writes(b"x" * 2**16)
            answer = await self.check_lives(alice, b"")
            self.assertIn(answer["code"], ("bad-json", "too-long"))
            self.assertLess(server.memory() - before, 4 * 2**20)

    async def test_before_hello_nothing_else_is_accepted(self) -> None:
        server = await Server.start(self)
        alice = await server.client(self)
        for type in ("join", "leave", "history", "who", "rooms", "nick", "topic", "ping", "pong"):
            error = await alice.asks(type=type, room="lobby", nick="alice", id=type)
            self.assertEqual((error["code"], error["id"]), ("not-welcome", type))
        self.assertEqual((await alice.asks(type="hello", nick="a b", id="1"))["code"], "bad-nick")
        self.assertEqual((await alice.asks(type="hello", nick=LONG))["code"], "bad-nick")
        self.assertEqual((await alice.asks(type="hello", nick="alice", password="x"))["code"], "auth-failed")
        self.assertEqual((await alice.asks(type="hello", nick="alice"))["type"], "welcome")
        self.assertEqual((await alice.asks(type="hello", nick="bob"))["code"], "bad-message")

    async def test_a_hundred_errors_in_a_row_are_borne_and_no_more(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice")
        bob = await server.hello(self, "bob")
        for _ in range(2):
            alice.writes(b"x\n" * 100)
            self.assertEqual({error["code"] for error in await alice.hears_all(100)}, {"bad-json"})
            self.assertEqual((await alice.asks(type="ping"))["type"], "pong")
        alice.writes(b"x\n" * 150)
        heard = await alice.hears_the_end()
        self.assertEqual([answer["type"] for answer in heard], ["error"] * 101 + ["stop"])
        self.assertEqual((await bob.asks(type="ping"))["type"], "pong")

    async def test_a_bare_client_gets_its_errors_in_three_fields(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        old = OldClient(self, server.port)
        old.writes("hi")
        self.assertEqual((await alice.hears_all(2))[1]["msg"], "hi")
        for count, data in enumerate(
            (b"[]\n", b'{"type": "dance"}', b'{"msg": 7}', of_size(MAX_OBJECT + 1) + b"\n"), 1
        ):
            old.writes_bytes(data)
            self.assertEqual([heard[::2] for heard in await old.hears(count)], [("error", "server")] * count)
        old.writes("still here")
        self.assertEqual((await alice.hears())["msg"], "still here")


class OldClientTests(TestCase):
    """The oldest clients, which take what one read returns for one message, among others."""

    async def test_everybody_hears_everything_once_and_in_order(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        old = [await old_client(self, server) for _ in range(3)]
        expected: list[list[tuple[str, str, str]]] = [[], [], []]

        texts = [f'{i}: «Привет», \\ "quoted", 🦊 \u2028' for i in range(200)]
        for i, text in enumerate(texts):
            alice.says(type="", room="lobby", msg=text, id=str(i))
        self.assertEqual([ack["id"] for ack in await alice.hears_all(200)], [str(i) for i in range(200)])
        for client, heard in zip(old, expected, strict=True):
            heard += [("", text, "alice") for text in texts]
            self.assertEqual(await client.hears(200), heard)

        for talker in old:
            talker.writes("first", "второе")
            join, *said = await alice.hears_all(3)
            self.assertEqual(join, {"type": "join", "author": talker.name, "room": "lobby"})
            texts = ["first", "второе"]
            self.assertEqual([(m["msg"], m["author"]) for m in said], [(text, talker.name) for text in texts])
            for client, heard in zip(old, expected, strict=True):
                heard += [("", text, talker.name) for text in texts if client is not talker]
        for client, heard in zip(old, expected, strict=True):
            self.assertEqual(await client.hears(len(heard)), heard)

        old[1].dies()
        self.assertEqual(await alice.hears(), {"type": "leave", "author": old[1].name, "room": "lobby"})
        old[2].sends({"type": "quit", "msg": "", "author": "self"})
        self.assertEqual(await alice.hears(), {"type": "leave", "author": old[2].name, "room": "lobby"})
        await old[2].ends()
        self.assertEqual(old[2].heard, [*expected[2], ("stop", "", "server")])

        alice.says(type="", room="lobby", msg="are you there?")
        expected[0].append(("", "are you there?", "alice"))
        self.assertEqual(await old[0].hears(len(expected[0])), expected[0])
        self.assertEqual(await server.stop(), 0, server.output)
        await old[0].ends()
        self.assertEqual(old[0].heard, [*expected[0], ("stop", "", "server")])
        (stop,) = await alice.hears_the_end()
        self.assertEqual(stop["type"], "stop")
        self.assertEqual([client.misread for client in (old[0], old[2])], ["", ""])

    async def test_the_oldest_clients_talk_among_themselves(self) -> None:
        server = await Server.start(self)
        watcher = await server.hello(self, "watcher", "lobby")
        old = [await old_client(self, server) for _ in range(3)]
        for i in range(30):
            for client in old:
                client.writes(f"{i}")
        heard = await watcher.hears_all(3 + 90)
        self.assertEqual({m["author"] for m in heard if m["type"] == "join"}, {client.name for client in old})
        said = [(m["msg"], m["author"]) for m in heard if m["type"] == ""]
        for client in old:
            others = [("", msg, author) for msg, author in said if author != client.name]
            self.assertEqual(await client.hears(60), others, "the order is one for all, and no own message comes back")

    async def test_a_client_that_says_nothing_hears_the_lobby_and_is_no_member_of_it(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        silent, other = [await old_client(self, server) for _ in range(2)]
        alice.says(type="", room="lobby", msg="hi")
        self.assertEqual(await silent.hears(1), [("", "hi", "alice")])
        self.assertEqual((await alice.asks(type="who", room="lobby"))["members"], ["alice"])
        silent.dies()
        other.writes("here I am")
        self.assertEqual([heard["author"] for heard in await alice.hears_all(2)], [other.name] * 2)
        alice.says(type="", to=other.name, msg="psst")
        self.assertEqual(await other.hears(2), [("", "hi", "alice"), ("", "psst", "alice")])

    async def test_the_largest_message_comes_to_the_oldest_clients_in_parts_that_one_read_returns(self) -> None:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        old = await old_client(self, server)
        largest = of_size(MAX_OBJECT)
        alice.writes(largest)
        heard = await old.hears(2)
        self.assertEqual("".join(msg for _, msg, _ in heard), json.loads(largest)["msg"])
        self.assertEqual([(type, author) for type, _, author in heard], [("", "alice")] * 2)


class TalkTests(TestCase):
    """The client's program and the server's, as people run them."""

    async def test_two_people_talk(self) -> None:
        server = await Server.start(self)
        watcher = await server.hello(self, "watcher", "lobby")
        alice, bob = [ClientProgram(self, server.port, "--nick", nick) for nick in ("alice", "bob")]
        self.assertEqual({joined["author"] for joined in await watcher.hears_all(2)}, {"alice", "bob"})
        alice.types('Привет, "bob" 👋\n')
        await bob.says('alice: Привет, "bob" 👋\n')
        bob.types("//hi\n/msg alice psst\n")
        await alice.says("bob: /hi\n")
        await alice.says("bob \\(to you\\): psst\n")
        alice.types("/quit\n")
        bob.hears_no_more()
        self.assertEqual([await alice.ends(), await bob.ends()], [0, 0])
        self.assertEqual([alice.errors, bob.errors], ["", ""])

    async def test_a_client_in_a_pipe_says_everything_and_leaves(self) -> None:
        server = await Server.start(self)
        bot = ClientProgram(self, server.port, "--nick", "bot")
        bot.types("".join(f"{i}\n" for i in range(1000)) + "exit\n")
        self.assertEqual(await bot.ends(), 0, bot.output)
        self.assertEqual(bot.errors, "")
        reader = await server.hello(self, "reader", "lobby")
        page = await reader.asks(type="history", room="lobby", after=0, limit=500)
        page["messages"] += (await reader.asks(type="history", room="lobby", after=500, limit=500))["messages"]
        said = [(message["msg"], message["author"]) for message in page["messages"]]
        self.assertEqual(said, [(str(i), "bot") for i in range(1000)])

    async def test_no_server_is_one_line_and_status_1(self) -> None:
        bound = socket.socket()  # it does not listen; nobody else gets its port
        self.addCleanup(bound.close)
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        alice = ClientProgram(self, port, "--nick", "alice")
        self.assertEqual(await alice.ends(), 1)
        self.assertEqual(alice.output, alice.errors)
        self.assertRegex(alice.errors, rf"^[^\n]*127\.0\.0\.1:{port}[^\n]*\n$")

    async def test_a_server_that_goes_away_is_one_line_and_status_1(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            server = await Server.start(self)
            watcher = await server.hello(self, "watcher", "lobby")
            alice = ClientProgram(self, server.port, "--nick", "alice")
            self.assertEqual((await watcher.hears())["author"], "alice")
            await server.stop(number)
            self.assertEqual(await alice.ends(), 1)
            self.assertRegex(alice.errors, r"^[^\n]+\n$")
            self.assertNotIn("Traceback", alice.output)

    async def test_a_bare_client_speaks_three_fields(self) -> None:
        server = await Server.start(self)
        watcher = await server.hello(self, "watcher", "lobby")
        bare = ClientProgram(self, server.port, "--bare")
        bare.types("привет\n")
        join, said = await watcher.hears_all(2)
        self.assertEqual((said["msg"], said["author"]), ("привет", join["author"]))
        watcher.says(type="", room="lobby", msg="hi")
        await bare.says("watcher: hi\n")
        bare.types("exit\n")
        self.assertEqual(await bare.ends(), 0, bare.output)
