"""The vocabulary of the wire: what is read as what, and what is wrong with the rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from twisted_chat import messages
from twisted_chat.messages import (
    MAX_NESTING,
    MAX_SEQ,
    Ack,
    BareMessage,
    Error,
    Hello,
    History,
    HistoryPage,
    Join,
    Leave,
    ListRooms,
    Message,
    Nick,
    Ping,
    Pong,
    Quit,
    Say,
    Topic,
    Welcome,
    Who,
    WireError,
    decode_bare,
    decode_reply,
    decode_request,
    encode,
    encode_line,
    is_same_token,
    time_milliseconds,
    time_text,
)

from .helpers import Calls


def refusal(test: TestCase, frame: bytes) -> WireError:
    """Read what cannot be read."""
    error = test.assertRaises(WireError, decode_request, frame)
    assert isinstance(error, WireError)
    return error


class Requests(TestCase):
    def test_each_type_is_read_as_what_it_is(self) -> None:
        for frame, request in (
            (b'{"type":"","room":"lobby","msg":"hi","id":"1"}', Say("1", "hi", "lobby")),
            (b'{"type":"","to":"bob","msg":"hi"}', Say(None, "hi", None, "bob")),
            (b'{"type":"hello","nick":"al","password":"p","cookie":"c"}', Hello(None, "al", "p", "c")),
            (b'{"type":"join","room":"lobby","since":41}', Join(room="lobby", since=41)),
            (b'{"type":"leave","room":"lobby"}', Leave(room="lobby")),
            (b'{"type":"history","room":"a","before":9,"limit":3}', History(room="a", before=9, limit=3)),
            (b'{"type":"history","room":"a","after":0}', History(room="a", after=0, limit=50)),
            (b'{"type":"who","room":"a","after":"bob"}', Who(room="a", after="bob")),
            (b'{"type":"rooms"}', ListRooms()),
            (b'{"type":"nick","nick":"al"}', Nick(nick="al")),
            (b'{"type":"topic","room":"a","msg":"t"}', Topic(room="a", msg="t")),
            (b'{"type":"ping","id":"1"}', Ping("1")),
            (b'{"type":"pong"}', Pong()),
            (b'{"type":"quit","msg":"bye"}', Quit(None, "bye")),
        ):
            self.assertEqual(decode_request(frame), request)

    def test_what_names_no_type_is_a_message(self) -> None:
        for frame in (b'{"msg":"hi"}', b' { "msg" : "hi" }', b'{"author":"x","msg":"hi"}'):
            self.assertEqual(decode_request(frame), Say(None, "hi"))
        self.assertEqual(decode_request(b"{}"), Say())
        self.assertEqual(decode_request(b"{ \t}"), Say())

    def test_unknown_fields_and_the_author_are_ignored(self) -> None:
        self.assertEqual(decode_request(b'{"type":"","msg":"hi","author":"root","n":[{}]}'), Say(None, "hi"))

    def test_numbers_reach_as_far_as_a_store_does(self) -> None:
        frame = b'{"type":"join","room":"a","since":%d}'
        self.assertEqual(decode_request(frame % MAX_SEQ), Join(room="a", since=MAX_SEQ))
        for bad in (-1, MAX_SEQ + 1, 10**400):
            self.assertEqual(refusal(self, frame % bad).code, "bad-message", bad)

    def test_an_id_has_at_most_64_characters(self) -> None:
        frame = '{"type":"ping","id":"%s"}'
        self.assertEqual(decode_request((frame % ("я" * 64)).encode()), Ping("я" * 64))
        error = refusal(self, (frame % ("я" * 65)).encode())
        self.assertEqual((error.code, error.id), ("bad-message", None))


class Wrong(TestCase):
    def test_what_is_no_json_object(self) -> None:
        deep = b'{"x":' + b"[" * 10_000
        for frame in (b"", b"{", b"[]", b"5", b"null", b'"x"', b"{'a':1}", b'{"a":NaN}', b"\xef\xbb\xbf{}", deep):
            self.assertEqual(refusal(self, frame).code, "bad-json", frame[:20])

    def test_nesting_is_bounded_alike_whatever_the_python(self) -> None:
        def nested(depth: int) -> bytes:
            return b'{"type":"ping","x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

        self.assertEqual(decode_request(nested(MAX_NESTING)), Ping())
        self.assertEqual(refusal(self, nested(MAX_NESTING + 1)).code, "bad-json")

    def test_brackets_in_a_text_are_no_nesting(self) -> None:
        text = '[{"\\' * 100
        self.assertEqual(decode_request(json.dumps({"type": "", "msg": text}).encode()), Say(msg=text))

    def test_many_objects_beside_each_other_are_no_nesting(self) -> None:
        self.assertEqual(decode_request(b'{"type":"ping","x":[' + b",".join([b"{}"] * 100) + b"]}"), Ping())

    def test_many_brackets_take_no_step_each(self) -> None:
        for inside in (b"{}", b"[]", b'"["'):
            frame = b'{"type":"ping","x":[' + b",".join([inside] * 4_000) + b"]}"
            with Calls() as calls:
                self.assertEqual(decode_request(frame), Ping())
            self.assertLess(calls.count, 20)

    def test_deep_nesting_in_what_names_no_type(self) -> None:
        deep = b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
        self.assertEqual(refusal(self, deep).text, "this is no JSON object: it is nested too deeply")

    def test_what_is_not_unicode(self) -> None:
        self.assertEqual(refusal(self, b'{"type":"","msg":"\xff"}').text, "this is no JSON object: it is not UTF-8")
        for frame in (b'{"msg":"\xff"}', rb'{"type":"","msg":"\ud800"}', rb'{"msg":"\udc00"}'):
            self.assertEqual(refusal(self, frame).code, "bad-json", frame)

    def test_a_type_that_no_request_has(self) -> None:
        error = refusal(self, b'{"type":"dance","id":"7"}')
        self.assertEqual((error.code, error.id, error.type), ("unknown-type", "7", "dance"))

    def test_a_field_of_the_wrong_type(self) -> None:
        for frame in (
            b'{"type":"join","room":5,"id":"7"}',
            b'{"type":"join","id":"7"}',
            b'{"type":"","msg":null,"id":"7"}',
            b'{"type":"history","room":"a","limit":0,"id":"7"}',
            b'{"type":5,"id":"7"}',
            b'{"type":null,"id":"7"}',
            b'{"msg":5,"id":"7"}',
        ):
            error = refusal(self, frame)
            self.assertEqual((error.code, error.id), ("bad-message", "7"), frame)
        self.assertEqual(refusal(self, b'{"type":"join","room":5}').type, "join")

    def test_an_id_that_is_none_is_not_given_back(self) -> None:
        for frame in (b'{"type":"ping","id":5}', b'{"type":"dance","id":["x"]}'):
            self.assertIs(refusal(self, frame).id, None)

    def test_no_character_of_what_was_read_is_repeated(self) -> None:
        for frame in (
            b'{"type":"SECRET"}',
            b'{"type":"join","room":["SECRET"]}',
            b'{"type":"hello","password":{"SECRET":1}}',
            b'{"SECRET":"SECRET}',
            b'{"type":SECRET}',
            b'{"type":"ping","id":"' + b"SECRET" * 20 + b'"}',
        ):
            self.assertNotIn("SECRET", refusal(self, frame).text)

    def test_a_value_that_a_decoder_would_repeat_is_named_otherwise(self) -> None:
        self.assertEqual(
            messages.codec._plain(msgspec.ValidationError("Invalid value 'SECRET'")), "a value that is not allowed"
        )

    def test_an_error_repeats_no_value(self) -> None:
        for fields in (
            {"type": "grant", "nick": "al", "role": "SECRET"},
            {"type": "grant", "nick": ["SECRET"], "role": "none"},
            {"type": "join", "room": "lobby", "since": "SECRET"},
            {"type": "ping", "id": "SECRET" * 20},
            {"type": "SECRET"},
        ):
            with self.assertRaises(WireError) as raised:
                decode_request(json.dumps(fields).encode())
            self.assertNotIn("SECRET", raised.exception.text)

    @given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda inner: b'{"' + inner + b'"}'))
    def test_whatever_comes_is_a_request_or_an_error_of_the_wire(self, frame: bytes) -> None:
        try:
            decode_request(frame)
        except WireError as error:
            self.assertIn(error.code, ("bad-json", "unknown-type", "bad-message"))

    @given(
        st.dictionaries(
            st.sampled_from(["type", "id", "msg", "room", "to", "since", "limit", "nick", "x"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.sampled_from(["", "join", "a"]),
                lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
            ),
        )
    )
    def test_any_fields_with_any_values_are_a_request_or_an_error_of_the_wire(self, fields: dict[str, object]) -> None:
        try:
            decode_request(json.dumps(fields).encode())
        except WireError as error:
            self.assertIn(error.code, ("unknown-type", "bad-message"))


class Replies(TestCase):
    def test_what_has_its_default_is_left_out(self) -> None:
        self.assertEqual(
            encode(Ack("1", "lobby", None, 4, "t")), b'{"type":"ack","id":"1","room":"lobby","seq":4,"time":"t"}'
        )

    def test_a_line_is_an_object_and_a_line_end(self) -> None:
        self.assertEqual(encode_line(Pong()), b'{"type":"pong"}\n')

    def test_a_line_end_in_a_text_does_not_end_the_line(self) -> None:
        self.assertEqual(encode_line(Message("a\nb\r", "al")).count(b"\n"), 1)

    def test_a_bare_message_has_its_three_fields_always_and_in_order(self) -> None:
        self.assertEqual(encode(BareMessage()), b'{"type":"","msg":"","author":"self"}')

    def test_what_is_written_is_read_back(self) -> None:
        for reply in (
            Message("hi", "al", "lobby", None, 1, "t"),
            Welcome(nick="al", server="s", protocol=1, limits={"object": 5}),
            HistoryPage(room="a", messages=[Message("hi", "al")], more=True),
            Error(code="full", msg="m", author="server", retry=0.5),
        ):
            self.assertEqual(decode_reply(encode(reply)), reply)

    def test_a_reply_that_this_version_does_not_know_is_a_decode_error(self) -> None:
        self.assertRaises(msgspec.DecodeError, decode_reply, b'{"type":"dance"}')

    def test_a_bare_message_is_read_with_fields_left_out(self) -> None:
        self.assertEqual(decode_bare(b'{"msg":"hi"}'), BareMessage("", "hi", "self"))
        self.assertRaises(msgspec.DecodeError, decode_bare, b'{"msg":5}')

    def test_an_error_says_what_to_do_and_when(self) -> None:
        error = WireError("rate-limited", "slow", "7", 0.5, "join")
        self.assertEqual((str(error), error.retry, error.type), ("slow", 0.5, "join"))


class Tokens(TestCase):
    def test_two_tokens_are_the_same_if_there_are_two_and_they_are_equal(self) -> None:
        for token, other in (("a", "a"), ("ä", "ä")):
            self.assertTrue(is_same_token(token, other))
        for one, two in (("a", "b"), ("a", "aa"), ("a", None), (None, "a"), (None, None)):
            self.assertFalse(is_same_token(one, two))


class Times(TestCase):
    def test_a_time_is_utc_with_milliseconds(self) -> None:
        self.assertEqual(time_text(1_795_345_596_123), "2026-11-22T11:06:36.123Z")
        self.assertEqual(time_text(0), "1970-01-01T00:00:00.000Z")

    def test_another_zone_is_understood(self) -> None:
        self.assertEqual(time_milliseconds("2026-11-22T12:06:36.123+01:00"), 1_795_345_596_123)

    def test_what_names_no_zone_is_utc_wherever_one_is(self) -> None:
        self.assertEqual(time_milliseconds("2026-11-22T11:06:36.123"), 1_795_345_596_123)
        self.assertEqual(time_milliseconds("2026-11-22"), 1_795_305_600_000)

    def test_what_is_no_time(self) -> None:
        for text in ("", "yesterday", "2026-13-01", "11:06"):
            self.assertRaises(ValueError, time_milliseconds, text)

    @given(st.integers(0, int(datetime(9999, 12, 31, tzinfo=UTC).timestamp() * 1000)))
    def test_every_millisecond_comes_back(self, milliseconds: int) -> None:
        self.assertEqual(time_milliseconds(time_text(milliseconds)), milliseconds)
