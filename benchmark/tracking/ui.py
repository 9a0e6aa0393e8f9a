"""The MLflow UI: its command and the addresses of a study's views."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark import hints
from benchmark.engine.databases import without_user
from benchmark.errors import BenchmarkError
from benchmark.tracking.store import ARTIFACTS, SETTINGS, connect, sqlite_file
from benchmark.tracking.views import TAG, view_address

Server = subprocess.Popen[bytes]

STDERR = 2


def ui_command(uri: str, project: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts the MLflow UI, and its environment.

    The UI has one worker (MLflow's default of four with job runners takes 2 GB and is fourteen
    times as slow), is reachable from this machine only, and runs no jobs. The command is run in
    the project's folder.

    Raises
    ------
    BenchmarkError
        If the runs are on a server, there are no runs, or the port is in use.
    """
    if uri.startswith(("http:", "https:")):
        raise BenchmarkError(f"The runs are on a server: open {without_user(uri)} in a browser.")
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        raise BenchmarkError(
            f"{file}: there are no runs yet. {hints.command('run-study')} makes some."
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BenchmarkError(
                f"Port {port} can't be used ({error.strerror}). Choose another with --port."
            ) from error
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    command += ["--allowed-hosts", f"localhost:{port},127.0.0.1:{port}"]
    command += ["--artifacts-destination", str(project.resolve() / ARTIFACTS)]
    environment = {
        **os.environ,
        **SETTINGS,
        # Not an argument: it may contain a password, and command lines are public.
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",  # of MLflow's own dependencies
    }
    return command, environment


@contextmanager
def running_ui(
    command: list[str], environment: Mapping[str, str], folder: Path
) -> Iterator[Server]:
    """Run the UI within a block; it ends with the block, also by SIGTERM."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # In a session of its own, its worker processes can be ended together.
    # Its own messages are no results.
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=STDERR, start_new_session=True
    )
    try:
        yield process
    finally:
        _end(process)
        signal.signal(signal.SIGTERM, before)


def wait_for_ui(process: Server, port: int) -> None:
    """Return as soon as the UI answers.

    Raises
    ------
    BenchmarkError
        If it ends before.
    """
    while process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
            return
        time.sleep(0.2)
    raise BenchmarkError(f"The MLflow UI has ended with status {process.returncode}; see above.")


def _end(process: Server) -> None:
    """End a server with its workers: politely, and by force after a while."""
    kill = getattr(os, "killpg", None)  # not on Windows
    for ending in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with suppress(ProcessLookupError):
            if kill:
                kill(process.pid, ending)
            else:
                process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return


def ui_addresses(uri: str, port: int) -> list[tuple[str, str]]:
    """Return each study and the address of its trials in the UI, the most recent study first.

    They are those of the leading protocol: speaker-independent, if the study has it.

    The UI's own start page is about language models.
    """
    return [
        (study.name, f"http://127.0.0.1:{port}/{view_address('trials', study.experiment_id)}")
        for study in connect(uri).search_experiments(order_by=["last_update_time DESC"])
        if f"{TAG}trials" in study.tags
    ]
