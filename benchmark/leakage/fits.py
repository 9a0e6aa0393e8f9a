"""One fit of one experiment, as its conduct has it: what workers do; pure."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark import models
from benchmark.data.splits import draw_split
from benchmark.data.tables import IDENTITY, Table
from benchmark.engine.arrays import write_arrays
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import score
from benchmark.leakage.leaks import Conduct, Setting
from benchmark.models import MODELS, Facts
from benchmark.study import derive_seed, digest_of

VERSION = 1  # of whatever here decides a prediction; raised when that changes

NEIGHBOURS = 5
"""Of SMOTE, as its authors have it; fewer where an emotion has no more clips."""

DECISIVE_LIBRARIES = ("imbalanced-learn", "numpy", "scikit-learn", "scipy")

Places = NDArray[np.intp]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Words = NDArray[np.str_]


@dataclass(frozen=True)
class StoredRows:
    """Where all clips and all copies lie: what a task is given in their place.

    Attributes
    ----------
    folder : Path
    identity : str
        A digest of them.
    """

    folder: Path
    identity: str


@dataclass(frozen=True)
class Order:
    """One fit to be done.

    Attributes
    ----------
    model : str
    setting : Setting
    seed : int
        Of the fit.
    conduct : Conduct
        Who chooses settings and seed is not looked at.
    draw_seed : int
        Of the split.
    test_size, n_folds : float, int
        Of the study.
    metric : str
        By which an epoch is chosen.
    """

    model: str
    setting: Setting
    seed: int
    conduct: Conduct
    draw_seed: int
    test_size: float
    n_folds: int
    metric: str

    def key(self, rows: StoredRows) -> str:
        """Return a digest of all that decides the outcome."""
        libraries = {name: version(name) for name in DECISIVE_LIBRARIES}
        kind = MODELS[self.model]
        made = [VERSION, rows.identity, models.engine(self.model), kind.version, libraries]
        return digest_of([made, asdict(self)])


@dataclass(frozen=True)
class Answered:
    """What a fit says of its test rows.

    Attributes
    ----------
    rows : ndarray of int, shape (n_tested,)
        The stored row that was tested; of one that SMOTE made, the nearest of its emotion.
    predicted : ndarray of int, shape (n_tested,)
        Positions among the sorted emotions.
    trained : int
        How many rows were learned from.
    epochs : int
        The epoch that was kept, where it was chosen; else 0.
    """

    rows: Places
    predicted: Places
    trained: int
    epochs: int = 0


@dataclass(frozen=True)
class Part:
    """Rows of one side, or of both.

    Attributes
    ----------
    places : ndarray of int, shape (n_rows,)
        The stored row of each; of one that SMOTE made, the nearest of its emotion.
    values : ndarray of float32, shape (n_rows, n_features)
    made : ndarray of bool, shape (n_rows,)
        Which of them SMOTE made.
    """

    places: Places
    values: Floats
    made: Bools

    def __getitem__(self, wanted: Bools) -> Part:
        return Part(self.places[wanted], self.values[wanted], self.made[wanted])


@dataclass(frozen=True)
class Recordings:
    """All clips and copies, as a worker holds them."""

    frame: pd.DataFrame
    values: Floats
    shape: tuple[int, int] | None
    emotions: Words = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "emotions", self.frame["emotion"].to_numpy(dtype=np.str_))

    @property
    def originals(self) -> Bools:
        """Which rows are clips as they were recorded."""
        return np.asarray(self.frame["augmentation"] == "", dtype=np.bool_)

    def part(self, wanted: Bools) -> Part:
        """Return some of the rows."""
        return Part(np.flatnonzero(wanted), self.values[wanted], np.zeros(wanted.sum(), np.bool_))


def store_rows(table: Table, samples: Words, folder: Path) -> StoredRows:
    """Write all clips and copies into a folder, and return where they lie."""
    columns = {name: table.rows[name].to_numpy(dtype=np.str_) for name in IDENTITY}
    shape = np.array(table.shape or (), dtype=np.intp)
    arrays: dict[str, NDArray[Any]] = {
        "values": table.values, "samples": samples, "shape": shape, **columns
    }  # fmt: skip
    write_arrays(folder, arrays)
    return StoredRows(folder, digest_of([table.digest, list(map(str, samples))]))


@lru_cache(maxsize=2)
def load_rows(rows: StoredRows) -> Recordings:
    """Return what `store_rows` wrote."""
    names = (*IDENTITY, "samples")
    frame = pd.DataFrame({name: np.load(rows.folder / f"{name}.npy") for name in names})
    shape = tuple(np.load(rows.folder / "shape.npy").tolist())
    values = np.load(rows.folder / "values.npy", mmap_mode="r")
    return Recordings(frame, values, (shape[0], shape[1]) if shape else None)


def perform(rows: StoredRows, order: Order) -> Answered:
    """Fit a model as its order has it, and return what it says of the test rows."""
    recordings = load_rows(rows)
    train, fold, test = divide(recordings, order)
    columns = _selected(order.conduct, train, test, recordings.emotions)
    train, test = (replace(part, values=part.values[:, columns]) for part in (train, test))
    pipeline = _pipeline(recordings, order, np.concatenate([train.values, test.values]))
    if order.conduct.epoch == "test":
        watch = _watch_network if MODELS[order.model].by_epochs else _watch_mlp
        predicted, epochs = watch(pipeline, recordings, (train, fold), test, order)
    else:
        genders = recordings.frame["gender"].to_numpy(dtype=np.str_)[train.places]
        facts = Facts(fold, genders, np.zeros(len(fold), np.bool_), {})
        truth = recordings.emotions[train.places]
        with _silently():
            fitted = models.learn(order.model, pipeline, train.values, truth, facts)
        predicted, epochs = _answers(fitted, test.values), 0
    return Answered(test.places, np.asarray(predicted, dtype=np.intp), len(train.places), epochs)


def divide(recordings: Recordings, order: Order) -> tuple[Part, Places, Part]:
    """Return the training rows, the inner fold of each, and the test rows.

    Raises
    ------
    BenchmarkError
        If the clips don't allow the split.
    """
    conduct = order.conduct
    pool = recordings.part(recordings.originals | np.bool_(conduct.copies == "all"))
    if conduct.filled == "all":
        pool = fill(pool, recordings.emotions, derive_seed(order.draw_seed, "smote"))
    fold = _folds(pool, recordings, order)
    tested = fold < 0
    train, fold = pool[~tested], fold[~tested]
    if conduct.copies == "training":
        train, fold = _with_copies(train, fold, recordings)
    if conduct.filled == "training":
        before = pd.Series(fold, index=train.places)
        train = fill(train, recordings.emotions, derive_seed(order.draw_seed, "smote"))
        fold = before[~before.index.duplicated()].loc[train.places].to_numpy(dtype=np.intp)
    return train, fold, pool[tested]


def _folds(pool: Part, recordings: Recordings, order: Order) -> Places:
    """Return the inner fold of each row, -1 on the test side."""
    frame, conduct = recordings.frame, order.conduct
    if conduct.splits_rows:
        clips = frame.iloc[pool.places].reset_index(drop=True)
        clips = clips.assign(samples=np.arange(len(clips)).astype(str))
    else:
        clips = frame[recordings.originals]
    split = draw_split(conduct.split, clips, order.test_size, order.n_folds, order.draw_seed)
    if conduct.splits_rows:
        return split.fold
    fold_of = dict(zip(clips["clip"], split.fold, strict=True))
    folds: Places = frame["clip"].iloc[pool.places].map(fold_of).to_numpy(dtype=np.intp)
    return folds


def _with_copies(train: Part, fold: Places, recordings: Recordings) -> tuple[Part, Places]:
    """Return training rows and, below them, the copies of their clips."""
    names = recordings.frame["clip"]
    heard = ~train.made
    fold_of = dict(zip(names.iloc[train.places[heard]], fold[heard], strict=True))
    copies = recordings.part(~recordings.originals & names.isin(fold_of).to_numpy())
    joined = Part(
        np.concatenate([train.places, copies.places]),
        np.concatenate([train.values, copies.values]),
        np.concatenate([train.made, copies.made]),
    )
    followed = names.iloc[copies.places].map(fold_of).to_numpy(dtype=np.intp)
    return joined, np.concatenate([fold, followed])


def fill(part: Part, emotions: Words, seed: int) -> Part:
    """Return rows and, below them, those that SMOTE makes until all emotions have as many.

    Raises
    ------
    BenchmarkError
        If an emotion has a single row.
    """
    from imblearn.over_sampling import SMOTE
    from sklearn.metrics import pairwise_distances_argmin

    labels = emotions[part.places]
    names, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise BenchmarkError(
            f"{names[counts.argmin()]} has one clip only, between which and another none can be "
            "made. Leave the emotion out."
        )
    sampler = SMOTE(k_neighbors=min(NEIGHBOURS, int(counts.min()) - 1), random_state=seed)
    values, filled = sampler.fit_resample(part.values, labels)
    made, made_labels = values[len(labels) :], filled[len(labels) :]
    places = np.empty(len(made), dtype=np.intp)
    for emotion in np.unique(made_labels):
        alike, wanted = np.flatnonzero(labels == emotion), made_labels == emotion
        nearest = pairwise_distances_argmin(made[wanted], part.values[alike])
        places[wanted] = part.places[alike[nearest]]
    return Part(
        np.concatenate([part.places, places]),
        values.astype(np.float32),
        np.concatenate([part.made, np.ones(len(made), np.bool_)]),
    )


def _selected(conduct: Conduct, train: Part, test: Part, emotions: Words) -> Places:
    """Return the columns that are learned from."""
    columns = np.arange(train.values.shape[1])
    if conduct.selected == "none":
        return columns
    from sklearn.feature_selection import SelectKBest, f_classif

    parts = [train, test] if conduct.selected == "all" else [train]
    values = np.concatenate([part.values for part in parts]).astype(np.float64)
    truth = np.concatenate([emotions[part.places] for part in parts])
    with np.errstate(all="ignore"):  # a column that never changes has no F
        selector = SelectKBest(f_classif, k=max(1, len(columns) // 2)).fit(values, truth)
    chosen: Places = columns[selector.get_support()]
    return chosen


def _pipeline(recordings: Recordings, order: Order, everything: Floats) -> Any:
    """Return the unfitted pipeline; its scaler, where the conduct says so, knows all rows."""
    params = dict(order.setting.params)
    if order.setting.epochs and order.conduct.epoch == "training":
        params["max_epochs"] = order.setting.epochs
    # What decides without probabilities needs none of the fits that calibrating them takes.
    plain = MODELS[order.model].decides
    pipeline = models.build(
        order.model, params, order.seed, searching=plain, shape=recordings.shape
    )
    if order.conduct.scaled == "all":
        from sklearn.frozen import FrozenEstimator
        from sklearn.preprocessing import StandardScaler

        pipeline.steps = [
            (name, FrozenEstimator(step.fit(everything)) if isinstance(step, StandardScaler)
             else step)
            for name, step in pipeline.steps
        ]  # fmt: skip
    return pipeline


@contextmanager
def _silently() -> Iterator[None]:
    """Fit without warnings: settings that don't converge were the study's own choice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _answers(fitted: Any, values: Floats) -> Places:
    """Return the position of the emotion that a fitted model takes each row for."""
    found: Places
    if hasattr(fitted, "predict_proba"):
        found = models.probabilities(fitted, values).argmax(axis=1)
    else:
        found = np.searchsorted(fitted.classes_, fitted.predict(values))
    return found


