"""Tables of features: rows with identity, read from and written to CSV."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.engine.arrays import TrainingArrays
from benchmark.engine.table_file import read_numbers
from benchmark.errors import BenchmarkError, unknown

IDENTITY = ("clip", "corpus", "speaker", "gender", "emotion", "augmentation")
"""Columns before the features; `augmentation` is empty for an original clip."""

ROWS_AT_ONCE = 5000
"""Rows written at a time, to bound memory."""

OWN = "table"
"""Corpus of a user's own table without a column `corpus`."""


@dataclass(frozen=True)
class Table:
    """Rows of features with the clips that they come from.

    Attributes
    ----------
    rows : DataFrame, shape (n_rows, 6)
        The columns of `IDENTITY`.
    values : ndarray of float32, shape (n_rows, n_features)
    columns : tuple of str
        Names of the features.
    shape : tuple of int, or None
        (n_frames, n_coefficients) of features over time, listed frame by frame.
    """

    rows: pd.DataFrame
    values: NDArray[np.float32]
    columns: tuple[str, ...]
    shape: tuple[int, int] | None = None

    @property
    def originals(self) -> NDArray[np.bool_]:
        """Which rows are original clips, shape (n_rows,)."""
        return np.asarray(self.rows["augmentation"] == "", dtype=np.bool_)

    @cached_property
    def digest(self) -> str:
        """Digest of all identities, column names and values."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update("\0".join((*IDENTITY, *self.columns)).encode())
        for column in IDENTITY:
            digest.update("\0".join(self.rows[column]).encode())
        digest.update(np.ascontiguousarray(self.values).data)
        return digest.hexdigest()


def write_csv(table: Table, path: Path) -> None:
    """Write a table as CSV; equal tables give equal bytes, and each float32 reads back exactly."""
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
    """Return the table of a CSV or Parquet file: the columns of `IDENTITY`, and any features.

    The columns `corpus`, `gender` and `augmentation` are optional.

    Raises
    ------
    BenchmarkError
        If the file can't be read, lacks a column, or has a feature that is not a finite number.
    """
    frame = read_numbers(path, IDENTITY)
    if "" in frame:
        raise BenchmarkError(
            f"{path}: a column has no name; it looks like the row numbers that pandas writes. "
            "Write the table with to_csv(index=False)."
        )
    for name in ("clip", "speaker", "emotion"):
        if name not in frame:
            raise unknown("column", name, list(frame), str(path))
        empty = frame.index[frame[name] == ""]
        if len(empty):
            raise BenchmarkError(f"{path}: row {empty[0]}: the {name} is empty.")
    columns = tuple(column for column in frame if column not in IDENTITY)
    if not columns or frame.empty:
        raise BenchmarkError(f"{path}: the table has no {'rows' if columns else 'features'}.")
    fillers = {"corpus": OWN, "gender": "unknown", "augmentation": ""}
    rows = frame.assign(**{name: text for name, text in fillers.items() if name not in frame})
    return Table(
        rows[list(IDENTITY)].reset_index(drop=True),
        frame[list(columns)].to_numpy(dtype=np.float32),
        columns,
    )


def training_arrays(
    table: Table, fold: NDArray[np.intp], apart: NDArray[np.intp] | None = None
) -> TrainingArrays:
    """Return the arrays of a training table and its inner folds, for workers."""
    return TrainingArrays(
        values=table.values,
        emotions=table.rows["emotion"].to_numpy(dtype=np.str_),
        fold=fold,
        originals=table.originals,
        genders=table.rows["gender"].to_numpy(dtype=np.str_),
        corpora=pd.factorize(table.rows["corpus"], sort=True)[0],
        clips=pd.factorize(table.rows["clip"])[0],
        frames=np.array(table.shape or (), dtype=np.intp),
        apart=np.empty((len(fold), 0), dtype=np.intp) if apart is None else apart,
    )
