"""Metrics: one number for a model, from the confusion counts of its predictions.

Every metric is a function of confusion counts, true emotions in rows and predicted ones in columns,
in the study's order of emotions. So a bootstrap resample is a sum of its speakers' counts, and
thousands of resamples are one product of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import PlainSerializer, PlainValidator

from benchmark.engine.registry import Registry
from benchmark.errors import BenchmarkError

Counts = Annotated[
    NDArray[np.int64],
    PlainValidator(partial(np.asarray, dtype=np.int64)),
    PlainSerializer(np.ndarray.tolist),
]
"""An array of counts; in a stored record, nested lists."""

Floats = NDArray[np.float64]


def recalls(counts: Counts) -> Floats:
    """Return the recall of each emotion, of shape (..., n_emotions)."""
    return _fraction(_hits(counts), counts.sum(axis=-1))


def precisions(counts: Counts) -> Floats:
    """Return the precision of each emotion, of shape (..., n_emotions)."""
    return _fraction(_hits(counts), counts.sum(axis=-2))


def f1_scores(counts: Counts) -> Floats:
    """Return the F1 score of each emotion, of shape (..., n_emotions)."""
    return _fraction(2 * _hits(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def accuracy(counts: Counts) -> Floats:
    """Return the fraction of clips whose emotion was recognised, of shape (...)."""
    return _fraction(_hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def uar(counts: Counts) -> Floats:
    """Return the unweighted average recall, of shape (...).

    It is the mean of `recalls` over the emotions that have clips among the rows: scikit-learn's
    ``recall_score(average="macro", labels=<those emotions>)``. A corpus without an emotion is not
    penalised for it. In a test table all emotions have clips.

    Examples
    --------
    >>> float(uar(np.array([[3, 1], [0, 2]])))
    0.875
    """
    return _mean_over_present(recalls(counts), counts)


def macro_f1(counts: Counts) -> Floats:
    """Return the mean of `f1_scores` over the emotions that have clips, of shape (...)."""
    return _mean_over_present(f1_scores(counts), counts)


def weighted_f1(counts: Counts) -> Floats:
    """Return the mean of `f1_scores`, weighted by the clips of each emotion, of shape (...)."""
    support = counts.sum(axis=-1)
    return _fraction((f1_scores(counts) * support).sum(axis=-1), support.sum(axis=-1))


@dataclass(frozen=True)
class Metric:
    """One number for a model.

    Attributes
    ----------
    name : str
        In study files.
    title : str
        In headings and sentences.
    description : str
        What it measures, as a sentence.
    of_counts : callable
        From confusion counts of shape (..., n_emotions, n_emotions) to values of shape (...).
    scorer : str or callable
        The same metric for scikit-learn: a scorer's name, or ``(estimator, X, y) -> float``.
    low, high : float
        The range of its values.
    greater_is_better : bool
    """

    name: str
    title: str
    description: str
    of_counts: Callable[[Counts], Floats]
    scorer: str | Callable[..., float]
    low: float = 0.0
    high: float = 1.0
    greater_is_better: bool = True

    @property
    def width(self) -> float:
        """The largest difference of two values."""
        return self.high - self.low

    @property
    def utility_name(self) -> str:
        """Name of the utility; as for scikit-learn's scorers, ``neg_`` marks a negated metric."""
        return self.name if self.greater_is_better else f"neg_{self.name}"

    @property
    def utility_title(self) -> str:
        """Title of the utility."""
        return self.title if self.greater_is_better else f"negated {self.title}"

    @property
    def utility_range(self) -> tuple[float, float]:
        """Lowest and highest utility."""
        return (self.low, self.high) if self.greater_is_better else (-self.high, -self.low)

    def chance(self, n_emotions: int) -> float:
        """Return the value of random predictions of equally frequent emotions.

        Examples
        --------
        >>> METRICS["uar"].chance(4)
        0.25
        """
        return float(self.of_counts(np.ones((n_emotions, n_emotions), dtype=np.int64)))

    def utility(self, counts: Counts) -> Floats:
        """Return what a search maximises: the metric, negated if smaller values are better."""
        values = self.of_counts(counts)
        return values if self.greater_is_better else -values


METRICS: Registry[Metric] = Registry(
    "metric",
    "metrics",
    Metric,
    (
        Metric(
            name="uar",
            title="UAR",
            description="Unweighted average recall: the mean of the emotions' recalls.",
            of_counts=uar,
            scorer="balanced_accuracy",
        ),
        Metric(
            name="accuracy",
            title="accuracy",
            description="Fraction of clips whose emotion is recognised (weighted accuracy, WA).",
            of_counts=accuracy,
            scorer="accuracy",
        ),
        Metric(
            name="macro_f1",
            title="macro F1",
            description="Mean of the emotions' F1 scores.",
            of_counts=macro_f1,
            scorer="f1_macro",
        ),
        Metric(
            name="weighted_f1",
            title="weighted F1",
            description="Mean of the emotions' F1 scores, weighted by their clips.",
            of_counts=weighted_f1,
            scorer="f1_weighted",
        ),
    ),
)
"""By name in study files."""


@dataclass(frozen=True)
class CorpusWeights:
    """The corpus of each clip, and the weight of each corpus in a score.

    Attributes
    ----------
    corpora : ndarray of int, shape (n_clips,)
        From 0 on.
    weights : ndarray of float, shape (n_corpora,)
    """

    corpora: NDArray[np.intp]
    weights: Floats

    def weighted(self, utility: Callable[[Counts], Floats], cells: Counts, size: int) -> Floats:
        """Return the weighted sum of the utilities within each corpus that has clips.

        Parameters
        ----------
        utility : callable
            From confusion counts (..., n_emotions, n_emotions) to values (...).
        cells : ndarray of int, shape (..., n_clips)
            ``true * n_emotions + predicted`` of each clip.
        size : int
            n_emotions.
        """
        present = np.unique(self.corpora)
        utilities = [
            utility(counts_of_cells(cells[..., self.corpora == corpus], size)) for corpus in present
        ]
        return np.asarray(np.tensordot(self.weights[present], np.stack(utilities), axes=1))


