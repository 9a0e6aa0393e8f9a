"""The tables of a split: train.csv and test.csv for people, and the same numbers for workers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError, unknown

IDENTITY = ("clip", "corpus", "speaker", "gender", "emotion", "augmentation")
"""The columns before the features; `augmentation` is empty for a clip as it was recorded."""

ROWS_AT_ONCE = 5000
"""Written in one go: a whole table would be held in memory once more."""

OWN = "table"
"""The corpus of a user's own table that names none."""


@dataclass(frozen=True)
class Table:
    """Rows of features that know which clip they come from.

    Attributes
    ----------
    rows : DataFrame, shape (n_rows, 6)
        The columns of `IDENTITY`.
    values : ndarray of float32, shape (n_rows, n_features)
    columns : tuple of str
        Names of the features.
    shape : tuple of int, or None
        (n_frames, n_coefficients) of features over time, which a row lists frame by frame.
    """

    rows: pd.DataFrame
    values: NDArray[np.float32]
    columns: tuple[str, ...]
    shape: tuple[int, int] | None = None

    @property
    def originals(self) -> NDArray[np.bool_]:
        """Which rows are clips as they were recorded, shape (n_rows,)."""
        return np.asarray(self.rows["augmentation"] == "", dtype=np.bool_)

    @cached_property
    def digest(self) -> str:
        """A digest of all identities, column names and numbers."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update("\0".join((*IDENTITY, *self.columns)).encode())
        for column in IDENTITY:
            digest.update("\0".join(self.rows[column]).encode())
        digest.update(np.ascontiguousarray(self.values).data)
        return digest.hexdigest()


def write_csv(table: Table, path: Path) -> None:
    """Write a table as CSV: the same table is the same bytes, each float32 reads back exactly."""
    import pyarrow as pa
    from pyarrow import csv

    names = (*IDENTITY, *table.columns)
    types = [*(pa.string() for _ in IDENTITY), *(pa.float32() for _ in table.columns)]
    schema = pa.schema(list(zip(names, types, strict=True)))
    partial = path.with_name(f".{path.name}.partial")
    options = csv.WriteOptions(quoting_style="needed")
    with csv.CSVWriter(str(partial), schema, write_options=options) as file:
        for first in range(0, max(1, len(table.rows)), ROWS_AT_ONCE):
            rows = table.rows.iloc[first : first + ROWS_AT_ONCE]
            values = table.values[first : first + ROWS_AT_ONCE]
            texts = [pa.array(rows[name].tolist(), pa.string()) for name in IDENTITY]
            numbers = [pa.array(column) for column in np.ascontiguousarray(values.T)]
            file.write_table(pa.Table.from_arrays([*texts, *numbers], schema=schema))
    partial.replace(path)


def read_csv(path: Path) -> Table:
    """Return the table of a CSV file: the columns of `IDENTITY`, then any number of features.

    `corpus`, `gender` and `augmentation` may be left out: a table from elsewhere seldom has them.

    Raises
    ------
    BenchmarkError
        If the file can't be read, lacks a column, or holds something that is no finite number.
    """
    try:
        frame = pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(IDENTITY, "str"))
        header = path.read_text(encoding="utf-8-sig").partition("\n")[0]
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: the table can't be read: {error}.") from error
    if header.startswith((",", '"",')):
        raise BenchmarkError(
            f"{path}: the first column has no name; it looks like the row numbers that pandas "
            "writes. Write the table with to_csv(index=False)."
        )
    for name in ("clip", "speaker", "emotion"):
        if name not in frame:
            raise unknown("column", name, [str(column) for column in frame], str(path))
        empty = frame.index[frame[name].str.strip() == ""]
        if len(empty):
            raise BenchmarkError(f"{path}: line {empty[0] + 2}: the {name} is empty.")
    for name, filler in (("corpus", OWN), ("gender", "unknown"), ("augmentation", "")):
        if name not in frame:
            frame[name] = filler
    columns = [str(column) for column in frame if column not in IDENTITY]
    if not columns or frame.empty:
        raise BenchmarkError(f"{path}: the table has no {'features' if columns == [] else 'rows'}.")
    return Table(frame[list(IDENTITY)], _numbers(frame[columns], path), tuple(columns))


def _numbers(frame: pd.DataFrame, path: Path) -> NDArray[np.float32]:
    """Return a frame's numbers, or say where one is none."""
    numbers: NDArray[np.float32] = frame.apply(pd.to_numeric, errors="coerce").to_numpy(np.float32)
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        row, column = wrong[0]
        raise BenchmarkError(
            f"{path}: line {row + 2}, column {frame.columns[column]}: "
            f"{str(frame.iloc[row, column])!r} is no finite number; {len(wrong)} such cells in all."
        )
    return numbers


