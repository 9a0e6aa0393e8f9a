"""A study from recordings to pages: same bytes with any number of workers and interruptions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.tables import IDENTITY
from benchmark.evaluation.results import read_result
from benchmark.models import probabilities
from benchmark.tracking.cards import load_model
from tests.support.bench import Bench
from tests.support.records import read_sealed, write_sealed
from tests.support.stores import runs_in_mlflow, trials_in_optuna

SPLITS = ("speaker-dependent", "speaker-independent")
MODELS = ("majority", "logistic_regression", "random_forest", "ensemble")


def test_a_study_writes_tables_results_pages_trials_and_runs(finished: Bench) -> None:
    for split in SPLITS:
        for side in ("train", "test"):
            table = pd.read_csv(finished.project / f"features_cache/small/{split}/{side}.csv")
            assert list(table)[: len(IDENTITY)] == list(IDENTITY)
            assert len(list(table)) == len(IDENTITY) + 60
    pages = set(finished.bytes_of("reports"))
    assert {"README.md", "small.md", "results/small/study.json"} <= pages
    assert len(trials_in_optuna(finished)) == 2 * (1 + 6 + 6)
    assert len(runs_in_mlflow(finished)) == 1 + 2 * (1 + len(MODELS) + 13)


def test_augmented_copies_are_only_in_training_tables(finished: Bench) -> None:
    for split in SPLITS:
        folder = finished.project / "features_cache/small" / split
        train, test = (pd.read_csv(folder / f"{side}.csv") for side in ("train", "test"))
        assert test["augmentation"].isna().all()
        assert train["augmentation"].value_counts(dropna=False).tolist() == [len(train) // 2] * 2
        assert not set(train["clip"]) & set(test["clip"])


def test_every_test_clip_is_predicted_once_by_every_model(finished: Bench) -> None:
    result = read_result(finished.project / "reports/results/small")
    for split in SPLITS:
        test = pd.read_csv(finished.project / f"features_cache/small/{split}/test.csv")
        for model in MODELS:  # noqa: B007 - the query reads it
            rows = result.predictions.query("protocol == @split and model == @model")
            assert rows["clip"].tolist() == test["clip"].tolist()
            shares = rows[["p_high", "p_low", "p_middle"]].to_numpy()
            assert shares.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_soft_voting_is_the_mean_of_the_members(finished: Bench) -> None:
    table = read_result(finished.project / "reports/results/small").predictions
    columns = ["p_high", "p_low", "p_middle"]
    by_model = {model: table[table["model"] == model][columns].to_numpy() for model in MODELS}
    members = [by_model["logistic_regression"], by_model["random_forest"]]
    assert by_model["ensemble"] == pytest.approx(np.mean(members, axis=0), abs=1e-6)


def test_learned_ensembles_are_in_results_pages_and_files(bench: Bench) -> None:
    text = bench.study.read_text().replace(
        '["speaker-dependent", "speaker-independent"]', '["speaker-independent"]'
    )
    learned = '[ensembles]\nbest = "greedy"\nstacked = "stacking"\n'
    bench.study.write_text(f"{text}\n{learned}")
    bench.run()
    result = read_result(bench.project / "reports/results/small")
    winners = {winner.model: winner for winner in result.winners}
    best = winners["best"]
    assert set(zip(best.members, best.trials, strict=True)) <= set(
        zip(result.trials["model"], result.trials["trial"], strict=True)
    )
    assert 1 <= sum(best.weights) <= 25
    assert list(best.weights) == sorted(best.weights, reverse=True)
    assert winners["stacked"].members == ("logistic_regression", "random_forest")
    page = (bench.project / "reports/small.md").read_text()
    for words in (
        "greedy ensemble selection",
        "votes by trial: ",
        "stacking of logistic regression + random forest",
        "the log-probabilities of logistic regression and random forest",
        "scored on each inner fold by what it learns on the other folds",
    ):
        assert words in page
    test = pd.read_csv(bench.project / "features_cache/small/speaker-independent/test.csv")
    values = test.iloc[:, len(IDENTITY) :].to_numpy(np.float32)
    for name in ("best", "stacked"):
        _, model = load_model(bench.card(model=name))
        stored = bench.stored(model=name).to_numpy()
        np.testing.assert_array_equal(probabilities(model, values), stored)


def test_results_and_pages_contain_no_path_of_this_machine(finished: Bench) -> None:
    texts = [c for name, c in finished.bytes_of("reports").items() if not name.endswith(".png")]
    for place in (finished.project, finished.table.parent, Path.home()):
        assert not [text for text in texts if str(place).encode() in text]


def test_two_workers_give_the_same_bytes_as_one(finished: Bench, bench: Bench) -> None:
    bench.run("--workers", "2")
    assert bench.bytes_of("reports") == finished.bytes_of("reports")
    assert trials_in_optuna(bench) == trials_in_optuna(finished)
    assert runs_in_mlflow(bench) == runs_in_mlflow(finished)
    tables = bench.bytes_of("features_cache/small")
    assert (
        tables["speaker-independent/train.csv"]
        == finished.bytes_of("features_cache/small")["speaker-independent/train.csv"]
    )


# Put in front of a Python's path, this makes it find no package of an extra.
WITHOUT_EXTRAS = """
import sys
from importlib.machinery import PathFinder

