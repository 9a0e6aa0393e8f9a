"""The anatomy of inflated scores: each mistake does what it says, and stays where it is made."""

from __future__ import annotations

import shutil
import subprocess
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
from benchmark.leakage.ablation import stored_result
from benchmark.leakage.fits import (
    Answered,
    Order,
    Recordings,
    divide,
    load_rows,
    perform,
    score_of,
    store_rows,
)
from benchmark.leakage.leaks import MISTAKES, Conduct, Setting, Subject, honest
from benchmark.leakage.scores import Heights
from benchmark.leakage.stored import Anatomy, Run, read_anatomy, write_anatomy
from benchmark.report.leakage_page import write_page
from benchmark.report.wording import intervals_note
from benchmark.study import Mistake
from tests.support.bench import Bench, needing_extras, refused_line
from tests.support.imports import imported, modules

EMOTIONS = ("angry", "happy", "sad")
SPEAKERS = 8
REPORTS = Path(__file__).parents[2] / "reports"
OUTSIDE = {"cli/__init__.py", "report/leakage_page.py", "report/leakage_figure.py"}


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


def order_of(conduct: Conduct, model: str = "random_forest", **changes: object) -> Order:
    plain = Order(
        model=model,
        setting=Setting({"n_estimators": 30} if model == "random_forest" else {}),
        seed=1,
        conduct=conduct,
        draw_seed=0,
        test_size=0.25,
        n_folds=3,
        metric="uar",
    )
    return replace(plain, **changes)


def subject_of(model: str, **params: object) -> Subject:
    setting = Setting(params)
    return Subject(
        model, setting, 0, "speaker-independent", (setting,), None, {"angry": 2, "sad": 1}
    )


def uar_of(tmp_path: Path, order: Order, seed: int = 0) -> float:
    """The score of a fit on the noise."""
    table, samples = noise(seed)
    tested = perform(store_rows(table, samples, tmp_path / str(seed)), order)
    emotions = table.rows["emotion"].to_numpy(dtype=np.str_)
    return score_of(tested, emotions, EMOTIONS, "uar")


def test_the_command_line_alone_leads_to_mistakes() -> None:
    leading = {
        name
        for name, path in modules().items()
        for found in imported(path)
        if "benchmark.leakage" in found and not name.startswith("leakage/")
    }
    assert leading <= OUTSIDE
    assert "cli/__init__.py" in leading


def test_a_study_file_can_name_every_mistake_and_no_other() -> None:
    assert tuple(MISTAKES) == get_args(Mistake)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_another_conduct_than_the_same_step_done_right(name: str) -> None:
    mistake = MISTAKES[name]
    right, wrong = mistake.right(honest(True)), mistake.wrong(honest(True))
    assert right != wrong
    assert mistake.wrong(wrong) == wrong


def test_done_right_no_speaker_is_on_both_sides_and_no_copy_is_tested(
    recordings: Recordings,
) -> None:
    train, fold, test = divide(recordings, order_of(honest(True)))
    speakers = recordings.frame["speaker"].to_numpy()
    assert not set(speakers[train.places]) & set(speakers[test.places])
    assert recordings.originals[test.places].all()
    assert len(train.places) == 3 * recordings.originals[train.places].sum()
    clips = recordings.frame["clip"].to_numpy()[train.places]
    assert len(set(zip(clips, fold, strict=True))) == len(set(clips))


def test_shared_speakers_are_on_both_sides_and_no_clip_is(recordings: Recordings) -> None:
    conduct = MISTAKES["speakers-shared"].wrong(honest(True))
    train, _, test = divide(recordings, order_of(conduct))
    speakers, clips = (recordings.frame[name].to_numpy() for name in ("speaker", "clip"))
    assert set(speakers[train.places]) == set(speakers[test.places])
    assert not set(clips[train.places]) & set(clips[test.places])


def test_copies_made_before_a_random_split_stand_on_both_sides(recordings: Recordings) -> None:
    conduct = Conduct(split="speaker-dependent", copies="all")
    train, _, test = divide(recordings, order_of(conduct))
    clips = recordings.frame["clip"].to_numpy()
    twins = np.isin(clips[test.places], clips[train.places])
    assert twins.mean() > 0.8
    assert (~recordings.originals[test.places]).any()


