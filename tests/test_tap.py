"""The options of `twistd chat`, and the service that is made of them."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, cast
from unittest import mock

import msgspec
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.python.usage import UsageError
from twisted.trial.unittest import TestCase

from twisted_chat import __version__, names, tap
from twisted_chat import reactor as asyncio_reactor
from twisted_chat.chat import Chat
from twisted_chat.limits import Limits
from twisted_chat.login import Policy
from twisted_chat.places import read_places
from twisted_chat.stores.retention import Keep

from .certificates import certificate
from .helpers import FakeLog
from .logins import make_login
from .ports import Reactor
from .programs import folder


def parse(*arguments: str) -> tap.Options:
    """Read options for a reactor in memory."""
    options = tap.Options(Reactor().as_base)
    options.parseOptions([*arguments])
    return options


class OptionsTests(TestCase):
    """Each option is checked when it is read."""

    def refuses(self, *arguments: str) -> str:
        """Return the error for wrong options."""
        return str(self.assertRaises(UsageError, parse, *arguments))

    def places(self, *arguments: str) -> list[str]:
        return [place.text for place in parse(*arguments)["places"]]

    def test_a_limit_is_a_whole_number(self) -> None:
        for option, least in (
            ("--rate", 0),
            ("--memory", 0),
            ("--burst", 1),
            ("--address-rate", 0),
            ("--address-burst", 1),
            ("--new-connections", 0),
            ("--rooms-per-session", 1),
            ("--members", 1),
            ("--rooms", 1),
            ("--new-rooms", 0),
            ("--connections", 1),
            ("--connections-per-address", 1),
        ):
            for text in ("many", str(least - 1), "1.5", ""):
                expected = f"{option} takes a whole number from {least} on, not '{text}'"
                self.assertEqual(self.refuses(option, text), expected)

    def test_limits_are_read(self) -> None:
        options = ["--rate=6", "--burst=7", "--address-rate=20", "--address-burst=30"]
        options += ["--connections=8", "--connections-per-address=9", "--new-connections=10"]
        options += ["--rooms-per-session=11", "--members=12", "--rooms=13", "--new-rooms=14"]
        expected = Limits(
            rate=6,
            burst=7,
            address_rate=20,
            address_burst=30,
            connections=8,
            connections_per_address=9,
            new_connections=10,
            rooms_per_session=11,
            members=12,
            rooms=13,
            new_rooms=14,
        )
        self.assertEqual(parse(*options)["limits"], expected)

    def test_the_limits_of_an_address_follow_those_of_a_connection(self) -> None:
        for rate, address_rate in (0, 0), (10, 50):
            limits = parse("--rate", str(rate), "--burst", "3")["limits"]
            self.assertEqual((limits.address_rate, limits.address_burst), (address_rate, 15))

    def test_proxies_are_named_by_address_or_network(self) -> None:
        with mock.patch("twisted_chat.tap.read_places", wraps=read_places) as read:
            parse("--port=haproxy:tcp:1")
            parse("--listen=haproxy:tcp:1", "--trust-proxy=192.0.2.7", "--trust-proxy=10.1.2.3/8")
        proxies = [[str(network) for network in call.args[-2]] for call in read.call_args_list]
        self.assertEqual(proxies, [["127.0.0.0/8", "::1/128"], ["192.0.2.7/32", "10.0.0.0/8"]])
        expected = "--trust-proxy takes an address or a network, such as 192.0.2.7 or 10.0.0.0/8, not 'proxy'"
        self.assertEqual(self.refuses("--port=haproxy:tcp:1", "--trust-proxy", "proxy"), expected)

    def test_a_proxy_without_a_place_for_it_is_refused(self) -> None:
        expected = "--trust-proxy is for a place with haproxy:, such as --port haproxy:tcp:14900, or for --web PLACE"
        self.assertEqual(self.refuses("--trust-proxy=192.0.2.7"), expected)

    def test_an_origin_is_the_beginning_of_an_address_and_belongs_to_a_web_place(self) -> None:
        self.assertEqual(len(parse("--web=14980", "--web-origin=https://chat.example.org:8443")["places"]), 2)
        expected = "--web-origin is for --web PLACE, such as --web 14980"
        self.assertEqual(self.refuses("--web-origin=https://chat.example.org"), expected)
        for text in "chat.example.org", "https://chat.example.org/", "null", "ftp://chat.example.org":
            expected = f"--web-origin takes the beginning of an address, such as https://chat.example.org, not '{text}'"
            self.assertEqual(self.refuses("--web=14980", f"--web-origin={text}"), expected)

    def test_the_status_is_for_this_machine_unless_it_has_a_token(self) -> None:
        self.assertEqual(parse()["status"], ())
        (place,) = parse("--status=14990", "--interface=0.0.0.0")["status"]
        self.assertEqual((place.text, place.for_this_machine), ("127.0.0.1:14990", True))
        token = folder(self) / "token"
        token.write_text("0123456789abcdef\n")
        (place,) = parse("--status=0.0.0.0:14990", f"--status-token={token}")["status"]
        self.assertEqual((place.text, place.for_this_machine), ("0.0.0.0:14990", False))
        expected = "--status with haproxy: can be reached through a proxy: give it a --status-token FILE"
        self.assertEqual(self.refuses("--status=haproxy:tcp:14990:interface=127.0.0.1"), expected)
        self.assertEqual(len(parse("--status=haproxy:tcp:14990", f"--status-token={token}")["status"]), 1)
        site = place.make(Chat(Clock(), FakeLog(), make_login()))
        site.startFactory()
        self.addCleanup(site.stopFactory)
        self.assertEqual(site._site._token, b"0123456789abcdef")

    def test_the_token_of_the_status_is_long_and_can_be_read(self) -> None:
        expected = "--status-token is for --status PLACE, such as --status 14990"
        self.assertEqual(self.refuses("--status-token=token"), expected)
        self.assertRegex(
            self.refuses("--status=1", "--status-token=/no"), "^--status-token: /no cannot be read: No such"
        )
        token = folder(self) / "token"
        for text in ("", "\n0123456789abcdef", "too short\n"):
            token.write_text(text)
            error = self.refuses("--status=1", f"--status-token={token}")
            self.assertRegex(error, "^--status-token: the first line of .* needs 16 characters or more, such as")
        self.assertRegex(self.refuses("--status=nowhere:1"), "^--status takes a port or an endpoint")

    def test_the_oldest_clients_are_served_or_not(self) -> None:
        self.assertEqual([parse(*options)["limits"].bare for options in ([], ["--bare", "no"])], [True, False])
        error = self.assertRaises(UsageError, parse, "--bare", "perhaps")
        self.assertEqual(str(error), "--bare takes yes or no, not 'perhaps'")

    def test_default_limits_are_those_of_the_library(self) -> None:
        limits = parse()["limits"]
        self.assertEqual(msgspec.structs.replace(limits, connections=Limits().connections), Limits())

    def test_there_are_no_more_connections_than_files_that_may_be_open(self) -> None:
        self.patch(resource, "getrlimit", lambda what: (256, 1024))
        raised: list[tuple[int, int]] = []
        self.patch(resource, "setrlimit", lambda what, limits: raised.append(limits))
        self.assertEqual(parse()["limits"].connections, 1024 - tap.FILES)
        self.assertEqual(raised, [(1024, 1024)], "as many as this process may have")

    def test_memory_is_in_mebibytes(self) -> None:
        self.assertEqual(parse("--memory", "3")["memory"], 3 * 2**20)

    def test_the_default_place_is_port_14900_on_the_loopback(self) -> None:
        self.assertEqual(self.places(), ["127.0.0.1:14900"])

    def test_the_options_for_places_may_be_given_several_times(self) -> None:
        arguments = ("--port", "tcp6:1", "--udp", "4", "--listen", "2", "--udp", "5", "--listen", "3", "-i", "::1")
        self.assertEqual(self.places(*arguments), ["tcp6:1", "[::1]:2", "[::1]:3", "udp [::1]:4", "udp [::1]:5"])

    def test_a_wrong_place_is_told_with_its_option(self) -> None:
        for option in ("--port", "--listen", "--udp"):
            self.assertEqual(self.refuses(option, "65536"), f"{option} takes a port from 0 to 65535, not 65536")

    def test_tls_takes_a_certificate_and_its_key_from_the_folder_that_twistd_changes_to(self) -> None:
        home = folder(self)
        certificate(home)
        options = tap.Options(Reactor().as_base)
        options.parent = cast(Any, {"rundir": str(home), "pidfile": ""})
        options.parseOptions(
            ["--tls", "1", "--tls", "[::1]:2", "--certificate", "trusted.crt", "--key", "localhost.pem"]
        )
        self.assertEqual([place.text for place in options["places"]], ["127.0.0.1:14900", "127.0.0.1:1", "[::1]:2"])
        self.assertIn("--tls needs --certificate FILE", self.refuses("--tls", "1"))

    def test_a_certificate_without_tls_is_refused(self) -> None:
        for option in ("--certificate", "--key"):
            expected = f"{option} is for --tls PLACE, such as --tls 14943"
            self.assertEqual(self.refuses(option, "chat.pem"), expected)

    def test_arguments_are_refused(self) -> None:
        self.assertIn("no arguments, not 'extra'", self.refuses("extra", "more"))

    def test_a_wrong_durability_or_keep_is_refused(self) -> None:
        self.assertEqual(self.refuses("--durability", "full"), "--durability takes process or power, not 'full'")
        self.assertIn("--keep takes a time such as 12h, 90d, 8w or 2y, or a n", self.refuses("--keep", "ever"))

    def test_the_policy_of_who_is_let_in_is_read(self) -> None:
        self.assertEqual(parse()["policy"], Policy())
        policy = parse(
            "--registration",
            "approved",
            "--guests",
            "no",
            "--operator",
            "Olga",
            "--operator",
            "Опе",
            "--auth",
            "memory:al:pw",
        )["policy"]
        self.assertEqual((policy.registration, policy.guests), ("approved", False))
        self.assertEqual(policy.operators, {"olga", "опе"})
        self.assertIsInstance(policy.checkers[0], InMemoryUsernamePasswordDatabaseDontUse)

    def test_without_guests_there_are_no_bare_clients(self) -> None:
        self.assertFalse(parse("--guests", "no")["limits"].bare)

    def test_what_is_no_answer_to_who_is_let_in_is_refused(self) -> None:
        self.assertTrue(
            self.refuses(*("--registration", "maybe")).startswith(
                "--registration takes open, approved or closed, not 'maybe'"
            )
        )
        self.assertTrue(self.refuses(*("--guests", "maybe")).startswith("--guests takes yes or no, not 'maybe'"))
        self.assertTrue(
            self.refuses(*("--operator", "a b")).startswith("--operator takes the nick of an account, not 'a b': ")
        )
        self.assertTrue(self.refuses(*("--auth", "magic")).startswith("Auth plugin not recognized: magic"))

    def test_several_keeps_are_one(self) -> None:
        self.assertEqual(parse("--keep", "90d", "--keep", "1000")["keep"], Keep(90 * 86_400, 1_000))

    def test_the_default_database_is_in_the_current_folder(self) -> None:
        self.assertEqual(parse()["database"], os.path.abspath("chat.sqlite"))

    def test_a_database_may_be_in_memory(self) -> None:
        self.assertEqual(parse("--database", ":memory:")["database"], ":memory:")

    def test_a_database_is_found_from_the_folder_that_twistd_changes_to(self) -> None:
        options, home = tap.Options(Reactor().as_base), folder(self)
        options.parent = cast(Any, {"rundir": str(home), "pidfile": ""})
        options.parseOptions(["--database", "a.sqlite"])
        self.assertEqual(options["database"], str(home / "a.sqlite"))

    def test_a_database_may_be_one_of_postgresql(self) -> None:
        url = "postgresql://chat:secret@one,two:5433/chat"
        self.assertEqual(parse("--database", url)["database"], url)
        refused = self.refuses("--database", "postgresql://one:x/chat")
        self.assertIn("--database takes a URL such as postgresql://chat@one,two/chat: Port could not be cast", refused)
        self.patch(tap, "find_spec", lambda _: None)
        self.assertIn(f"{sys.executable} -m pip install asyncpg", self.refuses("--database", url))

    def test_a_database_that_can_be_no_file_is_refused(self) -> None:
        home = folder(self)
        for name in ("", str(home), os.devnull):
            expected = f"--database takes the name of a file, such as chat.sqlite, not '{name}'"
            self.assertEqual(self.refuses("--database", name), expected)
        missing = f"--database needs a folder that exists: make '{home}/no' first, or name another"
        self.assertEqual(self.refuses("--database", f"{home}/no/a.sqlite"), missing)

    def test_a_database_that_cannot_be_written_is_refused_with_whose_it_is(self) -> None:
        path = folder(self) / "a.sqlite"
        beside = [path, *(path.with_name(f"a.sqlite{ending}") for ending in ("-wal", "-shm", "-lock"))]
        for file in beside:
            file.touch()
        self.patch(Path, "owner", lambda _: "alice")
        start = "--database needs write access, and this user may not write to "
        for denied in (path.parent, *beside):
            self.patch(os, "access", lambda asked, mode, denied=denied: asked != str(denied))
            expected = f"{start}'{denied}', which belongs to alice"
            self.assertEqual(self.refuses("--database", str(path)), expected)
        self.patch(Path, "owner", mock.Mock(side_effect=KeyError))
        self.assertIn(f"the user with the number {os.getuid()}", self.refuses("--database", str(path)))

    def test_below_twistd_an_error_is_one_line_and_where_to_find_help(self) -> None:
        for wrong, error in (
            ("--rate=x", "--rate takes a whole number from 0 on, not 'x'"),
            ("--no", "option --no not "),
        ):
            options = tap.Options(Reactor().as_base)
            options.parent = cast(Any, {"rundir": "", "pidfile": ""})
            text = str(self.assertRaises(SystemExit, options.parseOptions, [wrong]).code)
            self.assertTrue(text.startswith(f"twistd chat: {error}"), text)
            self.assertEqual(text.splitlines()[1:], ["'twistd chat --help' lists all options."])

    def test_a_pid_file_that_a_killed_server_has_left_is_removed(self) -> None:
        pid_file = folder(self) / "twistd.pid"
        pid_file.write_text(str(os.getpid()))
        options = tap.Options(Reactor().as_base)
        options.parent = cast(Any, {"rundir": "", "pidfile": str(pid_file)})
        options.parseOptions([])
        self.assertFalse(pid_file.exists())

    def test_the_version_is_printed(self) -> None:
        with redirect_stdout(StringIO()) as said:
            self.assertEqual(self.assertRaises(SystemExit, parse, "--version").code, 0)
        self.assertEqual(said.getvalue(), f"twisted_chat {__version__}\n")

    def test_forbidden_nicks_are_read_from_the_folder_that_twistd_changes_to(self) -> None:
        options, home = tap.Options(Reactor().as_base), folder(self)
        (home / "nicks").write_text("*admin*\n")
        options.parent = cast(Any, {"rundir": str(home), "pidfile": ""})
        options.parseOptions(["--forbid-nicks", "nicks"])
        self.assertIn(names.nick("Admin-1"), options["forbid-nicks"])
        self.assertNotIn(names.nick("Admin-1"), parse()["forbid-nicks"])

    def test_forbidden_nicks_that_cannot_be_read_are_refused(self) -> None:
        path = folder(self) / "nicks"
        error = f"--forbid-nicks: {path} cannot be read: No such file or directory"
        self.assertEqual(self.refuses("--forbid-nicks", str(path)), error)
        path.write_text("bob\n^a+$\n")
        self.assertIn(
            f"--forbid-nicks: {path}, line 2: '^a+$' matches no nick: ", self.refuses("--forbid-nicks", str(path))
        )


class MakeServiceTests(TestCase):
    """The service runs on the reactor of the options."""

    def test_the_chat_knows_the_forbidden_nicks_of_the_options(self) -> None:
        path = folder(self) / "nicks"
        path.write_text("bob\n")
        options = parse("--forbid-nicks", str(path))
        service = tap.makeService(options)
        self.assertIs(
            service._make_chat(Reactor().as_base, FakeLog(), make_login()).forbidden_nicks, options["forbid-nicks"]
        )
        path.write_text("al*\n")
        for reload in service._reloads:
            reload()
        self.assertIn(names.nick("alice"), options["forbid-nicks"])

    def test_timers_do_not_follow_the_wall_clock(self) -> None:
        steady: list[object] = []
        self.patch(tap, "keep_steady", steady.append)
        options = parse()
        tap.makeService(options)
        self.assertEqual(steady, [options["reactor"]])


class TerminalTests(TestCase):
    """A daemon keeps its terminal until it has started."""

    def keeps(self, twistd: Any) -> bool:
        terminal = tap.kept_terminal(twistd)
        if terminal is not None:
            terminal.close()
        return terminal is not None

    def test_it_is_kept_for_a_daemon_only(self) -> None:
        self.assertEqual(
            [self.keeps(twistd) for twistd in ({"nodaemon": 0}, {"nodaemon": 1}, None)], [True, False, False]
        )

    def test_a_daemon_may_have_none(self) -> None:
        self.patch(os, "dup", mock.Mock(side_effect=OSError("bad file descriptor")))
        self.assertFalse(self.keeps({"nodaemon": 0}))


class ChosenReactorTests(TestCase):
    """The reactor is asyncio's where nobody has chosen another one."""

    def test_one_that_is_installed_is_taken(self) -> None:
        self.patch(asyncio_reactor, "install", self.fail)
        self.assertIs(tap.chosen_reactor(), reactor)

    def test_asyncios_is_installed_where_there_is_none(self) -> None:
        ours = object()

        def install() -> None:
            sys.modules["twisted.internet.reactor"] = cast(Any, ours)

        import twisted.internet

        self.patch(asyncio_reactor, "install", install)
        self.patch(twisted.internet, "reactor", ours)
        with mock.patch.dict(sys.modules):
            del sys.modules["twisted.internet.reactor"]
            self.assertIs(tap.chosen_reactor(), ours)
