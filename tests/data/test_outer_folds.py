"""A study of outer folds tests every clip once, chooses on each fold anew, and says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.record import Change
from benchmark.evaluation.leaderboard import SELECTED_PER_FOLD, leaderboard
from benchmark.evaluation.metrics import score
from benchmark.evaluation.results import (
    Result,
    by_split,
    read_result,
    selected,
    write_result,
)
from benchmark.report import read_boards, write_pages
from benchmark.report.markdown import number
from benchmark.report.pages.speaker_independent import (
    SECONDS,
    SETUPS,
    Kind,
    has_comparison,
    select_per_fold,
    speaker_independent_page,
)
from tests.support.bench import SMALL_STUDY, Bench, changed_bench, refused_line

FOLDS = 3
PROTOCOLS = 'protocols = ["speaker-dependent", "speaker-independent"]'
CHANGES = {
    PROTOCOLS: f"{PROTOCOLS}\nfolds = {FOLDS}",
    'augment  = ["noise"]': 'normalise = "speaker"',
    "trials = 6": "trials = 2",
    "folds  = 3": "folds  = 2",
}


@pytest.fixture(scope="module")
def folded(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The small study on outer folds, its features normalised by speaker."""
    return changed_bench(tmp_path_factory.mktemp("folded"), tones, CHANGES)


@pytest.fixture(scope="module")
def result(folded: Bench) -> Result:
    return read_result(folded.project / "reports/results/small")


def test_every_clip_is_predicted_once_by_every_model_over_all_parts(result: Result) -> None:
    assert sorted(set(result.predictions["part"])) == ["f1", "f2", "f3"]
    for _, rows in result.predictions.groupby(["protocol", "model"]):
        assert len(rows) == rows["clip"].nunique() == 72


def test_no_test_speaker_of_a_fold_is_in_its_training_table(result: Result) -> None:
    for part in ("f1", "f2", "f3"):
        tables = result.data.splits[f"speaker-independent/{part}"]
        assert not set(tables.train.speakers) & set(tables.test.speakers)


def test_each_fold_has_its_own_searches_and_selection(result: Result) -> None:
    assert len({(w.split, w.model) for w in result.winners}) == len(result.winners) == 6 * 4
    board = leaderboard(result)
    for protocol in ("speaker-dependent", "speaker-independent"):
        by_part = board.selected[protocol].by_part
        for part, winner in by_part.items():
            here = [w for w in result.winners if w.split == f"{protocol}/{part}"]
            assert winner == selected(here)
            assert winner.score == max(w.score for w in here)
        inside = np.mean([winner.score for winner in by_part.values()])
        assert board.selected[protocol].score == pytest.approx(inside)


def test_predictions_of_models_selected_per_fold_are_joined(result: Result) -> None:
    other = {"f1": "random_forest", "f2": "logistic_regression", "f3": "random_forest"}
    winners = [
        w.model_copy(update={"score": 2.0})
        if w.protocol == "speaker-independent" and w.model == other[w.part]
        else w
        for w in result.winners
    ]
    changed = Result(**(vars(result) | {"winners": tuple(winners)}))
    board = leaderboard(changed)
    assert board.selected["speaker-independent"].model == SELECTED_PER_FOLD
    rows = changed.predictions
    rows = rows[
        (rows["protocol"] == "speaker-independent") & (rows["model"] == rows["part"].map(other))
    ]
    names = np.array(changed.emotions)
    said = names[rows[[f"p_{name}" for name in names]].to_numpy().argmax(axis=1)]
    expected = score("uar", rows["emotion"].to_numpy(), said, changed.emotions)
    evaluation = board.evaluation("speaker-independent", SELECTED_PER_FOLD)
    assert evaluation is not None
    assert evaluation.scores["uar"].value == pytest.approx(expected)


def test_out_of_fold_predictions_cover_every_training_clip_of_each_fold_once(
    result: Result,
) -> None:
    assert result.out_of_fold is not None
    answers = result.out_of_fold
    for (protocol, part), rows in answers.groupby(["protocol", "part"]):
        facts = result.data.splits[f"{protocol}/{part}"].train
        assert len(rows) == rows["clip"].nunique() == facts.clips
        best = selected([w for w in result.winners if w.split == f"{protocol}/{part}"])
        assert set(rows["model"]) == {best.model}
        names = np.array(result.emotions)
        said = names[rows[[f"p_{name}" for name in names]].to_numpy().argmax(axis=1)]
        by_fold = [
            score("uar", rows["emotion"].to_numpy()[here], said[here], result.emotions)
            for fold in sorted(set(rows["fold"]))
            for here in [rows["fold"].to_numpy() == fold]
        ]
        assert by_fold == pytest.approx(best.fold_scores)