def _watch_network(
    pipeline: Any,
    recordings: Recordings,
    training: tuple[Part, Places],
    test: Part,
    order: Order,
) -> tuple[Places, int]:
    """Return what a network says of the test rows after the epoch in which it says it best."""
    train, fold = training
    values = np.concatenate([train.values, test.values])
    truth = recordings.emotions[np.concatenate([train.places, test.places])]
    tested = np.arange(len(truth)) >= len(fold)
    pipeline[-1].set_params(patience=pipeline[-1].max_epochs)
    folds = np.concatenate([fold, np.full(len(test.places), -1)])
    facts = Facts(folds, np.full(len(truth), "unknown"), tested, {})
    with _silently():
        fitted = models.learn(order.model, pipeline, values, truth, facts)
    return _answers(fitted, test.values), int(fitted[-1].n_epochs_)


def _watch_mlp(
    pipeline: Any,
    recordings: Recordings,
    training: tuple[Part, Places],
    test: Part,
    order: Order,
) -> tuple[Places, int]:
    """Return what an MLP says of the test rows after the epoch in which it says it best.

    Epoch by epoch it is the same MLP that `fit` makes: it draws from one generator all along.
    """
    train, _ = training
    learned, tested = train.values, test.values.astype(np.float64)
    truth, wanted = (recordings.emotions[part.places] for part in (train, test))
    names = np.unique(truth)
    for _, step in pipeline.steps[:-1]:
        fitted = step.fit(learned, truth)
        learned, tested = fitted.transform(learned), fitted.transform(tested)
    classifier = pipeline[-1].set_params(random_state=np.random.RandomState(order.seed))
    best, kept, epoch = -1.0, np.zeros(len(wanted), np.intp), 0
    for number in range(1, classifier.max_iter + 1):
        classifier.partial_fit(learned, truth, classes=names)
        predicted = classifier.predict_proba(tested).argmax(axis=1)
        reached = score(order.metric, wanted, names[predicted], list(names))
        if reached > best:
            best, kept, epoch = reached, predicted, number
    return kept, epoch


def score_of(tested: Answered, emotions: Words, names: Sequence[str], metric: str) -> float:
    """Return the score of a fit on its test rows.

    Parameters
    ----------
    tested : Answered
    emotions : ndarray of str, shape (n_stored_rows,)
        Of the stored rows.
    names : sequence of str
        The sorted emotions.
    metric : str
        A name in `evaluate.METRICS`.
    """
    return score(metric, emotions[tested.rows], np.array(names)[tested.predicted], names)
