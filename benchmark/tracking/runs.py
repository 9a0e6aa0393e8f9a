"""The only door to MLflow: study > split > model > trial, each a run; written, never read back.

What is kept here is for looking at. What is true lies elsewhere: trials in the search's own
storage, results in plain tables. So a server that goes away costs a study nothing; whatever it
missed is logged when it is back, or when the study is run again.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import logging
import math
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmark.engine.databases import engine_options, with_driver, without_user
from benchmark.engine.retry import ATTEMPT_S, PATIENCE_S, is_locked, is_transient, retry
from benchmark.errors import BenchmarkError
from benchmark.tracking.views import TAG, log_axis, study_views, view_address

log = logging.getLogger(__name__)

DATABASE = "mlflow.db"
ARTIFACTS = "mlruns"
"""MLflow's own defaults, so that a plain `mlflow ui` in the project's folder shows the same."""

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow's own: seven tries of two minutes each, for a server that is simply not there.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
"""Set before MLflow is imported, where the user has not said otherwise."""

PAUSE_S = 10.0  # after a failure, before the store is tried again
MAX_TEXT = 5000  # MLflow takes tags of 8,000 characters and parameters of 6,000

STUDY, SPLIT, MODEL, TRIAL = "study", "split", "model", "trial"
ROLES = (STUDY, SPLIT, MODEL, TRIAL)
Identity = tuple[str, str, str, str]
"""Role, protocol, model and trial number: with the study's digest, what makes a run that run."""


@dataclass(frozen=True)
class TableRecord:
    """One side of a split: what MLflow shows as a run's dataset.

    Attributes
    ----------
    name : str
        For example ``capstone/random/train``.
    digest : str
        Of its content; MLflow is given the first 16 characters.
    side : str
        ``train`` or ``test``.
    source : str
        The file's path within the project.
    rows : int
        How many rows it has.
    """

    name: str
    digest: str
    side: str
    source: str
    rows: int


