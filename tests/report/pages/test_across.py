"""The ranking of models across studies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.evaluation.leaderboard import Leaderboard, leaderboard
from benchmark.report import write_pages
from benchmark.report.pages import across, glance
from benchmark.report.pages.leaderboard import leaderboard_page
from tests.support.results import MODELS, SMALL, THREE_TRIALS, make

THREE: dict[str, Any] = SMALL | {"models": {"majority": {}, **MODELS}}


@pytest.fixture(scope="module")
def several() -> tuple[Leaderboard, ...]:
    corpora = {"one": ["ravdess"], "two": ["ravdess", "savee"], "three": ["savee", "tess"]}
    return tuple(
        leaderboard(make(clips=7 * n, **THREE | {"name": name, "corpora": corpora[name]}))
        for n, name in enumerate(corpora, 2)
    )


def test_three_models_of_three_studies_are_ranked(
    several: tuple[Leaderboard, ...], tmp_path: Path
) -> None:
    found = across.scores(several)
    assert found.shape == (3, 3)
    assert across.mean_ranks(found).sum() == pytest.approx(6)
    for board in several:
        part = board.evaluation("speaker-independent", "mlp")
        assert part is not None
        assert found.loc[board.result.name, "mlp"] == part.scores["uar"].value
    write_pages(several, tmp_path, only=["none"])
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Mean ranks of 3 models over 3 studies" in page
    assert "several of them use RAVDESS and SAVEE" in page
    assert "left out" not in page


def test_of_studies_of_the_same_clips_only_the_one_with_the_best_cv_score_is_ranked(
    several: tuple[Leaderboard, ...],
) -> None:
    twin = make(clips=14, **THREE | {"name": "twin", "corpora": ["ravdess"]})
    winners = [w.model_copy(update={"score": w.score + 0.05}) for w in twin.winners]
    boards = [*several, leaderboard(replace(twin, winners=tuple(winners)))]
    assert [board.result.name for board in across.blocks(boards)] == ["two", "three", "twin"]
    assert list(across.scores(boards).index) == ["two", "three", "twin"]
    assert "3 models over 3 studies" in leaderboard_page(boards)
    assert (
        "one is left out: same corpora and emotions as twin, which has the best CV score of them."
        in leaderboard_page(boards)
    )


def test_studies_of_two_sets_of_clips_are_not_ranked(several: tuple[Leaderboard, ...]) -> None:
    one, two, _ = several
    more = make(clips=21, **THREE | {"name": "more", "corpora": ["ravdess", "savee"]})
    page = leaderboard_page([one, two, leaderboard(more)])
    assert "The models are not ranked across studies" in page
    assert "two is left out: same" in page or "more is left out: same" in page
    assert "Friedman" not in page


@pytest.mark.parametrize(
    "changes",
    [
        {"changes": (THREE_TRIALS,)},
        {"corpora": ["synthetic"]},
        {"normalise": "speaker"},
        {"split": {"protocols": ["speaker-dependent"]}},
        {"models": {"majority": {}, "mlp": MODELS["mlp"]}},
    ],
)
def test_studies_that_are_not_eligible_are_left_out(
    several: tuple[Leaderboard, ...], changes: dict[str, Any]
) -> None:
    third = THREE | {"name": "three", "corpora": ["savee", "tess"]}
    boards = [*several[:2], leaderboard(make(clips=7, **third | changes))]
    assert across.scores(boards).empty
    assert "The models are not ranked across studies" in leaderboard_page(boards)


def test_a_transductive_study_is_not_ranked_and_named(several: tuple[Leaderboard, ...]) -> None:
    best = make(clips=14, **THREE | {"name": "scaled", "normalise": "speaker"})
    winners = [w.model_copy(update={"score": 1.0}) for w in best.winners]
    boards = [*several, leaderboard(replace(best, winners=tuple(winners)))]
    assert list(across.scores(boards).index) == ["one", "two", "three"]
    assert (
        "scaled is left out: transductive figures are not ranked among inductive ones."
        in leaderboard_page(boards)
    )


def test_the_same_order_in_all_studies_is_significant() -> None:
    table = pd.DataFrame(
        {
            "a": np.linspace(0.5, 0.6, 8),
            "b": np.linspace(0.4, 0.55, 8),
            "c": np.linspace(0.1, 0.2, 8),
        }
    )
    # Three models, each time in the same order: chi-squared is 2 * 8, with 2 degrees of freedom.
    assert across.friedman(table) == pytest.approx(np.exp(-8))


def test_studies_in_one_table_are_compared_on_the_clips_that_both_tested() -> None:
    first, second = (
        make(clips=14, **SMALL | {"name": name, "corpora": ["ravdess"]}) for name in ("one", "two")
    )
    rows = second.predictions
    fewer = replace(second, predictions=rows[rows["speaker"] != "ravdess/03"])
    boards = [leaderboard(first), leaderboard(fewer)]
    found = glance.compared_evaluations(boards, "speaker-independent")
    assert {one.clips for one in found.values()} == {5 * 14}
    assert found["one"].scores["uar"].value == found["two"].scores["uar"].value


def test_studies_that_share_no_test_clip_are_not_compared() -> None:
    first, second = (
        make(clips=14, **SMALL | {"name": name, "corpora": ["ravdess"]}) for name in ("one", "two")
    )
    rows = second.predictions
    other = replace(second, predictions=rows.assign(clip=rows["clip"] + "-other"))
    boards = [leaderboard(first), leaderboard(other)]
    assert glance.compared_evaluations(boards, "speaker-independent") == {}
    assert glance.glance_table(boards).count("| – |") == 2
