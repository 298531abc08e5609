"""Three PostgreSQLs under Patroni, with etcd, each on a machine of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg

from tests.postgresql_programs import find_programs

from ..scene import Stuck
from .machines import UNPRIVILEGED, Machine, begin_networks, mount_disk
from .scene import SERVERS

NODES: Final = 3

DISK: Final = 2**29
"""Bytes of the disk of a PostgreSQL: room for 256 MB of write-ahead log."""

TTL: Final = 20
"""Seconds after which a machine that is silent is no longer the primary: Patroni takes no less."""

READY_SECONDS: Final = 180.0
"""Seconds in which a primary and two synchronous standbys are there."""

ANSWER_SECONDS: Final = 2.0
"""Seconds in which Patroni answers."""

POLL_SECONDS: Final = 0.2

SETTINGS: Final = {
    "ttl": TTL,
    "loop_wait": 1,
    "retry_timeout": 3,
    "maximum_lag_on_failover": 2**20,
    # A primary that was killed is not started again first: a standby has everything.
    "primary_start_timeout": 0,
    # An ack is on both standbys. If one is gone, Patroni goes on with the other one, and no longer waits for it: a
    # second fault at the same time could lose an ack only if it takes the primary's disk along.
    "synchronous_mode": True,
    "synchronous_node_count": 2,
    "postgresql": {
        "use_pg_rewind": True,
        "remove_data_directory_on_rewind_failure": True,
        "remove_data_directory_on_diverged_timelines": True,
        "parameters": {
            "max_connections": 60,
            "max_wal_size": "128MB",
            "min_wal_size": "48MB",
            "wal_keep_size": "64MB",
            "shared_buffers": "32MB",
            # A standby that does not answer any more delays all commits until the primary gives it up.
            "wal_sender_timeout": "3s",
            "wal_receiver_timeout": "3s",
        },
    },
}
"""The settings of Patroni that are the same on all machines."""

QUORUM: Final = {"synchronous_mode": "quorum", "synchronous_node_count": 1, "synchronous_mode_strict": True}
"""The settings with which an ack is on the faster one of the two standbys, as in `contrib/cluster/`."""


class Node:
    """A machine with a PostgreSQL, its Patroni, and a member of etcd."""

    def __init__(self, folder: Path, number: int, settings: dict[str, Any]) -> None:
        self.name = f"db{number + 1}"
        self._common = settings
        self.machine = Machine(self.name, number + 1)
        self.folder = folder / self.name
        self.folder.mkdir()
        shutil.chown(self.folder, "nobody", "nogroup")
        self.disk = self.folder / "disk"
        mount_disk(self.disk, DISK)
        self._etcd: subprocess.Popen[bytes] | None = None
        self._patroni: subprocess.Popen[bytes] | None = None

    # Starting

    def start(self, nodes: Sequence[Node]) -> None:
        """Start what does not run."""
        if self._etcd is None or self._etcd.poll() is not None:
            self._etcd = self._run("etcd", *self._etcd_options(nodes))
        if self._patroni is None or self._patroni.poll() is not None:
            settings = self.folder / "patroni.json"  # JSON is YAML
            settings.write_text(json.dumps(self._settings(nodes)))
            settings.chmod(0o644)
            self._patroni = self._run("patroni", str(Path(sys.executable).with_name("patroni")), str(settings))

    def _run(self, what: str, *command: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{what}.log", "ab") as log:
            whole = [*self.machine.wrapper, *UNPRIVILEGED, *command]
            return subprocess.Popen(whole, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)

    def _etcd_options(self, nodes: Sequence[Node]) -> Sequence[str]:
        address = self.machine.address
        return (
            *("etcd", "--name", self.name, "--data-dir", str(self.folder / "etcd"), "--initial-cluster-token", "chat"),
            *("--listen-client-urls", f"http://{address}:2379", "--advertise-client-urls", f"http://{address}:2379"),
            *(
                "--listen-peer-urls",
                f"http://{address}:2380",
                "--initial-advertise-peer-urls",
                f"http://{address}:2380",
            ),
            *("--initial-cluster", ",".join(f"{node.name}=http://{node.machine.address}:2380" for node in nodes)),
        )

    def _settings(self, nodes: Sequence[Node]) -> dict[str, Any]:
        address = self.machine.address
        return {
            "scope": "chat",
            "name": self.name,
            "etcd3": {"hosts": [f"{node.machine.address}:2379" for node in nodes]},
            "restapi": {"listen": f"{address}:8008", "connect_address": f"{address}:8008"},
            "bootstrap": {
                "dcs": self._common,
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"{address}:5432",
                "connect_address": f"{address}:5432",
                "data_dir": str(self.disk / "data"),
                "bin_dir": str(find_programs()),
                "pgpass": str(self.folder / "pgpass"),
                "authentication": {
                    "superuser": {"username": "postgres", "password": "p"},
                    "replication": {"username": "replicator", "password": "p"},
                },
                "pg_hba": ["local all all trust", "host all all samenet trust", "host replication all samenet trust"],
                "parameters": {"unix_socket_directories": str(self.folder)},
            },
        }

    # Faults

    def postgres(self) -> list[int]:
        """Return the processes of PostgreSQL: first that which starts the others, or none."""
        try:
            first = int((self.disk / "data" / "postmaster.pid").read_text().split()[0])
            if "postgres" not in Path(f"/proc/{first}/comm").read_text():
                return []
            children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        except (OSError, ValueError, IndexError):
            return []
        return [first, *map(int, children)]

    def patroni(self) -> list[int]:
        return [] if self._patroni is None else [self._patroni.pid]

    def etcd(self) -> list[int]:
        return [] if self._etcd is None else [self._etcd.pid]

    def fill_disk(self) -> None:
        """Fill the disk of PostgreSQL."""
        with open(self.disk / "ballast", "wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(2**20)):
                pass
            while file.write(bytes(2**12)):
                pass

    def empty_disk(self) -> None:
        (self.disk / "ballast").unlink(missing_ok=True)

    def heal(self, nodes: Sequence[Node]) -> None:
        """End every fault of this machine."""
        send(signal.SIGCONT, [*self.etcd(), *self.patroni(), *self.postgres()])
        self.machine.mend()
        self.empty_disk()
        self.start(nodes)

    async def state(self) -> dict[str, str] | None:
        """Ask this Patroni for the roles of all nodes that work, by their names; None if it does not answer."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(self.machine.address, 8008)
                writer.write(b"GET /cluster HTTP/1.0\r\n\r\n")
                _, _, body = (await reader.read()).partition(b"\r\n\r\n")
                writer.close()
            members = json.loads(body)["members"]
        except (OSError, ValueError, KeyError, TimeoutError):
            return None
        return {one["name"]: one["role"] for one in members if one["state"] in ("running", "streaming")}

    def last_lines(self) -> list[str]:
        """Return the last lines of its logs."""
        lines = []
        for name in ("patroni", "etcd"):
            text = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
            lines += [f"{self.name} {name}| {line}" for line in text[-15:]]
        return lines