def fold_weights(corpora: NDArray[np.intp], fold: NDArray[np.intp], n_folds: int) -> Floats:
    """Return the weight of each corpus in the score of each fold, (n_corpora, n_folds).

    Each corpus has the same weight in the mean over folds, also if some folds validate none of its
    clips: its weight in a fold is n_folds / (n_corpora * number of folds that validate it).

    Parameters
    ----------
    corpora, fold : ndarray of int, shape (n_clips,)
        From 0 on, of the validated clips.
    n_folds : int

    Examples
    --------
    >>> fold_weights(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    present = np.zeros((int(corpora.max()) + 1, n_folds), dtype=np.bool_)
    present[corpora, fold] = True
    n_folds_of = np.maximum(present.sum(axis=1, keepdims=True), 1)
    return np.asarray(present * n_folds / (n_folds_of * present.any(axis=1).sum()))


def equal_weights(corpora: NDArray[np.intp]) -> CorpusWeights:
    """Return the same weight for each corpus that has clips, 1 in all."""
    present = np.bincount(corpora) > 0
    return CorpusWeights(corpora, present / present.sum())


def counts_of_cells(cells: Counts, size: int) -> Counts:
    """Return confusion counts (..., size, size) of cells ``true * size + predicted`` (..., n)."""
    *shape, n_clips = cells.shape
    rows = cells.reshape(-1, n_clips) + np.arange(int(np.prod(shape)))[:, None] * size * size
    n_cells = int(np.prod(shape)) * size * size
    return np.bincount(rows.ravel(), minlength=n_cells).reshape(*shape, size, size)


def score(
    metric: str,
    truth: NDArray[np.str_],
    predicted: NDArray[np.str_],
    emotions: Sequence[str],
    weights: CorpusWeights | None = None,
) -> float:
    """Return the utility of predicted emotions by a metric, as a search needs it for each fold.

    Parameters
    ----------
    metric : str
        A name in `METRICS`.
    truth, predicted : ndarray of str, shape (n_clips,)
    emotions : sequence of str
        All that may occur.
    weights : CorpusWeights or None
        The score is the weighted sum of the utilities within corpora; by default, the utility of
        all clips together.

    Examples
    --------
    >>> truth, predicted = np.array(["a", "b", "a", "b"]), np.array(["a", "b", "a", "a"])
    >>> score("uar", truth, predicted, ["a", "b"])
    0.75
    >>> by_corpus = CorpusWeights(np.array([0, 0, 1, 1]), np.array([0.5, 0.5]))
    >>> score("uar", truth, predicted, ["a", "b"], by_corpus)
    0.75
    """
    order = pd.Index(emotions)
    cells = order.get_indexer(pd.Index(truth)) * len(order)
    cells = cells + order.get_indexer(pd.Index(predicted))
    utility = METRICS[metric].utility
    if weights is None:
        return float(utility(counts_of_cells(cells, len(order))))
    return float(weights.weighted(utility, cells, len(order)))


def confusion(predictions: pd.DataFrame, emotions: Sequence[str]) -> Counts:
    """Return the clips by true and predicted emotion, of shape (n_emotions, n_emotions).

    The predicted emotion is the most probable one, the first of them where two are equal.
    """
    one_group = np.zeros(len(predictions), dtype=np.int64)
    return np.asarray(counts_by(one_group, predictions, emotions)[0], dtype=np.int64)


def counts_by(
    groups: NDArray[np.int64], rows: pd.DataFrame, emotions: Sequence[str]
) -> NDArray[np.int64]:
    """Return confusion counts of shape (n_groups, n_emotions, n_emotions).

    Parameters
    ----------
    groups : ndarray of int, shape (n_clips,)
        From 0 on.
    rows : DataFrame of shape (n_clips, ...)
        As `evaluate` takes them.
    emotions : sequence of str

    Raises
    ------
    BenchmarkError
        If there are no rows, or one has an emotion that is not among `emotions`.
    """
    size = len(emotions)
    true = pd.Index(emotions).get_indexer(pd.Index(rows["emotion"]))
    if not len(rows):
        raise BenchmarkError("There are no predictions to evaluate.")
    if (true < 0).any():
        stray = sorted(set(rows["emotion"]) - set(emotions))
        raise BenchmarkError(
            f"Predictions hold clips of {', '.join(map(str, stray))}; "
            f"the emotions are {', '.join(emotions)}."
        )
    predicted = rows[[f"p_{emotion}" for emotion in emotions]].to_numpy().argmax(axis=1)
    cells = (np.asarray(groups) * size + true) * size + predicted
    n_groups = int(np.max(groups)) + 1
    return np.bincount(cells, minlength=n_groups * size * size).reshape(n_groups, size, size)


def _hits(counts: Counts) -> Counts:
    return np.asarray(np.diagonal(counts, axis1=-2, axis2=-1), dtype=np.int64)


def _fraction(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """Return part / whole, 0 if the whole is 0, as scikit-learn does."""
    return np.asarray(part / np.maximum(whole, 1), dtype=np.float64)


def _mean_over_present(values: Floats, counts: Counts) -> Floats:
    present = counts.sum(axis=-1) > 0
    total = np.where(present, values, 0.0).sum(axis=-1)
    return np.asarray(total / np.maximum(present.sum(axis=-1), 1), dtype=np.float64)
