"""The drivers of the fuzzer: a short run of each, what they have found, and that they find something at all."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from random import Random
from typing import Any, get_args
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import framing as framer
from twisted_chat import messages
from twisted_chat.chat import Chat
from twisted_chat.client.program import clean
from twisted_chat.messages import AnyRequest, codec, decode_request
from twisted_chat.wire import frames as wire_frames

from .fuzz import __main__ as command
from .fuzz import chat, client, decoder, frames, framing
from .fuzz.objects import Bytes, Chances, make_request

SEED = 11


class DriverTests(SynchronousTestCase):
    """No promise is broken by the seeds of a driver, and by some inputs that are made of them."""

    def survives(self, driver: Any, count: int) -> None:
        random = Random(SEED)
        for data in driver.SEEDS:
            driver.run(data)
        for _ in range(count):
            driver.run(command.mutate(random, driver.SEEDS))

    def test_decoder(self) -> None:
        self.survives(decoder, 300)

    def test_framing(self) -> None:
        self.survives(framing, 50)

    def test_frames(self) -> None:
        self.survives(frames, 100)

    def test_chat(self) -> None:
        self.survives(chat, 12)

    def test_client(self) -> None:
        self.survives(client, 20)


class FindingTests(SynchronousTestCase):
    """The drivers find faults that are put in on purpose."""

    def test_an_error_that_repeats_its_input(self) -> None:
        frame = messages.encode({"type": "grant", "nick": "al", "role": decoder.SECRET})
        decoder.check(frame)
        with patch.object(codec, "_plain", str), self.assertRaisesRegex(AssertionError, "says what was in the request"):
            decoder.check(frame)

    def test_a_frame_that_depends_on_where_the_stream_is_cut(self) -> None:
        def takes_all(self: Any, line: bytes) -> bool:
            return line.startswith(b"{")

        data = bytes([1, 0, *b'{"a":{}} {}\n'])
        framing.run(data)
        with patch.object(framer.Framer, "_is_one_object", takes_all), self.assertRaisesRegex(AssertionError, "cut"):
            framing.run(data)

    def test_fragments_without_a_bound(self) -> None:
        seed = frames.SEEDS[-1]
        frames.run(seed)
        with patch.object(wire_frames, "MAX_FRAGMENTS", 10**6), self.assertRaisesRegex(AssertionError, "no bound"):
            frames.run(seed)

    def test_a_room_that_everybody_may_read(self) -> None:
        """With a gate that is open, a guest who is in a locked room is told what is said there."""

        def run() -> None:
            world = chat.World(Bytes(b""))
            boss, eve = chat.Peer(world, chat.PLACES[0]), chat.Peer(world, chat.PLACES[1])
            world.peers += [boss, eve]
            for peer, objects in (
                (
                    boss,
                    ({"type": "hello", "nick": "boss", "password": chat.SECRETS[0]}, {"type": "join", "room": "den"}),
                ),
                (boss, ({"type": "lock", "room": "den", "on": True},)),
                (eve, ({"type": "hello", "nick": "eve"},)),
                (eve, ({"type": "join", "room": "den"},)),
            ):
                peer.send(b"".join(messages.encode(obj) + b"\n" for obj in objects))
                world.server.settle()
                world.check()

        run()
        with patch.object(Chat, "check_entry", lambda *_: None):
            self.assertRaisesRegex(AssertionError, "eve may not read den", run)

    def test_a_text_that_is_not_cleaned(self) -> None:
        with patch.object(clean, "_without_unseen", str), self.assertRaises(AssertionError):
            client.show("\x1b[2J")


class RequestTests(SynchronousTestCase):
    def test_requests_of_all_kinds_are_made_and_most_are_valid(self) -> None:
        source = Chances(Random(SEED))
        made = [make_request(source, decoder.WORDS) for _ in range(3000)]
        types = {str(cls.__struct_config__.tag) for cls in get_args(AnyRequest)}
        self.assertEqual({obj["type"] for obj in made}, types)
        valid = 0
        for obj in made:
            try:
                decode_request(messages.encode({name: value for name, value in obj.items() if value == value}))
            except Exception:
                continue
            valid += 1
        self.assertGreater(valid, 2000)

    def test_bytes_that_are_used_up_choose_the_first(self) -> None:
        source = Bytes(b"\x05\x01\x02")
        self.assertEqual([source.below(10), source.below(1000), source.is_used_up], [5, 513, True])
        self.assertEqual([source.below(10), source.below(1000)], [0, 0])


class CommandTests(SynchronousTestCase):
    def run_random(self, run: Any) -> int:
        options = Namespace(seed=SEED, seconds=0, corpus=None)
        return command._run_random("decoder", run, (b"a", b"b"), options)

    def test_all_seeds_are_run(self) -> None:
        seen: list[bytes] = []
        self.assertEqual(self.run_random(seen.append), 0)
        self.assertEqual(seen, [b"a", b"b"])

    def test_an_input_that_breaks_a_promise_is_written(self) -> None:
        def run(data: bytes) -> None:
            assert data != b"b"

        self.assertRaises(AssertionError, self.run_random, run)
        (path,) = Path().glob("decoder-*.input")
        self.addCleanup(path.unlink)
        self.assertEqual(path.read_bytes(), b"b")
