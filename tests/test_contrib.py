"""The examples in contrib/: they fit the server, and the programs that they are for take them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twisted_chat import tap
from twisted_chat.descriptions import BACKLOG

from .certificates import certificate
from .programs import ROOT, TWISTD, Program, Server, folder, program
from .proxies import ProxyTestCase, free_port, until

CONTRIB = ROOT / "contrib"
SYSTEMD = CONTRIB / "systemd"
HOST = "chat.example.org"

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
            self.assertEqual(unit["Backlog"], [str(BACKLOG)])

    def test_systemd_waits_until_the_server_is_ready_and_gives_it_enough_files(self) -> None:
        self.assertEqual(self.service["Type"], ["notify"])
        self.assertEqual(self.service["LimitNOFILE"], [str(100_000 + tap.FILES)])

    def test_a_server_that_was_taken_over_can_do_little(self) -> None:
        command = [
            program("systemd-analyze", "systemd"),
            "security",
            "--offline=true",
            f"--threshold={EXPOSURE * 10:.0f}",
        ]
        result = subprocess.run([*command, str(SYSTEMD / "chat.service")], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout[-100:] + result.stderr)

    def test_systemd_knows_all_settings(self) -> None:
        command = [program("systemd-analyze", "systemd"), "verify", *map(str, SYSTEMD.glob("*.s[eo]*"))]
        result = subprocess.run(command, capture_output=True, text=True)
        complaints = [line for line in result.stderr.splitlines() if "contrib" in line or line.startswith("chat")]
        self.assertEqual([line for line in complaints if "twistd is not executable" not in line], [])


class ProxyTests(ProxyTestCase):
    """The configurations of proxies, with the real proxies in front of a server.

    Beside a client, only one of another address gets in: the server sees the addresses, and believes no others.
    """

    async def server(self, home: Path) -> Server:
        """Start a server that lets in one client of each address."""
        return await Server.start(
            self, "--web", f"unix:{home}/chat-web.sock", "--connections-per-address", "1", home=home, places=2
        )

    async def check(self, port: int, host: str) -> None:
        for source, answer in (("127.0.0.2", "welcome"), ("127.0.0.2", "error"), ("127.0.0.3", "welcome")):
            self.assertEqual(await deferToThread(self.hello, port, source, host), answer)

    async def test_nginx_forwards_browsers_with_their_addresses(self) -> None:
        nginx_path = program("nginx")
        home, port = folder(self), free_port()
        certificate(home)
        site = (CONTRIB / "nginx" / "chat.conf").read_text()
        site = re.sub(r"listen \[::\]:.*\n", "", site).replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
        site = site.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;").replace("/run/", f"{home}/")
        site = re.sub(r"/etc/letsencrypt/live/\S*\.pem", str(home / "localhost.pem"), site)
        (home / "chat.conf").write_text(site)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = " ".join(f"{kind}_temp_path {home}/{kind};" for kind in kinds)
        user = "user root;" if os.geteuid() == 0 else ""
        (home / "nginx.conf").write_text(
            f"{user} daemon off; pid {home}/nginx.pid; error_log stderr; events {{}}"
            f"http {{ access_log off; {folders} include {home}/chat.conf; }}"
        )
        await self.server(home)
        nginx = Program(self, nginx_path, "-e", "stderr", "-c", str(home / "nginx.conf"), home=home)
        await self.wait_for(port)
        await self.check(port, f"{HOST}:{port}")  # a page at any port but 443 has it in its origin
        self.assertNotIn("[warn]", nginx.output)

    async def test_caddy_forwards_browsers_with_their_addresses(self) -> None:
        caddy_path = program("caddy")
        home, port = folder(self), free_port()
        site = (CONTRIB / "caddy" / "Caddyfile").read_text().replace("/run/", f"{home}/")
        options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
        (home / "Caddyfile").write_text(options + site)
        await self.server(home)
        environment = [f"HOME={home}", f"XDG_DATA_HOME={home}", f"CHAT_HOST=localhost:{port}"]
        caddy = [caddy_path, "run", "--adapter", "caddyfile", "--config", str(home / "Caddyfile")]
        Program(self, "/usr/bin/env", *environment, *caddy, home=home)
        await self.wait_for_tls(port, "localhost")
        await self.check(port, f"localhost:{port}")


class DockerTests(TestCase):
    """The container, and those beside it."""

    dockerfile = (CONTRIB / "docker" / "Dockerfile").read_text()
    compose = (CONTRIB / "docker" / "compose.yaml").read_text()

    def instruction(self, name: str) -> list[str]:
        """Return the words of an instruction of the Dockerfile."""
        (words,) = re.findall(rf"^{name} (\[.*\])$", self.dockerfile, re.MULTILINE)
        return cast(list[str], json.loads(words))

    def parsed(self, options: Sequence[str]) -> tap.Options:
        token = folder(self) / "token"
        token.write_text("x" * tap.MIN_TOKEN)
        start = self.instruction("ENTRYPOINT")
        parsed = tap.Options()
        words = [*start[start.index("chat") + 1 :], *options]
        parsed.parseOptions([word.replace("/run/secrets/status-token", str(token)) for word in words])
        return parsed

    def test_the_server_takes_the_options_of_the_container(self) -> None:
        options = self.parsed(self.instruction("CMD"))
        self.assertEqual([place.text for place in options["places"]], ["0.0.0.0:14900", "0.0.0.0:14980"])
        self.assertEqual([place.text for place in options["status"]], ["127.0.0.1:14990"])

    def test_the_server_takes_the_options_of_the_composition(self) -> None:
        (command,) = re.findall(r"image: chat-server\n.*?command:\n(.*?)\n    \w", self.compose, re.DOTALL)
        options = self.parsed(re.findall(r"- (--\S+)", command))
        self.assertEqual(len(options["places"]), 2)
        (subnet,) = re.findall(r"subnet: (\S+)", self.compose)
        self.assertIn(f"--trust-proxy={subnet}", command)

    def test_the_image_has_every_extra_that_a_server_can_use(self) -> None:
        (extras,) = re.findall(r"pip install --no-cache-dir '/src\[(.*)\]'", self.dockerfile)
        self.assertEqual(extras.split(","), ["postgresql", "tls"])

    def test_the_files_that_are_mounted_exist(self) -> None:
        mounted = re.findall(r"- (\.\S*?):", self.compose)
        self.assertEqual(len(mounted), 3)
        for path in mounted:
            self.assertTrue((CONTRIB / "docker" / path).is_file(), path)

    def test_the_image_has_what_the_package_is_made_of(self) -> None:
        allowed = re.findall(r"^!(.*)", (CONTRIB / "docker" / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
        self.assertEqual(set(allowed) - set(os.listdir(ROOT)), set())
        self.assertLessEqual(
            {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "twisted", "twisted_chat"}, set(allowed)
        )


class LogrotateTests(TestCase):
    async def test_logs_are_rotated_without_the_loss_of_a_line(self) -> None:
        logrotate = program("logrotate")
        home = folder(self)
        logs = home / "logs"
        logs.mkdir(mode=0o700)
        log, pid_file = logs / "chat.log", home / "chat.pid"
        twistd = [*TWISTD[:-1], f"--pidfile={pid_file}"]
        options = ["--port", "0", "--access-log", str(logs / "access.log")]
        server = Server(self, *twistd, "--logfile", str(log), "chat", *options, home=home)
        await until(lambda: log.exists() and "listening on" in log.read_text())
        server.addresses = re.findall(r"listening on (\S+)\n", log.read_text())
        await self.visit(server, "alice")

        rules = (CONTRIB / "logrotate" / "chat").read_text()
        rules = rules.replace("/var/log/chat/", f"{logs}/").replace("su chat chat", "")
        (command,) = re.findall(r"kill -HUP .*", rules)
        rules = rules.replace("systemctl reload chat", command.replace("/run/chat/", f"{home}/"))
        (home / "logrotate.conf").write_text(rules)
        rotation = Program(
            self,
            *(logrotate, "--force", "--state", str(home / "state"), str(home / "logrotate.conf")),
        )
        self.assertEqual(await rotation.ends(), 0, rotation.output)
        await until(lambda: log.exists() and "SIGHUP" in log.read_text())
        await self.visit(server, "bob")
        self.assertEqual(await server.stop(), 0, server.output)

        lines = "".join(path.read_text() for path in logs.iterdir()).splitlines()
        self.assertEqual(len(list(logs.iterdir())), 4)
        for part in ("nick=alice", "nick=bob", "twisted_chat.service#info] listening on"):
            self.assertEqual(len([line for line in lines if part in line]), 1, part)
        self.assertIn("nick=bob", (logs / "access.log").read_text())

    async def visit(self, server: Server, nick: str) -> None:
        """Come and go."""
        client = await server.hello(self, nick)
        client.says(type="quit")
        await client.hears_the_end()
