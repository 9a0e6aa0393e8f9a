"""The search for settings: the only door to Optuna.

Each model on each split has a search of its own. The main process asks and tells; workers fit
folds. A trial is durable, in an Optuna storage that receives finished trials only, before the
sampler is told of it; after an interruption the same trials are asked again and the finished ones
answered from there. Trial n is asked exactly when trials 0 to n - lookahead are told, with a
sampler seeded for it alone, so that trials are the same with any number of workers and after any
interruption.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark import models, pruning
from benchmark.databases import (
    AwayError,
    cause_of,
    engine_options,
    making_or_locked,
    patiently,
    raise_when_away,
    with_driver,
    without_user,
)
from benchmark.errors import BenchmarkError
from benchmark.evaluate import score
from benchmark.fitting import FoldOutcome, Probabilities, fit_fold
from benchmark.kept import keep, kept
from benchmark.pruning import REDUCTION, RUNGS
from benchmark.study import Model, Range, Search, derive_seed, digest_of
from benchmark.tables import StoredArrays, load_arrays
from benchmark.workers import Task, WorkerLostError, Workers

if TYPE_CHECKING:
    import optuna

VERSION = 1  # of whatever here or in `fitting` decides scores; raised when that changes

DECISIVE_LIBRARIES = ("numpy", "optuna", "scikit-learn", "scipy")
"""Beside those that decide the training table, whose digest is among the ingredients."""

ASKED_AGAIN = 20
"""So many stored trials the sampler is asked for again, to see that they are the search's own. The
others it is told of as they are: to ask for 10,000 again takes as long as it did at first."""


@dataclass(frozen=True)
class Trial:
    """One set of hyperparameters and its score on each inner fold.

    Attributes
    ----------
    number : int
        From 0, in the order in which trials were asked.
    params : dict
        What the model was built with, fixed parameters included.
    sampled : dict
        The part that Optuna chose, in its own words.
    scores : tuple of float
        Of the study's metric, a fold each; empty if the trial failed, and of the first folds if it
        was given up after them.
    seconds : float
        Fitting and predicting, summed over folds.
    seed : int
        From which the seeds of its folds derive.
    reason : str
        Why it failed; empty if it did not.
    epochs : tuple of int
        The best epoch of each fold; empty for a model that does not learn by epochs.
    rungs : tuple of dict
        For each fold the score that decides when to stop, by the epochs of `RUNGS` that were
        reached.
    cut : bool
        Whether it was given up as it fell behind earlier trials: after its first folds, or in the
        first epochs of most folds. A single fold may be unlucky; stopped early, it lowers the mean
        a little and flatters nothing.
    estimate : float or None
        Of a trial that was given up after its first folds: the best trial's score and by how much
        it was behind that on them. It is what the sampler is told.
    """

    number: int
    params: dict[str, Any]
    sampled: dict[str, Any]
    scores: tuple[float, ...]
    seconds: float
    seed: int
    reason: str = ""
    epochs: tuple[int, ...] = ()
    rungs: tuple[dict[int, float], ...] = ()
    cut: bool = False
    estimate: float | None = None

    @property
    def state(self) -> str:
        """``complete``, ``failed`` or ``cut``."""
        return "failed" if self.reason else "cut" if self.cut else "complete"

    @cached_property
    def score(self) -> float:
        """Mean over the inner folds."""
        if self.estimate is not None:
            return self.estimate
        return float(np.mean(self.scores)) if self.scores else float("nan")

    @property
    def spread(self) -> float:
        """Standard deviation over the inner folds."""
        return float(np.std(self.scores)) if self.scores else float("nan")


@dataclass(frozen=True)
class Plan:
    """What is searched for: one model on one split.

    Attributes
    ----------
    study, protocol, model : str
        Whose search it is.
    spec : Model
        What is fixed, searched and tried first.
    search : Search
        Trials, sampler, metric.
    seed : int
        The study's.
    emotions : tuple of str
        Sorted: the order of probabilities.
    n_folds : int
    arrays : StoredArrays
        Of the split's training table and its folds.
    origin : dict
        What the table is made of, in words and digests, so that a difference can be named.
    """

    study: str
    protocol: str
    model: str
    spec: Model
    search: Search
    seed: int
    emotions: tuple[str, ...]
    n_folds: int
    arrays: StoredArrays
    origin: Mapping[str, Any]

    @property
    def ingredients(self) -> dict[str, Any]:
        """Everything that decides the scores of this search; the number of trials does not."""
        from importlib.metadata import version

        # What decides where a search ends changes no score; nor does a pruner of epochs where there
        # are none.
        ends = {"trials", "folds", "patience", "pruner"}
        ends |= {"fit_limit_s"} if self.search.fit_limit_s is None else set()
        searched = self.search.model_dump(mode="json", exclude=ends)
        pruners = [*["asha"] * self.cuts_epochs, *["paired"] * self.cuts_folds]
        searched |= {"pruner": "+".join(pruners)} if pruners else {}
        model_version = models.MODELS[self.model].version
        return {
            **self.origin,
            "training table": self.arrays.identity,
            **{f"search.{key}": value for key, value in searched.items()},
            "model": self.spec.model_dump(mode="json"),
            "seed": self.seed,
            "engine": models.engine(self.model),
            **({"rungs": [*RUNGS, REDUCTION]} if self.cuts_epochs else {}),
            **({"paired": [pruning.FEWEST, pruning.CHANCE]} if self.cuts_folds else {}),
            **({"model version": model_version} if model_version > 1 else {}),
            **{name: version(name) for name in DECISIVE_LIBRARIES},
            "search code": VERSION,
        }

    @property
    def prefix(self) -> str:
        """How the names of stored studies begin that searched for the same, in whatever way."""
        return f"{self.study}/{self.protocol}/{self.model}/"

    @property
    def by_epochs(self) -> bool:
        """Whether the model learns by epochs."""
        return models.MODELS[self.model].by_epochs

    @property
    def cuts_epochs(self) -> bool:
        """Whether its trials may be given up by their first epochs."""
        return "asha" in self.search.pruner and self.by_epochs

    @property
    def cuts_folds(self) -> bool:
        """Whether its trials may be given up by their first folds."""
        return "paired" in self.search.pruner

    @cached_property
    def key(self) -> str:
        """A digest of the ingredients, the order of parameters included: they are drawn in it."""
        return digest_of([self.protocol, self.model, self.ingredients])

    @property
    def trial_count(self) -> int:
        """How many trials there are to do: one where nothing is searched."""
        if not self.spec.space:
            return 1
        if self.search.sampler == "grid":
            return len(grid(self.spec))
        return self.search.trials


def distributions(spec: Model) -> dict[str, optuna.distributions.BaseDistribution]:
    """Return a model's space in Optuna's words; choices that it can't store are JSON text there."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    space: dict[str, optuna.distributions.BaseDistribution] = {}
    for name, entry in spec.space.items():
        if not isinstance(entry, Range):
            space[name] = CategoricalDistribution([_stored(value) for value in entry])
        elif entry.whole:
            low, high, step = int(entry.low), int(entry.high), int(entry.step or 1)
            space[name] = IntDistribution(low, high, log=entry.log, step=step)
        else:
            low_f, high_f = float(entry.low), float(entry.high)
            space[name] = FloatDistribution(low_f, high_f, log=entry.log, step=entry.step)
    return space


