"""The files for a cluster in contrib/cluster: they fit the server, and the programs that they are for take them."""

from __future__ import annotations

import re
import shlex
import shutil
import ssl
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twisted_chat import tap
from twisted_chat.stores.postgresql.urls import hosts_of
from twisted_chat.stores.retention import read_keep

from .programs import ROOT, Program, Server, folder, program
from .proxies import ProxyTestCase, free_port

CLUSTER = ROOT / "contrib" / "cluster"
CHAT = "chat.example.org"
MACHINES = ("one=10.0.0.1", "two=10.0.0.2", "three=10.0.0.3")
FOURTH = "four=10.0.0.4"


def prepare(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `prepare` in a folder."""
    command = ["sh", str(CLUSTER / "prepare"), *arguments]
    return subprocess.run(command, cwd=home, capture_output=True, text=True)


def variables(path: Path) -> dict[str, str]:
    """Read a file of environment variables, as systemd does."""
    lines = [line.partition("=") for line in path.read_text().splitlines() if not line.startswith("#")]
    return {name: value.strip('"') for name, _, value in lines}


def options_of(machine: Path) -> list[str]:
    """Return the options of the chat server on a machine, with files that are here, and at free ports."""
    words = shlex.split(variables(machine / "chat.env")["OPTIONS"])
    words = [re.sub(r"^(.*tls:)/etc/chat/certificates:\d+$", rf"\1{machine}:0", word) for word in words]
    return [word.replace("/etc/chat/", f"{machine}/") for word in words]


class FilesTests(TestCase):
    """What `prepare` makes."""

    def setUp(self) -> None:
        self.home = folder(self)
        done = prepare(self.home, CHAT, *MACHINES)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.files = self.home / "cluster"

    def test_the_server_takes_its_options(self) -> None:
        for name in ("one", "two", "three"):
            options = tap.Options()
            options.parseOptions(options_of(self.files / name))
            self.assertEqual(len(options["places"]), 3)
            self.assertEqual(len(options["status"]), 1)
            hosts = [re.findall(r"@([^/]*)/", host) for host in hosts_of(options["database"])]
            self.assertEqual(hosts, [["10.0.0.1"], ["10.0.0.2"], ["10.0.0.3"]])
            self.assertIn("sslmode=verify-full", options["database"])

    def test_options_of_ones_own_reach_all_machines_and_later_ones(self) -> None:
        with (self.files / "options").open("a") as file:
            file.write("--operator olga\n# a comment\n--keep 365d")
        for _ in range(2):
            self.assertEqual(prepare(self.home, CHAT, *MACHINES, FOURTH).returncode, 0)
        for name in ("one", "two", "three", "four"):
            options = tap.Options()
            options.parseOptions(options_of(self.files / name))
            self.assertEqual(options["operator"], ["olga"], name)
            self.assertEqual(options["keep"], read_keep(["365d"]), name)

    def test_an_option_that_systemd_would_not_pass_on_is_refused(self) -> None:
        for wrong in ("--name 'The chat'", '--operator "olga"', "--operator $USER", "--keep `id`", "--keep a\\b"):
            (self.files / "options").write_text(wrong + "\n")
            done = prepare(self.home, CHAT, *MACHINES)
            self.assertEqual(done.returncode, 2, wrong)
            self.assertIn("cluster/options has quotes", done.stderr)

    def test_nobody_else_can_read_a_secret(self) -> None:
        self.assertEqual(self.files.stat().st_mode & 0o077, 0)

    def test_every_certificate_is_for_its_machine(self) -> None:
        for machine in MACHINES:
            name, _, address = machine.partition("=")
            for file, named in (
                ("machine.crt", ["-verify_ip", address]),
                ("machine.crt", ["-verify_hostname", "localhost"]),  # for pg_rewind, which Patroni runs
                ("people.pem", ["-verify_hostname", CHAT]),
            ):
                self.assertIn(": OK\n", self.verified(self.files / name / file, *named))

    def test_a_certificate_for_another_name_or_address_is_made_anew(self) -> None:
        same = self.files / "two" / "machine.crt"
        before = same.read_bytes()
        self.assertEqual(prepare(self.home, "talk.example.org", "one=10.0.0.9", *MACHINES[1:]).returncode, 0)
        one = self.files / "one"
        self.assertIn(": OK\n", self.verified(one / "machine.crt", "-verify_ip", "10.0.0.9"))
        self.assertIn(": OK\n", self.verified(one / "people.pem", "-verify_hostname", "talk.example.org"))
        for pair in ((one / "machine.crt", one / "machine.key"), (one / "people.pem", None)):
            ssl.create_default_context().load_cert_chain(*pair)
        self.assertEqual(same.read_bytes(), before)

    def test_a_certificate_for_people_is_one_that_browsers_take_and_is_renewed(self) -> None:
        people = self.files / "one" / "people.pem"
        for days, is_renewed in ((31, False), (29, True)):
            self.make_certificate(people, days, "-CA", str(self.files / "ca.crt"), "-CAkey", str(self.files / "ca.key"))
            before = people.read_bytes()
            self.assertEqual(prepare(self.home, CHAT, *MACHINES).returncode, 0)
            self.assertEqual(people.read_bytes() != before, is_renewed)
        for days, is_valid in ((396, True), (398, False)):
            then = str(int(time.time()) + days * 86_400)
            self.assertEqual(": OK\n" in self.verified(people, "-attime", then), is_valid)

    def test_a_certificate_of_another_authority_is_kept(self) -> None:
        people = self.files / "one" / "people.pem"
        self.make_certificate(people, 20)
        before = people.read_bytes()
        self.assertEqual(prepare(self.home, CHAT, *MACHINES).returncode, 0)
        self.assertEqual(people.read_bytes(), before)

    def verified(self, path: Path, *options: str) -> str:
        """Return what openssl says about a certificate of the cluster's authority."""
        command = ["openssl", "verify", "-x509_strict", "-CAfile", str(self.files / "ca.crt"), *options, str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.stdout + done.stderr

    def make_certificate(self, path: Path, days: int, *authority: str) -> None:
        """Write a certificate for people that is valid for some days, with its key."""
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-days", str(days), "-subj", f"/CN={CHAT}", "-addext", f"subjectAltName=DNS:{CHAT}", *authority]
        command += ["-addext", "basicConstraints=CA:FALSE"]
        done = subprocess.run([*command, "-keyout", "-", "-out", "-"], capture_output=True, check=True)
        path.write_bytes(done.stdout)

    def test_a_machine_more_gets_a_server_and_leaves_the_secrets_as_they_are(self) -> None:
        paths = [path for path in self.files.rglob("*") if path.is_file() and path.name != "haproxy.cfg"]
        before = {path: path.read_bytes() for path in paths}
        self.assertEqual(prepare(self.home, CHAT, *MACHINES, FOURTH).returncode, 0)
        for path, content in before.items():
            self.assertEqual(path.read_bytes(), content, path)
        made = {path.name for path in (self.files / "four").iterdir()}
        self.assertEqual(made, {"ca.crt", "chat.env", "people.pem", "status-token"})
        chat_one, chat_four = (self.files / name / "chat.env" for name in ("one", "four"))
        self.assertEqual(chat_one.read_text(), chat_four.read_text())
        balancer = (self.files / "two" / "haproxy.cfg").read_text()
        self.assertEqual(len(re.findall(r"^    server four 10\.0\.0\.4:", balancer, re.MULTILINE)), 2)

    def test_what_is_no_machine_is_refused(self) -> None:
        for wrong in ("four", "four=", "=10.0.0.4", "f/r=10.0.0.4", "four=10.0.0.4=", "four=10.0.0.4;id"):
            done = prepare(self.home, CHAT, *MACHINES, wrong)
            self.assertEqual(done.returncode, 2, wrong)
            self.assertIn(f"NAME=ADDRESS, such as one=10.0.0.1, and not '{wrong}'", done.stderr)
        self.assertIn("give the name of the chat and three machines", prepare(self.home, CHAT, *MACHINES[:2]).stderr)

    def test_the_files_that_are_installed_exist(self) -> None:
        script = (CLUSTER / "install").read_text()
        for path in re.findall(r"contrib/\w+/[\w.-]+", script):
            self.assertTrue((ROOT / path).is_file(), path)
        made = {path.name for path in (self.files / "one").iterdir()}
        self.assertEqual(set(re.findall(r'"\$from/([\w.-]+)"', script)), made)

    def test_the_scripts_are_read_by_a_plain_shell(self) -> None:
        for name in ("install", "make_database", "prepare", "run"):
            done = subprocess.run(["sh", "-n", str(CLUSTER / name)], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)

    def test_only_the_user_of_the_chat_may_connect_to_its_database(self) -> None:
        commands = (CLUSTER / "make_database").read_text()
        owner, database = "CREATE DATABASE chat OWNER chat", "REVOKE CONNECT ON DATABASE chat FROM PUBLIC;"
        self.assertLess(commands.index(owner), commands.index(database))
        for document in ("scaling.md", "operations.md"):
            text = (ROOT / "docs" / document).read_text("utf-8")
            made = re.findall(r"(?:createdb .*?|CREATE DATABASE )(chat|restored)\b", text)
            shut = re.findall(r"REVOKE CONNECT ON DATABASE (\w+) FROM PUBLIC", text)
            self.assertTrue(made)
            self.assertEqual(sorted(made), sorted(shut), document)

    def test_a_backup_reads_from_whichever_machine_has_the_primary(self) -> None:
        service = (CLUSTER / "chat-backup.service").read_text()
        (slot,) = re.findall(r"^ExecStart=.* --slot (\w+)$", service, re.MULTILINE)
        self.assertIn(f"    slots:\n      {slot}:\n        type: physical\n", (CLUSTER / "patroni.yml").read_text())
        settings = variables(self.files / "backup.env")
        self.assertIn("@10.0.0.1,10.0.0.2,10.0.0.3/postgres?target_session_attrs=read-write", settings["CLUSTER"])
        for waits in ("connect_timeout=3", "tcp_user_timeout=15000"):  # seconds, milliseconds
            self.assertIn(f"&{waits}&", settings["CLUSTER"])
        self.assertEqual(settings["PGPASSWORD"], (self.files / "replicator-password").read_text().strip())

    def test_systemd_knows_the_settings_of_the_service(self) -> None:
        analyze = program("systemd-analyze", "systemd")
        shutil.copy(ROOT / "contrib" / "systemd" / "chat.service", self.home)
        (self.home / "chat.service.d").mkdir()
        shutil.copy(CLUSTER / "chat.conf", self.home / "chat.service.d" / "cluster.conf")
        units = str(self.home / "chat.service"), str(CLUSTER / "chat-backup.service")
        result = subprocess.run([analyze, "verify", *units], capture_output=True, text=True)
        complaints = [line for line in result.stderr.splitlines() if "cluster.conf" in line or "backup" in line]
        self.assertEqual([line for line in complaints if "pg_receivewal is not executable" not in line], [])

    def test_haproxy_takes_its_configuration(self) -> None:
        command = [program("haproxy"), "-c", "-f", str(self.files / "one" / "haproxy.cfg")]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    async def test_etcd_lets_only_machines_of_the_cluster_in(self) -> None:
        etcd = program("etcd", "etcd-server")
        machine, clients, peers = self.files / "one", free_port(), free_port()
        settings = variables(machine / "etcd.env")
        self.assertEqual(
            settings["ETCD_INITIAL_CLUSTER"],
            "one=https://10.0.0.1:2380,two=https://10.0.0.2:2380,three=https://10.0.0.3:2380",
        )
        settings["ETCD_INITIAL_CLUSTER"] = "one=https://10.0.0.1:2380"
        settings["ETCD_DATA_DIR"] = str(self.home / "etcd")
        words = [f"{name}={value}" for name, value in settings.items()]
        words = [re.sub(r"//(0\.0\.0\.0|10\.0\.0\.1):2379", f"//127.0.0.1:{clients}", word) for word in words]
        words = [re.sub(r"//(0\.0\.0\.0|10\.0\.0\.1):2380", f"//127.0.0.1:{peers}", word) for word in words]
        words = [word.replace("/etc/cluster/", f"{machine}/") for word in words]
        running = Program(self, "/usr/bin/env", *words, etcd, home=self.home)
        await running.says("ready to serve client requests")
        self.assertNotIn("unrecognized", running.output)

        def ask(*certificate: str) -> int:
            url = f"https://127.0.0.1:{clients}/health"
            trusts = ssl.create_default_context(cafile=str(machine / "ca.crt"))
            if certificate:
                trusts.load_cert_chain(*certificate)
            return answer_of(url, trusts)

        self.assertEqual(await deferToThread(ask, str(machine / "machine.crt"), str(machine / "machine.key")), 200)
        self.assertEqual(await deferToThread(ask), 0)


class CompositionTests(TestCase):
    """The containers of a cluster."""

    text = (CLUSTER / "compose.yaml").read_text()

    def test_every_machine_has_all_programs_at_its_address(self) -> None:
        (addresses,) = re.findall(r"sh prepare localhost (.*)", self.text)
        for machine in addresses.split():
            name, _, address = machine.partition("=")
            self.assertRegex(self.text, rf"\n  {name}:\n(    .*\n)+        ipv4_address: {address}\n")
            for part in ("etcd", "database", "chat"):
                service = (
                    rf"\n  {part}-{name}:\n(    .*\n)*    network_mode: service:{name}\n.*\./cluster/{name}:/machine"
                )
                self.assertRegex(self.text, service)

    def test_the_programs_are_those_that_can_be_run(self) -> None:
        named = set(re.findall(r"command: \[(\w+)", self.text))
        cases = set(re.findall(r"^    (\w+)\)$", (CLUSTER / "run").read_text(), re.MULTILINE))
        self.assertEqual(named, cases)

    def test_the_server_believes_the_balancer(self) -> None:
        (option,) = re.findall(r"(--trust-proxy=\S+)\]", self.text)
        self.assertRegex(self.text, rf"\n  balancer:\n(    .*\n)*        ipv4_address: {option.partition('=')[2]}\n")
        tap.Options().parseOptions([option, "--web", "0"])

    def test_the_files_of_the_image_exist(self) -> None:
        copied = re.findall(r"contrib/cluster/\w+", (CLUSTER / "Dockerfile").read_text())
        self.assertEqual(len(copied), 2)
        for path in copied:
            self.assertTrue((ROOT / path).is_file(), path)


def answer_of(url: str, trusts: ssl.SSLContext) -> int:
    """Return the status of an answer over HTTPS; 0 if the connection is refused."""
    try:
        with urlopen(url, context=trusts) as answer:
            return int(answer.status)
    except OSError:
        return 0


class BalancerTests(ProxyTestCase):
    """HAProxy in front of two servers, with a third one that does not run."""

    async def test_clients_get_to_a_server_that_runs_with_their_addresses(self) -> None:
        haproxy_path = program("haproxy")
        home = folder(self)
        self.assertEqual(prepare(home, CHAT, "one=127.0.0.1", "two=127.0.0.1", "three=127.0.0.1").returncode, 0)
        files = home / "cluster"
        servers = [await self.start_server(files / name) for name in ("one", "two")]
        text = (files / "one" / "haproxy.cfg").read_text()
        for name, places in zip(("one", "two"), servers, strict=True):
            text = self.moved(text, name, places.ports[1], places.ports[2], await self.status_port(places))
        text = self.moved(text, "three", *[free_port()] * 3)
        programs, browsers = free_port(), free_port()
        for old, new in ((14943, programs), (443, browsers), (80, free_port())):
            text = text.replace(f"bind :::{old} v4v6", f"bind 127.0.0.1:{new}")
        text = re.sub(r"^ +(log|user|group|chroot|maxconn) .*\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"timeout (connect|check) \ds", r"timeout \1 50s", text)  # a busy machine is not a lost server
        (home / "haproxy.cfg").write_text(text)
        haproxy = Program(self, haproxy_path, "-db", "-f", str(home / "haproxy.cfg"), home=home)
        await self.wait_for(browsers)

        # Each server lets one client of an address in.
        trusts = ssl.create_default_context(cafile=str(files / "ca.crt"))
        for source, answer in (
            ("127.0.0.2", "welcome"),
            ("127.0.0.2", "welcome"),
            ("127.0.0.2", "error"),
            ("127.0.0.3", "welcome"),
        ):
            self.assertEqual(await deferToThread(self.hello, browsers, source, CHAT, trusts), answer)
        self.assertEqual(await deferToThread(self.say_hello, programs, "127.0.0.4", trusts), "welcome")

        await haproxy.says("Server programs/three is DOWN")
        self.assertEqual(await servers[0].stop(), 0)
        for source in ("127.0.0.5", "127.0.0.6"):
            self.assertEqual(await deferToThread(self.say_hello, programs, source, trusts), "welcome")
        await haproxy.says("Server browsers/one is DOWN")
        self.assertNotIn("Server programs/two is DOWN", haproxy.output)

    async def start_server(self, machine: Path) -> Server:
        """Start a server as on a machine, but on a file, which lets in one client of each address."""
        options = options_of(machine)
        options[options.index("--database") + 1] = str(machine / "chat.sqlite")
        return await Server.start(self, *options, "--connections-per-address", "1", home=machine, places=3)

    async def status_port(self, server: Server) -> int:
        (match,) = await server.says(r"the status is served on \S+:(\d+)\n")
        return int(match[1])

    def moved(self, text: str, name: str, programs: int, browsers: int, status: int) -> str:
        """Have HAProxy find a server at other ports."""
        address = r"\g<1>127.0.0.1:"
        text, first = re.subn(rf"(server {name} )\S+:14901( .*)14990", rf"{address}{programs}\g<2>{status}", text)
        text, second = re.subn(rf"(server {name} )\S+:14981", rf"{address}{browsers}", text)
        self.assertEqual((first, second), (1, 1))
        return text

    def say_hello(self, port: int, source: str, trusts: ssl.SSLContext) -> str:
        """Say hello as a program does. Returns the type of the answer."""
        connection = self.connect(port, source, CHAT, trusts)
        connection.sendall(b'{"type": "hello", "nick": "from-%s"}\n' % source.encode())
        return self.read_until(connection, rb'"type":"(\w+)"')[1].decode()
