"""Records of a toy study, its runs in MLflow, and a server that serves them."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.search.trial import Trial
from benchmark.tracking.records import ModelRecord, StudyRecord, TableRecord
from benchmark.tracking.tracker import Tracker
from benchmark.tracking.ui import ui_command
from tests.support.platforms import kill_session
from tests.support.waiting import wait_until

STUDY = StudyRecord(
    name="toy",
    digest="d1",
    metric="uar",
    question="Does it log?",
    settings={"seed": 0},
    parameters={"mlp": {"alpha": True, "hidden_layer_sizes": False}},
    tags={"seed": "0", "data_digest": "ab", "code_digest": "cd"},
    tables={
        split: tuple(
            TableRecord(f"toy/{split}/{side}", f"{split}{side}" * 8, side, f"{side}.csv", 30)
            for side in ("train", "test")
        )
        for split in ("speaker-dependent", "speaker-independent")
    },
)


TRIAL = Trial(
    number=0,
    params={"alpha": 0.01, "hidden_layer_sizes": [64, 32]},
    sampled={},
    scores=(0.7, 0.8),
    seconds=3.0,
    seed=17,
)

LoggedTrial = tuple[str, str, Trial]
"""Split, model and trial: the arguments of `Tracker.log_trial`."""

TRIALS: list[LoggedTrial] = [
    (split, "mlp", replace(TRIAL, number=number))
    for split in ("speaker-dependent", "speaker-independent")
    for number in range(3)
]

SELECTED = ModelRecord(
    split="speaker-dependent",
    model="mlp",
    params={"alpha": 0.01},
    metrics={"cv_uar": 0.75, "test_uar": 0.7},
    files={"figures/confusion.png": b"picture", "model/model.skops": b"model"},
    trial=2,
)


def tracker_of(project: Path, experiment: str) -> Tracker:
    uri = f"sqlite:///{project / 'mlflow.db'}"
    return Tracker(uri, experiment, artifacts=project / "mlruns")


def log(
    tracker: Tracker,
    trials: list[LoggedTrial],
    models: tuple[ModelRecord, ...] = (),
    study: StudyRecord = STUDY,
) -> None:
    """Log a study from its begin to its end."""
    tracker.begin(study)
    for trial in trials:
        tracker.log_trial(*trial)
    for model in models:
        tracker.log_model(model)
    tracker.finish()


def client_of(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def runs_of(tracker: Tracker) -> dict[str, Any]:
    """Every run by its name, and no name twice."""
    client = client_of(tracker.uri)
    found = client.get_experiment_by_name(tracker.experiment)
    runs = list(client.search_runs([found.experiment_id]))
    names = [run.info.run_name for run in runs]
    assert sorted(set(names)) == sorted(names)
    return dict(zip(names, runs, strict=True))


@contextmanager
def served(project: Path, port: int, store: str = "") -> Iterator[str]:
    """The runs of a project behind a server of MLflow's, as the command `ui` starts it."""
    uri = store or f"sqlite:///{project / 'mlflow.db'}"
    command, environment = ui_command(uri, project, port)
    with running_server(command, environment, project, port) as address:
        yield address


@contextmanager
def running_server(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, port: int
) -> Iterator[str]:
    """The address of a server that runs in a folder, once it says that it is healthy."""
    address = f"http://127.0.0.1:{port}"

    def healthy() -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=1):
            return True
        return False

    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            wait_until(healthy)
            yield address
        finally:
            kill_session(process)
