"""When a trial is given up: by its first epochs, or by its first folds. Decisions alone, no fits.

What counts are the trials that were told when a trial was asked, so that the same trials are given
up whatever the number of workers. One that was given up is never ranked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

RUNGS = (4, 12, 36)
"""After how many epochs a trial is compared with those before it."""

REDUCTION = 3
"""A fold goes on that is among the best one in so many of those that reached the rung."""

FEWEST = 3
"""Complete trials, without which it is not known how much a difference varies from fold to fold."""

CHANCE = 0.2
"""A trial is given up whose chance to end above the best is smaller.

Replayed on the six stored searches of 50 trials (tests/performance/test_pruning.py), 0.05, 0.1 and
0.2 need 0.53 to 0.63, 0.49 to 0.57 and 0.42 to 0.47 of the folds, and with each of them the best
trial that is kept is at most 0.0009 UAR lower on the mean, and 0.0051 in the worst search.
"""


def thresholds(told: Sequence[Sequence[Mapping[int, float]]], fold: int) -> dict[int, float]:
    """Return by epoch the score that a fold must have reached to go on.

    Asynchronous successive halving (Li et al. 2020): at each rung the best of every `REDUCTION` go
    on.

    Parameters
    ----------
    told : sequence
        Of each told trial and fold, the score by rung, as far as it got.
    fold : int
    """
    folds = [trial[fold] for trial in told if fold < len(trial)]
    reached = {rung: [scores[rung] for scores in folds if rung in scores] for rung in RUNGS}
    return {
        rung: sorted(scores, reverse=True)[len(scores) // REDUCTION]
        for rung, scores in reached.items()
        if len(scores) >= REDUCTION
    }


@dataclass(frozen=True)
class Rival:
    """The best of the told trials, which a new one must have a chance to beat.

    Attributes
    ----------
    scores : tuple of float
        Of its folds.
    spread : float
        Standard deviation, from fold to fold, of another trial's lead over it.
    """

    scores: tuple[float, ...]
    spread: float

    def lead(self, scores: Sequence[float]) -> float:
        """Return by how much a trial is better so far, on the mean of its folds."""
        return float(np.mean(np.subtract(scores, self.scores[: len(scores)])))

    def beats(self, scores: Sequence[float]) -> bool:
        """Whether a trial with these scores on the first folds has hardly a chance to end above.

        Leads are compared fold by fold, since folds differ more than trials do. Given a mean lead d
        on k of n folds, with standard deviation s from fold to fold and nothing known beforehand,
        the final lead is normal with mean d and variance ((n - k) / n)^2 s^2 (1 / k + 1 / (n - k)):
        the predictive distribution of the folds to come (Gelman et al., Bayesian Data Analysis,
        2.5), weighted by their share.
        """
        k, n = len(scores), len(self.scores)
        if not 0 < k < n:
            return False
        deviation = (n - k) / n * self.spread * math.sqrt(1 / k + 1 / (n - k))
        lead = self.lead(scores)
        return lead < 0 if deviation == 0 else NormalDist().cdf(lead / deviation) < CHANCE


def rival(complete: Sequence[tuple[float, ...]]) -> Rival | None:
    """Return the rival of the next trial, given the fold scores of the complete ones in order.

    None while there are fewer than `FEWEST`. The spread is the median over trials, since a trial
    that is far off differs from the best on other folds by other amounts.
    """
    if len(complete) < FEWEST:
        return None
    scores = np.array(complete)  # at once: this is asked for with each trial, of all before it
    # Rounded, since the order in which a mean is summed must not choose among equals.
    means = [round(mean, 9) for mean in scores.mean(axis=1).tolist()]
    best = means.index(max(means))
    leads = np.delete(scores, best, axis=0) - scores[best]
    return Rival(complete[best], float(np.sqrt(np.median(leads.var(axis=1, ddof=1)))))
