"""A store that fails at any one write: what is logged afterwards is as if it had not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from benchmark.tracking.records import ModelRecord, OutcomeRecord
from benchmark.tracking.runs import StudyRuns
from tests.support.tracking import SELECTED, STUDY, TRIALS, client_of

EARLIER = replace(SELECTED, params={"alpha": 0.5}, metrics={"cv_uar": 0.6}, trial=1)
OUTCOME = OutcomeRecord("speaker-dependent", "mlp", "", (("speaker-dependent", "mlp"),), {"a": 1.0})
Write = Callable[[StudyRuns], None]


def writes_of(model: ModelRecord) -> deque[Write]:
    """What a study logs, with one selected model."""
    return deque(
        [
            lambda runs: runs.log_trial(*TRIALS[0]),
            lambda runs: runs.log_model(model),
            lambda runs: runs.log_outcome(OUTCOME),
            lambda runs: runs.end("FINISHED"),
        ]
    )


WRITING = ("create_", "log_", "set_", "delete_", "update_")

Logged = list[tuple[str, str, str, dict[str, str], dict[str, float], set[str]]]


class FailingStore:
    """A client of MLflow whose store fails once, at one of its writes."""

    def __init__(self, client: Any, fails_at: int) -> None:
        self.client = client
        self.left = fails_at
        self.failed = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        return self._writing(method) if name.startswith(WRITING) else method

    def _writing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self.failed = True
                raise OSError("the disk is full")
            return method(*arguments, **named)

        return call


def began(client: Any, experiment: str) -> StudyRuns:
    """The runs of the study, as a process begins or resumes them."""
    runs = StudyRuns(client, experiment, STUDY)
    runs.find()
    runs.begin()
    return runs


def write(runs: StudyRuns, writes: deque[Write]) -> bool:
    """Write until the store fails; return whether it did not."""
    while writes:
        try:
            writes[0](runs)
        except OSError:
            return False
        writes.popleft()
    return True


def logged(client: Any, experiment: str) -> Logged:
    """Each live run: its name, its parent's, how it ended, and what it holds."""
    runs = client.search_runs([experiment])
    names = {run.info.run_id: run.info.run_name for run in runs}
    kept = ("selected", "selected_trial", "state", "content_digest")
    return sorted(
        (
            (
                run.info.run_name,
                names.get(run.data.tags.get("mlflow.parentRunId"), ""),
                run.info.status,
                run.data.params | {k: v for k, v in run.data.tags.items() if k in kept},
                run.data.metrics,
                {file.path for file in client.list_artifacts(run.info.run_id)},
            )
            for run in runs
        ),
        key=str,
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return client_of(f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}")


@pytest.fixture
def experiments(client: Any, tmp_path: Path) -> Iterator[str]:
    """New experiments, one after the other."""
    return (client.create_experiment(f"{tmp_path.name}/{n}", tmp_path.as_uri()) for n in count())


@pytest.mark.parametrize(
    ("earlier", "ended"),
    [([], True), ([EARLIER], True), ([EARLIER], False)],
    ids=["new", "another model before", "another model before, the process goes on"],
)
def test_a_store_that_fails_at_any_write_has_the_same_runs_afterwards(
    client: Any, experiments: Iterator[str], earlier: list[ModelRecord], ended: bool
) -> None:
    whole = next(experiments)
    assert write(began(client, whole), writes_of(SELECTED))
    expected = logged(client, whole)
    for fails_at in count(1):
        experiment = next(experiments)
        assert all(write(began(client, experiment), writes_of(model)) for model in earlier)
        runs, writes = began(client, experiment), writes_of(SELECTED)
        runs.client = store = FailingStore(client, fails_at)
        write(runs, writes)
        if not store.failed:
            assert fails_at > len(writes_of(SELECTED))
            return
        if ended:
            runs, writes = began(client, experiment), writes_of(SELECTED)
        else:
            runs.find()
        assert write(runs, writes)
        assert logged(client, experiment) == expected, f"after write {fails_at}"
