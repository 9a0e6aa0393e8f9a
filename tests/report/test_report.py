"""The pages say what the results hold, exactly, and the same results give the same bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.data.protocols import stream
from benchmark.data.record import Change
from benchmark.errors import BenchmarkError
from benchmark.evaluation.intervals import bootstrap_seed, evaluate
from benchmark.evaluation.leaderboard import Leaderboard, claims, leaderboard
from benchmark.evaluation.results import Result, read_result, write_result
from benchmark.evaluation.significance import holm
from benchmark.report import update_readme, write_pages
from benchmark.report.figures import Drawn, draw, png_of_pixels
from benchmark.report.markdown import (
    anchor,
    code,
    figure,
    interval,
    number,
    plain,
    probability,
    signed,
    span,
    table,
)
from benchmark.report.markdown import claimed as claimed_figure
from benchmark.report.pages.claims import claims_page
from benchmark.report.pages.leaderboard import headline_table
from benchmark.report.sections import SECTIONS, Section
from benchmark.report.sections.comparisons import comparisons
from benchmark.report.sections.reproduction import run_command
from benchmark.report.sections.search import comparable_trials, importances, rebuilt_study
from benchmark.report.sections.selected_model import Confusion, confusion_figure, confusion_png
from benchmark.report.study_page import study_page
from benchmark.report.wording import model_title
from tests.support.figures import stored_figures
from tests.support.results import EMOTIONS, SKILL, SMALL, THREE_TRIALS, TITLES, make


def leaderboards(results: Sequence[Result]) -> list[Leaderboard]:
    return [leaderboard(result) for result in results]


@pytest.fixture(scope="module")
def result() -> Result:
    return make()


@pytest.fixture(scope="module")
def board(result: Result) -> Leaderboard:
    return leaderboard(result)


@pytest.fixture(scope="module")
def small() -> Leaderboard:
    return leaderboard(make(**SMALL))


STALE = Path("figures/capstone/search_svm.png")
"""A figure of an earlier version of the study."""


@pytest.fixture(scope="module")
def folder(board: Leaderboard, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    (folder / STALE).parent.mkdir(parents=True)
    (folder / STALE).write_bytes(b"")
    synthetic = make(**SMALL | {"name": "quickstart", "corpora": ["synthetic"]})
    changed = make((THREE_TRIALS,), run_name="small@12ab", **SMALL)
    write_pages([*leaderboards([synthetic, changed]), board], folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "capstone.md").read_text(encoding="utf-8")


def columns(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line))


def test_the_question_is_the_pages_title(page: str, result: Result) -> None:
    assert page.startswith(f"# {result.study.question}\n")


def test_the_headline_has_the_computed_figures_of_the_selected_models(
    page: str, result: Result
) -> None:
    rows = result.predictions
    chosen = {"speaker-dependent": "forest_and_mlp", "speaker-independent": "mlp"}
    for protocol, model in chosen.items():
        part = rows[(rows["protocol"] == protocol) & (rows["model"] == model)]
        seed = bootstrap_seed(result.study.seed, stream(protocol))
        score = evaluate(part, result.emotions, seed).scores["uar"]
        assert f"**{number(score.value)}** {interval(score)}" in page.split("## ", maxsplit=1)[0]
    assert "The gap of the two selected models is **" in page


def test_the_model_is_selected_on_the_inner_folds_not_on_the_test_rows(
    result: Result, board: Leaderboard
) -> None:
    assert board.selected["speaker-dependent"].model == "forest_and_mlp"
    assert board.selected["speaker-independent"].model == "mlp"
    best_inside = [
        w.model_copy(update={"score": 0.99}) if w.model == "mlp" else w for w in result.winners
    ]
    other = leaderboard(replace(result, winners=tuple(best_inside)))
    assert other.selected["speaker-dependent"].model == "mlp"


def test_the_baseline_is_never_selected(result: Result) -> None:
    lucky = [
        w.model_copy(update={"score": 1.0}) if w.model == "majority" else w for w in result.winners
    ]
    board = leaderboard(replace(result, winners=tuple(lucky)))
    assert {one.model for one in board.selected.values()} == {"forest_and_mlp", "mlp"}


def test_the_leaderboard_is_sorted_by_the_speaker_independent_score(board: Leaderboard) -> None:
    values = [one.evaluations["speaker-independent"].scores["uar"].value for one in board.standings]
    assert values == sorted(values, reverse=True)
    assert board.standings[-1].model == "majority"


def test_the_gap_is_of_the_clips_that_both_protocols_tested(
    result: Result, board: Leaderboard, page: str
) -> None:
    standing = board.standings[0]
    rows = result.predictions[result.predictions["model"] == standing.model]
    known, unseen = (
        rows[rows["protocol"] == p] for p in ("speaker-dependent", "speaker-independent")
    )
    both = known[known["clip"].isin(unseen["clip"])]
    values = [
        evaluate(part, result.emotions, 0, resamples=10).scores["uar"].value
        for part in (both, unseen)
    ]
    assert standing.gaps["uar"].value == pytest.approx(values[0] - values[1])
    assert board.gap_restricted
    assert f"SD–SI gap: on the {board.gap_clips} clips tested under both protocols" in page


def test_without_a_clip_tested_under_both_protocols_there_is_no_gap(result: Result) -> None:
    rows = result.predictions
    unseen = rows["protocol"] == "speaker-independent"
    apart = rows.assign(clip=rows["clip"].where(~unseen, rows["clip"] + "-other"))
    board = leaderboard(replace(result, predictions=apart))
    assert board.selected_gap is None
    assert {len(one.gaps) for one in board.standings} == {0}
    said = study_page(board)
    assert "No SD–SI gap: no clip is tested under both protocols." in said
    assert "The SD–SI gap" not in said


def test_a_claim_is_compared_with_our_figure_under_its_protocol_and_metric(
    page: str, result: Result
) -> None:
    by_model = {claim.model: claim for claim in claims(leaderboard(result))}
    ours = leaderboard(result).evaluation("speaker-dependent", "mlp")
    assert ours is not None
    assert by_model["mlp"].measured == ours.pooled["accuracy"]
    assert by_model["mlp"].verdict == "below"
    assert by_model["forest_and_mlp"].verdict == "consistent"
    assert by_model["conv1d"].verdict == "not comparable"
    difference = signed(ours.pooled["accuracy"].value - 0.99)
    assert f"| MLP | 0.99 | {number(ours.pooled['accuracy'].value)} " in page
    assert f"**below** ({difference}" in page
    assert "It tunes on its test rows \\| we do not." in page


@pytest.mark.parametrize("model", [*SKILL])
def test_every_model_is_in_every_leaderboard(page: str, folder: Path, model: str) -> None:
    overview = (folder / "README.md").read_text(encoding="utf-8")
    row = re.compile(rf"\n\| {re.escape(TITLES[model])}( \(selected S[DI]\))? \|")
    assert row.search(page)
    assert row.search(overview)


@pytest.mark.parametrize(
    "words",
    [
        "**Bold**: selected model (best CV score, UAR).",
        "mean over 3 corpora; intervals over the speakers of RAVDESS (24 speakers)",
        "the speakers of SAVEE (1 speaker) and TESS (1 speaker) are held fixed",
        "fold 1: FloatingPoint: a\\|b &lt;not finite>",
        "2 trials failed",
        "RAVDESS: 12 files set aside (song, not speech)",
        "Unusable, silent: `ravdess/03-01`",
        "`tess/a` and `tess/b`",
        "python -m benchmark run-study capstone --corpora DIR",
        "mean probability of random forest and MLP",
        "soft voting of random forest and MLP",
        "mean probability of logistic regression, random forest and MLP",
        "features `means-184` at 16,000 Hz",
        "(calm counted as neutral)",
        "| MLP | speaker-dependent | 14 | 1 | 2 |",
        "- MLP: Its settings \\| were chosen on test rows.",
        "| Conv1D | 0.90 | – | not comparable (not measured here) | – |",
        "Soft voting of random forest and MLP and the Conv1D are not compared",
        "it still increases.",
        "no increase beyond the variation between folds",
        "engines: mlp",
        "Trial 0 with the initial parameters of the study",
        "| [RAVDESS](https://example.org/ravdess) | The ravdess corpus | CC BY-NC-SA 4.0 | 1,440 |",
    ],
)
def test_the_page_says(page: str, words: str) -> None:
    assert words in page


def test_every_table_has_as_many_cells_in_each_row(folder: Path) -> None:
    for path in folder.glob("*.md"):
        for block in path.read_text(encoding="utf-8").split("\n\n"):
            lines = [line for line in block.splitlines() if line.startswith("|")]
            assert len({columns(line) for line in lines}) <= 1, block


def test_every_relative_link_and_picture_is_there(folder: Path, result: Result) -> None:
    write_result(result, folder / "results")
    for name in ("quickstart", "small@12ab"):
        (folder / "results" / name).mkdir(exist_ok=True)
    reading = (folder / "reading.md").read_text(encoding="utf-8")
    headings = {
        heading.lower().replace(" ", "-") for heading in re.findall("^## (.*)$", reading, re.M)
    }
    for path in folder.glob("*.md"):
        targets = re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8"))
        inside = [target.partition("#")[::2] for target in targets if "://" not in target]
        assert inside or path.name == "reading.md"
        assert [target for target, _ in inside if not (path.parent / target).exists()] == []
        anchors = {anchor for target, anchor in inside if target == "reading.md"} - {""}
        assert anchors <= headings


def test_no_page_holds_a_path_of_this_machine_or_a_date(folder: Path) -> None:
    for path in folder.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert str(Path.home()) not in text
        assert str(folder) not in text
        text = text.replace(", read 2026-11-28", "")  # the date of reading a source is its own
        assert re.search(r"\b20\d\d-\d\d-\d\d\b", text) is None


def test_two_runs_give_the_same_bytes(folder: Path, result: Result, tmp_path: Path) -> None:
    write_pages(leaderboards([result]), tmp_path)
    names = [
        "capstone.md",
        "claims.md",
        *(f"figures/capstone/{p.name}" for p in tmp_path.rglob("*.png")),
    ]
    assert len(names) == 11
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_result_that_was_stored_and_read_gives_the_same_page(
    result: Result, page: str, folder: Path, tmp_path: Path
) -> None:
    write_result(result, tmp_path / "results")
    stored = leaderboard(read_result(tmp_path / "results" / "capstone"))
    drawn = stored_figures(folder / "figures" / "capstone")
    assert study_page(stored, drawn) == page


def test_figures_are_small_png_files_without_metadata(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 150_000, path
        assert b"matplotlib" not in content


def test_figures_of_an_earlier_version_of_the_study_are_taken_away(folder: Path) -> None:
    assert list((folder / STALE).parent.iterdir())
    assert not (folder / STALE).exists()


def test_one_page_alone_can_be_written_beside_the_whole_leaderboard(
    small: Leaderboard, tmp_path: Path
) -> None:
    other = leaderboard(make(**SMALL | {"name": "other"}))
    written = write_pages([small, other], tmp_path, only=["other"])
    assert [path.name for path in written] == ["other.md", "reading.md", "README.md"]
    assert "small.md" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_pages_of_generated_speech_say_so(folder: Path, page: str) -> None:
    assert "**Generated speech.**" in (folder / "quickstart.md").read_text(encoding="utf-8")
    assert "**Generated speech.**" in (folder / "README.md").read_text(encoding="utf-8")
    assert "**Generated speech.**" not in page


def test_an_incomplete_corpus_and_a_change_are_said_at_the_top() -> None:
    lacking = Change(kind="incomplete", value="ravdess: 1439 of 1440 clips")
    changed = make((THREE_TRIALS, lacking), run_name="small@1", **SMALL)
    corpora = changed.data.corpora
    corpora["ravdess"] = corpora["ravdess"].model_copy(
        update={"found": 1439, "missing": ("03-01-06",)}
    )
    top = study_page(leaderboard(changed)).split("## ", maxsplit=1)[0]
    assert "**Incomplete corpus.** RAVDESS: 1,439 of 1,440 clips" in top
    assert "**Changed run.**" in top
    assert "`search.trials=3`" in top


def test_a_changed_run_is_never_among_the_studies_own(folder: Path) -> None:
    overview = (folder / "README.md").read_text(encoding="utf-8")
    own, changed = overview.split("## Changed runs")
    assert "small@12ab" not in own
    assert "small@12ab" in changed
    assert own.index("capstone.md") < own.index("quickstart.md")


def test_the_overview_links_the_page_on_the_recordings_where_there_is_one(
    board: Leaderboard, tmp_path: Path
) -> None:
    name = board.result.name
    write_pages([board], tmp_path, only=["none"])
    assert "_data.md" not in (tmp_path / "README.md").read_text()
    (tmp_path / f"{name}_data.md").write_text("# What the data are like")
    write_pages([board], tmp_path, only=["none"])
    assert f"({name}_data.md)" in (tmp_path / "README.md").read_text()


def test_a_study_without_claims_votes_or_curves_has_no_such_section(folder: Path) -> None:
    text = (folder / "quickstart.md").read_text(encoding="utf-8")
    assert "## Comparison with the source" not in text
    for heading in ("oft voting", "## Learning curves", "## Pairwise comparisons"):
        assert heading not in text


@pytest.mark.parametrize(
    "protocol", ["speaker-dependent", "speaker-independent", "published_folds"]
)
def test_a_study_of_one_protocol_has_no_gap(protocol: str) -> None:
    text = study_page(leaderboard(make(**SMALL, split={"protocols": [protocol]})))
    assert "SD–SI gap" not in text
    assert "reaches UAR **" in text


def test_a_gap_that_may_be_zero_is_called_not_significant() -> None:
    same = make(clips=7, **SMALL)
    rows = same.predictions
    known = rows[rows["protocol"] == "speaker-dependent"]
    twice = pd.concat([known, known.assign(protocol="speaker-independent")], ignore_index=True)
    text = headline_table(leaderboard(replace(same, predictions=twice)))
    assert "is not significantly different from 0" in text
    assert " gap is " not in text


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ((THREE_TRIALS,), "small --corpora DIR --set search.trials=3"),
        (
            (Change(kind="override", value="corpora=['tess']"),),
            """--corpora DIR --set 'corpora=['"'"'tess'"'"']'""",
        ),
        ((Change(kind="tables", value="12 and 34"),), "small --train TRAIN.csv --test TEST.csv"),
        ((Change(kind="allowed", value="equal-rows"),), "DIR --allow equal-rows"),
    ],
)
def test_the_command_repeats_what_was_changed(changes: tuple[Change, ...], command: str) -> None:
    assert run_command(make(changes, **SMALL)).endswith(command)


def test_generated_speech_needs_no_folder() -> None:
    result = make(**SMALL | {"corpora": ["synthetic"]})
    assert run_command(result) == "python -m benchmark run-study small"


def best_rows(readme: Path) -> list[str]:
    """The rows of the table of best results, without its header."""
    lines = [line for line in readme.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    return lines[2:]


def test_the_readme_gets_the_best_results_between_its_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- best -->\nstale\n<!-- /best -->\nb\n", encoding="utf-8")
    update_readme(readme, [])
    assert "stale" in readme.read_text(encoding="utf-8")
    boards = leaderboards([make(**SMALL), make(**SMALL | {"name": "other", "corpora": ["tess"]})])
    update_readme(readme, boards)
    once = readme.read_text(encoding="utf-8")
    update_readme(readme, boards)
    assert readme.read_text(encoding="utf-8") == once
    assert "stale" not in once
    assert len(best_rows(readme)) == 2
    assert once.count("](reports/small.md)") == once.count("](reports/other.md)") == 1
    assert once.startswith("a\n")
    assert once.endswith("<!-- /best -->\nb\n")


def test_of_studies_of_the_same_clips_the_readme_has_the_inductive_one_with_the_best_cv_score(
    tmp_path: Path,
) -> None:
    better = make(**SMALL | {"name": "better"})
    winners = tuple(one.model_copy(update={"score": 0.99}) for one in better.winners)
    results = [
        make(**SMALL),
        replace(better, winners=winners),
        make(**SMALL | {"name": "scaled", "normalise": "speaker"}),
        make(**SMALL | {"name": "generated", "corpora": ["synthetic"]}),
    ]
    readme = tmp_path / "README.md"
    pages = "https://example.org/reports"
    readme.write_text(f"<!-- best:{pages} -->\n<!-- /best -->\n", encoding="utf-8")
    update_readme(readme, leaderboards(results))
    (row,) = best_rows(readme)
    assert f"| [better]({pages}/better.md) |" in row


def test_the_leaderboard_has_a_link_to_each_of_its_sections(tmp_path: Path) -> None:
    results = [make(**SMALL), make(**SMALL | {"name": "other", "corpora": ["tess"]})]
    write_pages(leaderboards(results), tmp_path, only=["none"])
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    contents = page.partition("**Contents**")[2].partition("\n## ")[0]
    headings = re.findall(r"^## (?:\[(.+)\]\(.+\)|(.+))$", page, re.MULTILINE)
    anchors = {anchor(linked or words) for linked, words in headings}
    assert set(re.findall(r"\(#(.+?)\)", contents)) == anchors


def test_studies_of_the_same_clips_stand_together_transductive_ones_in_a_table_of_their_own(
    tmp_path: Path,
) -> None:
    weak = make(**SMALL)
    strong = make(**SMALL | {"name": "strong"})
    rows = strong.predictions
    for emotion in EMOTIONS:
        rows.loc[:, f"p_{emotion}"] = (rows["emotion"] == emotion).astype("float32")
    scaled = make(**SMALL | {"name": "scaled", "normalise": "speaker"})
    other = make(**SMALL | {"name": "other", "corpora": ["tess"]})
    boards = leaderboards([weak, strong, scaled, other])
    write_pages(boards, tmp_path, only=["none"])
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    glance = page.partition("## Studies by test clips")[2].partition("\n## ")[0]
    own, apart = glance.split("emotions of TESS")
    assert own.index("](strong.md)") < own.index("](small.md)")
    inductive, transductive = own.split("Transductive: other clips of the test speaker")
    assert "Inductive: one clip is enough" in inductive
    assert "](scaled.md)" not in inductive
    assert "](small.md)" not in transductive
    assert "](scaled.md) |" in transductive
    assert ", normalised by speaker |" in transductive
    assert "1.000 [1.00," in own
    assert "](other.md)" in apart


def test_a_marker_without_an_end_is_refused(small: Leaderboard, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- best -->\ntext\n", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="has no end"):
        update_readme(readme, [small])


def test_a_search_is_rebuilt_with_its_failed_and_its_first_trials(result: Result) -> None:
    rows = result.trials.query("protocol == 'speaker-dependent' and model == 'mlp'")
    study = rebuilt_study(rows, result.study.models["mlp"])
    assert len(study.trials) == len(rows)
    assert [t.state.name for t in study.trials].count("FAIL") == 1
    assert study.best_value == rows["score"].max()
    assert study.trials[0].params == {"alpha": 0.3769}
    assert [t.state.name for t in study.trials].count("PRUNED") == 2
    assert len(comparable_trials(study)) == len(rows) - 4
    assert set(importances(study)) == set(study.trials[-1].params)


def test_a_single_parameter_has_no_importance(result: Result) -> None:
    rows = result.trials.query("protocol == 'speaker-dependent' and model == 'logistic_regression'")
    study = rebuilt_study(rows, result.study.models["logistic_regression"])
    assert importances(study) == {}


def test_one_winners_confusion_matrix_is_a_png(result: Result) -> None:
    assert confusion_png(result, "speaker-independent", "mlp").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "text"), [(0.3856, "0.386"), (-0.0001, "0.000"), (-0.25, "−0.250"), (1.0, "1.000")]
)
def test_a_figure_has_three_decimals_and_a_true_minus(value: float, text: str) -> None:
    assert number(value) == text


def test_text_from_outside_can_not_break_a_table() -> None:
    rendered = table(["a", "b"], [[plain("x|y\nz<br>"), code("p|q`r")]])
    assert rendered.splitlines()[-1] == "| x\\|y z&lt;br> | `p\\|q'r` |"


DESKTOP: dict[str, Any] = SMALL | {
    "name": "desktop",
    "claims": {
        "source": "A desktop page",
        "protocol": "speaker-dependent",
        "metric": "accuracy",
        "mlp": 0.9935,
        "svc": 0.8,
    },
}
"""A study with claims that has one corpus less than it asks for."""


def without_jl() -> Result:
    result = make(**DESKTOP)
    result.data.corpora["jl"] = result.data.corpora["tess"].model_copy(
        update={
            "official": 2400,
            "found": 50,
            "used": 0,
            "left_out": True,
            "missing": tuple(f"jl/{n}" for n in range(2350)),
        }
    )
    return result


@pytest.fixture(scope="module")
def desktop() -> Leaderboard:
    return leaderboard(without_jl())


@pytest.fixture(scope="module")
def claimed(
    board: Leaderboard, desktop: Leaderboard, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("claims")
    changed = leaderboard(make((THREE_TRIALS,), run_name="desktop@12ab", **DESKTOP))
    write_pages([board, desktop, changed], folder, only=["desktop"])
    return folder


def claim_lines(text: str) -> list[str]:
    table = text.split("\n| System |", 1)[1].split("\n\n", 1)[0]
    return table.splitlines()[2:]


def test_every_claim_is_a_row_by_system_and_the_highest_first(claimed: Path) -> None:
    lines = claim_lines((claimed / "claims.md").read_text(encoding="utf-8"))
    starts = [
        "| [A desktop page](desktop.md) | MLP | accuracy 0.9935 |",
        "| [A desktop page](desktop.md) | SVM | accuracy 0.80 | – | – | – | not comparable |",
        "| [Capstone for a call centre](capstone.md) | random forest | accuracy 0.9912 |",
        "| [Capstone for a call centre](capstone.md) | MLP | accuracy 0.99 |",
        "| [Capstone for a call centre](capstone.md) | Conv1D | accuracy 0.90 | – | – | – |",
        "| [Capstone for a call centre](capstone.md) | soft voting of random forest + MLP | acc",
    ]
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)


def test_a_claims_row_holds_both_measured_figures_and_their_gap(
    claimed: Path, result: Result
) -> None:
    page = (claimed / "claims.md").read_text(encoding="utf-8")
    line = claim_lines(page)[3]
    board = leaderboard(result)
    known, unseen = (
        board.evaluation(p, "mlp") for p in ("speaker-dependent", "speaker-independent")
    )
    assert known is not None
    assert unseen is not None
    scores = known.pooled["accuracy"], unseen.pooled["accuracy"]
    standing = next(one for one in board.standings if one.model == "mlp")
    lost = number(standing.pooled_gaps["accuracy"].value)
    shown = [f"{number(score.value)} {interval(score)}" for score in scores]
    assert f"| {shown[0]} | {shown[1]} | {lost} [" in line
    allowed = 1.96 * np.sqrt(2 * 0.99 * 0.01 / known.clips)
    assert f"; sampling allows {allowed:.3f})" in line
    remark = "- Capstone for a call centre, MLP (0.99): Its settings \\| were chosen on test rows."
    assert f"\n{remark}\n" in page


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (0, "| not comparable |"),
        (3, "| **below** (−"),
        (5, "| consistent (+"),
    ],
)
def test_a_verdict_says(claimed: Path, row: int, words: str) -> None:
    assert words in claim_lines((claimed / "claims.md").read_text(encoding="utf-8"))[row]


@pytest.mark.parametrize("reason", ["A corpus is missing here", "Not measured here"])
def test_a_remark_says_why_a_figure_is_not_comparable(claimed: Path, reason: str) -> None:
    page = (claimed / "claims.md").read_text(encoding="utf-8")
    remarks = page.partition("**Remarks**")[2]
    assert f": {reason}. Measured on RAVDESS, SAVEE and TESS only.\n" in remarks


def test_a_consistent_claim_needs_no_reason(claimed: Path) -> None:
    assert "does not need" not in (claimed / "claims.md").read_text(encoding="utf-8")


def test_every_source_is_cited_by_address_and_date_of_reading(claimed: Path, page: str) -> None:
    cited = "[Capstone for a call centre](https://example.org/capstone), read 2026-11-28"
    assert f"\n- {cited}\n" in (claimed / "claims.md").read_text(encoding="utf-8")
    assert f"Source: {cited}." in page


def test_the_means_leave_out_what_is_not_comparable(claimed: Path, board: Leaderboard) -> None:
    text = (claimed / "claims.md").read_text(encoding="utf-8")
    pairs = [
        (claim.measured.value, claim.independent.value)
        for claim in claims(board)
        if claim.measured and claim.independent
    ]
    known, unseen = np.mean(pairs, axis=0)
    assert "**1 of 3 comparable figures is consistent with the reported one**" in text
    assert "3 of 6 reported figures are not comparable and not part of the means" in text
    assert f"**{known:.3f}** in our reproduction" in text
    assert f"**{unseen:.3f}** speaker-independent (3 comparable figures measured under both" in text


def test_without_claims_there_is_no_page_of_them(small: Leaderboard, tmp_path: Path) -> None:
    (tmp_path / "claims.md").write_text("of an earlier study", encoding="utf-8")
    write_pages([small], tmp_path, only=["none"])
    assert not (tmp_path / "claims.md").exists()
    assert "claims.md" not in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_two_studies_of_one_source_can_be_told_apart() -> None:
    studies = [make(**DESKTOP), make(**DESKTOP | {"name": "later"})]
    lines = claim_lines(claims_page([leaderboard(one) for one in studies]))
    assert [line.split("|")[1].strip() for line in lines[:2]] == [
        "[A desktop page: desktop](desktop.md)",
        "[A desktop page: later](later.md)",
    ]


def test_a_speaker_independent_claim_has_no_gap() -> None:
    honest = DESKTOP["claims"] | {"protocol": "speaker-independent"}
    board = leaderboard(make(**DESKTOP | {"claims": honest}))
    first = claim_lines(claims_page([board]))[0].split("|")
    assert first[4] == first[5]
    assert first[6] == " – "


@pytest.mark.parametrize("page_name", ["desktop.md", "README.md"])
def test_a_corpus_that_was_left_out_is_said_wherever_figures_stand(
    claimed: Path, desktop: Leaderboard, page_name: str
) -> None:
    text = (claimed / page_name).read_text(encoding="utf-8")
    said = (
        "> [!CAUTION]\n> **JL is left out**: 50 of 2,400 clips were found. "
        "All figures describe RAVDESS, SAVEE and TESS only."
    )
    assert said in text
    assert said in headline_table(desktop)


def test_a_study_with_a_corpus_left_out_is_the_studys_own(claimed: Path) -> None:
    own = (claimed / "README.md").read_text(encoding="utf-8").split("## Changed runs")[0]
    assert "## [desktop](desktop.md)" in own
    page = (claimed / "desktop.md").read_text(encoding="utf-8")
    assert "**Changed run.**" not in page
    assert "JL: left out, with the 50 clips found." in page
    assert "of RAVDESS, SAVEE and TESS ·" in page
    assert run_command(without_jl()).endswith("--corpora DIR --allow-missing jl")


def test_a_section_from_outside_the_package_is_on_the_page_with_its_figure(
    small: Leaderboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picture(_board: Leaderboard, facts: int) -> bytes:
        return png_of_pixels(np.full((8, facts, 3), 255, dtype=np.uint8))

    toy = Section(
        name="toy",
        facts=lambda board: board.result.study.search.trials,
        figures=lambda board, facts: {"toy.png": picture(board, facts)},
        template='## Toy\n\n{{ facts | counted("trial") }}\n\n{{ picture("toy.png", "a toy") }}\n',
    )
    monkeypatch.setitem(SECTIONS, "toy", toy)
    write_pages([small], tmp_path)
    page = (tmp_path / "small.md").read_text(encoding="utf-8")
    assert page.endswith("## Toy\n\n3 trials\n\n![a toy](figures/small/toy.png)\n")
    assert (tmp_path / "figures/small/toy.png").read_bytes() == picture(small, 3)


def test_compared_models_are_said_to_differ_only_where_a_test_says_so(page: str) -> None:
    section = page.split("## Pairwise comparisons")[1].split("## ", maxsplit=1)[0]
    assert "on the test clips, the MLP and the logistic regression are not significantly" in section
    assert section.count("\n| SD | MLP | logistic regression |") == 1
    assert section.count("\n| SI | MLP | logistic regression |") == 1
    assert "Nadeau & Bengio 2003" in section


def test_a_compared_pair_differs_by_what_the_leaderboard_says(board: Leaderboard) -> None:
    pairs = comparisons(board)
    assert pairs
    for one in pairs:
        scores = [board.evaluation(one.protocol, m) for m in (one.first, one.second)]
        first, second = (score.scores["uar"] for score in scores if score)
        assert one.clips.difference.value == pytest.approx(first.value - second.value)


def test_a_model_that_is_no_longer_in_the_registry_keeps_a_name() -> None:
    assert model_title(make(**SMALL), "old_gru") == "old GRU"


@pytest.mark.parametrize(
    ("value", "text"), [(0.8905, "0.8905"), (0.9, "0.90"), (0.724, "0.724"), (1.0, "1.00")]
)
def test_a_claim_is_shown_as_its_source_prints_it(value: float, text: str) -> None:
    assert claimed_figure(value) == text


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.356, 0.414), "[0.35, 0.42]"),
        ((0.12, 0.29), "[0.12, 0.29]"),
        ((0.1201, 0.1299), "[0.12, 0.13]"),
        ((-0.004, -0.0001), "[−0.01, 0.00]"),
        ((0.0, 1.0), "[0.00, 1.00]"),
        ((-0.07, -0.0), "[−0.07, 0.00]"),
    ],
)
def test_an_intervals_ends_are_rounded_outwards(ends: tuple[float, float], text: str) -> None:
    assert span(*ends) == text.replace(" ", "\N{NO-BREAK SPACE}")


def test_compared_models_are_judged_by_p_corrected_for_the_number_of_tests(
    page: str, board: Leaderboard
) -> None:
    found = comparisons(board)
    assert len(found) == 2
    assert [one.clips_p for one in found] == holm([one.clips.p for one in found])
    assert [one.folds_p for one in found] == holm([one.folds.p for one in found if one.folds])
    assert "p is adjusted for 2 comparisons (Holm)" in page
    for one in found:
        assert f"| {figure(one.clips.difference)} | {probability(one.clips_p, '')} |" in page


def test_a_figure_that_fails_is_named_on_its_page_and_takes_no_other_with_it(
    result: Result,
) -> None:
    def fail() -> bytes:
        raise ValueError("no room\nfor `a|b`")

    drawn = draw({"good.png": b"PNG", "bad.png": fail, "none.png": b""})
    assert drawn == Drawn({"good.png": b"PNG"}, {"bad.png": "ValueError: no room for `a|b`"})
    board = leaderboard(result)
    figures = dict.fromkeys(["gap.png", "confusion.png", "calibration.png"], b"PNG")
    whole = study_page(board, Drawn(figures))
    failed = {"confusion.png": drawn.failed["bad.png"], "calibration": "MemoryError"}
    page = study_page(board, Drawn({"gap.png": b"PNG"}, failed))
    assert (
        "**The figure `confusion.png` could not be drawn:** ValueError: no room for \\`a\\|b\\`"
        in page
    )
    assert "**The figure `calibration.png` could not be drawn:** MemoryError" in page
    assert len(page.splitlines()) == len(whole.splitlines())


def test_labels_that_leave_no_room_are_a_reason() -> None:
    name = "m" * 400
    drawn = draw({"c.png": lambda: confusion_figure([Confusion("SI", np.eye(2))], (name, "x"))})
    assert not drawn.figures
    assert drawn.failed["c.png"].startswith("UserWarning: ")