@dataclass(frozen=True)
class TrainingArrays:
    """A training table as workers read it.

    Attributes
    ----------
    values : ndarray of float32, shape (n_rows, n_features)
        Mapped from disk, so that all workers share one copy.
    emotions : ndarray of str, shape (n_rows,)
    fold : ndarray of int, shape (n_rows,)
        The fold in which the row's clip is validated.
    originals : ndarray of bool, shape (n_rows,)
        Rows that may be validated on: no augmented copies.
    genders : ndarray of str, shape (n_rows,)
    clips : ndarray of int, shape (n_rows,)
        Equal for a clip and its copies.
    frames : ndarray of int, shape (2,) or (0,)
        n_frames and n_coefficients of features over time; empty for other features.
    """

    values: NDArray[np.float32]
    emotions: NDArray[np.str_]
    fold: NDArray[np.intp]
    originals: NDArray[np.bool_]
    genders: NDArray[np.str_]
    clips: NDArray[np.intp]
    frames: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int] | None:
        """``(n_frames, n_coefficients)`` of features over time."""
        return (int(self.frames[0]), int(self.frames[1])) if len(self.frames) else None

    @property
    def n_folds(self) -> int:
        """How many inner folds there are."""
        return int(self.fold.max()) + 1

    def stop_fold(self, fold: int) -> int:
        """Return the fold that decides when to stop learning while `fold` is validated."""
        return (fold + 1) % self.n_folds

    def training_rows(self, fold: int, stop: int | None = None) -> NDArray[np.bool_]:
        """Rows to learn from when `fold` is validated, copies included.

        Of a fold `stop`, which decides when to stop, only clips as they were recorded.
        """
        rows: NDArray[np.bool_] = (self.fold != fold) & ((self.fold != stop) | self.originals)
        return rows

    def validation_rows(self, fold: int) -> NDArray[np.bool_]:
        """Rows to validate on: the fold's clips as they were recorded."""
        rows: NDArray[np.bool_] = (self.fold == fold) & self.originals
        return rows


@dataclass(frozen=True)
class StoredArrays:
    """Where a training table's arrays lie: what a task is given in their place.

    Attributes
    ----------
    folder : Path
    identity : str
        A digest of the table and its folds: it makes a worker forget those of another run.
    """

    folder: Path
    identity: str


def store_arrays(table: Table, fold: NDArray[np.intp], folder: Path) -> None:
    """Write a training table and the fold of each row as `TrainingArrays` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {
        "values": table.values,
        "emotions": table.rows["emotion"].to_numpy(dtype=np.str_),
        "fold": fold,
        "originals": table.originals,
        "genders": table.rows["gender"].to_numpy(dtype=np.str_),
        "clips": pd.factorize(table.rows["clip"])[0],
        "frames": np.array(table.shape or (), dtype=np.intp),
    }
    for name, array in arrays.items():
        partial = folder / f".{name}.partial.npy"
        np.save(partial, array)
        partial.replace(folder / f"{name}.npy")


def load_arrays(arrays: StoredArrays | TrainingArrays) -> TrainingArrays:
    """Return a training table's arrays; on a cluster's worker they have come along already."""
    return _mapped(arrays) if isinstance(arrays, StoredArrays) else arrays


@lru_cache(maxsize=4)
def _mapped(arrays: StoredArrays) -> TrainingArrays:
    folder = arrays.folder
    names: Sequence[str] = ("emotions", "fold", "originals", "genders", "clips", "frames")
    values = np.load(folder / "values.npy", mmap_mode="r")
    return TrainingArrays(values, *(np.load(folder / f"{name}.npy") for name in names))
