"""Anybody's predictions get the figures that a study's page has, and mistakes a clear refusal."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.data.protocols import stream
from benchmark.engine.table_file import read_table
from benchmark.errors import BenchmarkError
from benchmark.evaluation.intervals import bootstrap_seed
from benchmark.evaluation.leaderboard import METRIC, leaderboard
from benchmark.evaluation.predictions import NO_ANSWER, check_predictions
from benchmark.evaluation.results import Result, read_result
from benchmark.evaluation.scoring import (
    compare_with,
    known_clips,
    score_predictions,
    selected_predictions,
    split_tables,
)
from benchmark.report.markdown import figure
from benchmark.study import derive_seed

RESULTS = Path(__file__).parents[2] / "reports" / "results"
SI = "speaker-independent"


@pytest.fixture(scope="module")
def capstone() -> Result:
    return read_result(RESULTS / "capstone")


@pytest.fixture(scope="module")
def quickstart() -> Result:
    return read_result(RESULTS / "quickstart")


@pytest.fixture
def table() -> pd.DataFrame:
    """Eight speakers with three emotions; every fourth prediction is wrong."""
    emotions = ["angry", "happy", "sad"]
    rows = [
        {"clip": f"{speaker}-{n}", "speaker": speaker, "emotion": emotions[n % 3]}
        for speaker in "abcdefgh"
        for n in range(12)
    ]
    frame = pd.DataFrame(rows)
    wrong = np.arange(len(frame)) % 4 == 0
    return frame.assign(prediction=frame["emotion"].where(~wrong, "sad"))


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("protocol", ["speaker-dependent", SI])
def test_a_study_scored_from_its_predictions_has_the_figures_of_its_page(
    capstone: Result, protocol: str
) -> None:
    predictions = selected_predictions(capstone, protocol)
    seed = bootstrap_seed(capstone.study.seed, stream(protocol))
    scored = score_predictions(predictions, seed)
    board = leaderboard(capstone)
    own = board.selected_evaluation(protocol)
    assert scored.evaluation.scores == own.scores
    assert scored.evaluation.by_speaker == own.by_speaker
    assert {name: part.scores for name, part in scored.evaluation.corpora.items()} == {
        name: part.scores for name, part in own.corpora.items()
    }


def test_predictions_in_a_csv_file_have_the_figures_of_the_leaderboard(
    capstone: Result, tmp_path: Path
) -> None:
    rows = capstone.predictions
    rows = rows[(rows["protocol"] == SI) & (rows["model"] == "mlp")]
    rows.drop(columns=["protocol", "part", "model"]).to_csv(tmp_path / "mlp.csv", index=False)
    printed = run("score", str(tmp_path / "mlp.csv"), "--project", str(tmp_path), "--json")
    found = json.loads(printed)
    own = leaderboard(capstone).evaluation(SI, "mlp")
    assert own is not None
    for name, score in own.scores.items():
        assert score.interval is not None
        expected = [score.value, *score.interval]
        assert list(found["scores"][name].values()) == pytest.approx(expected, abs=1e-9)


def test_uar_is_that_of_scikit_learn(table: pd.DataFrame) -> None:
    scored = score_predictions(check_predictions(table))
    expected = recall_score(table["emotion"], table["prediction"], average="macro")
    assert scored.evaluation.scores[METRIC].value == pytest.approx(expected)
    assert scored.calibration is None


def test_a_clip_without_an_answer_counts_as_wrong(table: pd.DataFrame) -> None:
    right = table["prediction"] == table["emotion"]
    clip = table.loc[right, "clip"].iloc[0]
    silent = table.assign(prediction=table["prediction"].where(table["clip"] != clip, ""))
    found = check_predictions(silent)
    assert found.unanswered == [clip]
    assert found.emotions[-1] == NO_ANSWER
    accuracy = score_predictions(found).evaluation.scores["accuracy"].value
    assert accuracy == pytest.approx((right.sum() - 1) / len(table))


def test_probabilities_under_the_names_of_the_emotions_are_read(table: pd.DataFrame) -> None:
    given = {e: np.where(table["prediction"] == e, 0.6, 0.2) for e in ("angry", "happy", "sad")}
    named = check_predictions(table.drop(columns="prediction").assign(**given))
    prefixed = check_predictions(
        table.drop(columns="prediction").assign(**{f"p_{e}": p for e, p in given.items()})
    )
    labels = check_predictions(table)
    assert named.probabilities
    pd.testing.assert_frame_equal(named.rows, prefixed.rows)
    for found in (named, prefixed):
        evaluation = score_predictions(found).evaluation
        assert evaluation.scores == score_predictions(labels).evaluation.scores


def test_an_emotion_that_no_clip_has_and_one_never_predicted_are_named(
    table: pd.DataFrame,
) -> None:
    found = check_predictions(table.assign(prediction=table["prediction"].replace("angry", "calm")))
    assert found.never_true == ["calm"]
    assert found.never_predicted == ["angry"]
    counts = score_predictions(found).evaluation.per_emotion
    assert counts.loc["angry", "recall"] == 0


def test_files_of_another_tool_are_scored_with_the_clips_of_a_study(
    capstone: Result, tmp_path: Path
) -> None:
    """Nkululeko writes file, truth and predicted, and no speaker."""
    clips = known_clips(capstone)
    own = clips[clips["corpus"] == "ravdess"]
    files = "/data/" + own["clip"].str.partition("/")[2] + ".wav"
    written = pd.DataFrame({"file": files, "truth": own["emotion"], "predicted": own["emotion"]})
    found = check_predictions(written, clips=clips)
    assert found.rows["speaker"].nunique() == 24
    assert {"statement", "intensity"} <= set(found.facts)
    assert score_predictions(found).evaluation.scores[METRIC].value == 1


def test_the_comparison_is_that_of_the_page(capstone: Result) -> None:
    selected = selected_predictions(capstone, SI)
    rows = capstone.predictions
    rows = rows[(rows["protocol"] == SI) & (rows["model"] == "logistic_regression")]
    other = check_predictions(rows.drop(columns=["protocol", "part", "model"]))
    name, seed = "logistic_regression", capstone.study.seed
    seeds = bootstrap_seed(seed, stream(SI)), derive_seed(seed, "swaps", stream(SI), name)
    found = compare_with(selected, other, name, seeds)
    board = leaderboard(capstone)
    page = next(one for one in board.comparisons if one.model == "logistic_regression")
    assert found.test == page.test


def test_only_common_clips_are_compared_and_the_others_counted(table: pd.DataFrame) -> None:
    whole, part = check_predictions(table), check_predictions(table.iloc[12:])
    found = compare_with(whole, part, "part")
    assert (found.only_here, found.only_there, found.own.clips) == (12, 0, 84)
    assert found.test.difference.value == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"clip": "x"}, "no clip is in both"),
        ({"emotion": "sad"}, "the emotion is 'angry' here and 'sad' there"),
        ({"speaker": "z"}, "the speaker is 'a' here and 'z' there"),
    ],
)
def test_predictions_of_other_clips_or_another_truth_are_not_compared(
    change: dict[str, str], complaint: str, table: pd.DataFrame
) -> None:
    other = table.iloc[:12].copy()
    if "clip" in change:
        other["clip"] += change["clip"]
    else:
        other.loc[0, list(change)] = list(change.values())
    with pytest.raises(BenchmarkError, match=complaint):
        compare_with(check_predictions(table), check_predictions(other), "other")


def test_of_equal_probabilities_the_stated_prediction_is_the_answer(table: pd.DataFrame) -> None:
    halves = {f"p_{e}": np.where(table["prediction"] == e, 0.4, 0.2) for e in ("angry", "sad")}
    tied = table.assign(**halves, p_happy=0.4)
    tied["p_angry"] = 1 - tied["p_happy"] - tied["p_sad"]
    stated = np.where(tied["p_angry"] > 0.3, "happy", tied["prediction"])
    found = check_predictions(tied.assign(prediction=stated))
    expected = recall_score(table["emotion"], stated, average="macro")
    assert score_predictions(found).evaluation.scores[METRIC].value == pytest.approx(expected)


def test_scores_that_are_no_distribution_stand_back_for_the_prediction(
    table: pd.DataFrame,
) -> None:
    """Nkululeko names columns as emotions, and some of its models fill them with logits."""
    logits = {e: np.linspace(-9, 9, len(table)) for e in ("angry", "happy", "sad")}
    found = check_predictions(table.assign(**logits, uncertainty=0.5, correct=True))
    assert not found.probabilities
    assert list(found.facts) == ["clip", "angry", "happy", "sad"]
    pd.testing.assert_frame_equal(found.rows, check_predictions(table).rows)


def test_predictions_count_where_a_few_differ_from_the_highest_probability(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    """Those of scikit-learn's SVC do, and Nkululeko writes both, as here."""
    given = {e: np.where(table["prediction"] == e, 0.6, 0.2) for e in ("angry", "happy", "sad")}
    other = table["prediction"].map(AFTER).where(table.index < 3, table["prediction"])
    written = pd.DataFrame(
        {
            "file": "/data/" + table["clip"] + ".wav",
            "start": "0 days",
            "end": "0 days 00:00:03.837188209",
            **given,
            "predicted": other,
            "truth": table["emotion"],
            "uncertainty": 0.8,
            "correct": other == table["emotion"],
        }
    )
    clips = pd.DataFrame(
        {
            "file": written["file"],
            "start": "0 days",
            "speaker": table["speaker"],
            "emotion": table["emotion"],
            "class_label": table["emotion"],
            "source_db": "test",
        }
    )
    written.to_csv(tmp_path / "pred.csv", index=False)
    clips.to_csv(tmp_path / "testdf.csv", index=False)
    found = check_predictions(
        read_table(tmp_path / "pred.csv"), clips=read_table(tmp_path / "testdf.csv")
    )
    assert found.unlike == tuple(written["file"][:3])
    assert not found.probabilities
    assert list(found.facts) == ["clip", "source_db"]
    expected = check_predictions(table.assign(prediction=other)).rows
    pd.testing.assert_frame_equal(found.rows.drop(columns="clip"), expected.drop(columns="clip"))
    place = ("--clips", str(tmp_path / "testdf.csv"), "--project", str(tmp_path))
    run("score", str(tmp_path / "pred.csv"), *place)
    page = (tmp_path / "reports" / "scores" / "pred.md").read_text()
    assert "In 3 clips, the prediction is not the emotion with the highest probability" in page
    assert "## Calibration" not in page


