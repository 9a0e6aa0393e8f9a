"""The MLflow UI: its saved views, its command, what is refused."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.tracking.store import check_store
from benchmark.tracking.ui import ui_addresses, ui_command
from benchmark.tracking.views import TAG, study_views
from tests.support.tracking import (
    STUDY,
    TRIALS,
    client_of,
    log,
    tracker_of,
)
from tests.support.waiting import free_port


def test_the_table_of_runs_has_saved_views(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS[:1])
    tags = client_of(tracker.uri).get_experiment_by_name(experiment).tags
    views = {name.removeprefix(TAG) for name in tags if name.startswith(TAG)}
    leading = {"trials", "trials-mlp", "selected"}  # speaker-independent
    assert views == leading | {"trials-SD", "trials-SD-mlp", "selected-SD"}
    named = dict(ui_addresses(tracker.uri, 5000))
    assert named[experiment].startswith("http://127.0.0.1:5000/#/experiments/")


def test_the_ui_is_one_worker_on_loopback_with_a_closed_host_list(project: Path) -> None:
    check_store(tracker_of(project, "ui").uri)
    command, environment = ui_command(tracker_of(project, "ui").uri, project, 5123)
    text = " ".join(command)
    assert "--host 127.0.0.1 --port 5123 --workers 1" in text
    assert "--allowed-hosts localhost:5123,127.0.0.1:5123" in text
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_a_taken_port_is_refused(project: Path) -> None:
    check_store(tracker_of(project, "ui").uri)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BenchmarkError, match=f"Port {port} can't be used"):
            ui_command(tracker_of(project, "ui").uri, project, port)


def test_a_ui_without_runs_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="there are no runs yet"):
        ui_command(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path, free_port())


def test_no_view_mixes_protocols_and_speaker_independent_comes_first() -> None:
    views = study_views(STUDY)
    assert [view.key for view in views][:2] == ["trials", "selected"]
    assert all("tags.split = 'speaker-independent'" in view.where for view in views[:3])
    assert all("tags.split = 'speaker-dependent'" in view.where for view in views[3:])
    assert {view.order for view in views} == {"cv_uar"}


def test_the_view_of_a_protocol_with_outer_folds_has_all_its_splits() -> None:
    tables = dict.fromkeys(("cross-corpus/tess", "cross-corpus/savee", "cross-corpus-pairs/a"), ())
    first, *_ = study_views(replace(STUDY, tables=tables))
    assert "tags.split LIKE 'cross-corpus/%'" in first.where


def test_views_of_earlier_versions_are_removed(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS[:1])
    client = client_of(tracker.uri)
    found = client.get_experiment_by_name(experiment).experiment_id
    client.set_experiment_tag(found, f"{TAG}old", "{}")
    log(tracker_of(project, experiment), TRIALS[:1])
    assert f"{TAG}old" not in client.get_experiment(found).tags


def test_the_ui_says_when_it_is_ready_and_ends_with_its_server(project: Path) -> None:
    check_store(tracker_of(project, "ui").uri)
    port = free_port()
    command = [sys.executable, "-m", "benchmark", "ui", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--project", str(project)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()  # printed once the UI answers
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            status = answer.status
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert f"http://127.0.0.1:{port}/" in line
    assert status == 200
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
