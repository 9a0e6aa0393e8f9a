"""Trials: what is searched for, what a setting scored, and where finished ones are kept for good.

A door to Optuna: the storage receives finished trials only, and optuna-dashboard can read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark import models
from benchmark.engine.arrays import StoredArrays
from benchmark.engine.databases import (
    engine_options,
    is_locked_or_initializing,
    raise_when_unavailable,
    with_driver,
    without_user,
)
from benchmark.engine.retry import UnavailableError, cause_of, retry
from benchmark.errors import BenchmarkError
from benchmark.search import pruning
from benchmark.search.pruning import REDUCTION, RUNGS
from benchmark.study import Model, Range, Search, derive_seed, digest_of

if TYPE_CHECKING:
    import optuna

VERSION = 1  # of whatever here or in `fitting` decides scores; raised when that changes

DECISIVE_LIBRARIES = ("numpy", "optuna", "scikit-learn", "scipy")
"""Beside those that decide the training table, whose digest is among the ingredients."""


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
        """``complete``, ``failed`` or ``pruned``."""
        return "failed" if self.reason else "pruned" if self.cut else "complete"

    @cached_property
    def score(self) -> float:
        """Mean over the inner folds."""
        if self.estimate is not None:
            return self.estimate
        return float(np.mean(self.scores)) if self.scores else float("nan")

    @property
    def std(self) -> float:
        """Standard deviation over the inner folds."""
        return float(np.std(self.scores)) if self.scores else float("nan")


@dataclass(frozen=True)
class Plan:
    """What is searched for: one model on one split.

    Attributes
    ----------
    study, split, model : str
        Whose search it is, the split by its name.
    stream : str
        Name of the split's random streams.
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
    split: str
    stream: str
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
        ends |= {"fit_timeout_s"} if self.search.fit_timeout_s is None else set()
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
        return f"{self.study}/{self.split}/{self.model}/"

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
        return digest_of([self.split, self.model, self.ingredients])

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
            space[name] = CategoricalDistribution([storable(value) for value in entry])
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
            axes[name] = [storable(value) for value in entry]
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


def storable(value: Any) -> Any:
    """Return a choice as Optuna can store it."""
    return (
        value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)
    )


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
            self._storage = retry(HOME, connect, is_locked_or_initializing)
            raise_when_unavailable(self._storage.engine)

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
            with suppress(UnavailableError, SQLAlchemyError):
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
            connection.invalidate()
            connection.close()

    def study_of(self, plan: Plan) -> tuple[optuna.Study, str]:
        """Return a plan's stored study; and, if it is new, in what it differs from the last."""
        with _told_plainly(self.url):
            news = retry(HOME, lambda: self._news(plan))
            return retry(HOME, lambda: self._study(plan)), news

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
            stored = retry(HOME, lambda: study.get_trials(deepcopy=False))
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
        state = {"failed": states.FAIL, "pruned": states.PRUNED, "complete": states.COMPLETE}
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
            retry(HOME, add)


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
    except (OptunaError, SQLAlchemyError, UnavailableError, ImportError, RuntimeError) as error:
        raise BenchmarkError(
            f"{shown}: the trial storage can't be used: {cause_of(error)}. Finished trials are "
            "safe; mend this and run the same command again."
        ) from error


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the names of the ingredients in which two searches differ."""
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(changed) or "an earlier version made it"
