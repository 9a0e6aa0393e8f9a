"""A Dask cluster as its users start one: `dask scheduler` and `dask worker`, each a process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.waiting import free_port

ROOT = Path(__file__).parents[2]


class DaskProcesses:
    """A scheduler and workers.

    Parameters
    ----------
    folder : Path
        For logs and for what Dask writes.
    host : str
        Where the scheduler listens.
    protocol : str
        ``tcp`` or ``tls``.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", protocol: str = "tcp") -> None:
        self.folder = folder
        self.host = host
        self.protocol = protocol
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []
        self._started = 0

    @property
    def address(self) -> str:
        return f"{self.protocol}://{self.host}:{self.port}"

    def scheduler(self, inside: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a scheduler, in an environment that lacks the package."""
        lacking = self.folder / "lacking"
        lacking.mkdir(exist_ok=True)
        (lacking / "benchmark.py").write_text("raise ModuleNotFoundError('not here')")
        where = ["--host", f"{self.protocol}://{self.host}", "--port", str(self.port)]
        return self._start("scheduler", ["scheduler", *where], path=lacking, inside=inside)

    def worker(
        self,
        *options: str,
        path: Path = ROOT,
        inside: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a worker, by default with a nanny and one thread.

        Parameters
        ----------
        *options
            Of `dask worker`.
        path : Path
            The folder of the package.
        inside : sequence of str
            A command that runs it, as that of a network namespace.
        environment : mapping, optional
            Further variables.
        """
        command = ["worker", self.address, "--local-directory", "spilled"]
        threads = [] if "--nthreads" in options else ["--nthreads", "1"]
        return self._start(
            "worker", [*command, *threads, *options], path=path, inside=inside, extra=environment
        )

    def _start(
        self,
        name: str,
        command: Sequence[str],
        path: Path,
        inside: Sequence[str] = (),
        extra: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        self._started += 1
        folder = self.folder / f"{name}-{self._started}"
        folder.mkdir()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*inside, sys.executable, "-m", "dask", *command, "--no-dashboard"],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(path)} | dict(extra or {}),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def registered(self) -> int:
        """Return the number of workers that the scheduler knows."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            return len(client.nthreads())

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process with its children, as a machine that loses its power does."""
        with contextlib.suppress(ProcessLookupError):  # of a nanny that has gone, the worker stays
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        while self.processes:
            self.stop(self.processes.pop())
