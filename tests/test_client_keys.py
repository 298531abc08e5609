"""The key of a name in a client with nothing but Python: the same as the server's."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import names
from twisted_chat.client.keys import key


class KeyTests(SynchronousTestCase):
    NAMES = (
        *("lobby", "Lobby", "ｌｏｂｂｙ", "straße", "STRAßE", "strasse", "e\u0301", "é", "Ἐδώ", "ἐδώ"),
        *("σ", "ς", "Σ", "ὁδός", "ὁδόσ", "ὉΔΌΣ"),
    )

    def test_names_are_one_where_they_are_for_the_server(self) -> None:
        for one in self.NAMES:
            for other in self.NAMES:
                same = names.room(one).key == names.room(other).key
                self.assertEqual(key(one) == key(other), same, f"{one} and {other}")
