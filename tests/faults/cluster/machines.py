"""Machines: network namespaces with addresses of their own, links that can be cut, and small disks.

Everything is in a sandbox, which `unshare` makes: no other program of the machine sees its networks, mounts and
processes, and nothing of it is left when the command ends, in whatever way.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

INSIDE: Final = "FAULTS_IN_SANDBOX"
"""The variable of the environment that is set in the sandbox."""

UNPRIVILEGED: Final = (
    *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
"""PostgreSQL refuses to run as root. Python and this clone may be where only root can read."""

BACK: Final = "10.77.2"
"""The network of the databases, to which the servers have a link each."""

FRONT: Final = "10.77.1"
"""The network between the servers and their clients."""


def enter_sandbox(arguments: Sequence[str]) -> None:
    """Run this command again in a sandbox, unless it is in one."""
    if INSIDE in os.environ:
        return
    if os.geteuid() != 0:
        sys.exit("--patroni needs root, for networks and disks of its own: run it as root, or without --patroni")
    # The first process of the sandbox has to reap what others leave behind, as a shell does: PostgreSQL finds its old
    # process alive as long as nobody has.
    shell = ["bash", "-c", '"$@"; exit $?', "bash"]
    command = [sys.executable, "-m", "tests.faults.cluster", *arguments]
    sandbox = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    os.execvpe(sandbox[0], [*sandbox, *shell, *command], {**os.environ, INSIDE: "1"})


def begin_networks() -> None:
    """Make the two networks, with an address of this process in each."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True) if Path("/run/netns").exists() else None
    _ip("link", "set", "lo", "up")
    for name, network in (("back", BACK), ("front", FRONT)):
        _ip("link", "add", name, "type", "bridge")
        _ip("addr", "add", f"{network}.254/24", "dev", name)
        _ip("link", "set", name, "up")


def mount_disk(path: Path, size: int) -> None:
    """Mount an empty disk in memory, with this number of bytes, for an unprivileged user."""
    path.mkdir()
    options = f"size={size},mode=0700,uid=nobody,gid=nogroup"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)


class Machine:
    """A machine with a link to the network of the databases and, if it is a server's, to that of the clients."""

    def __init__(self, name: str, number: int, is_server: bool = False) -> None:
        self.name = name
        self.address = f"{BACK}.{number}"
        self.front = f"{FRONT}.{number}"
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")
        self._connect("back", self.address)
        if is_server:
            self._connect("front", self.front)

    def _connect(self, network: str, address: str) -> None:
        _ip("link", "add", f"{self.name}-{network}", "type", "veth", "peer", "name", network, "netns", self.name)
        _ip("link", "set", f"{self.name}-{network}", "master", network, "up")
        _ip("-n", self.name, "addr", "add", f"{address}/24", "dev", network)
        _ip("-n", self.name, "link", "set", network, "up")

    @property
    def wrapper(self) -> Sequence[str]:
        """The command that runs another one on this machine."""
        return "nsenter", f"--net=/run/netns/{self.name}"

    def cut(self) -> None:
        """Cut it off from the databases: what is sent vanishes, both ways."""
        _ip("link", "set", f"{self.name}-back", "nomaster")

    def mend(self) -> None:
        _ip("link", "set", f"{self.name}-back", "master", "back")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
