"""The two tables of a split, train.csv and test.csv, with the inner folds of the training side."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.record import FoldRecord, SideRecord, SplitRecord
from benchmark.data.splits import LeakError, Split
from benchmark.data.tables import Table, training_arrays, write_csv
from benchmark.engine.arrays import StoredArrays, load_arrays, save_arrays, training_part
from benchmark.errors import BenchmarkError
from benchmark.study import digest_of


@dataclass(frozen=True)
class SplitTables:
    """The tables of one split.

    Attributes
    ----------
    split : Split
    train, test : Table
    fold : ndarray of int, shape (n_train_rows,)
        The inner fold in which each row's clip is validated.
    folder : Path
        Where train.csv and test.csv lie, and the workers' arrays in ``arrays``.
    apart : ndarray of int, shape (n_train_rows, n_columns), or None
        What the inner folds keep apart beside the folds themselves, see `TrainingArrays`.
    conditions : mapping of str to Table
        By condition, the test clips as measured under it.
    """

    split: Split
    train: Table
    test: Table
    fold: NDArray[np.intp]
    folder: Path
    apart: NDArray[np.intp] | None = None
    conditions: Mapping[str, Table] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the split in a study."""
        return self.split.name

    @property
    def identity(self) -> dict[str, str]:
        """Columns of its rows in a result: protocol, and part if the protocol has several."""
        part = self.split.part
        return {"protocol": self.split.protocol, **({"part": part} if part else {})}

    @property
    def emotions(self) -> list[str]:
        """The emotions that its clips have, sorted."""
        return sorted(set(self.train.rows["emotion"]))

    @property
    def majority(self) -> str:
        """The most frequent emotion of the clips on both sides, the first by name of equals."""
        rows = pd.concat([self.train.rows[self.train.originals], self.test.rows])
        return str(rows["emotion"].value_counts(sort=False).sort_index().idxmax())

    @property
    def record(self) -> SplitRecord:
        """The split as a result records it."""
        originals, speakers = self.train.originals, self.train.rows["speaker"]
        apart = np.empty((len(originals), 0), np.intp) if self.apart is None else self.apart
        held_out = [(self.fold == number) & originals for number in range(self.split.n_folds)]
        return SplitRecord(
            train=_side(self.train),
            test=_side(self.test),
            folds=tuple(
                FoldRecord(
                    train_clips=int((originals & training_part(self.fold, apart, number)).sum()),
                    validation_clips=int(rows.sum()),
                    validation_speakers=tuple(sorted(set(speakers[rows]))),
                )
                for number, rows in enumerate(held_out)
            ),
        )

    @property
    def arrays(self) -> StoredArrays:
        """The workers' arrays."""
        return StoredArrays(self.folder / "arrays", self.digest)

    @property
    def digest(self) -> str:
        """A digest of all that is learned from: the training table and its folds."""
        digest = hashlib.blake2b(self.train.digest.encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.fold, dtype=np.int64).tobytes())
        if self.apart is not None:
            digest.update(np.ascontiguousarray(self.apart, dtype=np.int64).tobytes())
        return digest.hexdigest()

    @property
    def clips_digest(self) -> str:
        """A digest of the clips, their emotions, sides and folds, whatever is measured of them."""
        originals = self.train.originals
        folds = self.fold[originals].tolist()
        sides = ((self.train.rows[originals], folds), (self.test.rows, [-1] * len(self.test.rows)))
        return digest_of(
            sorted(
                (clip, emotion, fold)
                for rows, fold_of in sides
                for clip, emotion, fold in zip(rows["clip"], rows["emotion"], fold_of, strict=True)
            )
        )


def _side(table: Table) -> SideRecord:
    return SideRecord(
        rows=len(table.rows),
        clips=int(table.rows["clip"].nunique()),
        speakers=tuple(sorted(set(table.rows["speaker"]))),
        digest=table.digest,
    )


def write_tables(tables: SplitTables) -> SplitTables:
    """Check a split's tables once more as they are about to be used, and write them."""
    if not tables.test.originals.all():
        raise LeakError(f"protocol {tables.name}: the test table holds augmented rows.")
    shared = set(tables.train.rows["clip"]) & set(tables.test.rows["clip"])
    if shared:
        raise LeakError(f"protocol {tables.name}: {min(shared)} is in both tables.")
    by_clip = pd.Series(tables.fold).groupby(tables.train.rows["clip"].to_numpy()).nunique()
    if (by_clip > 1).any():
        raise LeakError(f"protocol {tables.name}: copies of {by_clip.idxmax()} are in two folds.")
    try:
        arrays = training_arrays(tables.train, tables.fold, tables.apart)
        save_arrays(arrays, tables.arrays.folder)
        write_csv(tables.train, tables.folder / "train.csv")
        write_csv(tables.test, tables.folder / "test.csv")
    except OSError as error:
        raise BenchmarkError(
            f"{tables.folder}: the tables can't be written ({error.strerror or error}). "
            "Features stay cached; fix this and run the same command again."
        ) from error
    # The tables of all protocols need not be in memory together.
    values = load_arrays(tables.arrays).values
    return replace(tables, train=replace(tables.train, values=values))
