"""What is committed in reports/ is what this code makes of the stored results."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark.evaluation.leaderboard import Leaderboard, leaderboard
from benchmark.evaluation.results import read_result, read_results
from benchmark.report import study_page, update_readme
from benchmark.report.pages import claims, leakage, speaker_independent
from benchmark.report.pages.leaderboard import leaderboard_page

PROJECT = Path(__file__).parents[2]
REPORTS = PROJECT / "reports"
STUDIES = sorted(path.stem for path in (PROJECT / "studies").glob("*.toml"))
PUBLISHED = [name for name in STUDIES if (REPORTS / "results" / name).is_dir()]


def test_every_study_is_published() -> None:
    assert PUBLISHED == STUDIES


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_page_comes_from_its_stored_result(name: str) -> None:
    result = read_result(REPORTS / "results" / name)
    figures = sorted(path.name for path in (REPORTS / "figures" / name).glob("*.png"))
    page = study_page.study_page(leaderboard(result), figures)
    assert page == (REPORTS / f"{name}.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def boards() -> list[Leaderboard]:
    results, refusals = read_results(REPORTS / "results")
    assert refusals == []
    return [leaderboard(result) for result in results if "@" not in result.name]


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


def test_the_published_leakage_ablation_comes_from_its_stored_records(tmp_path: Path) -> None:
    shutil.copytree(REPORTS / "leakage", tmp_path / "leakage")
    page = leakage.write_page(tmp_path)
    assert page is not None
    assert page.read_bytes() == (REPORTS / page.name).read_bytes()


def test_the_readme_comes_from_the_stored_results(
    boards: list[Leaderboard], tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    before = (PROJECT / "README.md").read_text(encoding="utf-8")
    readme.write_text(before, encoding="utf-8")
    update_readme(readme, boards)
    assert readme.read_text(encoding="utf-8") == before
