"""The entries of the log about trouble with the file."""

from __future__ import annotations

from twisted_chat.stores.sqlite.trouble import CALM_SECONDS, MOST_TOLD, Trouble

from .stores import FileTestCase


class TroubleTests(FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.trouble = Trouble("FILE", self.clock.seconds)

    def works_for(self, seconds: float) -> None:
        self.trouble.has_worked()
        self.clock.advance(seconds)
        self.trouble.has_worked()

    def test_trouble_is_logged_once_and_so_is_its_end(self) -> None:
        for _ in range(2):
            self.trouble.tell("full")
            self.trouble.tell("full")
            self.works_for(CALM_SECONDS - 1)
            self.clock.advance(1)
            self.trouble.has_worked()
        self.assertEqual(self.logged(), ["FILE does not work now: full", "FILE works again"] * 2)

    def test_trouble_that_comes_and_goes_is_logged_once(self) -> None:
        for _ in range(9):
            self.trouble.tell("full")
            self.works_for(CALM_SECONDS / 2)
            self.trouble.tell("damaged")
            self.works_for(CALM_SECONDS / 2)
        self.assertEqual(self.logged(), ["FILE does not work now: full", "FILE does not work now: damaged"])

    def test_the_kinds_of_trouble_in_the_log_are_bounded(self) -> None:
        for number in range(2 * MOST_TOLD):
            self.trouble.tell(f"number {number}")
        self.assertEqual(len(self.logged()), MOST_TOLD)

    def test_nothing_is_logged_while_everything_works(self) -> None:
        self.works_for(CALM_SECONDS)
        self.assertEqual(self.logged(), [])
