"""Databases that fail repeatedly during whole studies; each test prints its count.

Run with ``pytest tests/faults/test_databases.py``; it takes about a quarter of an hour on two
cores. Each study must end by itself, with the bytes, trials and runs of an uninterrupted one.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.bench import Bench
from tests.support.postgres import Postgres
from tests.support.stores import assert_same, held, run_on, wait_for_trials
from tests.support.tracking import served
from tests.support.waiting import free_port

LONGER = ("--set", "search.trials=20")
"""About half a minute of search, so that a database can fail at many points."""


@pytest.fixture(scope="module")
def longer(finished: Bench, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The small study with more trials, run on SQLite without faults."""
    bench = replace(finished, project=tmp_path_factory.mktemp("longer"))
    bench.run("--workers", "1", *LONGER)
    return bench


def end_of(process: subprocess.Popen[str]) -> str:
    """Return the output of a study that must end by itself with status 0."""
    said = process.communicate()[1]
    assert process.returncode == 0, said
    return said


@pytest.mark.parametrize("seed", range(3))
def test_ten_restarts_at_random_moments(
    longer: Bench, bench: Bench, postgres: Postgres, record: Callable[[str], None], seed: int
) -> None:
    moments = random.Random(seed)
    storage, tracking = postgres.database(), postgres.database()
    restarts = 0
    with run_on(bench, storage, tracking, *LONGER) as process:
        wait_for_trials(storage, 1, process)
        while process.poll() is None and restarts < 10:
            time.sleep(moments.uniform(0.1, 2.0))
            postgres.restart(away_s=moments.uniform(0.0, 4.0))
            restarts += 1
        said = end_of(process)
    assert restarts
    assert_same(bench, longer, storage, tracking)
    record(f"PostgreSQL restarted {restarts} times: same bytes; told {said.count('is back')} times")


@pytest.mark.parametrize("seed", range(3))
def test_a_crash_of_the_server(
    longer: Bench, bench: Bench, postgres: Postgres, record: Callable[[str], None], seed: int
) -> None:
    storage, tracking = postgres.database(), postgres.database()
    with run_on(bench, storage, tracking, *LONGER) as process:
        wait_for_trials(storage, 5 + 20 * seed, process)
        postgres.crash()
        time.sleep(2)
        postgres.start()
        said = end_of(process)
    assert_same(bench, longer, storage, tracking)
    record(f"PostgreSQL crashed: same bytes; told {said.count('is back')} times")


def test_a_study_is_resumed_after_a_long_outage_of_the_server(
    finished: Bench, bench: Bench, postgres: Postgres, record: Callable[[str], None]
) -> None:
    storage = postgres.database()
    tracking = f"sqlite:///{bench.project / 'mlflow.db'}"
    with run_on(bench, storage, tracking) as process:
        wait_for_trials(storage, 10, process)
        postgres.stop()
        began = time.monotonic()
        said = process.communicate()[1]
        waited_s = time.monotonic() - began
    errors = [line for line in said.splitlines() if "the trial storage can't be used" in line]
    assert process.returncode == 2, said
    assert len(errors) == 1, said
    postgres.start()
    with run_on(bench, storage, tracking) as process:
        end_of(process)
    assert_same(bench, finished, storage, tracking)
    record(f"PostgreSQL gone: refused after {waited_s:.0f} s, resumed to the same bytes")


@pytest.mark.parametrize("name", ["optuna.db", "mlflow.db", "features_cache"])
def test_a_database_locked_for_half_a_minute_by_another_program(
    finished: Bench, bench: Bench, record: Callable[[str], None], name: str
) -> None:
    storage, tracking = (f"sqlite:///{bench.project / file}" for file in ("optuna.db", "mlflow.db"))
    with run_on(bench, storage, tracking) as process:
        file = first_of(bench.project, name, process)
        with held(file, 30):
            said = end_of(process) if name == "mlflow.db" else ""
        said = said or end_of(process)
    assert_same(bench, finished, storage, tracking)
    told = [
        line for line in said.splitlines() if "can't be used for now" in line or "Waiting" in line
    ]
    record(f"{name} held for 30 s: same bytes; told: {told}")


def first_of(project: Path, name: str, process: subprocess.Popen[str]) -> Path:
    """Return a database of a running study as soon as it has content."""
    pattern = {"features_cache": "features_cache/mfcc-stats-*.sqlite"}.get(name, name)
    while process.poll() is None:
        found = [path for path in project.glob(pattern) if path.stat().st_size > 8192]
        if found:
            return found[0]
        time.sleep(0.02)
    return pytest.fail(f"the study ended without {name}")


@pytest.mark.parametrize("gone_s", [2, 25])
def test_an_mlflow_server_that_stops_and_returns(
    finished: Bench,
    bench: Bench,
    postgres: Postgres,
    record: Callable[[str], None],
    tmp_path: Path,
    gone_s: float,
) -> None:
    storage = f"sqlite:///{bench.project / 'optuna.db'}"
    backend, port = postgres.database(), free_port()
    with served(tmp_path, port, backend) as address:
        process = run_on(bench, storage, address)
        wait_for_trials(storage, 10, process)
    time.sleep(gone_s)
    with served(tmp_path, port, backend), process:
        said = end_of(process)
        if "could not be logged" in said:
            end_of(run_on(bench, storage, address))
    assert_same(bench, finished, storage, backend)
    again = "could not be logged" in said
    record(
        f"MLflow's server gone for {gone_s} s: nothing lost or twice; a second run needed: {again}"
    )


def test_a_trial_storage_that_stays_locked_is_a_one_line_error(bench: Bench) -> None:
    bench.run("--set", "search.trials=1")
    with sqlite3.connect(bench.project / "optuna.db", isolation_level=None) as database:
        database.execute("BEGIN EXCLUSIVE")
        refused = bench.run(check=False)
    assert refused.returncode == 2
    assert "locked" in refused.stderr
    assert bench.run().returncode == 0
