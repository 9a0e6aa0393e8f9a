"""Training arrays: stored in a folder once, mapped by every worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TrainingArrays:
    """A training table as workers read it.

    Attributes
    ----------
    values : ndarray of float32, shape (n_rows, n_features)
        Mapped from disk, so that all workers share one copy.
    emotions : ndarray of str, shape (n_rows,)
    fold : ndarray of int, shape (n_rows,)
        The inner fold in which the row's clip is validated.
    originals : ndarray of bool, shape (n_rows,)
        True for clips as recorded, False for augmented copies. Only originals are validated on.
    genders : ndarray of str, shape (n_rows,)
    corpora : ndarray of int, shape (n_rows,)
        Number of the row's corpus, from 0 on.
    clips : ndarray of int, shape (n_rows,)
        Equal for a clip and its copies.
    frames : ndarray of int, shape (2,) or (0,)
        n_frames and n_coefficients of features over time; empty for other features.
    block_names : ndarray of str, shape (n_blocks,)
    block_widths : ndarray of int, shape (n_blocks,)
        Names and widths of the blocks of features, in the order of columns; empty if unknown.
    apart : ndarray of int, shape (n_rows, n_columns)
        Numbers of the speaker and the sentence, of a protocol whose inner folds keep both apart:
        rows that share one of them with a validation row are not trained on. -1 where nothing is
        kept apart; no columns if the folds alone keep apart what the protocol asks for.
    """

    values: NDArray[np.float32]
    emotions: NDArray[np.str_]
    fold: NDArray[np.intp]
    originals: NDArray[np.bool_]
    genders: NDArray[np.str_]
    corpora: NDArray[np.intp]
    clips: NDArray[np.intp]
    frames: NDArray[np.intp]
    block_names: NDArray[np.str_]
    block_widths: NDArray[np.intp]
    apart: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int] | None:
        """``(n_frames, n_coefficients)`` of features over time."""
        return (int(self.frames[0]), int(self.frames[1])) if len(self.frames) else None

    @property
    def n_folds(self) -> int:
        """Number of inner folds."""
        return int(self.fold.max()) + 1

    def stop_fold(self, fold: int) -> int:
        """Return the fold used for early stopping while `fold` is validated."""
        return (fold + 1) % self.n_folds

    def training_rows(self, fold: int, stop: int | None = None) -> NDArray[np.bool_]:
        """Return the mask of training rows while `fold` is validated, augmented copies included.

        Of the early stopping fold `stop`, only originals are included.
        """
        rows: NDArray[np.bool_] = training_part(self.fold, self.apart, fold)
        rows &= (self.fold != stop) | self.originals
        return rows

    def validation_rows(self, fold: int) -> NDArray[np.bool_]:
        """Return the mask of validation rows: the originals of the fold."""
        rows: NDArray[np.bool_] = (self.fold == fold) & self.originals
        return rows

    @property
    def left_out_corpora(self) -> list[int]:
        """Numbers of the corpora without which each emotion still has training rows."""
        validated = np.unique(self.corpora[self.originals & (self.fold >= 0)])
        emotions = set(self.emotions)
        return [
            int(corpus)
            for corpus in validated
            if set(self.emotions[self.corpora != corpus]) == emotions
        ]

    def corpus_rows(self, corpus: int) -> NDArray[np.bool_]:
        """Return the mask of a corpus's rows that inner folds validate."""
        rows: NDArray[np.bool_] = (self.corpora == corpus) & self.originals & (self.fold >= 0)
        return rows


def training_part(
    fold: NDArray[np.intp], apart: NDArray[np.intp], number: int
) -> NDArray[np.bool_]:
    """Return the mask of rows outside a fold that share nothing with it that is kept apart.

    Parameters
    ----------
    fold : ndarray of int, shape (n_rows,)
    apart : ndarray of int, shape (n_rows, n_columns)
        See `TrainingArrays`.
    number : int
        The fold that is validated.
    """
    rows: NDArray[np.bool_] = fold != number
    for column in apart.T:
        held_out = column[(fold == number) & (column >= 0)]
        rows = rows & ~np.isin(column, held_out)
    return rows


@dataclass(frozen=True)
class StoredArrays:
    """Location of stored training arrays, passed to tasks instead of the arrays.

    Attributes
    ----------
    identity : str
        Digest of the table and its folds; it distinguishes the arrays of two runs.
    """

    folder: Path
    identity: str


def write_arrays(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays into a folder as .npy files, which can be mapped."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        partial = folder / f".{name}.partial.npy"
        np.save(partial, array)
        partial.replace(folder / f"{name}.npy")


def save_arrays(arrays: TrainingArrays, folder: Path) -> None:
    """Write training arrays into a folder."""
    write_arrays(folder, vars(arrays))


def load_arrays(arrays: StoredArrays | TrainingArrays) -> TrainingArrays:
    """Return training arrays; a worker of a cluster receives them loaded."""
    return _mapped(arrays) if isinstance(arrays, StoredArrays) else arrays


@lru_cache(maxsize=4)
def _mapped(arrays: StoredArrays) -> TrainingArrays:
    _, *names = (field.name for field in fields(TrainingArrays))
    values = np.load(arrays.folder / "values.npy", mmap_mode="r")
    return TrainingArrays(values, *(np.load(arrays.folder / f"{name}.npy") for name in names))
