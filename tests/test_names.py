"""The names of nicks and rooms, and when two names are one."""

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
            self.assertEqual(names.author(name).shown, name)
            self.assertEqual(names.room(name).shown, name)

    def test_nothing_else(self) -> None:
        bad = ["a b", "a\tb", "a\nb", "a\x00b", "a\x1b[1m", "a/b", "a@b", "#a", "a'b", "a,b", "a\u200bb", "a\u202eb"]
        for name in [*bad, "💬", "²", "½", "a\ud800", "\ufeffa", "\u0301", "אa", "a\u00a0b", "—"]:
            error = self.assertRaises(WireError, names.nick, name)
            self.assertEqual(
                (error.code, error.text), ("bad-nick", "a nick consists of letters, digits, '-', '_' and '.'"), name
            )
            for check, code in ((names.author, "bad-nick"), (names.room, "bad-room")):
                error = self.assertRaises(WireError, check, name)
                self.assertEqual(error.code, code, name)

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


class Appearance(TestCase):
    """Further rules for nicks, so that they can be told from others at a glance."""

    NAMES = (
        # Vietnamese, polytonic Greek, Hebrew with points, Arabic with vowel signs, Urdu
        *("Nguyễn", "Nguye\u0302\u0303n", "Ἀλέξανδρος", "ᾍδης", "שָׁלוֹם", "שַּׁבָּת", "محمّد", "اللّٰه", "تھائی"),
        # Hindi, Bengali, Tamil, Telugu, Kannada, Malayalam, Odia, Sinhala
        *("बड़ों", "पड़ें", "কোঁকন", "கொடி", "తెలుగు", "ಕನ್ನಡ", "സ്ത്രീ", "ଓଡ଼ିଆ", "සිංහල"),
        # Burmese, Tibetan, Khmer, Thai, Lao, Korean, Japanese, Amharic, Georgian, Cherokee, Tifinagh, Syriac
        *("ကျော်", "ကြွေး", "བསྒྲུབས", "ស្រ្តី", "ที่รัก", "ລາວ", "김철수", "がぎ", "愛", "ሰላም", "გია", "ᏣᎳᎩ", "ⴰⵎ", "ܫܠܡܐ"),
    )

    def test_names_in_the_scripts_of_the_world(self) -> None:
        for name in self.NAMES:
            self.assertEqual(names.nick(name).shown, name)

    def test_a_nick_is_no_address(self) -> None:
        for name in "192.0.2.7", "1.2.3.4":
            error = self.assertRaises(WireError, names.nick, name)
            self.assertEqual((error.code, error.text), ("bad-nick", "a nick is not an address: add a letter"))
        for name in "1.2.3", "1.2.3.4.5", "v1.2.3.4":
            names.nick(name)

    def test_a_nick_has_a_letter_or_digit(self) -> None:
        for name in (".", "-_-", "___", "ー", "ʼ"):
            error = self.assertRaises(WireError, names.nick, name)
            self.assertEqual((error.code, error.text), ("bad-nick", "a nick has at least one letter or digit"), name)
        for name in ("-a-", ".1", "_я_"):
            names.nick(name)

    def test_a_letter_bears_two_combining_marks(self) -> None:
        for name in ("a\u0301\u0302", "é\u0302", "ẅ", "q\u0323\u0301", "1\u0301\u0302"):
            names.nick(name)
        for name in ("a\u0301\u0302\u0303", "é\u0302\u0303", "ệ\u0301", "xа\u0301\u0302\u0303", "1\u0301\u0302\u0303"):
            error = self.assertRaises(WireError, names.nick, name)
            text = "a letter of a nick bears at most 2 combining marks, none twice: leave some out"
            self.assertEqual((error.code, error.text), ("bad-nick", text), name)

    def test_a_letter_without_capitals_bears_four(self) -> None:
        marks = ["\u05bc", "\u05c1", "\u05b8", "\u0591"]
        names.nick("ש" + "".join(marks))
        names.nick("का" + "\u0900\u0902")
        for name in ("ש" + "".join(marks) + "\u0592", "กา\u0e47\u0e48\u0e49\u0e4a\u0e4b"):
            error = self.assertRaises(WireError, names.nick, name)
            text = "a letter of a nick bears at most 4 combining marks, none twice: leave some out"
            self.assertEqual((error.code, error.text), ("bad-nick", text), name)

    def test_no_mark_is_on_a_letter_twice(self) -> None:
        for name in ("a\u0301\u0301", "é\u0301", "ไทย\u0e47\u0e47"):
            error = self.assertRaises(WireError, names.nick, name)
            self.assertEqual(error.code, "bad-nick", name)

    def test_a_small_capital_is_no_letter_of_a_nick(self) -> None:
        for letter in "ᴍʀɴʙʜʟɢᴀᴅᴇᴊᴋᴘᴛꜰꞯɶʛᴫ":
            error = self.assertRaises(WireError, names.nick, f"{letter}ia")
            text = f"a nick has no small capitals such as '{letter}': write another letter"
            self.assertEqual((error.code, error.text), ("bad-nick", text))
        error = self.assertRaises(WireError, names.nick, "Ʀob")  # the capital of a small capital
        self.assertEqual(error.code, "bad-nick")

    def test_a_small_capital_that_looks_like_a_small_letter_is_one(self) -> None:
        for letter, looks in zip("ɪʏᴄᴏᴜᴠᴡᴢꜱ", "iycouvwzs", strict=True):
            self.assertEqual(names.skeleton(names.nick(f"{letter}al").shown), f"{looks}al")

    def test_no_other_form_of_a_letter_makes_another_nick(self) -> None:
        forms = {
            "letterlike": "ℳ",
            "mathematical": "𝗆𝐌𝓂𝔪",
            "enclosed": "Ⓜ⒨🄼",
            "raised": "ᵐᴹ",
            "number": "ⅿⅯ",
            "unit": "㎡",
        }
        for form, letters in forms.items():
            for letter in letters:
                error = self.assertRaises(WireError, names.nick, f"{letter}ia")
                self.assertEqual(error.code, "bad-nick", form)
        for letter in "ｍＭ":
            self.assertEqual(names.nick(f"{letter}ia").key, "mia")
        for letter in "ΜМᎷꓟⲘᗰᛖ":  # Greek, Cyrillic, Cherokee, Lisu, Coptic, Canadian syllabics, runes
            self.assertEqual(names.skeleton(names.nick(f"{letter}ia").shown), "mia")

    def test_authors_and_rooms_are_older_than_these_rules(self) -> None:
        for name in (".", "-_-", "a\u0301\u0302\u0303", "ᴍɪa"):
            self.assertEqual(names.author(name).shown, name)
            self.assertEqual(names.room(name).shown, name)


