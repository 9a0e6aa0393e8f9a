"""The search for settings: it asks Optuna, and tells it.

Each model on each split has a search of its own. The main process asks and tells; workers fit
folds. A trial is durable before the sampler is told of it; after an interruption the same trials
are asked again and the finished ones answered from the storage. Trial n is asked exactly when
trials 0 to n - concurrent_trials are told, with a sampler seeded for it alone, so that trials are the same
with any number of workers and after any interruption.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark import models
from benchmark.engine import npz_cache
from benchmark.engine.arrays import load_arrays
from benchmark.engine.processes import Task, WorkerLostError, Workers
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import score
from benchmark.search import pruning
from benchmark.search.fitting import FoldOutcome, Probabilities, fit_fold
from benchmark.search.storage import Plan, Trial, TrialStore, distributions, grid, storable
from benchmark.study import BASELINE, Range, derive_seed

if TYPE_CHECKING:
    import optuna

ASKED_AGAIN = 20
"""So many stored trials the sampler is asked for again, to see that they are the search's own. The
others it is told of as they are: to ask for 10,000 again takes as long as it did at first."""


Space = Mapping[str, "optuna.distributions.BaseDistribution"]


def _tpe(seed: int, space: Space) -> optuna.samplers.BaseSampler:
    import optuna

    class KnownSpaceSampler(optuna.samplers.TPESampler):
        """TPE that is told the space, which it would else seek among all trials, each time anew."""

        def infer_relative_search_space(
            self, study: optuna.Study, trial: optuna.trial.FrozenTrial
        ) -> dict[str, optuna.distributions.BaseDistribution]:
            del study, trial
            return {name: space[name] for name in sorted(space) if not space[name].single()}

    return KnownSpaceSampler(seed=seed, multivariate=True, constant_liar=True)


def _random(seed: int, space: Space) -> optuna.samplers.BaseSampler:
    import optuna

    del space
    return optuna.samplers.RandomSampler(seed=seed)


SAMPLERS: dict[str, Callable[[int, Space], Any]] = {
    "tpe": _tpe,
    "random": _random,
    "grid": _random,  # every trial of a grid is enqueued, so there is nothing to sample
}


@dataclass
class _Asked:
    """A trial under way."""

    params: dict[str, Any]
    sampled: dict[str, Any]
    handle: Any  # Optuna's live trial; None for a first trial that its space does not hold
    seed: int
    rival: pruning.Rival | None  # None where no trial is given up by its folds, or not yet
    outcomes: dict[int, FoldOutcome] = field(default_factory=dict)
    # By fold: the reason is that of the first fold, whichever failed first.
    errors: dict[int, str] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)  # by fold

    @property
    def given_up_after(self) -> int | None:
        """After how many of its first folds it is given up; None if it is not, or not yet."""
        if self.rival is None:
            return None
        first: list[float] = []
        while len(first) in self.scores:
            first.append(self.scores[len(first)])
            if self.rival.beats(first):
                return len(first)
        return None


class ModelSearch:
    """The search for one model's settings on one split.

    Parameters
    ----------
    plan : Plan
    store : TrialStore
        Where finished trials are kept.
    folds_cache : Path
        Where the probabilities of finished folds lie, so that neither an interruption nor the
        ensemble needs them fitted again.
    """

    def __init__(self, plan: Plan, store: TrialStore, folds_cache: Path) -> None:
        self.plan = plan
        self.trials: list[Trial] = []
        self.news = ""
        self._store = store
        self._cache = folds_cache / plan.key
        self._asked: dict[int, _Asked] = {}
        self._next = 0
        self._spent_s = 0.0
        self._best: Trial | None = None  # kept, since it is asked for after each trial

    def open(self) -> None:
        """Look up what is already known, and prepare the sampler to go through it again."""
        import optuna

        self._stored, self.news = self._store.study_of(self.plan)
        self._known = {trial.number: trial for trial in self._store.finished(self._stored)}
        self._space = distributions(self.plan.spec)
        self._decode = {
            name: {storable(value): value for value in entry}
            for name, entry in self.plan.spec.space.items()
            if not isinstance(entry, Range)
        }
        self._sampler_study = optuna.create_study(direction="maximize")
        self._enqueue()

    def _enqueue(self) -> None:
        """Put first what the study file wants tried first, and all of a grid."""
        first = self.plan.spec.initial
        stored = {name: storable(value) for name, value in first.items()}
        # A first setting outside the space is measured like any other, but the sampler, which knows
        # the space alone, can't learn from it.
        self._outside = not _lies_in(stored, self._space)
        if first and not self._outside:
            self._sampler_study.enqueue_trial(stored)
        points = grid(self.plan.spec) if self.plan.search.sampler == "grid" else []
        for params in points:
            if params != stored:
                self._sampler_study.enqueue_trial(params)
        extra = bool(points) and bool(first) and stored not in points
        self._total = self.plan.trial_count + int(extra)

    @property
    def total(self) -> int:
        """How many trials this search has when it is done, as far as is known."""
        return len(self.trials) if self._ended else self._total

    @property
    def done(self) -> bool:
        """Whether every trial has been told, or none was better for long enough."""
        return len(self.trials) >= self.total

    @property
    def _ended(self) -> bool:
        """Whether as many trials as the study's patience have brought nothing better."""
        patience, best = self.plan.search.patience, self.best
        return (
            patience is not None
            and best is not None
            and len(self.trials) - 1 - best.number >= patience
        )

    @property
    def resumed(self) -> int:
        """How many trials of this search an earlier run has left."""
        return min(len(self._known), self.total)

    @property
    def best(self) -> Trial | None:
        """The told trial with the highest score, the earliest of equals; None without one.

        A cut trial has learned less than the others and is not ranked with them.
        """
        return self._best

    def advance(self, workers: Workers) -> Iterator[Trial]:
        """Tell what can be told, ask what may be asked, and yield each trial as it is told."""
        while not self.done:
            while self._next < min(
                self.total, len(self.trials) + self.plan.search.concurrent_trials
            ):
                self._ask(self._next, workers)
                self._next += 1
            number = len(self.trials)
            if not self._is_finished(number):
                return
            yield self._tell(number)
        # Trials that were asked before patience ended are not told.
        workers.withdraw(lambda label: label[0] is self)

    def accept(self, task: Task, workers: Workers) -> None:
        """Take a fold that a worker has finished, or could not.

        Raises
        ------
        BenchmarkError
            If the machine is at fault, and not the setting: a trial that another machine can fit is
            no failed one.
        """
        _, number, fold = task.label
        asked = self._asked.get(number)
        if asked is None or self.done or asked.given_up_after is not None:
            return
        if isinstance(task.error, MemoryError | WorkerLostError):
            settings = json.dumps(asked.params)
            raise task.failure(
                f"{self.plan.split} {self.plan.model}: trial {number}, {settings}, could not be "
                f"fitted on fold {fold}"
            ) from task.error
        if task.error is not None:
            name = type(task.error).__name__.removesuffix("Error")
            text = str(task.error).strip().splitlines() or [""]
            asked.errors[fold] = f"fold {fold}: {name}: {text[0]}"
            return
        self._spent_s += task.result.seconds
        self._take(asked, fold, task.result)
        self._save_fold(number, fold, task.result)
        if asked.given_up_after is not None:
            workers.withdraw(lambda label: label[:2] == (self, number))

    def _take(self, asked: _Asked, fold: int, outcome: FoldOutcome) -> None:
        asked.outcomes[fold] = outcome
        asked.scores[fold] = self._fold_score(fold, outcome.probabilities)

    def out_of_fold(self, number: int, workers: Workers) -> list[Probabilities]:
        """Return a trial's probabilities for each fold's validation rows, fitted again if lost.

        Those of a model that is searched without probabilities are fitted for the vote alone.
        """
        return self.all_out_of_fold([number], workers)[0]

    def all_out_of_fold(
        self, numbers: Sequence[int], workers: Workers
    ) -> list[list[Probabilities]]:
        """Return `out_of_fold` of several trials; what is lost of them is fitted side by side."""
        searching = not models.MODELS[self.plan.model].decides
        folds = range(self.plan.n_folds)
        found = {
            (number, fold): self._load_fold(number, fold, searching)
            for number in numbers
            for fold in folds
        }
        for (number, fold), outcome in found.items():
            if outcome is None:
                self._submit(workers, number, self.trials[number].params, fold, searching)
        for task in workers.drain():
            _, number, fold = task.label
            if task.error is not None:
                raise task.failure(
                    f"{self.plan.split} {self.plan.model}: trial {number} could not be fitted "
                    f"again for the vote, on fold {fold}"
                ) from task.error
            found[number, fold] = task.result
            self._save_fold(number, fold, task.result, searching)
        whole = {place: outcome for place, outcome in found.items() if outcome is not None}
        return [[whole[number, fold].probabilities for fold in folds] for number in numbers]

    def best_trials(self, count: int) -> list[Trial]:
        """Return so many complete trials, the best first."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return sorted(complete, key=_rank, reverse=True)[:count]

    def _ask(self, number: int, workers: Workers) -> None:
        spec, offset = self.plan.spec, int(self._outside)
        seed = self._seed(number)
        if number < offset:
            params, sampled, handle = {**spec.fixed, **spec.initial}, {}, None
        else:
            handle = self._handle(number)
            sampled = dict(handle.params)
            decoded = {name: self._decode.get(name, {}).get(v, v) for name, v in sampled.items()}
            params = {**spec.fixed, **decoded}
        asked = _Asked(params, sampled, handle, seed, self._rival(number))
        self._asked[number] = asked
        known = self._known.get(number)
        if known is not None:
            self._compare(known, asked)
            return
        for fold in range(self.plan.n_folds):
            outcome = self._load_fold(number, fold)
            if outcome is not None:
                self._take(asked, fold, outcome)
        for fold in range(self.plan.n_folds):
            if asked.given_up_after is None and fold not in asked.outcomes:
                self._submit(workers, number, params, fold)

    def _handle(self, number: int) -> optuna.Trial:
        """Return Optuna's live trial: sampled, or one that is stored as it was sampled then."""
        name, known = self.plan.search.sampler, self._known.get(number)
        if known is not None and number >= ASKED_AGAIN and name != "grid":
            self._sampler_study.enqueue_trial(known.sampled)
            name = "random"  # nothing is left to sample
        purpose = (self.plan.stream, self.plan.model, "ask", number)
        seed = derive_seed(self.plan.seed, *purpose)
        self._sampler_study.sampler = SAMPLERS[name](seed, self._space)
        return self._sampler_study.ask(self._space)

    def _told_before(self, number: int) -> list[Trial]:
        """Return the trials that were told when trial `number` was asked."""
        return self.trials[: max(0, number - self.plan.search.concurrent_trials + 1)]

    def _rival(self, number: int) -> pruning.Rival | None:
        if not self.plan.cuts_folds:
            return None
        told = self._told_before(number)
        return pruning.rival([trial.scores for trial in told if trial.state == "complete"])

    def _thresholds(self, number: int, fold: int) -> dict[int, float] | None:
        if not self.plan.cuts_epochs:
            return None
        return pruning.thresholds([trial.rungs for trial in self._told_before(number)], fold)

    def _seed(self, number: int) -> int:
        return derive_seed(self.plan.seed, self.plan.stream, self.plan.model, "fit", number)

    def _submit(
        self,
        workers: Workers,
        number: int,
        params: dict[str, Any],
        fold: int,
        searching: bool = True,
    ) -> None:
        plan = self.plan
        seed = derive_seed(self._seed(number), fold)
        # The floor goes first, then the search that had least time; later folds of a first trial,
        # or of one that may be given up, go last.
        later = fold if number == 0 or (plan.cuts_folds and searching) else 0
        later = -1 if plan.model == BASELINE else later
        workers.submit(
            fit_fold, plan.arrays, plan.model, params, seed, fold, self._thresholds(number, fold),
            searching, label=(self, number, fold),
            limit_s=plan.search.fit_timeout_s if searching else None,
            priority=(later, self._spent_s),
        )  # fmt: skip

    def _compare(self, known: Trial, asked: _Asked) -> None:
        if known.params != asked.params or known.seed != asked.seed:
            raise BenchmarkError(
                f"{self._stored.study_name}: the stored trial {known.number} is not the one that "
                "this study asks for. The storage was changed by something else; give another one "
                "with --storage."
            )

    def _is_finished(self, number: int) -> bool:
        asked = self._asked[number]
        return (
            number in self._known
            or asked.given_up_after is not None
            or len(asked.outcomes) + len(asked.errors) == self.plan.n_folds
        )

    def _tell(self, number: int) -> Trial:
        """Make a finished trial durable, then tell the sampler."""
        import optuna

        asked = self._asked.pop(number)
        trial = self._known.get(number)
        if trial is None:
            trial = self._measured(number, asked)
            self._store.keep(self._stored, self.plan, trial)
        if asked.handle is not None:
            failed = trial.state == "failed"
            state = optuna.trial.TrialState.FAIL if failed else None
            self._sampler_study.tell(asked.handle, None if failed else trial.score, state=state)
        self.trials.append(trial)
        if trial.state == "complete" and (self._best is None or _rank(trial) > _rank(self._best)):
            self._best = trial
        return trial

    def _measured(self, number: int, asked: _Asked) -> Trial:
        first = asked.given_up_after  # what came in of its other folds counts for nothing
        folds = sorted(asked.outcomes) if first is None else range(first)
        outcomes = [asked.outcomes[fold] for fold in folds]
        seconds = sum(outcome.seconds for outcome in outcomes)
        reason = asked.errors[min(asked.errors)] if asked.errors and first is None else ""
        scores = () if reason else tuple(asked.scores[fold] for fold in folds)
        by_epochs = self.plan.by_epochs and not reason
        estimate = None
        if first is not None and asked.rival is not None:
            estimate = float(np.mean(asked.rival.scores)) + asked.rival.lead(scores)
        return Trial(
            number,
            asked.params,
            asked.sampled,
            scores,
            seconds,
            asked.seed,
            reason,
            epochs=tuple(outcome.epochs for outcome in outcomes) if by_epochs else (),
            rungs=tuple(outcome.rungs for outcome in outcomes) if by_epochs else (),
            cut=first is not None or 2 * sum(outcome.cut for outcome in outcomes) > len(outcomes),
            estimate=estimate,
        )

    def fold_scores(self, out_of_fold: Sequence[Probabilities]) -> tuple[float, ...]:
        """Return the metric on each fold, given the probabilities for its validation rows."""
        return tuple(
            self._fold_score(fold, probabilities) for fold, probabilities in enumerate(out_of_fold)
        )

    def _fold_score(self, fold: int, probabilities: Probabilities) -> float:
        data = load_arrays(self.plan.arrays)
        predicted = np.array(self.plan.emotions)[probabilities.argmax(axis=1)]
        truth = data.emotions[data.validation_rows(fold)]
        return score(self.plan.search.metric, truth, predicted, self.plan.emotions)

    def _fold_path(self, number: int, fold: int, searching: bool) -> Path:
        return self._cache / f"trial_{number:04d}_fold_{fold}{'' if searching else '_vote'}.npz"

    def _save_fold(
        self, number: int, fold: int, outcome: FoldOutcome, searching: bool = True
    ) -> None:
        learned: dict[str, Any] = {}
        if outcome.epochs:
            learned = {"epochs": outcome.epochs, "history": outcome.history, "cut": outcome.cut}
        path = self._fold_path(number, fold, searching)
        npz_cache.save(
            path, probabilities=outcome.probabilities, seconds=outcome.seconds, **learned
        )

    def _load_fold(self, number: int, fold: int, searching: bool = True) -> FoldOutcome | None:
        """Return a fold of an earlier run; None if its file is missing or damaged."""
        found = npz_cache.load(self._fold_path(number, fold, searching))
        if found is None:
            return None
        learned = (
            (int(found["epochs"]), tuple(found["history"].tolist()), bool(found["cut"]))
            if "epochs" in found
            else ()
        )
        return FoldOutcome(found["probabilities"], float(found["seconds"]), *learned)


