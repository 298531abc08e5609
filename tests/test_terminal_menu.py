"""The menu of completions."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.program.columns import width
from twisted_chat.client.terminal.menu import menu_rows

CHOICES = [(f"/command{i}", f"do {i}") for i in range(20)]


class MenuTests(SynchronousTestCase):
    def rows(self, count: int, chosen: int | None = None, columns: int = 60, rows: int = 10) -> list[str]:
        return ["".join(text for _, text in row) for row in menu_rows(CHOICES[:count], chosen, columns, rows)]

    def test_a_few_choices_are_all_shown(self) -> None:
        self.assertEqual(self.rows(2), ["  /command0  do 0", "  /command1  do 1"])
        self.assertEqual(self.rows(2, chosen=1), ["  /command0  do 0", "> /command1  do 1"])

    def test_of_many_a_page_is_shown_and_how_many_more_there_are(self) -> None:
        rows = self.rows(20)
        self.assertEqual(
            (len(rows), rows[6], rows[7]), (8, "  /command6  do 6", "  13 more: Tab goes on, Escape closes")
        )
        rows = self.rows(20, chosen=19)
        self.assertEqual(rows[5], "> /command19  do 19")
        self.assertEqual((len(rows), rows[-1]), (8, "  14 more: Tab goes on, Escape closes"))

    def test_the_menu_takes_no_more_rows_and_columns_than_there_are(self) -> None:
        self.assertEqual(self.rows(20, chosen=3, rows=1), ["> /command3  do 3"])
        self.assertEqual(self.rows(20, rows=0), ["  /command0  do 0"])
        for columns in (1, 5, 20):
            self.assertLessEqual(max(map(width, self.rows(20, columns=columns))), columns)
