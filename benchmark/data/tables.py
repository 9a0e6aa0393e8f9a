"""Tables of features: rows with identity, read from and written to CSV."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.corpora.segments import TIMES, named_segments
from benchmark.engine.arrays import TrainingArrays
from benchmark.engine.table_file import guarded, read_numbers
from benchmark.errors import BenchmarkError, unknown
from benchmark.features.recipe import Block

IDENTITY = ("clip", "corpus", "speaker", "gender", "emotion", "augmentation")
"""Columns before the features; `augmentation` is empty for an original clip."""

OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "clip": ("file", "path", "filename", "file_name", "filepath", "file_path", "audio"),
    "speaker": ("speaker_id", "actor"),
    "emotion": (
        *("truth", "true", "true_label", "y_true", "y_test"),
        *("actual", "actual_label", "actual_labels", "label", "labels"),
    ),
    "prediction": (
        *("predicted", "pred", "predicted_label", "y_pred"),
        *("predictions", "predicted_labels", "predicted_emotion"),
    ),
}
"""Names that common tools give to columns of a user's table, by ours, the first of which counts.
Nkululeko writes file, truth and predicted or predictions; notebooks Actual and Predicted Labels."""

ROWS_AT_ONCE = 5000
"""Rows written at a time, to bound memory."""

SHOWN = 8
"""Columns of a table that a message names."""

OWN = "table"
"""Corpus of a user's own table without a column `corpus`."""


@dataclass(frozen=True)
class Table:
    """Rows of features with the clips that they come from.

    Attributes
    ----------
    rows : DataFrame, shape (n_rows, 6 or more)
        The columns of `IDENTITY`, then further facts if they were asked for.
    values : ndarray of float32, shape (n_rows, n_features)
    columns : tuple of str
        Names of the features.
    shape : tuple of int, or None
        (n_frames, n_coefficients) of features over time, listed frame by frame.
    blocks : tuple of Block
        The blocks of the features, in the order of columns; empty for a user's own table.
    """

    rows: pd.DataFrame
    values: NDArray[np.float32]
    columns: tuple[str, ...]
    shape: tuple[int, int] | None = None
    blocks: tuple[Block, ...] = ()

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

    names = (*IDENTITY, *map(guarded, table.columns))
    types = [*(pa.string() for _ in IDENTITY), *(pa.float32() for _ in table.columns)]
    schema = pa.schema(list(zip(names, types, strict=True)))
    partial = path.with_name(f".{path.name}.partial")
    options = csv.WriteOptions(quoting_style="needed")
    with csv.CSVWriter(str(partial), schema, write_options=options) as file:
        for first in range(0, max(1, len(table.rows)), ROWS_AT_ONCE):
            rows = table.rows.iloc[first : first + ROWS_AT_ONCE]
            values = table.values[first : first + ROWS_AT_ONCE]
            texts = [pa.array(map(guarded, rows[name]), pa.string()) for name in IDENTITY]
            numbers = [pa.array(column) for column in np.ascontiguousarray(values.T)]
            file.write_table(pa.Table.from_arrays([*texts, *numbers], schema=schema))
    partial.replace(path)


def read_csv(path: Path) -> Table:
    """Return the table of a CSV or Parquet file: the columns of `IDENTITY`, and any features.

    The columns `corpus`, `gender` and `augmentation` are optional; `OTHER_NAMES` are known.

    Raises
    ------
    BenchmarkError
        If the file can't be read, lacks a column, or has a feature that is not a finite number.
    """
    table = read_clips(path)
    if not table.columns:
        raise BenchmarkError(f"{path}: the table has no features.")
    return table


def read_clips(
    path: Path, columns: Mapping[str, str] | None = None, *, facts: bool = False
) -> Table:
    """Return a table as `read_csv` does; it may have no features.

    Parameters
    ----------
    path : Path
    columns : mapping of str to str, or None
        The table's own names of columns of `IDENTITY`, by ours.
    facts : bool
        Whether further columns of text are allowed, as facts of a clip.

    Raises
    ------
    BenchmarkError
        As `read_csv`.
    """
    known = {name: (name, *OTHER_NAMES.get(name, ())) for name in (*IDENTITY, *TIMES)}
    for ours, theirs in (columns or {}).items():
        if ours not in IDENTITY:
            raise unknown("column", ours, IDENTITY, "--column")
        known[ours] = (theirs.lower().replace(" ", "_"),)
    frame = named_segments(path, read_numbers(path, known, facts=facts), "clip")
    for name in ("clip", "speaker", "emotion"):
        if name not in frame:
            raise _no_column(name, frame, path)
        empty = frame.index[frame[name] == ""]
        if len(empty):
            raise BenchmarkError(f"{path}: row {empty[0]}: the {name} is empty.")
    if frame.empty:
        raise BenchmarkError(f"{path}: the table has no rows.")
    fillers = {"corpus": OWN, "gender": "unknown", "augmentation": ""}
    rows = frame.assign(**{name: text for name, text in fillers.items() if name not in frame})
    features = tuple(name for name in frame if frame[name].dtype == np.float32)
    others = [name for name in frame if name not in (*IDENTITY, *features)]
    return Table(
        rows[[*IDENTITY, *others]].reset_index(drop=True),
        frame[list(features)].to_numpy(dtype=np.float32),
        features,
    )


def _no_column(name: str, frame: pd.DataFrame, path: Path) -> BenchmarkError:
    there = list(frame)
    shown = ", ".join(there[:SHOWN]) + (", ..." if len(there) > SHOWN else "")
    return BenchmarkError(
        f"{path}: no column {name!r} (or {', '.join(OTHER_NAMES[name])}). Columns: {shown}."
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
        block_names=np.array([block.name for block in table.blocks], dtype=np.str_),
        block_widths=np.array([block.width for block in table.blocks], dtype=np.intp),
        apart=np.empty((len(fold), 0), dtype=np.intp) if apart is None else apart,
    )