def test_copies_made_before_a_split_by_speakers_stay_with_their_speaker(
    recordings: Recordings,
) -> None:
    right, wrong = (
        divide(recordings, order_of(Conduct(copies=rows))) for rows in ("training", "all")
    )
    assert sorted(right[0].places) == sorted(wrong[0].places)
    assert len(wrong[2].places) == 3 * len(right[2].places)


@pytest.mark.parametrize("split", ["speaker-dependent", "speaker-independent"])
def test_emotions_filled_up_before_the_split_bring_made_rows_to_both_sides(
    recordings: Recordings, split: str
) -> None:
    train, fold, test = divide(recordings, order_of(Conduct(split=split, filled="all")))
    assert train.made.any()
    assert test.made.any()
    both = recordings.emotions[np.concatenate([train.places, test.places])]
    assert len(set(np.unique(both, return_counts=True)[1])) == 1
    assert (fold >= 0).all()


def test_emotions_filled_up_after_the_split_leave_the_test_side_as_it_was(
    recordings: Recordings,
) -> None:
    plain, filled = (
        divide(recordings, order_of(Conduct(filled=rows))) for rows in ("none", "training")
    )
    assert np.array_equal(plain[2].places, filled[2].places)
    assert not filled[2].made.any()
    labels = recordings.emotions[filled[0].places]
    assert len(set(np.unique(labels, return_counts=True)[1])) == 1
    assert len(filled[1]) == len(labels)


def test_a_made_row_counts_for_a_recording_of_its_emotion_and_lies_between_two(
    recordings: Recordings,
) -> None:
    train, _, _ = divide(recordings, order_of(Conduct(filled="training")))
    sad = train.values[(recordings.emotions[train.places] == "sad") & ~train.made]
    assert set(recordings.emotions[train.places[train.made]]) == {"sad"}
    for row in train.values[train.made][:5]:
        ends = np.linalg.norm(sad - row, axis=1)
        pairs = np.linalg.norm(sad[:, None] - sad[None], axis=2)
        between = np.abs(ends[:, None] + ends[None] - pairs)
        assert between[~np.eye(len(sad), dtype=bool)].min() < 1e-4


def test_who_knows_the_twin_recognises_noise(tmp_path: Path) -> None:
    shared = order_of(Conduct(split="speaker-dependent", copies="training"))
    right = np.mean([uar_of(tmp_path, shared, seed) for seed in range(4)])
    wrong = uar_of(tmp_path, order_of(Conduct(split="speaker-dependent", copies="all")))
    assert right == pytest.approx(1 / 3, abs=0.1)
    assert wrong > 0.8


@pytest.mark.parametrize("step", ["scaled", "selected"])
def test_a_step_on_all_rows_and_one_on_training_rows_differ_in_what_they_learn(
    tmp_path: Path, step: str
) -> None:
    table, samples = noise()
    tested = table.rows["speaker"] == "toy/2"
    louder = np.where(tested, 50, 1).astype(np.float32)[:, None]
    rows = store_rows(replace(table, values=table.values * louder), samples, tmp_path)
    answers = [
        perform(rows, order_of(replace(Conduct(), **{step: on}), "logistic_regression"))
        for on in ("training", "all")
    ]
    assert np.array_equal(answers[0].rows, answers[1].rows)
    assert not np.array_equal(answers[0].predicted, answers[1].predicted)


@pytest.mark.parametrize(
    ("model", "classifier"), [("svc", SVC()), ("logistic_regression", LogisticRegression())]
)
def test_a_fit_done_right_is_that_of_plain_scikit_learn(
    tmp_path: Path, recordings: Recordings, model: str, classifier: BaseEstimator
) -> None:
    order = order_of(honest(True), model)
    train, _, test = divide(recordings, order)
    plain = make_pipeline(StandardScaler(), classifier)
    plain.fit(train.values, recordings.emotions[train.places])
    found = perform(store_rows(*noise(), tmp_path), order)
    assert np.array_equal(np.array(EMOTIONS)[found.predicted], plain.predict(test.values))


def test_features_selected_on_all_rows_recognise_noise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table, samples = noise(copies=0)
    wide = rng.normal(size=(len(table.rows), 3000)).astype(np.float32)
    table = replace(table, values=wide, columns=tuple(map(str, range(3000))))
    rows = store_rows(table, samples, tmp_path)
    emotions = table.rows["emotion"].to_numpy(dtype=np.str_)
    right, wrong = (
        score_of(
            perform(rows, order_of(Conduct(selected=on), "logistic_regression")),
            emotions, EMOTIONS, "uar",
        )
        for on in ("training", "all")
    )  # fmt: skip
    assert right == pytest.approx(1 / 3, abs=0.15)
    assert wrong > right + 0.2