HIDDEN = {"dask", "distributed", "opensmile", "psycopg", "safetensors", "sklearnex", "skorch"}
HIDDEN |= {"torch", "transformers"}


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in HIDDEN:
            return super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


def test_a_study_has_the_same_bytes_without_the_extras(
    finished: Bench, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearnex", reason="needs the extra `intelex`")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/sitecustomize.py").write_text(WITHOUT_EXTRAS)
    paths = [str(tmp_path / "hidden"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    bench.run_apart()
    assert bench.bytes_of("reports") == finished.bytes_of("reports")
    assert trials_in_optuna(bench) == trials_in_optuna(finished)
    again = bench.command("run-study", str(bench.study), "--set", "search.engine=intelex")
    refused = subprocess.run(again, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "ser-benchmark[intelex]" in refused.stderr or ".[intelex]" in refused.stderr


def test_trials_that_were_given_up_by_their_folds_stand_in_results_and_runs_and_never_win(
    bench: Bench,
) -> None:
    changes = ("--set", "search.pruner=asha+paired", "--set", "search.trials=12")
    bench.run(*changes)
    (result,) = map(read_result, (bench.project / "reports/results").glob("small@*"))
    cut = result.trials[result.trials["state"] == "pruned"]
    assert len(cut)
    assert cut["fold_0"].notna().all()
    assert cut["fold_2"].isna().all()
    best = {(one.protocol, one.model): one.score for one in result.winners}
    for protocol, model, score in zip(cut["protocol"], cut["model"], cut["score"], strict=True):
        assert score < best[protocol, model]
    states = [run[4] for run in runs_in_mlflow(bench)]
    assert states.count("pruned") == len(cut)


def test_a_study_can_use_gender_as_a_feature(bench: Bench, tones: Path) -> None:
    text = bench.study.read_text()
    bench.study.write_text(text.replace("augment", 'covariates = ["gender"]\naugment'))
    bench.invoke("extract", str(bench.study), "--corpus", f"csv={tones}", "--workers", "1")
    train = pd.read_csv(bench.project / "features_cache/small/speaker-independent/train.csv")
    assert list(train)[-1] == "gender_male"
    assert (train["gender_male"] == (train["gender"] == "male")).all()


def test_pages_are_reproduced_from_stored_results(finished: Bench, tmp_path: Path) -> None:
    shutil.copytree(finished.project / "reports/results", tmp_path / "reports/results")
    shutil.copy(finished.project / "reports/looks.csv", tmp_path / "reports")
    copy = Bench(finished.study, finished.table, tmp_path)
    copy.invoke("report")
    assert copy.bytes_of("reports") == finished.bytes_of("reports")


def test_a_result_whose_looks_are_gone_is_named(finished: Bench, tmp_path: Path) -> None:
    shutil.copytree(finished.project / "reports", tmp_path / "reports")
    copy = Bench(finished.study, finished.table, tmp_path)
    assert "has no look" not in copy.invoke("report").stderr
    (tmp_path / "reports/looks.csv").unlink()
    assert "looks.csv has no look of small, whose pages lack" in copy.invoke("report").stderr


def test_a_changed_run_is_stored_apart_with_its_looks_and_writes_only_the_pages_that_it_changes(
    finished: Bench, tmp_path: Path
) -> None:
    shutil.copytree(finished.project, tmp_path / "project")
    copy = Bench(finished.study, finished.table, tmp_path / "project")
    stranger = copy.project / "reports/results/stranger"
    shutil.copytree(copy.project / "reports/results/small", stranger)
    record = read_sealed(stranger / "study.json")
    write_sealed(stranger / "study.json", record | {"name": "stranger"})
    copy.invoke("report")
    before = copy.bytes_of("reports")
    page = copy.project / "reports/stranger.md"
    page.write_text("not of the run's test clips")
    copy.run("--set", "search.trials=7")
    assert page.read_text() == "not of the run's test clips"
    after = copy.bytes_of("reports")
    own = [name for name in before if name.startswith("results/small/")]
    assert [name for name in own if after[name] != before[name]] == []
    assert after["looks.csv"].startswith(before["looks.csv"])
    rows = pd.read_csv(copy.project / "reports/looks.csv")
    (changed,) = {name for name in rows["study"] if "@" in name}
    assert rows["study"].tolist() == ["small"] * 2 + [changed] * 2
    record = json.loads(after[f"results/{changed}/study.json"])
    assert record["changes"] == [{"kind": "override", "value": "search.trials=7"}]
    assert "search.trials=7" in after[f"{changed}.md"].decode()
    assert "look 1 of 2" in after["small.md"].decode()
    assert "look 2 of 2" in after[f"{changed}.md"].decode()
    copy.run("--set", "search.trials=7")
    assert copy.bytes_of("reports") == after
    copy.invoke("report")
    anew = copy.bytes_of("reports")
    assert anew.pop("stranger.md") == before["stranger.md"]
    assert anew.items() <= after.items()
