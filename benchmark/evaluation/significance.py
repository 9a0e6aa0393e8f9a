"""Significance of the difference of two models on the same clips or folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.errors import BenchmarkError
from benchmark.evaluation.intervals import Score, paired_difference
from benchmark.evaluation.metrics import METRICS, Floats, counts_by

SWAPS = 100_000
"""Permutations drawn if there are more; otherwise all are enumerated: up to 16 speakers."""

ALPHA = 0.05
"""Significance level."""

POWER = 0.8
"""Probability with which the smallest difference that a test can tell is found."""

FEWEST_SWAPPED = 6
"""Speakers that a permutation test needs: with fewer, p cannot fall below `ALPHA`."""

BLOCK = 10_000
"""Permutations computed at a time, to bound memory."""


@dataclass(frozen=True)
class ClipTest:
    """The difference of two models on the same test clips.

    Attributes
    ----------
    difference : Score
        First model minus second: the difference of their scores as published, means over corpora;
        the interval resamples the same speakers for both.
    statistic : float
        What the test looks at: the mean over corpora of the mean over speakers of the difference of
        the speaker's own scores.
    p : float or None
        Two-sided p value of the permutation test; None with fewer than `FEWEST_SWAPPED` speakers.
    speakers : int
        Number of speakers, the unit of permutation.
    swaps : int
        Number of permutations; 0 without a test.
    exact : bool
        Whether all permutations were enumerated.
    detectable : float or None
        The smallest true difference that such a test finds with a probability of `POWER`; None
        without a test.
    """

    difference: Score
    statistic: float
    p: float | None
    speakers: int
    swaps: int
    exact: bool
    detectable: float | None


@dataclass(frozen=True)
class FoldTest:
    """The difference of two models over the same inner folds.

    Attributes
    ----------
    difference, low, high : float
        Mean score of the first model minus that of the second, with its 95 % confidence interval.
    p : float
        Two-sided.
    folds : int
    """

    difference: float
    low: float
    high: float
    p: float
    folds: int


def compare_on_clips(
    first: pd.DataFrame,
    second: pd.DataFrame,
    emotions: Sequence[str],
    metric: str,
    seeds: tuple[int, int],
) -> ClipTest:
    """Return the difference of two models on the same clips, with a permutation test.

    Under the null hypothesis the predictions of the two models for a speaker are exchangeable. So
    they are swapped for whole speakers, in all ways or in `SWAPS` random ones, which turns the sign
    of the speaker's difference. `p` is the fraction of permutations, the observed one included,
    with a statistic as large as the observed one (Good 2005, Permutation, Parametric and Bootstrap
    Tests of Hypotheses, chapter 3; Ernst 2004, Permutation methods: a basis for exact inference,
    Statistical Science 19). Each speaker of a corpus has the same weight, and each corpus.

    Parameters
    ----------
    first, second : DataFrame of shape (n_rows, ...)
        Each model's rows of one protocol: clip, corpus, speaker, emotion and p_<emotion> for each
        emotion.
    emotions : sequence of str
        The study's emotions.
    metric : str
        A name in `METRICS`.
    seeds : (int, int)
        For the resamples and for the permutations.

    Raises
    ------
    BenchmarkError
        If the two have different clips.
    """
    first, second = _aligned(first, second)
    difference = paired_difference(first, second, emotions, seeds[0]).scores[metric]
    by_speaker, weights = _by_speaker(first, second, emotions, metric)
    parts = weights * by_speaker
    statistic = float(parts.sum())
    if len(parts) < FEWEST_SWAPPED:
        return ClipTest(difference, statistic, None, len(parts), 0, False, None)
    exact = 2 ** len(parts) <= SWAPS
    signs = _all_signs(len(parts)) if exact else _signs(len(parts), seeds[1])
    swapped = np.concatenate([block @ parts for block in signs])
    # Sums of the same parts may differ in their last digit.
    as_large = int((np.abs(swapped) >= abs(statistic) - 1e-12).sum())
    ways = len(swapped)
    p = as_large / ways if exact else (as_large + 1) / (ways + 1)
    smallest = detectable(by_speaker, weights)
    return ClipTest(difference, statistic, p, len(parts), ways, exact, smallest)


def detectable(differences: Floats, weights: Floats) -> float:
    """Return the smallest true difference that a test over speakers finds in most samples.

    It is found with a probability of `POWER` at the level `ALPHA`, by Student's t (Cohen 1988,
    Statistical Power Analysis for the Behavioral Sciences). The standard error is that of the
    weighted mean of the speakers' differences; degrees of freedom count speakers of equal weight
    (Kish).

    Parameters
    ----------
    differences, weights : ndarray of shape (n_speakers,)
        The weights sum to 1.
    """
    from scipy.stats import t

    squares = np.square(weights)
    speakers = float(squares.sum() ** 2 / np.square(squares).sum())
    off = differences - weights @ differences
    error = np.sqrt((squares * np.square(off)).sum() * speakers / (speakers - 1))
    return float((t.ppf(1 - ALPHA / 2, speakers - 1) + t.ppf(POWER, speakers - 1)) * error)


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p values of several tests, adjusted for their number.

    The probability of any false positive is at most `ALPHA` (Holm 1979, A simple sequentially
    rejective multiple test procedure, Scandinavian Journal of Statistics 6).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(ps)
    steps = np.asarray(ps, dtype=float)[order] * np.arange(len(ps), 0, -1)
    adjusted = np.empty(len(ps))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def adjusted(ps: Sequence[float | None]) -> list[float | None]:
    """Return `holm` of the tests that have a p value; None stays None."""
    found = iter(holm([p for p in ps if p is not None]))
    return [None if p is None else next(found) for p in ps]


def compare_on_folds(
    first: Sequence[float], second: Sequence[float], train_clips: float, validation_clips: float
) -> FoldTest:
    """Return the difference of two models' scores on the same folds, with a corrected t-test.

    Folds share most of their training clips, so their differences are correlated and a plain paired
    t-test has too many false positives. The corrected resampled t-test takes the variance of the
    mean of k differences to be (1 / k + n_validation / n_train) times their variance, with k - 1
    degrees of freedom (Nadeau & Bengio 2003, Inference for the generalization error, Machine
    Learning 52).

    Parameters
    ----------
    first, second : sequence of float
        Scores of the two models by fold, in the same order.
    train_clips, validation_clips : float
        Number of training and validation clips of a fold; the mean if folds differ.

    Raises
    ------
    BenchmarkError
        If there are fewer than two folds with scores of both.
    """
    from scipy.stats import t

    if len(first) != len(second) or len(first) < 2:
        raise BenchmarkError(
            f"{len(first)} and {len(second)} fold scores can't be compared: both models need "
            "scores on the same folds, at least two."
        )
    differences = np.subtract(first, second)
    folds = len(differences)
    mean = float(differences.mean())
    factor = 1 / folds + validation_clips / train_clips
    error = float(np.sqrt(factor * differences.var(ddof=1)))
    reach = float(t.ppf(1 - ALPHA / 2, folds - 1)) * error
    p = float(2 * t.sf(abs(mean) / error, folds - 1)) if error else float(mean == 0)
    return FoldTest(mean, mean - reach, mean + reach, p, folds)


def _aligned(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both models' rows in the same order of clips."""
    keys = [column for column in ("clip", "part") if column in first]
    first, second = (rows.sort_values(keys, kind="stable") for rows in (first, second))
    if not first[keys].reset_index(drop=True).equals(second[keys].reset_index(drop=True)):
        raise BenchmarkError("Two models can be compared only on the same test clips.")
    return first, second


