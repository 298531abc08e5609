"""Replies that do not fit into a datagram: the part that is left, and the way to the rest."""

from __future__ import annotations

from typing import get_args, get_origin

from hypothesis import given
from hypothesis import strategies as st
from msgspec import NODEFAULT, structs
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.messages import (
    Error,
    HistoryPage,
    Joined,
    Left,
    MemberLeft,
    Members,
    Message,
    NickChanged,
    PongSent,
    Presence,
    Reply,
    RoomInfo,
    RoomList,
    Stop,
    TopicChanged,
    Welcome,
    decode_reply,
    encode,
)
from twisted_chat.wire.udp.datagram import LONGEST, MAX_DATAGRAM
from twisted_chat.wire.udp.fitting import fit

TEXTS = st.builds(str.__mul__, st.text('aж👋"\\\x01', min_size=1, max_size=5), st.integers(1, 2000))


class FittingTests(SynchronousTestCase):
    def cut(self, whole: Reply) -> list[Reply]:
        """Fit an object, see that all that comes of it fits with any number, and read it."""
        before = encode(whole)
        datagrams = fit(whole)
        for datagram in datagrams:
            self.assertEqual(datagram.size, len(encode(datagram.reply)))
            self.assertLessEqual(datagram.size, LONGEST)
        self.assertEqual(encode(whole), before, "the object stays as it is: others may be told it by another wire")
        return [decode_reply(encode(datagram.reply)) for datagram in datagrams]

    def test_what_fits_stays_as_it_is(self) -> None:
        longest = Message("x" * (LONGEST - len(encode(Message("", "bob", "lobby", seq=7)))), "bob", "lobby", seq=7)
        self.assertEqual(len(encode(longest)), LONGEST)
        for reply in (longest, Left(room="lobby", id="i"), Error(code="internal", msg="x", author="server")):
            self.assertEqual(self.cut(reply), [reply])

    def test_there_is_space_for_the_number(self) -> None:
        longest = Message("x" * (LONGEST - len(encode(Message("", "bob", "lobby", seq=7)))), "bob", "lobby", seq=7)
        (datagram,) = fit(longest)
        self.assertEqual(len(datagram.numbered(10**10 - 1)), MAX_DATAGRAM)

    def test_each_number_is_that_of_one_sending(self) -> None:
        pong = PongSent(id="p")
        (datagram,) = fit(pong)
        self.assertEqual(datagram.numbered(1), b'{"type":"pong","id":"p","n":1}')
        self.assertEqual(datagram.numbered(12), b'{"type":"pong","id":"p","n":12}')
        self.assertEqual(encode(pong), b'{"type":"pong","id":"p"}', "on another wire there is none")

    @given(TEXTS)
    def test_a_message_of_a_room_says_how_much_is_missing(self, text: str) -> None:
        (message,) = self.cut(Message(text, "bob", "lobby", seq=7))
        assert isinstance(message, Message)
        self.assertEqual(message.msg, text[: len(message.msg)])
        self.assertEqual(len(message.msg) + (message.rest or 0), len(text))

    def test_as_much_as_fits_is_left(self) -> None:
        (datagram,) = fit(Message("x" * 5000, "bob", "lobby", seq=7))
        self.assertGreater(datagram.size, LONGEST - 2, "the digits of what is missing take some")

    @given(TEXTS)
    def test_a_message_for_one_nick_comes_in_pieces(self, text: str) -> None:
        pieces = self.cut(Message(text, "bob", to="al"))
        self.assertEqual("".join(piece.msg for piece in pieces if isinstance(piece, Message)), text)

    def test_a_page_has_the_beginning_of_its_one_message(self) -> None:
        whole = Message("x" * 5000, "bob", "lobby", seq=7)
        (page,) = self.cut(HistoryPage(room="lobby", messages=[whole], more=True, id="1"))
        assert isinstance(page, HistoryPage)
        (message,) = page.messages
        self.assertEqual((page.id, page.more, len(message.msg) + (message.rest or 0)), ("1", True, 5000))

    def test_a_page_that_is_too_long_without_any_text_is_an_error(self) -> None:
        far = "\U00020000"
        whole = Message("x" * 5000, far * 32, far * 64, seq=10**12, time="2026-11-22T11:06:36.123Z")
        (error,) = self.cut(HistoryPage(room=far * 64, messages=[whole], more=True, id="\x01" * 64))
        assert isinstance(error, Error)
        self.assertEqual((error.code, error.id), ("too-long", "\x01" * 64))

    def test_a_title_or_a_farewell_loses_its_end(self) -> None:
        text = "\x01" * 256
        (rooms,) = self.cut(RoomList(rooms=[RoomInfo("lobby", 2, text)]))
        (joined,) = self.cut(Joined(room="lobby", topic=text, seq=1, oldest=1, count=2))
        (changed,) = self.cut(TopicChanged(author="bob", room="lobby", msg=text))
        (left,) = self.cut(MemberLeft(author="bob", room="lobby", msg=text))
        assert isinstance(rooms, RoomList) and isinstance(joined, Joined)
        assert isinstance(changed, TopicChanged) and isinstance(left, MemberLeft)
        for cut in (rooms.rooms[0].topic, joined.topic, changed.msg, left.msg):
            self.assertTrue(100 < len(cut) < 256 and text.startswith(cut))

    def test_a_reason_loses_its_end(self) -> None:
        (stop,) = self.cut(Stop(msg="x" * 2000, author="server", id="q"))
        (error,) = self.cut(Error(code="internal", msg="x" * 2000, author="server", id="q", retry=1.5))
        assert isinstance(stop, Stop) and isinstance(error, Error)
        for cut in (stop, error):
            self.assertTrue(1000 < len(cut.msg) < 1200)
            self.assertEqual((cut.author, cut.id), ("server", "q"))
        self.assertEqual((error.code, error.retry), ("internal", 1.5))

    def test_whatever_else_is_too_long_is_an_error_with_its_id(self) -> None:
        for reply in (
            Welcome(nick="al", server="s" * 2000, protocol=1, limits={}, id="i"),
            Members(room="lobby", members=["x" * 2000], count=1, id="i"),
            RoomList(rooms=[RoomInfo("x" * 2000, 1, "")], id="i"),
            RoomList(rooms=[RoomInfo("x" * 600, 1, ""), RoomInfo("y" * 600, 1, "")], id="i"),
            HistoryPage(room="x" * 2000, messages=[], more=False, id="i"),
            TopicChanged(author="x" * 2000, room="lobby", msg="hi", id="i"),
            NickChanged(author="x" * 2000, nick="al", id="i"),
        ):
            (error,) = self.cut(reply)
            assert isinstance(error, Error)
            self.assertEqual((error.code, error.id), ("too-long", "i"))

    def test_what_is_no_answer_may_be_too_long_as_well(self) -> None:
        for reply in (
            Message("hi", "x" * 2000, "lobby", seq=7),
            Message("hi" * 2000, "x" * 2000, to="al"),
            Presence(room="x" * 2000, count=1),
        ):
            (error,) = self.cut(reply)
            assert isinstance(error, Error)
            self.assertEqual((error.code, error.id), ("too-long", None))

    def test_there_is_a_way_for_each_reply(self) -> None:
        """A reply that is new has to be thought of: its text is cut, or it is an error."""
        odd = {str: "x" * 2000, bool: True, list: [], dict: {}}
        for reply in get_args(Reply):
            fields = [field for field in structs.fields(reply) if field.default is NODEFAULT]
            kinds = {field.name: get_origin(field.type) or field.type for field in fields}
            values = {name: odd.get(kind, 1) for name, kind in kinds.items()} | {"id": "i", "code": "internal"}
            named = {field.encode_name for field in structs.fields(reply)}
            values = {name: value for name, value in values.items() if name in named}
            self.assertTrue(self.cut(reply(**values)))
