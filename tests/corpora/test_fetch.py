"""Fetching, against a server on this machine: whole or nothing, and nowhere but the folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from benchmark.corpora import CORPORA, read_corpus
from benchmark.corpora import fetch as fetching
from benchmark.corpora.fetch import fetch
from benchmark.errors import BenchmarkError

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that serves bytes on this machine, perhaps fewer than it promises."""
    with contextlib.ExitStack() as stack:

        def start(content: bytes, status: int = 200, promised: int | None = None) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.send_response(status)
                    self.send_header("Content-Length", str(promised or len(content)))
                    self.end_headers()
                    self.wfile.write(content)

                def log_message(self, *_: object) -> None:
                    pass

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/archive.zip"

        yield start


def pack(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return content.getvalue()


def md5(content: bytes) -> str:
    return "md5:" + hashlib.md5(content).hexdigest()


WHOLE = pack(
    *((f"Actor_{name[-2:]}/{name}.wav", b"sound") for name in CORPORA["ravdess"].official_names)
)
CLIP = ("Actor_01/03-01-01-01-01-01-01.wav", b"sound")


def everything_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_fetched_corpus_is_complete_without_other_files(serve: Serve, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = fetch(
        "ravdess",
        tmp_path / "new",
        url=serve(WHOLE),
        digest=md5(WHOLE),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert folder == tmp_path / "new" / "ravdess"
    assert read_corpus("ravdess", folder).missing == ()
    assert (folder / CLIP[0]).read_bytes() == b"sound"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["ravdess"]
    assert seen[-1] == (len(WHOLE), len(WHOLE))


def test_a_complete_corpus_is_not_fetched_again(serve: Serve, tmp_path: Path) -> None:
    url = serve(WHOLE)
    fetch("ravdess", tmp_path, url=url, digest=md5(WHOLE))
    said: list[str] = []
    nowhere = "http://127.0.0.1:9/archive.zip"
    assert fetch("ravdess", tmp_path, url=nowhere, say=said.append) == tmp_path / "ravdess"
    assert said == [f"{tmp_path / 'ravdess'}: complete already; nothing to do."]


def test_an_incomplete_corpus_is_not_changed(tmp_path: Path) -> None:
    clip = tmp_path / "ravdess" / CLIP[0]
    clip.parent.mkdir(parents=True)
    clip.touch()
    with pytest.raises(BenchmarkError, match="incomplete: ravdess: 1 of 1440 clips; missing"):
        fetch("ravdess", tmp_path)
    assert clip.exists()


def test_an_empty_folder_is_filled(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "ravdess").mkdir()
    fetch("ravdess", tmp_path, url=serve(WHOLE), digest=md5(WHOLE))
    assert read_corpus("ravdess", tmp_path / "ravdess").missing == ()


def test_files_of_an_interrupted_fetch_are_removed(serve: Serve, tmp_path: Path) -> None:
    left = tmp_path / ".ravdess.partial" / "unpacked" / "Actor_01"
    left.mkdir(parents=True)
    (left / "half.wav").touch()
    (tmp_path / ".ravdess.partial" / "archive.zip").write_bytes(b"half")
    fetch("ravdess", tmp_path, url=serve(WHOLE), digest=md5(WHOLE))
    assert [path.name for path in tmp_path.iterdir()] == ["ravdess"]
    assert not list(tmp_path.rglob("half.wav"))


def test_an_interrupted_fetch_leaves_no_files(serve: Serve, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("ravdess", tmp_path, url=serve(WHOLE), digest=md5(WHOLE), progress=interrupt)
    assert everything_below(tmp_path) == set()


def test_two_fetches_into_one_folder_exclude_each_other(tmp_path: Path) -> None:
    partial = tmp_path / ".ravdess.partial"
    partial.mkdir()
    with (
        FileLock(partial / "lock"),
        pytest.raises(BenchmarkError, match="another fetch is writing"),
    ):
        fetch("ravdess", tmp_path)
    assert partial.exists()


def test_a_wrong_digest_is_refused(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError) as refusal:
        fetch("ravdess", tmp_path, url=serve(WHOLE))
    assert "not the published file" in str(refusal.value)
    assert md5(WHOLE).removeprefix("md5:") in str(refusal.value)
    assert CORPORA["ravdess"].archive.digest.removeprefix("md5:") in str(refusal.value)
    assert everything_below(tmp_path) == set()


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_error_of_the_server_is_reported(status: int, serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=rf"the download failed \({status} "):
        fetch("ravdess", tmp_path, url=serve(b"no", status))
    assert everything_below(tmp_path) == set()


def test_an_unreachable_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"127\.0\.0\.1:9/.*the download failed .*refused"):
        fetch("ravdess", tmp_path, url="http://127.0.0.1:9/archive.zip")
    assert everything_below(tmp_path) == set()


def test_an_incomplete_download_is_refused(serve: Serve, tmp_path: Path) -> None:
    url = serve(WHOLE[:1000], promised=len(WHOLE))
    with pytest.raises(BenchmarkError, match="the download failed"):
        fetch("ravdess", tmp_path, url=url, digest=md5(WHOLE))
    assert everything_below(tmp_path) == set()


def linked(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.create_system = 3
    member.external_attr = 0o120777 << 16
    return member


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("../outside.wav", b"x"),
        ("Actor_01/../../outside.wav", b"x"),
        ("/outside.wav", b"x"),
        ("C:/outside.wav", b"x"),
        ("C:outside.wav", b"x"),
        ("..\\outside.wav", b"x"),
        ("\\\\server\\outside.wav", b"x"),
        (linked("Actor_01"), b"/"),
        (linked("link.wav"), b"../outside.wav"),
    ],
)
def test_an_archive_with_paths_outside_its_folder_is_refused(
    name: str | zipfile.ZipInfo, data: bytes, serve: Serve, tmp_path: Path
) -> None:
    archive = pack(CLIP, (name, data), ("Actor_01/more.wav", b"x"))
    into = tmp_path / "deep" / "into"
    with pytest.raises(BenchmarkError, match="Nothing was unpacked"):
        fetch("ravdess", into, url=serve(archive), digest=md5(archive))
    assert everything_below(tmp_path) == {"deep", "deep/into"}


def test_an_archive_that_unpacks_to_too_much_is_refused(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "LARGEST_UNPACKED", 1_000_000)
    archive = pack(CLIP, ("zeros.wav", bytes(1_000_001)))
    with pytest.raises(BenchmarkError, match="at most 1,000,000 are"):
        fetch("ravdess", tmp_path, url=serve(archive), digest=md5(archive))
    assert everything_below(tmp_path) == set()


def test_an_archive_that_understates_its_size_is_refused(serve: Serve, tmp_path: Path) -> None:
    honest = pack(CLIP, ("zeros.wav", bytes(5_000_000)))
    lying = honest.replace((5_000_000).to_bytes(4, "little"), (5_000).to_bytes(4, "little"))
    assert lying != honest
    with pytest.raises(BenchmarkError, match="not a valid zip archive"):
        fetch("ravdess", tmp_path, url=serve(lying), digest=md5(lying))
    assert everything_below(tmp_path) == set()


@pytest.mark.parametrize("archive", [b"", b"<html>busy</html>", WHOLE[:-2000], WHOLE[5000:]])
def test_a_file_that_is_not_an_archive_is_refused(
    archive: bytes, serve: Serve, tmp_path: Path
) -> None:
    with pytest.raises(BenchmarkError, match="zip"):
        fetch("ravdess", tmp_path, url=serve(archive), digest=md5(archive))
    assert everything_below(tmp_path) == set()


def test_an_archive_of_something_else_is_refused(serve: Serve, tmp_path: Path) -> None:
    archive = pack(("readme.txt", b"hello"))
    with pytest.raises(BenchmarkError, match="the archive holds no clip of ravdess"):
        fetch("ravdess", tmp_path, url=serve(archive), digest=md5(archive))
    assert everything_below(tmp_path) == set()


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchmarkError, match=r"file: can't write there \(.*--into"):
        fetch("ravdess", tmp_path / "file")


def test_a_full_disk_is_reported_and_leaves_no_files(serve: Serve, tmp_path: Path) -> None:
    pytest.importorskip("resource")
    archive = pack(CLIP, ("zeros.wav", bytes(3_000_000)))
    code = (
        "import resource, signal, sys; from pathlib import Path;"
        "from benchmark.corpora.fetch import fetch;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000));"
        "fetch('ravdess', Path(sys.argv[1]), url=sys.argv[2], digest=sys.argv[3])"
    )
    command = [sys.executable, "-c", code, str(tmp_path), serve(archive), md5(archive)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "BenchmarkError" in ended.stderr
    assert "can't write there (File too large)" in ended.stderr
    assert everything_below(tmp_path) == set()


@pytest.mark.parametrize("name", [n for n, corpus in CORPORA.items() if not corpus.archive])
def test_a_corpus_that_cannot_be_fetched_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError) as refusal:
        fetch(name, tmp_path)
    assert CORPORA[name].how_to_get in str(refusal.value)
    assert "Corpora that can be fetched: ravdess" in str(refusal.value)


def test_an_unknown_corpus_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="Did you mean 'ravdess'"):
        fetch("ravdes", tmp_path)
