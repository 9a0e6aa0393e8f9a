"""Hosts of a cluster on one machine: network namespaces on a bridge, each with its own disk.

Needs root and `ip`. Without namespaces, a host is a process of this machine without separation,
and tests that disconnect hosts are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

NETWORK = "10.213.77"


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def take_away(kind: str, name: str) -> None:
    subprocess.run(["ip", kind, "del", name], check=False, capture_output=True)


def namespaces() -> bool:
    """Return whether network namespaces can be created on this machine."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    probe = subprocess.run(["ip", "netns", "add", "ser-probe"], check=False, capture_output=True)
    if probe.returncode == 0:
        run("ip", "netns", "del", "ser-probe")
    return probe.returncode == 0


class Hosts:
    """Hosts, and the address of this machine in their network.

    Parameters
    ----------
    count : int
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.separate = namespaces()
        self.address = f"{NETWORK}.254" if self.separate else "127.0.0.1"

    def open(self) -> None:
        """Create the bridge and a link to each host."""
        if not self.separate:
            return
        self.close()
        run("ip", "link", "add", "ser-bridge", "type", "bridge")
        run("ip", "addr", "add", f"{self.address}/24", "dev", "ser-bridge")
        run("ip", "link", "set", "ser-bridge", "up")
        for number in range(self.count):
            name, cable = f"ser-{number}", f"ser-cable-{number}"
            run("ip", "netns", "add", name)
            run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "link", "set", cable, "master", "ser-bridge", "up")
            inside = ("ip", "-n", name)
            run(*inside, "addr", "add", f"{NETWORK}.{number + 1}/24", "dev", "eth0")
            run(*inside, "link", "set", "eth0", "up")
            run(*inside, "link", "set", "lo", "up")

    def inside(self, number: int, disk: str = "", folder: Path | None = None) -> Sequence[str]:
        """Return the command that runs another on a host.

        Parameters
        ----------
        number : int
        disk : str
            Folder that the host sees as `folder`; may be empty.
        folder : Path, optional
            Without it, the host sees the files of this machine.
        """
        if not self.separate:
            return ()
        entered = ("ip", "netns", "exec", f"ser-{number}")
        if folder is None:
            return entered
        mount = f"mount --bind '{disk}' '{folder}'" if disk else f"mount -t tmpfs none '{folder}'"
        return (*entered, "sh", "-c", f'{mount} && exec "$0" "$@"')

    def cut(self, number: int) -> None:
        """Disconnect a host silently."""
        run("ip", "link", "set", f"ser-cable-{number}", "down")

    def mend(self, number: int) -> None:
        """Reconnect a host."""
        run("ip", "link", "set", f"ser-cable-{number}", "up")

    def close(self) -> None:
        """Remove all hosts and the bridge."""
        for number in range(self.count):
            take_away("link", f"ser-cable-{number}")
            take_away("netns", f"ser-{number}")
        take_away("link", "ser-bridge")