def test_normalised_features_have_mean_0_and_std_1_for_each_speaker(folded: Bench) -> None:
    folder = folded.project / "features_cache/small/speaker-independent/f1"
    rows = pd.concat([pd.read_csv(folder / f"{side}.csv") for side in ("train", "test")])
    features = [name for name in rows if name.startswith("mfcc")]
    by_speaker = rows.groupby("speaker")[features]
    assert by_speaker.mean().to_numpy() == pytest.approx(0, abs=1e-4)
    assert by_speaker.std(ddof=0).to_numpy() == pytest.approx(1, abs=1e-3)


def test_the_page_shows_each_fold_and_the_normalisation(folded: Bench) -> None:
    page = (folded.project / "reports/small.md").read_text()
    assert "**transductive** (normalised by speaker)" in page
    assert "## Outer folds" in page
    assert "72 test clips of 6 speakers in 3 folds" in page
    assert page.count("| `f2` |") == 2


def test_repeats_are_shown_with_their_std_and_corpora_without(
    result: Result, tmp_path: Path
) -> None:
    def named(protocol: str, part: str) -> str:
        return part.replace("f", "repeat-") if protocol == "speaker-independent" else part

    tables = {
        name: table.assign(
            part=[named(*pair) for pair in zip(table["protocol"], table["part"], strict=True)]
        )
        for name, table in vars(result).items()
        if name in ("trials", "predictions", "out_of_fold")
    }
    winners = [w.model_copy(update={"part": named(w.protocol, w.part)}) for w in result.winners]
    write_pages(
        [leaderboard(Result(**(vars(result) | tables | {"winners": tuple(winners)})))], tmp_path
    )
    rows = result.predictions.query(
        "protocol == 'speaker-independent' and model == 'random_forest'"
    )
    names = np.array(result.emotions)
    values = [
        score("uar", part["emotion"].to_numpy(), said, result.emotions)
        for _, part in rows.groupby("part")
        for said in [names[part[[f"p_{name}" for name in names]].to_numpy().argmax(axis=1)]]
    ]
    shown = f"{number(np.mean(values))} ± {number(np.std(values, ddof=1))}"
    page = (tmp_path / "small.md").read_text()
    assert page.count("Each repeat has its own seeds") == 1
    assert f"| random forest | {shown} | {' | '.join(map(number, values))} |" in page


@pytest.mark.parametrize(
    "change",
    [
        "normalise=speaker",
        "split.repeats=2",
        'auxiliary=["synthetic"]',
        "models.logistic_regression.weight.mfcc-stats=2",
    ],
)
def test_own_tables_are_refused_for_what_needs_features_of_recordings(
    folded: Bench, tmp_path: Path, change: str
) -> None:
    folder = folded.project / "features_cache/small/speaker-independent/f1"
    study = tmp_path / "own.toml"
    study.write_text(SMALL_STUDY)
    tables = ("--train", str(folder / "train.csv"), "--test", str(folder / "test.csv"))
    place = ("--project", str(tmp_path))
    line = refused_line("run-study", str(study), "--set", change, *tables, *place)
    assert "does not apply to your own tables" in line


def test_pages_of_folds_are_reproduced_from_the_stored_result(
    folded: Bench, result: Result, tmp_path: Path
) -> None:
    write_result(result, tmp_path / "results")
    shutil.copy(folded.project / "reports/looks.csv", tmp_path)
    write_pages(read_boards([read_result(tmp_path / "results/small")], tmp_path), tmp_path)
    stored = folded.bytes_of("reports")
    for path in tmp_path.rglob("*"):
        name = path.relative_to(tmp_path).as_posix()
        assert path.is_dir() or path.read_bytes() == stored[name]


def test_the_parts_of_a_result_are_results_of_one_split_each(result: Result) -> None:
    parts = by_split(result)
    assert list(parts) == [
        f"{p}/f{n}" for p in ("speaker-dependent", "speaker-independent") for n in (1, 2, 3)
    ]
    assert sum(len(part.predictions) for part in parts.values()) == len(result.predictions)
    assert sum(len(part.trials) for part in parts.values()) == len(result.trials)


