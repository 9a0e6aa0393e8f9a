"""Anybody's predictions under conditions get the figures of a study's page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmark.audit.gather import of_predictions
from benchmark.cli import app
from benchmark.errors import BenchmarkError
from benchmark.evaluation.conditions import under_conditions
from benchmark.evaluation.leaderboard import leaderboard
from benchmark.evaluation.predictions import check_predictions
from benchmark.evaluation.results import read_result
from benchmark.evaluation.scoring import Inputs, score_inputs, score_predictions

RESULTS = Path(__file__).parents[2] / "reports" / "results"
SI = "speaker-independent"


@pytest.fixture
def table() -> pd.DataFrame:
    """Eight speakers, as recorded and under two conditions; noise makes more answers wrong."""
    emotions = ["angry", "happy", "sad"]
    clips = pd.DataFrame(
        {"clip": f"{speaker}-{n}", "speaker": speaker, "emotion": emotions[n % 3]}
        for speaker in "abcdefgh"
        for n in range(12)
    )
    wrong = {"": 7, "a real line": 4, "snr=10": 2}
    parts = [
        clips.assign(
            condition=condition,
            prediction=clips["emotion"].where(np.arange(len(clips)) % every != 0, "sad"),
        )
        for condition, every in wrong.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_a_study_scored_from_its_predictions_has_the_conditions_of_its_page(
    tmp_path: Path,
) -> None:
    result = read_result(RESULTS / "ravdess_telephone")
    board = leaderboard(result)
    rows = board.result.predictions
    own = rows[(rows["protocol"] == SI) & (rows["model"] == board.selected[SI].model)]
    assert result.conditions is not None
    both = pd.concat([own.assign(condition="as recorded"), result.conditions])
    both = both.drop(columns=["protocol", "part", "model"])
    both.sample(frac=1, random_state=0).to_parquet(tmp_path / "mine.parquet")
    inputs = Inputs(tmp_path / "mine.parquet", against=result.name, protocol=SI)
    scored = score_inputs(inputs, RESULTS)
    expected = {one.condition: one for one in under_conditions(board, SI)}
    assert {one.condition: one for one in scored.conditions} == expected
    assert scored.evaluation.scores == board.selected_evaluation(SI).scores


def test_all_other_figures_are_those_of_the_clips_as_recorded(table: pd.DataFrame) -> None:
    alone = table[table["condition"] == ""].drop(columns="condition")
    with_conditions = score_predictions(check_predictions(table))
    without = score_predictions(check_predictions(alone))
    assert without.conditions == ()
    assert with_conditions.evaluation.scores == without.evaluation.scores
    assert with_conditions.divisions == without.divisions
    assert list(with_conditions.predictions.facts) == ["clip"]


def test_conditions_have_any_name_and_the_order_of_the_table(table: pd.DataFrame) -> None:
    scored = score_predictions(check_predictions(table))
    assert [one.condition for one in scored.conditions] == ["a real line", "snr=10"]
    line, noise = scored.conditions
    assert noise.score.value < line.score.value
    recorded = scored.evaluation.scores["uar"].value
    assert line.difference.value == pytest.approx(line.score.value - recorded)


def test_the_page_has_a_table_and_a_figure_of_the_conditions(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    silent = table["prediction"].where((table.index % 96 != 1) | (table["condition"] == ""), "")
    table.assign(prediction=silent).to_csv(tmp_path / "mine.csv", index=False)
    arguments = ["score", str(tmp_path / "mine.csv"), "--project", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "reports/scores/mine.md").read_text()
    section = page.partition("\n## Conditions\n")[2].partition("\n## ")[0]
    assert section.count("\n| `a real line` |") == 1  # what it does is not known here
    assert section.count("\n| `snr=10` |") == 2
    assert "![UAR by condition](mine/conditions.png)" in section
    assert "Under `a real line`, 1 clip has no answer and counts as wrong." in section
    assert (tmp_path / "reports/scores/mine/conditions.png").is_file()
    found = json.loads(done.stdout)["conditions"]
    assert [(one["condition"], one["unanswered"]) for one in found] == [
        ("a real line", 1),
        ("snr=10", 1),
    ]


def test_an_audit_of_predictions_is_of_the_clips_as_recorded(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    folds = table["speaker"].map({name: name < "e" for name in "abcdefgh"})
    table.assign(fold=folds).to_csv(tmp_path / "mine.csv", index=False)
    evidence = of_predictions(tmp_path / "mine.csv", {}, SI)
    assert len(evidence.clips) == 96
    assert [int(split.test.sum()) for split in evidence.splits] == [48, 48]


def test_facts_of_clips_may_come_from_a_table_with_a_row_for_each_condition(
    table: pd.DataFrame,
) -> None:
    clips = table.drop(columns="prediction").assign(path=table["condition"] + table["clip"])
    answers = table.drop(columns=["speaker", "emotion"])
    found = check_predictions(answers, clips=clips)
    assert list(found.conditions) == ["a real line", "snr=10"]
    assert set(found.rows["speaker"]) == set("abcdefgh")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda table: table.replace({"condition": {"": "clean"}}),
            "no row is of a clip as recorded, with which conditions are compared. Leave the column "
            "'condition' empty there, or write 'as recorded'. Conditions: clean, a real line, snr",
        ),
        (
            lambda table: table.drop(index=[100, 101]),
            "condition a real line: clip a-4 has no row under this condition, as 1 more. Each clip",
        ),
        (
            lambda table: table.drop(index=4),
            "condition a real line: clip a-4 has no row as recorded. Each clip needs",
        ),
        (
            lambda table: pd.concat([table, table.loc[[100]]], ignore_index=True),
            "condition a real line: row 288, column 'clip': a-4 is listed twice. Keep one row",
        ),
        (
            lambda table: table.assign(emotion=table["emotion"].mask(table.index == 100, "sad")),
            "condition a real line: clip a-4: the emotion is 'sad', and 'happy' as recorded.",
        ),
    ],
)
def test_conditions_that_do_not_repeat_the_clips_are_refused_in_one_line(
    change: object, complaint: str, table: pd.DataFrame
) -> None:
    assert callable(change)
    with pytest.raises(BenchmarkError) as refusal:
        check_predictions(change(table), "mine.csv")
    assert str(refusal.value).startswith("mine.csv")
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)
