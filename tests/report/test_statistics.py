"""Sections on significance, subgroups, calibration and selection optimism show what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from benchmark.evaluation.calibration import tempered
from benchmark.evaluation.intervals import bootstrap_seed, evaluate
from benchmark.evaluation.leaderboard import Leaderboard, leaderboard
from benchmark.evaluation.results import Result
from benchmark.report.markdown import figure, interval, number, probability, span
from benchmark.report.pages.leaderboard import leaderboard_page
from benchmark.report.sections import SECTIONS, calibration, selection_optimism
from benchmark.report.sections.calibration import Reliability, reliability_title
from benchmark.report.sections.selection_optimism import Curve, draw_curve
from benchmark.report.study_page import study_page
from benchmark.report.wording import detectable, rank
from tests.support.results import MODELS, SMALL, make

THREE: dict[str, Any] = SMALL | {"models": {"majority": {}, **MODELS}}


def text(parts: Iterable[str]) -> str:
    return "\n\n".join(parts)


def section(name: str, board: Leaderboard) -> str:
    """The text of one section of a study's page; empty if the study does not have it."""
    facts = SECTIONS[name].facts(board)
    return study_page(board, None, {} if facts is None else {name: facts}).strip()


@pytest.fixture(scope="module")
def result() -> Result:
    """Three models with six test clips of each emotion a speaker."""
    return make(clips=42, **THREE)


@pytest.fixture(scope="module")
def board(result: Result) -> Leaderboard:
    return leaderboard(result)


def selected_rows(board: Leaderboard, protocol: str) -> pd.DataFrame:
    rows = board.result.predictions
    model = board.selected[protocol].model
    return rows[(rows["protocol"] == protocol) & (rows["model"] == model)]


def test_every_model_but_the_baseline_is_compared_with_the_selected_one(board: Leaderboard) -> None:
    assert {one.model for one in board.comparisons} == {"logistic_regression", "random_forest"}
    assert board.leading == "speaker-independent"
    chosen = board.selected_evaluation("speaker-independent").scores["uar"].value
    for one in board.comparisons:
        other = board.evaluation("speaker-independent", one.model)
        assert other is not None
        assert one.test.difference.value == pytest.approx(chosen - other.scores["uar"].value)
        assert one.p is not None
        assert one.test.p is not None
        assert one.p >= one.test.p


def test_the_section_names_what_is_worse_and_what_is_not_significantly_different(
    board: Leaderboard,
) -> None:
    apart = [one for one in board.comparisons if one.significant]
    said = section("significance", board)
    assert "the selected model (the MLP) is " in said
    for one in board.comparisons:
        assert one.test.detectable is not None
        own = one.test.statistic, one.test.detectable
        cells = figure(one.test.difference), *map(number, own)
        assert f"| {' | '.join(cells)} | {probability(one.test.p, '')} |" in said
    assert ("significantly better than" in said) == bool(apart)
    assert "p is adjusted for 2 comparisons (Holm)" in said


def test_a_model_that_cannot_be_told_from_the_selected_one_shares_its_rank(
    result: Result,
) -> None:
    rows = result.predictions
    like = rows[rows["model"] == "mlp"].assign(model="random_forest")
    twin = pd.concat([rows[rows["model"] != "random_forest"], like], ignore_index=True)
    board = leaderboard(replace(result, predictions=twin))
    page, overview = study_page(board), leaderboard_page([board])
    shared = board.ranks["mlp"]
    assert shared.last > shared.first
    for title in ("MLP (selected)", "random forest"):
        row = f"| {title} | {shared.first}–{shared.last} | "
        assert row in page
        assert row in overview
    assert "| majority class | – | " in page
    assert "models that are not significantly different from the selected one share its" in page
    assert "≈" not in page


def test_ranks_follow_the_tests(board: Leaderboard) -> None:
    ps = {"logistic_regression": 0.01, "random_forest": 0.2}
    apart = tuple(replace(one, p=ps[one.model]) for one in board.comparisons)
    found = replace(board)
    found.__dict__["comparisons"] = apart
    assert found.ranks == {"mlp": (1, 2), "random_forest": (1, 2), "logistic_regression": (3, 3)}


def test_the_leaderboard_says_which_differences_its_tests_detect(board: Leaderboard) -> None:
    each = [one.test.detectable for one in board.comparisons]
    assert f" of {number(min(each))} to {number(max(each))} UAR, by pair" in detectable(board)
    assert f"{detectable(board)}." in section("leaderboard", board)


