"""Databases that are PostgreSQL's, are locked, restart, lose an answer: nothing lost or twice."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from benchmark.engine import retry
from benchmark.engine.databases import with_driver
from benchmark.errors import BenchmarkError
from benchmark.features import feature_set
from benchmark.features.cache import Cache, Row, row_key
from benchmark.search.storage import TrialStorage
from benchmark.tracking.store import check_store
from benchmark.tracking.tracker import Tracker
from tests.support.bench import Bench
from tests.support.postgres import PoorLine, Postgres
from tests.support.stores import PLAN, assert_same, held, opened, run_on, trial, wait_for_trials
from tests.support.tracking import STUDY, TRIALS, runs_of


def test_postgresql_gives_the_bytes_trials_and_runs_of_sqlite(
    finished: Bench, bench: Bench, postgres: Postgres
) -> None:
    storage, tracking = postgres.database(), postgres.database()
    with run_on(bench, storage, tracking) as process:
        said = process.communicate()[1]
    assert process.returncode == 0, said
    assert_same(bench, finished, storage, tracking)


def test_a_study_on_a_shared_server_is_run_by_one_at_a_time(
    bench: Bench, postgres: Postgres, tmp_path: Path
) -> None:
    storage = postgres.database()
    first, second = TrialStorage(storage), TrialStorage(storage)
    first.open()
    second.open()
    with first.lock("small"):
        with second.lock("another"):
            pass
        with run_on(bench, storage, f"sqlite:///{tmp_path}/mlflow.db") as process:
            said = process.communicate()[1]
        assert process.returncode == 2
        assert said.splitlines()[-1].startswith("error: study small is already running on this")
    with second.lock("small"):
        pass


def test_a_study_goes_on_after_its_database_was_restarted_midway(
    finished: Bench, bench: Bench, postgres: Postgres
) -> None:
    storage, tracking = postgres.database(), postgres.database()
    with run_on(bench, storage, tracking) as process:
        wait_for_trials(storage, 5, process)
        postgres.restart(away_s=5)
        said = process.communicate()[1]
    assert process.returncode == 0, said
    assert "The trial storage is back after" in said
    assert_same(bench, finished, storage, tracking)


def test_a_trial_whose_answer_was_lost_is_stored_once(postgres: Postgres) -> None:
    url = make_url(postgres.database())
    line = PoorLine(f"{url.query['host']}/.s.PGSQL.5432")
    poor = url.set(host="127.0.0.1", port=line.port, query={"sslmode": "disable"})
    store, study = opened(poor.render_as_string(hide_password=False))
    for number in range(4):
        line.cuts = 1
        store.add(study, PLAN, trial(number))
        assert line.cuts == 0
    assert [one.trial.number for one in store.trials(study, PLAN) if one.trial] == [0, 1, 2, 3]
    assert len(study.get_trials()) == 4


def test_a_locked_trial_storage_is_waited_for_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, study = opened(f"sqlite:///{tmp_path / 'optuna.db'}")
    with held(tmp_path / "optuna.db", 5):
        store.add(study, PLAN, trial(0))
    assert [record.getMessage().partition(" ")[0] for record in caplog.records] == ["The", "The"]
    assert "can't be used for now (database is locked)" in caplog.text
    assert "is back after" in caplog.text
    assert len(study.get_trials()) == 1


def test_a_locked_postgresql_is_waited_for_and_said(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres.database()
    store, study = opened(url)
    with create_engine(with_driver(url)).connect() as other:
        other.execute(text("LOCK TABLE trials IN ACCESS EXCLUSIVE MODE"))
        timer = threading.Timer(5, other.rollback)
        timer.start()
        store.add(study, PLAN, trial(0))
        timer.join()
    assert "The trial storage can't be used for now" in caplog.text
    assert len(study.get_trials()) == 1


def test_a_storage_that_is_locked_at_the_start_is_waited_for(tmp_path: Path) -> None:
    opened(f"sqlite:///{tmp_path / 'optuna.db'}")
    with held(tmp_path / "optuna.db", 4):
        store, study = opened(f"sqlite:///{tmp_path / 'optuna.db'}")
    assert list(store.trials(study, PLAN)) == []


def test_a_database_that_stays_away_is_given_up_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "PATIENCE_S", 1.0)
    store, study = opened(f"sqlite:///{tmp_path / 'optuna.db'}")
    with (
        held(tmp_path / "optuna.db", 6),
        pytest.raises(
            BenchmarkError, match=r"database is locked\. Finished trials are safe"
        ) as told,
    ):
        store.add(study, PLAN, trial(0))
    assert "\n" not in str(told.value)
    store.add(study, PLAN, trial(0))
    assert len(study.get_trials()) == 1


def test_a_locked_store_of_runs_costs_no_record(tmp_path: Path) -> None:
    tracker = Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", "toy", artifacts=tmp_path / "mlruns")
    check_store(tracker.uri)
    with held(tmp_path / "mlflow.db", 6):
        began = time.monotonic()
        tracker.begin(STUDY)
        for trial in TRIALS:
            tracker.log_trial(*trial)
        assert time.monotonic() - began < 25  # MLflow's own patience, once
    tracker.finish()
    assert (tracker.lost, tracker.reason) == (0, "")
    assert len(runs_of(tracker)) == 11


def test_a_locked_features_cache_is_waited_for_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Cache(tmp_path, feature_set("mfcc-stats", 16_000)) as cache, held(cache.path, 5):
        cache.write([(row_key(b"clip"), Row("digest", 1.0, 16_000))])
        key = row_key(b"clip")
        assert cache.read([key]) == {key: Row("digest", 1.0, 16_000)}
    assert "The features cache can't be used for now (database is locked)" in caplog.text


@pytest.mark.parametrize("written", ["postgresql://", "postgres://", "postgresql+psycopg://"])
def test_postgresql_needs_no_driver_in_its_address(written: str) -> None:
    pytest.importorskip("psycopg", reason="needs the extra `cluster`")
    assert with_driver(f"{written}me:pw@host/db") == "postgresql+psycopg://me:pw@host/db"


@pytest.mark.parametrize("url", ["sqlite:///optuna.db", "http://host:5000", "mysql://host/db"])
def test_other_addresses_stay_as_they_are(url: str) -> None:
    assert with_driver(url) == url


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(BenchmarkError, match="extra `cluster`") as told:
        TrialStorage("postgresql://me:secret@host/db").open()
    assert "secret" not in str(told.value)


def test_another_driver_than_the_installed_one_is_refused_with_what_to_write() -> None:
    pytest.importorskip("psycopg", reason="needs the extra `cluster`")
    with pytest.raises(BenchmarkError, match=r"Write postgresql\+psycopg://"):
        with_driver("postgresql+pg8000://host/db")


@pytest.mark.parametrize(
    "place",
    ["me:secret@127.0.0.1:1/db", "me:secret@127.0.0.1:port/db", "me:secret@nowhere.invalid/db"],
)
def test_a_server_that_is_not_there_is_said_at_once_without_its_password(place: str) -> None:
    pytest.importorskip("psycopg", reason="needs the extra `cluster`")
    began = time.monotonic()
    with pytest.raises(BenchmarkError, match="trial storage can't be used") as told:
        TrialStorage(f"postgresql://{place}").open()
    assert time.monotonic() - began < 10
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)


def test_one_database_for_both_stores_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.database()
    opened(url)
    with pytest.raises(BenchmarkError, match="separate database for MLflow"):
        check_store(with_driver(url))


def test_several_processes_may_make_the_tables_at_once(postgres: Postgres) -> None:
    url = postgres.database()
    program = (
        "import sys; from benchmark.search.storage import TrialStorage; "
        "TrialStorage(sys.argv[1]).open()"
    )
    several = [
        subprocess.Popen([sys.executable, "-c", program, url], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate()[1] for process in several]
    assert [process.returncode for process in several] == [0, 0, 0], said
