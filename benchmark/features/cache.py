"""The cache: one SQLite file for each feature recipe, written as the work goes on.

A row's key holds the digest of the recording's bytes, so an edited recording is never served stale
and a renamed one is not extracted anew; the file's name holds the digest of the recipe and of the
versions that matter. Several processes may share a file.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.engine.retry import ATTEMPT_S, is_locked, retry
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.features import FeatureSet

FORMAT = 1  # of the table and its keys
APPLICATION_ID = 0x53455246  # "SERF": marks the file as ours
HOME = "The features cache"

SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    key BLOB PRIMARY KEY, samples TEXT, duration_s REAL, sample_rate_hz INTEGER,
    reason TEXT, numbers BLOB, checksum INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one recording under one augmentation.

    Attributes
    ----------
    samples_digest : str
        Of the recording's samples; empty where they could not be decoded.
    duration_s, sample_rate_hz : float, int
        Of the recording itself, before anything was changed; 0 where unknown.
    reason : str
        Why it can't be used; empty where it can.
    numbers : bytes
        The features, float32 little-endian; empty where there are none.
    """

    samples_digest: str = ""
    duration_s: float = 0.0
    sample_rate_hz: int = 0
    reason: str = ""
    numbers: bytes = b""

    def checksum(self, key: bytes) -> int:
        """Return a checksum of all fields: SQLite itself notices no flipped bit within a value."""
        head = (self.samples_digest, self.duration_s, self.sample_rate_hz, self.reason)
        return zlib.crc32(self.numbers, zlib.crc32(repr(head).encode() + key))


def row_key(recording_digest: bytes, augmentation: str = "", seed: bytes = b"") -> bytes:
    """Return the key of a recording's row, 16 bytes; `seed` is that of the copy, if any."""
    parts = recording_digest + blake2b(augmentation.encode(), digest_size=16).digest() + seed
    return blake2b(parts, digest_size=16).digest()


def cache_name(feature_set: FeatureSet) -> str:
    """Return the file name that belongs to a recipe and to the versions that decide its numbers."""
    told = {"format": FORMAT, "recipe": feature_set.recipe(), "versions": _versions()}
    digest = blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9.-]', '_', feature_set.name)[-100:]}-{digest}.sqlite"


def _versions() -> dict[str, str]:
    """Return the versions that decide numbers: of decoder and resampler in full."""
    import soundfile

    return {
        "numpy": ".".join(version("numpy").split(".")[:2]),
        "soxr": version("soxr"),
        "libsndfile": soundfile.__libsndfile_version__,
    }


class Cache:
    """Rows of one feature recipe in one file.

    Raises
    ------
    BenchmarkError
        From any method, if the folder can't be written, the disk is full, or another process holds
        the file for more than a minute. A file that is damaged or not ours is moved aside first.
    """

    def __init__(self, folder: Path, feature_set: FeatureSet) -> None:
        self.path = folder / cache_name(feature_set)
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Cache:
        with self._refusals():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            retry(HOME, self._connect, is_locked)
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def write(self, rows: Iterable[tuple[bytes, Row]]) -> None:
        """Store rows, all or none; what is stored outlives this process, however it ends."""
        values = [
            (
                key,
                row.samples_digest,
                row.duration_s,
                row.sample_rate_hz,
                row.reason,
                row.numbers,
                row.checksum(key),
            )
            for key, row in rows
        ]
        with self._refusals():
            try:
                retry(HOME, lambda: self._insert(values), is_locked)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._set_aside()
                self._insert(values)

    def _insert(self, values: list[tuple[Any, ...]]) -> None:
        assert self._connection is not None
        with self._connection as transaction:
            transaction.execute("BEGIN IMMEDIATE")
            transaction.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)", values
            )

    def read(self, key: bytes) -> Row | None:
        """Return the row of a key; None where there is none, or none that is whole."""
        with self._refusals():
            try:
                found = retry(HOME, lambda: self._select(key), is_locked)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._set_aside()
                return None
        if found is None:
            return None
        row = Row(*found[:5])
        return row if row.checksum(key) == found[5] else None

    def _select(self, key: bytes) -> tuple[Any, ...] | None:
        assert self._connection is not None
        found: tuple[Any, ...] | None = self._connection.execute(
            "SELECT samples, duration_s, sample_rate_hz, reason, numbers, checksum "
            "FROM rows WHERE key = ?",
            (key,),
        ).fetchone()
        return found

    def _connect(self) -> None:
        try:
            self._open()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._set_aside()

    def _open(self) -> None:
        """Open the file, making it where it is missing; DatabaseError where it is not ours."""
        connection = sqlite3.connect(self.path, timeout=ATTEMPT_S, isolation_level=None)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; a power cut loses what the last seconds added.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        if tables and mark != APPLICATION_ID:
            connection.execute("ROLLBACK")
            raise sqlite3.DatabaseError("not a features cache")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in {0, FORMAT}:  # the first files said nothing of it
            connection.execute("ROLLBACK")
            raise BenchmarkError(
                f"{self.path}: a features cache of format {version}; this version reads format "
                f"{FORMAT}. Use the version that wrote it, or move the file away, which costs the "
                "time of the extraction."
            )
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute(SCHEMA)
        connection.execute("COMMIT")

    def _set_aside(self) -> None:
        """Move a damaged or foreign file out of the way, and begin a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        number = 1
        while (aside := self.path.with_suffix(f".damaged-{number}")).exists():
            number += 1
        self.path.rename(aside)
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        self._open()
        logging.getLogger(__name__).warning(
            "%s was damaged or no features cache: moved to %s, and begun anew.", self.path, aside
        )

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """Turn what the disk refuses into one line."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise BenchmarkError(
                f"{self.path}: the features cache can't be used ({error}). Make sure that its "
                "folder can be written, has free space, and that no other program holds the file; "
                "what was extracted so far is kept."
            ) from error
