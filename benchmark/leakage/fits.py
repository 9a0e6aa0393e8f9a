"""One fit of an experiment by its procedure: pure functions that workers run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark import models
from benchmark.data.splits import draw_splits
from benchmark.data.tables import IDENTITY, Table
from benchmark.engine.arrays import write_arrays
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS, score
from benchmark.features.recipe import Block
from benchmark.leakage.leaks import Procedure, Setting
from benchmark.models import MODELS, FitContext
from benchmark.study import Split, derive_seed, digest_of

VERSION = 2  # to be raised when code here changes a prediction

SMOTE_NEIGHBOURS = 5
"""As in the paper; fewer if an emotion has fewer clips."""

DECISIVE_LIBRARIES = ("numpy", "scikit-learn", "scipy")

Index = NDArray[np.intp]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Words = NDArray[np.str_]


@dataclass(frozen=True)
class StoredRows:
    """The folder of all clips and copies, and a digest of them: what a task receives."""

    folder: Path
    identity: str


@dataclass(frozen=True)
class FitPlan:
    """One fit to run.

    Attributes
    ----------
    model : str
    setting : Setting
    seed : int
        Of the fit.
    procedure : Procedure
        Its `settings` and `seed` have no effect on a single fit.
    split_seed : int
    test_size, outer_folds, n_folds : float, int or str or None, int or str
        Of the study: its test side or outer folds, and its inner folds.
    outer_fold : int
        The place of the tested one among the outer folds; 0 without outer folds.
    metric : str
        Metric for the selection of an epoch.
    """

    model: str
    setting: Setting
    seed: int
    procedure: Procedure
    split_seed: int
    test_size: float
    outer_folds: int | str | None
    n_folds: int | str
    outer_fold: int
    metric: str

    def key(self, rows: StoredRows) -> str:
        """Return a digest of everything that decides the result."""
        libraries = {name: version(name) for name in DECISIVE_LIBRARIES}
        model = MODELS[self.model]
        libraries |= MODELS.versions([self.model]) | METRICS.versions([self.metric])
        made = [VERSION, rows.identity, model.engine_version(), model.version, libraries]
        return digest_of([made, asdict(self)])


@dataclass(frozen=True)
class FitResult:
    """The predictions of a fit on its test rows.

    Attributes
    ----------
    rows : ndarray of int, shape (n_tested,)
        Index of the stored row; for a synthetic row, of the nearest row of its emotion.
    predicted : ndarray of int, shape (n_tested,)
        Index into the sorted emotions.
    n_trained : int
        Training rows.
    epochs : int
        The selected epoch; 0 if no epoch was selected.
    """

    rows: Index
    predicted: Index
    n_trained: int
    epochs: int = 0


@dataclass(frozen=True)
class Part:
    """Some rows.

    Attributes
    ----------
    index : ndarray of int, shape (n_rows,)
        Index of the stored row; for a synthetic row, of the nearest row of its emotion.
    values : ndarray of float32, shape (n_rows, n_features)
    synthetic : ndarray of bool, shape (n_rows,)
        Which rows come from SMOTE.
    """

    index: Index
    values: Floats
    synthetic: Bools

    def __getitem__(self, wanted: Bools) -> Part:
        return Part(self.index[wanted], self.values[wanted], self.synthetic[wanted])


@dataclass(frozen=True)
class Recordings:
    """All clips and copies in a worker."""

    frame: pd.DataFrame
    values: Floats
    shape: tuple[int, int] | None
    blocks: tuple[Block, ...] = ()

    @cached_property
    def emotions(self) -> Words:
        """The emotion of each row."""
        return np.asarray(self.frame["emotion"], dtype=np.str_)

    @property
    def originals(self) -> Bools:
        """Which rows are original clips, not copies."""
        return np.asarray(self.frame["augmentation"] == "", dtype=np.bool_)

    def part(self, wanted: Bools) -> Part:
        """Return some of the rows."""
        return Part(np.flatnonzero(wanted), self.values[wanted], np.zeros(wanted.sum(), np.bool_))


def store_rows(table: Table, samples: Words, folder: Path) -> StoredRows:
    """Write all clips and copies into a folder."""
    columns = {name: table.rows[name].to_numpy(dtype=np.str_) for name in IDENTITY}
    shape = np.array(table.shape or (), dtype=np.intp)
    arrays: dict[str, NDArray[Any]] = {
        "values": table.values, "samples": samples, "shape": shape, **columns,
        "block_names": np.array([block.name for block in table.blocks], dtype=np.str_),
        "block_widths": np.array([block.width for block in table.blocks], dtype=np.intp),
    }  # fmt: skip
    write_arrays(folder, arrays)
    return StoredRows(folder, digest_of([table.digest, list(map(str, samples))]))


@lru_cache(maxsize=2)
def load_rows(rows: StoredRows) -> Recordings:
    """Return the rows that `store_rows` wrote."""
    names = (*IDENTITY, "samples")
    frame = pd.DataFrame({name: np.load(rows.folder / f"{name}.npy") for name in names})
    shape = tuple(np.load(rows.folder / "shape.npy").tolist())
    values = np.load(rows.folder / "values.npy", mmap_mode="r")
    described = (
        np.load(rows.folder / f"block_{name}.npy").tolist() for name in ("names", "widths")
    )
    blocks = tuple(map(Block, *described))
    return Recordings(frame, values, (shape[0], shape[1]) if shape else None, blocks)


def run_fit(rows: StoredRows, plan: FitPlan) -> FitResult:
    """Return the test predictions of a fit."""
    recordings = load_rows(rows)
    train, fold, test = divide(recordings, plan)
    columns = _selected_columns(plan.procedure, train, test, recordings.emotions)
    train, test = (replace(part, values=part.values[:, columns]) for part in (train, test))
    pipeline = _pipeline(recordings, plan, np.concatenate([train.values, test.values]))
    if plan.procedure.epoch == "test":
        select = _network_epoch if MODELS[plan.model].by_epochs else _mlp_epoch
        predicted, epochs = select(pipeline, recordings, (train, fold), test, plan)
    else:
        genders = recordings.frame["gender"].to_numpy(dtype=np.str_)[train.index]
        context = FitContext(fold, genders, np.zeros(len(fold), np.bool_), {})
        labels = recordings.emotions[train.index]
        with warnings.catch_warnings(action="ignore"):  # hyperparameters come from the study
            fitted = MODELS[plan.model].fit(pipeline, train.values, labels, context)
        predicted, epochs = _predict(fitted, test.values), 0
    return FitResult(test.index, np.asarray(predicted, dtype=np.intp), len(train.index), epochs)


def divide(recordings: Recordings, plan: FitPlan) -> tuple[Part, Index, Part]:
    """Return the training rows, their inner folds, and the test rows.

    Raises
    ------
    BenchmarkError
        If the clips do not allow the split.
    """
    procedure = plan.procedure
    pool = recordings.part(recordings.originals | np.bool_(procedure.copies == "all"))
    if procedure.filled == "all":
        pool = oversampled(pool, recordings.emotions, derive_seed(plan.split_seed, "smote"))
    fold = _folds(pool, recordings, plan)
    tested = fold < 0
    train, fold = pool[~tested], fold[~tested]
    if procedure.copies == "training":
        train, fold = _with_copies(train, fold, recordings)
    if procedure.filled == "training":
        before = pd.Series(fold, index=train.index)
        train = oversampled(train, recordings.emotions, derive_seed(plan.split_seed, "smote"))
        fold = before[~before.index.duplicated()].loc[train.index].to_numpy(dtype=np.intp)
    return train, fold, pool[tested]


def _folds(pool: Part, recordings: Recordings, plan: FitPlan) -> Index:
    """Return the inner fold of each row, -1 for test rows."""
    frame, procedure = recordings.frame, plan.procedure
    if procedure.splits_rows:
        clips = frame.iloc[pool.index].reset_index(drop=True)
        clips = clips.assign(samples=np.arange(len(clips)).astype(str))
    else:
        clips = frame[recordings.originals]
    rule = Split(test_size=plan.test_size, folds=plan.outer_folds)
    splits = draw_splits(procedure.split, clips, rule, plan.n_folds, plan.split_seed)
    split = splits[plan.outer_fold]
    if procedure.splits_rows:
        return split.fold
    fold_of = dict(zip(clips["clip"], split.fold, strict=True))
    folds: Index = frame["clip"].iloc[pool.index].map(fold_of).to_numpy(dtype=np.intp)
    return folds


def _with_copies(train: Part, fold: Index, recordings: Recordings) -> tuple[Part, Index]:
    """Return training rows followed by the copies of their clips."""
    names = recordings.frame["clip"]
    recorded = ~train.synthetic
    fold_of = dict(zip(names.iloc[train.index[recorded]], fold[recorded], strict=True))
    copies = recordings.part(~recordings.originals & names.isin(fold_of).to_numpy())
    joined = Part(
        np.concatenate([train.index, copies.index]),
        np.concatenate([train.values, copies.values]),
        np.concatenate([train.synthetic, copies.synthetic]),
    )
    copied = names.iloc[copies.index].map(fold_of).to_numpy(dtype=np.intp)
    return joined, np.concatenate([fold, copied])


def oversampled(part: Part, emotions: Words, seed: int) -> Part:
    """Return rows followed by synthetic ones, until all emotions have as many.

    Raises
    ------
    BenchmarkError
        If an emotion has a single row.
    """
    from sklearn.metrics import pairwise_distances_argmin

    labels = emotions[part.index]
    names, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise BenchmarkError(
            f"the emotion {names[counts.argmin()]} has a single clip; SMOTE needs at least two. "
            "Remove the emotion from the study."
        )
    n_neighbours = min(SMOTE_NEIGHBOURS, int(counts.min()) - 1)
    values, index = [part.values], [part.index]
    for emotion, count in zip(names, counts, strict=True):
        if count == counts.max():
            continue
        alike = np.flatnonzero(labels == emotion)
        made = smote(part.values[alike], int(counts.max() - count), n_neighbours, seed)
        values.append(made)
        index.append(part.index[alike[pairwise_distances_argmin(made, part.values[alike])]])
    n_made = sum(map(len, values[1:]))
    return Part(
        np.concatenate(index),
        np.concatenate(values).astype(np.float32),
        np.concatenate([part.synthetic, np.ones(n_made, np.bool_)]),
    )


def smote(values: Floats, n_new: int, n_neighbours: int, seed: int) -> Floats:
    """Return synthetic rows between rows of a class and their nearest neighbours.

    SMOTE (Chawla et al. 2002, doi:10.1613/jair.953). It draws its random numbers in the order of
    ``imblearn.over_sampling.SMOTE`` and returns the same rows.

    Parameters
    ----------
    values : ndarray, shape (n_rows, n_features)
        All rows of the class.
    n_new, n_neighbours, seed : int

    Returns
    -------
    ndarray, shape (n_new, n_features)
    """
    from sklearn.neighbors import NearestNeighbors

    neighbours = NearestNeighbors(n_neighbors=n_neighbours + 1).fit(values)
    nearest = neighbours.kneighbors(values, return_distance=False)[:, 1:]
    rng = np.random.RandomState(seed)
    rows, columns = np.divmod(rng.randint(0, nearest.size, size=n_new), n_neighbours)
    steps = rng.uniform(size=n_new)[:, np.newaxis]
    made = values[rows] + steps * (values[nearest[rows, columns]] - values[rows])
    return np.asarray(made, dtype=values.dtype)


def _selected_columns(procedure: Procedure, train: Part, test: Part, emotions: Words) -> Index:
    """Return the indices of the features that the model uses."""
    columns = np.arange(train.values.shape[1])
    if procedure.selected == "none":
        return columns
    from sklearn.feature_selection import SelectKBest, f_classif

    parts = [train, test] if procedure.selected == "all" else [train]
    values = np.concatenate([part.values for part in parts]).astype(np.float64)
    labels = np.concatenate([emotions[part.index] for part in parts])
    with np.errstate(all="ignore"):  # F is undefined for a constant column
        selector = SelectKBest(f_classif, k=max(1, len(columns) // 2)).fit(values, labels)
    selected: Index = columns[selector.get_support()]
    return selected


def _pipeline(recordings: Recordings, plan: FitPlan, all_values: Floats) -> Any:
    """Return the unfitted pipeline, its scaler fitted on all rows if the procedure says so."""
    params = dict(plan.setting.params)
    if plan.setting.epochs and plan.procedure.epoch == "training":
        params["max_epochs"] = plan.setting.epochs
    # A model that decides without probabilities does not need the fits that calibrate them.
    model = MODELS[plan.model]
    engine = "scikit-learn" if model.labels_only else None
    shape, blocks = recordings.shape, recordings.blocks
    pipeline = model.build(params, plan.seed, engine=engine, shape=shape, blocks=blocks)
    if plan.procedure.scaled == "all":
        from sklearn.frozen import FrozenEstimator
        from sklearn.preprocessing import StandardScaler

        pipeline.steps = [
            (name, FrozenEstimator(step.fit(all_values)) if isinstance(step, StandardScaler)
             else step)
            for name, step in pipeline.steps
        ]  # fmt: skip
    return pipeline


def _predict(fitted: Any, values: Floats) -> Index:
    """Return the index of the predicted emotion of each row."""
    predicted: Index
    if hasattr(fitted, "predict_proba"):
        predicted = models.probabilities(fitted, values).argmax(axis=1)
    else:
        predicted = np.searchsorted(fitted.classes_, fitted.predict(values))
    return predicted


def _network_epoch(
    pipeline: Any,
    recordings: Recordings,
    training: tuple[Part, Index],
    test: Part,
    plan: FitPlan,
) -> tuple[Index, int]:
    """Return a network's test predictions at the epoch with the best test score."""
    train, fold = training
    values = np.concatenate([train.values, test.values])
    labels = recordings.emotions[np.concatenate([train.index, test.index])]
    tested = np.arange(len(labels)) >= len(fold)
    pipeline[-1].set_params(patience=pipeline[-1].max_epochs)
    folds = np.concatenate([fold, np.full(len(test.index), -1)])
    context = FitContext(folds, np.full(len(labels), "unknown"), tested, {})
    with warnings.catch_warnings(action="ignore"):  # hyperparameters come from the study
        fitted = MODELS[plan.model].fit(pipeline, values, labels, context)
    return _predict(fitted, test.values), int(fitted[-1].n_epochs_)