def grid(spec: Model) -> list[dict[str, Any]]:
    """Return every combination of a space in Optuna's words.

    Raises
    ------
    BenchmarkError
        If a range has no step, and so no end of values.
    """
    from sklearn.model_selection import ParameterGrid

    axes: dict[str, list[Any]] = {}
    for name, entry in spec.space.items():
        if not isinstance(entry, Range):
            axes[name] = [_stored(value) for value in entry]
        elif entry.step is None and not (entry.whole and not entry.log):
            raise BenchmarkError(
                f"sampler grid: {name} is a range without a step; give it one, or list its values."
            )
        else:
            step = entry.step or 1
            count = int((entry.high - entry.low) / step + 1e-9) + 1
            # 0.1 + 2 * 0.1 is a little more than 0.3; a grid has the number that was meant.
            axes[name] = [round(entry.low + step * place, 12) for place in range(count)]
    return list(ParameterGrid(axes))


def _stored(value: Any) -> Any:
    """Return a choice as Optuna can store it."""
    return (
        value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)
    )


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


HOME = "The trial storage"


class TrialStore:
    """The durable home of finished trials: an Optuna storage, readable by optuna-dashboard.

    Each method waits for a database that is locked by another program, and each but `open` for a
    server that is away; for a minute at most, and it is said.

    Parameters
    ----------
    url : str
        Of any database that Optuna takes.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._storage: Any = None

    def open(self) -> None:
        """Connect, and make the tables of a new storage.

        Raises
        ------
        BenchmarkError
            If the storage can't be reached, is locked, or belongs to another version of Optuna.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        url = with_driver(self.url)
        with _told_plainly(self.url):
            options = engine_options(url)

            def connect() -> optuna.storages.RDBStorage:
                return optuna.storages.RDBStorage(url, engine_kwargs=options)

            # A server that is not there now is rather a mistake in its address: said at once.
            self._storage = patiently(HOME, connect, making_or_locked)
            raise_when_away(self._storage.engine)

    @contextmanager
    def alone(self, study: str) -> Iterator[None]:
        """Hold a study on a shared server, so that no other machine runs it there meanwhile.

        Raises
        ------
        BenchmarkError
            If another one does.
        """
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        engine = self._storage.engine
        if engine.dialect.name != "postgresql":
            yield  # a file is its project's, whose lock is held already
            return
        key = derive_seed(0, "study", study)
        with _told_plainly(self.url):
            connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            asked = text("SELECT pg_try_advisory_lock(:key)")
            held = bool(connection.execute(asked, {"key": key}).scalar())
        try:
            if not held:
                raise BenchmarkError(
                    f"study {study} is already running on this storage, from another folder or "
                    "machine. Wait for it, or give another storage with --storage."
                )
            yield
        finally:
            # The lock goes with the connection, and with this process, but only after a while.
            with suppress(AwayError, SQLAlchemyError):
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
            connection.invalidate()
            connection.close()

    def study_of(self, plan: Plan) -> tuple[optuna.Study, str]:
        """Return a plan's stored study; and, if it is new, in what it differs from the last."""
        with _told_plainly(self.url):
            news = patiently(HOME, lambda: self._news(plan))
            return patiently(HOME, lambda: self._study(plan)), news

    def _news(self, plan: Plan) -> str:
        """Return in what a plan differs from the last stored one; nothing where it is stored."""
        import optuna

        stored = optuna.get_all_study_names(self._storage)
        earlier = [name for name in stored if name.startswith(plan.prefix)]
        if not earlier or plan.prefix + plan.key in earlier:
            return ""
        last = optuna.load_study(study_name=earlier[-1], storage=self._storage)
        return _difference(last.user_attrs.get("ingredients", {}), plan.ingredients)

    def _study(self, plan: Plan) -> optuna.Study:
        """Return a plan's study, made where there is none."""
        import optuna

        study = optuna.create_study(
            storage=self._storage,
            study_name=plan.prefix + plan.key,
            direction="maximize",
            load_if_exists=True,
        )
        if "ingredients" not in study.user_attrs:
            study.set_user_attr("ingredients", plan.ingredients)
        return study

    def finished(self, study: optuna.Study) -> list[Trial]:
        """Return the stored trials of a study by number.

        Optuna's own numbers count what anything has added, a dashboard or a second process; ours
        are kept with each trial, and the first of each number counts.
        """
        with _told_plainly(self.url):
            stored = patiently(HOME, lambda: study.get_trials(deepcopy=False))
        trials = [
            Trial(
                number=found.user_attrs["number"],
                params=json.loads(found.user_attrs["params"]),
                sampled=dict(found.params),
                scores=tuple(found.user_attrs["fold_scores"]),
                seconds=found.user_attrs["fit_seconds"],
                seed=found.user_attrs["seed"],
                reason=found.user_attrs["reason"],
                epochs=tuple(found.user_attrs.get("epochs", ())),
                rungs=tuple(_rungs(fold) for fold in found.user_attrs.get("rungs", ())),
                cut=found.user_attrs.get("cut", False),
                estimate=found.user_attrs.get("estimate"),
            )
            for found in stored
            if "number" in found.user_attrs
        ]
        return list({trial.number: trial for trial in reversed(trials)}.values())[::-1]

    def keep(self, study: optuna.Study, plan: Plan, trial: Trial) -> None:
        """Store a finished trial: one transaction, so it is there wholly or not at all."""
        import optuna

        states = optuna.trial.TrialState
        state = {"failed": states.FAIL, "cut": states.PRUNED, "complete": states.COMPLETE}
        space = distributions(plan.spec)
        epochs = {"epochs": list(trial.epochs)} if trial.epochs else {}
        rungs = {"rungs": list(trial.rungs), "cut": trial.cut} if trial.rungs or trial.cut else {}
        estimate = {} if trial.estimate is None else {"estimate": trial.estimate}
        frozen = optuna.trial.create_trial(
            state=state[trial.state],
            value=None if trial.reason else trial.score,
            params=trial.sampled,
            distributions={name: space[name] for name in trial.sampled},
            user_attrs={
                "number": trial.number,
                "params": json.dumps(trial.params),
                "fold_scores": list(trial.scores),
                "fit_seconds": trial.seconds,
                "seed": trial.seed,
                "reason": trial.reason,
                **epochs,
                **rungs,
                **estimate,
            },
        )
        tries = count(1)

        def add() -> None:
            stored = study.get_trials(deepcopy=False) if next(tries) > 1 else []
            # A database that went away as it answered may have stored the trial.
            if trial.number not in {found.user_attrs.get("number") for found in stored}:
                study.add_trial(frozen)

        with _told_plainly(self.url):
            patiently(HOME, add)


