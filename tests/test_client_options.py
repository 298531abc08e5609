"""The command line of the client."""

from __future__ import annotations

import getpass
import io
import os
import sys

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import __version__
from twisted_chat.client.program import options as options_module
from twisted_chat.client.program.config import BadConfig
from twisted_chat.client.program.options import Options, default_nick
from twisted_chat.client.program.options import read_options as read_typed_options
from twisted_chat.needs_tls import NEEDS_TLS

from .certificates import certificate
from .programs import folder


def read_options(arguments: list[str]) -> Options:
    return read_typed_options(arguments, "twisted-chat talk")


class OptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.output, self.errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.output)
        self.patch(sys, "stderr", self.errors)
        self.patch(getpass, "getuser", lambda: "alice")
        self.config = folder(self) / "client.toml"
        self.patch(options_module, "default_path", lambda: self.config)

    def test_every_option_has_a_default(self) -> None:
        options = read_options([])
        self.assertEqual(
            (options.host, options.port, options.nick, options.rooms, options.bare, options.literal, options.transport),
            ("127.0.0.1", 14900, "alice", ("lobby",), False, False, "tcp"),
        )
        self.assertEqual((options.plain, options.color), (False, None))
        self.assertEqual(options.server, "127.0.0.1:14900")

    def test_every_option_can_be_typed(self) -> None:
        arguments = ["--host", "[::1]", "--port", "1", "--nick", "Боб", "--room", "Кухня", "--literal"]
        options = read_options(arguments)
        self.assertEqual(
            (options.host, options.port, options.nick, options.rooms, options.literal),
            ("::1", 1, "Боб", ("Кухня",), True),
        )
        self.assertEqual(options.server, "[::1]:1")
        self.assertTrue(read_options(["--bare"]).bare)
        self.assertEqual([read_options([option]).transport for option in ("--tls", "--udp")], ["tls", "udp"])
        self.assertEqual(read_options(["--room", "a", "--room", "b"]).rooms, ("a", "b"))
        options = read_options(["--plain", "--no-color"])
        self.assertEqual((options.plain, options.color), (True, False))

    def test_the_password_comes_from_a_file_or_the_environment(self) -> None:
        self.patch(os, "environ", {})
        self.assertIsNone(read_options([]).password)
        os.environ["TWISTED_CHAT_PASSWORD"] = "from the environment"
        self.assertEqual(read_options([]).password, "from the environment")
        self.assertIsNone(read_options(["--bare"]).password)
        path = self.config.parent / "password"
        path.write_text("correct horse \r\nsecond line", encoding="utf-8")
        options = read_options(["--password-file", str(path)])
        self.assertEqual(options.password, "correct horse ")
        self.assertNotIn("horse", repr(options))
        self.config.write_text('password-file = "password"')
        self.assertEqual(read_options([]).password, "correct horse ")

    def test_a_file_without_a_password_is_told(self) -> None:
        path = self.config.parent / "password"
        for content, problem in ((b"\nx", "its first line is empty"), (b"\xff", "it is not UTF-8")):
            path.write_bytes(content)
            self.errors.truncate(0)
            self.assertRaises(SystemExit, read_options, ["--password-file", str(path)])
            self.assertIn(f"--password-file cannot be used: {path}: {problem}", self.errors.getvalue())
        self.config.write_text('password-file = "no"')
        error = self.assertRaises(BadConfig, read_options, [])
        self.assertIn("line 1: password-file cannot be used: ", str(error))
        self.assertIn("No such file or directory", str(error))
        self.assertRaises(SystemExit, read_options, ["--bare", "--password-file", str(path)])
        self.assertIn("--bare cannot be combined with --password-file", self.errors.getvalue())

    def test_the_screen_remembers_and_scrolls_by_mouse_unless_told_otherwise(self) -> None:
        self.assertEqual((read_options([]).remember, read_options([]).mouse), (True, True))
        options = read_options(["--no-remember", "--no-mouse"])
        self.assertEqual((options.remember, options.mouse), (False, False))
        self.config.write_text("remember = false\nmouse = false\n")
        self.assertEqual((read_options([]).remember, read_options([]).mouse), (False, False))
        self.assertTrue(read_options(["--mouse"]).mouse)

    def test_options_tell_where_the_rooms_were_named(self) -> None:
        self.assertEqual(read_options([]).rooms_from, "default")
        self.assertEqual(read_options(["--room", "lobby"]).rooms_from, "command line")
        self.config.write_text('room = "lobby"\n')
        self.assertEqual(read_options([]).rooms_from, "file")

    def test_the_file_sets_what_is_not_typed(self) -> None:
        self.config.write_text(
            'host = "[::1]"\nport = 1\nnick = "bob"\nroom = ["a", "b"]\ncolor = false\nplain = true\n'
        )
        options = read_options([])
        self.assertEqual(
            (options.server, options.nick, options.rooms, options.color, options.plain),
            ("[::1]:1", "bob", ("a", "b"), False, True),
        )
        self.config.write_text('room = "garden"')
        self.assertEqual(read_options(["--bare"]).rooms, ("garden",))

    def test_the_command_line_takes_precedence_over_the_file(self) -> None:
        self.config.write_text('host = "x"\nport = 1\nnick = "bob"\nroom = ["a", "b"]\ncolor = false\nplain = true\n')
        arguments = ["--host", "y", "--port", "2", "--nick", "al", "--room", "c", "--color", "--no-plain"]
        options = read_options(arguments)
        self.assertEqual(
            (options.server, options.nick, options.rooms, options.color, options.plain),
            ("y:2", "al", ("c",), True, False),
        )

    def test_the_certificates_to_trust_are_in_a_file_that_is_typed_or_in_the_configuration(self) -> None:
        home = self.config.parent
        certificate(home)
        trusted = str(home / "trusted.crt")
        self.assertEqual(read_options(["--tls", "--ca", trusted]).ca, trusted)
        self.assertIsNone(read_options(["--tls"]).ca)
        self.patch(os, "environ", {**os.environ, "HOME": str(home)})
        for name in (trusted, "trusted.crt", "~/trusted.crt"):
            self.config.write_text(f'tls = true\nca = "{name}"')
            self.assertEqual(read_options([]).ca, trusted, name)
        self.assertEqual(read_options(["--ca", str(home / "localhost.pem")]).ca, str(home / "localhost.pem"))
        for option in ("--no-tls", "--udp"):
            self.assertIsNone(read_options([option]).ca, "who does without TLS needs none")

    def test_a_file_of_certificates_that_cannot_be_used_is_refused(self) -> None:
        self.config.write_text('tls = true\nca = "no.pem"')
        missing = f"{self.config.parent}/no.pem cannot be read: No such file or directory"
        error = str(self.assertRaises(BadConfig, read_options, []))
        self.assertEqual(error, f"{self.config}, line 2: ca cannot be used: {missing}")
        for arguments, said in (
            (["--ca", "no.pem"], "--ca cannot be used: no.pem cannot be read: No such file or directory"),
            (["--ca", ""], "--ca takes the name of a file, not ''"),
            (["--ca", "no.pem", "--no-tls"], "--ca is for --tls"),
        ):
            self.assertEqual(self.assertRaises(SystemExit, read_options, arguments).code, 2)
            self.assertIn(f"twisted-chat talk: {said}\n", self.errors.getvalue())

    def test_the_transport_may_be_in_the_file(self) -> None:
        for settings, arguments, transport in (
            ("tls = true", [], "tls"),
            ("udp = true", [], "udp"),
            ("tls = false\nudp = false", [], "tcp"),
            ("tls = true", ["--no-tls"], "tcp"),
            ("udp = true", ["--no-udp"], "tcp"),
            ("tls = true", ["--udp"], "udp"),
            ("udp = true", ["--tls"], "tls"),
            ("tls = true", ["--no-udp"], "tls"),
            ("udp = true", ["--no-tls"], "udp"),
            ("tls = true", ["--bare"], "tls"),
            ("udp = true", ["--bare"], "tcp"),  # an original server has no datagrams
        ):
            self.config.write_text(settings)
            self.assertEqual(read_options(arguments).transport, transport, (settings, arguments))

    def test_a_file_that_asks_for_tls_and_udp_leaves_the_choice_to_what_is_typed(self) -> None:
        self.config.write_text("tls = true\nudp = true")
        for arguments, transport in (
            (["--no-tls"], "udp"),
            (["--no-udp"], "tls"),
            (["--tls"], "tls"),
            (["--udp"], "udp"),
            (["--no-tls", "--no-udp"], "tcp"),
            (["--bare"], "tls"),
        ):
            self.assertEqual(read_options(arguments).transport, transport, arguments)
        error = str(self.assertRaises(BadConfig, read_options, []))
        self.assertRegex(error, rf"^{self.config}, line 2: tls and udp cannot both be true, .*; remove one of them$")

    def test_config_names_another_file(self) -> None:
        self.config.write_text('nick = "bob"')
        other = folder(self) / "other.toml"
        self.assertRaises(BadConfig, read_options, ["--config", str(other)])
        other.write_text('nick = "carol"')
        self.assertEqual(read_options(["--config", str(other)]).nick, "carol")
        self.assertEqual(read_options(["--config", "/dev/null"]).nick, "alice")

    def test_a_name_in_the_file_is_checked_too(self) -> None:
        self.config.write_text('nick = "a b"')
        error = self.assertRaises(BadConfig, read_options, [])
        self.assertRegex(str(error), rf"^{self.config}, line 1: nick cannot be 'a b': ")
        self.config.write_text('host = "x"\nroom = ["lobby", "#x"]')
        error = self.assertRaises(BadConfig, read_options, [])
        self.assertRegex(str(error), rf"^{self.config}, line 2: room cannot be '#x': leave out the #")

    def test_a_login_name_that_cannot_be_a_nick_is_not_the_default(self) -> None:
        self.patch(getpass, "getuser", lambda: "Alice Smith")
        self.assertRegex(default_nick(), r"^guest\d{4}$")

        def nobody() -> str:
            raise KeyError("no such user")

        self.patch(getpass, "getuser", nobody)
        self.assertRegex(default_nick(), r"^guest\d{4}$")

    def test_a_wrong_option_is_reported_in_one_line_with_what_is_right(self) -> None:
        for arguments, text in (
            (["--port", "abc"], "--port takes a number from 1 to 65535, not 'abc'"),
            (["--port", "65536"], "--port takes a number from 1 to 65535"),
            (["--port", "²"], "--port takes a number from 1 to 65535"),
            (["--host", "a b"], "--host takes a name or an address"),
            (["--host", ""], "--host takes a name or an address"),
            (["--nic", "a"], "--nic"),
            (["what"], "what"),
            (["--bare", "--nick", "foo"], "--bare cannot be combined with --nick: an original server has no nicks"),
            (["--bare", "--nick", ""], "--bare cannot be combined with --nick"),
            (["--bare", "--room", "foo"], "--bare cannot be combined with --room"),
            (["--bare", "--udp"], "--bare cannot be combined with --udp"),
            (["--nick", "a b"], "--nick cannot be 'a b': a nick consists of letters"),
            (["--nick", ""], "--nick cannot be '': a nick has 1 to 32 characters"),
            (["--nick", "@al"], "--nick cannot be '@al': leave out the @, nicks have none here"),
            (["--room", "a/b"], "--room cannot be 'a/b': a room consists of letters"),
            (["--room", "#x"], "--room cannot be '#x': leave out the #, the names of rooms have none here"),
            (["--tls", "--udp"], "--tls cannot be combined with --udp: UDP is not encrypted"),
        ):
            error = self.assertRaises(SystemExit, read_options, arguments)
            self.assertEqual(error.code, 2)
            said, hint = self.errors.getvalue().splitlines()[-2:]
            self.assertTrue(said.startswith("twisted-chat talk: "), said)
            self.assertIn(text, said)
            self.assertEqual(hint, "Try 'twisted-chat talk --help'.")

    def test_tls_without_its_packages_is_reported_with_how_to_install_them(self) -> None:
        self.patch(options_module, "find_spec", lambda _: None)
        self.assertEqual(self.assertRaises(SystemExit, read_options, ["--tls"]).code, 2)
        self.assertIn(f"--tls: {NEEDS_TLS}\n", self.errors.getvalue())
        self.config.write_text("tls = true")
        error = self.assertRaises(BadConfig, read_options, [])
        self.assertEqual(str(error), f"{self.config}, line 1: {NEEDS_TLS}")
        self.assertEqual(read_options(["--no-tls"]).transport, "tcp")

    def test_help_shows_examples_and_version_the_version(self) -> None:
        self.assertEqual(self.assertRaises(SystemExit, read_options, ["--help"]).code, 0)
        self.assertIn(str(self.config), self.output.getvalue())
        self.assertIn("printf 'hi\\nexit\\n' | twisted-chat talk --nick bot", self.output.getvalue())
        self.assertEqual(self.assertRaises(SystemExit, read_options, ["--version"]).code, 0)
        self.assertIn(__version__, self.output.getvalue())
