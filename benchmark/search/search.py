"""Hyperparameter search with Optuna's ask-and-tell interface.

Each model on each split has its own search. The main process samples trials; workers fit folds. A
trial is stored before the sampler receives it; after an interruption the same trials are requested
again and the finished ones read from the storage. Trial n is requested exactly when trials 0 to
n - concurrent_trials are completed, with a sampler seeded for it alone, so that trials do not
depend on the number of workers or on interruptions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.data.prepared import Prepared
from benchmark.data.split_tables import SplitTables
from benchmark.engine import npz_cache
from benchmark.engine.arrays import load_arrays
from benchmark.engine.processes import Task, TaskQueue, WorkerLostError, Workers
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import score
from benchmark.search import pruning
from benchmark.search.fitting import FoldResult, Probabilities, fit_fold, validated_corpora
from benchmark.search.plan import Plan
from benchmark.search.plugins import plugins_of
from benchmark.search.samplers import SAMPLERS, contains, distributions, random_sampler, storable
from benchmark.search.storage import TrialStorage
from benchmark.search.trial import Trial
from benchmark.study import BASELINE, ModelSettings, Range, Study, derive_seed

if TYPE_CHECKING:
    import optuna

RESAMPLED = 20
"""Stored trials that are sampled again and compared with their fold files, to check that they
belong to the search. Later ones are taken as they are if their digests match: sampling 10,000 again
would take as long as at first."""


@dataclass
class _RunningTrial:
    """A requested trial that is not completed."""

    params: dict[str, Any]
    sampled: dict[str, Any]
    handle: Any  # Optuna's live trial; None for initial parameters outside the space
    seed: int
    rival: pruning.Rival | None  # None if no trial is pruned by its folds, or not yet
    results: dict[int, FoldResult] = field(default_factory=dict)  # by fold
    errors: dict[int, str] = field(default_factory=dict)  # by fold
    scores: dict[int, float] = field(default_factory=dict)  # by fold

    @property
    def pruned_after(self) -> int | None:
        """The number of first folds after which it is pruned; None if it is not, or not yet."""
        if self.rival is None:
            return None
        first: list[float] = []
        while len(first) in self.scores:
            first.append(self.scores[len(first)])
            if self.rival.beats(first):
                return len(first)
        return None

    def completed(self, number: int) -> Trial:
        """Return the record of the trial, all of whose needed folds have ended."""
        first = self.pruned_after  # results of later folds are ignored
        folds = sorted(self.results) if first is None else range(first)
        results = [self.results[fold] for fold in folds]
        # The reason is that of the first fold, whichever failed first.
        reason = self.errors[min(self.errors)] if self.errors and first is None else ""
        scores = () if reason else tuple(self.scores[fold] for fold in folds)
        by_epochs = not reason and any(result.epochs for result in results)
        estimate = None
        if first is not None and self.rival is not None:
            estimate = float(np.mean(self.rival.scores)) + self.rival.lead(scores)
        return Trial(
            number,
            self.params,
            self.sampled,
            scores,
            sum(result.seconds for result in results),
            self.seed,
            reason,
            epochs=tuple(result.epochs for result in results) if by_epochs else (),
            rungs=tuple(result.rungs for result in results) if by_epochs else (),
            pruned=first is not None or 2 * sum(one.pruned for one in results) > len(results),
            estimate=estimate,
        )


class ModelSearch:
    """The search of one model on one split.

    Parameters
    ----------
    plan : Plan
    storage : TrialStorage
    folds_cache : Path
        A folder for the probabilities of finished folds, which an interrupted search and ensembles
        reuse.

    Attributes
    ----------
    trials : list of Trial
        Completed, by number.
    difference : str
        The ingredients that differ from the last stored search of this model on this split.
    distrusted : int
        Number of stored trials that were changed, or that their fold files do not confirm. They are
        computed again.
    """

    def __init__(self, plan: Plan, storage: TrialStorage, folds_cache: Path) -> None:
        self.plan = plan
        self.trials: list[Trial] = []
        self.difference = ""
        self.distrusted = 0
        self._storage = storage
        self._cache = folds_cache / plan.key
        self._running: dict[int, _RunningTrial] = {}
        self._next = 0
        self._spent_s = 0.0
        self._best: Trial | None = None

    def open(self) -> None:
        """Read the stored trials and prepare the sampler."""
        import optuna

        self._stored, self.difference = self._storage.study_of(self.plan)
        self._read_known()
        self._space = distributions(self.plan.spec)
        self._decode = {
            name: {storable(value): value for value in entry}
            for name, entry in self.plan.spec.space.items()
            if not isinstance(entry, Range)
        }
        self._sampler_study = optuna.create_study(direction="maximize")
        self._enqueue()

    def _read_known(self) -> None:
        """Read the stored trials that their digests and their fold files confirm."""
        self._known: dict[int, Trial] = {}
        numbers = set()
        for number, trial, has_digest in self._storage.trials(self._stored, self.plan):
            numbers.add(number)
            if trial is None or trial.number in self._known:  # the first one counts
                continue
            if self._is_confirmed(trial, has_digest=has_digest):
                self._known[trial.number] = trial
        self.distrusted = len(numbers - set(map(str, self._known)))

    def _is_confirmed(self, trial: Trial, *, has_digest: bool) -> bool:
        """Whether the fold files confirm a trial, as far as they are needed and exist."""
        if has_digest and trial.number >= RESAMPLED:
            return True
        found = [self._load_fold(trial.number, fold) for fold in range(len(trial.scores))]
        if not has_digest and None in found:
            return False
        return all(
            result is None or self._has_score(fold, result, trial.scores[fold])
            for fold, result in enumerate(found)
        )

    def _has_score(self, fold: int, result: FoldResult, score: float) -> bool:
        return math.isclose(self._fold_score(fold, result.probabilities), score, abs_tol=1e-9)

    def _enqueue(self) -> None:
        """Enqueue the initial parameters, then the portfolio or the points of a grid."""
        initial = self.plan.spec.initial
        stored = {name: storable(value) for name, value in initial.items()}
        # Initial parameters outside the space are a trial too, which the sampler cannot learn from.
        self._outside = not contains(self._space, stored)
        if initial and not self._outside:
            self._sampler_study.enqueue_trial(stored)
        points = self.plan.points
        for params in (*self.plan.portfolio, *points):
            if params != stored:
                self._sampler_study.enqueue_trial(params)
        extra = bool(points) and bool(initial) and stored not in points
        self._total = self.plan.n_trials + int(extra)

    @property
    def total(self) -> int:
        """The number of trials of the finished search, as far as is known."""
        return len(self.trials) if self._out_of_patience else self._total

    @property
    def done(self) -> bool:
        """Whether all trials are completed, or patience has ended the search."""
        return len(self.trials) >= self.total

    @property
    def _out_of_patience(self) -> bool:
        patience, best = self.plan.search.patience, self.best
        return (
            patience is not None
            and best is not None
            and len(self.trials) - 1 - best.number >= patience
        )

    @property
    def resumed(self) -> int:
        """The number of trials from an earlier run."""
        return min(len(self._known), self.total)

    @property
    def best(self) -> Trial | None:
        """The complete trial with the highest score, the earliest of equals; None without one."""
        return self._best

    def advance(self, workers: TaskQueue) -> Iterator[Trial]:
        """Request the trials that may start, and yield each trial as it is completed."""
        while not self.done:
            concurrent = self.plan.search.concurrent_trials
            while self._next < min(self.total, len(self.trials) + concurrent):
                self._request(self._next, workers)
                self._next += 1
            number = len(self.trials)
            if not self._has_ended(number):
                return
            yield self._complete(number)
        # Trials that were requested before patience ended the search are dropped.
        workers.withdraw(lambda label: label[0] is self)

    def accept(self, task: Task, workers: TaskQueue) -> None:
        """Take the result or the error of a fold.

        Raises
        ------
        BenchmarkError
            If the machine failed and not the parameters, since another machine could fit the trial.
        """
        _, number, fold = task.label
        running = self._running.get(number)
        if running is None or self.done or running.pruned_after is not None:
            return
        if isinstance(task.error, MemoryError | WorkerLostError):
            params = json.dumps(running.params)
            raise task.failure(
                f"{self.plan.split} {self.plan.model}: trial {number}, {params}, could not be "
                f"fitted on fold {fold}"
            ) from task.error
        if task.error is not None:
            name = type(task.error).__name__.removesuffix("Error")
            text = str(task.error).strip().splitlines() or [""]
            running.errors[fold] = f"fold {fold}: {name}: {text[0]}"
            return
        self._spent_s += task.result.seconds
        self._add_result(running, fold, task.result)
        self._save_fold(number, fold, task.result)
        if running.pruned_after is not None:
            workers.withdraw(lambda label: label[:2] == (self, number))

    def _add_result(self, running: _RunningTrial, fold: int, result: FoldResult) -> None:
        running.results[fold] = result
        running.scores[fold] = self._fold_score(fold, result.probabilities)

    def out_of_fold(self, numbers: Sequence[int], workers: Workers) -> list[list[Probabilities]]:
        """Return trials' out-of-fold probabilities, by trial and fold.

        They are read from the cache or fitted again. A model that is searched by labels is fitted
        again to have probabilities.
        """
        searching = not self.plan.entry.labels_only
        folds = range(self.plan.n_folds)
        results = {
            (number, fold): self._load_fold(number, fold, searching)
            for number in numbers
            for fold in folds
        }
        for (number, fold), result in results.items():
            scores = self.trials[number].scores
            if searching and result and not self._has_score(fold, result, scores[fold]):
                results[number, fold] = None  # not the fold that was scored: fitted again
        for (number, fold), result in results.items():
            if result is None:
                self._submit(workers, number, self.trials[number].params, fold, searching)
        for task in workers.drain():
            _, number, fold = task.label
            if task.error is not None:
                raise task.failure(
                    f"{self.plan.split} {self.plan.model}: trial {number} could not be fitted "
                    f"again for an ensemble, on fold {fold}"
                ) from task.error
            results[number, fold] = task.result
            self._save_fold(number, fold, task.result, searching)
        found = {key: result.probabilities for key, result in results.items() if result is not None}
        return [[found[number, fold] for fold in folds] for number in numbers]

    def best_trials(self, count: int) -> list[Trial]:
        """Return the best complete trials, the best first."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return sorted(complete, key=lambda trial: trial.rank, reverse=True)[:count]

    def _request(self, number: int, workers: TaskQueue) -> None:
        """Sample a trial and submit its folds, unless it is stored."""
        spec, offset = self.plan.spec, int(self._outside)
        if number < offset:
            params, sampled, handle = {**spec.fixed, **spec.initial}, {}, None
        else:
            handle = self._sample(number)
            sampled = dict(handle.params)
            decoded = {name: self._decode.get(name, {}).get(v, v) for name, v in sampled.items()}
            params = {**spec.fixed, **decoded}
        rival = None if number in self._known else self._rival(number)
        running = _RunningTrial(params, sampled, handle, self._seed(number), rival)
        self._running[number] = running
        if number in self._known:
            self._compare(self._known[number], running)
            return
        for fold in range(self.plan.n_folds):
            result = self._load_fold(number, fold)
            if result is not None:
                self._add_result(running, fold, result)
        for fold in range(self.plan.n_folds):
            if running.pruned_after is None and fold not in running.results:
                self._submit(workers, number, params, fold)

    def _sample(self, number: int) -> optuna.Trial:
        """Return Optuna's live trial: sampled, or with the parameters of the stored one."""
        sampler, known = SAMPLERS[self.plan.search.sampler], self._known.get(number)
        create = sampler.create
        if known is not None and number >= RESAMPLED and sampler.points is None:
            self._sampler_study.enqueue_trial(known.sampled)
            create = random_sampler  # the enqueued parameters leave nothing to sample
        purpose = (self.plan.stream, self.plan.model, "ask", number)
        seed = derive_seed(self.plan.seed, *purpose)
        self._sampler_study.sampler = create(seed, self._space)
        return self._sampler_study.ask(self._space)

    def _completed_before(self, number: int) -> list[Trial]:
        """Return the trials that were completed when trial `number` was requested."""
        return self.trials[: max(0, number - self.plan.search.concurrent_trials + 1)]

    def _rival(self, number: int) -> pruning.Rival | None:
        if not self.plan.prunes_folds:
            return None
        before = self._completed_before(number)
        return pruning.rival([trial.scores for trial in before if trial.state == "complete"])

    def _thresholds(self, number: int, fold: int) -> dict[int, float] | None:
        if not self.plan.prunes_epochs:
            return None
        return pruning.thresholds([trial.rungs for trial in self._completed_before(number)], fold)

    def _seed(self, number: int) -> int:
        return derive_seed(self.plan.seed, self.plan.stream, self.plan.model, "fit", number)

    def _submit(
        self,
        workers: TaskQueue,
        number: int,
        params: dict[str, Any],
        fold: int,
        searching: bool = True,
    ) -> None:
        plan = self.plan
        seed = derive_seed(self._seed(number), fold)
        # The baseline goes first, then the search that had least time. Later folds of the first
        # trial, or of one that may be pruned, go last.
        later = fold if number == 0 or (plan.prunes_folds and searching) else 0
        later = -1 if plan.model == BASELINE else later
        workers.submit(
            fit_fold, plan.arrays, plan.entry, params, seed, fold, self._thresholds(number, fold),
            plan.search.engine if searching else None, label=(self, number, fold),
            limit_s=plan.search.fit_timeout_s if searching else None,
            priority=(later, self._spent_s),
        )  # fmt: skip

    def _compare(self, known: Trial, running: _RunningTrial) -> None:
        if known.params != running.params or known.seed != running.seed:
            raise BenchmarkError(
                f"{self._stored.study_name}: the stored trial {known.number} does not belong to "
                "this search. Another program changed the storage; choose another one with "
                "--storage."
            )

    def _has_ended(self, number: int) -> bool:
        running = self._running[number]
        return (
            number in self._known
            or running.pruned_after is not None
            or len(running.results) + len(running.errors) == self.plan.n_folds
        )

    def _complete(self, number: int) -> Trial:
        """Store an ended trial, then pass it to the sampler."""
        import optuna

        running = self._running.pop(number)
        trial = self._known.get(number)
        if trial is None:
            trial = running.completed(number)
            self._storage.add(self._stored, self.plan, trial)
        if running.handle is not None:
            failed = trial.state == "failed"
            state = optuna.trial.TrialState.FAIL if failed else None
            self._sampler_study.tell(running.handle, None if failed else trial.score, state=state)
        self.trials.append(trial)
        if trial.state == "complete" and (self._best is None or trial.rank > self._best.rank):
            self._best = trial
        return trial

    def fold_scores(self, out_of_fold: Sequence[Probabilities]) -> tuple[float, ...]:
        """Return the metric on each fold, given the probabilities of its validation rows."""
        return tuple(
            self._fold_score(fold, probabilities) for fold, probabilities in enumerate(out_of_fold)
        )

    def _fold_score(self, fold: int, probabilities: Probabilities) -> float:
        data = load_arrays(self.plan.arrays)
        predicted = np.array(self.plan.emotions)[probabilities.argmax(axis=1)]
        truth = data.emotions[data.validation_rows(fold)]
        weights = validated_corpora(data, fold)
        return score(self.plan.search.metric, truth, predicted, self.plan.emotions, weights)

    def _fold_path(self, number: int, fold: int, searching: bool) -> Path:
        name = f"trial_{number:04d}_fold_{fold}{'' if searching else '_refit'}.npz"
        return self._cache / name

    def left_out_path(self, number: int, corpus: int) -> Path:
        """Return the file for a trial's probabilities of a corpus it was fitted without."""
        return self._cache / f"trial_{number:04d}_without_{corpus}.npz"

    def _save_fold(
        self, number: int, fold: int, result: FoldResult, searching: bool = True
    ) -> None:
        learned: dict[str, Any] = {}
        if result.epochs:
            learned = {"epochs": result.epochs, "history": result.history, "pruned": result.pruned}
        path = self._fold_path(number, fold, searching)
        npz_cache.save(path, probabilities=result.probabilities, seconds=result.seconds, **learned)

    def _load_fold(self, number: int, fold: int, searching: bool = True) -> FoldResult | None:
        """Return a finished fold; None if its file is missing or damaged."""
        found = npz_cache.load(self._fold_path(number, fold, searching))
        if found is None:
            return None
        learned = (
            (int(found["epochs"]), tuple(found["history"].tolist()), bool(found["pruned"]))
            if "epochs" in found
            else ()
        )
        return FoldResult(found["probabilities"], float(found["seconds"]), *learned)


