"""How fast the service answers, beside a plain handler and MLflow's own server, on one core each.

Run with ``pytest tests/performance/test_service.py``. The servers run on the first core with all
their processes, the client on the second. `SER_CARD=FILE` takes a model of your own whose features
are means-184 (features_cache/capstone/speaker-independent/models/ensemble.json) in place of the
quickstart's vote; `SER_SECONDS=300` holds each server for five minutes in place of twenty seconds.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmark.engine.processes import THREAD_LIMITS
from tests.support.waiting import free_port

pytest.importorskip("multipart", reason="needs the extra `serve`")

HERE = Path(__file__).parent
SECONDS = float(os.environ.get("SER_SECONDS", "20"))
WARM_UP = 30
BOUNDARY = "----ser-benchmark"

EXTRACTED = """
question = "How long do features take?"
corpora = ["csv"]
emotions = ["angry", "sad"]
features = "means-184"

[split]
protocols = ["speaker-dependent"]

[search]
metric = "uar"
trials = 1
folds = 3

[models.logistic_regression]
"""

held: dict[str, Held] = {}


@dataclass(frozen=True)
class Request:
    """One request, the same each time."""

    path: str
    body: bytes
    content_type: str


@dataclass(frozen=True)
class Held:
    """What a server did while it was asked one request after the other."""

    latencies_ms: np.ndarray
    errors: int
    before_mb: float
    after_mb: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return 1000 * len(self.latencies_ms) / float(self.latencies_ms.sum())

    def __str__(self) -> str:
        median, last = np.quantile(self.latencies_ms, [0.5, 0.99])
        return (
            f"median {median:.1f} ms, 99th percentile {last:.1f} ms, {self.rate:.0f} requests/s "
            f"over {self.latencies_ms.sum() / 1000:.0f} s, {self.errors} errors, memory "
            f"{self.before_mb:.0f} to {self.after_mb:.0f} MB"
        )


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of the model that all servers answer with."""
    if "SER_CARD" in os.environ:
        return Path(os.environ["SER_CARD"])
    project = tmp_path_factory.mktemp("quickstart")
    benchmark_command(project, "run-study")
    return project / "features_cache/quickstart/speaker-independent/models/ensemble.json"


