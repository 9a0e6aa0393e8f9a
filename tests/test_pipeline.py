"""A study from recordings to pages: same bytes with any number of workers and interruptions."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from benchmark.data.tables import IDENTITY
from benchmark.evaluation.results import read_result
from benchmark.models import probabilities
from benchmark.tracking.cards import load_model
from benchmark.tracking.store import DATABASE
from tests.support.bench import Bench, refused_line
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


def test_a_run_with_a_budget_of_time_says_what_it_cut_and_leaves_its_trials_to_the_next(
    bench: Bench, finished: Bench
) -> None:
    began = time.monotonic()
    bench.run("--minutes", "0.4", "--set", "search.trials=100000")
    assert time.monotonic() - began < 90  # it ends at all, on the slowest machine
    (cut,) = (bench.project / "reports/results").glob("small@*/study.json")
    record = json.loads(cut.read_text())
    assert {"kind": "budget", "value": "0.4"} in record["changes"]
    told = {(one["protocol"], one["model"]): one for one in record["unfinished"]}
    assert set(told) == {(split, model) for split in SPLITS for model in MODELS[1:3]}
    assert all(1 <= one["completed"] < one["requested"] == 100_000 for one in told.values())
    page = (bench.project / f"reports/{record['name']}.md").read_text()
    assert "**Unfinished searches**" in page
    assert "--minutes 0.4" in page
    stored = trials_in_optuna(bench)
    bench.run()
    assert set(stored) <= set(trials_in_optuna(bench))
    assert bench.bytes_of("reports/results/small") == finished.bytes_of("reports/results/small")


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


def test_four_kills_and_a_resume_give_the_bytes_of_an_unbroken_run(
    finished: Bench, bench: Bench
) -> None:
    (bench.project / DATABASE).unlink()  # killed while it is made, too
    command = bench.command("run-study", str(bench.study), "--corpus", f"csv={bench.table}")
    moments = random.Random(0)
    ends = [killed(command, after_s=moments.uniform(0.1, 0.5) * finished.whole_s) for _ in range(4)]
    # A resumed run is shorter than a whole one, and may have ended before it was killed.
    assert ends.count(-signal.SIGKILL) >= 2
    bench.run()
    assert bench.bytes_of("reports") == finished.bytes_of("reports")
    assert trials_in_optuna(bench) == trials_in_optuna(finished)
    assert runs_in_mlflow(bench) == runs_in_mlflow(finished)


def killed(command: list[str], after_s: float) -> int:
    """How a process that is killed after so long has ended."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    process.kill()
    return process.wait()


DEEP_STUDY = """
question = "Can tones be told apart over time?"
corpora  = ["csv", "jl"]
emotions = ["low", "middle", "high"]
features = "log-mel-frames"
compare  = [["cnn_1d", "svc"]]

[search]
trials = 5
folds  = 3
metric = "uar"
pruner = "asha"

[models.cnn_1d]
filters = [[4, 8], [8, 8]]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
max_epochs = 14

[models.svc]
C = [0.1, 10.0]

[ensembles]
both = ["cnn_1d", "svc"]
best = "greedy"
stacked = "stacking"

[learning_curves]
fractions = [0.5, 1.0]

[claims]
source   = "Nobody"
protocol = "speaker-dependent"
metric   = "accuracy"
cnn_1d   = 0.99
"""


def test_a_deep_study_that_is_killed_and_resumed_by_more_workers_gives_the_same_bytes(
    tones: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="needs the extra `deep`")
    study = tmp_path / "deep.toml"
    study.write_text(DEEP_STUDY)
    unbroken, broken = (Bench(study, tones, tmp_path / name) for name in ("unbroken", "broken"))
    unbroken.project.mkdir()
    broken.project.mkdir()
    unbroken.run_apart("--allow-missing", "jl")
    command = broken.command(
        "run-study", str(study), "--corpus", f"csv={tones}", "--allow-missing", "jl"
    )
    ends = [killed(command, after_s=share * unbroken.whole_s) for share in (0.4, 0.5)]
    assert -signal.SIGKILL in ends
    broken.run("--workers", "2", "--allow-missing", "jl")
    assert broken.bytes_of("reports") == unbroken.bytes_of("reports")
    assert trials_in_optuna(broken) == trials_in_optuna(unbroken)
    assert runs_in_mlflow(broken) == runs_in_mlflow(unbroken)
    page = (broken.project / "reports/deep.md").read_text()
    for words in ("Learning curves", "Pairwise comparisons", "JL is left out", "oft voting of"):
        assert words in page
    assert "Nobody" in (broken.project / "reports/claims.md").read_text()


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


def test_a_changed_run_is_stored_apart_from_the_study(finished: Bench, tmp_path: Path) -> None:
    shutil.copytree(finished.project, tmp_path / "project")
    copy = Bench(finished.study, finished.table, tmp_path / "project")
    before = copy.bytes_of("reports/results/small")
    copy.run("--set", "search.trials=7")
    assert copy.bytes_of("reports/results/small") == before
    (changed,) = [path for path in (copy.project / "reports/results").iterdir() if "@" in path.name]
    record = json.loads((changed / "study.json").read_text())
    assert record["changes"] == [{"kind": "override", "value": "search.trials=7"}]
    assert "search.trials=7" in (copy.project / f"reports/{changed.name}.md").read_text()


