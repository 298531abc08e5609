"""Which names look alike: the skeleton of UTS #39, and the table that it is made with."""

from __future__ import annotations

import sys
import unicodedata
from importlib.resources import files

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import confusables, names
from twisted_chat.confusables import skeleton, skeletons
from twisted_chat.messages import WireError

from .make_confusables import make

IGNORABLE = (
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5", *map(chr, range(0x180B, 0x1810))),
    *map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)]),
    *("\u3164", *map(chr, range(0xFE00, 0xFE10)), "\ufeff", "\uffa0", *map(chr, range(0xFFF0, 0xFFF9))),
    *map(chr, [*range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B), *range(0xE0000, 0xE1000)]),
)
"""The default ignorable code points of Unicode 17.0.0 (DerivedCoreProperties.txt)."""


class SkeletonTests(SynchronousTestCase):
    def test_letters_of_another_script(self) -> None:
        for name, others in {
            "alice": ("аlice", "аӏісе", "АLІСЕ"),
            "paypal": ("раураӏ", "pаypаl"),
            "potato": ("РОТАТО", "ΡΟΤΑΤΟ"),
            "evan": ("еvan", "ｅvаn"),
            "server": ("ѕеrvеr", "SЕRVЕR", "ｓｅｒｖｅｒ"),
            "nikos": ("nіkоs",),
        }.items():
            for other in others:
                self.assertEqual(skeleton(other), skeleton(name), other)

    def test_fullwidth_letters(self) -> None:
        for name in ("ｓｍｔ", "ＳＭＴ", "smｔ"):
            self.assertEqual(skeleton(name), "smt")

    def test_case(self) -> None:
        """It is looked at as it is written, as in Ergo: a capital that looks like another one is that one."""
        self.assertEqual(skeleton("НELEN"), skeleton("helen"))
        self.assertNotEqual(skeleton("нelen"), skeleton("helen"))
        self.assertEqual(names.nick("НELEN").key, names.nick("нelen").key)

    def test_digits_and_letters_of_ascii_are_told_apart(self) -> None:
        for name, others in {"alice": ("aIice", "a1ice"), "bob0": ("bobo", "bobO"), "bob1": ("bobl", "bobI")}.items():
            for other in others:
                self.assertNotEqual(skeleton(other), skeleton(name), other)

    def test_capitals_that_look_like_i(self) -> None:
        for name in ("Іan", "Ιan", "Ӏan", "ian", "Ian", "ıan", "іan"):
            self.assertEqual(skeleton(name), "ian", name)
        self.assertEqual(skeleton("ӏan"), "lan")

    def test_m_does_not_look_like_rn(self) -> None:
        self.assertNotEqual(skeleton("modern"), skeleton("rnodern"))
        for name in ("ｍodern", "ɱodern", "mоdern", "Мodern"):
            self.assertEqual(skeleton(name), skeleton("modern"), name)

    def test_a_dot_on_a_letter_that_has_one(self) -> None:
        for name, other in (("ali\u0307ce", "alice"), ("j\u0307im", "jim"), ("į\u0307", "į"), ("İan", "ian")):
            self.assertEqual(skeleton(name), skeleton(other), name)
        self.assertNotEqual(skeleton("ȧnn"), skeleton("ann"))

    def test_accents_count(self) -> None:
        self.assertNotEqual(skeleton("rené"), skeleton("rene"))
        self.assertEqual(skeleton("rené"), skeleton("rene\u0301"))

    def test_names_from_right_to_left_are_compared_as_they_are_displayed(self) -> None:
        self.assertEqual(skeleton("סו"), skeleton("lo"))
        self.assertEqual(skeleton("סו12"), skeleton("12lo"))
        self.assertEqual(skeleton("ס\u0323ו"), "lo\u0323")

    def test_digits_of_other_scripts(self) -> None:
        self.assertEqual(skeleton("أ٣"), skeleton("أ۳"))

    @given(st.from_regex(names._ascii, fullmatch=True))
    def test_the_short_way_for_ascii_is_the_same(self, name: str) -> None:
        self.assertEqual(skeleton(name), skeletons._skeleton(name))
        self.assertEqual(skeleton(name), names._key(name))

    @given(st.text("aeIl10Oрсѕβοικकराि\u0902áệ\u0301\u0307_-.") | st.text("אבגסוש\u05bc\u05b8اهسم12_-."))
    def test_the_way_an_accent_is_written_does_not_count(self, text: str) -> None:
        composed, decomposed = (unicodedata.normalize(form, f"x{text}") for form in ("NFC", "NFD"))
        self.assertEqual(skeleton(composed), skeleton(decomposed))

    def test_a_name_has_no_compatibility_characters_but_for_width(self) -> None:
        """And the capital theta symbol, since the small one takes its place before the profile looks."""
        compatibility = [
            character
            for character in map(chr, range(sys.maxunicode + 1))
            if unicodedata.normalize("NFKD", character) != unicodedata.normalize("NFD", character)
        ]
        self.assertGreater(len(compatibility), 3_000)
        for character in compatibility:
            if unicodedata.decomposition(character).split()[0] not in ("<wide>", "<narrow>") and character != "ϴ":
                self.assertRaises(WireError, names.room, f"a{character}")

    def test_a_name_has_no_characters_that_are_not_displayed(self) -> None:
        for character in IGNORABLE:
            for name in (f"a{character}b", f"क्{character}ष", f"ب{character}ب", character):
                self.assertRaises(WireError, names.room, name)


class TableTests(SynchronousTestCase):
    def test_it_is_whole(self) -> None:
        """6,565 mappings of Unicode 17.0.0, without the 8 of ASCII; none leads to a character that is mapped again."""
        table = skeletons._prototypes()
        self.assertEqual(len(table), 6565 - 8)
        prototypes = {ord(character) for prototype in table.values() for character in prototype}
        self.assertEqual(prototypes & table.keys(), set())

    def test_it_says_where_it_is_from(self) -> None:
        text = files(confusables).joinpath("confusables.txt").read_text("utf-8")
        self.assertIn("#   Version: 17.0.0\n", text)
        self.assertIn("17.0.0", confusables.__doc__ or "")
        self.assertIn("© 2025 Unicode", text)
        licence = files(confusables).joinpath("LICENSE").read_text("utf-8")
        self.assertTrue(licence.startswith("UNICODE LICENSE V3\n"))

    def test_it_is_made_of_the_original(self) -> None:
        original = [
            "\ufeff# confusables.txt\n",
            "# Version: 1.2.3\n",
            "#\n",
            "0430 ;\t0061 ;\tMA\t# ( а → a ) CYRILLIC SMALL LETTER A → LATIN SMALL LETTER A\t# \n",
            "\n",
            "2049 ;\t0021 003F ;\tMA\t#* ( ⁉ → !? ) EXCLAMATION QUESTION MARK\t#\n",
            "0251 ;\t0061 ;\tMA\t# ( ɑ → a ) LATIN SMALL LETTER ALPHA → LATIN SMALL LETTER A\t# \n",
            "\n",
            "# total: 3\n",
        ]
        made = make(original).splitlines()
        self.assertEqual(made[3:5], ["#   confusables.txt", "#   Version: 1.2.3"])
        self.assertEqual(made[-2:], ["0021 003F: 2049", "0061: 0430 0251"])
        error = self.assertRaises(ValueError, make, original[:-3] + original[-1:])
        self.assertEqual(str(error), "the original says that it has 3 mappings, and 2 were found")