def run_searches(
    searches: Sequence[ModelSearch],
    workers: TaskQueue,
    on_trial: Callable[[ModelSearch, Trial], None],
    until: Callable[[], float] = lambda: float("inf"),
) -> None:
    """Run searches side by side on the same workers until each is done, or the time is over.

    Parameters
    ----------
    searches : sequence of ModelSearch
        Opened.
    workers : TaskQueue
        May run other tasks too, if their labels begin with an object with `accept` and `advance`.
    on_trial : callable
        Called with each stored trial, in each search's order.
    until : callable
        Returns the end of the searches by the monotonic clock. Running trials are then dropped;
        their finished folds stay in the cache.
    """

    def advance(search: ModelSearch) -> None:
        for trial in search.advance(workers):
            on_trial(search, trial)

    # Baselines first: a result exists as soon as they are measured.
    for search in sorted(searches, key=lambda one: one.plan.model != BASELINE):
        advance(search)
    while (task := workers.next_done(until())) is not None:
        task.label[0].accept(task, workers)
        advance(task.label[0])
    workers.abandon()


def open_searches(
    study: Study, prepared: Prepared, storage: TrialStorage, folder: Path
) -> list[ModelSearch]:
    """Return the opened searches of every model on every split, with folds stored in `folder`."""
    searches = []
    for tables in prepared.splits:
        for name, spec in study.models.items():
            plan = Plan(
                study=study.name,
                split=tables.name,
                stream=tables.split.stream,
                model=name,
                spec=_baseline(spec, tables) if name == BASELINE else spec,
                search=study.search,
                seed=study.seed,
                emotions=tuple(tables.emotions),
                n_folds=tables.split.n_folds,
                arrays=tables.arrays,
                origin=prepared.origin | _named(plugins_of(study, [tables.split.protocol], [name])),
            )
            search = ModelSearch(plan, storage, folder)
            search.open()
            searches.append(search)
    return searches


def _named(plugins: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of plug-ins as ingredients of a search."""
    return {f"plug-in {package}": version for package, version in plugins.items()}


def _baseline(spec: ModelSettings, tables: SplitTables) -> ModelSettings:
    """Return the baseline's settings: it always predicts the most frequent emotion.

    Of both sides: outer folds that predict different emotions would not be at chance together.
    """
    fixed = {"strategy": "constant", "constant": tables.majority}
    return spec.model_copy(update={"fixed": fixed | spec.fixed})
