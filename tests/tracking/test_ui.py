"""The MLflow UI: its saved views, its command, what is refused."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.tracking.store import check_store
from benchmark.tracking.ui import ui_addresses, ui_command
from benchmark.tracking.views import TAG
from tests.support.tracking import (
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
    assert views == {"trials", "trials-mlp", "selected"}
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
