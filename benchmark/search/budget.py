"""A budget of time: when searches have to end so that the whole run ends with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark import models
from benchmark.evaluation.results import UnfinishedSearch
from benchmark.search.search import ModelSearch
from benchmark.search.storage import Trial
from benchmark.study import BASELINE

CLOSING_S = 8.0
"""Seconds for what follows the last fit: votes, predictions, pages, MLflow."""

MARGIN = 0.02
"""Share of the budget that is kept for what no estimate foresees."""

SLOWER = 3.0
"""How much longer a winner takes than its folds where the search had a faster engine."""


@dataclass(frozen=True)
class Budget:
    """So many minutes for a whole run.

    Attributes
    ----------
    minutes : float
    began : float
        When the run did, by the monotonic clock.
    cores : int
        How many fits run at once.
    fractions : tuple of float
        Of the learning curves that follow the search; empty for none.
    refits : int
        How many trials of a split are fitted beside the winners, at most: a greedy ensemble's.
    """

    minutes: float
    began: float
    cores: int
    fractions: tuple[float, ...] = ()
    refits: int = 0

    def search_until(self, searches: Sequence[ModelSearch]) -> float:
        """Return when searches have to end, by the monotonic clock, as far as is known now.

        Never before the floor is measured, so that there always is a result.
        """
        if not all(search.done for search in searches if search.plan.model == BASELINE):
            return float("inf")
        found = [(search, search.best) for search in searches if search.best is not None]
        fits_s = [self._fits_after(search, best) for search, best in found]
        splits = len({search.plan.arrays.identity for search in searches})
        # Which trials they are is not known yet: they take what winners take, on the mean.
        whole_s = sum(self._whole(search, best) for search, best in found) / max(1, len(found))
        refits_s = self.refits * splits * whole_s
        after_s = CLOSING_S + max((sum(fits_s) + refits_s) / self.cores, max(fits_s, default=0.0))
        return self.began + 60 * self.minutes * (1 - MARGIN) - after_s

    def _fits_after(self, search: ModelSearch, best: Trial) -> float:
        """Return how many seconds the winner and its learning curve take, given its folds."""
        fold_s = best.seconds / len(best.scores)
        return self._whole(search, best) + fold_s * search.plan.n_folds * sum(self.fractions)

    def _whole(self, search: ModelSearch, trial: Trial) -> float:
        """Return how many seconds a trial takes on the whole training table, given its folds."""
        folds = search.plan.n_folds
        faster = models.MODELS[search.plan.model].searched_extra == "fast"
        fold_s = trial.seconds / len(trial.scores)
        return fold_s * folds / (folds - 1) * (SLOWER if faster else 1.0)


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
