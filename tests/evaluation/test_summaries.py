"""A stored summary gives the leaderboard that its result gives, and is used for no other result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.evaluation.leaderboard import Leaderboard, leaderboard
from benchmark.evaluation.results import Result, read_result, write_result
from benchmark.evaluation.summaries import NAME, read_summary, write_summary
from benchmark.report import read_boards
from benchmark.report.pages.leaderboard import leaderboard_page
from benchmark.report.study_page import study_page
from tests.support.results import make

LEAST = {"learning_curves": None, "claims": None, "ensembles": {}, "compare": []}


@pytest.fixture(scope="module")
def result() -> Result:
    return make(clips=7, **LEAST)


@pytest.fixture
def stored(result: Result, tmp_path: Path) -> Leaderboard:
    write_result(result, tmp_path / "results")
    board = leaderboard(read_result(tmp_path / "results/capstone"))
    write_summary(board, tmp_path / "results/capstone")
    return board


def test_pages_from_a_summary_have_the_bytes_of_pages_computed_anew(
    stored: Leaderboard, tmp_path: Path
) -> None:
    summary = read_summary(tmp_path / "results/capstone")
    assert summary is not None
    quick = leaderboard(stored.result, summary=summary)
    assert quick.stored is summary
    assert leaderboard_page([quick]) == leaderboard_page([stored])
    assert study_page(quick) == study_page(stored)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"result": "of another"}'])
def test_a_damaged_summary_is_not_used_and_is_written_anew(
    stored: Leaderboard, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "results/capstone" / NAME
    whole = file.read_bytes()
    file.write_text(content)
    assert read_summary(file.parent) is None
    (board,) = read_boards([stored.result], tmp_path, only=())
    assert board.stored is None
    assert file.read_bytes() == whole


def test_a_summary_of_another_result_or_of_other_fields_is_not_used(
    stored: Leaderboard, result: Result, tmp_path: Path
) -> None:
    folder = tmp_path / "results/capstone"
    record = json.loads((folder / NAME).read_text())
    del record["summary"]["standings"][0]["evaluations"]
    (folder / NAME).write_text(json.dumps(record))
    assert read_summary(folder) is None
    write_summary(stored, folder)
    assert read_summary(folder) is not None
    flat = result.predictions.assign(p_sad=0.5)
    write_result(replace(result, predictions=flat), tmp_path / "results")
    assert read_summary(folder) is None


def test_all_pages_are_computed_anew_whatever_a_summary_holds(
    stored: Leaderboard, tmp_path: Path
) -> None:
    file = tmp_path / "results/capstone" / NAME
    whole = file.read_bytes()
    record = json.loads(whole)
    scores = record["summary"]["standings"][0]["evaluations"]["speaker-independent"]["scores"]
    scores["uar"]["value"] = 0.999
    file.write_text(json.dumps(record))
    (board,) = read_boards([stored.result], tmp_path)
    assert board.stored is None
    assert file.read_bytes() == whole