@pytest.mark.parametrize(
    "names",
    [
        {"clip": "path", "speaker": "actor", "emotion": "Actual Labels"},
        {"clip": "file", "speaker": "speaker_id", "emotion": "true_label"},
        {"clip": "filename", "emotion": "y_test"},
    ],
)
@pytest.mark.parametrize("prediction", ["Predicted Labels", "y_pred", "predictions"])
def test_a_notebooks_table_with_its_row_numbers_is_read(
    names: dict[str, str], prediction: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "y.csv"
    table.rename(columns=names | {"prediction": prediction}).to_csv(path)
    pd.read_csv(path).to_csv(path)  # a second column of row numbers
    found = check_predictions(read_table(path))
    assert list(found.facts) == ["clip"]
    pd.testing.assert_frame_equal(found.rows, check_predictions(table).rows)


def test_codes_of_a_label_encoder_beside_emotions_in_words_are_refused_with_their_column(
    table: pd.DataFrame,
) -> None:
    codes = {"angry": "0", "happy": "1", "sad": "2"}
    coded = table.assign(y_true=table["emotion"].map(codes), y_pred=table["prediction"].map(codes))
    coded = coded.drop(columns="prediction")
    with pytest.raises(BenchmarkError, match="'y_true' has them: add --column emotion=y_true"):
        check_predictions(coded)
    found = score_predictions(check_predictions(coded, columns={"emotion": "y_true"})).evaluation
    expected = score_predictions(check_predictions(table)).evaluation
    assert found.scores[METRIC] == expected.scores[METRIC]


def test_a_decimal_comma_is_read(table: pd.DataFrame, tmp_path: Path) -> None:
    given = {f"p_{e}": np.where(table["prediction"] == e, 0.6, 0.2) for e in ("angry", "happy")}
    rows = table.drop(columns="prediction").assign(**given)
    rows["p_sad"] = (1 - rows["p_angry"] - rows["p_happy"]).round(2)
    rows.to_csv(tmp_path / "a.csv", index=False)
    rows.to_csv(tmp_path / "b.csv", index=False, sep=";", decimal=",", encoding="utf-16")
    rows.to_parquet(tmp_path / "c.parquet")
    rows.to_json(tmp_path / "d.jsonl", orient="records", lines=True)
    printed = [
        run("score", str(tmp_path / name), "--project", str(tmp_path), "--json", "--name", "same")
        for name in ("a.csv", "b.csv", "c.parquet", "d.jsonl")
    ]
    assert len(set(printed)) == 1


def test_another_column_can_be_scored_and_two_files_compared(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    both = table.assign(second=table["emotion"], gold=table["emotion"]).drop(columns="emotion")
    both.to_csv(tmp_path / "both.csv", index=False)
    path, project = str(tmp_path / "both.csv"), ("--project", str(tmp_path), "--json")
    columns = ("--column", "prediction=second", "--column", "emotion=gold")
    found = json.loads(run("score", path, *columns, "--against", path, *project))
    assert found["scores"]["uar"]["value"] == 1
    assert found["comparison"]["difference"]["value"] == 0
    assert found["comparison"]["against"] == path


def test_predictions_on_the_written_splits_are_compared_with_the_study(
    quickstart: Result, tmp_path: Path
) -> None:
    tests = [one[one["side"] == "test"] for one in split_tables(quickstart).values()]
    rows = pd.concat(tests).drop_duplicates("clip")
    path = tmp_path / "mine.csv"
    rows[["clip", "emotion"]].assign(prediction=rows["emotion"]).to_csv(path, index=False)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "results").symlink_to(RESULTS)
    study = ("--clips", "quickstart", "--against", "quickstart", "--project", str(tmp_path))
    found = json.loads(run("score", str(path), *study, "--json"))
    own = leaderboard(quickstart).selected_evaluation(SI).scores[METRIC].value
    assert found["comparison"]["difference"]["value"] == pytest.approx(1 - own)
    assert (tmp_path / "reports" / "reading.md").is_file()


def project_with(folder: Path, *studies: str) -> tuple[str, str]:
    for name in studies:
        shutil.copytree(RESULTS / name, folder / "reports" / "results" / name)
    return "--project", str(folder)


def test_a_study_that_is_compared_tells_what_the_table_does_not_of_the_clips(
    quickstart: Result, tmp_path: Path
) -> None:
    project = project_with(tmp_path, "quickstart")
    rows = selected_predictions(quickstart, SI).rows
    mine = tmp_path / "mine.csv"
    names = rows["clip"].str.rpartition("/")[2] + ".wav"
    pd.DataFrame({"file": names, "prediction": rows["emotion"]}).to_csv(mine, index=False)
    found = json.loads(run("score", str(mine), "--against", "quickstart", *project, "--json"))
    assert found["comparison"]["clips"] == len(rows)
    assert found["scores"]["uar"]["value"] == 1
    stranger = pd.DataFrame({"file": ["stranger.wav"], "prediction": ["happy"]})
    pd.concat([pd.read_csv(mine), stranger]).to_csv(mine, index=False)
    done = CliRunner().invoke(app, ["score", str(mine), "--against", "quickstart", *project])
    assert done.exit_code == 2
    assert "no column 'speaker'" in done.output


def test_clips_of_the_list_without_a_row_are_named(table: pd.DataFrame, tmp_path: Path) -> None:
    table.drop(columns="prediction").to_csv(tmp_path / "clips.csv", index=False)
    table.iloc[5:].to_csv(tmp_path / "mine.csv", index=False)
    arguments = ["score", str(tmp_path / "mine.csv"), "--clips", str(tmp_path / "clips.csv")]
    done = CliRunner().invoke(app, [*arguments, "--project", str(tmp_path)])
    assert "5 clips of the list of clips without a row; they are left out" in done.stderr
    page = (tmp_path / "reports" / "scores" / "mine.md").read_text(encoding="utf-8")
    assert "**5 clips of the list of clips have no row**" in page


def test_two_studies_are_compared_on_the_same_clips(tmp_path: Path) -> None:
    first, second = "ravdess_whisper", "ravdess_inductive"
    project = project_with(tmp_path, first, second)
    printed = run("score", first, "--against", second, *project, "--json", "--latex")
    found = json.loads(printed)
    scores = [
        leaderboard(read_result(RESULTS / name)).selected_evaluation(SI).scores[METRIC]
        for name in (first, second)
    ]
    assert found["protocol"] == SI
    assert found["scores"]["uar"]["value"] == pytest.approx(scores[0].value, abs=1e-9)
    difference = found["comparison"]["difference"]["value"]
    assert difference == pytest.approx(scores[0].value - scores[1].value, abs=1e-9)
    page = (tmp_path / "reports" / "scores" / f"{first}.md").read_text(encoding="utf-8")
    assert "of the selected model of a study" in page
    table = (tmp_path / "reports" / "scores" / f"{first}.tex").read_text(encoding="utf-8")
    assert f"{first} & {figure(scores[0])}".replace("_", r"\_").split(" [")[0] in table
    assert f"{second} & {figure(scores[1])}".replace("_", r"\_").split(" [")[0] in table
    assert "Difference in UAR" in table


def test_clips_that_a_protocol_does_not_test_are_not_missing_from_its_study(
    quickstart: Result,
) -> None:
    rows = quickstart.predictions
    tested = (rows["protocol"] != SI) | (rows["speaker"] != rows["speaker"].iloc[0])
    fewer = replace(quickstart, predictions=rows[tested])
    assert len(known_clips(fewer)) > len(selected_predictions(fewer, SI).rows)
    assert selected_predictions(fewer, SI).absent == ()


def test_a_changed_run_is_named_where_its_study_is_asked_for(
    quickstart: Result, tmp_path: Path
) -> None:
    project = project_with(tmp_path, "quickstart")
    stored = tmp_path / "reports" / "results"
    (stored / "quickstart").rename(stored / "quickstart@1234")
    done = CliRunner().invoke(app, ["splits", "quickstart", "--out", str(tmp_path), *project])
    assert done.exit_code == 2
    assert "Did you mean quickstart@1234?" in done.output


@pytest.mark.parametrize("name", ["../up", "/tmp/up", "a/b", ".", "", "\0", "x" * 300])
def test_a_name_that_leads_elsewhere_is_refused(
    name: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    table.to_csv(tmp_path / "mine.csv", index=False)
    arguments = ["score", str(tmp_path / "mine.csv"), "--name", name, "--project", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "can't be the name of a page" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["foo=emotion"], "unknown column 'foo'"),
        (["emotion=gold"], "unknown column 'gold'"),
        (["emotion=emotion", "speaker=emotion"], "can't have two names"),
        (["emotion=a", "emotion=b"], "emotion is 'a' already"),
        (["emotion"], "expected NAME=COLUMN"),
    ],
)
def test_a_wrong_column_is_refused(
    given: list[str], complaint: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    table.to_csv(tmp_path / "mine.csv", index=False)
    options = [part for one in given for part in ("--column", one)]
    done = CliRunner().invoke(app, ["score", str(tmp_path / "mine.csv"), *options])
    assert done.exit_code == 2
    assert complaint in done.output


def test_clips_listed_twice_with_other_facts_are_refused(table: pd.DataFrame) -> None:
    known = table[["clip", "speaker"]]
    twice = pd.concat([known, known.iloc[:1].assign(speaker="z")])
    with pytest.raises(BenchmarkError, match=r"--clips: row .* a-0 is listed twice"):
        check_predictions(table.drop(columns="speaker"), clips=twice)
    found = check_predictions(table.drop(columns="speaker"), clips=pd.concat([known, known]))
    assert found.rows["speaker"].nunique() == 8


def wrong(table: pd.DataFrame, name: str) -> pd.DataFrame:
    first = table.index == 0
    given = {f"p_{e}": (table["emotion"] == e).astype(float) for e in ("angry", "happy", "sad")}
    without = table.drop(columns="prediction")
    return {
        "no speaker": table.drop(columns="speaker"),
        "no answer at all": without,
        "empty emotion": table.assign(emotion=table["emotion"].where(~first, " ")),
        "clip twice": pd.concat([table, table.iloc[:1]], ignore_index=True),
        "case": table.assign(prediction=table["prediction"].str.title()),
        "not a number": without.assign(**{**given, "p_sad": "much"}),
        "percent": without.assign(**{name: 100 * values for name, values in given.items()}),
        "sigmoids": without.assign(**{**given, "p_sad": 0.9}),
        "both": table.assign(**given, prediction=table["emotion"].map(AFTER)),
        "training": table.assign(side=np.where(first, "train", "test")),
        "other words": table.assign(prediction="label_1"),
        "no answers": table.assign(prediction=""),
        "empty probabilities": without.assign(p_sad="", p_happy=np.nan, p_angry=""),
        "prediction alone": table.assign(
            prediction=table["emotion"],
            **{name: values.where(~first, np.nan) for name, values in given.items()},
        ),
        "no rows": table.iloc[:0],
        **{f"nan {name}": table.assign(**{name: table[name].where(~first)}) for name in NEEDED},
    }[name]


NEEDED = ("clip", "speaker", "emotion")
AFTER = {"angry": "happy", "happy": "sad", "sad": "angry"}


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no speaker", "no column 'speaker' (or speaker_id, actor). Required: clip, speaker"),
        ("no answer at all", "no column 'prediction' (or predicted, pred, "),
        ("empty emotion", "row 0, column 'emotion': the cell is empty"),
        ("clip twice", "a-0 is listed twice"),
        ("case", "the emotions 'Angry' and 'angry' differ by case only"),
        ("not a number", "'much' is not a probability between 0 and 1. 95 more such rows"),
        ("percent", "'100.0' is not a probability between 0 and 1"),
        ("sigmoids", "the probabilities sum to 1.900, not to 1"),
        ("both", "'happy', but the probabilities are highest for 'angry'"),
        ("training", "row 0, column 'side': a training clip"),
        ("other words", "no predicted emotion (label_1) is one of the true ones (angry, happy"),
        ("no answers", "no clip has an answer"),
        ("empty probabilities", "no clip has an answer"),
        ("prediction alone", "'angry', but the probabilities are empty"),
        ("no rows", "the table has no rows"),
        *((f"nan {name}", f"row 0, column '{name}': the cell is empty") for name in NEEDED),
    ],
)
def test_a_wrong_table_is_refused_with_row_and_column(
    name: str, complaint: str, table: pd.DataFrame
) -> None:
    with pytest.raises(BenchmarkError) as refusal:
        check_predictions(wrong(table, name), "mine.csv")
    assert complaint in str(refusal.value)
    assert str(refusal.value).startswith("mine.csv: ")
    assert "\n" not in str(refusal.value)


