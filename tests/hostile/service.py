"""A service in a separate process: its responses to hostile requests, and its resources."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

from tests.hostile.uploads import HANGING, UNANSWERED, Request

REQUEST_S = 5.0
PATIENCE_S = REQUEST_S + 20.0
"""Headers may take 10 s and the rest of a refused body 2 s; the remainder is for a machine of two
cores that also generates the uploads."""

START_S = 120.0
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: the connection is reset instead of closed."""


class Answer(NamedTuple):
    """A response.

    Attributes
    ----------
    status : int
        `UNANSWERED` or `HANGING` if there was none.
    media_type : str
    content : bytes
    seconds : float
        Since the first byte was sent.
    """

    status: int
    media_type: str
    content: bytes
    seconds: float


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes
    ----------
    port : int
    process : subprocess.Popen
    log, scratch : Path
        Its output, and its folder for temporary files.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    scratch: Path

    def exchange(self, request: Request) -> Answer:
        """Return the response to a request."""
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
            status, media_type, content = UNANSWERED, "", b""
            try:
                # A client that is refused while it sends finds the connection closed or reset.
                with contextlib.suppress(OSError):
                    _send(connection, request)
                if request.ending in {"read", "half-close"}:
                    status, media_type, content = _receive(connection)
            except TimeoutError:
                status = HANGING
            except (OSError, HTTPException):
                status = UNANSWERED
            if request.ending == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        return Answer(status, media_type, content, time.monotonic() - began)

    def exchange_all(self, requests: list[Request], concurrent: int) -> list[Answer]:
        """Return the responses to requests, some of which are sent concurrently."""
        with ThreadPoolExecutor(concurrent) as senders:
            return list(senders.map(self.exchange, requests))

    def alive(self) -> bool:
        """Return whether its process is running."""
        return self.process.poll() is None

    def memory_bytes(self) -> int:
        """Resident memory of the server and all its workers."""
        return sum(resident_bytes(process) for process in self.processes())

    def processes(self) -> list[int]:
        """The server's process and its descendants."""
        found = [self.process.pid]
        for process in found:
            for path in Path(f"/proc/{process}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += map(int, path.read_text().split())
        return found

    def open_files(self) -> int:
        """Number of open files, sockets and pipes of the server's process."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def replaced(self) -> int:
        """Number of replaced workers, from the metrics of the service."""
        request = Request((b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",), frozenset({200}))
        counted = re.search(rb"ser_workers_replaced_total (\d+)", self.exchange(request).content)
        assert counted
        return int(counted[1])

    def left_behind(self) -> list[Path]:
        """Files in its folder for temporary files."""
        return [path for path in self.scratch.rglob("*") if path.is_file()]


@contextlib.contextmanager
def service(card: Path, folder: Path, *options: str) -> Iterator[Service]:
    """Run a service with the command line.

    Parameters
    ----------
    card : Path
        Card of the model.
    folder : Path
        For its output and temporary files.
    *options : str
        Further command-line options.
    """
    scratch, log = folder / "scratch", folder / "log.txt"
    scratch.mkdir()
    command = [sys.executable, "-m", "benchmark", "serve", "--port", "0", "--model", str(card)]
    command += ["--request-seconds", str(REQUEST_S), "--project", str(folder), *options]
    with log.open("wb") as written:
        process = subprocess.Popen(
            command, stdout=written, stderr=written, env=os.environ | {"TMPDIR": str(scratch)}
        )
    try:
        yield Service(_port(process, log), process, log, scratch)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"page: http://127\.0\.0\.1:(\d+)/", log.read_text()):
            return int(found[1])
        time.sleep(0.1)
    raise AssertionError(f"The service did not start:\n{log.read_text()}")


def _send(connection: socket.socket, request: Request) -> None:
    for part in request.parts:
        connection.sendall(part)
        time.sleep(request.pause_s)
    if request.ending == "half-close":
        connection.shutdown(socket.SHUT_WR)


def _receive(connection: socket.socket) -> tuple[int, str, bytes]:
    response = HTTPResponse(connection)
    try:
        response.begin()
        content = response.read()
    finally:
        response.close()
    return response.status, response.headers.get_content_type(), content


def resident_bytes(process: int) -> int:
    """Return the resident memory of a process, shared pages included; 0 where it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:  # the process has ended
        return 0
    return pages * os.sysconf("SC_PAGESIZE")


def faults(request: Request, answer: Answer) -> list[str]:
    """Return the faults of a response."""
    found = []
    if answer.status not in request.allowed:
        found.append(f"status {answer.status}")
    if answer.seconds > PATIENCE_S:
        found.append(f"{answer.seconds:.1f} s")
    try:
        found += _faults_in(answer)
    except (ValueError, KeyError, TypeError) as error:
        found.append(f"{type(error).__name__}: {error}")
    return [f"{fault}: {answer.content[:300]!r}" for fault in found]


def _faults_in(answer: Answer) -> list[str]:
    if answer.status in {
        HANGING,
        UNANSWERED,
        400,
    }:  # 400 is the HTTP library's response to malformed HTTP
        return []
    document = json.loads(answer.content, parse_constant=_no_number)
    if answer.status in {200, 207}:
        predicted = document.get("predictions", document.get("windows"))
        found = [_certain(one) for one in predicted if one.get("emotion")]
        return [] if predicted and all(found) else ["no probabilities that add up to 1"]
    told = answer.media_type == "application/problem+json" and document["detail"]
    return [] if told and document["status"] == answer.status else ["no problem document"]


def _certain(one: dict[str, Any]) -> bool:
    probabilities = one["probabilities"].values()
    return math.isclose(sum(probabilities), 1.0, abs_tol=1e-5) and min(probabilities) >= 0.0


def _no_number(name: str) -> float:
    raise ValueError(f"{name} in JSON")