def _by_speaker(
    first: pd.DataFrame, second: pd.DataFrame, emotions: Sequence[str], metric: str
) -> tuple[Floats, Floats]:
    """Return each speaker's difference, and its weight in the mean over corpora and speakers."""
    speaker_of, _ = pd.factorize(first["speaker"], sort=True)
    of_counts = METRICS[metric].of_counts
    one, other = (of_counts(counts_by(speaker_of, rows, emotions)) for rows in (first, second))
    corpus_of = first.groupby("speaker", sort=True)["corpus"].first()
    n_speakers = corpus_of.map(corpus_of.value_counts()).to_numpy(dtype=np.float64)
    return one - other, 1 / (n_speakers * corpus_of.nunique())


def _all_signs(speakers: int) -> Iterator[Floats]:
    """Yield all ways to turn the signs of the speakers' differences, in blocks."""
    for start in range(0, 2**speakers, BLOCK):
        ways = np.arange(start, min(start + BLOCK, 2**speakers))
        yield np.where(ways[:, None] >> np.arange(speakers) & 1, -1.0, 1.0)


def _signs(speakers: int, seed: int) -> Iterator[Floats]:
    """Yield `SWAPS` random ways to turn the signs of the speakers' differences, in blocks."""
    rng = np.random.default_rng(seed)
    for _ in range(SWAPS // BLOCK):
        yield np.where(rng.integers(0, 2, size=(BLOCK, speakers), dtype=np.int8), -1.0, 1.0)
