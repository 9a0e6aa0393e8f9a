"""Trial storage: an Optuna storage of finished trials, which optuna-dashboard can read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.engine.databases import (
    check_address,
    engine_options,
    is_locked_or_initializing,
    raise_when_unavailable,
    with_driver,
    without_user,
)
from benchmark.engine.retry import UnavailableError, cause_of, retry
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS
from benchmark.search.plan import Plan
from benchmark.search.samplers import distributions
from benchmark.search.trial import Trial
from benchmark.study import derive_seed, digest_of

if TYPE_CHECKING:
    import optuna

NAME = "The trial storage"

DIGEST = "digest"
"""User attribute of a trial: the digest of all others and of its parameters."""


class StoredTrial(NamedTuple):
    """A trial as the storage has it.

    Attributes
    ----------
    number : str
        Its number in the search.
    trial : Trial or None
        None if it was changed after it was stored.
    has_digest : bool
        False for a trial of an early version, which only its fold files can confirm.
    """

    number: str
    trial: Trial | None
    has_digest: bool


class TrialStorage:
    """The storage of finished trials.

    Each method waits for a database that is locked by another program, and each but `open` for a
    server that is unavailable; for a minute at most, with a message.

    Parameters
    ----------
    url : str
        Of any database that Optuna supports.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._storage: Any = None

    def open(self) -> None:
        """Connect, and create the tables of a new storage.

        Raises
        ------
        BenchmarkError
            If the storage can't be reached, is locked, or belongs to another version of Optuna.
        """
        import optuna
        from sqlalchemy.engine import make_url

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        check_address(self.url)
        with _plain_errors(self.url):
            # Rendered, since Optuna takes braces in an address for a template.
            url = make_url(with_driver(self.url)).render_as_string(hide_password=False)
            options = engine_options(url)

            def connect() -> optuna.storages.RDBStorage:
                return optuna.storages.RDBStorage(url, engine_kwargs=options)

            # A server that does not answer at first is probably a wrong address: no retry.
            try:
                self._storage = retry(NAME, connect, is_locked_or_initializing)
            except RuntimeError as error:
                raise BenchmarkError(
                    f"{without_user(url)}: the trial storage was made by another version of Optuna "
                    f"than {version('optuna')}, which is installed here. Install that version, or "
                    "choose another storage with --storage: trials are restored from their folds "
                    "in features_cache."
                ) from error
            raise_when_unavailable(self._storage.engine)

    @contextmanager
    def lock(self, study: str) -> Iterator[None]:
        """Hold a study's lock on a shared server, so that no other machine runs the study there.

        Raises
        ------
        BenchmarkError
            If another process holds it.
        """
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        engine = self._storage.engine
        if engine.dialect.name != "postgresql":
            yield  # a file belongs to its project, whose lock is held already
            return
        key = derive_seed(0, "study", study)
        with _plain_errors(self.url):
            connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            statement = text("SELECT pg_try_advisory_lock(:key)")
            held = bool(connection.execute(statement, {"key": key}).scalar())
        try:
            if not held:
                raise BenchmarkError(
                    f"study {study} is already running on this storage, from another folder or "
                    "machine. Wait for it, or choose another storage with --storage."
                )
            yield
        finally:
            # The server would release the lock with the connection, but only after a while.
            with suppress(UnavailableError, SQLAlchemyError):
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
            connection.invalidate()
            connection.close()

    def study_of(self, plan: Plan) -> tuple[optuna.Study, str]:
        """Return a plan's stored study and, if it is new, its difference from the last one."""
        with _plain_errors(self.url):
            difference = retry(NAME, lambda: self._difference(plan))
            return retry(NAME, lambda: self._study(plan)), difference

    def _difference(self, plan: Plan) -> str:
        """Return the ingredients that differ from the last stored study; empty if it is stored."""
        import optuna

        stored = optuna.get_all_study_names(self._storage)
        earlier = [name for name in stored if _belongs(name, plan)]
        if not earlier or _stored_name(plan, stored) is not None:
            return ""
        last = optuna.load_study(study_name=earlier[-1], storage=self._storage)
        before: Mapping[str, Any] = last.user_attrs.get("ingredients", {})
        now = plan.ingredients
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        return ", ".join(changed) or "made by an earlier version"

    def _study(self, plan: Plan) -> optuna.Study:
        """Return a plan's stored study, created if there is none."""
        import optuna

        stored = optuna.get_all_study_names(self._storage)
        study = optuna.create_study(
            storage=self._storage,
            study_name=_stored_name(plan, stored) or plan.title,
            direction="maximize",
            load_if_exists=True,
        )
        if "ingredients" not in study.user_attrs:
            study.set_user_attr("ingredients", plan.ingredients)
        if study.metric_names is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names([f"CV {METRICS[plan.search.metric].utility_title}"])
        return study

    def trials(self, study: optuna.Study, plan: Plan) -> Iterator[StoredTrial]:
        """Yield the stored trials of a study, in the order in which they were added.

        Optuna's own numbers count trials that anything has added, such as a dashboard or a second
        process. Ours are stored with each trial, and a number may occur twice.
        """
        with _plain_errors(self.url):
            stored = retry(NAME, lambda: study.get_trials(deepcopy=False))
        for frozen in stored:
            if "number" not in frozen.user_attrs:
                continue
            attributes = dict(frozen.user_attrs)
            digest = attributes.pop(DIGEST, None)
            trial = None
            if digest in {None, _digest(plan, attributes, frozen.params)}:
                with suppress(KeyError, TypeError, ValueError, AttributeError):
                    trial = Trial.from_attributes(attributes, frozen.params)
            yield StoredTrial(str(attributes["number"]), trial, digest is not None)

    def add(self, study: optuna.Study, plan: Plan, trial: Trial) -> None:
        """Store a finished trial in one transaction."""
        import optuna

        states = {
            "failed": optuna.trial.TrialState.FAIL,
            "pruned": optuna.trial.TrialState.PRUNED,
            "complete": optuna.trial.TrialState.COMPLETE,
        }
        space, attributes = distributions(plan.spec), trial.attributes()
        sampled = {  # as it is read back: 1 may become 1.0
            name: space[name].to_external_repr(space[name].to_internal_repr(value))
            for name, value in trial.sampled.items()
        }
        frozen = optuna.trial.create_trial(
            state=states[trial.state],
            value=None if trial.reason else trial.score,
            params=trial.sampled,
            distributions={name: space[name] for name in trial.sampled},
            user_attrs=attributes | {DIGEST: _digest(plan, attributes, sampled)},
        )
        attempts = count(1)

        def add() -> None:
            stored = study.get_trials(deepcopy=False) if next(attempts) > 1 else []
            # A database that failed while answering may have stored the trial.
            if trial.number not in {found.user_attrs.get("number") for found in stored}:
                study.add_trial(frozen)

        with _plain_errors(self.url):
            retry(NAME, add)