def test_an_mlp_that_is_watched_is_the_mlp_that_fit_makes(tmp_path: Path) -> None:
    rows = store_rows(*noise(), tmp_path)
    setting = Setting({"max_iter": 1, "hidden_layer_sizes": [16]})
    fitted, watched = (
        perform(rows, order_of(Conduct(epoch=judge), "mlp", setting=setting))
        for judge in ("training", "test")
    )
    assert np.array_equal(fitted.predicted, watched.predicted)
    assert watched.epochs == 1


def test_the_epoch_that_is_kept_is_at_least_as_good_on_the_test_as_the_last(
    tmp_path: Path,
) -> None:
    setting = Setting({"max_iter": 12, "hidden_layer_sizes": [16], "learning_rate_init": 0.02})
    last, kept = (
        uar_of(tmp_path, order_of(Conduct(epoch=judge), "mlp", setting=setting))
        for judge in ("training", "test")
    )
    assert kept >= last
    assert kept > 1 / 3


@pytest.mark.parametrize("model", needing_extras(["conv1d_pairs"]))
def test_a_network_is_watched_on_the_test_rows_that_it_does_not_learn(
    tmp_path: Path, model: str
) -> None:
    setting = Setting({"max_epochs": 4, "filters": [4], "dropouts": [0.0], "dense": 8}, epochs=1)
    rows = store_rows(*noise(), tmp_path)
    right, wrong = (
        perform(rows, order_of(Conduct(epoch=judge), model, setting=setting))
        for judge in ("training", "test")
    )
    assert right.trained == wrong.trained
    assert 1 <= wrong.epochs <= 4
    assert right.epochs == 0


@pytest.mark.parametrize(
    ("model", "params", "lacking"),
    [
        ("random_forest", {}, {"scaled-on-everything", "settings-by-test", "epoch-by-test"}),
        ("logistic_regression", {}, {"settings-by-test", "epoch-by-test", "best-of-seeds"}),
        ("logistic_regression", {"solver": "saga"}, {"settings-by-test", "epoch-by-test"}),
        ("svc", {}, {"settings-by-test", "epoch-by-test", "best-of-seeds"}),
        ("mlp", {}, {"settings-by-test"}),
        ("mlp", {"solver": "lbfgs"}, {"settings-by-test", "epoch-by-test"}),
        ("mlp_unscaled", {}, {"scaled-on-everything", "settings-by-test"}),
    ],
)
def test_a_model_makes_the_mistakes_that_it_can(
    model: str, params: dict[str, object], lacking: set[str]
) -> None:
    subject = subject_of(model, **params)
    assert {name for name, one in MISTAKES.items() if one.lacking(subject)} == lacking


def toy_anatomy(tested: list[Answered], table: Table) -> Anatomy:
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
    return Anatomy(
        name="toy",
        settings={"emotions": list(EMOTIONS), "seed": 0},
        data={"generated": False},
        versions={},
        draws=len(tested),
        seeds=2,
        runs=tuple(Run("mlp", n, {}, {}, 0, 0, 0, 0) for n in range(len(tested))),
        alone=(),
        staircases=(),
        predictions=counted.rename("rows").reset_index(),
    )


@pytest.fixture
def anatomy() -> Anatomy:
    """Three runs on other speakers each, of which the last two agree."""
    table, _ = noise(copies=0)
    rng = np.random.default_rng(1)
    speakers = table.rows["speaker"].to_numpy()
    tested = []
    for draw in range(2):
        rows = np.flatnonzero(np.isin(speakers, [f"toy/{s}" for s in range(draw, draw + 6)]))
        tested.append(Answered(rows, rng.integers(0, 3, len(rows)), 0))
    return toy_anatomy([*tested, tested[1]], table)


def test_a_height_is_the_mean_of_the_draws_scores(anatomy: Anatomy) -> None:
    found = Heights(anatomy).level([0, 1], "uar")
    scores = []
    for run in (0, 1):
        rows = anatomy.predictions[anatomy.predictions["run"] == run]
        truth, told = (np.repeat(rows[name], rows["rows"]) for name in ("emotion", "predicted"))
        scores.append(recall_score(truth, told, average="macro"))
    assert found.draws == pytest.approx(scores)
    assert found.mean.value == pytest.approx(np.mean(scores))
    assert found.mean.low < found.mean.value < found.mean.high
    assert found.mean.over == "speakers"


