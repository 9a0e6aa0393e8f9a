"""Fetching an encoder, from a hub on this machine: only what is needed, whole, and checked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmark.features.encoders import ENCODERS
from tests.support.platforms import posix
from tests.support.waiting import wait_until

pytest.importorskip("huggingface_hub")

PINNED = ENCODERS["whisper-base"]
COMMIT = "5" * 40
SETTINGS = {"config.json": b'{"model_type": "whisper"}', "preprocessor_config.json": b"{}"}
SAFE = bytes(range(256)) * 4000  # 1 MB
FILES = SETTINGS | {
    "model.safetensors": SAFE,
    "model.fp32-00001-of-00002.safetensors": b"another precision",
    "pytorch_model.bin": b"a pickle",
    "flax_model.msgpack": b"flax",
    "tf_model.h5": b"tensorflow",
    "README.md": b"# Model card",
}
NEEDED = {"config.json", "preprocessor_config.json", "model.safetensors"}


def is_large(name: str) -> bool:
    """Whether the hub stores the file in Git LFS."""
    return not name.endswith((".json", ".md"))


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Hub:
    """What a hub serves, how it fails, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    served: dict[str, bytes] = field(default_factory=dict)  # in place of the stated content
    status: int = 200
    breaks: int = 0  # connections of the weights that end half-way
    waits: bool = False  # half-way through the weights, for ever
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    address: str = ""
    commit: str = COMMIT

    def info(self) -> bytes:
        siblings = [
            {"rfilename": name, "size": len(content), "blobId": git_digest(content)}
            | ({"lfs": self.lfs(content)} if is_large(name) else {})
            for name, content in self.files.items()
        ]
        record = {"id": PINNED.hub, "modelId": PINNED.hub, "tags": [], "downloads": 0}
        return json.dumps(record | {"sha": self.commit, "siblings": siblings}).encode()

    def lfs(self, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        return {"sha256": digest, "size": len(content), "pointerSize": 134}

    @property
    def got(self) -> list[str]:
        """The files that were downloaded."""
        return [path.rpartition("/")[2] for path in self.asked if "/resolve/" in path]


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            hub.asked.append(self.path)
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            if hub.status != 200:
                self.send_response(hub.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            name = self.path.rpartition("/")[2]
            if self.path.startswith("/api/models/"):
                self.send_content(hub.info(), {}, body=body)
            elif "/resolve/" in self.path and name in hub.files:
                content = hub.files[name]
                digest = hashlib.sha256(content).hexdigest()
                etag = digest if is_large(name) else git_digest(content)
                headers = {
                    "ETag": f'"{etag}"',
                    "X-Repo-Commit": hub.commit,
                    "Accept-Ranges": "bytes",
                }
                self.send_content(hub.served.get(name, content), headers, body=body)
            else:
                self.send_error(404)

        def send_content(self, content: bytes, headers: dict[str, str], *, body: bool) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(asked[1]) if asked else 0
            if asked:
                hub.ranges.append(asked[0])
            self.send_response(206 if asked else 200)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content) - start))
            if asked:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.end_headers()
            if body:
                self.send_body(content[start:])

        def send_body(self, content: bytes) -> None:
            half = len(content) // 2
            large = len(content) > 100_000
            if large and (hub.breaks or hub.waits):
                self.wfile.write(content[:half])
                self.wfile.flush()
                if hub.breaks:
                    hub.breaks -= 1
                    self.close_connection = True
                    return
                while hub.waits:
                    time.sleep(0.01)
                return
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def hub() -> Iterator[Hub]:
    served = Hub()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler_of(served)))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        stack.callback(server.shutdown)
        served.address = f"http://127.0.0.1:{server.server_port}"
        yield served
        served.waits = False


@dataclass
class Machine:
    """A user's machine: its hub, and its folders of encoders and of Hugging Face."""

    hub: Hub
    folder: Path

    @property
    def encoders(self) -> Path:
        return self.folder / "encoders"

    def environment(self, **variables: str) -> dict[str, str]:
        own = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        own |= {"HF_ENDPOINT": self.hub.address, "HF_HOME": str(self.folder / "hf")}
        return own | {"SER_ENCODERS": str(self.encoders), "COLUMNS": "400"} | variables

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "benchmark", "fetch", *arguments]

    def fetch(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            check=False,
        )

    def refused(self, *arguments: str, **variables: str) -> str:
        """The one error line of a fetch that fails."""
        done = self.fetch(*arguments, **variables)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        return line