def test_clips_whose_emotion_differs_from_the_known_one_are_refused(
    table: pd.DataFrame,
) -> None:
    known = table[["clip", "speaker", "emotion"]].replace({"emotion": {"sad": "tired"}})
    with pytest.raises(BenchmarkError, match="'sad', but 'tired' where the clips are listed"):
        check_predictions(table.drop(columns="speaker"), clips=known)


def test_the_page_warns_of_speakers_alike_and_of_sentences_that_tell_the_emotion(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    names = table["speaker"].replace({"a": "Actor_01", "b": "actor 1"})
    path = tmp_path / "mine.csv"
    table.assign(speaker=names, statement=table["emotion"], gender="female").to_csv(
        path, index=False, sep=";"
    )
    printed = run("score", str(path), "--project", str(tmp_path), "--latex", "--name", "a_b")
    page = (tmp_path / "reports" / "scores" / "a_b.md").read_text(encoding="utf-8")
    assert "Speakers whose names are alike**: `Actor_01` and `actor 1`" in page
    assert "**The sentence tells the emotion.** 100" in page
    assert "Protocol: not stated." in page
    assert r"\begin{tabular}" in (tmp_path / "reports" / "scores" / "a_b.tex").read_text("utf-8")
    for name in ("confusion.png", "speakers.png"):
        assert f"(a_b/{name})" in page
        assert (tmp_path / "reports" / "scores" / "a_b" / name).is_file()
    assert "a_b.md" in printed


def test_splits_are_written_so_that_each_clip_is_tested_once(
    quickstart: Result, tmp_path: Path
) -> None:
    tables = {name: one for name, one in split_tables(quickstart).items() if name.startswith(SI)}
    tested = pd.concat([one[one["side"] == "test"] for one in tables.values()])
    rows = quickstart.predictions
    assert sorted(tested["clip"]) == sorted(rows.loc[rows["protocol"] == SI, "clip"].unique())
    for one in tables.values():
        sides = one.groupby("side")["speaker"].agg(set)
        assert not sides["train"] & sides["test"]
        assert one.loc[one["side"] == "train", "fold"].notna().all()
    run("splits", "quickstart", "--out", str(tmp_path), "--project", str(RESULTS.parents[1]))
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.csv"))
    assert written == sorted(f"{name}.csv" for name in split_tables(quickstart))


def test_splits_that_a_result_does_not_store_whole_are_refused() -> None:
    """The clips of auxiliary corpora are in training, and are never validated or tested."""
    result = read_result(RESULTS / "savee_transductive")
    with pytest.raises(BenchmarkError, match="training clips of speaker-independent/f1; those of"):
        split_tables(result)


def test_an_unknown_study_is_refused(tmp_path: Path, table: pd.DataFrame) -> None:
    table.to_csv(tmp_path / "mine.csv", index=False)
    done = CliRunner().invoke(
        app,
        ["score", str(tmp_path / "mine.csv"), "--against", "nosuch", "--project", str(tmp_path)],
    )
    assert done.exit_code == 2
    assert "nosuch: neither a table nor a study that was run" in done.output


def test_predictions_are_the_same_in_any_order(table: pd.DataFrame) -> None:
    shuffled = table.sample(frac=1, random_state=0)
    first, second = (score_predictions(check_predictions(rows)) for rows in (table, shuffled))
    assert first.evaluation.scores == second.evaluation.scores


@pytest.fixture
def rated(table: pd.DataFrame) -> pd.DataFrame:
    """The table with two raters in place of the emotion; they differ on the clips of a and b."""
    differ = table["speaker"].isin(["a", "b"]) & (table["emotion"] != "sad")
    second = table["emotion"].where(~differ, "sad")
    given = {f"p_{e}": np.where(table["prediction"] == e, 0.6, 0.2) for e in ("angry", "happy")}
    rows = table.assign(rater_1=table["emotion"], rater_2=second, **given)
    rows["p_sad"] = 1 - rows["p_angry"] - rows["p_happy"]
    return rows.drop(columns=["emotion", "prediction"])


def test_the_majority_of_raters_is_the_truth_and_ties_are_set_aside(
    rated: pd.DataFrame, table: pd.DataFrame
) -> None:
    predictions = check_predictions(rated)
    assert predictions.rated is not None
    aside = predictions.rated.set_aside
    assert set(aside.values()) == {"a tie of votes"}
    assert len(aside) == 16
    assert predictions.rated.agreement["all"].clips == len(table)
    kept = table[~table["clip"].isin(aside)]
    scored = score_predictions(predictions)
    assert list(predictions.rows["emotion"]) == list(kept["emotion"])
    assert list(predictions.facts) == ["clip"]
    assert scored.soft is not None
    assert scored.soft.clips == len(kept)
    assert scored.soft.soft_f1.interval is not None


def test_votes_beside_an_emotion_change_no_other_score(table: pd.DataFrame) -> None:
    voted = table.assign(votes=table["emotion"] + ":2 calm")
    plain, scored = (score_predictions(check_predictions(one)) for one in (table, voted))
    assert scored.evaluation.scores == plain.evaluation.scores
    assert scored.divisions == plain.divisions
    assert scored.soft is None, "there are no probabilities"
    assert scored.predictions.rated is not None


def test_a_table_in_which_no_clip_has_a_majority_is_refused(table: pd.DataFrame) -> None:
    tied = table.drop(columns="emotion").assign(votes="sad angry")
    with pytest.raises(
        BenchmarkError, match=r"row 0, column 'votes': a tie of votes\. 95 more such"
    ):
        check_predictions(tied)


def test_the_page_of_rated_clips_has_agreement_and_scores_against_the_votes(
    rated: pd.DataFrame, tmp_path: Path
) -> None:
    rated.to_csv(tmp_path / "rated.csv", index=False)
    arguments = ("score", str(tmp_path / "rated.csv"), "--project", str(tmp_path))
    run(*arguments)
    page = (tmp_path / "reports/scores/rated.md").read_text()
    assert "**Set aside, without a majority of votes**: 16 clips (a tie of votes): `a-0`" in page
    assert "| all | 96 | 2 | 83\N{NO-BREAK SPACE}% | 0." in page
    assert "| Soft macro F1 | 0." in page
    found = json.loads(run(*arguments, "--json"))["raters"]
    assert found["agreement"]["all"]["clips"] == 96
    assert len(found["set_aside"]) == 16
    assert 0 < found["js_divergence"]["low"] < found["js_divergence"]["value"] < 1


def as_a_pipeline_gives_them(rated: pd.DataFrame) -> list[dict[str, object]]:
    """The rows with a list of labels and scores, highest first, as of Hugging Face."""
    names = ("angry", "happy", "sad")
    rows: list[dict[str, object]] = []
    for row in rated.to_dict("records"):
        scores = [{"label": name, "score": row[f"p_{name}"]} for name in names]
        scores.sort(key=lambda one: -float(str(one["score"])))
        kept = {name: row[name] for name in ("clip", "speaker")}
        rows.append(kept | {"emotion": row["rater_1"], "scores": scores})
    return rows


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_lists_of_labels_with_scores_are_probabilities(
    suffix: str, rated: pd.DataFrame, tmp_path: Path
) -> None:
    rows = as_a_pipeline_gives_them(rated)
    path = tmp_path / f"own.{suffix}"
    writers = {
        "jsonl": lambda: path.write_text("\n".join(map(json.dumps, rows))),
        "json": lambda: path.write_text(json.dumps(rows)),
        "parquet": lambda: pd.DataFrame(rows).to_parquet(path),
    }
    writers[suffix]()
    flat = rated.rename(columns={"rater_1": "emotion"}).drop(columns="rater_2")
    found, expected = check_predictions(read_table(path)), check_predictions(flat)
    assert found.probabilities
    pd.testing.assert_frame_equal(found.rows, expected.rows)


def test_lists_of_labels_in_the_cells_of_a_csv_are_probabilities(
    rated: pd.DataFrame, tmp_path: Path
) -> None:
    """``DataFrame.to_csv`` writes a pipeline's answers as Python does."""
    rows = pd.DataFrame(as_a_pipeline_gives_them(rated)).rename(columns={"scores": "prediction"})
    rows.loc[3, "prediction"] = None
    rows.to_csv(tmp_path / "own.csv")
    assert """"[{'label': '""" in (tmp_path / "own.csv").read_text()
    flat = rated.rename(columns={"rater_1": "emotion"}).drop(columns="rater_2")
    flat.loc[3, ["p_angry", "p_happy", "p_sad"]] = None
    found, expected = (
        check_predictions(table) for table in (read_table(tmp_path / "own.csv"), flat)
    )
    assert found.probabilities
    assert found.unanswered == [flat["clip"][3]]
    pd.testing.assert_frame_equal(found.rows, expected.rows)


@pytest.mark.parametrize("cell", ["[{'label': 'sad', 'score': 0.9}", "[{'label': f()}]"])
def test_a_cell_that_only_begins_as_a_list_of_labels_is_refused(cell: str, tmp_path: Path) -> None:
    row = {"clip": "a", "speaker": "1", "emotion": "sad", "prediction": cell}
    pd.DataFrame([row]).to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(BenchmarkError, match="row 2, column 'prediction' is not a list of labels"):
        read_table(tmp_path / "own.csv")


@pytest.mark.parametrize("named", [{}, {"emotion": "truth"}])
def test_a_label_with_a_score_is_a_prediction(named: dict[str, str], table: pd.DataFrame) -> None:
    """A pipeline of Hugging Face writes its answers so; elsewhere, a label is the true emotion."""
    given = table.rename(columns={"prediction": "label"} | named).assign(score=0.7)
    pd.testing.assert_frame_equal(check_predictions(given).rows, check_predictions(table).rows)
    true = table.rename(columns={"emotion": "label"}).assign(score=0.7)
    pd.testing.assert_frame_equal(check_predictions(true).rows, check_predictions(table).rows)


def test_a_label_with_a_score_is_the_true_emotion_if_the_user_says_so(table: pd.DataFrame) -> None:
    given = table.rename(columns={"emotion": "label", "prediction": "mine"}).assign(score=0.7)
    columns = {"emotion": "label", "prediction": "mine"}
    found = check_predictions(given, columns=columns).rows
    pd.testing.assert_frame_equal(found, check_predictions(table).rows)


@pytest.mark.parametrize(
    "content",
    [[[{"label": "sad", "score": 1.0}]], {"a.wav": [{"label": "sad", "score": 1.0}]}],
    ids=["lists without files", "lists by file"],
)
def test_what_a_pipeline_returns_is_refused_with_how_a_row_looks(
    content: object, tmp_path: Path
) -> None:
    (tmp_path / "own.json").write_text(json.dumps(content))
    with pytest.raises(BenchmarkError, match=r'such as \{"file": "a.wav", "scores"'):
        read_table(tmp_path / "own.json")


@pytest.mark.parametrize(
    "scores",
    [
        {"angry": 1.0},
        [[{"label": "angry", "score": 1.0}]],
        [{"label": "angry", "score": 0.5}, {"label": "angry", "score": 0.5}],
        ["angry"],
        [],
    ],
    ids=["an object", "a list in a list", "a label twice", "words", "nothing"],
)
def test_other_nested_values_are_refused_in_one_line(scores: object, tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"clip": "a", "speaker": "1", "emotion": "sad", "scores": scores}))
    with pytest.raises(BenchmarkError, match="row 2, column 'scores' has a list or an object") as e:
        read_table(path)
    assert "\n" not in str(e.value)