class LabelTests(TestCase):
    def test_names_that_the_server_gives_to_bare_clients(self) -> None:
        for name in ("49474", "４９４７４", "49474-2", "u7", "U7-12"):
            self.assertTrue(names.is_label(names.nick(name)), name)
        for name in ("7a", "u", "u7-", "x7", "a49474", "49474-2-3"):
            self.assertFalse(names.is_label(names.nick(name)), name)

    def test_the_name_of_the_server_and_self_are_reserved(self) -> None:
        for name in "server", "Self", "ѕerver":  # the last one has a Cyrillic ѕ
            self.assertTrue(names.is_reserved(names.nick(name)), name)
        for name in "servers", "myself":
            self.assertFalse(names.is_reserved(names.nick(name)), name)


class LookalikesTests(TestCase):
    def setUp(self) -> None:
        self.names = names.Lookalikes()

    def clash(self, name: str, own: str = "") -> bool:
        return self.names.clash(names.nick(name), names.nick(own) if own else names.NOBODY)

    def test_a_name_that_looks_like_another_one(self) -> None:
        self.names.add(names.nick("alice"))
        for name in ("аlice", "Alіce", "ａlісe", "aӏice"):
            self.assertTrue(self.clash(name), name)
        for name in ("alice", "ALICE", "álice", "bob"):
            self.assertFalse(self.clash(name), name)

    def test_one_in_another_script(self) -> None:
        self.names.add(names.nick("аӏісе"))
        for name in ("alice", "ALICE", "alісе"):
            self.assertTrue(self.clash(name), name)
        for name in ("аӏісе", "АӀІСЕ"):
            self.assertFalse(self.clash(name), name)

    def test_a_name_is_free_when_all_that_bear_it_have_left(self) -> None:
        bearer = names.nick("alice")
        self.names.add(bearer)
        self.names.add(names.nick("ALICE"))
        self.names.discard(bearer)
        self.assertTrue(self.clash("аlice"))
        self.names.discard(names.nick("Alice"))
        self.assertFalse(self.clash("аlice"))
        self.assertEqual(len(self.names._keys), 0)

    def test_one_may_change_to_a_name_that_looks_like_ones_own(self) -> None:
        for old, new in (("alice", "аlice"), ("аlice", "alice"), ("аlice", "аliсe")):
            self.names.add(names.nick(old))
            self.assertTrue(self.clash(new))
            self.assertFalse(self.clash(new, own=old))
            self.assertTrue(self.clash(new, own="bob"))
            self.names.discard(names.nick(old))


class LogTests(TestCase):
    def test_the_log_of_two_is_the_same_for_both_and_no_rooms(self) -> None:
        alice, bob = names.nick("Alice"), names.nick("bob")
        log = names.direct(bob, alice)
        self.assertEqual((log, names.direct(alice, bob)), (names.Name("@Alice@bob", "@alice@bob"), log))
        self.assertTrue(names.is_direct(log.key))
        self.assertFalse(names.is_direct("alice"))
        self.assertRaises(WireError, names.room, log.shown)

    def test_a_message_is_in_a_room_or_to_the_other_one(self) -> None:
        self.assertEqual(names.address_of("Den", "bob"), ("Den", None))
        self.assertEqual(names.address_of("@Alice@bob", "bob"), (None, "Alice"))
        self.assertEqual(names.address_of("@Alice@bob", "Alice"), (None, "bob"))
        self.assertEqual(names.address_of("@bob@bob", "bob"), (None, "bob"))

    def test_a_log_is_named_by_its_room_or_its_two(self) -> None:
        self.assertEqual(names.log("Den"), names.room("Den"))
        self.assertEqual(names.log("@bob@Alice"), names.direct(names.nick("Alice"), names.nick("bob")))
        for name in "@bob", "@bob@", "@a@b@c", "@a b@c", "#den":
            self.assertEqual(self.assertRaises(WireError, names.log, name).code, "bad-room")


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
