"""The features cache: one SQLite file for each recipe, shared by processes.

The key of a row contains the digest of the recording, so that an edited recording is computed anew
and a renamed one is not. The file name contains the digest of the recipe and of the versions of the
libraries that decide its numbers.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.engine.retry import ATTEMPT_S, is_locked, retry
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.features import FeatureSet

T = TypeVar("T")

FORMAT = 1  # version of the table and its keys
APPLICATION_ID = 0x53455246  # "SERF": identifies a features cache
NAME = "The features cache"
KEYS_AT_ONCE = 500  # SQLite takes 999 parameters at least

SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    key BLOB PRIMARY KEY, samples TEXT, duration_s REAL, sample_rate_hz INTEGER,
    reason TEXT, numbers BLOB, checksum INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Cached facts and features of one recording under one augmentation.

    Attributes
    ----------
    samples_digest : str
        Digest of the recording's samples; empty if they can't be decoded.
    duration_s, sample_rate_hz : float, int
        Of the recording before any processing; 0 if unknown.
    reason : str
        Why it can't be used; empty if it can.
    numbers : bytes
        Features, float32 little-endian; empty for an unusable recording.
    """

    samples_digest: str = ""
    duration_s: float = 0.0
    sample_rate_hz: int = 0
    reason: str = ""
    numbers: bytes = b""

    def checksum(self, key: bytes) -> int:
        """Return a checksum of all fields; SQLite does not detect flipped bits in values."""
        *head, numbers = astuple(self)
        return zlib.crc32(numbers, zlib.crc32(repr(tuple(head)).encode() + key))


def row_key(recording_digest: bytes, augmentation: str = "", seed: bytes = b"") -> bytes:
    """Return the key of a row, 16 bytes; `seed` is that of a random augmentation."""
    parts = recording_digest + blake2b(augmentation.encode(), digest_size=16).digest() + seed
    return blake2b(parts, digest_size=16).digest()


def cache_name(feature_set: FeatureSet) -> str:
    """Return the file name of a recipe with the current versions of the libraries."""
    content = {"format": FORMAT, "recipe": feature_set.recipe(), "versions": _versions()}
    digest = blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9.-]', '_', feature_set.name)[-100:]}-{digest}.sqlite"


def _versions() -> dict[str, str]:
    """Return the versions of the libraries that decide numbers."""
    import soundfile

    return {
        "numpy": ".".join(version("numpy").split(".")[:2]),
        "soxr": version("soxr"),
        "libsndfile": soundfile.__libsndfile_version__,
    }


class Cache:
    """Cached rows of one feature set, a context manager.

    A corrupt or foreign file is renamed and replaced by an empty one.

    Raises
    ------
    BenchmarkError
        From any method, if the folder can't be written, the disk is full, or another process locks
        the file for more than a minute.
    """

    def __init__(self, folder: Path, feature_set: FeatureSet) -> None:
        self.path = folder / cache_name(feature_set)
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Cache:
        with self._disk_errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._attempt(self._open)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def write(self, rows: Iterable[tuple[bytes, Row]]) -> None:
        """Store rows in one transaction; they outlive a killed process."""
        values = [(key, *astuple(row), row.checksum(key)) for key, row in rows]
        self._attempt(lambda: self._insert(values))

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Row]:
        """Return the rows of keys, without those that are missing, corrupt, or hold only a reason.

        Earlier versions stored reasons. A later one, or an extra, may be able to use the recording.
        """
        found: dict[bytes, Row] = {}
        for first in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[first : first + KEYS_AT_ONCE]
            for key, *values, checksum in self._attempt(partial(self._select, some)):
                row = Row(*values)
                if row.checksum(key) == checksum and not row.reason:
                    found[key] = row
        return found

    def _attempt(self, call: Callable[[], T]) -> T:
        """Return the result of a call, repeated while the file is locked or if it is replaced."""
        with self._disk_errors():
            try:
                return retry(NAME, call, is_locked)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._replace_file()
                return call()

    def _insert(self, values: list[tuple[Any, ...]]) -> None:
        assert self._connection is not None
        with self._connection as transaction:
            transaction.execute("BEGIN IMMEDIATE")
            transaction.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)", values
            )

    def _select(self, keys: Sequence[bytes]) -> list[tuple[Any, ...]]:
        assert self._connection is not None
        marks = ", ".join("?" * len(keys))
        return self._connection.execute(
            "SELECT key, samples, duration_s, sample_rate_hz, reason, numbers, checksum "
            f"FROM rows WHERE key IN ({marks})",
            keys,
        ).fetchall()

    def _open(self) -> None:
        """Open the file, created if it is missing; DatabaseError if it is not a features cache."""
        self._close()
        connection = sqlite3.connect(self.path, timeout=ATTEMPT_S, isolation_level=None)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; a power cut loses the rows of the last seconds.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        if tables and mark != APPLICATION_ID:
            connection.execute("ROLLBACK")
            raise sqlite3.DatabaseError("not a features cache")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in {0, FORMAT}:  # 0: a new file, or one of the first releases
            connection.execute("ROLLBACK")
            raise BenchmarkError(
                f"{self.path}: a features cache of format {version}; this version reads format "
                f"{FORMAT}. Use the version that wrote it, or move the file away; the features are "
                "then extracted again."
            )
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute(SCHEMA)
        connection.execute("COMMIT")

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _replace_file(self) -> None:
        """Rename a corrupt or foreign file, and open a new one."""
        self._close()
        number = 1
        while (renamed := self.path.with_suffix(f".damaged-{number}")).exists():
            number += 1
        self.path.rename(renamed)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self._open()
        logging.getLogger(__name__).warning(
            "%s was corrupt or not a features cache: renamed to %s and replaced.",
            self.path,
            renamed,
        )

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Turn an error of SQLite or the file system into a message for the user."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise BenchmarkError(
                f"{self.path}: the features cache can't be used ({error}). Make sure that its "
                "folder is writable and has free space, and that no other program locks the file. "
                "The rows extracted so far are cached."
            ) from error
