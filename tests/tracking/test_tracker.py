"""MLflow runs of a study: written by the tracker, read by MLflow's own client."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from benchmark.tracking.records import OutcomeRecord
from benchmark.tracking.tracker import Tracker
from tests.support.tracking import (
    SELECTED,
    STUDY,
    TRIAL,
    TRIALS,
    client_of,
    log,
    runs_of,
    served,
    tracker_of,
)
from tests.support.waiting import free_port


def test_runs_nest_study_split_model_trial(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS, (SELECTED,))
    runs = runs_of(tracker)
    chain = ["002 mlp speaker-dependent", "mlp speaker-dependent", "speaker-dependent", "toy"]
    for child, parent in pairwise(chain):
        assert runs[child].data.tags["mlflow.parentRunId"] == runs[parent].info.run_id
    assert "mlflow.parentRunId" not in runs["toy"].data.tags
    assert len(runs) == 1 + 2 + 2 + 6
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_the_run_of_a_trial_has_its_parameters_scores_and_tags(
    project: Path, experiment: str
) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS[:1])
    run = runs_of(tracker)["000 mlp speaker-dependent"]
    assert run.data.params == {
        "split": "speaker-dependent",
        "model": "mlp",
        "mlp.alpha": "0.01",
        "mlp.log10_alpha": "-2.0",
        "mlp.hidden_layer_sizes": "[64, 32]",
    }
    assert run.data.metrics == pytest.approx(
        {
            "cv_uar": 0.75,
            "cv_std": 0.05,
            "fit_seconds": 3.0,
            "fold_0": 0.7,
            "fold_1": 0.8,
        }
    )
    shown = {"state": "complete", "seed": "0", "trial_seed": "17", "digest": "d1", "trial": "0"}
    assert shown.items() <= run.data.tags.items()
    assert {"data_digest", "code_digest", "mlflow.source.name"} <= set(run.data.tags)
    assert run.info.end_time - run.info.start_time == 3000
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {
        "toy/speaker-dependent/train",
        "toy/speaker-dependent/test",
    }


def test_weights_of_feature_sets_are_parameters(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    params = {"weight.functionals+dynamics": 2, "weight.whisper-tiny.en": 1, "weight.a@é#": 4}
    split, model, trial = TRIALS[0]
    log(tracker, [(split, model, replace(trial, params=params))])
    logged = runs_of(tracker)["000 mlp speaker-dependent"].data.params
    assert logged["mlp.weight.functionals and dynamics"] == "2"
    assert logged["mlp.weight.whisper-tiny.en"] == "1"
    assert logged["mlp.weight.a_é_"] == "4"


def test_a_failed_trial_has_a_reason(project: Path, experiment: str) -> None:
    failed = replace(TRIAL, scores=(), reason="no memory")
    tracker = tracker_of(project, experiment)
    log(tracker, [("speaker-dependent", "mlp", failed)])
    run = runs_of(tracker)["000 mlp speaker-dependent"]
    assert run.info.status == "FAILED"
    assert run.data.tags["reason"] == "no memory"
    assert "cv_uar" not in run.data.metrics


def test_a_selected_model_has_test_scores_figures_and_its_file(
    project: Path, experiment: str
) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS, (SELECTED, replace(SELECTED, model="ensemble", trial=None)))
    runs = runs_of(tracker)
    client = client_of(tracker.uri)
    for name in ("mlp speaker-dependent", "ensemble speaker-dependent"):
        assert runs[name].data.metrics == {"cv_uar": 0.75, "test_uar": 0.7}
        folder = runs[name].info.run_id
        assert [f.path for f in client.list_artifacts(folder, "figures")] == [
            "figures/confusion.png"
        ]
        assert [f.path for f in client.list_artifacts(folder, "model")] == ["model/model.skops"]


def test_running_a_study_again_adds_nothing(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS, (SELECTED,))
    before = {name: run.info.run_id for name, run in runs_of(tracker).items()}
    again = tracker_of(project, experiment)
    log(again, TRIALS, (SELECTED,))
    assert {name: run.info.run_id for name, run in runs_of(again).items()} == before


def test_a_killed_study_resumes_without_unfinished_or_duplicate_runs(
    project: Path, experiment: str
) -> None:
    killed = tracker_of(project, experiment)
    killed.begin(STUDY)
    killed.log_trial(*TRIALS[0])
    killed.log_trial(*TRIALS[1])
    while killed.pending:
        time.sleep(0.01)
    client = client_of(killed.uri)
    runs = runs_of(killed)
    half, whole = runs["000 mlp speaker-dependent"], runs["001 mlp speaker-dependent"]
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
    } | {f"00{trial.number} mlp {split}" for split, _, trial in TRIALS}
    assert {run.info.status for run in after.values()} == {"FINISHED"}
    assert after["001 mlp speaker-dependent"].info.run_id == whole.info.run_id
    assert after["000 mlp speaker-dependent"].info.run_id != half.info.run_id


def test_children_of_a_deleted_run_are_logged_again(project: Path, experiment: str) -> None:
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


def test_another_selected_model_replaces_the_first_and_keeps_the_trials(
    project: Path, experiment: str
) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS, (SELECTED,))
    again = tracker_of(project, experiment)
    log(again, TRIALS, (replace(SELECTED, params={"alpha": 0.5}, trial=1),))
    runs = runs_of(again)
    assert runs["mlp speaker-dependent"].data.params["mlp.alpha"] == "0.5"
    assert runs["mlp speaker-dependent"].data.tags["selected_trial"] == "1"
    parents = {
        runs[f"00{number} mlp speaker-dependent"].data.tags["mlflow.parentRunId"]
        for number in range(3)
    }
    assert parents == {runs["mlp speaker-dependent"].info.run_id}


def test_a_changed_study_gets_its_own_runs(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, TRIALS[:1])
    changed = tracker_of(project, experiment)
    log(changed, TRIALS[:1], study=replace(STUDY, name="toy@d2", digest="d2"))
    client = client_of(tracker.uri)
    found = client.get_experiment_by_name(experiment)
    assert len(client.search_runs([found.experiment_id])) == 8


def test_a_server_that_dies_midway_loses_no_trial(project: Path, experiment: str) -> None:
    port = free_port()
    with served(project, port) as address:
        tracker = Tracker(address, experiment, artifacts=project / "mlruns", patience_s=1)
        tracker.begin(STUDY)
        tracker.log_trial(*TRIALS[0])
        while tracker.pending:
            time.sleep(0.01)
    for trial in TRIALS[1:]:
        tracker.log_trial(*trial)
    tracker.log_model(SELECTED)
    tracker.finish()
    assert tracker.lost == len(TRIALS)
    assert tracker.reason

    with served(project, port) as address:
        resumed = Tracker(address, experiment, artifacts=project / "mlruns")
        log(resumed, TRIALS, (SELECTED,))
    runs = runs_of(tracker_of(project, experiment))
    assert len(runs) == 11
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert resumed.lost == 0


def test_a_store_that_comes_back_gets_what_it_missed(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    tracker.begin(STUDY)
    with closing(sqlite3.connect(project / "mlflow.db")) as other:
        other.execute("ALTER TABLE runs RENAME TO gone")
        tracker.log_trial(*TRIALS[0])
        tracker.log_trial(*TRIALS[1])
        while tracker.lost < 2:
            time.sleep(0.01)
        other.execute("ALTER TABLE gone RENAME TO runs")
    tracker.log_trial(*TRIALS[2])
    tracker.finish()
    assert (tracker.lost, tracker.reason) == (0, "")
    assert len(runs_of(tracker)) == 6


def test_a_failing_store_prints_nothing_and_its_reason_is_reported(
    project: Path, experiment: str, capfd: pytest.CaptureFixture[str]
) -> None:
    tracker = tracker_of(project, experiment)
    tracker.begin(STUDY)
    capfd.readouterr()
    with closing(sqlite3.connect(project / "mlflow.db")) as other:
        other.execute("ALTER TABLE runs RENAME TO gone")
        tracker.log_trial(*TRIALS[0])
        tracker.finish()
        other.execute("ALTER TABLE gone RENAME TO runs")
    assert (tracker.lost, tracker.reason) == (1, "no such table: runs.")
    assert capfd.readouterr() == ("", "")


OUTCOMES = (
    OutcomeRecord(
        split="speaker-dependent",
        selected="mlp",
        text="**Selected: MLP**",
        models=(("speaker-dependent", "mlp"),),
        metrics={"cv_uar/mlp": 0.75},
    ),
    OutcomeRecord(
        split="",
        selected="SD: mlp",
        text="How large is it?",
        models=(("speaker-dependent", "mlp"),),
        metrics={"sd_uar": 0.7, "sd_uar_low": 0.61234},
        files={"report/toy.md": b"# toy", "report/figures/toy/gap.png": b"picture"},
    ),
)


def log_outcomes(tracker: Tracker) -> None:
    tracker.begin(STUDY)
    for trial in TRIALS:
        tracker.log_trial(*trial)
    tracker.log_model(SELECTED)
    for outcome in OUTCOMES:
        tracker.log_outcome(outcome)
    tracker.finish()


def test_the_runs_of_study_and_split_have_the_outcome(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log_outcomes(tracker)
    runs = runs_of(tracker)
    study, split = runs["toy"], runs["speaker-dependent"]
    assert study.data.metrics == {"sd_uar": 0.7, "sd_uar_low": 0.612}
    assert split.data.metrics == {"cv_uar/mlp": 0.75}
    assert (study.data.tags["selected"], split.data.tags["selected"]) == ("SD: mlp", "mlp")
    link = f"/runs/{runs['mlp speaker-dependent'].info.run_id}?workflowType=machine_learning)"
    assert link in study.data.tags["mlflow.note.content"]
    files = client_of(tracker.uri).list_artifacts(study.info.run_id, "report")
    assert [file.path for file in files] == ["report/figures", "report/toy.md"]


def test_an_outcome_is_logged_once(project: Path, experiment: str) -> None:
    for _ in range(2):
        tracker = tracker_of(project, experiment)
        log_outcomes(tracker)
    study = runs_of(tracker)["toy"]
    assert len(client_of(tracker.uri).get_metric_history(study.info.run_id, "sd_uar")) == 1


def test_figures_and_parameters_have_three_digits(project: Path, experiment: str) -> None:
    tracker = tracker_of(project, experiment)
    log(tracker, [("speaker-dependent", "mlp", replace(TRIAL, params={"alpha": 0.000123456}))])
    run = runs_of(tracker)["000 mlp speaker-dependent"]
    assert run.data.params["mlp.alpha"] == "0.000123"
    assert run.data.params["mlp.log10_alpha"] == "-3.908"