def test_a_single_model_differs_from_nothing() -> None:
    assert section("significance", leaderboard(make(**SMALL))) == ""


def test_a_corpus_of_few_speakers_shows_their_own_figures_instead_of_an_interval(
    board: Leaderboard,
) -> None:
    part = board.selected_evaluation("speaker-dependent").corpora["tess"]
    assert interval(part.scores["uar"]) == ""
    own = ", ".join(f"{one['uar']:.2f}" for one in part.by_speaker.values())
    said = section("corpora", board)
    assert f"**{number(part.scores['uar'].value)}** ({own}) |" in said
    assert "In brackets: UAR of each TESS speaker (00, 01)." in said


def test_a_mean_over_corpora_says_whose_speakers_it_holds_fixed(board: Leaderboard) -> None:
    said = section("leaderboard", board)
    assert "Scores are means over corpora" in said
    assert (
        "intervals over the speakers of RAVDESS (24 speakers); too few for that, the speakers of "
        "SAVEE (4 speakers) and TESS (2 speakers) are held fixed" in said
    )


def test_the_percentile_interval_stands_beside_the_mean_as_a_check(board: Leaderboard) -> None:
    ends = board.selected_evaluation("speaker-independent").scores["uar"].percentiles
    assert ends is not None
    assert f" {span(*ends)} |" in section("corpora", board)


def test_scores_of_speakers_and_genders_stand_on_the_page(board: Leaderboard) -> None:
    said = section("subgroups", board)
    rows = selected_rows(board, "speaker-independent")
    part = rows[rows["speaker"] == "ravdess/03"]
    names = ("speaker", "groups", "ravdess", "speaker", "ravdess/03")
    seed = bootstrap_seed(bootstrap_seed(0, *names[:2]), *names[2:])
    score = evaluate(part, board.result.emotions, seed).scores["uar"]
    assert f"| RAVDESS | speaker | ravdess/03 | 42 | 1 | {figure(score)} |" in said
    assert "**RAVDESS, by gender**: female " in said
    assert "Statement and intensity of the clips are not stored" in said


def test_groups_of_statements_and_intensities_are_shown_where_they_are_known(
    result: Result,
) -> None:
    names = sorted(set(result.predictions["clip"]))
    clips = pd.DataFrame(
        {
            "clip": names,
            "statement": [("kids", "dogs")[int(name.split("-")[1]) % 2] for name in names],
            "intensity": "",
        }
    )
    said = section("subgroups", leaderboard(replace(result, clips=clips)))
    assert "**RAVDESS, by statement**: dogs " in said
    assert "by intensity" not in said
    assert "are not stored" not in said


def test_few_clips_a_speaker_give_no_groups() -> None:
    said = section("subgroups", leaderboard(make(clips=7, **SMALL)))
    assert "there is no subgroup to report" in said


def test_calibration_without_out_of_fold_rows_is_that_of_the_model_as_it_is(
    board: Leaderboard,
) -> None:
    found = calibration.calibrated(board, "speaker-independent")
    said = section("calibration", board)
    assert found.after is None
    assert f"| SI | MLP | 1 | {number(found.before.error)} |" in said
    assert "No temperature scaling of SD and SI" in said


@pytest.fixture(scope="module")
def overconfident(result: Result) -> Result:
    """Probabilities at a temperature of 0.3, on test clips and out of fold alike."""
    rows = result.predictions.copy()
    columns = [f"p_{emotion}" for emotion in result.emotions]
    rows[columns] = tempered(rows[columns].to_numpy(dtype=float), 0.3).astype("float32")
    out_of_fold = rows.assign(fold=0, clip="train/" + rows["clip"])
    return replace(result, predictions=rows, out_of_fold=out_of_fold)


def test_temperature_scaling_on_out_of_fold_rows_mends_over_confidence(
    overconfident: Result,
) -> None:
    board = leaderboard(overconfident)
    found = calibration.calibrated(board, "speaker-dependent")
    said = section("calibration", board)
    assert found.after is not None
    assert found.after.error < found.before.error / 2
    assert "**Speaker-dependent (SD)**: the MLP, mean confidence " in said
    points = round(100 * found.confidence) - round(100 * found.accuracy)
    assert points > 0
    assert f"%: over-confident by {points} percentage points." in said
    row = f"| {found.temperatures[0]:.2f} | {number(found.after.error)} |"
    assert f"| MLP, after temperature scaling {row}" in said