@pytest.fixture
def machine(hub: Hub, tmp_path: Path) -> Machine:
    return Machine(hub, tmp_path)


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_encoder_is_fetched_with_what_it_needs_and_nothing_else(machine: Machine) -> None:
    machine.hub.commit = PINNED.revision
    done = machine.fetch(PINNED.name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(machine.encoders / PINNED.name)]
    told = f"{PINNED.hub}, commit {PINNED.revision}: 1 MB in 3 files, licence {PINNED.licence}."
    assert told in done.stderr.splitlines()
    folder = machine.encoders / PINNED.name
    assert below(machine.encoders) == {
        f"{PINNED.name}/{name}" for name in (*NEEDED, "revision.txt")
    }
    assert all((folder / name).read_bytes() == FILES[name] for name in NEEDED)
    assert set(machine.hub.got) == NEEDED
    assert all(f"/{PINNED.revision}/" in path for path in machine.hub.asked if "resolve" in path)
    again = machine.fetch(PINNED.name, HF_ENDPOINT="http://127.0.0.1:9")
    assert again.returncode == 0
    assert "complete already; nothing to do" in again.stderr


def test_the_commit_is_stored_beside_the_weights(machine: Machine) -> None:
    machine.hub.commit = PINNED.revision
    machine.fetch(PINNED.name)
    stored = (machine.encoders / PINNED.name / "revision.txt").read_text()
    assert stored == f"{PINNED.hub} {PINNED.revision}\n"


def test_weights_are_pickles_only_where_there_is_nothing_else(machine: Machine) -> None:
    del machine.hub.files["model.safetensors"]
    assert machine.fetch(PINNED.name).returncode == 0
    assert set(machine.hub.got) == {*SETTINGS, "pytorch_model.bin"}


SHARDS = {
    "model-00001-of-00002.safetensors": SAFE,
    "model-00002-of-00002.safetensors": SAFE[::-1],
}


def index_of(*names: str) -> bytes:
    return json.dumps({"weight_map": {f"layer{i}": name for i, name in enumerate(names)}}).encode()


def test_weights_in_several_files_are_fetched_with_their_index(machine: Machine) -> None:
    del machine.hub.files["model.safetensors"]
    machine.hub.files |= SHARDS | {"model.safetensors.index.json": index_of(*SHARDS)}
    done = machine.fetch(PINNED.name)
    assert done.returncode == 0, done.stderr
    assert "2 MB in 5 files" in done.stderr
    assert set(machine.hub.got) == {*SETTINGS, *SHARDS, "model.safetensors.index.json"}
    again = machine.fetch(PINNED.name, HF_ENDPOINT="http://127.0.0.1:9")
    assert "complete already; nothing to do" in again.stderr
    (machine.encoders / PINNED.name / min(SHARDS)).unlink()
    assert "exists, but lacks" in machine.refused(PINNED.name)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (index_of(*SHARDS, "model-00003-of-00002.safetensors"), "names model-00003-of-00002"),
        (b"{", "model.safetensors.index.json is damaged"),
    ],
)
def test_a_repository_without_all_its_weights_is_refused(
    index: bytes, words: str, machine: Machine
) -> None:
    del machine.hub.files["model.safetensors"]
    machine.hub.files |= SHARDS | {"model.safetensors.index.json": index}
    assert words in machine.refused(PINNED.name)
    assert not (machine.encoders / PINNED.name).exists()


def test_without_a_folder_it_goes_to_the_cache_of_the_hub_where_features_find_it(
    machine: Machine,
) -> None:
    machine.hub.commit = PINNED.revision
    done = machine.fetch(PINNED.name, SER_ENCODERS="")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(machine.folder / "hf")
    assert below(folder) == NEEDED
    code = f"from benchmark.features.hidden_states import find; print(find({PINNED.name!r}, ''))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=machine.environment(SER_ENCODERS="", HF_HUB_OFFLINE="1"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == folder
    again = machine.fetch(PINNED.name, SER_ENCODERS="", HF_ENDPOINT="http://127.0.0.1:9")
    assert "complete already; nothing to do" in again.stderr


