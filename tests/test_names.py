"""What a nick and a room may be called, and when two names are one."""

from __future__ import annotations

import precis_i18n
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from twisted_chat import names
from twisted_chat.messages import WireError


class Allowed(TestCase):
    def test_letters_digits_and_three_signs_of_any_script(self) -> None:
        for name in ("alice", "Алиса", "愛麗絲", "أليس", "ਐਲਿਸ", "एलिस", "bob-2_x.y", "أليس٣", "49474", "ß", "."):
            self.assertEqual(names.nick(name).shown, name)
            self.assertEqual(names.room(name).shown, name)

    def test_nothing_else(self) -> None:
        bad = ["a b", "a\tb", "a\nb", "a\x00b", "a\x1b[1m", "a/b", "a@b", "#a", "a'b", "a,b", "a\u200bb", "a\u202eb"]
        for name in [*bad, "💬", "²", "½", "a\ud800", "\ufeffa", "\u0301", "אa", "a\u00a0b", "—"]:
            error = self.assertRaises(WireError, names.nick, name)
            self.assertEqual(
                (error.code, error.text), ("bad-nick", "a nick consists of letters, digits, '-', '_' and '.'"), name
            )
            error = self.assertRaises(WireError, names.room, name)
            self.assertEqual(error.code, "bad-room", name)

    def test_a_nick_has_1_to_32_characters(self) -> None:
        names.nick("я" * 32)
        for name in ("", "я" * 33, "x" * 10_000):
            error = self.assertRaises(WireError, names.nick, name)
            self.assertEqual((error.code, error.text), ("bad-nick", "a nick has 1 to 32 characters"))

    def test_a_room_has_1_to_64_characters(self) -> None:
        names.room("я" * 64)
        for name in ("", "я" * 65):
            error = self.assertRaises(WireError, names.room, name)
            self.assertEqual((error.code, error.text), ("bad-room", "a room has 1 to 64 characters"))


class Same(TestCase):
    def test_case_and_width_do_not_count(self) -> None:
        for one, other in (("Alice", "aLICE"), ("Алиса", "АЛИСА"), ("alice", "ａｌｉｃｅ"), ("Ａ1", "a１"), ("é", "É")):
            self.assertEqual(names.nick(one).key, names.nick(other).key)
            self.assertEqual(names.room(one).key, names.room(other).key)
            self.assertEqual(names.nick(one).shown, one)

    def test_the_way_an_accent_is_written_does_not_count(self) -> None:
        self.assertEqual(names.nick("e\u0301").key, names.nick("\u00e9").key)

    def test_letters_of_other_scripts_that_look_alike_are_others(self) -> None:
        self.assertNotEqual(names.nick("alice").key, names.nick("аlice").key)

    @given(st.from_regex(names._ascii, fullmatch=True))
    def test_the_short_way_for_ascii_is_what_the_profile_says(self, name: str) -> None:
        self.assertEqual(names._key(name), precis_i18n.get_profile("UsernameCaseMapped").enforce(name))

    @given(st.text(min_size=1, max_size=names.MAX_ROOM))
    def test_a_key_is_a_name_whose_key_it_is(self, name: str) -> None:
        try:
            key = names._key(name)
        except ValueError:
            return
        self.assertEqual(names._key(key), key)