def test_a_run_records_its_looks_and_writes_only_the_pages_that_it_changes(
    finished: Bench, tmp_path: Path
) -> None:
    shutil.copytree(finished.project, tmp_path / "project")
    copy = Bench(finished.study, finished.table, tmp_path / "project")
    stranger = copy.project / "reports/results/stranger"
    shutil.copytree(copy.project / "reports/results/small", stranger)
    record = (stranger / "study.json").read_text()
    (stranger / "study.json").write_text(record.replace('"name": "small"', '"name": "stranger"', 1))
    copy.invoke("report")
    before = copy.bytes_of("reports")
    page = copy.project / "reports/stranger.md"
    page.write_text("not of the run's test clips")
    copy.run("--set", "search.trials=7")
    assert page.read_text() == "not of the run's test clips"
    after = copy.bytes_of("reports")
    assert after["looks.csv"].startswith(before["looks.csv"])
    rows = pd.read_csv(copy.project / "reports/looks.csv")
    (changed,) = {name for name in rows["study"] if "@" in name}
    assert rows["study"].tolist() == ["small"] * 2 + [changed] * 2
    assert "look 1 of 2" in after["small.md"].decode()
    assert "look 2 of 2" in after[f"{changed}.md"].decode()
    copy.run("--set", "search.trials=7")
    assert copy.bytes_of("reports") == after
    copy.invoke("report")
    anew = copy.bytes_of("reports")
    assert anew.pop("stranger.md") == before["stranger.md"]
    assert anew.items() <= after.items()


def test_a_study_runs_on_own_tables(finished: Bench, bench: Bench) -> None:
    folder = finished.project / "features_cache/small/speaker-independent"
    tables = ("--train", str(folder / "train.csv"), "--test", str(folder / "test.csv"))
    bench.invoke("run-study", str(bench.study), *tables, "--workers", "1")
    (own,) = (bench.project / "reports/results").iterdir()
    theirs = read_result(finished.project / "reports/results/small").predictions
    rows = theirs[theirs["protocol"] == "speaker-independent"].reset_index(drop=True)
    ours = read_result(own).predictions
    assert ours["clip"].tolist() == rows["clip"].tolist()
    assert set(ours["protocol"]) == {"speaker-independent"}


def test_own_tables_get_covariates_and_renamed_emotions(finished: Bench, bench: Bench) -> None:
    folder = finished.project / "features_cache/small/speaker-independent"
    text = bench.study.read_text().replace('"high"]', '"loud"]', 1)
    renamed = text.replace("augment", 'covariates = ["gender"]\naugment')
    bench.study.write_text(renamed + '[rename]\nhigh = "loud"\n')
    tables = ("--train", str(folder / "train.csv"), "--test", str(folder / "test.csv"))
    once = ("--set", "search.trials=1", "--workers", "1")
    bench.invoke("run-study", str(bench.study), *tables, *once)
    (own,) = (bench.project / "features_cache").glob("small@*/speaker-independent/train.csv")
    train = pd.read_csv(own)
    assert set(train["emotion"]) == {"low", "middle", "loud"}
    assert set(train["gender_male"]) == {0.0, 1.0}


def test_own_tables_are_refused_for_features_over_frames(finished: Bench, bench: Bench) -> None:
    folder = finished.project / "features_cache/small/speaker-independent"
    tables = ("--train", str(folder / "train.csv"), "--test", str(folder / "test.csv"))
    over_frames = ("--set", "features=log-mel-frames", "--project", str(bench.project))
    line = refused_line("run-study", str(bench.study), *tables, *over_frames)
    assert "65 frames of 40 numbers" in line


def test_unusable_clips_are_counted_and_named(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(bench.table.parent, folder)
    (folder / "0_low_0.wav").write_bytes(b"")
    soundfile.write(folder / "1_low_1.wav", np.zeros(6000), 22_050)
    copy = Bench(bench.study, folder / "table.csv", bench.project)
    refused = copy.run(check=False)
    assert refused.returncode == 2
    assert "2 of 72 clips can't be used" in refused.stderr
    copy.run("--allow-incomplete", "--set", "search.trials=1")
    (page,) = (copy.project / "reports").glob("small@*.md")
    text = page.read_text()
    assert "0_low_0" in text
    assert "silent" in text


@pytest.mark.parametrize("command", ["scale-curve", "text-ablation"])
def test_other_measurements_refuse_many_unusable_clips_as_well(
    tones: Path, tmp_path: Path, command: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tones.parent, folder)
    for name in ("0_low_0.wav", "1_low_1.wav"):
        (folder / name).write_bytes(b"")
    study = tmp_path / "tones.toml"
    study.write_text(
        'question = "Can tones be told apart?"\ncorpora = ["csv"]\n'
        'emotions = ["low", "middle", "high"]\nfeatures = "mfcc-stats"\nnormalise = "speaker"\n'
        '[split]\nprotocols = ["speaker-independent", "speaker+text-independent"]\nfolds = 3\n'
        '[search]\ntrials = 1\nfolds = 2\nmetric = "uar"\n[models.lda]\n'
    )
    given = ("--corpus", f"csv={folder / 'table.csv'}", "--project", str(tmp_path))
    line = refused_line(command, str(study), *given, "--workers", "1")
    assert "2 of 72 clips can't be used" in line


def test_a_missing_clip_is_refused_unless_allowed_and_then_shown(
    bench: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "incomplete"
    shutil.copytree(bench.table.parent, folder)
    (folder / "0_low_0.wav").unlink()
    copy = Bench(bench.study, folder / "table.csv", bench.project)
    refused = copy.run(check=False)
    assert refused.returncode == 2
    assert "csv: 71 of 72 clips; missing: 0_low_0" in refused.stderr
    copy.run("--allow-incomplete")
    (page,) = (copy.project / "reports").glob("small@*.md")
    assert "71 of 72 clips" in page.read_text()
    assert not (copy.project / "reports/small.md").exists()
