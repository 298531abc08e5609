"""The colours of nicks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.terminal.colours import PALETTE, colour


class ColourTests(SynchronousTestCase):
    def test_a_nick_has_one_colour_in_every_session(self) -> None:
        self.assertEqual(colour("alice"), colour("ALICE"))
        self.assertEqual([PALETTE.index(colour(nick)) for nick in ("alice", "bob", "Юра", "a b")], [7, 12, 4, 8])

    def test_nicks_use_all_colours(self) -> None:
        self.assertEqual({colour(f"nick{i}") for i in range(300)}, set(PALETTE))

    def test_colours_can_be_read_on_black_and_on_white(self) -> None:
        for shade in PALETTE:
            luminance = sum(
                share * ((int(shade[i : i + 2], 16) / 255 + 0.055) / 1.055) ** 2.4
                for share, i in ((0.2126, 1), (0.7152, 3), (0.0722, 5))
                if shade[i : i + 2] != "00"
            )
            self.assertGreater(min((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)), 3.7, shade)