def _rank(trial: Trial) -> tuple[float, int]:
    """Return by what trials are ranked, the best highest: the score, the earliest of equals."""
    # Rounded, since the order in which a mean is summed must not choose among equals.
    return round(trial.score, 9), -trial.number


def _lies_in(
    params: Mapping[str, Any], space: Mapping[str, optuna.distributions.BaseDistribution]
) -> bool:
    """Whether Optuna could have chosen these parameters from the space."""
    import optuna

    if not set(params) <= set(space):
        return False
    held = {name: space[name] for name in params}
    try:
        optuna.trial.create_trial(value=0.0, params=dict(params), distributions=held)
    except ValueError:
        return False
    return True


def run_searches(
    searches: Sequence[ModelSearch],
    workers: Workers,
    on_trial: Callable[[ModelSearch, Trial], None],
    until: Callable[[], float] = lambda: float("inf"),
) -> None:
    """Run searches side by side in one pool until each is done, or the time is over.

    Parameters
    ----------
    searches : sequence of ModelSearch
        Opened.
    workers : Workers
        Tasks of others may be in it, if their labels begin with whoever has `accept` and `advance`.
    on_trial : callable
        Called with each trial once it is durable, in each search's own order.
    until : callable
        Returns, by the monotonic clock, when the searches are to end; what is under way then is
        given up, and its finished folds are kept.
    """

    def advance(search: ModelSearch) -> None:
        for trial in search.advance(workers):
            on_trial(search, trial)

    # Floors first: there is a result as soon as they are measured, however slow the others are.
    for search in sorted(searches, key=lambda found: found.plan.model != BASELINE):
        advance(search)
    while (task := workers.next_done(until())) is not None:
        task.label[0].accept(task, workers)
        advance(task.label[0])
    workers.abandon()
