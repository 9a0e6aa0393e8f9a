"""The search with progress: what a user sees of it, and what a time budget leaves unfinished."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.console import Bar, Console
from benchmark.engine.processes import TaskQueue, Workers
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import UnfinishedSearch
from benchmark.search.budget import Budget, TimedWorkers, unfinished_searches
from benchmark.search.search import ModelSearch, run_searches
from benchmark.search.trial import Trial

RECENT = 100
"""Last trials of a search from whose durations the remaining time is estimated."""

OnTrial = Callable[[ModelSearch, Trial], None]


@dataclass(frozen=True)
class Searched:
    """Finished searches.

    Attributes
    ----------
    searches : sequence of ModelSearch
        Those with a complete trial.
    unfinished : tuple of UnfinishedSearch, or None
        Searches that the time budget ended early; None without a budget.
    """

    searches: Sequence[ModelSearch]
    unfinished: tuple[UnfinishedSearch, ...] | None = None


def search(
    searches: Sequence[ModelSearch],
    workers: Workers,
    budget: Budget | None,
    on_trial: OnTrial,
    console: Console,
) -> Searched:
    """Run all searches, showing each completed trial and the time left.

    Parameters
    ----------
    searches : sequence of ModelSearch
        Opened.
    workers : Workers
    budget : Budget or None
    on_trial : callable
        Called with each completed trial.
    console : Console

    Raises
    ------
    BenchmarkError
        If all trials of a model failed.
    """
    _report_resumed(searches, console)
    timed = None if budget is None else TimedWorkers(workers, searches, budget)
    queue: TaskQueue = timed or workers
    with console.bars(timed=False) as bars:
        overall = bars.add("all searches", sum(one.total for one in searches))
        by_search: dict[int, Bar] = {
            id(one): bars.add(f"{one.plan.split} {one.plan.model}", one.total) for one in searches
        }

        def show(one: ModelSearch, trial: Trial) -> None:
            metric = METRICS[one.plan.search.metric].utility_title
            note = f"best {metric} {one.best.score:.3f}" if one.best else f"failed: {trial.reason}"
            by_search[id(one)].update(len(one.trials), one.total, note)
            done, total = sum(len(s.trials) for s in searches), sum(s.total for s in searches)
            left_s = _seconds_left(searches, workers.count)
            if timed is not None:
                left_s = min(left_s, timed.until - time.monotonic())
            overall.update(done, total, _time_left(left_s) if done < total else "refitting")
            result = trial.reason or f"{metric} {trial.score:.3f}"
            console.step(
                f"{one.plan.split} {one.plan.model} trial {trial.number}: {trial.state}, {result}, "
                f"{trial.seconds:.1f} s"
            )
            on_trial(one, trial)

        run_searches(searches, queue, show)
    for one in searches:
        if one.best is None and one.done:
            raise BenchmarkError(
                f"{one.plan.split} {one.plan.model}: all {one.total} trials failed, the first "
                f"with: {one.trials[0].reason}. Change [models.{one.plan.model}] or the recordings."
            )
    if budget is None or timed is None:
        return Searched(searches)
    console.info(
        f"time budget of {60 * budget.minutes:.0f} s: the search ends after "
        f"{time.monotonic() - budget.began:.0f} s; what follows takes about {timed.after_s:.0f} s"
    )
    return _within_budget(searches, console)


def _report_resumed(searches: Sequence[ModelSearch], console: Console) -> None:
    for difference in dict.fromkeys(one.difference for one in searches if one.difference):
        names = [
            f"{one.plan.split} {one.plan.model}" for one in searches if one.difference == difference
        ]
        console.info(
            f"new searches ({', '.join(names)}), because of: {difference}. Earlier trials stay "
            "stored."
        )
    distrusted = sum(one.distrusted for one in searches)
    if distrusted:
        console.warning(
            f"{distrusted} stored trials were changed, or differ from their folds in "
            "features_cache: they are computed again"
        )
    resumed = sum(one.resumed for one in searches)
    if resumed:
        console.info(f"{resumed} finished trials of an earlier run are reused")


def _within_budget(searches: Sequence[ModelSearch], console: Console) -> Searched:
    """Return the searches with a complete trial, and report what the budget left unfinished."""
    unfinished = unfinished_searches(searches)
    missing = {one.plan.model for one in searches if one.best is None}
    by_model: dict[str, list[UnfinishedSearch]] = defaultdict(list)
    for one in unfinished:
        by_model[one.model].append(one)
    for model, left in by_model.items():
        if model in missing:
            console.warning(f"left out, without a complete trial on every split: {model}")
            continue
        fewest, most = (pick(one.completed for one in left) for pick in (min, max))
        completed = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        splits = f" on {len(left)} splits" if len(left) > 1 else ""
        console.warning(
            f"not finished in time: {model}, {completed} of {left[0].requested} trials{splits}"
        )
    return Searched([one for one in searches if one.plan.model not in missing], unfinished)


def _seconds_left(searches: Sequence[ModelSearch], workers: int) -> float:
    """Return the remaining time, estimated from recent trials; infinity if unknown."""
    seconds = 0.0
    for one in searches:
        remaining = one.total - len(one.trials)
        alike = [s for s in searches if s.plan.model == one.plan.model and s.trials]
        recent = [one] if one.trials else alike
        durations = [trial.seconds for s in recent for trial in s.trials[-RECENT:]]
        if remaining and not durations:
            return float("inf")
        seconds += remaining * float(np.median(durations)) / workers if remaining else 0.0
    return seconds


def _time_left(seconds: float) -> str:
    """Return a remaining time in words; empty for none or an unknown one."""
    if seconds == float("inf"):
        return ""
    if seconds < 90:
        return f"about {seconds:.0f} s left" if seconds > 0 else ""
    return f"about {seconds / 60:.0f} min left"
