"""Decisions of when to prune a trial: by its first epochs, or by its first folds.

A trial is compared with the trials that were completed when it was requested, so that the same
trials are pruned with any number of workers. A pruned trial is never ranked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

RUNGS = (4, 12, 36)
"""Epochs after which a trial is compared with earlier ones."""

REDUCTION = 3
"""The best of every so many folds that reached a rung go on."""

FEWEST = 3
"""Complete trials needed to know how much a difference varies from fold to fold."""

CHANCE = 0.2
"""A trial is pruned if its probability of ending above the best is lower.

On the six stored searches of 50 trials (tests/performance/test_pruning.py), 0.05, 0.1 and 0.2 need
0.53 to 0.63, 0.49 to 0.57 and 0.42 to 0.47 of the folds; with each of them the best remaining trial
is at most 0.0009 UAR lower on the mean, and 0.0051 in the worst search.
"""


def thresholds(completed: Sequence[Sequence[Mapping[int, float]]], fold: int) -> dict[int, float]:
    """Return by epoch the score that a fold must have reached to go on.

    Asynchronous successive halving (Li et al. 2020): at each rung the best of every `REDUCTION` go
    on.

    Parameters
    ----------
    completed : sequence
        For each completed trial and fold, the score by rung, as far as it got.
    fold : int

    Examples
    --------
    >>> thresholds([[{4: 0.5}], [{4: 0.3}], [{4: 0.9}]], fold=0)
    {4: 0.5}
    """
    folds = [trial[fold] for trial in completed if fold < len(trial)]
    reached = {rung: [scores[rung] for scores in folds if rung in scores] for rung in RUNGS}
    return {
        rung: sorted(scores, reverse=True)[len(scores) // REDUCTION]
        for rung, scores in reached.items()
        if len(scores) >= REDUCTION
    }


@dataclass(frozen=True)
class Rival:
    """The best completed trial, with which a new one is compared.

    Attributes
    ----------
    scores : tuple of float
        On each fold.
    std : float
        Standard deviation over folds of another trial's lead over it.
    """

    scores: tuple[float, ...]
    std: float

    def lead(self, scores: Sequence[float]) -> float:
        """Return the mean lead of another trial over this one on its first folds."""
        return float(np.mean(np.subtract(scores, self.scores[: len(scores)])))

    def beats(self, scores: Sequence[float]) -> bool:
        """Whether a trial with these scores on its first folds has a chance below `CHANCE`.

        Leads are compared fold by fold, since folds differ more than trials do. Given a mean lead d
        on k of n folds and a standard deviation s over folds, with a flat prior, the final lead is
        normal with mean d and variance ((n - k) / n)^2 s^2 (1 / k + 1 / (n - k)): the predictive
        distribution of the remaining folds (Gelman et al., Bayesian Data Analysis, 2.5), weighted
        by their fraction.
        """
        k, n = len(scores), len(self.scores)
        if not 0 < k < n:
            return False
        deviation = (n - k) / n * self.std * math.sqrt(1 / k + 1 / (n - k))
        lead = self.lead(scores)
        return lead < 0 if deviation == 0 else NormalDist().cdf(lead / deviation) < CHANCE


def rival(complete: Sequence[tuple[float, ...]]) -> Rival | None:
    """Return the rival of the next trial, given the fold scores of the complete ones in order.

    None for fewer than `FEWEST` trials. The standard deviation is the median over trials, since a
    trial far from the best differs from it by other amounts on other folds.
    """
    if len(complete) < FEWEST:
        return None
    scores = np.array(complete)  # vectorised: called with each trial, for all before it
    # Rounded, so that the order of summation does not decide between equal means.
    means = [round(mean, 9) for mean in scores.mean(axis=1).tolist()]
    best = means.index(max(means))
    leads = np.delete(scores, best, axis=0) - scores[best]
    return Rival(complete[best], float(np.sqrt(np.median(leads.var(axis=1, ddof=1)))))