def send(number: int, pids: Sequence[int]) -> None:
    """Send a signal to processes; those that have ended are left out."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Patroni:
    """The machines: three of databases, and those of the servers."""

    def __init__(self, is_quorum: bool = False) -> None:
        program = Path(sys.executable).with_name("patroni")
        if not program.exists() or shutil.which("etcd") is None:
            sys.exit("--patroni needs etcd and Patroni: apt-get install etcd-server; pip install -e '.[patroni]'")
        self._is_quorum = is_quorum
        begin_networks()
        self.folder = Path(tempfile.mkdtemp(prefix="faults-patroni-"))
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(self.folder)], check=True)
        self.folder.chmod(0o755)
        self.nodes = [Node(self.folder, number, SETTINGS | (QUORUM if is_quorum else {})) for number in range(NODES)]
        self._servers = [Machine(f"chat{number + 1}", 11 + number, is_server=True) for number in range(SERVERS)]

    async def open(self) -> None:
        for node in self.nodes:
            node.start(self.nodes)

    async def close(self) -> None:
        """Nothing is left of it: the sandbox ends with this process."""

    # As the scene needs it

    def url(self, server: int, database: str) -> str:
        hosts = ",".join(f"{node.machine.address}:5432" for node in self.nodes)
        return f"postgresql://postgres@{hosts}/{database}?target_session_attrs=read-write"

    def wrapper(self, server: int) -> Sequence[str]:
        return self._servers[server].wrapper

    def options(self, server: int) -> Sequence[str]:
        return "--interface", self._servers[server].front

    async def ready(self) -> None:
        """End every fault, and wait for a primary and two synchronous standbys."""
        for machine in self._servers:
            machine.mend()
        for node in self.nodes:
            node.heal(self.nodes)
        until = time.monotonic() + READY_SECONDS
        roles: list[list[str]] = []
        standby = "quorum_standby" if self._is_quorum else "sync_standby"
        while roles != [["leader", standby, standby]] * NODES:
            if time.monotonic() > until:
                raise Stuck(f"the databases do not become ready: {roles}")
            await asyncio.sleep(POLL_SECONDS)
            states = [await node.state() for node in self.nodes]
            roles = [sorted((state or {}).values()) for state in states]

    async def primary(self) -> Node:
        """Return the node that is the primary now."""
        while True:
            for node in self.nodes:
                for name, role in (await node.state() or {}).items():
                    if role == "leader":
                        return next(one for one in self.nodes if one.name == name)
            await asyncio.sleep(POLL_SECONDS)

    async def standbys(self) -> list[Node]:
        primary = await self.primary()
        return [node for node in self.nodes if node is not primary]

    async def until_another_is_primary(self, old: Node) -> None:
        """Wait until the other nodes have another primary."""
        until = time.monotonic() + READY_SECONDS
        others = [node for node in self.nodes if node is not old]
        while True:
            for node in others:
                if any(role == "leader" and name != old.name for name, role in (await node.state() or {}).items()):
                    return
            if time.monotonic() > until:
                raise Stuck("no other node becomes the primary")
            await asyncio.sleep(POLL_SECONDS)

    async def execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.url(0, "postgres"), timeout=30)
        try:
            await connection.execute(sql, timeout=60)
        finally:
            connection.terminate()

    async def cut(self, server: int) -> None:
        self._servers[server].cut()

    async def mend(self, server: int) -> None:
        self._servers[server].mend()

    def last_lines(self) -> list[str]:
        return [line for node in self.nodes for line in node.last_lines()]
