"""The time budget of a run: workers whose next fit a schedule chooses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmark.engine.processes import Task, Workers
from benchmark.evaluation.results import UnfinishedSearch
from benchmark.models import Model
from benchmark.search.refit import REFITTED_LIBRARY, Refits
from benchmark.search.schedule import Fit, Schedule
from benchmark.search.search import ModelSearch
from benchmark.study import BASELINE

LOOK_S = 1.0
"""Seconds between looks at running fits, whose models may turn out not to fit."""


class Closing(Protocol):
    """What follows the search: it is tried once, so that its duration is known."""

    def begin(self, searches: Sequence[ModelSearch]) -> None:
        """Try it beside the search, on the first models with complete trials."""

    def estimate(self, n_models: int) -> float:
        """Return its estimated seconds with so many models, ensembles included."""

    @property
    def running(self) -> bool:
        """Whether the trial goes on, and takes the time of a core."""


@dataclass(frozen=True)
class Budget:
    """The time budget of a run.

    Attributes
    ----------
    minutes : float
    began : float
        Start of the run by the monotonic clock.
    closing : Closing
    refits : Refits
    fractions : tuple of float
        Of the learning curves after the search; empty for none.
    n_ensembles : int
    voters : int
        The most trials of a split that are refitted for greedy ensembles, beside the best ones.
    """

    minutes: float
    began: float
    closing: Closing
    refits: Refits
    fractions: tuple[float, ...] = ()
    n_ensembles: int = 0
    voters: int = 0


class TimedWorkers:
    """The workers of a search with a time budget: a schedule chooses which fit starts next.

    Baselines and refits do not wait for their turn.

    Parameters
    ----------
    workers : Workers
    searches : sequence of ModelSearch
        Opened.
    budget : Budget
    """

    def __init__(self, workers: Workers, searches: Sequence[ModelSearch], budget: Budget) -> None:
        self._workers = workers
        self._searches = searches
        self._learners = [one for one in searches if one.plan.model != BASELINE]
        self._baselines = [one for one in searches if one.plan.model == BASELINE]
        self._budget = budget
        self._calls: dict[Fit, Callable[[], object]] = {}  # that wait, or were stopped
        self._stopped: set[Fit] = set()
        self._complete: set[tuple[str, str]] = set()  # models and splits
        self._tried = False
        entries = {one.plan.model: one.plan.entry for one in self._learners}
        n_folds = max((one.plan.n_folds for one in searches), default=2)
        self.schedule = Schedule(
            models={name: entry.relative_cost for name, entry in entries.items()},
            n_splits=len({one.plan.split for one in searches}),
            n_folds=n_folds,
            n_workers=workers.count,
            ends=budget.began + 60 * budget.minutes,
            budget_s=60 * budget.minutes,
            clock=time.monotonic,
            closing=lambda n: budget.closing.estimate(1 + n + budget.n_ensembles * (n > 1)),
            refits=self._refits_of(entries, n_folds),
            fits_after=n_folds * sum(budget.fractions),
            voters=budget.voters,
        )

    def _refits_of(self, entries: Mapping[str, Model], n_folds: int) -> dict[str, float]:
        """Return by model the fits with probabilities that follow the search on each split."""
        again = n_folds * (REFITTED_LIBRARY if self._budget.voters else 1)
        return {name: 1 + again * entry.labels_only for name, entry in entries.items()}

    @property
    def until(self) -> float:
        """When the searches have to end by the monotonic clock."""
        if not self._learners and not all(one.done for one in self._baselines):
            return float("inf")
        return self.schedule.until

    @property
    def after_s(self) -> float:
        """The estimated seconds of what follows the search."""
        return self.schedule.after_s

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        label: Any = None,
        limit_s: float | None = None,
        priority: tuple[float, ...] = (0.0,),
    ) -> None:
        """Queue one call; a fit of the search waits for its turn."""

        def call() -> Task:
            return self._workers.submit(
                function, *arguments, label=label, limit_s=limit_s, priority=priority
            )

        fit = _fit(label)
        if fit is None:
            call()
        else:
            self._calls[fit] = call
            self.schedule.submit(fit)

    def withdraw(self, unwanted: Callable[[Any], bool]) -> None:
        """Remove the waiting tasks whose labels are `unwanted`; see `Workers.withdraw`."""
        searches = {(one.plan.model, one.plan.split): one for one in self._learners}
        fits = [fit for fit in self._calls if unwanted((searches[fit[:2]], *fit[2:]))]
        self.schedule.withdraw(fits)
        for fit in fits:
            del self._calls[fit]
        self._workers.withdraw(unwanted)

    def next_done(self, until: float = float("inf")) -> Task | None:
        """Return the next finished task; None if no task is left or may start, or at the end.

        The end is `until`, or that of the schedule, which moves while a task is waited for.
        """
        while True:
            self._learn()
            self._stopped.update(self.schedule.hopeless())
            self._workers.stop(lambda label: _fit(label) in self._stopped)
            self._fill()
            ends = min(until, self.until)
            task = self._workers.next_done(min(ends, time.monotonic() + LOOK_S))
            if task is None:
                if time.monotonic() >= ends or not self._workers.pending:
                    return None
                continue
            fit = _fit(task.label)
            if fit is None:
                if isinstance(task.label[0], Refits) and task.error is None:
                    self.schedule.refitted(task.label[2], task.seconds)
                return task
            stopped = fit in self._stopped and task.stopped and task.error is not None
            self._stopped.discard(fit)
            if stopped:
                self.schedule.stop(fit)
                continue
            self._calls.pop(fit, None)
            self.schedule.end(fit, task.seconds, failed=task.error is not None)
            self._fill()  # before the result is looked at: the worker is free
            return task

    def abandon(self) -> None:
        """Remove all waiting tasks and stop the running ones; the workers stay usable."""
        self._calls.clear()
        self._workers.abandon()

    def _fill(self) -> None:
        """Start fits while a worker is free."""
        self.schedule.n_workers = self._workers.count
        # The rehearsal takes a core, as what it rehearses will.
        free = max(1, self._workers.count - self._budget.closing.running)
        while self._workers.pending < free:
            fit = self.schedule.start_next()
            if fit is None:
                return
            self._calls[fit]()

    def _learn(self) -> None:
        """Tell the schedule of complete trials; try the closing and a refit of each model once."""
        for search in self._learners:
            name, best = search.plan.model, search.best
            if best is None or (name, search.plan.split) in self._complete:
                continue
            if name not in {model for model, _ in self._complete}:
                self._budget.refits.begin(search, self)
            self._complete.add((name, search.plan.split))
            self.schedule.complete(name, search.plan.split, best.seconds / len(best.scores))
        if not self._tried and self.schedule.whole:
            self._tried = True
            named = {BASELINE, *self.schedule.whole}
            tried = [one for one in self._searches if one.plan.model in named]
            self._budget.closing.begin(tried)


def _fit(label: Any) -> Fit | None:
    """Return the fit of a task's label; None for a baseline, or another task."""
    if not isinstance(label[0], ModelSearch) or label[0].plan.model == BASELINE:
        return None
    search, trial, fold = label
    return Fit(search.plan.model, search.plan.split, trial, fold)


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
