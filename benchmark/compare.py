"""Whether two models differ on the same clips and folds, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.evaluate import (
    FEWEST_SPEAKERS,
    METRICS,
    Counts,
    Floats,
    Score,
    Unit,
    counts_by,
    resample_groups,
    scored,
)

SWAPS = 10_000
"""How many swaps are drawn where there are more than so many; all of them where there are fewer."""

ALPHA = 0.05
"""With a p below it two models are said to differ."""

BLOCK = 1000
"""How many swaps are counted at a time, so that a swap of single clips fits into memory."""


@dataclass(frozen=True)
class ClipTest:
    """The difference of two models on the same test clips.

    Attributes
    ----------
    difference : Score
        The first model's figure less the second's; its interval draws the same speakers for both.
    p : float
        How often chance alone makes a difference as large, were the two models alike.
    swaps : int
        How many swaps `p` is computed from.
    exact : bool
        Whether these are all there are.
    """

    difference: Score
    p: float
    swaps: int
    exact: bool


@dataclass(frozen=True)
class FoldTest:
    """The difference of two models over the same inner folds.

    Attributes
    ----------
    difference, low, high : float
        The first model's mean score less the second's, with its 95 % confidence interval.
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

    If the models were alike, either's answers to a speaker's clips could as well be the other's. So
    the answers are swapped for whole speakers, in all ways or in `SWAPS` random ones, and `p` is
    the share of the ways, the one that was seen among them, whose difference is as large as the one
    seen (Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, chapter 3; Ernst
    2004, Permutation methods: a basis for exact inference, Statistical Science 19). Single clips
    are swapped and resampled where there are fewer than six speakers.

    Parameters
    ----------
    first, second : DataFrame of shape (n_clips, ...)
        Each model's rows of one protocol: clip, speaker, emotion and p_<emotion> for each emotion.
    emotions : sequence of str
        The study's emotions.
    metric : str
        A name in `METRICS`.
    seeds : (int, int)
        Of the resamples and of the swaps. With the leaderboard's seed of the resamples, each draw
        holds the speakers of the same draw there.

    Raises
    ------
    BenchmarkError
        If the two do not hold the same clips.
    """
    by_group, over = _paired_counts(first, second, emotions)
    of_counts = METRICS[metric].of_counts
    both = of_counts(by_group.sum(axis=0))
    drawn = of_counts(resample_groups(by_group, np.random.default_rng(seeds[0])))
    difference = scored(float(both[0] - both[1]), drawn[:, 0] - drawn[:, 1], over)
    exact = 2 ** len(by_group) <= SWAPS
    swapped = np.concatenate(
        [
            _swapped_difference(by_group, block, metric)
            for block in (_all_swaps(len(by_group)) if exact else _swaps(len(by_group), seeds[1]))
        ]
    )
    # Sums of the same counts may differ in their last digit.
    as_large = int((np.abs(swapped) >= abs(difference.value) - 1e-12).sum())
    ways = len(swapped)
    p = as_large / ways if exact else (as_large + 1) / (ways + 1)
    return ClipTest(difference, p, ways, exact)


def compare_on_folds(
    first: Sequence[float], second: Sequence[float], train_clips: float, validation_clips: float
) -> FoldTest:
    """Return the difference of two models' scores on the same folds, with a corrected t-test.

    Folds share most of their training clips, so their differences vary together and a plain paired
    t-test finds too much. The corrected resampled t-test takes the variance of the mean of k
    differences to be (1 / k + n_validation / n_train) times their variance, with k - 1 degrees of
    freedom (Nadeau & Bengio 2003, Inference for the generalization error, Machine Learning 52).

    Parameters
    ----------
    first, second : sequence of float
        Scores of the two models, a fold each, in the same order.
    train_clips, validation_clips : float
        How many clips a fold learns from and validates on; the mean where folds differ.

    Raises
    ------
    BenchmarkError
        If there are not two folds or more with scores of both.
    """
    from scipy.stats import t

    if len(first) != len(second) or len(first) < 2:
        raise BenchmarkError(
            f"{len(first)} and {len(second)} fold scores can't be compared: two models need the "
            "same folds, two or more."
        )
    differences = np.subtract(first, second)
    folds = len(differences)
    mean = float(differences.mean())
    factor = 1 / folds + validation_clips / train_clips
    error = float(np.sqrt(factor * differences.var(ddof=1)))
    reach = float(t.ppf(1 - ALPHA / 2, folds - 1)) * error
    p = float(2 * t.sf(abs(mean) / error, folds - 1)) if error else float(mean == 0)
    return FoldTest(mean, mean - reach, mean + reach, p, folds)


def _paired_counts(
    first: pd.DataFrame, second: pd.DataFrame, emotions: Sequence[str]
) -> tuple[Counts, Unit]:
    """Return both models' confusion counts, of shape (n_groups, 2, n_emotions, n_emotions)."""
    first, second = (rows.sort_values("clip", kind="stable") for rows in (first, second))
    if first["clip"].to_list() != second["clip"].to_list():
        raise BenchmarkError("Two models can be compared only on the same test clips.")
    groups, speakers = pd.factorize(first["speaker"], sort=True)
    over: Unit = "speakers"
    if len(speakers) < FEWEST_SPEAKERS:
        groups, over = np.arange(len(first)), "clips"
    pair = [counts_by(groups, rows, emotions) for rows in (first, second)]
    return np.stack(pair, axis=1), over


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
    """Yield every way to swap some of the groups, once."""
    yield (np.arange(2**groups)[:, None] >> np.arange(groups) & 1).astype(np.bool_)


def _swaps(groups: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yield `SWAPS` random ways to swap some of the groups, block by block."""
    rng = np.random.default_rng(seed)
    for _ in range(SWAPS // BLOCK):
        yield rng.integers(0, 2, size=(BLOCK, groups), dtype=np.int8).astype(np.bool_)