def test_each_part_of_a_protocol_is_calibrated_by_its_own_rows(overconfident: Result) -> None:
    rows = overconfident.predictions
    part = np.where(rows["gender"] == "female", "f1", "f2")
    learned = overconfident.out_of_fold
    assert learned is not None
    parted = replace(
        overconfident,
        predictions=rows.assign(part=part),
        out_of_fold=learned.assign(part=part),
    )
    found = calibration.calibrated(leaderboard(parted), "speaker-dependent")
    whole = calibration.calibrated(leaderboard(overconfident), "speaker-dependent")
    assert len(found.temperatures) == 2
    assert found.before.brier == pytest.approx(whole.before.brier)
    assert found.temperatures[0] != found.temperatures[1]


def test_a_searchs_row_holds_its_best_corrected_and_test_scores(board: Leaderboard) -> None:
    said = section("selection_optimism", board)
    one = next(
        s
        for s in selection_optimism.searches(board)
        if (s.protocol, s.model) == ("speaker-dependent", "mlp")
    )
    trials = board.result.trials.query("protocol == 'speaker-dependent' and model == 'mlp'")
    assert one.inner == pytest.approx(trials["score"].max())
    assert one.corrected <= one.inner
    row = f"| MLP | SD | 3 | {number(one.inner)} | {number(one.corrected)} |"
    assert row in said
    assert f"| {figure(one.test)} |" in said


def test_the_searches_of_several_parts_are_averaged(result: Result) -> None:
    trials = result.trials
    parts = [trials.assign(part=name) for name in ("f1", "f2")]
    folds = [column for column in trials if str(column).startswith("fold_")]
    parts[1][folds] = parts[1][folds] + 0.2
    whole = selection_optimism.searches(leaderboard(result))
    both = selection_optimism.searches(
        leaderboard(replace(result, trials=pd.concat(parts, ignore_index=True)))
    )
    assert whole
    for one, mean in zip(whole, both, strict=True):
        assert mean.inner == pytest.approx(one.inner + 0.1)
        assert mean.corrected == pytest.approx(one.corrected + 0.1)


def test_nothing_searched_is_no_optimism() -> None:
    models = {"majority": {}, "mlp": {"alpha": 0.1}}
    assert selection_optimism.searches(leaderboard(make(**SMALL | {"models": models}))) == []


def with_speakers(result: Result, speakers: int) -> Leaderboard:
    rows = result.predictions[result.predictions["corpus"] == "ravdess"].copy()
    rows["speaker"] = "s" + (rows.groupby(["protocol", "model"]).cumcount() % speakers).astype(str)
    return leaderboard(replace(result, predictions=rows))


def test_of_few_speakers_no_p_and_no_interval_is_printed(result: Result) -> None:
    board = with_speakers(result, 4)
    said = section("significance", board)
    assert (
        "The speaker-independent test clips are of 4 speakers: with fewer than 6, no test" in said
    )
    assert said.count("| – | – |") == len(board.comparisons)
    assert "permutation test" not in said
    assert "[0" not in said
    assert {rank(board, one.model) for one in board.standings} == {"1–3", "–"}
    assert "so all share one rank" in section("leaderboard", board)
    assert "no intervals: too few speakers in RAVDESS (4 speakers)" in section("leaderboard", board)


def test_of_more_speakers_p_is_printed(result: Result) -> None:
    assert "p: permutation test" in section("significance", with_speakers(result, 12))


def test_the_last_trial_has_a_step_as_well(board: Leaderboard) -> None:
    one = selection_optimism.searches(board)[0]
    axes = Figure().subplots()
    draw_curve(axes, Curve(one.model, one.course, one.test), "black", 1.06)
    inner = axes.get_lines()[0]
    assert inner.get_xdata()[-1] > one.course.index[-1]
    assert inner.get_ydata()[-1] == one.inner


@pytest.mark.parametrize("width", [20, 40])
def test_a_panels_title_is_no_wider_than_the_panel(board: Leaderboard, width: int) -> None:
    found = calibration.calibrated(board, "speaker-independent").before
    panel = Reliability("SI: soft voting of\nlogistic regression and MLP", found, found)
    lines = reliability_title(panel, width).splitlines()
    assert max(map(len, lines)) <= width
    assert f"{found.error:.2f}" in " ".join(lines)