def test_a_model_of_normalised_features_is_refused_for_single_recordings(folded: Bench) -> None:
    card = folded.project / "features_cache/small/speaker-independent/f1/models/ensemble.json"
    recording = folded.table.parent / "0_low_0.wav"
    line = refused_line("predict", str(recording), "--model", str(card))
    assert "features normalised by speaker, which needs more than one recording" in line


SAVEE = SETUPS[1]
ONE_SCALE = Kind("normalised by speaker", ())
SEVEN = [f"e{number}" for number in range(SAVEE.emotions)]


def of_savee(result: Result, name: str = "small", **changes: object) -> Result:
    """The result as one of SAVEE's seven emotions on published folds, of which it knows nothing."""
    study = result.study.model_copy(
        update={
            "corpora": (SAVEE.corpus,),
            "emotions": tuple(SEVEN),
            "split": result.study.split.model_copy(update={"folds": "leave-one-speaker-out"}),
        }
    )
    rows = result.predictions.assign(
        emotion=[f"e{place % SAVEE.emotions}" for place in range(len(result.predictions))],
        **dict.fromkeys([f"p_{name}" for name in SEVEN], np.float32(1 / SAVEE.emotions)),
    )
    own = {"name": name, "study": study, "predictions": rows}
    return Result(**(vars(result) | own | changes))


def knowing(result: Result, parts: set[str], score: float) -> Result:
    """The result with all right answers, and with this inner score, on these parts."""
    rows = result.predictions.copy()
    here = rows["part"].isin(parts)
    for emotion in SEVEN:
        rows.loc[here & (rows["emotion"] == emotion), f"p_{emotion}"] = 1.0
    winners = [
        w.model_copy(update={"score": score if w.part in parts else 0.1}) for w in result.winners
    ]
    return Result(**(vars(result) | {"predictions": rows, "winners": tuple(winners)}))


def test_a_study_on_published_folds_is_compared_with_published_figures(
    result: Result, tmp_path: Path
) -> None:
    board = leaderboard(of_savee(result))
    page = speaker_independent_page([board], tmp_path)
    assert "## SAVEE, 7 emotions, folds `leave-one-speaker-out`" in page
    assert "Whisper large v3 | 0.741 | 0.772 | 0.753" in page
    assert "**Ours: transductive (normalised by speaker)** | **0.143**" in page
    assert "(12 in SAVEE)" in page
    assert "of all emotions and including the test clips, without labels" in page
    inductive, transductive = page.split("### SAVEE, transductive")
    assert "### SAVEE, inductive" in inductive
    assert "| Whisper large v3 |" in inductive
    assert "**Ours" not in inductive
    assert "Whisper" not in transductive
    assert "| **Ours: transductive" in transductive
    assert speaker_independent_page([leaderboard(result)], tmp_path) == ""


@pytest.mark.parametrize(
    ("features", "parameters", "seconds"),
    [
        ("mfcc-stats", "none", "0.012"),
        ("functionals", "none", "–"),
        ("mfcc-stats+embedding:whisper-base@pool=mean+std", "21 M", "–"),
        ("embedding:whisper-base+embedding:openai/whisper-tiny.en@layers=1", "29 M", "0.25"),
        ("embedding:me/network", "–", "–"),
        ("mfcc-stats+table:embeddings.parquet", "–", "–"),
    ],
)
def test_results_stand_with_the_parameters_of_their_encoders_and_the_seconds_of_a_clip(
    features: str, parameters: str, seconds: str, result: Result, tmp_path: Path
) -> None:
    known = {
        "mfcc-stats": 0.0123,
        "embedding:whisper-base+embedding:openai/whisper-tiny.en@layers=1": 0.25,
    }
    (tmp_path / SECONDS).write_text(json.dumps(known))
    of_task = of_savee(result)
    study = of_task.study.model_copy(update={"features": features})
    page = speaker_independent_page(
        [leaderboard(Result(**(vars(of_task) | {"study": study})))], tmp_path
    )
    (own,) = (line for line in page.splitlines() if line.startswith("| **Ours"))
    assert f" | {parameters} | {seconds} | `{features}`" in own
    assert "| Whisper large v3 | 0.741 | 0.772 | 0.753 | 637 M | – | frozen" in page


