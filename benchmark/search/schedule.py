"""The schedule of a search with a time budget: which fit starts next, and when the search ends.

A plain object over a clock and the costs that it is told, so that a test can run it on declared
costs and a simulated clock.

The budget ends with fitted models: the cheapest model's first trial is completed on every split
before anything else may take its time. A model's cost is learned from its first fit: measured when
the fit ends, estimated by its time so far while it runs, and presumed before. A model whose first
trial, on every split, does not fit into half of what is left gets no more time. One that fits is
made whole at once. All whole models share the time equally, with the models to be tried: the next
fit is of the one that will have had the least time after it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

RECENT = 20
"""Last fits of a model whose mean duration is its cost: a load on the machine comes and goes."""

PART = 0.5
"""The most of the remaining time that a model's first trial may take, of all splits together."""

PRESUMED = 0.25
"""Part of the presumed time of a model's first trial that has to be left for it to be tried."""

MARGIN = 0.03
"""Fraction of the budget in reserve."""


class Fit(NamedTuple):
    """One fit of the search: a fold of a trial, of one model on one split."""

    model: str
    split: str
    trial: int
    fold: int


@dataclass
class _Costs:
    """What fits of one model take, in seconds."""

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    known: float | None = None  # the mean of the recent ones, else of an earlier run
    at_least: float | None = None  # of a fit that was stopped
    refit: float | None = None
    spent: float = 0.0
    failures: int = 0

    def measured(self, seconds: float) -> None:
        """Learn what a fit took."""
        self.recent.append(seconds)
        self.known = fmean(self.recent)