@dataclass(frozen=True)
class StudyRecord:
    """What every run of a study shares.

    Attributes
    ----------
    name : str
        The study's name.
    digest : str
        Of all that decides its scores. Runs with the same digest are runs of the same study; the
        number of trials is no part of it, so that more of them continue a study.
    metric : str
        What a trial's score is called: ``uar``.
    question : str
        Shown as the study's description.
    settings : mapping
        `Study.settings()`; kept with the study's run as study.json.
    parameters : mapping of str to mapping of str to bool
        By model and parameter that is searched: whether on a logarithmic scale. They are the axes
        of MLflow's parallel-coordinates plot.
    tags : mapping of str to str
        Of every run: seed, data_digest, code_digest and the like.
    tables : mapping of str to tuple of TableRecord
        By protocol: its train and test tables.
    """

    name: str
    digest: str
    metric: str
    question: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, tuple[TableRecord, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRecord:
    """What the search knows of a finished trial.

    Attributes
    ----------
    protocol, model, number
        Which trial it is.
    state : str
        ``complete``, ``cut`` or ``failed``.
    params : dict
        Its parameters, without the model's name.
    score, std : float or None
        Mean and standard deviation over its inner folds; None where it failed.
    fold_scores : tuple of float
        One of each inner fold that was scored.
    seconds : float
        Spent on fitting, over all folds.
    seed : int
        The trial's own.
    reason : str
        Why it failed.
    epochs : tuple of int
        The best epoch of each inner fold; empty for a model that does not learn by epochs.
    ended : float or None
        When, in seconds since 1970; None for now.
    """

    protocol: str
    model: str
    number: int
    state: str
    params: Mapping[str, object]
    score: float | None
    std: float | None
    fold_scores: tuple[float, ...]
    seconds: float
    seed: int
    reason: str = ""
    epochs: tuple[int, ...] = ()
    ended: float | None = None


@dataclass(frozen=True)
class WinnerRecord:
    """A model's winner on a split, or the vote of several: what is added to the model's run.

    Attributes
    ----------
    protocol, model : str
        Whose winner; the vote is the model ``ensemble``.
    params : mapping
        The winner's parameters, or the vote's members.
    metrics : mapping of str to float
        The inner score under the trials' own names, test figures as ``test_uar``,
        ``test_uar_low``, ``test_accuracy``, ``test_ravdess_uar``.
    files : mapping of str to Path or bytes
        By their place among the run's artifacts: ``figures/confusion.png``,
        ``model/model.skops``.
    trial : int or None
        The winning trial; None for the vote.
    tags : mapping of str to str
        Further ones, for example the model file's digest.
    """

    protocol: str
    model: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    files: Mapping[str, Path | bytes] = field(default_factory=dict)
    trial: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def tracking_uri(project: Path) -> str:
    """Return where runs go: MLFLOW_TRACKING_URI, or MLflow's own default for the project.

    Raises
    ------
    BenchmarkError
        If that is PostgreSQL, and there is no driver for it.
    """
    told = os.environ.get("MLFLOW_TRACKING_URI")
    return with_driver(told) if told else f"sqlite:///{project.resolve() / DATABASE}"


@contextlib.contextmanager
def refusing(uri: str) -> Iterator[None]:
    """Turn what a store answers into one line that a user can act on."""
    try:
        yield
    except BenchmarkError:
        raise
    except Exception as error:
        raise BenchmarkError(
            f"MLflow at {without_user(uri)} can't be used: {first_line(error)} "
            "Start it, mend it or make room, or set MLFLOW_TRACKING_URI to another."
        ) from error


def check_address(uri: str) -> None:
    """Refuse a server that does not answer; takes no time for a database, which `reach` looks at.

    Raises
    ------
    BenchmarkError
        If nothing answers there.
    """
    if uri.startswith(("http:", "https:")):
        with refusing(uri):
            _check_server(uri)


def reach(uri: str, artifacts: Path) -> None:
    """Refuse a store that can't be used, before anything is done for it; make one that is missing.

    Takes two to three seconds, nearly all of it imports; may run in a thread of the caller's.

    Raises
    ------
    BenchmarkError
        If the store can't be reached, can't be used by this version of MLflow, or refuses.
    """

    def ask() -> None:
        connect(uri, artifacts).search_experiments(max_results=1)

    with refusing(uri):
        retry("MLflow's database", ask, is_locked)


class Tracker:
    """The runs of one study in MLflow.

    `open` and `begin` raise what is wrong before any fit. From then on records are written by a
    thread of their own: the study never waits for the store, and no failure of it stops the study.
    Only at its end, where a store went away within the last minute, it is waited for.

    Parameters
    ----------
    uri : str
        The store or server, see `tracking_uri`.
    experiment : str
        MLflow's experiment, made where there is none: one for each study, so that its table of runs
        is the study's.
    artifacts : Path
        The folder for files of a new experiment, ``mlruns`` in the project's folder; a server
        chooses for itself.
    patience_s : float
        For how long a store may be away at the end of a study.

    Attributes
    ----------
    seconds : float
        Time spent on writing so far, all of it beside the study's own work.
    reason : str
        Why the store could not be written when last tried; empty where it could.
    """

    def __init__(
        self, uri: str, experiment: str, *, artifacts: Path, patience_s: float = PATIENCE_S
    ) -> None:
        self.uri = uri
        self.experiment = experiment
        self.artifacts = artifacts
        self.patience_s = patience_s
        self.seconds = 0.0
        self.reason = ""
        self._store: tuple[Any, str] | None = None
        self._runs: _Runs | None = None
        self._study: StudyRecord | None = None
        self._queue: queue.SimpleQueue[Callable[[_Runs], None] | None] = queue.SimpleQueue()
        self._unwritten: deque[Callable[[_Runs], None]] = deque()
        self._retry_at = 0.0
        self._away_since = 0.0
        self._passes = False  # whether what failed last is likely to pass by itself
        self._status = ""
        self._thread: threading.Thread | None = None

    @property
    def lost(self) -> int:
        """How many trials and winners could not be logged; running the study again logs them."""
        return len(self._unwritten) if self.reason else 0

    def open(self) -> None:
        """Connect to the store and find or make the experiment.

        Raises
        ------
        BenchmarkError
            If the store can't be reached, can't be used by this version of MLflow, or refuses.
        """
        with refusing(self.uri):
            self._connect()

    def begin(self, study: StudyRecord) -> None:
        """Start a study's runs, or take up those of its earlier, interrupted run.

        A store that is away for now gets them when it is back.

        Raises
        ------
        BenchmarkError
            If the store can't be written.
        """
        self._study = study
        with refusing(self.uri):
            try:
                self._take_up()
            except Exception as error:
                self._note(error)
                if not self._passes:
                    raise
        self._thread = threading.Thread(target=self._write_all, name="tracking", daemon=True)
        self._thread.start()

    def log_trial(self, record: TrialRecord) -> None:
        """Log a finished trial; one that is logged already costs nothing."""
        self._queue.put(lambda runs: runs.log_trial(record))

    def log_winner(self, record: WinnerRecord) -> None:
        """Log a model's winner, or the vote, with its test figures and files."""
        self._queue.put(lambda runs: runs.log_winner(record))

    def finish(self, status: str = "FINISHED") -> None:
        """Write what is still to be written and end the study's runs.

        Parameters
        ----------
        status : str
            MLflow's word for how the study ended: ``FINISHED``, ``FAILED`` or ``KILLED``.
        """
        if self._thread is None:
            return
        self._status = status
        self._queue.put(None)
        self._thread.join(ATTEMPT_S)
        if self._thread.is_alive():
            log.warning("Waiting for MLflow to take the last records; nothing else is left to do.")
        self._thread.join()
        self._thread = None

    def _connect(self) -> tuple[Any, str]:
        if self._store is None:
            client = connect(self.uri, self.artifacts)
            location = None if on_server(self.uri) else self.artifacts
            self._store = client, experiment_of(client, self.experiment, location)
        return self._store

    def _take_up(self) -> _Runs:
        """Return the study's runs as the store has them, started where they are new."""
        assert self._study is not None
        runs = self._runs or _Runs(*self._connect(), self._study)
        runs.find()
        if self._runs is None:
            runs.begin()
            self._runs = runs
        return runs

    def _write_all(self) -> None:
        """Write records in order; after a failure keep them, and try again after a while."""
        while (write := self._queue.get()) is not None:
            self._unwritten.append(write)
            if time.monotonic() >= self._retry_at:
                self._write_pending()
        self._unwritten.append(lambda runs: runs.end(self._status))
        self._write_pending()
        while self.reason and self._may_come_back():
            time.sleep(1)
            self._write_pending()
        if self.reason:
            self._unwritten.pop()  # the end of the runs is no record

    def _may_come_back(self) -> bool:
        """Whether a store that failed is worth waiting for at the end of a study."""
        patient = self._status == "FINISHED" and self._passes
        return patient and time.monotonic() < self._away_since + self.patience_s

    def _write_pending(self) -> None:
        started = time.perf_counter()
        try:
            # A failure may have left half a run.
            runs = self._take_up() if self.reason or self._runs is None else self._runs
            while self._unwritten:
                self._unwritten[0](runs)
                self._unwritten.popleft()
            self.reason = ""
        except Exception as error:  # any failure of any store: the study must go on
            self._note(error)
        finally:
            self.seconds += time.perf_counter() - started

    def _note(self, error: Exception) -> None:
        """Keep why the store could not be written, since when, and when to try again."""
        now = time.monotonic()
        if not self.reason:
            self._away_since = now
        self.reason = first_line(error)
        self._passes = _server_fails(error) if on_server(self.uri) else is_transient(error)
        self._retry_at = now + PAUSE_S


class _Runs:
    """The runs of one study as MLflow has them; each method writes, and raises what goes wrong."""

    def __init__(self, client: Any, experiment: str, study: StudyRecord) -> None:
        self.client = client
        self.experiment = experiment
        self.study = study
        self.tags = {"digest": study.digest, "study": study.name, **study.tags, **source_tags()}
        self.known: dict[Identity, Any] = {}
        self.running: set[Identity] = set()

    def find(self) -> None:
        """Learn which runs there are, and delete halves, copies and what hangs on them.

        One search by the study's digest, so other studies' runs cost nothing.
        """
        self.known.clear()
        self.running.clear()
        kept = {""}
        for run in sorted(self._search(), key=_place):
            identity = _identity(run)
            half = identity[0] == TRIAL and run.info.status == "RUNNING"
            parent = run.data.tags.get("mlflow.parentRunId", "")
            if half or identity in self.known or parent not in kept:
                if run.info.status == "RUNNING":
                    self.client.set_terminated(run.info.run_id, "KILLED")
                self.client.delete_run(run.info.run_id)
                continue
            kept.add(run.info.run_id)
            self._keep(identity, run)

    def begin(self) -> None:
        """Start or take up the study's own run, and show what was asked."""
        run = self._container((STUDY, "", "", ""))
        text = json.dumps(self.study.settings, indent=1, ensure_ascii=False)
        self.client.log_text(run, text, "study.json")
        for name, value in self._shown().items():
            self.client.set_experiment_tag(self.experiment, name, value)

    def _shown(self) -> dict[str, str]:
        """Return the experiment's tags: what MLflow's UI shows of it, and how."""
        views = study_views(self.study.digest, self.study.metric, self.study.parameters)
        links = [
            f"- {view.name}: [table]({view_address(view.key, self.experiment)}), "
            f"[plot]({view_address(view.key, self.experiment, plot=True)})"
            for view in views
        ]
        return {
            "mlflow.experimentKind": "custom_model_development",
            "mlflow.experiment.primaryMetric.name": self.study.metric,
            "mlflow.note.content": "\n".join([self.study.question, "", *links]),
            **dict(view.tag for view in views),
        }

    def log_trial(self, record: TrialRecord) -> None:
        """Log one trial, unless it is there."""
        identity = (TRIAL, record.protocol, record.model, str(record.number))
        if identity in self.known:
            return
        ended = int(1000 * (record.ended or time.time()))
        tags = {"state": record.state, "trial_seed": str(record.seed)}
        if record.reason:
            tags["reason"] = record.reason[:MAX_TEXT]
        # The table's Duration column then shows what the fits took, not the logging.
        run = self._create(identity, tags, started=ended - int(1000 * record.seconds))
        metrics = {
            self.study.metric: record.score,
            "std": record.std,
            "fit_seconds": record.seconds,
            **{f"fold_{fold}": score for fold, score in enumerate(record.fold_scores)},
            **({"epochs": sum(record.epochs) / len(record.epochs)} if record.epochs else {}),
        }
        self._log(run.info.run_id, record.protocol, record.model, record.params, metrics)
        status = "FAILED" if record.state == "failed" else "FINISHED"
        self.client.set_terminated(run.info.run_id, status, ended)
        self.known[identity] = run

    def log_winner(self, record: WinnerRecord) -> None:
        """Add a winner to its model's run, unless it is there; another winner's takes a new run."""
        identity = (MODEL, record.protocol, record.model, "")
        fingerprint = _fingerprint(record)
        self._container(identity)
        run = self.known[identity]
        if run.data.tags.get("winner_digest") == fingerprint:
            return
        if run.data.params:
            run = self._replace(identity)
        run_id = run.info.run_id
        self._log(run_id, record.protocol, record.model, record.params, record.metrics)
        self._log_files(run_id, record.files)
        tags = {**record.tags, "winner_digest": fingerprint}
        if record.trial is not None:
            tags["winning_trial"] = str(record.trial)
        for name, value in tags.items():
            self.client.set_tag(run_id, name, value)
        self._end(identity, "FINISHED")

    def end(self, status: str) -> None:
        """End the runs that only hold others."""
        for identity in sorted(self.running, key=lambda identity: -ROLES.index(identity[0])):
            self._end(identity, status)

    def _search(self) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment], f"tags.digest = '{self.study.digest}'", page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _keep(self, identity: Identity, run: Any) -> None:
        self.known[identity] = run
        if identity[0] != TRIAL and run.info.status != "FINISHED":
            self.running.add(identity)

    def _container(self, identity: Identity) -> str:
        """Return the id of a run that holds others, made where there is none."""
        if identity not in self.known:
            self._keep(identity, self._create(identity, {}))
        return str(self.known[identity].info.run_id)

    def _create(
        self, identity: Identity, tags: Mapping[str, str], started: int | None = None
    ) -> Any:
        """Return a new run below its parent, in the state of running."""
        role, protocol, model, number = identity
        named = dict(zip(("role", "protocol", "model", "trial"), identity, strict=True))
        own = {name: value for name, value in named.items() if value}
        if role == STUDY:
            own["mlflow.note.content"] = self.study.question
        else:
            own["mlflow.parentRunId"] = self._container(_parent(identity))
        # The model first: the tree of runs shows a dozen letters at its depth.
        shown = [model, protocol, number.zfill(3)] if number else [model, protocol]
        run = self.client.create_run(
            self.experiment,
            start_time=started,
            tags={**self.tags, **tags, **own},
            run_name=" ".join(filter(None, shown)) or self.study.name,
        )
        if self.study.tables.get(protocol):
            self.client.log_inputs(run.info.run_id, self._inputs(protocol))
        return run

    def _log(
        self,
        run: str,
        protocol: str,
        model: str,
        params: Mapping[str, object],
        metrics: Mapping[str, float | None],
    ) -> None:
        """Write a run's parameters and figures.

        Protocol and model are parameters too: axes of the parallel-coordinates plot. A parameter
        carries its model's name, because two models mean two things by the same word.
        """
        from mlflow.entities import Metric, Param

        now = int(1000 * time.time())
        searched = self.study.parameters.get(model, {})
        named = {f"{model}.{name}": value for name, value in params.items()}
        for name, value in params.items():
            if searched.get(name) and isinstance(value, int | float) and value > 0:
                named[f"{model}.{log_axis(name)}"] = round(math.log10(value), 4)
        self.client.log_batch(
            run,
            [Metric(name, v, now, 0) for name, v in metrics.items() if v is not None],
            [
                Param(name, str(value)[:MAX_TEXT])
                for name, value in {"protocol": protocol, "model": model, **named}.items()
            ],
        )

    def _inputs(self, protocol: str) -> list[Any]:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        return [
            DatasetInput(
                Dataset(
                    name=table.name,
                    digest=table.digest[:16],
                    source_type="local",
                    source=json.dumps({"uri": table.source}),
                    profile=json.dumps({"num_rows": table.rows}),
                ),
                [InputTag("mlflow.data.context", table.side)],
            )
            for table in self.study.tables.get(protocol, ())
        ]

    def _log_files(self, run: str, files: Mapping[str, Path | bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    target.write_bytes(content)
                else:
                    target.symlink_to(content.resolve())
            self.client.log_artifacts(run, folder)

    def _replace(self, identity: Identity) -> Any:
        """Return a fresh run in place of one with other parameters, which MLflow never changes."""
        old = self.known[identity].info.run_id
        run = self._create(identity, {})
        for other, child in self.known.items():
            if other[0] == TRIAL and _parent(other) == identity:
                self.client.set_tag(child.info.run_id, "mlflow.parentRunId", run.info.run_id)
        self.client.delete_run(old)
        self._keep(identity, run)
        return run

    def _end(self, identity: Identity, status: str) -> None:
        self.client.set_terminated(self.known[identity].info.run_id, status)
        self.running.discard(identity)


def _server_fails(error: Exception) -> bool:
    """Whether a server could not answer, rather than refused."""
    status = getattr(error, "get_http_status_code", None)  # MLflow's own errors have it
    return not isinstance(error, BenchmarkError) and (status is None or status() >= 500)


def _parent(identity: Identity) -> Identity:
    role, protocol, model, _ = identity
    above = ROLES[ROLES.index(role) - 1]
    return (above, protocol if above != STUDY else "", model if above == MODEL else "", "")


def _identity(run: Any) -> Identity:
    tags = run.data.tags
    return (
        tags.get("role", ""),
        tags.get("protocol", ""),
        tags.get("model", ""),
        tags.get("trial", ""),
    )


def _place(run: Any) -> tuple[int, int]:
    """Order of runs in which parents come before children, and originals before copies."""
    role = run.data.tags.get("role")
    return (ROLES.index(role) if role in ROLES else len(ROLES), run.info.start_time)


def _fingerprint(record: WinnerRecord) -> str:
    """Digest of what a winner shows; a model's file is new bytes each time it is written."""
    known = {"params": dict(record.params), "metrics": dict(record.metrics), "trial": record.trial}
    digest = hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode())
    for name, content in sorted(record.files.items()):
        digest.update(name.encode())
        if name.endswith(".png"):
            data = content if isinstance(content, bytes) else content.read_bytes()
            digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def connect(uri: str, artifacts: Path) -> Any:
    """Return MLflow's client of a store that exists, answers and is of this version."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        # Whatever fails reaches us as an exception; they would print its traceback besides.
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if ("://" not in uri and uri != "databricks") or uri.startswith("file:"):
        raise BenchmarkError(
            f"MLflow no longer keeps runs in folders such as {uri}. "
            "Set MLFLOW_TRACKING_URI to a server or a database, such as sqlite:///mlflow.db."
        )
    file = sqlite_file(uri)
    if file is not None:
        _create_database(file, artifacts)
    if uri.startswith(("http:", "https:")):
        _check_server(uri)
    elif not on_server(uri):
        _check_database(uri)
    return MlflowClient(tracking_uri=uri)


def on_server(uri: str) -> bool:
    """Return whether an address is a server's, which chooses by itself where files lie."""
    return uri.startswith(("http:", "https:", "databricks"))


def experiment_of(client: Any, name: str, artifacts: Path | None) -> str:
    """Return the id of an experiment, made where there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if artifacts is None else (artifacts.resolve() / name).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except Exception:
            found = client.get_experiment_by_name(name)  # another process was quicker
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise BenchmarkError(
            f"MLflow's experiment {name!r} is deleted. Bring it back with "
            f"`mlflow experiments restore -x {found.experiment_id}`."
        )
    return str(found.experiment_id)


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite database; None for any other store."""
    path = uri.removeprefix("sqlite:///")
    return None if path == uri or path in {"", ":memory:"} else Path(path)


def _create_database(file: Path, artifacts: Path) -> None:
    """Make a database whole or not at all, by one process: MLflow's steps can't be repeated."""
    if _made(file):
        return
    import sqlite3

    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        if _made(file):
            return
        partial = file.with_name(f".{file.name}.partial")
        _remove(partial)  # of a process that was killed here
        try:
            store = SqlAlchemyStore(  # type: ignore[no-untyped-call]
                f"sqlite:///{partial}", artifacts.resolve().as_uri()
            )
            store.engine.dispose()
            with contextlib.closing(sqlite3.connect(partial)) as connection:
                # A quarter of a trial's cost is waiting for the disk; this kind of journal waits
                # less, and readers (the UI) never hold up the writer. The file remembers it.
                connection.execute("PRAGMA journal_mode=WAL")
            partial.replace(file)
        finally:
            _remove(partial)


def _remove(database: Path) -> None:
    """Remove a SQLite file and what belongs to it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _made(file: Path) -> bool:
    """Whether a database is there; SQLite leaves an empty file when it is merely asked for one."""
    return file.exists() and file.stat().st_size > 0


def _check_server(uri: str) -> None:
    """Find out in one try whether a server answers at all; what it answers is no matter here."""
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(without_user(uri), timeout=10).close()


def _check_database(uri: str) -> None:
    """Refuse a database that this version of MLflow would change for good, or not understand.

    It also finds out within seconds whether there is a database at all; MLflow tries for an hour.
    """
    import sqlalchemy
    from mlflow.store.db.utils import _get_latest_schema_revision

    engine = sqlalchemy.create_engine(uri, **engine_options(uri))
    try:
        if not sqlalchemy.inspect(engine).has_table("alembic_version"):
            return
        with engine.connect() as connection:
            query = sqlalchemy.text("SELECT version_num FROM alembic_version")
            found = connection.execute(query).scalar()
    finally:
        engine.dispose()
    if str(found).startswith("v"):  # as Optuna counts; MLflow's are digits and letters at random
        raise BenchmarkError(
            f"{without_user(uri)} is the database of the trial storage. Both keep a table of the "
            "same name: make MLflow a database of its own, and set MLFLOW_TRACKING_URI to it."
        )
    expected = _get_latest_schema_revision()  # type: ignore[no-untyped-call]
    if found != expected:
        raise BenchmarkError(
            f"MLflow's database {without_user(uri)} was made by another version of MLflow "
            f"(schema {found}, here {expected}). If that was an older one: keep a copy, then "
            f"`mlflow db upgrade {without_user(uri)}`. Otherwise install the newer MLflow, or set "
            "MLFLOW_TRACKING_URI to another store."
        )


def source_tags() -> dict[str, str]:
    """Return the tags that MLflow's fluent interface would set: who, by what, at which commit."""
    tags = {"mlflow.source.name": "benchmark", "mlflow.source.type": "LOCAL"}
    with contextlib.suppress(OSError, KeyError):  # a user id without a name, as in containers
        tags["mlflow.user"] = getpass.getuser()
    here = Path(__file__).resolve()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        # An installed copy may lie inside somebody else's repository: is this file part of it?
        for command in (["ls-files", "--error-unmatch", here.name], ["rev-parse", "HEAD"]):
            answer = subprocess.run(
                ["git", *command],
                cwd=here.parent,
                capture_output=True,
                text=True,
                timeout=5,
                check=True,
            )
        tags["mlflow.source.git.commit"] = answer.stdout.strip()
    return tags


def first_line(error: BaseException) -> str:
    """Return the first line of an error's cause as a sentence."""
    while error.__cause__ is not None:  # MLflow and SQLAlchemy wrap the one that says something
        error = error.__cause__
    text = str(getattr(error, "reason", "") or error).strip() or type(error).__name__
    line = text.splitlines()[0][:300]
    return line if line.endswith((".", "!", "?")) else f"{line}."


def ui_command(uri: str, project: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command that shows the runs in a browser, and its environment.

    One worker (MLflow's own four, with its job runners, take 2 GB and answer fourteen times as
    slowly), reachable from this machine only, under its own two names only, without jobs. To be run
    in the project's folder.

    Raises
    ------
    BenchmarkError
        If the runs lie on a server, there are none yet, or the port is taken.
    """
    if uri.startswith(("http:", "https:")):
        raise BenchmarkError(f"The runs lie on a server: open {without_user(uri)} in a browser.")
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        raise BenchmarkError(
            f"{file}: there are no runs yet. Make some with `python -m benchmark run-study`."
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BenchmarkError(
                f"Port {port} can't be used ({error.strerror}). Choose another with --port."
            ) from error
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    command += ["--allowed-hosts", f"localhost:{port},127.0.0.1:{port}"]
    command += ["--artifacts-destination", str(project.resolve() / ARTIFACTS)]
    environment = {
        **os.environ,
        **SETTINGS,
        "MLFLOW_BACKEND_STORE_URI": uri,  # it may hold a password, and everyone sees a command
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",  # of MLflow's own libraries, about one another
    }
    return command, environment


def ui_addresses(uri: str, project: Path, port: int) -> list[tuple[str, str]]:
    """Return each study with the address of all its trials in the UI, the latest study first.

    The UI's own first page is about language models; these lead past it.
    """
    client = connect(uri, project / ARTIFACTS)
    return [
        (found.name, f"http://127.0.0.1:{port}/{view_address('trials', found.experiment_id)}")
        for found in client.search_experiments(order_by=["last_update_time DESC"])
        if f"{TAG}trials" in found.tags
    ]
