"""Significance of the difference of two models on the same clips or folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.evaluation.intervals import Score, Unit, paired_difference, resampled_unit
from benchmark.evaluation.metrics import METRICS, Counts, Floats, counts_by

SWAPS = 10_000
"""Permutations drawn if there are more; otherwise all are enumerated."""

ALPHA = 0.05
"""Significance level."""

FEWEST_SWAPPED = 6
"""Speakers needed to permute them: with fewer, p cannot fall below `ALPHA`, and clips are
permuted."""

BLOCK = 1000
"""Permutations computed at a time, to bound memory."""


@dataclass(frozen=True)
class ClipTest:
    """The difference of two models on the same test clips.

    Attributes
    ----------
    difference : Score
        First model minus second; the interval resamples the same speakers for both.
    p : float
        Two-sided p value of the permutation test.
    swapped : str
        Unit of permutation: ``speakers`` or ``clips``.
    swaps : int
        Number of permutations.
    exact : bool
        Whether all permutations were enumerated.
    """

    difference: Score
    p: float
    swapped: Unit
    swaps: int
    exact: bool


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
    they are swapped for whole speakers, in all ways or in `SWAPS` random ones, and `p` is the
    fraction of permutations, the observed one included, with a difference as large as the observed
    one (Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, chapter 3; Ernst
    2004, Permutation methods: a basis for exact inference, Statistical Science 19). With fewer than
    `FEWEST_SWAPPED` speakers, clips are permuted, each with all its rows. The unit of the interval
    is that of `intervals.resampled_unit`.

    Parameters
    ----------
    first, second : DataFrame of shape (n_rows, ...)
        Each model's rows of one protocol: clip, speaker, emotion and p_<emotion> for each emotion.
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
    speaker_of, speakers = pd.factorize(first["speaker"], sort=True)
    clip_of = pd.factorize(first["clip"], sort=True)[0]
    unit = resampled_unit(speaker_of, clip_of)
    drawn_groups = speaker_of if unit.over == "speakers" else clip_of
    by_group = _paired_counts(drawn_groups, first, second, emotions)
    difference = paired_difference(by_group, metric, unit, seeds[0])
    swapped: Unit = "speakers" if len(speakers) >= FEWEST_SWAPPED else "clips"
    swapped_groups = speaker_of if swapped == "speakers" else clip_of
    if swapped != unit.over:
        by_group = _paired_counts(swapped_groups, first, second, emotions)
    differences, exact = _swapped_differences(by_group, metric, seeds[1])
    # Sums of the same counts may differ in their last digit.
    as_large = int((np.abs(differences) >= abs(difference.value) - 1e-12).sum())
    ways = len(differences)
    p = as_large / ways if exact else (as_large + 1) / (ways + 1)
    return ClipTest(difference, p, swapped, ways, exact)


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


def _paired_counts(
    groups: NDArray[np.int64], first: pd.DataFrame, second: pd.DataFrame, emotions: Sequence[str]
) -> Counts:
    """Return both models' confusion counts, of shape (n_groups, 2, n_emotions, n_emotions)."""
    return np.stack([counts_by(groups, rows, emotions) for rows in (first, second)], axis=1)


def _swapped_differences(by_group: Counts, metric: str, seed: int) -> tuple[Floats, bool]:
    """Return the difference under each permutation, and whether all were enumerated."""
    exact = 2 ** len(by_group) <= SWAPS
    swaps = _all_swaps(len(by_group)) if exact else _swaps(len(by_group), seed)
    blocks = [_swapped_difference(by_group, block, metric) for block in swaps]
    return np.concatenate(blocks), exact


def _swapped_difference(by_group: Counts, swaps: NDArray[np.bool_], metric: str) -> Floats:
    """Return the difference of the two models for each row of `swaps`, of shape (n_swaps,)."""
    groups, _, size, _ = by_group.shape
    first, second = by_group[:, 0].reshape(groups, -1), by_group[:, 1].reshape(groups, -1)
    # Numbers of clips are exact as floats, whose product of matrices is the fast one.
    moved = swaps.astype(np.float64) @ (second - first).astype(np.float64)
    one = first.sum(axis=0) + np.rint(moved).astype(np.int64)
    other = first.sum(axis=0) + second.sum(axis=0) - one
    of_counts = METRICS[metric].of_counts
    shape = (len(swaps), size, size)
    return of_counts(one.reshape(shape)) - of_counts(other.reshape(shape))


def _all_swaps(groups: int) -> Iterator[NDArray[np.bool_]]:
    """Yield all subsets of the groups."""
    yield (np.arange(2**groups)[:, None] >> np.arange(groups) & 1).astype(np.bool_)


def _swaps(groups: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yield `SWAPS` random subsets of the groups, in blocks."""
    rng = np.random.default_rng(seed)
    for _ in range(SWAPS // BLOCK):
        yield rng.integers(0, 2, size=(BLOCK, groups), dtype=np.int8).astype(np.bool_)
