"""MLflow's runs of a study: written through the one door, read back through MLflow's own client."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.tracking import runs as tracking
from benchmark.tracking.runs import Tracker
from tests.support.tracking import (
    STUDY,
    TRIAL,
    TRIALS,
    WINNER,
    client_of,
    log,
    runs_of,
    served,
    tracker_of,
)
from tests.support.waiting import free_port


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a project ü")


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def test_runs_nest_study_split_model_trial(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS, (WINNER,))
    runs = runs_of(tracker)
    chain = ["mlp speaker-dependent 002", "mlp speaker-dependent", "speaker-dependent", "toy"]
    for child, parent in pairwise(chain):
        assert runs[child].data.tags["mlflow.parentRunId"] == runs[parent].info.run_id
    assert "mlflow.parentRunId" not in runs["toy"].data.tags
    assert len(runs) == 1 + 2 + 2 + 6
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_a_trial_shows_all_that_is_known_of_it(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, [TRIAL])
    run = runs_of(tracker)["mlp speaker-dependent 000"]
    assert run.data.params == {
        "protocol": "speaker-dependent",
        "model": "mlp",
        "mlp.alpha": "0.01",
        "mlp.log10_alpha": "-2.0",
        "mlp.hidden_layer_sizes": "[64, 32]",
    }
    assert run.data.metrics == {
        "uar": 0.75,
        "std": 0.05,
        "fit_seconds": 3.0,
        "fold_0": 0.7,
        "fold_1": 0.8,
    }
    shown = {"state": "complete", "seed": "0", "trial_seed": "17", "digest": "d1", "trial": "0"}
    assert shown.items() <= run.data.tags.items()
    assert {"data_digest", "code_digest", "mlflow.source.name"} <= set(run.data.tags)
    assert run.info.end_time - run.info.start_time == 3000
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {
        "toy/random/train",
        "toy/random/test",
    }


def test_a_failed_trial_says_why(project: Path, experiment: str) -> None:
    failed = replace(
        TRIAL, state="failed", score=None, std=None, fold_scores=(), reason="no memory"
    )
    tracker = tracker_of(project, experiment)
    log(tracker, [failed])
    run = runs_of(tracker)["mlp speaker-dependent 000"]
    assert run.info.status == "FAILED"
    assert run.data.tags["reason"] == "no memory"
    assert "uar" not in run.data.metrics


def test_a_winner_has_test_figures_pictures_and_its_model(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS, (WINNER, replace(WINNER, model="ensemble", trial=None)))
    runs = runs_of(tracker)
    client = client_of(tracker.uri)
    for name in ("mlp speaker-dependent", "ensemble speaker-dependent"):
        assert runs[name].data.metrics == {"uar": 0.75, "test_uar": 0.7}
        folder = runs[name].info.run_id
        assert [f.path for f in client.list_artifacts(folder, "figures")] == [
            "figures/confusion.png"
        ]
        assert [f.path for f in client.list_artifacts(folder, "model")] == ["model/model.skops"]


def test_running_a_study_again_adds_nothing(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS, (WINNER,))
    before = {name: run.info.run_id for name, run in runs_of(tracker).items()}
    again = tracker_of(project, experiment)
    log(again, TRIALS, (WINNER,))
    assert {name: run.info.run_id for name, run in runs_of(again).items()} == before


def test_a_killed_study_is_taken_up_without_halves_or_copies(
    project: Path, experiment: str
) -> None:
    killed = tracker_of(project, experiment)
    killed.begin(STUDY)
    killed.log_trial(TRIALS[0])
    killed.log_trial(TRIALS[1])
    while killed._queue.qsize() or killed._unwritten:
        time.sleep(0.01)
    client = client_of(killed.uri)
    runs = runs_of(killed)
    half, whole = runs["mlp speaker-dependent 000"], runs["mlp speaker-dependent 001"]
    client.update_run(half.info.run_id, "RUNNING")
    copy = client.create_run(half.info.experiment_id, tags=whole.data.tags)
    client.set_terminated(copy.info.run_id)

    resumed = tracker_of(project, experiment)
    log(resumed, TRIALS)
    after = runs_of(resumed)
    assert set(after) == {
        "toy",
        "speaker-dependent",
        "speaker-independent",
        "mlp speaker-dependent",
        "mlp speaker-independent",
    } | {f"mlp {trial.protocol} 00{trial.number}" for trial in TRIALS}
    assert {run.info.status for run in after.values()} == {"FINISHED"}
    assert after["mlp speaker-dependent 001"].info.run_id == whole.info.run_id
    assert after["mlp speaker-dependent 000"].info.run_id != half.info.run_id


def test_what_hung_on_a_deleted_run_is_logged_anew(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS)
    client_of(tracker.uri).delete_run(runs_of(tracker)["speaker-dependent"].info.run_id)
    again = tracker_of(project, experiment)
    log(again, TRIALS)
    runs = runs_of(again)
    assert len(runs) == 11
    assert (
        runs["mlp speaker-dependent"].data.tags["mlflow.parentRunId"]
        == runs["speaker-dependent"].info.run_id
    )


def test_another_winner_replaces_the_first_and_keeps_the_trials(
    project: Path, experiment: str
) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS, (WINNER,))
    again = tracker_of(project, experiment)
    log(again, TRIALS, (replace(WINNER, params={"alpha": 0.5}, trial=1),))
    runs = runs_of(again)
    assert runs["mlp speaker-dependent"].data.params["mlp.alpha"] == "0.5"
    assert runs["mlp speaker-dependent"].data.tags["winning_trial"] == "1"
    parents = {
        runs[f"mlp speaker-dependent 00{number}"].data.tags["mlflow.parentRunId"]
        for number in range(3)
    }
    assert parents == {runs["mlp speaker-dependent"].info.run_id}


def test_a_changed_study_gets_runs_of_its_own(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, [TRIAL])
    changed = tracker_of(project, experiment)
    log(changed, [TRIAL], study=replace(STUDY, name="toy@d2", digest="d2"))
    client = client_of(tracker.uri)
    found = client.get_experiment_by_name(experiment)
    assert len(client.search_runs([found.experiment_id])) == 8


def test_the_table_of_runs_has_views_ready_made(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, [TRIAL])
    tags = client_of(tracker.uri).get_experiment_by_name(experiment).tags
    views = {name.removeprefix(tracking.TAG) for name in tags if name.startswith(tracking.TAG)}
    assert views == {"trials", "trials-mlp", "winners"}
    named = dict(tracking.ui_addresses(tracker.uri, project, 5000))
    assert named[experiment].startswith("http://127.0.0.1:5000/#/experiments/")


def test_a_server_that_dies_midway_loses_no_trial(project: Path, experiment: str) -> None:
    port = free_port()
    with served(project, port) as address:
        tracker = Tracker(address, experiment, artifacts=project / "mlruns", patience_s=1)
        tracker.begin(STUDY)
        tracker.log_trial(TRIALS[0])
        while tracker._queue.qsize() or tracker._unwritten:
            time.sleep(0.01)
    for trial in TRIALS[1:]:
        tracker.log_trial(trial)
    tracker.log_winner(WINNER)
    tracker.finish()
    assert tracker.lost == len(TRIALS)
    assert tracker.reason

    with served(project, port) as address:
        resumed = Tracker(address, experiment, artifacts=project / "mlruns")
        log(resumed, TRIALS, (WINNER,))
    runs = runs_of(tracker_of(project, experiment))
    assert len(runs) == 11
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert resumed.lost == 0


def test_a_store_that_comes_back_gets_what_it_missed(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    tracker.begin(STUDY)
    with closing(sqlite3.connect(project / "mlflow.db")) as other:
        other.execute("ALTER TABLE runs RENAME TO gone")
        tracker.log_trial(TRIALS[0])
        tracker.log_trial(TRIALS[1])
        while tracker.lost < 2:
            time.sleep(0.01)
        other.execute("ALTER TABLE gone RENAME TO runs")
    tracker.log_trial(TRIALS[2])
    tracker.finish()
    assert (tracker.lost, tracker.reason) == (0, "")
    assert len(runs_of(tracker)) == 6


def test_a_failing_store_prints_nothing_and_is_named_in_a_word(
    project: Path, experiment: str, capfd: pytest.CaptureFixture[str]
) -> None:
    tracker = tracker_of(project, experiment)
    tracker.begin(STUDY)
    capfd.readouterr()
    with closing(sqlite3.connect(project / "mlflow.db")) as other:
        other.execute("ALTER TABLE runs RENAME TO gone")
        tracker.log_trial(TRIAL)
        tracker.finish()
        other.execute("ALTER TABLE gone RENAME TO runs")
    assert (tracker.lost, tracker.reason) == (1, "no such table: runs.")
    assert capfd.readouterr() == ("", "")


def test_a_server_that_is_not_there_is_said_before_any_work(
    tmp_path: Path,
) -> None:
    address = f"http://someone:secret@127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(BenchmarkError, match=r"can't be used: .*refused") as caught:
        Tracker(address, "any", artifacts=tmp_path).open()
    assert time.monotonic() - started < 10
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns"])
def test_a_folder_as_a_store_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no longer keeps runs in folders"):
        Tracker(uri, "any", artifacts=tmp_path).open()


def test_a_database_of_another_mlflow_is_left_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('0123456789ab')")
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(BenchmarkError, match="made by another version of MLflow"):
        tracker_of(tmp_path, "any").open()
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 1000)
    with pytest.raises(BenchmarkError, match=r"mlflow\.db can't be used: file is not a database"):
        tracker_of(tmp_path, "any").open()


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    tracker = tracker_of(tmp_path, "any")
    log(tracker, [TRIAL])
    assert len(runs_of(tracker)) == 4


def test_a_deleted_experiment_is_not_written_to(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    tracker.open()
    client = client_of(tracker.uri)
    client.delete_experiment(client.get_experiment_by_name(experiment).experiment_id)
    with pytest.raises(BenchmarkError, match="mlflow experiments restore"):
        tracker_of(project, experiment).open()


def test_two_processes_may_make_the_database_at_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from benchmark.tracking.runs import Tracker, tracking_uri;"
        "folder = Path(sys.argv[1]);"
        "Tracker(tracking_uri(folder), 'shared', artifacts=folder / 'mlruns').open()"
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
    assert tracking.tracking_uri(tmp_path) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere:5000")
    assert tracking.tracking_uri(tmp_path) == "http://elsewhere:5000"


def test_the_ui_is_one_worker_on_loopback_with_a_closed_host_list(project: Path) -> None:
    tracker_of(project, "ui").open()
    command, environment = tracking.ui_command(tracker_of(project, "ui").uri, project, 5123)
    text = " ".join(command)
    assert "--host 127.0.0.1 --port 5123 --workers 1" in text
    assert "--allowed-hosts localhost:5123,127.0.0.1:5123" in text
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_a_taken_port_is_refused(project: Path) -> None:
    tracker_of(project, "ui").open()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BenchmarkError, match=f"Port {port} can't be used"):
            tracking.ui_command(tracker_of(project, "ui").uri, project, port)


def test_a_ui_without_runs_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="there are no runs yet"):
        tracking.ui_command(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path, free_port())


def test_importing_the_door_does_not_import_mlflow() -> None:
    program = "import sys, benchmark.tracking.runs; print('mlflow' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout.strip() == b"False"