class Schedule:
    """Decides which fit starts next, and when the search has to end.

    Parameters
    ----------
    models : mapping of str to float
        How long a fit of each presumably takes, beside the others. The first fits start in this
        order.
    n_splits, n_folds : int
    n_workers : int
        Number of fits at once.
    ends : float
        End of the budget by the clock.
    budget_s : float
        The whole of it.
    clock : callable
    closing : callable
        Returns the estimated seconds between the last refit and the end of the run, given the
        number of models.
    refits : mapping of str to float
        By model, its fits with probabilities that follow the search on each split; by default 1.
    fits_after : float
        The other fits of each model that follow the search on each split, in fits of a fold.
    voters : int
        Refits on each split of members of ensembles, which are not known yet.
    """

    def __init__(  # noqa: PLR0913 - the facts of a run, each told once
        self,
        models: Mapping[str, float],
        n_splits: int,
        n_folds: int,
        n_workers: int,
        ends: float,
        budget_s: float,
        clock: Callable[[], float],
        closing: Callable[[int], float],
        refits: Mapping[str, float] | None = None,
        fits_after: float = 0.0,
        voters: int = 0,
    ) -> None:
        self._models = sorted(models, key=lambda model: models[model])
        self._presumed = models
        self._n_splits = n_splits
        self._n_folds = n_folds
        self.n_workers = n_workers
        self._ends = ends - MARGIN * budget_s
        self._clock = clock
        self._closing = closing
        self._refits = {model: (refits or {}).get(model, 1.0) for model in models}
        self._fits_after = fits_after
        self._voters = voters
        self._costs = {model: _Costs() for model in models}
        self._waiting: dict[Fit, None] = {}  # in the order of submission
        self._running: dict[Fit, float] = {}  # with the time at which they began
        self._begun: set[tuple[str, str, int]] = set()  # trials
        self._complete: set[tuple[str, str]] = set()  # searches
        self._admitted: set[str] = set()  # models that are to be whole

    def submit(self, fit: Fit) -> None:
        """Let a fit wait for its turn."""
        self._waiting[fit] = None

    def withdraw(self, fits: Iterable[Fit]) -> None:
        """Remove fits that are waiting."""
        for fit in fits:
            self._waiting.pop(fit, None)

    def start_next(self) -> Fit | None:
        """Return the fit that starts now; None if none may start before another ends."""
        fit = self._next()
        if fit is not None:
            if not self._unknown(fit.model):
                self._admitted.add(fit.model)
            del self._waiting[fit]
            self._running[fit] = self._clock()
            self._begun.add(fit[:3])
        return fit

    def end(self, fit: Fit, seconds: float, *, failed: bool = False) -> None:
        """Learn what a fit took. One that failed does not tell the cost of its model."""
        self._running.pop(fit, None)
        costs = self._costs[fit.model]
        costs.spent += seconds
        costs.failures += failed
        if not failed:
            costs.measured(seconds)

    def stop(self, fit: Fit) -> None:
        """Learn that a fit was stopped, and waits again: its model takes at least that long."""
        costs, seconds = self._costs[fit.model], self._clock() - self._running.pop(fit)
        costs.at_least = max(seconds, costs.at_least or 0.0)
        costs.spent += seconds
        self.submit(fit)

    def complete(self, model: str, split: str, fold_s: float) -> None:
        """Learn that a search has a complete trial, whose folds took so long on average."""
        self._complete.add((model, split))
        costs = self._costs[model]
        costs.known = costs.known if costs.recent else fold_s

    def refitted(self, model: str, seconds: float) -> None:
        """Learn what a refit of a model took."""
        self._costs[model].refit = seconds

    @property
    def whole(self) -> list[str]:
        """The models with a complete trial on every split."""
        counts = dict.fromkeys(self._models, 0)
        for model, _ in self._complete:
            counts[model] += 1
        return [model for model, count in counts.items() if count == self._n_splits]

    @property
    def until(self) -> float:
        """When the search has to end: never before one model is whole."""
        return self._planned if self.whole else math.inf

    @property
    def _planned(self) -> float:
        """The end of the budget without what follows the search."""
        return self._ends - self.after_s

    @property
    def after_s(self) -> float:
        """The estimated seconds of what follows the search: fits, then votes, tests and pages."""
        whole = self.whole
        refits_s = [self._refit_s(model) for model in whole]
        total_s = sum(self._after_s(model) for model in whole)
        total_s += self._voters * self._n_splits * (fmean(refits_s) if whole else 0.0)
        fits_s = max(total_s / self.n_workers, *refits_s, 0.0)
        return self._closing(len(whole)) + fits_s

    def _after_s(self, model: str) -> float:
        """Return the seconds of work on a model after the search."""
        refits_s = self._refits[model] * self._refit_s(model)
        return self._n_splits * (refits_s + self._fits_after * self._cost(model))

    def _refit_s(self, model: str) -> float:
        """Return the seconds of a refit; until one is measured, by the number of rows."""
        measured = self._costs[model].refit
        rows = self._n_folds / max(1, self._n_folds - 1)
        return self._cost(model) * rows if measured is None else measured

    def hopeless(self) -> list[Fit]:
        """Return the running fits that are to be stopped, since their model does not fit."""
        left, whole = self._planned - self._clock(), self.whole
        if not whole and not self._others_to_try(left):
            return []
        return [
            fit
            for fit in self._running
            if fit.model not in whole
            and fit.model != self._first()
            and not self._admits(fit.model, left)
        ]

    def _others_to_try(self, left: float) -> bool:
        """Whether, while no model is whole, another one could be before those that run.

        One of known cost could; one of unknown cost only while there is time to try it.
        """
        running = {fit.model for fit in self._running}
        return self._first() is not None or (
            left > 0
            and any(self._unknown(fit.model) and fit.model not in running for fit in self._waiting)
        )

    def _unknown(self, model: str) -> bool:
        costs = self._costs[model]
        return costs.known is None and costs.at_least is None

    def _fails(self, model: str) -> bool:
        """Whether a model has failed so far: while others are whole, it waits for its share."""
        return self._costs[model].failures > 0 and not self._costs[model].recent

    def _cost(self, model: str) -> float:
        """Return the seconds of a fit, at least those that one has run for; 0 if unknown."""
        costs, now = self._costs[model], self._clock()
        so_far = [now - began for fit, began in self._running.items() if fit.model == model]
        return max(costs.known or 0.0, costs.at_least or 0.0, *so_far)

    def _entry(self, model: str) -> list[Fit]:
        """Return the fits that the model needs to be whole, waiting and running."""
        fits = [
            fit
            for fit in (*self._running, *self._waiting)
            if fit.model == model and (model, fit.split) not in self._complete
        ]
        first: dict[str, int] = {}
        for fit in fits:
            first[fit.split] = min(fit.trial, first.get(fit.split, fit.trial))
        return [fit for fit in fits if fit.trial == first[fit.split]]

    def _entry_s(self, model: str) -> float:
        """Return the seconds of work that the model needs to be whole."""
        return self._cost(model) * len(self._entry(model))

    def _fits(self, model: str, left: float, part: float) -> bool:
        """Whether the model can be whole within a part of the remaining time, refits included."""
        fits, cost, n_whole = len(self._entry(model)), self._cost(model), len(self.whole)
        work_s = cost * fits + self._after_s(model)
        closing_s = self._closing(n_whole + 1) - self._closing(n_whole)
        return closing_s + max(cost + self._refit_s(model), work_s / self.n_workers) <= part * left

    def _admits(self, model: str, left: float) -> bool:
        """Whether the model may take the time that it needs to be whole."""
        return self._fits(model, left, 1.0 if model in self._admitted else PART)

    def _first(self) -> str | None:
        """Return the model that is to be whole before all others: the cheapest known one."""
        if self.whole:
            return None
        known = [m for m in self._models if self._costs[m].known is not None and self._entry(m)]
        return min(known, key=lambda m: (self._costs[m].failures, self._entry_s(m)), default=None)

    def _next(self) -> Fit | None:
        left = self._planned - self._clock()
        if not self.whole:
            return self._next_of_first(left)
        entry = self._next_entry(left)
        if entry is not None:
            return entry
        found = [self._probe(left) if left > 0 else None, self._next_trial(left)]
        fits = [fit for fit in found if fit is not None]
        return min(fits, key=lambda fit: self._had_after(fit.model), default=None)

    def _next_of_first(self, left: float) -> Fit | None:
        """Return the next fit while no model is whole."""
        first = self._first()
        if first is not None and (left <= 0 or self._admits(first, left)):
            entry = self._waiting_entry(first) or (self._next_entry(left) if left > 0 else None)
            return entry or (self._probe(left) if left > 0 else None)
        probe = self._probe(left)
        if probe is not None and (left > 0 or not self._running):
            return probe
        # Nothing is known to fit: the cheapest goes on all the same, else the first one.
        order = sorted(self._models, key=lambda model: (self._unknown(model), self._entry_s(model)))
        fits = (self._waiting_entry(model) for model in ([first] if first else order))
        return next((fit for fit in fits if fit is not None), None)

    def _waiting_entry(self, model: str) -> Fit | None:
        """Return the next waiting fit that the model needs to be whole."""
        return min((fit for fit in self._entry(model) if fit in self._waiting), default=None)

    def _probe(self, left: float) -> Fit | None:
        """Return the first fit of the first model of unknown cost, none of which runs."""
        busy = {fit.model for fit in self._running}
        if self.whole:
            busy |= set(filter(self._fails, self._models))
            part = PRESUMED / self.n_workers
            busy |= {
                model
                for model in self._models
                if part * self._presumed_s(model) * len(self._entry(model)) > left
            }
        unknown = [one for one in self._models if self._unknown(one) and one not in busy]
        unknown.sort(key=lambda model: self._costs[model].failures)
        fits = (self._waiting_entry(model) for model in unknown)
        return next((fit for fit in fits if fit is not None), None)

    def _next_entry(self, left: float) -> Fit | None:
        """Return the next fit of the cheapest model that is not whole yet, and fits."""
        whole = self.whole
        known = [one for one in self._models if one not in whole and not self._unknown(one)]
        for model in sorted(known, key=self._entry_s):
            fit = self._waiting_entry(model)
            if fit is not None and self._admits(model, left):
                return fit
        return None

    def _next_trial(self, left: float) -> Fit | None:
        """Return the next fit of the whole model that had the least time, if it fits."""
        for model in sorted([*self.whole, *filter(self._fails, self._models)], key=self._spent):
            fits = [fit for fit in self._waiting if fit.model == model]
            fit = min(fits, key=lambda one: (one.trial, one.split, one.fold), default=None)
            if fit is not None and self._rest_s(fit) <= left:
                return fit
        return None

    def _spent(self, model: str) -> float:
        """Return the time that a model has had, that of running fits included."""
        running = sum(fit.model == model for fit in self._running)
        return self._costs[model].spent + running * self._cost(model)

    def _had_after(self, model: str) -> float:
        """Return the time that a model will have had after one more fit."""
        return self._spent(model) + (self._cost(model) or self._presumed_s(model))

    def _presumed_s(self, model: str) -> float:
        """Return the presumed seconds of a fit of unknown cost, by those that are known."""
        known = [
            known / self._presumed[one]
            for one, costs in self._costs.items()
            if (known := costs.known) is not None
        ]
        return self._presumed[model] * min(known, default=0.0)

    def _rest_s(self, fit: Fit) -> float:
        """Return the seconds until a trial that is begun with this fit could be complete."""
        if fit[:3] in self._begun:
            return self._cost(fit.model)
        alike = sum(one[:3] == fit[:3] for one in self._waiting)
        return self._cost(fit.model) * math.ceil(alike / self.n_workers)