def benchmark_command(project: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "benchmark", *arguments, "--project", str(project)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Three seconds of a voice-like sound with pauses, 16 bits at 48 kHz as RAVDESS is."""
    time_s = np.arange(3 * 48_000) / 48_000
    rng = np.random.default_rng(0)
    pitch_hz = 180 + 40 * np.sin(2 * np.pi * 0.7 * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / 48_000
    voice = sum(np.sin(k * phase) / k for k in range(1, 30))
    loudness = np.clip(np.sin(2 * np.pi * 1.3 * time_s), 0, 1)
    content = io.BytesIO()
    sound = 0.2 * loudness * voice + 0.002 * rng.normal(size=len(time_s))
    soundfile.write(content, sound, 48_000, format="WAV", subtype="PCM_16")
    return content.getvalue()


def form(clip: bytes) -> Request:
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    body = head.encode() + clip + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Request("/predict", body, f"multipart/form-data; boundary={BOUNDARY}")


def invocation(clip: bytes) -> Request:
    rows = {"columns": ["audio"], "data": [[base64.b64encode(clip).decode()]]}
    return Request(
        "/invocations", json.dumps({"dataframe_split": rows}).encode(), "application/json"
    )


@contextmanager
def serving(command: list[str], port: int, core: int, **variables: str) -> Iterator[int]:
    """Run a server on one core; yield its process when it answers."""
    environment = {k: v for k, v in os.environ.items() if k not in THREAD_LIMITS} | variables
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # whatever is started from here on stays on that core
    process = subprocess.Popen(
        command,
        env=environment | {"PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.sched_setaffinity(0, own)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def memory_mb(group: int) -> float:
    """Return what a server's processes hold together, shared pages once a process."""
    kilobytes = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if os.getpgid(int(status.parent.name)) == group:
                found = re.search(r"VmRSS:\s+(\d+)", status.read_text())
                kilobytes += int(found[1]) if found else 0
        except OSError:
            continue
    return kilobytes / 1024


def ask(connection: http.client.HTTPConnection, request: Request) -> bool:
    connection.request("POST", request.path, request.body, {"Content-Type": request.content_type})
    answer = connection.getresponse()
    content = answer.read()
    return answer.status == 200 and len(content) > 0


def hold(port: int, group: int, request: Request) -> Held:
    """Ask one request after the other for `SECONDS`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(WARM_UP):
        assert ask(connection, request)
    before, latencies, errors = memory_mb(group), [], 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        started = time.perf_counter()
        errors += not ask(connection, request)
        latencies.append(1000 * (time.perf_counter() - started))
    return Held(np.array(latencies), errors, before, memory_mb(group))


@pytest.fixture
def cores() -> Iterator[int]:
    """Leave the first core to the server, take the second for the client."""
    both = sorted(os.sched_getaffinity(0))
    if len(both) < 2:
        pytest.skip("needs two cores: one for the server, one for the client")
    os.sched_setaffinity(0, {both[1]})
    yield both[0]
    os.sched_setaffinity(0, set(both))


def test_the_service(card: Path, clip: bytes, cores: int, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "benchmark", "serve", "--port", str(port), "--workers", "1"]
    command += ["--model", str(card), "--project", str(tmp_path)]
    with serving(command, port, cores) as group:
        held["service"] = hold(port, group, form(clip))
    assert not held["service"].errors


def test_a_plain_handler(card: Path, clip: bytes, cores: int) -> None:
    port = free_port()
    command = [sys.executable, str(HERE / "plain_service.py"), str(card), str(port)]
    with serving(command, port, cores) as group:
        held["plain handler"] = hold(port, group, form(clip))


def test_mlflows_server(card: Path, clip: bytes, cores: int, tmp_path: Path) -> None:
    from benchmark.serving.cost import measure_cost
    from benchmark.tracking.model_registry import REGISTERED, promote

    uri, port = f"sqlite:///{tmp_path}/mlflow.db", free_port()
    promote(card, measure_cost(card), uri, tmp_path / "mlruns")
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", f"models:/{REGISTERED}@champion", "--port", str(port)]
    with serving(command, port, cores, MLFLOW_TRACKING_URI=uri) as group:
        held["mlflow models serve"] = hold(port, group, invocation(clip))


def test_the_figures(record: Callable[[str], None]) -> None:
    for name, figures in held.items():
        ratio = held["service"].rate / figures.rate
        record(f"{name}: {figures}; the service answers {ratio:.1f} times as many")


@pytest.mark.recordings
def test_predicting_files_costs_little_more_than_their_features(
    card: Path, recordings: Path, tmp_path: Path, record: Callable[[str], None]
) -> None:
    """Whole processes on all cores, in turn, each with an empty cache: extract, then predict."""
    corpora = [recordings / name for name in ("ravdess", "tess", "savee")]
    files = sorted(path for corpus in corpora for path in corpus.rglob("*") if path.is_file())
    table = tmp_path / "clips.csv"
    rows = [
        f"{path.resolve()},{'angry' if place % 2 else 'sad'},speaker{place % 8}"
        for place, path in enumerate(files)
    ]
    table.write_text("path,emotion,speaker\n" + "\n".join(rows))
    study = tmp_path / "features.toml"
    study.write_text(EXTRACTED)
    extract = ["extract", str(study), "--corpus", f"csv={table}"]
    predict = ["predict", str(table), "--model", str(card), "--csv", str(tmp_path / "said.csv")]
    seconds: dict[str, list[float]] = {"extract": [], "predict": []}
    for _ in range(3):
        for command in (extract, predict):
            project = tmp_path / command[0]
            shutil.rmtree(project, ignore_errors=True)
            project.mkdir()
            started = time.perf_counter()
            benchmark_command(project, *command)
            seconds[command[0]].append(time.perf_counter() - started)
    extracting, predicting = (float(np.median(seconds[name])) for name in ("extract", "predict"))
    record(
        f"{len(files)} recordings: features {extracting:.1f} s, predicted {predicting:.1f} s, "
        f"{predicting / extracting:.2f} of it"
    )
