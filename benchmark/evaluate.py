"""What a model's predictions are worth: metrics of confusion counts, with intervals.

Every metric is a function of confusion counts, truth in rows and prediction in columns, in the
study's order of emotions. So a bootstrap resample is a sum of its speakers' counts, and 2,000 of
them are one product of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.study import derive_seed

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Unit = Literal["speakers", "clips", "speakers or clips"]

RESAMPLES = 2000
LEVEL = 0.95
FEWEST_SPEAKERS = 6
"""With fewer, a resample of speakers is too coarse to tell anything, and clips are resampled."""


def recalls(counts: Counts) -> Floats:
    """Return each emotion's share of its clips that were recognised, of shape (..., n_emotions)."""
    return _share(_hits(counts), counts.sum(axis=-1))


def precisions(counts: Counts) -> Floats:
    """Return each predicted emotion's share of right predictions, of shape (..., n_emotions)."""
    return _share(_hits(counts), counts.sum(axis=-2))


def f1_scores(counts: Counts) -> Floats:
    """Return each emotion's harmonic mean of precision and recall, of shape (..., n_emotions)."""
    return _share(2 * _hits(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def accuracy(counts: Counts) -> Floats:
    """Return the share of clips whose emotion was recognised, of shape (...)."""
    return _share(_hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def uar(counts: Counts) -> Floats:
    """Return the unweighted average recall, of shape (...).

    It is the mean of `recalls` over the emotions that have clips among the rows: scikit-learn's
    ``recall_score(average="macro", labels=<those emotions>)``. A corpus without an emotion is not
    charged for it. Where all emotions have clips, as in every test table, nothing is left out.
    """
    return _mean_over_present(recalls(counts), counts)


def macro_f1(counts: Counts) -> Floats:
    """Return the mean of `f1_scores` over the emotions that have clips, of shape (...)."""
    return _mean_over_present(f1_scores(counts), counts)


class Metric(NamedTuple):
    """One number for a model: its title and how confusion counts become it."""

    title: str
    of_counts: Callable[[Counts], Floats]


METRICS = {
    "uar": Metric("UAR", uar),
    "accuracy": Metric("accuracy", accuracy),
    "macro_f1": Metric("macro F1", macro_f1),
}


@dataclass(frozen=True)
class Score:
    """A figure with its 95 % interval.

    Attributes
    ----------
    value, low, high : float
        The figure on the rows themselves, and the 2.5th and 97.5th percentile of its resamples.
    over : str
        What was resampled: ``speakers``, ``clips``, or each corpus by its own rule.
    draws : ndarray of shape (RESAMPLES,)
        The figure on each resample.
    """

    value: float
    low: float
    high: float
    over: Unit
    draws: Floats = field(repr=False, compare=False)


@dataclass(frozen=True)
class Evaluation:
    """All figures of one model on one set of test rows.

    Attributes
    ----------
    emotions : tuple of str
        The order of rows and columns of `confusion`.
    confusion : ndarray of shape (n_emotions, n_emotions)
        Clips by true (row) and predicted (column) emotion.
    clips, speakers : int
        How many there are among the rows.
    scores : dict of str to Score
        By name in `METRICS`.
    corpora : dict of str to Evaluation
        The same within each corpus, by name; empty within one.
    mean_over_corpora : dict of str to Score
        The plain mean of the corpora's scores, each corpus counting once; empty within one.
    """

    emotions: tuple[str, ...]
    confusion: Counts
    clips: int
    speakers: int
    scores: dict[str, Score]
    corpora: dict[str, Evaluation] = field(default_factory=dict)
    mean_over_corpora: dict[str, Score] = field(default_factory=dict)

    @property
    def over(self) -> Unit:
        """What the intervals of `scores` are over."""
        return next(iter(self.scores.values())).over

    @property
    def per_emotion(self) -> pd.DataFrame:
        """Precision, recall, F1 and support (clips), a row an emotion."""
        return pd.DataFrame(
            {
                "precision": precisions(self.confusion),
                "recall": recalls(self.confusion),
                "f1": f1_scores(self.confusion),
                "support": self.confusion.sum(axis=-1),
            },
            index=pd.Index(self.emotions, name="emotion"),
        )


def evaluate(predictions: pd.DataFrame, emotions: Sequence[str], seed: int) -> Evaluation:
    """Return all figures of one model on one set of test rows, over all of them and by corpus.

    Intervals are percentile intervals of a cluster bootstrap: whole speakers are drawn with
    replacement (Efron & Tibshirani 1993, chapter 13; Field & Welsh 2007), since the clips of one
    speaker are alike; clips are drawn where there are fewer than six speakers.

    Parameters
    ----------
    predictions : DataFrame of shape (n_clips, ...)
        Rows of one protocol and model: clip, corpus, speaker, emotion, and p_<emotion> for each.
    emotions : sequence of str
        The study's emotions.
    seed : int
        From `bootstrap_seed`. Models evaluated with the same seed see the same speakers drawn.

    Raises
    ------
    BenchmarkError
        If there are no rows, or one has an emotion that is not among `emotions`.
    """
    whole = _evaluate_rows(predictions, emotions, np.random.default_rng(seed))
    corpora = {
        str(corpus): _evaluate_rows(
            rows, emotions, np.random.default_rng(bootstrap_seed(seed, str(corpus)))
        )
        for corpus, rows in predictions.groupby("corpus", sort=True)
    }
    return Evaluation(
        whole.emotions,
        whole.confusion,
        whole.clips,
        whole.speakers,
        whole.scores,
        corpora,
        {name: _mean([part.scores[name] for part in corpora.values()]) for name in METRICS},
    )


def gap(known: Score, unseen: Score) -> Score:
    """Return the difference of two scores on different rows, with its interval.

    The two sides were resampled independently, so the differences of their draws are draws of the
    difference. `bootstrap_seed` of different protocols sees to that.
    """
    over: Unit = known.over if known.over == unseen.over else "speakers or clips"
    return scored(known.value - unseen.value, known.draws - unseen.draws, over)


def score(
    metric: str, truth: NDArray[np.str_], predicted: NDArray[np.str_], emotions: Sequence[str]
) -> float:
    """Return one figure of predicted emotions, as a search needs it for each fold.

    Parameters
    ----------
    metric : str
        A name in `METRICS`.
    truth, predicted : ndarray of str, shape (n_clips,)
    emotions : sequence of str
        All that may occur.
    """
    order = pd.Index(emotions)
    size = len(order)
    cells = order.get_indexer(pd.Index(truth)) * size + order.get_indexer(pd.Index(predicted))
    counts = np.bincount(cells, minlength=size * size).reshape(size, size)
    return float(METRICS[metric].of_counts(counts))


def confusion(predictions: pd.DataFrame, emotions: Sequence[str]) -> Counts:
    """Return the clips by true and predicted emotion, of shape (n_emotions, n_emotions).

    The predicted emotion is the most probable one, the first of them where two are equal.
    """
    one_group = np.zeros(len(predictions), dtype=np.int64)
    return np.asarray(counts_by(one_group, predictions, emotions)[0], dtype=np.int64)


def bootstrap_seed(seed: int, *names: str) -> int:
    """Return a seed for the resamples of one thing, derived from the study's seed and its names."""
    return derive_seed(seed, "bootstrap", *names)


def _evaluate_rows(
    rows: pd.DataFrame, emotions: Sequence[str], rng: np.random.Generator
) -> Evaluation:
    groups, speakers = pd.factorize(rows["speaker"], sort=True)
    by_speaker = counts_by(groups, rows, emotions)
    counts = by_speaker.sum(axis=0)
    over: Unit = "speakers" if len(speakers) >= FEWEST_SPEAKERS else "clips"
    draws = resample_groups(by_speaker, rng) if over == "speakers" else _resample(counts, rng)
    return Evaluation(
        emotions=tuple(emotions),
        confusion=counts,
        clips=int(rows["clip"].nunique()),
        speakers=len(speakers),
        scores={
            name: scored(float(of_counts(counts)), of_counts(draws), over)
            for name, (_, of_counts) in METRICS.items()
        },
    )


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


def resample_groups(by_group: Counts, rng: np.random.Generator) -> Counts:
    """Return the counts of RESAMPLES draws of as many groups as there are, with replacement.

    The first axis of `by_group` is the groups; the same generator draws the same groups, whatever
    is counted.
    """
    n_groups, *shape = by_group.shape
    times = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=RESAMPLES)
    drawn = times @ by_group.reshape(n_groups, -1)
    return np.asarray(drawn, dtype=np.int64).reshape(RESAMPLES, *shape)


def _resample(counts: Counts, rng: np.random.Generator) -> Counts:
    """Return the counts of RESAMPLES draws of as many clips as there are, with replacement.

    A clip counts only by its cell, so drawing clips is drawing from the cells' shares.
    """
    clips = int(counts.sum())
    drawn = rng.multinomial(clips, counts.ravel() / clips, size=RESAMPLES)
    return drawn.reshape(RESAMPLES, *counts.shape)


def scored(value: float, draws: Floats, over: Unit) -> Score:
    """Return a figure with the percentile interval of its draws."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Score(value, float(low), float(high), over, draws)


def _mean(parts: Sequence[Score]) -> Score:
    units = {part.over for part in parts}
    return scored(
        float(np.mean([part.value for part in parts])),
        np.mean([part.draws for part in parts], axis=0),
        units.pop() if len(units) == 1 else "speakers or clips",
    )


def _hits(counts: Counts) -> Counts:
    return np.asarray(np.diagonal(counts, axis1=-2, axis2=-1), dtype=np.int64)


def _share(part: Counts, whole: Counts) -> Floats:
    """Return part / whole, 0 where there is nothing to share, as scikit-learn has it."""
    return np.asarray(part / np.maximum(whole, 1), dtype=np.float64)


def _mean_over_present(values: Floats, counts: Counts) -> Floats:
    present = counts.sum(axis=-1) > 0
    total = np.where(present, values, 0.0).sum(axis=-1)
    return np.asarray(total / np.maximum(present.sum(axis=-1), 1), dtype=np.float64)
