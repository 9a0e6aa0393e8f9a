"""The cache: never stale, never wrong, shared by processes, plain about what the disk refuses."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.features import FEATURE_SETS
from benchmark.features.cache import Cache, Row, cache_name, row_key
from tests.support.platforms import posix

FEATURES = FEATURE_SETS["mfcc-stats"]
ROW = Row("digest", 1.25, 48_000, "", bytes(range(240)))
KEY = row_key(b"recording")


def stored(folder: Path, keys: list[bytes], row: Row = ROW) -> Path:
    """Write one row under several keys and return the cache's file."""
    with Cache(folder, FEATURES) as cache:
        cache.write([(key, row) for key in keys])
    return cache.path


def read(folder: Path, key: bytes = KEY) -> Row | None:
    """Return a key's row from a cache that is opened anew."""
    with Cache(folder, FEATURES) as cache:
        return cache.read([key]).get(key)


def test_a_row_comes_back_as_it_was_written(tmp_path: Path) -> None:
    stored(tmp_path, [KEY])
    assert read(tmp_path) == ROW


def test_why_a_recording_could_not_be_used_is_asked_again(tmp_path: Path) -> None:
    stored(tmp_path, [KEY], Row(reason="not audio"))
    assert read(tmp_path) is None


def test_a_row_that_was_never_written_is_not_there(tmp_path: Path) -> None:
    stored(tmp_path, [KEY])
    assert read(tmp_path, row_key(b"another recording")) is None


def test_keys_tell_recordings_augmentations_and_seeds_apart() -> None:
    keys = [
        row_key(recording, augmentation, seed)
        for recording in (b"a", b"b")
        for augmentation in ("", "noise=0.03")
        for seed in (b"", b"1", b"2")
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "change",
    [{"version": 99}, {"trim_top_db": 30.0}, {"sample_rate_hz": 16_000}, {"columns": ("one",)}],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_recipe_has_a_cache_of_its_own(change: dict) -> None:
    assert cache_name(dataclasses.replace(FEATURES, **change)) != cache_name(FEATURES)


def test_a_row_with_a_flipped_bit_is_not_served(tmp_path: Path) -> None:
    path = stored(tmp_path, [KEY])
    content = bytearray(path.read_bytes())
    content[content.index(ROW.numbers) + 100] ^= 1
    path.write_bytes(content)
    assert read(tmp_path) is None
    stored(tmp_path, [KEY])
    assert read(tmp_path) == ROW


def foreign_database(path: Path) -> None:
    """Write somebody else's SQLite file."""
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows (key BLOB, numbers BLOB)")
    connection.close()


DAMAGES = {
    "text": lambda path: path.write_text("no database at all\n" * 100),
    "foreign database": foreign_database,
    "first page overwritten": lambda path: path.write_bytes(
        b"\xff" * 4096 + path.read_bytes()[4096:]
    ),
    "half of it": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "all but the first page overwritten": lambda path: path.write_bytes(
        path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096)
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_moved_aside_and_work_goes_on(tmp_path: Path, damage: str) -> None:
    path = tmp_path / cache_name(FEATURES)
    keys = [row_key(bytes([number])) for number in range(100)]
    if_whole = {ROW, None}
    DAMAGES[damage](stored(tmp_path / "sound", keys).replace(path))
    with Cache(tmp_path, FEATURES) as cache:
        found = cache.read(keys)
        assert {found.get(key) for key in keys} <= if_whole
        cache.write([(key, ROW) for key in keys])
    assert {read(tmp_path, key) for key in keys} == {ROW}
    assert len(list(tmp_path.glob("*.damaged-1"))) == 1


def test_a_cache_of_another_format_is_refused_and_stays_where_it_is(tmp_path: Path) -> None:
    path = stored(tmp_path, [KEY])
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(BenchmarkError, match=r"format 99; this version reads format 1\. .*move"):
        read(tmp_path)
    assert path.exists()


def test_a_cache_that_says_nothing_of_its_format_is_of_the_first(tmp_path: Path) -> None:
    with sqlite3.connect(stored(tmp_path, [KEY])) as connection:
        connection.execute("PRAGMA user_version = 0")
    connection.close()
    assert read(tmp_path) == ROW


@pytest.mark.parametrize("content", [b"", b"S"])
def test_a_file_that_was_hardly_begun_becomes_a_cache(tmp_path: Path, content: bytes) -> None:
    (tmp_path / cache_name(FEATURES)).write_bytes(content)
    assert read(tmp_path) is None
    stored(tmp_path, [KEY])
    assert read(tmp_path) == ROW


def write_many(folder: Path, first: int) -> None:
    """Write 200 rows, ten at a time: what one of two processes does."""
    with Cache(folder, FEATURES) as cache:
        for number in range(first, first + 200, 10):
            keys = [row_key(str(number + n).encode()) for n in range(10)]
            cache.write([(key, ROW) for key in keys])


def test_processes_share_a_cache_that_none_has_made_yet(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_many, args=(tmp_path, 100 * n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert {read(tmp_path, row_key(str(number).encode())) for number in range(500)} == {ROW}
    assert list(tmp_path.glob("*damaged*")) == []


def write_and_die(folder: Path) -> None:
    """Write two rows, then die without closing anything."""
    cache = Cache(folder, FEATURES).__enter__()
    cache.write([(KEY, ROW)])
    os.kill(os.getpid(), signal.SIGKILL)


@posix
def test_what_a_killed_process_wrote_is_there(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert read(tmp_path) == ROW


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BenchmarkError, match="features cache can't be used") as refusal:
        read(tmp_path / "file" / "cache")
    assert "\n" not in str(refusal.value)


FILL_UP = """
import resource, sys
from pathlib import Path
from benchmark.errors import BenchmarkError
from benchmark.features import FEATURE_SETS
from benchmark.features.cache import Cache, Row, row_key
ROW = Row("digest", 1.25, 48_000, "", bytes(range(240)))
with Cache(Path(sys.argv[1]), FEATURE_SETS["mfcc-stats"]) as cache:
    cache.write([(row_key(b"recording"), ROW)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        for number in range(100_000):
            cache.write([(row_key(str(number).encode()), ROW)])
    except BenchmarkError as error:
        print(error)
"""


@posix
def test_a_disk_without_space_is_refused_and_what_is_finished_is_kept(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", FILL_UP, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert "features cache can't be used" in shown.stdout
    assert shown.stdout.count("\n") == 1
    assert read(tmp_path) == ROW
    assert read(tmp_path, row_key(b"10")) == ROW
