"""Stores of trials and runs: what they hold, and studies that write to them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import Engine

from benchmark.engine.arrays import StoredArrays
from benchmark.engine.databases import with_driver
from benchmark.search.plan import Plan
from benchmark.search.storage import TrialStorage
from benchmark.search.trial import Trial
from benchmark.study import ModelSettings, Search
from tests.support.bench import Bench


def stored_trials(url: str) -> list[tuple[object, ...]]:
    """Each trial of an Optuna storage: its study, number, state, score and parameters."""
    url = with_driver(url)
    return sorted(
        (name, trial.number, trial.state.name, trial.value, str(sorted(trial.params.items())))
        for name in optuna.get_all_study_names(url)
        for trial in optuna.load_study(study_name=name, storage=url).get_trials()
    )


def stored_runs(uri: str) -> list[tuple[object, ...]]:
    """Each live run of an MLflow store: who it is, how it ended, its parameters and figures."""
    from mlflow import MlflowClient

    client = MlflowClient(with_driver(uri))
    shown = ("role", "split", "model", "trial", "state", "selected_trial")
    found = []
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], max_results=5000):
            figures = {name: v for name, v in run.data.metrics.items() if name != "fit_seconds"}
            tags = [run.data.tags.get(name) for name in shown]
            found.append(
                (*tags, run.info.status, str(run.data.params), str(sorted(figures.items())))
            )
    return sorted(found, key=str)


def trials_in_optuna(bench: Bench) -> list[tuple[object, ...]]:
    """The trials of a project's own storage."""
    return stored_trials(f"sqlite:///{bench.project}/optuna.db")


def runs_in_mlflow(bench: Bench) -> list[tuple[object, ...]]:
    """The live runs of a project's own store."""
    return stored_runs(f"sqlite:///{bench.project}/mlflow.db")


def run_on(
    bench: Bench, storage: str, tracking: str, *further: str, **variables: str
) -> subprocess.Popen[str]:
    """The small study with its trials in one store and its runs in another, under way."""
    arguments = (str(bench.study), "--corpus", f"csv={bench.table}", "--workers", "2", *further)
    return subprocess.Popen(
        bench.command("run-study", *arguments, "--storage", storage),
        env={**os.environ, "MLFLOW_TRACKING_URI": tracking, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_same(bench: Bench, finished: Bench, storage: str = "", tracking: str = "") -> None:
    """Reports, trials and runs equal those of an unbroken run, whose stores are SQLite."""
    assert bench.bytes_of("reports") == finished.bytes_of("reports")
    trials = stored_trials(storage) if storage else trials_in_optuna(bench)
    assert trials == trials_in_optuna(finished)
    runs = stored_runs(tracking) if tracking else runs_in_mlflow(bench)
    assert runs == runs_in_mlflow(finished)


def trials_of(engine: Engine) -> int:
    """How many trials an Optuna storage has."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM trials")).scalar() or 0)


def wait_for_trials(url: str, many: int, process: subprocess.Popen[str]) -> None:
    """Wait until a study under way has stored so many trials."""
    engine = create_engine(with_driver(url))
    while process.poll() is None:
        time.sleep(0.1)
        if inspect(engine).has_table("trials") and trials_of(engine) >= many:
            break
    engine.dispose()


PLAN = Plan(
    study="toy",
    split="speaker-dependent",
    stream="random",
    model="logistic_regression",
    spec=ModelSettings.model_validate({"C": {"low": 1e-3, "high": 10.0, "log": True}}),
    search=Search(trials=8, folds=3, metric="uar"),
    seed=0,
    emotions=("angry", "happy"),
    n_folds=3,
    arrays=StoredArrays(Path(), "toy"),
    origin={},
)


def trial(number: int) -> Trial:
    return Trial(number, {"C": 1.0}, {"C": 1.0}, (0.5, 0.25, 0.125), 1.0, 7)


def opened(url: str) -> tuple[TrialStorage, optuna.Study]:
    store = TrialStorage(url)
    store.open()
    return store, store.study_of(PLAN)[0]


@contextmanager
def held(file: Path, seconds: float) -> Iterator[None]:
    """A SQLite file that another program holds for so long."""
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(seconds, other.execute, ["COMMIT"])
        timer.start()
        yield
        timer.join()
