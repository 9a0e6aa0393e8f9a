"""The time budget of a run: when its searches have to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.evaluation.results import UnfinishedSearch
from benchmark.search.search import ModelSearch
from benchmark.search.trial import Trial
from benchmark.study import BASELINE

CLOSING_S = 8.0
"""Seconds after the last fit: ensembles, predictions, pages, MLflow."""

MARGIN = 0.02
"""Fraction of the budget in reserve."""

SLOWER = 3.0
"""How much longer the refit takes than its folds if the search fits another pipeline."""


@dataclass(frozen=True)
class Budget:
    """The time budget of a run.

    Attributes
    ----------
    minutes : float
    began : float
        Start of the run by the monotonic clock.
    cores : int
        Number of fits at once.
    fractions : tuple of float
        Of the learning curves after the search; empty for none.
    refits : int
        The most trials of a split that are refitted for greedy ensembles, beside the best ones.
    """

    minutes: float
    began: float
    cores: int
    fractions: tuple[float, ...] = ()
    refits: int = 0

    def search_until(self, searches: Sequence[ModelSearch]) -> float:
        """Return the estimated time by the monotonic clock at which searches have to end.

        Never before the baselines are measured, so that there is always a result.
        """
        if not all(search.done for search in searches if search.plan.model == BASELINE):
            return float("inf")
        found = [(search, search.best) for search in searches if search.best is not None]
        fits_s = [self._fits_after(search, best) for search, best in found]
        n_splits = len({search.plan.arrays.identity for search in searches})
        # Members of a greedy ensemble are not known yet: they take the mean time of a refit.
        refit_s = sum(_refit_s(search, best) for search, best in found) / max(1, len(found))
        total_s = sum(fits_s) + self.refits * n_splits * refit_s
        after_s = CLOSING_S + max(total_s / self.cores, max(fits_s, default=0.0))
        return self.began + 60 * self.minutes * (1 - MARGIN) - after_s

    def _fits_after(self, search: ModelSearch, best: Trial) -> float:
        """Return the estimated seconds of the refit and the learning curve."""
        fold_s = best.seconds / len(best.scores)
        return _refit_s(search, best) + fold_s * search.plan.n_folds * sum(self.fractions)


def _refit_s(search: ModelSearch, trial: Trial) -> float:
    """Return the estimated seconds of a refit on the whole training table, given its folds."""
    plan = search.plan
    fold_s = trial.seconds / len(trial.scores)
    slower = SLOWER if plan.entry.refits_slower(plan.search.engine) else 1.0
    return fold_s * plan.n_folds / (plan.n_folds - 1) * slower


def unfinished_searches(searches: Sequence[ModelSearch]) -> tuple[UnfinishedSearch, ...]:
    """Return the searches that have not completed all their trials."""
    return tuple(
        UnfinishedSearch(
            protocol=search.plan.split,
            model=search.plan.model,
            completed=len(search.trials),
            requested=search.total,
        )
        for search in searches
        if not search.done
    )