def _rungs(stored: Mapping[str, float]) -> dict[int, float]:
    """Return scores by epoch, whose numbers JSON has made words."""
    return {int(epoch): score for epoch, score in stored.items()}


@contextmanager
def _told_plainly(url: str) -> Iterator[None]:
    """Turn what a database says into one line that a user can act on."""
    from optuna.exceptions import OptunaError
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        shown = make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError) as error:
        raise BenchmarkError(
            f"{without_user(url)}: the trial storage can't be used: that is no address of a "
            "database. Examples: "
            "sqlite:///optuna.db, postgresql://user@host/name."
        ) from error
    try:
        yield
    except (OptunaError, SQLAlchemyError, AwayError, ImportError, RuntimeError) as error:
        raise BenchmarkError(
            f"{shown}: the trial storage can't be used: {cause_of(error)}. Finished trials are "
            "safe; mend this and run the same command again."
        ) from error


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the names of the ingredients in which two searches differ."""
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(changed) or "an earlier version made it"


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
            name: {_stored(value): value for value in entry}
            for name, entry in self.plan.spec.space.items()
            if not isinstance(entry, Range)
        }
        self._sampler_study = optuna.create_study(direction="maximize")
        self._enqueue()

    def _enqueue(self) -> None:
        """Put first what the study file wants tried first, and all of a grid."""
        first = self.plan.spec.first
        stored = {name: _stored(value) for name, value in first.items()}
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
            while self._next < min(self.total, len(self.trials) + self.plan.search.lookahead):
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
                f"{self.plan.protocol} {self.plan.model}: trial {number}, {settings}, could not be "
                f"fitted on fold {fold}"
            ) from task.error
        if task.error is not None:
            name = type(task.error).__name__.removesuffix("Error")
            text = str(task.error).strip().splitlines() or [""]
            asked.errors[fold] = f"fold {fold}: {name}: {text[0]}"
            return
        self._spent_s += task.result.seconds
        self._take(asked, fold, task.result)
        self._keep_fold(number, fold, task.result)
        if asked.given_up_after is not None:
            workers.withdraw(lambda label: label[:2] == (self, number))

    def _take(self, asked: _Asked, fold: int, outcome: FoldOutcome) -> None:
        asked.outcomes[fold] = outcome
        asked.scores[fold] = self._fold_score(fold, outcome.probabilities)

    def out_of_fold(self, number: int, workers: Workers) -> list[Probabilities]:
        """Return a trial's probabilities for each fold's validation rows, fitted again if lost.

        Those of a model that is searched without probabilities are fitted for the vote alone.
        """
        searching = not models.MODELS[self.plan.model].decides
        folds = range(self.plan.n_folds)
        found = {fold: self._kept_fold(number, fold, searching) for fold in folds}
        for fold, outcome in found.items():
            if outcome is None:
                self._submit(workers, number, self.trials[number].params, fold, searching)
        for task in workers.drain():
            fold = task.label[2]
            if task.error is not None:
                raise task.failure(
                    f"{self.plan.protocol} {self.plan.model}: trial {number} could not be fitted "
                    f"again for the vote, on fold {fold}"
                ) from task.error
            found[fold] = task.result
            self._keep_fold(number, fold, task.result, searching)
        return [outcome.probabilities for outcome in found.values() if outcome is not None]

    def _ask(self, number: int, workers: Workers) -> None:
        spec, offset = self.plan.spec, int(self._outside)
        seed = self._seed(number)
        if number < offset:
            params, sampled, handle = {**spec.fixed, **spec.first}, {}, None
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
            outcome = self._kept_fold(number, fold)
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
        purpose = (self.plan.protocol, self.plan.model, "ask", number)
        seed = derive_seed(self.plan.seed, *purpose)
        self._sampler_study.sampler = SAMPLERS[name](seed, self._space)
        return self._sampler_study.ask(self._space)

    def _told_before(self, number: int) -> list[Trial]:
        """Return the trials that were told when trial `number` was asked."""
        return self.trials[: max(0, number - self.plan.search.lookahead + 1)]

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
        return derive_seed(self.plan.seed, self.plan.protocol, self.plan.model, "fit", number)

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
        later = -1 if plan.model == models.FLOOR else later
        workers.submit(
            fit_fold, plan.arrays, plan.model, params, seed, fold, self._thresholds(number, fold),
            searching, label=(self, number, fold),
            limit_s=plan.search.fit_limit_s if searching else None,
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

    def _keep_fold(
        self, number: int, fold: int, outcome: FoldOutcome, searching: bool = True
    ) -> None:
        learned: dict[str, Any] = {}
        if outcome.epochs:
            learned = {"epochs": outcome.epochs, "history": outcome.history, "cut": outcome.cut}
        path = self._fold_path(number, fold, searching)
        keep(path, probabilities=outcome.probabilities, seconds=outcome.seconds, **learned)

    def _kept_fold(self, number: int, fold: int, searching: bool = True) -> FoldOutcome | None:
        """Return a fold that was finished before; None if there is none, or its file is damaged."""
        found = kept(self._fold_path(number, fold, searching))
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
        No other task may be in it.
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
    for search in sorted(searches, key=lambda found: found.plan.model != models.FLOOR):
        advance(search)
    while (task := workers.next_done(until())) is not None:
        task.label[0].accept(task, workers)
        advance(task.label[0])
    workers.abandon()
