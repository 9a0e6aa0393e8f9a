"""What a model's predictions are worth: metrics of confusion counts, with intervals.

Every metric is a function of confusion counts, truth in rows and prediction in columns, in the
study's order of emotions. So a bootstrap resample is a sum of its speakers' counts, and 2,000 of
them are one product of matrices.

Intervals are Student's t around the figure: its standard error is the spread of the resamples, its
degrees of freedom count speakers. The percentiles of the resamples themselves, the more usual
interval, hold the true figure of eight speakers 90 times of 100 where they say 95; these hold it 93
to 96 times from three speakers on (tests/simulations/coverage.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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
FEWEST_SPEAKERS = 3
"""With fewer effective speakers an interval over them tells nothing, and clips are resampled."""


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
    value : float
        The figure on the rows themselves.
    error : float
        Its standard error.
    freedom : float
        The degrees of freedom of Student's t.
    over : str
        What was resampled: ``speakers``, ``clips``, or each corpus by its own rule.
    lowest : float
        What the figure can't be below: 0, or -1 of a difference; 1 is what it can't be above.
    """

    value: float
    error: float
    freedom: float
    over: Unit
    lowest: float = 0.0

    @property
    def low(self) -> float:
        """The interval's lower end."""
        return max(self.value - self._reach, self.lowest)

    @property
    def high(self) -> float:
        """The interval's upper end."""
        return min(self.value + self._reach, 1.0)

    @cached_property
    def _reach(self) -> float:
        from scipy.stats import t

        return float(t.ppf((1 + LEVEL) / 2, self.freedom)) * self.error


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
    effective_speakers : float
        How many speakers of equally many clips tell as much; see `effective`.
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
    effective_speakers: float
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

    Standard errors are of a cluster bootstrap: whole speakers are drawn with replacement (Efron &
    Tibshirani 1993, An Introduction to the Bootstrap; Field & Welsh 2007, Bootstrapping clustered
    data), since the clips of one speaker are alike; see `scored` for the interval. Clips are drawn
    where there are fewer than `FEWEST_SPEAKERS` effective speakers, each with all its rows.

    Parameters
    ----------
    predictions : DataFrame of shape (n_rows, ...)
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
        whole.effective_speakers,
        whole.scores,
        corpora,
        {name: _mean([part.scores[name] for part in corpora.values()]) for name in METRICS},
    )


def gap(known: Score, unseen: Score) -> Score:
    """Return the difference of two scores on different rows, resampled independently."""
    over: Unit = known.over if known.over == unseen.over else "speakers or clips"
    error, freedom = _combined([known, unseen])
    return Score(known.value - unseen.value, error, freedom, over, lowest=-1.0)


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
    clip_of = pd.factorize(rows["clip"], sort=True)[0]
    unit = resampled_unit(groups, clip_of)
    if unit.over == "speakers":
        draws = resample_groups(by_speaker, rng)
    elif unit.effective < len(rows):
        draws = resample_groups(counts_by(clip_of, rows, emotions), rng)
    else:
        draws = _resample(counts, rng)
    return Evaluation(
        emotions=tuple(emotions),
        confusion=counts,
        clips=int(rows["clip"].nunique()),
        speakers=len(speakers),
        effective_speakers=effective(np.bincount(groups)),
        scores={
            name: scored(float(of_counts(counts)), of_counts(draws), unit)
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
    # Numbers of clips are exact as floats, whose product of matrices is the fast one.
    drawn = times.astype(np.float64) @ by_group.reshape(n_groups, -1).astype(np.float64)
    return np.rint(drawn).astype(np.int64).reshape(RESAMPLES, *shape)


def _resample(counts: Counts, rng: np.random.Generator) -> Counts:
    """Return the counts of RESAMPLES draws of as many clips as there are, with replacement.

    A clip of one row counts only by its cell, so drawing clips is drawing from the cells' shares.
    """
    clips = int(counts.sum())
    drawn = rng.multinomial(clips, counts.ravel() / clips, size=RESAMPLES)
    return drawn.reshape(RESAMPLES, *counts.shape)


class Resampled(NamedTuple):
    """What was drawn with replacement: speakers or clips, and how many equal ones they count as."""

    over: Literal["speakers", "clips"]
    effective: float


def resampled_unit(speaker_of: NDArray[np.int64], clip_of: NDArray[np.int64]) -> Resampled:
    """Return what is resampled, given the speaker and the clip of each row as numbers from 0 on.

    Where studies repeat, and where corpora are tested in pairs, a clip has several rows: it is one
    clip all the same, and they are drawn together.
    """
    speakers = effective(np.bincount(speaker_of))
    if speakers < FEWEST_SPEAKERS:
        return Resampled("clips", len(np.unique(clip_of)))
    return Resampled("speakers", speakers)


def effective(clips: NDArray[np.int64]) -> float:
    """Return how many speakers of equally many clips tell as much as speakers of these numbers.

    It is the effective sample size of unequal weights, the square of their sum over the sum of
    their squares (Kish 1965, Survey Sampling): eight speakers of whom one has three quarters of the
    clips count as 1.7.
    """
    return float(clips.sum() ** 2 / np.square(clips).sum())


def scored(value: float, draws: Floats, unit: Resampled, lowest: float = 0.0) -> Score:
    """Return a figure with the interval that its resamples give it.

    The spread of resamples of n speakers is too small by the square root of (n - 1) / n, and n
    speakers are too few for the normal curve: the standard error is corrected for the first, and
    Student's t with n - 1 degrees of freedom for the second (Hesterberg 2015, What teachers should
    know about the bootstrap, The American Statistician 69). For n stand the effective speakers,
    since one who has most of the clips decides most of the figure.

    Parameters
    ----------
    value : float
        The figure on the rows themselves.
    draws : ndarray of shape (RESAMPLES,)
        The figure on each resample.
    unit : Resampled
    lowest : float
        What the figure can't be below.
    """
    freedom = unit.effective - 1
    if freedom <= 0:
        return Score(value, np.inf, 1.0, unit.over, lowest)
    error = float(np.std(draws)) * np.sqrt(unit.effective / freedom)
    return Score(value, float(error), freedom, unit.over, lowest)


def _mean(parts: Sequence[Score]) -> Score:
    units = {part.over for part in parts}
    error, freedom = _combined(parts)
    over = units.pop() if len(units) == 1 else "speakers or clips"
    return Score(float(np.mean([part.value for part in parts])), error / len(parts), freedom, over)


def _combined(parts: Sequence[Score]) -> tuple[float, float]:
    """Return standard error and degrees of freedom of a sum or difference of independent scores.

    The degrees of freedom are Welch's (1947, The generalization of "Student's" problem, Biometrika
    34).
    """
    squares = np.square([part.error for part in parts])
    total = float(squares.sum())
    if not 0 < total < np.inf:
        return total, 1.0
    below = float((squares**2 / [part.freedom for part in parts]).sum())
    return float(np.sqrt(total)), total**2 / below


def _hits(counts: Counts) -> Counts:
    return np.asarray(np.diagonal(counts, axis1=-2, axis2=-1), dtype=np.int64)


def _share(part: Counts, whole: Counts) -> Floats:
    """Return part / whole, 0 where there is nothing to share, as scikit-learn has it."""
    return np.asarray(part / np.maximum(whole, 1), dtype=np.float64)


def _mean_over_present(values: Floats, counts: Counts) -> Floats:
    present = counts.sum(axis=-1) > 0
    total = np.where(present, values, 0.0).sum(axis=-1)
    return np.asarray(total / np.maximum(present.sum(axis=-1), 1), dtype=np.float64)
