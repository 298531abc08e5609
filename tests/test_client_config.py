"""The configuration file."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.program.config import BadConfig, default_path, read_config

from .programs import folder


class ConfigTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = folder(self) / "client.toml"

    def read(self, text: str | bytes) -> dict[str, object]:
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_config(self.path, must_be_there=True).values

    def refused(self, text: str | bytes) -> str:
        """Give what is said of a file that cannot be used, without its name and the line 1, which come first."""
        error = str(self.assertRaises(BadConfig, self.read, text))
        self.assertTrue(error.startswith(f"{self.path}, line "), error)
        return error.removeprefix(f"{self.path}, ").removeprefix("line 1: ")

    def test_the_file_can_set_every_setting(self) -> None:
        text = 'host = "::1"\nport = 1\nnick = "Юра"\nroom = ["a", "b"]\n'
        expected = {"host": "::1", "port": 1, "nick": "Юра", "room": ["a", "b"]}
        self.assertEqual(self.read(text), expected)
        switches = {"tls": True, "udp": False, "color": False, "plain": True}
        self.assertEqual(self.read("tls = true\nudp = false\ncolor = false\nplain = true\n"), switches)
        self.assertEqual(self.read('room = "lobby"'), {"room": "lobby"})
        self.assertEqual(self.read("# nothing"), {})

    def test_a_value_of_the_wrong_kind_is_reported_with_what_is_right(self) -> None:
        for text, error in (
            ("port = 0", "port takes a number from 1 to 65535, not 0"),
            ("port = 65536", "port takes a number from 1 to 65535, not 65536"),
            ('port = "14900"', 'port takes a number from 1 to 65535, not "14900"'),
            ("port = true", "port takes a number from 1 to 65535, not true"),
            ("host = 1", "host takes a name or an address such as chat.example or ::1, not 1"),
            ('host = ""', 'host takes a name or an address such as chat.example or ::1, not ""'),
            ('host = "a b"', 'host takes a name or an address such as chat.example or ::1, not "a b"'),
            ("nick = 1", 'nick takes a text such as "alice", not 1'),
            ("room = []", 'room takes a text such as "lobby", or several: ["lobby", "garden"], not []'),
            ("room = [1]", 'room takes a text such as "lobby", or several: ["lobby", "garden"], not [1]'),
            ("tls = 1", "tls takes true or false, not 1"),
            ("ca = 1", "ca takes the name of a file, not 1"),
            ('ca = ""', 'ca takes the name of a file, not ""'),
            ('udp = "yes"', 'udp takes true or false, not "yes"'),
            ("color = 0", "color takes true or false, not 0"),
            ('plain = "yes"', 'plain takes true or false, not "yes"'),
        ):
            self.assertEqual(self.refused(text), error)

    def test_an_unknown_setting_is_reported_with_those_that_exist(self) -> None:
        self.assertEqual(self.refused("colour = true"), "there is no setting colour; did you mean color?")
        all_there_are = "host, port, nick, password-file, room, tls, ca, udp, color, plain, remember, mouse"
        self.assertEqual(self.refused("x = 1"), f"there is no setting x; there are {all_there_are}")

    def test_text_that_is_not_toml_is_reported_with_its_line(self) -> None:
        self.assertRegex(self.refused("nick = alice"), "^this is not TOML: Invalid value")
        self.assertEqual(
            self.refused("\n\nnick = 1 2"),
            "line 3: this is not TOML: Expected newline or end of document after a statement",
        )
        self.assertRegex(self.refused('port = 1\nroom = ["a",\n\n'), "^line 2: this is not TOML: ")
        self.assertEqual(self.refused(b'\nnick = "\xff"'), "line 2: this is not UTF-8; save the file as UTF-8")
        self.assertEqual(self.refused("port = 1\n".encode("utf-16")), "this is not UTF-8; save the file as UTF-8")

    def test_an_error_has_the_line_of_its_setting(self) -> None:
        takes = "port takes a number from 1 to 65535, not 0"
        for text, line in (
            ("\n# port = 1\nport = 0", 3),
            ('nick = "port"\n  "port"=0', 2),
            ("\ufeffplain = true\nport=0", 2),
        ):
            self.assertEqual(self.refused(text), f"line {line}: {takes}")
        self.assertIn("line 2: there is no setting server", self.refused('nick = "a"\n[server]\nhost = "x"'))
        self.assertEqual(str(self.assertRaises(BadConfig, self.read, '"\\u0070ort" = 0')), f"{self.path}: {takes}")

    def test_a_byte_order_mark_is_passed_over(self) -> None:
        self.assertEqual(self.read(b'\xef\xbb\xbfnick = "alice"\r\nport = 1\r\n'), {"nick": "alice", "port": 1})

    def test_a_missing_file_is_reported_only_if_it_was_named(self) -> None:
        self.assertEqual(read_config(self.path, must_be_there=False).values, {})
        error = self.assertRaises(BadConfig, read_config, self.path, must_be_there=True)
        self.assertEqual(str(error), f"there is no file {self.path}")

    def test_a_file_that_cannot_be_read_is_reported_with_the_reason(self) -> None:
        self.path.mkdir()
        error = self.assertRaises(BadConfig, read_config, self.path, must_be_there=False)
        self.assertEqual(str(error), f"{self.path} cannot be read: Is a directory")

    def test_the_file_is_in_the_configuration_folder_of_the_user(self) -> None:
        self.patch(os, "environ", {**os.environ, "XDG_CONFIG_HOME": "/somewhere"})
        self.assertEqual(default_path().parts[-2:], ("twisted_chat", "client.toml"))
