"""Leakage ablation: each leak does what it says, and no score with leaks leaves the room."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmark.data.tables import IDENTITY, Table
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import score
from benchmark.features.recipe import Block
from benchmark.leakage.ablation import stored_result
from benchmark.leakage.fits import (
    FitPlan,
    FitResult,
    Recordings,
    divide,
    load_rows,
    run_fit,
    score_of,
    store_rows,
)
from benchmark.leakage.leaks import LEAKS, Candidate, Procedure, Setting, leak_free
from benchmark.leakage.scores import AblationScores
from benchmark.leakage.stored import Ablation, DataFacts, Run, read_ablation, write_ablation
from benchmark.report.pages.leakage import write_page
from benchmark.report.template import render
from benchmark.report.wording import constants
from benchmark.study import LeakName, Study
from tests.support.bench import SMALL_STUDY, Bench, changed_bench, needing_extras, refused_line
from tests.support.imports import imported, modules
from tests.support.records import read_sealed, write_sealed

EMOTIONS = ("angry", "happy", "sad")
SPEAKERS = 8
REPORTS = Path(__file__).parents[2] / "reports"
TRANSDUCTIVE = [
    path.stem
    for path in sorted((REPORTS.parent / "studies").glob("*.toml"))
    if tomllib.loads(path.read_text()).get("normalise")
]
OUTSIDE = {"cli/study.py", "report/pages/leakage.py", "report/leakage_figure.py"}
OUTSIDE |= {"report/pages/text_ablation.py"}


def noise(seed: int = 0, copies: int = 2) -> tuple[Table, np.ndarray]:
    """Clips that tell nothing of their emotion, and copies that are all but the same.

    Sad is rare: half as many clips of it.
    """
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        [
            (f"toy/{s}-{e}-{t}", "toy", f"toy/{s}", "female", e, "")
            for s in range(SPEAKERS)
            for e in EMOTIONS
            for t in range(6 if e == "sad" else 12)
        ],
        columns=list(IDENTITY),
    )
    values = rng.normal(size=(len(rows), 20)).astype(np.float32)
    every = [rows, *(rows.assign(augmentation=f"copy{n}") for n in range(copies))]
    shaken = [values + rng.normal(0, 0.01, values.shape).astype(np.float32) for _ in range(copies)]
    table = Table(
        pd.concat(every, ignore_index=True),
        np.vstack([values, *shaken]),
        tuple(f"f{number}" for number in range(20)),
    )
    return table, np.tile([f"digest {n}" for n in range(len(rows))], copies + 1)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """The noise, as a worker holds it."""
    return load_rows(store_rows(*noise(), tmp_path_factory.mktemp("rows")))


def plan_of(procedure: Procedure, model: str = "random_forest", **changes: object) -> FitPlan:
    plain = FitPlan(
        model=model,
        setting=Setting({"n_estimators": 30} if model == "random_forest" else {}),
        seed=1,
        procedure=procedure,
        split_seed=0,
        test_size=0.25,
        outer_folds=None,
        n_folds=3,
        outer_fold=0,
        metric="uar",
    )
    return replace(plain, **changes)


def candidate_of(model: str, **params: object) -> Candidate:
    setting = Setting(params)
    return Candidate(
        model, setting, 0, "speaker-independent", "", (setting,), None, {"angry": 2, "sad": 1}
    )


def uar_of(tmp_path: Path, order: FitPlan, seed: int = 0) -> float:
    """The score of a fit on the noise."""
    table, samples = noise(seed)
    tested = run_fit(store_rows(table, samples, tmp_path / str(seed)), order)
    emotions = table.rows["emotion"].to_numpy(dtype=np.str_)
    return score_of(tested, emotions, EMOTIONS, "uar")


def test_only_the_command_line_and_its_page_import_the_leakage_room() -> None:
    leading = {
        name
        for name, path in modules().items()
        for found in imported(path)
        if "benchmark.leakage" in found and not name.startswith("leakage/")
    }
    assert leading <= OUTSIDE
    assert "cli/study.py" in leading


def test_a_study_file_can_name_every_leak_and_no_other() -> None:
    assert tuple(LEAKS) == get_args(LeakName)


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_changes_the_procedure(name: str) -> None:
    leak = LEAKS[name]
    right, wrong = leak.clean(leak_free(True)), leak.leaky(leak_free(True))
    assert right != wrong
    assert leak.leaky(wrong) == wrong


def test_without_leaks_no_speaker_is_on_both_sides_and_no_copy_is_tested(
    recordings: Recordings,
) -> None:
    train, fold, test = divide(recordings, plan_of(leak_free(True)))
    speakers = recordings.frame["speaker"].to_numpy()
    assert not set(speakers[train.index]) & set(speakers[test.index])
    assert recordings.originals[test.index].all()
    assert len(train.index) == 3 * recordings.originals[train.index].sum()
    clips = recordings.frame["clip"].to_numpy()[train.index]
    assert len(set(zip(clips, fold, strict=True))) == len(set(clips))


def test_shared_speakers_are_on_both_sides_and_no_clip_is(recordings: Recordings) -> None:
    procedure = LEAKS["speakers-shared"].leaky(leak_free(True))
    train, _, test = divide(recordings, plan_of(procedure))
    speakers, clips = (recordings.frame[name].to_numpy() for name in ("speaker", "clip"))
    assert set(speakers[train.index]) == set(speakers[test.index])
    assert not set(clips[train.index]) & set(clips[test.index])


def test_copies_made_before_a_random_split_stand_on_both_sides(recordings: Recordings) -> None:
    procedure = Procedure(split="speaker-dependent", copies="all")
    train, _, test = divide(recordings, plan_of(procedure))
    clips = recordings.frame["clip"].to_numpy()
    near_duplicates = np.isin(clips[test.index], clips[train.index])
    assert near_duplicates.mean() > 0.8
    assert (~recordings.originals[test.index]).any()


def test_copies_made_before_a_split_by_speakers_stay_with_their_speaker(
    recordings: Recordings,
) -> None:
    right, wrong = (
        divide(recordings, plan_of(Procedure(copies=rows))) for rows in ("training", "all")
    )
    assert sorted(right[0].index) == sorted(wrong[0].index)
    assert len(wrong[2].index) == 3 * len(right[2].index)


@pytest.mark.parametrize("split", ["speaker-dependent", "speaker-independent"])
def test_oversampling_before_the_split_puts_synthetic_rows_on_both_sides(
    recordings: Recordings, split: str
) -> None:
    train, fold, test = divide(recordings, plan_of(Procedure(split=split, filled="all")))
    assert train.synthetic.any()
    assert test.synthetic.any()
    both = recordings.emotions[np.concatenate([train.index, test.index])]
    assert len(set(np.unique(both, return_counts=True)[1])) == 1
    assert (fold >= 0).all()


def test_oversampling_after_the_split_does_not_change_the_test_set(
    recordings: Recordings,
) -> None:
    plain, filled = (
        divide(recordings, plan_of(Procedure(filled=rows))) for rows in ("none", "training")
    )
    assert np.array_equal(plain[2].index, filled[2].index)
    assert not filled[2].synthetic.any()
    labels = recordings.emotions[filled[0].index]
    assert len(set(np.unique(labels, return_counts=True)[1])) == 1
    assert len(filled[1]) == len(labels)


def test_a_synthetic_row_lies_between_two_rows_of_its_emotion_and_counts_for_one(
    recordings: Recordings,
) -> None:
    train, _, _ = divide(recordings, plan_of(Procedure(filled="training")))
    sad = train.values[(recordings.emotions[train.index] == "sad") & ~train.synthetic]
    assert set(recordings.emotions[train.index[train.synthetic]]) == {"sad"}
    for row in train.values[train.synthetic][:5]:
        ends = np.linalg.norm(sad - row, axis=1)
        pairs = np.linalg.norm(sad[:, None] - sad[None], axis=2)
        between = np.abs(ends[:, None] + ends[None] - pairs)
        assert between[~np.eye(len(sad), dtype=bool)].min() < 1e-4


def test_a_model_recognises_noise_if_near_duplicates_are_in_training(tmp_path: Path) -> None:
    shared = plan_of(Procedure(split="speaker-dependent", copies="training"))
    right = np.mean([uar_of(tmp_path, shared, seed) for seed in range(4)])
    wrong = uar_of(tmp_path, plan_of(Procedure(split="speaker-dependent", copies="all")))
    assert right == pytest.approx(1 / 3, abs=0.1)
    assert wrong > 0.8


@pytest.mark.parametrize("step", ["scaled", "selected"])
def test_a_step_fitted_on_all_rows_changes_predictions(tmp_path: Path, step: str) -> None:
    table, samples = noise()
    tested = table.rows["speaker"] == "toy/2"
    louder = np.where(tested, 50, 1).astype(np.float32)[:, None]
    rows = store_rows(replace(table, values=table.values * louder), samples, tmp_path)
    answers = [
        run_fit(rows, plan_of(replace(Procedure(), **{step: on}), "logistic_regression"))
        for on in ("training", "all")
    ]
    assert np.array_equal(answers[0].rows, answers[1].rows)
    assert not np.array_equal(answers[0].predicted, answers[1].predicted)


@pytest.mark.parametrize(
    ("model", "classifier"), [("svc", SVC()), ("logistic_regression", LogisticRegression())]
)
def test_a_fit_without_leaks_is_that_of_plain_scikit_learn(
    tmp_path: Path, recordings: Recordings, model: str, classifier: BaseEstimator
) -> None:
    order = plan_of(leak_free(True), model)
    train, _, test = divide(recordings, order)
    plain = make_pipeline(StandardScaler(), classifier)
    plain.fit(train.values, recordings.emotions[train.index])
    found = run_fit(store_rows(*noise(), tmp_path), order)
    assert np.array_equal(np.array(EMOTIONS)[found.predicted], plain.predict(test.values))


@pytest.mark.parametrize("scaled", ["training", "all"])
def test_a_fit_weights_the_feature_sets_of_the_study(tmp_path: Path, scaled: str) -> None:
    table, samples = noise()
    table = replace(table, blocks=(Block("left out", 10), Block("kept", 10)))
    shuffled = table.values.copy()
    shuffled[:, :10] = np.random.default_rng(1).permutation(shuffled[:, :10])
    order = plan_of(replace(Procedure(), scaled=scaled), "logistic_regression")
    order = replace(order, setting=Setting({"weight.left out": 0}))
    answers = [
        run_fit(store_rows(replace(table, values=values), samples, tmp_path / str(number)), order)
        for number, values in enumerate((table.values, shuffled))
    ]
    assert np.array_equal(answers[0].predicted, answers[1].predicted)


def test_features_selected_on_all_rows_recognise_noise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table, samples = noise(copies=0)
    wide = rng.normal(size=(len(table.rows), 3000)).astype(np.float32)
    table = replace(table, values=wide, columns=tuple(map(str, range(3000))))
    rows = store_rows(table, samples, tmp_path)
    emotions = table.rows["emotion"].to_numpy(dtype=np.str_)
    right, wrong = (
        score_of(
            run_fit(rows, plan_of(Procedure(selected=on), "logistic_regression")),
            emotions, EMOTIONS, "uar",
        )
        for on in ("training", "all")
    )  # fmt: skip
    assert right == pytest.approx(1 / 3, abs=0.15)
    assert wrong > right + 0.2


def test_an_mlp_trained_epoch_by_epoch_is_the_mlp_that_fit_makes(tmp_path: Path) -> None:
    rows = store_rows(*noise(), tmp_path)
    setting = Setting({"max_iter": 1, "hidden_layer_sizes": [16]})
    fitted, watched = (
        run_fit(rows, plan_of(Procedure(epoch=judge), "mlp", setting=setting))
        for judge in ("training", "test")
    )
    assert np.array_equal(fitted.predicted, watched.predicted)
    assert watched.epochs == 1


def test_the_selected_epoch_is_at_least_as_good_on_the_test_set_as_the_last(
    tmp_path: Path,
) -> None:
    setting = Setting({"max_iter": 12, "hidden_layer_sizes": [16], "learning_rate_init": 0.02})
    last, best = (
        uar_of(tmp_path, plan_of(Procedure(epoch=judge), "mlp", setting=setting))
        for judge in ("training", "test")
    )
    assert best >= last
    assert best > 1 / 3


@pytest.mark.parametrize("model", needing_extras(["conv1d_pairs"]))
def test_a_network_selects_its_epoch_on_test_rows_and_does_not_train_on_them(
    tmp_path: Path, model: str
) -> None:
    setting = Setting({"max_epochs": 4, "filters": [4], "dropouts": [0.0], "dense": 8}, epochs=1)
    rows = store_rows(*noise(), tmp_path)
    right, wrong = (
        run_fit(rows, plan_of(Procedure(epoch=judge), model, setting=setting))
        for judge in ("training", "test")
    )
    assert right.n_trained == wrong.n_trained
    assert 1 <= wrong.epochs <= 4
    assert right.epochs == 0


@pytest.mark.parametrize(
    ("model", "params", "not_applicable"),
    [
        ("random_forest", {}, {"scaled-on-everything", "settings-by-test", "epoch-by-test"}),
        ("logistic_regression", {}, {"settings-by-test", "epoch-by-test", "best-of-seeds"}),
        ("logistic_regression", {"solver": "saga"}, {"settings-by-test", "epoch-by-test"}),
        ("svc", {}, {"settings-by-test", "epoch-by-test", "best-of-seeds"}),
        (
            "svc",
            {"weight.functionals": 2},
            {"settings-by-test", "epoch-by-test", "best-of-seeds", "selected-on-everything"},
        ),
        ("mlp", {}, {"settings-by-test"}),
        ("mlp", {"solver": "lbfgs"}, {"settings-by-test", "epoch-by-test"}),
        ("mlp_unscaled", {}, {"scaled-on-everything", "settings-by-test"}),
    ],
)
def test_leaks_that_do_not_apply_to_a_model_are_excluded(
    model: str, params: dict[str, object], not_applicable: set[str]
) -> None:
    candidate = candidate_of(model, **params)
    assert {name for name, one in LEAKS.items() if one.not_applicable(candidate)} == not_applicable


def toy_ablation(tested: list[FitResult], table: Table) -> Ablation:
    """The record of a few runs of nothing in particular."""
    names = np.array(EMOTIONS)
    speakers, emotions = (table.rows[name].to_numpy() for name in ("speaker", "emotion"))
    parts = [
        pd.DataFrame(
            {
                "run": number,
                "speaker": speakers[one.rows],
                "emotion": emotions[one.rows],
                "predicted": names[one.predicted],
            }
        )
        for number, one in enumerate(tested)
    ]
    counted = pd.concat(parts).groupby(["run", "speaker", "emotion", "predicted"]).size()
    return Ablation(
        name="toy",
        study=Study.model_validate(
            tomllib.loads(SMALL_STUDY) | {"name": "toy", "emotions": EMOTIONS}
        ),
        data=DataFacts(0, SPEAKERS, (), False, (), 0.0),
        versions={},
        n_draws=len(tested),
        n_seeds=2,
        runs=tuple(Run("mlp", n, {}, {}, 0, 0, 0, 0) for n in range(len(tested))),
        single=(),
        cumulative=(),
        predictions=counted.rename("rows").reset_index(),
    )


@pytest.fixture
def ablation() -> Ablation:
    """Three runs on other speakers each, of which the last two agree."""
    table, _ = noise(copies=0)
    rng = np.random.default_rng(1)
    speakers = table.rows["speaker"].to_numpy()
    tested = []
    for draw in range(2):
        rows = np.flatnonzero(np.isin(speakers, [f"toy/{s}" for s in range(draw, draw + 6)]))
        tested.append(FitResult(rows, rng.integers(0, 3, len(rows)), 0))
    return toy_ablation([*tested, tested[1]], table)


def test_a_score_is_the_mean_over_splits(ablation: Ablation) -> None:
    found = AblationScores(ablation).score([0, 1], "uar")
    scores = []
    for run in (0, 1):
        rows = ablation.predictions[ablation.predictions["run"] == run]
        truth, predicted = (
            np.repeat(rows[name], rows["rows"]) for name in ("emotion", "predicted")
        )
        scores.append(recall_score(truth, predicted, average="macro"))
    assert found.by_split == pytest.approx(scores)
    assert found.mean.value == pytest.approx(np.mean(scores))
    assert found.mean.interval is not None
    assert found.mean.interval.low < found.mean.value < found.mean.interval.high


def test_what_two_experiments_share_cancels_in_their_difference(ablation: Ablation) -> None:
    scores = AblationScores(ablation)
    same = scores.difference([1], [2], "uar").mean
    assert (same.value, same.interval) == (0.0, (0.0, 0.0))
    other = scores.difference([0], [1], "uar")
    assert other.by_split[0] == pytest.approx(
        scores.score([1], "uar").mean.value - scores.score([0], "uar").mean.value
    )


def test_intervals_cover_the_difference_of_simulated_speakers() -> None:
    rng = np.random.default_rng(2)
    table, _ = noise(copies=0)
    emotions = pd.Index(EMOTIONS).get_indexer(table.rows["emotion"])
    speakers = pd.factorize(table.rows["speaker"])[0]
    everyone = np.arange(len(emotions))
    held = []
    for _ in range(60):
        ease = rng.uniform(0.3, 0.7, SPEAKERS)[speakers]
        tested = [
            FitResult(
                everyone,
                np.where(
                    rng.uniform(size=len(emotions)) < ease + added, emotions, (emotions + 1) % 3
                ),
                0,
            )
            for added in (0.0, 0.2)
        ]
        found = AblationScores(toy_ablation(tested, table)).difference([0], [1], "uar").mean
        assert found.interval is not None
        held.append(found.interval.low <= 0.2 <= found.interval.high)
    # 95 % with very many speakers; with eight, percentile intervals are known to be short.
    assert 0.75 <= np.mean(held) <= 1.0


def test_an_ablation_is_read_as_it_was_written(ablation: Ablation, tmp_path: Path) -> None:
    write_ablation(ablation, tmp_path)
    found = read_ablation(tmp_path / "toy")
    assert (found.runs, found.study, found.data) == (ablation.runs, ablation.study, ablation.data)
    pd.testing.assert_frame_equal(found.predictions, ablation.predictions)


def test_a_record_with_a_changed_table_is_refused(ablation: Ablation, tmp_path: Path) -> None:
    write_ablation(ablation, tmp_path)
    table = tmp_path / "toy/predictions.csv"
    table.write_text(table.read_text().replace("angry", "happy"))
    with pytest.raises(BenchmarkError, match="do not match their digests"):
        read_ablation(tmp_path / "toy")


def test_the_published_page_comes_from_the_stored_records(tmp_path: Path) -> None:
    for folder in ("leakage", "results"):
        (tmp_path / folder).symlink_to(REPORTS / folder)
    page = write_page(tmp_path)
    assert page is not None
    assert page.read_text() == (REPORTS / "leakage.md").read_text()
    made, published = (folder / "figures/leakage" for folder in (tmp_path, REPORTS))
    assert {path.name for path in made.iterdir()} == {path.name for path in published.iterdir()}


SMALL = ("--draws", "2", "--seeds", "3", "--settings", "3")


def ablate(bench: Bench, workers: int) -> None:
    given = ("--corpus", f"csv={bench.table}", "--workers", str(workers))
    bench.invoke("leakage", str(bench.study), *given, *SMALL)


def test_an_ablation_writes_its_own_pages_and_changes_nothing_else(
    finished: Bench, tmp_path: Path
) -> None:
    shutil.copytree(finished.project / "reports", tmp_path / "one/reports")
    shutil.copytree(finished.project / "reports", tmp_path / "two/reports")
    one, two = (Bench(finished.study, finished.table, tmp_path / n) for n in ("one", "two"))
    before = one.bytes_of("reports")
    ablate(one, workers=1)
    made = one.bytes_of("reports")
    assert {name: made[name] for name in before} == before
    new = {name.split("/small")[0] for name in set(made) - set(before)}
    assert new == {"leakage", "leakage.md", "figures/leakage"}
    assert not list(one.project.glob("*.db"))

    ablate(two, workers=2)
    assert two.bytes_of("reports") == made
    for path in sorted((two.project / "features_cache/leakage/fits").iterdir())[::2]:
        path.write_bytes(b"damaged")
    ablate(two, workers=1)
    assert two.bytes_of("reports") == made

    (one.project / "reports/leakage.md").unlink()
    shutil.rmtree(one.project / "reports/figures/leakage")
    one.invoke("report")
    assert one.bytes_of("reports") == made

    found = read_ablation(one.project / "reports/leakage/small")
    climbed = [step.leak for step in found.cumulative[0].steps]
    assert climbed[:3] == ["", "speakers-shared", "augmented-before-split"]
    alone = {one.leak for one in found.single}
    assert alone - set(climbed) == {"selected-on-everything"}
    assert set(climbed[1:]) <= alone
    (first, *_) = found.cumulative[0].steps
    clean_score = AblationScores(found).score(first.runs, "uar").by_split[0]
    model = found.cumulative[0].model
    stored = pd.read_parquet(one.project / "reports/results/small/predictions.parquet")
    own = stored[(stored["protocol"] == "speaker-independent") & (stored["model"] == model)]
    names = sorted(["low", "middle", "high"])
    predicted = np.array(names)[own[[f"p_{name}" for name in names]].to_numpy().argmax(axis=1)]
    assert clean_score == pytest.approx(score("uar", own["emotion"].to_numpy(), predicted, names))


def test_a_study_that_has_not_run_is_refused(bench: Bench) -> None:
    line = refused_line("leakage", str(bench.study), "--project", str(bench.project))
    assert "study small has not run" in line
    assert "run-study small" in line


def test_a_study_without_a_speaker_independent_score_is_refused(
    finished: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "reports/results/small"
    shutil.copytree(finished.project / "reports/results/small", folder)
    text = json.dumps(read_sealed(folder / "study.json")).replace(
        '"protocol": "speaker-independent"', '"protocol": "speaker-dependent"'
    )
    write_sealed(folder / "study.json", json.loads(text))
    line = refused_line("leakage", str(finished.study), "--project", str(tmp_path))
    assert "no speaker-independent score" in line


def test_other_recordings_than_those_of_the_result_are_refused(
    finished: Bench, tmp_path: Path
) -> None:
    shutil.copytree(finished.project / "reports/results", tmp_path / "reports/results")
    fewer = finished.table.with_name("fewer.csv")
    fewer.write_text("".join(finished.table.read_text().splitlines(keepends=True)[:-1]))
    corpus = ("--corpus", f"csv={fewer}")
    line = refused_line("leakage", str(finished.study), *corpus, "--project", str(tmp_path))
    assert "(72 csv) than the recordings given now (71 csv)" in line


def test_the_splits_of_a_study_with_outer_folds_are_its_folds(recordings: Recordings) -> None:
    plans = [plan_of(Procedure(), outer_folds=3, outer_fold=number) for number in range(3)]
    tested = [divide(recordings, plan)[2].index for plan in plans]
    speakers = recordings.frame["speaker"].to_numpy(dtype=np.str_)
    originals = np.flatnonzero(recordings.originals)
    assert sorted(np.concatenate(tested)) == sorted(originals)
    assert not set.intersection(*(set(speakers[rows]) for rows in tested[:2]))


def test_the_ablation_of_outer_folds_starts_from_the_scores_of_the_study(
    tones: Path, tmp_path: Path
) -> None:
    protocols = 'protocols = ["speaker-dependent", "speaker-independent"]'
    changes = {protocols: f"{protocols}\nfolds = 3", "trials = 6": "trials = 2"}
    bench = changed_bench(tmp_path, tones, changes)
    ablate(bench, workers=1)
    found = read_ablation(bench.project / "reports/leakage/small")
    own = found.cumulative[0]
    stored = pd.read_parquet(bench.project / "reports/results/small/predictions.parquet")
    stored = stored[(stored["protocol"] == own.protocol) & (stored["model"] == own.model)]
    names = ["high", "low", "middle"]
    stored["predicted"] = stored[[f"p_{name}" for name in names]].to_numpy().argmax(axis=1)
    scores = AblationScores(found).score(own.steps[0].runs, "uar").by_split
    assert len(scores) == found.n_draws == 2
    for part, clean in zip(("f1", "f2"), scores, strict=True):
        rows = stored[stored["part"] == part]
        predicted = np.array(names)[rows["predicted"]]
        assert clean == pytest.approx(score("uar", rows["emotion"].to_numpy(), predicted, names))


@pytest.mark.parametrize("name", TRANSDUCTIVE)
def test_a_study_with_normalised_features_is_refused(name: str) -> None:
    with pytest.raises(BenchmarkError, match=r"normalises its features by speaker"):
        stored_result(name, REPORTS / "results")


def test_degrees_of_freedom_count_the_speakers_that_an_experiment_tests(ablation: Ablation) -> None:
    table, _ = noise(copies=0)
    speakers = table.rows["speaker"].to_numpy()
    rows = [np.flatnonzero(np.isin(speakers, [f"toy/{s}" for s in range(n)])) for n in (6, 8)]
    tested = [FitResult(places, np.arange(len(places)) % 3, 0) for places in rows]
    scores = AblationScores(toy_ablation(tested, table))
    assert scores.score([0], "uar").mean.freedom == pytest.approx(5)
    assert scores.score([1], "uar").mean.freedom == pytest.approx(7)
    for pair in ([0], [1]), ([1], [0]):
        assert scores.difference(*pair, "uar").mean.freedom == pytest.approx(5)


def test_an_experiment_with_few_speakers_has_no_interval_nor_has_its_difference() -> None:
    table, _ = noise(copies=0)
    speakers = table.rows["speaker"].to_numpy()
    rows = [np.flatnonzero(np.isin(speakers, [f"toy/{s}" for s in range(n)])) for n in (5, 8)]
    tested = [FitResult(places, np.arange(len(places)) % 3, 0) for places in rows]
    scores = AblationScores(toy_ablation(tested, table))
    assert scores.score([0], "uar").mean.interval is None
    assert scores.score([0], "uar").mean.fixed == ("toy",)
    assert scores.score([1], "uar").mean.interval is not None
    assert scores.difference([0], [1], "uar").mean.interval is None


def test_the_page_states_how_intervals_are_made_and_the_command() -> None:
    page = (REPORTS / "leakage.md").read_text()
    assert render("partials/resampling", **constants()) in page
    assert "leakage prediction_api --corpora DIR --draws " in page
    assert (
        "For desktop_cnn and prediction_api_later, only the reported figure is reproduced" in page
    )
