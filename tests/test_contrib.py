"""The examples in contrib/: they fit the server, and the programs that they are for take them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import TestCase

from twisted_chat import places, tap

from .certificates import certificate
from .programs import ROOT, folder

SYSTEMD = ROOT / "contrib" / "systemd"

EXPOSURE = 1.5
"""The exposure of the service as systemd's own check counts it, from 0 to 10, and a little more."""


def settings(unit: Path) -> dict[str, list[str]]:
    """Return the values of each setting in a unit of systemd."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().replace("\\\n", "").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


class SystemdTests(TestCase):
    """The units for systemd."""

    service = settings(SYSTEMD / "chat.service")
    tls = settings(SYSTEMD / "tls.conf")

    def words(self) -> list[str]:
        """Return the options of the server, with those of TLS."""
        (tls,) = re.findall(r"TLS=(.*)\"", self.tls["Environment"][0])
        (command,) = self.service["ExecStart"]
        return shlex.split(command.replace("$TLS", tls).replace("$OPTIONS", ""))

    def test_the_server_takes_the_options_of_the_service(self) -> None:
        home = folder(self)
        certificate(home)
        words = [re.sub(r"^/etc/chat/\w+\.pem$", str(home / "localhost.pem"), word) for word in self.words()]
        options = tap.Options()
        options.parseOptions([re.sub("^systemd:.*", "0", word) for word in words[words.index("chat") + 1 :]])
        self.assertEqual(len(options["places"]), 3)

    def test_every_socket_has_its_unit_and_the_domain_of_its_addresses(self) -> None:
        named = [re.fullmatch(r"systemd:domain=(\w+):name=(.*)", word) for word in self.words() if "systemd:" in word]
        sockets = {match[2]: match[1] for match in named if match}
        self.assertEqual(set(sockets), {path.name for path in SYSTEMD.glob("*.socket")})
        for name, domain in sockets.items():
            unit = settings(SYSTEMD / name)
            (address,) = unit["ListenStream"]
            self.assertEqual(domain, "UNIX" if "/" in address else "INET" if ":" in address else "INET6", name)
            self.assertEqual(unit["Service"], ["chat.service"])
            self.assertEqual(unit["Backlog"], [str(places.BACKLOG)])

    def test_systemd_waits_until_the_server_is_ready_and_gives_it_enough_files(self) -> None:
        self.assertEqual(self.service["Type"], ["notify"])
        self.assertEqual(self.service["LimitNOFILE"], [str(100_000 + tap.FILES)])

    @skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_a_server_that_was_taken_over_can_do_little(self) -> None:
        command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}"]
        result = subprocess.run([*command, str(SYSTEMD / "chat.service")], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout[-100:] + result.stderr)

    @skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_systemd_knows_all_settings(self) -> None:
        command = ["systemd-analyze", "verify", *map(str, SYSTEMD.glob("*.s[eo]*"))]
        result = subprocess.run(command, capture_output=True, text=True)
        complaints = [line for line in result.stderr.splitlines() if "contrib" in line or line.startswith("chat")]
        self.assertEqual([line for line in complaints if "twistd is not executable" not in line], [])
