"""A search with a time budget ends with models and in time: declared costs, a simulated clock."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from benchmark.search.schedule import Fit, Schedule

COSTS = {
    "lda": 0.05,
    "logistic_regression": 0.3,
    "random_forest": 0.8,
    "svc": 2.5,
    "mlp": 6.0,
    "gradient_boosting": 45.0,
}
"""Seconds of a fit: six models of very unequal cost."""

N_SPLITS, N_FOLDS = 2, 3
N_TRIALS = 50
CLOSING_S = 0.6
"""Of each model: votes, predictions and pages."""

BUDGETS = (15, 30, 60, 240, 1200, 7200)
WORKERS = (1, 2, 3, 4, 8)


@dataclass
class Run:
    """A simulated run: its schedule is the one of real searches, its fits only take time.

    Parameters
    ----------
    order : sequence of str
        In which models are tried first.
    slower : float
        Factor of all durations after the first third of the budget: a load comes.
    failing : str
        The model all of whose fits fail.
    """

    budget_s: float
    n_workers: int
    costs: Mapping[str, float]
    order: Sequence[str]
    began_s: float = 0.0
    slower: float = 1.0
    failing: str = ""
    now: float = 0.0
    whole: list[str] = field(default_factory=list)
    completed: dict[tuple[str, str], int] = field(default_factory=dict)
    busy_s: dict[str, float] = field(default_factory=dict)
    stops: dict[str, int] = field(default_factory=dict)
    searched_s: float = 0.0

    def __post_init__(self) -> None:
        self.now = self.began_s
        self.noise = np.random.default_rng(0)
        presumed = {model: 2.0**number for number, model in enumerate(self.order)}
        self.schedule = Schedule(
            presumed, N_SPLITS, N_FOLDS, self.n_workers, self.budget_s, self.budget_s,
            lambda: self.now, self._closing,
        )  # fmt: skip

    def _closing(self, n_models: int) -> float:
        return CLOSING_S * n_models * self._load

    @property
    def _load(self) -> float:
        return self.slower if self.now > self.budget_s / 3 else 1.0

    def _duration(self, model: str) -> float:
        return float(self.costs[model] * self.noise.uniform(0.8, 1.25) * self._load)

    def to_its_end(self) -> Run:
        """Search until the schedule says, then refit and close."""
        open_folds: dict[tuple[str, str, int], int] = {}
        ends: list[tuple[float, Fit, float]] = []

        def submit(model: str, split: str, trial: int) -> None:
            open_folds[model, split, trial] = N_FOLDS
            for fold in range(N_FOLDS):
                self.schedule.submit(Fit(model, split, trial, fold))

        for model in self.order:
            for split in range(N_SPLITS):
                submit(model, str(split), 0)
        while self.now < self.schedule.until:
            for fit in self.schedule.hopeless():
                self.schedule.stop(fit)
                self.stops[fit.model] = self.stops.get(fit.model, 0) + 1
                (entry,) = (one for one in ends if one[1] == fit)
                ends.remove(entry)
                self._had(fit.model, self.now - entry[2])
            heapq.heapify(ends)
            while len(ends) < self.n_workers and (fit := self.schedule.start_next()):
                heapq.heappush(ends, (self.now + self._duration(fit.model), fit, self.now))
            if not ends:
                break
            step = min(ends[0][0], self.now + 1.0, self.schedule.until)  # looked at every second
            self.now = max(step, self.now)
            if ends[0][0] > self.now:
                continue
            _, fit, began = heapq.heappop(ends)
            failed = fit.model == self.failing
            self.schedule.end(fit, self.now - began, failed=failed)
            self._had(fit.model, self.now - began)
            model, split, trial, _ = fit
            open_folds[model, split, trial] -= 1
            if open_folds[model, split, trial] == 0:
                if not failed:
                    self.completed[model, split] = trial + 1
                    self.schedule.complete(model, split, self.now - began)
                if trial + 1 < N_TRIALS:
                    submit(model, split, trial + 1)
            self.whole += [one for one in self.schedule.whole if one not in self.whole]
        for _, fit, began in ends:
            self._had(fit.model, self.now - began)
        self.searched_s = self.now
        self._close()
        return self

    def _had(self, model: str, seconds: float) -> None:
        self.busy_s[model] = self.busy_s.get(model, 0.0) + seconds

    def _close(self) -> None:
        """Refit each model on each split, the longest first; then make the pages."""
        refits = sorted(
            (
                self._duration(model) * N_FOLDS / (N_FOLDS - 1)
                for model in self.whole
                for _ in range(N_SPLITS)
            ),
            reverse=True,
        )
        free = [self.now] * self.n_workers
        for seconds in refits:
            heapq.heapreplace(free, free[0] + seconds)
        self.now = max(free) + self._closing(len(self.whole))

    def least_s(self, model: str) -> float:
        """The fewest seconds in which a run could end with a model alone."""
        fits = math.ceil(N_FOLDS * N_SPLITS / self.n_workers)
        refits = math.ceil(N_SPLITS / self.n_workers) * N_FOLDS / (N_FOLDS - 1)
        seconds = self.costs[model] * 1.25 * (fits + refits) + CLOSING_S
        return self.began_s + seconds * self.slower


CHEAPEST_FIRST = tuple(COSTS)
DEAREST_FIRST = CHEAPEST_FIRST[::-1]

budgets = pytest.mark.parametrize("budget_s", BUDGETS)
workers = pytest.mark.parametrize("n_workers", WORKERS)
orders = pytest.mark.parametrize(
    "order", [CHEAPEST_FIRST, DEAREST_FIRST], ids=["cheapest", "dearest"]
)


@cache
def run(budget_s: float, n_workers: int, order: Sequence[str], **changes: float) -> Run:
    return Run(budget_s, n_workers, COSTS, order, **changes).to_its_end()


@orders
@workers
@budgets
def test_a_budget_of_any_size_ends_with_models_and_in_time(
    budget_s: float, n_workers: int, order: Sequence[str]
) -> None:
    ended = run(budget_s, n_workers, order)
    assert ended.whole
    assert ended.now <= 1.1 * budget_s


@workers
@budgets
def test_the_cheapest_model_is_whole_first_if_it_is_tried_first(
    budget_s: float, n_workers: int
) -> None:
    assert run(budget_s, n_workers, CHEAPEST_FIRST).whole[0] == "lda"


@workers
@pytest.mark.parametrize("began_s", [14.5, 60.0])
def test_a_budget_that_preparation_has_used_up_still_ends_with_the_cheapest_model(
    n_workers: int, began_s: float
) -> None:
    ended = run(15, n_workers, CHEAPEST_FIRST, began_s=began_s)
    assert ended.whole == ["lda"]
    assert ended.now <= ended.least_s("lda") + COSTS["logistic_regression"]


@orders
@workers
@pytest.mark.parametrize("budget_s", [15, 60])
def test_fits_that_the_budget_does_not_hold_end_with_one_model_all_the_same(
    budget_s: float, n_workers: int, order: Sequence[str]
) -> None:
    slow = {model: 200 * seconds for model, seconds in COSTS.items()}
    ended = Run(budget_s, n_workers, slow, order).to_its_end()
    all_of_one = [model for model in COSTS if ended.completed.get((model, "0"))]
    assert len(ended.whole) == 1
    assert ended.whole[0] in all_of_one
    assert sum(ended.stops.values()) <= len(COSTS) * n_workers


@workers
def test_a_model_whose_trials_fail_has_no_more_than_its_share(n_workers: int) -> None:
    ended = Run(60, n_workers, COSTS, CHEAPEST_FIRST, failing="lda").to_its_end()
    assert "lda" not in ended.whole
    assert ended.whole[0] == "logistic_regression"
    assert ended.busy_s["lda"] <= 1.5 * ended.busy_s["logistic_regression"]
    assert ended.now <= 66


@workers
@pytest.mark.parametrize("budget_s", [15, 30, 60, 240])
def test_time_is_shared_equally_and_a_model_that_does_not_fit_has_less(
    budget_s: float, n_workers: int
) -> None:
    ended = run(budget_s, n_workers, CHEAPEST_FIRST)
    busy = {model: ended.busy_s[model] for model in ended.whole if model != "lda"}
    all_s = sum(ended.busy_s.values())
    unfinished = [busy[model] for model in busy if ended.completed[model, "0"] < N_TRIALS]
    entry_s = max(COSTS[model] * 1.25 * N_FOLDS * N_SPLITS for model in busy)
    assert max(busy.values()) <= min(unfinished) + entry_s
    assert sum(ended.busy_s.get(one, 0) for one in COSTS if one not in ended.whole) < 0.4 * all_s
    assert sum(ended.busy_s.values()) > 0.8 * n_workers * ended.searched_s


@workers
@budgets
def test_a_load_that_comes_later_delays_the_end_by_no_more_than_itself(
    budget_s: float, n_workers: int
) -> None:
    assert run(budget_s, n_workers, CHEAPEST_FIRST, slower=1.3).now <= 1.1 * budget_s


@workers
def test_the_search_goes_on_while_trials_fit_and_ends_when_there_are_none(n_workers: int) -> None:
    used = [run(budget_s, n_workers, CHEAPEST_FIRST).now / budget_s for budget_s in (60, 240)]
    assert min(used) > 0.9