def test_what_two_experiments_share_cancels_in_their_difference(anatomy: Anatomy) -> None:
    heights = Heights(anatomy)
    same = heights.difference([1], [2], "uar").mean
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    other = heights.difference([0], [1], "uar")
    assert other.draws[0] == pytest.approx(
        heights.level([1], "uar").mean.value - heights.level([0], "uar").mean.value
    )


def test_intervals_hold_the_difference_of_simulated_speakers_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    table, _ = noise(copies=0)
    emotions = pd.Index(EMOTIONS).get_indexer(table.rows["emotion"])
    speakers = pd.factorize(table.rows["speaker"])[0]
    everyone = np.arange(len(emotions))
    held = []
    for _ in range(60):
        ease = rng.uniform(0.3, 0.7, SPEAKERS)[speakers]
        tested = [
            Answered(
                everyone,
                np.where(
                    rng.uniform(size=len(emotions)) < ease + added, emotions, (emotions + 1) % 3
                ),
                0,
            )
            for added in (0.0, 0.2)
        ]
        found = Heights(toy_anatomy(tested, table)).difference([0], [1], "uar").mean
        held.append(found.low <= 0.2 <= found.high)
    # 95 % with very many speakers; with eight, percentile intervals are known to be short.
    assert 0.75 <= np.mean(held) <= 1.0


def test_an_anatomy_comes_back_as_it_was_written(anatomy: Anatomy, tmp_path: Path) -> None:
    write_anatomy(anatomy, tmp_path)
    found = read_anatomy(tmp_path / "toy")
    assert found.runs == anatomy.runs
    pd.testing.assert_frame_equal(found.predictions, anatomy.predictions)


def test_an_anatomy_whose_table_was_changed_is_refused(anatomy: Anatomy, tmp_path: Path) -> None:
    write_anatomy(anatomy, tmp_path)
    table = tmp_path / "toy/predictions.csv"
    table.write_text(table.read_text().replace("angry", "happy"))
    with pytest.raises(BenchmarkError, match="is not the one that"):
        read_anatomy(tmp_path / "toy")


def test_the_published_page_comes_from_the_stored_anatomies(tmp_path: Path) -> None:
    shutil.copytree(REPORTS / "anatomy", tmp_path / "anatomy")
    page = write_page(tmp_path)
    assert page is not None
    assert page.read_text() == (REPORTS / "anatomy.md").read_text()
    made, published = (folder / "figures/anatomy" for folder in (tmp_path, REPORTS))
    assert {path.name for path in made.iterdir()} == {path.name for path in published.iterdir()}


SMALL = ("--draws", "2", "--seeds", "3", "--settings", "3")


def dissect(bench: Bench, *arguments: str) -> subprocess.CompletedProcess[str]:
    corpus = ("--corpus", f"csv={bench.table}")
    return subprocess.run(
        bench.command("anatomy", str(bench.study), *corpus, *SMALL, *arguments),
        capture_output=True,
        text=True,
        check=True,
    )


def test_an_anatomy_adds_its_own_pages_to_a_study_that_has_run_and_changes_nothing_else(
    finished: Bench, tmp_path: Path
) -> None:
    shutil.copytree(finished.project / "reports", tmp_path / "one/reports")
    shutil.copytree(finished.project / "reports", tmp_path / "two/reports")
    one, two = (Bench(finished.study, finished.table, tmp_path / n) for n in ("one", "two"))
    before = one.bytes_of("reports")
    dissect(one, "--workers", "1")
    made = one.bytes_of("reports")
    assert {name: made[name] for name in before} == before
    new = {name.split("/small")[0] for name in set(made) - set(before)}
    assert new == {"anatomy", "anatomy.md", "figures/anatomy"}
    assert not list(one.project.glob("*.db"))

    dissect(two, "--workers", "2")
    assert two.bytes_of("reports") == made
    for path in sorted((two.project / "features_cache/anatomy/fits").iterdir())[::2]:
        path.write_bytes(b"damaged")
    dissect(two, "--workers", "1")
    assert two.bytes_of("reports") == made

    (one.project / "reports/anatomy.md").unlink()
    shutil.rmtree(one.project / "reports/figures/anatomy")
    subprocess.run(one.command("report"), check=True, capture_output=True)
    assert one.bytes_of("reports") == made

    found = read_anatomy(one.project / "reports/anatomy/small")
    climbed = [step.mistake for step in found.staircases[0].steps]
    assert climbed[:3] == ["", "speakers-shared", "augmented-before-split"]
    alone = {comparison.mistake for comparison in found.alone}
    assert alone - set(climbed) == {"selected-on-everything"}
    assert set(climbed[1:]) <= alone
    (first, *_) = found.staircases[0].steps
    honest_score = Heights(found).level(first.runs, "uar").draws[0]
    model = found.staircases[0].model
    stored = pd.read_csv(one.project / "reports/results/small/predictions.csv")
    own = stored[(stored["protocol"] == "speaker-independent") & (stored["model"] == model)]
    names = sorted(["low", "middle", "high"])
    told = np.array(names)[own[[f"p_{name}" for name in names]].to_numpy().argmax(axis=1)]
    assert honest_score == pytest.approx(score("uar", own["emotion"].to_numpy(), told, names))


