"""Stores of runs: which are created, which are refused before any work."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from benchmark.engine.databases import sqlite_file
from benchmark.errors import BenchmarkError
from benchmark.tracking.store import check_store, tracking_uri
from tests.support.tracking import (
    STUDY,
    TRIALS,
    client_of,
    log,
    runs_of,
    tracker_of,
)
from tests.support.waiting import free_port


def test_an_unreachable_server_is_refused_before_any_work(
    tmp_path: Path,
) -> None:
    address = f"http://someone:secret@127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(BenchmarkError, match=r"can't be used: .*refused") as caught:
        check_store(address)
    assert time.monotonic() - started < 10
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns"])
def test_a_folder_as_a_store_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no longer stores runs in folders"):
        check_store(uri)


def test_a_database_of_another_mlflow_version_is_left_unchanged(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('0123456789ab')")
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(BenchmarkError, match="created by another version of MLflow"):
        check_store(tracking_uri(tmp_path))
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 1000)
    with pytest.raises(BenchmarkError, match=r"mlflow\.db can't be used: file is not a database"):
        check_store(tracking_uri(tmp_path))


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    tracker = tracker_of(tmp_path, "any")
    log(tracker, TRIALS[:1])
    assert len(runs_of(tracker)) == 4


def test_a_deleted_experiment_is_not_written_to(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, [])
    client = client_of(tracker.uri)
    client.delete_experiment(client.get_experiment_by_name(experiment).experiment_id)
    with pytest.raises(BenchmarkError, match="mlflow experiments restore"):
        tracker_of(project, experiment).begin(STUDY)


def test_two_processes_can_create_the_database_at_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from benchmark.tracking.store import check_store, tracking_uri;"
        "folder = Path(sys.argv[1]);"
        "check_store(tracking_uri(folder))"
    )
    environment = {key: v for key, v in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said == ["", ""]
    assert {path.name for path in tmp_path.iterdir()} <= {"mlflow.db", ".mlflow.db.lock"}


def test_the_store_is_mlflows_own_default_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert sqlite_file(tracking_uri(tmp_path)) == tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere:5000")
    assert tracking_uri(tmp_path) == "http://elsewhere:5000"


def test_importing_the_tracker_does_not_import_mlflow() -> None:
    program = "import sys, benchmark.tracking.tracker; print('mlflow' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout.strip() == b"False"