def test_another_folder_may_be_given(machine: Machine) -> None:
    other = machine.folder / "other"
    assert machine.fetch(PINNED.name, "--into", str(other)).returncode == 0
    assert below(other / PINNED.name) > NEEDED


def test_a_connection_that_breaks_is_taken_up_where_it_ended(machine: Machine) -> None:
    weights = machine.hub.files["model.safetensors"] = 24 * SAFE  # the hub's client writes 10 MB
    machine.hub.breaks = 1
    done = machine.fetch(PINNED.name)
    assert done.returncode == 0, done.stderr
    (taken_up,) = machine.hub.ranges
    assert 0 < int(taken_up.removeprefix("bytes=").removesuffix("-")) <= len(weights) // 2
    assert (machine.encoders / PINNED.name / "model.safetensors").read_bytes() == weights


@posix
@pytest.mark.parametrize(
    ("how", "cached"), [("SIGINT", True), ("SIGKILL", True), ("SIGKILL", False)]
)
def test_after_a_kill_the_same_command_fetches_what_is_missing(
    how: str, cached: bool, machine: Machine
) -> None:
    variables = {"SER_ENCODERS": ""} if cached else {}
    machine.hub.commit = PINNED.revision
    machine.hub.waits = True
    process = subprocess.Popen(
        machine.command(PINNED.name), env=machine.environment(**variables), stderr=subprocess.PIPE
    )
    wait_until(lambda: "model.safetensors" in machine.hub.got, 60)
    process.send_signal(signal.Signals[how])
    _, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors
    assert not (machine.encoders / PINNED.name).exists()
    machine.hub.waits = False
    machine.hub.asked.clear()
    done = machine.fetch(PINNED.name, **variables)
    assert done.returncode == 0, done.stderr
    assert machine.hub.got == ["model.safetensors"]
    assert (Path(done.stdout.strip()) / "model.safetensors").read_bytes() == SAFE


@pytest.mark.parametrize(("name", "cached"), [("config.json", False), ("model.safetensors", True)])
def test_another_content_than_the_hub_states_is_refused_and_removed(
    name: str, cached: bool, machine: Machine
) -> None:
    variables = {"SER_ENCODERS": ""} if cached else {}
    machine.hub.commit = PINNED.revision
    machine.hub.served[name] = FILES[name][:-1] + b"x"
    line = machine.refused(PINNED.name, **variables)
    assert f"{PINNED.hub}: {name} is not the published file" in line
    assert not list(machine.folder.rglob(name))
    machine.hub.served.clear()
    assert machine.fetch(PINNED.name, **variables).returncode == 0


@pytest.mark.parametrize("status", [401, 404, 500])
def test_an_answer_that_is_an_error_is_told_in_one_line(status: int, machine: Machine) -> None:
    machine.hub.status = status
    line = machine.refused(PINNED.name)
    assert f"{PINNED.hub}: the download failed ({status}" in line
    assert not (machine.encoders / PINNED.name).exists()


@pytest.mark.parametrize(
    "variables", [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}]
)
def test_without_the_hub_the_line_says_what_to_do(
    variables: dict[str, str], machine: Machine
) -> None:
    line = machine.refused(PINNED.name, **variables)
    assert f"{PINNED.hub}: the download failed (" in line
    assert "copy all files to a folder whisper-base" in line


def test_a_repository_without_weights_is_refused_before_any_download(machine: Machine) -> None:
    machine.hub.files = dict(SETTINGS)
    assert "has no model.safetensors at this commit" in machine.refused(PINNED.name)
    assert machine.hub.got == []


def test_a_full_disk_is_told_in_one_line(machine: Machine) -> None:
    pytest.importorskip("resource")
    code = (
        "import resource, signal, sys;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000));"
        "from benchmark.__main__ import main; sys.argv = ['benchmark', 'fetch', 'whisper-base'];"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=machine.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert f"error: {machine.encoders}: can't write there (File too large)" in done.stderr


def test_an_incomplete_folder_is_not_changed(machine: Machine) -> None:
    folder = machine.encoders / PINNED.name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("mine")
    assert "exists, but lacks" in machine.refused(PINNED.name)
    assert below(machine.encoders) == {f"{PINNED.name}/config.json"}


def test_a_misspelt_name_is_refused_with_the_nearest(machine: Machine) -> None:
    assert "Did you mean 'whisper-base'?" in machine.refused("whisper-bas")