def test_a_study_that_has_not_run_has_no_anatomy(bench: Bench) -> None:
    line = refused_line("anatomy", str(bench.study), "--project", str(bench.project))
    assert "study small has not run" in line
    assert "run-study small" in line


def test_a_study_without_unseen_speakers_has_no_anatomy(finished: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "reports/results/small"
    shutil.copytree(finished.project / "reports/results/small", folder)
    record = folder / "study.json"
    record.write_text(
        record.read_text().replace(
            '"protocol": "speaker-independent"', '"protocol": "speaker-dependent"'
        )
    )
    line = refused_line("anatomy", str(finished.study), "--project", str(tmp_path))
    assert "no unseen speakers" in line


def test_other_recordings_than_those_of_the_result_are_refused(
    finished: Bench, tmp_path: Path
) -> None:
    shutil.copytree(finished.project / "reports/results", tmp_path / "reports/results")
    fewer = finished.table.with_name("fewer.csv")
    fewer.write_text("".join(finished.table.read_text().splitlines(keepends=True)[:-1]))
    corpus = ("--corpus", f"csv={fewer}")
    line = refused_line("anatomy", str(finished.study), *corpus, "--project", str(tmp_path))
    assert "(72 csv) than are here (71 csv)" in line


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (REPORTS.parent / "studies").glob("*_unseen*.toml"))
)
def test_a_study_of_several_splits_has_no_anatomy(name: str) -> None:
    with pytest.raises(BenchmarkError, match=r"several splits.*Leave folds and repeats out"):
        stored_result(name, REPORTS / "results")


def test_degrees_of_freedom_count_the_speakers_that_a_level_tests(anatomy: Anatomy) -> None:
    table, _ = noise(copies=0)
    speakers = table.rows["speaker"].to_numpy()
    rows = [np.flatnonzero(np.isin(speakers, [f"toy/{s}" for s in range(n)])) for n in (4, 8)]
    tested = [Answered(places, np.arange(len(places)) % 3, 0) for places in rows]
    heights = Heights(toy_anatomy(tested, table))
    assert heights.level([0], "uar").mean.freedom == pytest.approx(3)
    assert heights.level([1], "uar").mean.freedom == pytest.approx(7)
    for pair in ([0], [1]), ([1], [0]):
        assert heights.difference(*pair, "uar").mean.freedom == pytest.approx(3)


def test_a_level_of_two_speakers_resamples_its_rows_and_so_does_a_difference_from_it() -> None:
    table, _ = noise(copies=0)
    speakers = table.rows["speaker"].to_numpy()
    rows = [np.flatnonzero(np.isin(speakers, [f"toy/{s}" for s in range(n)])) for n in (2, 8)]
    tested = [Answered(places, np.arange(len(places)) % 3, 0) for places in rows]
    heights = Heights(toy_anatomy(tested, table))
    assert heights.level([0], "uar").mean.over == "clips"
    assert heights.level([1], "uar").mean.over == "speakers"
    assert heights.difference([0], [1], "uar").mean.over == "clips"


def test_the_page_says_how_intervals_are_made_and_where_the_recordings_lie() -> None:
    page = (REPORTS / "anatomy.md").read_text()
    assert "fewer than six speakers" not in page
    assert intervals_note() in page
    assert "anatomy prediction_api --corpora DIR --draws " in page
    assert "of desktop_cnn and prediction_api_later the source's figure alone" in page