def _digest(plan: Plan, attributes: Mapping[str, Any], sampled: Mapping[str, Any]) -> str:
    """Return the digest of a trial's record, which no other search has."""
    return digest_of([plan.key, sorted(attributes.items()), sorted(sampled.items())])


def _stored_name(plan: Plan, stored: Sequence[str]) -> str | None:
    """Return the name under which a plan's study is stored; None if it is not.

    Earlier versions ended the name with the whole digest.
    """
    return next((name for name in (plan.title, plan.prefix + plan.key) if name in stored), None)


def _belongs(name: str, plan: Plan) -> bool:
    """Return whether a stored study is of this model on this split, whatever the ingredients."""
    return name.startswith((plan.prefix, plan.heading))


@contextmanager
def _plain_errors(url: str) -> Iterator[None]:
    """Turn an error of Optuna or a database into one line that a user can act on."""
    from sqlalchemy.exc import ArgumentError

    shown = without_user(url)
    try:
        yield
    except BenchmarkError:
        raise
    except ArgumentError as error:
        raise BenchmarkError(
            f"{shown}: the trial storage can't be used: not the address of a database. "
            "Examples: sqlite:///optuna.db, postgresql://user@host/name."
        ) from error
    except Exception as error:  # a damaged database raises errors of many kinds
        raise BenchmarkError(
            f"{shown}: the trial storage can't be used: {cause_of(error).rstrip('.')}. Finished "
            "trials are safe: fix this, or move a damaged file away, and run the same command "
            "again; trials are restored from their folds in features_cache."
        ) from error
