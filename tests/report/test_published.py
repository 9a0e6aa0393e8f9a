"""What is committed in reports/ is what this code makes of the stored results."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.evaluation import looks
from benchmark.evaluation.leaderboard import Leaderboard, leaderboard
from benchmark.evaluation.looks import read_looks
from benchmark.evaluation.results import FORMAT, Result, read_results
from benchmark.evaluation.summaries import read_summary
from benchmark.report import study_page, update_readme
from benchmark.report.pages import claims, speaker_independent
from benchmark.report.pages.leaderboard import leaderboard_page
from benchmark.search.plan import VERSION
from benchmark.study import BASELINE, read_study
from tests.support.figures import stored_figures

PROJECT = Path(__file__).parents[2]
REPORTS = PROJECT / "reports"
FILES = {path.stem: path for path in (PROJECT / "studies").glob("*.toml")}
LOOKS = read_looks(REPORTS / looks.NAME)
STUDIES = sorted(FILES)
PUBLISHED = [name for name in STUDIES if (REPORTS / "results" / name).is_dir()]
NUMBER = re.compile(r"\d+\.\d+")


def test_every_study_is_published() -> None:
    assert PUBLISHED == STUDIES


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    found, refusals = read_results(REPORTS / "results")
    assert refusals == []
    return {result.name: result for result in found if "@" not in result.name}


@pytest.fixture(scope="module")
def boards(results: dict[str, Result]) -> list[Leaderboard]:
    return [leaderboard(result, LOOKS) for result in results.values()]


@pytest.fixture(scope="module")
def by_name(boards: list[Leaderboard]) -> dict[str, Leaderboard]:
    return {board.result.name: board for board in boards}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_page_comes_from_its_stored_result(
    by_name: dict[str, Leaderboard], name: str
) -> None:
    drawn = stored_figures(REPORTS / "figures" / name)
    page = study_page.study_page(by_name[name], drawn)
    stored = (REPORTS / f"{name}.md").read_text(encoding="utf-8")
    for own, published in zip(page.splitlines(), stored.splitlines(), strict=True):
        if "temperature scaling" in own:
            assert_close(own, published)
        else:
            assert own == published


def assert_close(line: str, published: str) -> None:
    """A clip may fall into the next bin of a calibration curve on another processor."""
    assert NUMBER.sub("0", line) == NUMBER.sub("0", published)
    numbers = zip(NUMBER.findall(line), NUMBER.findall(published), strict=True)
    assert all(abs(float(one) - float(other)) <= 0.01 for one, other in numbers)


def test_each_published_result_is_of_todays_study_file_and_format(
    results: dict[str, Result],
) -> None:
    found = {name: stale_because(results[name]) for name in PUBLISHED}
    stale = {name: reason for name, reason in found.items() if reason}
    assert stale == {}, "run these studies again: `python -m benchmark run-study NAME`"


def stale_because(result: Result) -> str:
    """Why a published result is not of today's study; empty if it is."""
    file = REPORTS / "results" / result.name / "study.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    # Not checked, since a check asks for the extras that a study needs; it only adds the baseline.
    today = read_study(FILES[result.name]).settings()
    stored = result.study.settings()
    stored["models"].pop(BASELINE)
    reasons = [f"format {record['format']}"] * (record["format"] != FORMAT)
    code = record["versions"]["search_code"]
    reasons += [f"searched by version {code} of our code"] * (code != VERSION)
    reasons += [f"{key} differs" for key in today if stored.get(key) != today[key]]
    return ", ".join(reasons)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_result_is_among_the_looks(results: dict[str, Result], name: str) -> None:
    result = results[name]
    assert set(looks.places(result, LOOKS)) == set(result.predictions["protocol"])


def test_a_published_summary_comes_from_its_result(boards: list[Leaderboard]) -> None:
    for board in boards:
        stored = read_summary(REPORTS / "results" / board.result.name)
        assert stored is not None, board.result.name
        quick = replace(board, standings=stored.standings, stored=stored)
        assert leaderboard_page([quick]) == leaderboard_page([board])


def test_the_published_leaderboard_comes_from_the_stored_results(boards: list[Leaderboard]) -> None:
    explored = [path.name.removesuffix("_data.md") for path in REPORTS.glob("*_data.md")]
    page = leaderboard_page(boards, explored)
    assert page == (REPORTS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [claims.NAME, speaker_independent.NAME])
def test_a_published_page_over_all_studies_comes_from_the_stored_results(
    boards: list[Leaderboard], name: str
) -> None:
    page = {
        claims.NAME: lambda: claims.claims_page(boards),
        speaker_independent.NAME: lambda: speaker_independent.speaker_independent_page(
            boards, REPORTS
        ),
    }[name]()
    assert page == (REPORTS / name).read_text(encoding="utf-8")


def test_the_readme_comes_from_the_stored_results(
    boards: list[Leaderboard], tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    before = (PROJECT / "README.md").read_text(encoding="utf-8")
    readme.write_text(before, encoding="utf-8")
    update_readme(readme, boards)
    assert readme.read_text(encoding="utf-8") == before


def test_only_inner_folds_that_keep_speakers_apart_lack_a_corpus_of_two_speakers() -> None:
    page = (REPORTS / "capstone.md").read_text(encoding="utf-8")
    assert "those of SI lack TESS in training or in validation" in page
    assert "those of SD lack" not in page


@pytest.mark.parametrize(
    ("study", "looser"), [("capstone_whisper", True), ("cross_corpus_whisper", False)]
)
def test_cross_corpus_pages_say_whether_inner_folds_keep_corpora_apart(
    study: str, looser: bool
) -> None:
    page = (REPORTS / f"{study}.md").read_text(encoding="utf-8")
    assert ("those of CC keep speakers apart, but no corpus" in page) is looser