def test_labels_that_a_short_list_lacks_make_no_distribution(tmp_path: Path) -> None:
    row = {"clip": "a", "speaker": "1", "emotion": "sad"}
    lines = [
        row | {"scores": [{"label": "sad", "score": 0.7}]},
        row | {"clip": "b", "scores": [{"label": "angry", "score": 1.0}]},
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(BenchmarkError, match=r"row 2, .*the probabilities sum to 0\.700, not to 1"):
        check_predictions(read_table(path))


def test_a_comparison_tells_of_emotions_that_one_system_has_alone(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    others = table.assign(prediction=table["prediction"].replace("sad", "bored"))
    more = table.head(3).assign(clip=["x", "y", "z"], emotion="calm", prediction="calm")
    pd.concat([others, more]).to_csv(tmp_path / "other.csv", index=False)
    table.to_csv(tmp_path / "mine.csv", index=False)
    arguments = [str(tmp_path / "mine.csv"), "--against", str(tmp_path / "other.csv")]
    found = json.loads(run("score", *arguments, "--project", str(tmp_path), "--json"))
    times = int((table["prediction"] == "sad").sum())
    assert found["comparison"]["only_here"] == {"emotions": [], "predicted": 0}
    assert found["comparison"]["only_there"] == {"emotions": ["bored", "calm"], "predicted": times}
    page = (tmp_path / "reports/scores/mine.md").read_text()
    assert "has the emotions bored and calm, which no common clip has. It predicts them for" in page
    assert "## Comparison with other\n" in page


def test_names_in_any_script_and_with_markup_are_text_on_the_page(
    table: pd.DataFrame, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    names = {"angry": "愤怒", "happy": "*_楽しい_*", "sad": "`<b>` [l](u) $x$"}
    named = table.replace(names).assign(speaker="话者 **" + table["speaker"])
    named.to_csv(tmp_path / "预测.csv", index=False)
    done = CliRunner().invoke(
        app, ["score", str(tmp_path / "预测.csv"), "--project", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    assert not [one for one in recwarn if "Glyph" in str(one.message)]
    page = (tmp_path / "reports/scores/预测.md").read_text()
    for shown in (
        "| 愤怒 |",
        r"| \*\_楽しい\_\* |",
        r"| \`&lt;b>\` \[l](u) \$x\$ |",
        r"话者 \*\*a",
    ):
        assert shown in page


def test_segments_of_one_file_are_scored_as_clips_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "found.csv").write_text(
        "file;start;end;speaker;emotion;prediction\n"
        "a.wav;0 days;0 days 00:00:01.5;1;sad;sad\na.wav;0 days 00:00:01.5;NaT;1;happy;sad\n"
        "b.wav;0;1,5;2;happy;happy\n"
    )
    predictions = check_predictions(read_table(tmp_path / "found.csv"))
    assert list(predictions.rows["clip"]) == ["a_0-1.5", "a_1.5-end", "b_0-1.5"]
    with pytest.raises(BenchmarkError, match="a_0-2 is listed twice"):
        check_predictions(
            pd.DataFrame(
                {
                    "clip": ["a.wav"] * 2,
                    "start": ["0"] * 2,
                    "end": ["2"] * 2,
                    "speaker": ["1"] * 2,
                    "emotion": ["sad"] * 2,
                    "prediction": ["sad"] * 2,
                }
            )
        )
