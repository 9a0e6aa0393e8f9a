"""Intervals of metrics: a bootstrap over speakers, with Student's t around the figure.

The standard error of a figure is the standard deviation of its bootstrap resamples; the degrees of
freedom count speakers. Percentiles of the resamples, the more usual interval, cover the true figure
of eight speakers 90 times in 100 where they claim 95; these intervals cover it 93 to 96 times from
three speakers on (tests/simulations/coverage.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evaluation.metrics import (
    METRICS,
    Counts,
    Floats,
    counts_by,
    f1_scores,
    precisions,
    recalls,
)
from benchmark.study import derive_seed

Unit = Literal["speakers", "clips", "speakers or clips"]

RESAMPLES = 2000
LEVEL = 0.95
FEWEST_SPEAKERS = 3
"""With fewer effective speakers clips are resampled: speakers would tell nothing."""


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
        The resampling unit: ``speakers``, ``clips``, or each corpus by its own rule.
    lowest, highest : float
        The range of the figure, to which the interval is clipped.
    """

    value: float
    error: float
    freedom: float
    over: Unit
    lowest: float = 0.0
    highest: float = 1.0

    @property
    def low(self) -> float:
        """Lower limit of the interval."""
        return max(self.value - self._reach, self.lowest)

    @property
    def high(self) -> float:
        """Upper limit of the interval."""
        return min(self.value + self._reach, self.highest)

    @property
    def negated(self) -> Score:
        """The negative figure with its interval."""
        return Score(-self.value, self.error, self.freedom, self.over, -self.highest, -self.lowest)

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
        Number of equally large speakers with the same information; see `effective`.
    scores : dict of str to Score
        By name in `METRICS`.
    corpora : dict of str to Evaluation
        The same within each corpus, by name; empty within one.
    mean_over_corpora : dict of str to Score
        Mean of the corpora's scores, each corpus with the same weight; empty within one.
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
        """Resampling unit of the intervals of `scores`."""
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


def gap(dependent: Score, independent: Score) -> Score:
    """Return the difference of two scores on different rows, resampled independently."""
    over: Unit = dependent.over if dependent.over == independent.over else "speakers or clips"
    error, freedom = _combined([dependent, independent])
    width = dependent.highest - dependent.lowest
    return Score(dependent.value - independent.value, error, freedom, over, -width, width)


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
            name: scored(
                float(metric.of_counts(counts)),
                metric.of_counts(draws),
                unit,
                metric.low,
                metric.high,
            )
            for name, metric in METRICS.items()
        },
    )


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
    """The resampling unit, and the effective number of units."""

    over: Literal["speakers", "clips"]
    effective: float


def resampled_unit(speaker_of: NDArray[np.int64], clip_of: NDArray[np.int64]) -> Resampled:
    """Return the resampling unit, given the speaker and the clip of each row as numbers from 0 on.

    If a study repeats, or tests corpora in pairs, a clip has several rows; they are drawn together.
    """
    speakers = effective(np.bincount(speaker_of))
    if speakers < FEWEST_SPEAKERS:
        return Resampled("clips", len(np.unique(clip_of)))
    return Resampled("speakers", speakers)


def effective(clips: NDArray[np.int64]) -> float:
    """Return the effective number of speakers with these numbers of clips.

    It is the effective sample size of unequal weights, the square of their sum over the sum of
    their squares (Kish 1965, Survey Sampling): eight speakers, one of them with three quarters of
    the clips, count as 1.7.

    Examples
    --------
    >>> effective(np.array([60, 60, 60]))
    3.0
    """
    return float(clips.sum() ** 2 / np.square(clips).sum())


def scored(
    value: float, draws: Floats, unit: Resampled, lowest: float = 0.0, highest: float = 1.0
) -> Score:
    """Return a figure with its interval.

    The standard deviation of resamples of n speakers is too small by a factor of
    sqrt((n - 1) / n), and n speakers are too few for the normal distribution: the standard error is
    corrected for the first, and Student's t with n - 1 degrees of freedom accounts for the second
    (Hesterberg 2015, What teachers should know about the bootstrap, The American Statistician 69).
    n is the effective number of speakers, since a speaker with most of the clips decides most of
    the figure.

    Parameters
    ----------
    value : float
        The figure on the rows themselves.
    draws : ndarray of shape (RESAMPLES,)
        The figure on each resample.
    unit : Resampled
    lowest, highest : float
        The range of the figure.
    """
    freedom = unit.effective - 1
    if freedom <= 0:
        return Score(value, np.inf, 1.0, unit.over, lowest, highest)
    error = float(np.std(draws)) * np.sqrt(unit.effective / freedom)
    return Score(value, float(error), freedom, unit.over, lowest, highest)


def paired_difference(by_group: Counts, metric: str, unit: Resampled, seed: int) -> Score:
    """Return the difference of two scores whose groups are resampled together.

    Parameters
    ----------
    by_group : ndarray of int, shape (n_groups, 2, n_emotions, n_emotions)
        Confusion counts of both, by resampled group.
    metric : str
        A name in `METRICS`.
    unit : Resampled
    seed : int
        From `bootstrap_seed`.
    """
    of_counts, width = METRICS[metric].of_counts, METRICS[metric].width
    both = of_counts(by_group.sum(axis=0))
    drawn = of_counts(resample_groups(by_group, np.random.default_rng(seed)))
    return scored(float(both[0] - both[1]), drawn[:, 0] - drawn[:, 1], unit, -width, width)


def _mean(parts: Sequence[Score]) -> Score:
    units = {part.over for part in parts}
    error, freedom = _combined(parts)
    over = units.pop() if len(units) == 1 else "speakers or clips"
    return Score(
        float(np.mean([part.value for part in parts])),
        error / len(parts),
        freedom,
        over,
        parts[0].lowest,
        parts[0].highest,
    )


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