def _mlp_epoch(
    pipeline: Any,
    recordings: Recordings,
    training: tuple[Part, Index],
    test: Part,
    plan: FitPlan,
) -> tuple[Index, int]:
    """Return an MLP's test predictions at the epoch with the best test score.

    With one random generator for all epochs, `partial_fit` makes the same MLP as `fit`.
    """
    train, _ = training
    values, test_values = train.values, test.values.astype(np.float64)
    labels, test_labels = (recordings.emotions[part.index] for part in (train, test))
    names = np.unique(labels)
    for _, step in pipeline.steps[:-1]:
        fitted = step.fit(values, labels)
        values, test_values = fitted.transform(values), fitted.transform(test_values)
    classifier = pipeline[-1].set_params(random_state=np.random.RandomState(plan.seed))
    best_score, best, epoch = float("-inf"), np.zeros(len(test_labels), np.intp), 0
    for number in range(1, classifier.max_iter + 1):
        classifier.partial_fit(values, labels, classes=names)
        predicted = classifier.predict_proba(test_values).argmax(axis=1)
        reached = score(plan.metric, test_labels, names[predicted], list(names))
        if reached > best_score:
            best_score, best, epoch = reached, predicted, number
    return best, epoch


def score_of(result: FitResult, emotions: Words, names: Sequence[str], metric: str) -> float:
    """Return the test score of a fit.

    Parameters
    ----------
    result : FitResult
    emotions : ndarray of str, shape (n_stored_rows,)
        Of the stored rows.
    names : sequence of str
        The sorted emotions.
    metric : str
        A name in `evaluation.metrics.METRICS`.
    """
    return score(metric, emotions[result.rows], np.array(names)[result.predicted], names)