def test_a_study_with_an_auxiliary_corpus_has_a_row_of_its_own(
    result: Result, tmp_path: Path
) -> None:
    one, two = of_savee(result, "one"), of_savee(result, "two")
    corpora = {"savee": two.data.corpora["csv"]}
    corpora["tess"] = corpora["savee"].model_copy(update={"auxiliary": True})
    also = Result(**(vars(two) | {"data": two.data.model_copy(update={"corpora": corpora})}))
    page = speaker_independent_page([leaderboard(one), leaderboard(also)], tmp_path)
    assert "| **Ours: transductive (normalised by speaker)** |" in page
    assert "| **Ours: transductive (normalised by speaker), auxiliary corpus TESS** |" in page
    assert "| `mfcc-stats`, auxiliary TESS; " in page
    assert "| `mfcc-stats`, auxiliary TESS, normalised by speaker |" in page


@pytest.mark.parametrize("change", ["name", "changes", "repeats", "rename"])
def test_a_changed_run_is_not_compared_with_published_figures(
    result: Result, change: str, tmp_path: Path
) -> None:
    of_task = of_savee(result)
    split = of_task.study.split.model_copy(update={"repeats": 2})
    changed = {
        "name": {"name": "small@12ab"},
        "changes": {"changes": (Change(kind="override", value="search.trials=3"),)},
        "repeats": {"study": of_task.study.model_copy(update={"split": split})},
        "rename": {"study": of_task.study.model_copy(update={"rename": {"calm": "e0"}})},
    }
    board = leaderboard(Result(**(vars(of_task) | changed[change])))
    assert not has_comparison([board])
    assert speaker_independent_page([board], tmp_path) == ""


def test_each_outer_fold_selects_the_study_with_the_best_cv_score(
    result: Result, tmp_path: Path
) -> None:
    one = knowing(of_savee(result, "one"), {"f1"}, 0.8)
    two = knowing(of_savee(result, "two"), {"f2", "f3"}, 0.7)
    ours, left_out = select_per_fold(ONE_SCALE, [leaderboard(one), leaderboard(two)])
    assert left_out == []
    assert ours.folds == {"two": 2, "one": 1}
    assert ours.evaluation.scores["uar"].value == 1.0
    assert ours.evaluation.clips == 72
    page = speaker_independent_page([leaderboard(one), leaderboard(two)], tmp_path)
    row = next(line for line in page.splitlines() if line.startswith("| **Ours"))
    assert "**1.000**" in row
    assert (
        "study selected per outer fold: two (`mfcc-stats`) on 2 folds and one (`mfcc-stats`) on "
        "1 fold" in row
    )
    assert row.endswith("| [study two](two.md) and [study one](one.md) |")


def test_a_study_selected_on_every_fold_has_its_own_scores(result: Result) -> None:
    one = knowing(of_savee(result, "one"), {"f1", "f2"}, 0.8)
    boards = [leaderboard(one), leaderboard(knowing(of_savee(result, "two"), set(), 0.0))]
    ours, _ = select_per_fold(ONE_SCALE, boards)
    assert ours.folds == {"one": 3}
    assert ours.evaluation.scores == boards[0].selected_evaluation("speaker-independent").scores


def test_a_study_without_some_fold_is_left_out_and_named(result: Result, tmp_path: Path) -> None:
    one, two = of_savee(result, "one"), of_savee(result, "two")
    fewer = two.predictions[two.predictions["part"] != "f3"]
    winners = [w.model_copy(update={"score": 0.9}) for w in two.winners if w.part != "f3"]
    cut = Result(**(vars(two) | {"predictions": fewer, "winners": tuple(winners)}))
    page = speaker_independent_page([leaderboard(one), leaderboard(cut)], tmp_path)
    assert "Study two is left out: it has other outer folds." in page
    assert "[study one](one.md) |" in page


def test_the_row_of_models_selected_per_fold_shows_their_cv_score(
    result: Result, tmp_path: Path
) -> None:
    other = {"f1": "random_forest", "f2": "logistic_regression", "f3": "random_forest"}
    winners = [
        w.model_copy(update={"score": 0.75 if w.model == other[w.part] else 0.5})
        for w in result.winners
    ]
    page = speaker_independent_page(
        [leaderboard(of_savee(result, winners=tuple(winners)))], tmp_path
    )
    assert "| selected per outer fold | 0.750 | 0.143 [" in page
