"""What is committed in reports/ is what this code makes of the stored results."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.report import claims_page, pages, update_readme
from benchmark.report.leaderboard import leaderboard
from benchmark.results import read_result, read_results

PROJECT = Path(__file__).parent.parent
REPORTS = PROJECT / "reports"
STUDIES = sorted(path.stem for path in (PROJECT / "studies").glob("*.toml"))
PUBLISHED = [name for name in STUDIES if (REPORTS / "results" / name).is_dir()]


def test_every_study_is_published() -> None:
    assert PUBLISHED == STUDIES


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_page_comes_from_its_stored_result(name: str) -> None:
    result = read_result(REPORTS / "results" / name)
    figures = sorted(path.name for path in (REPORTS / "figures" / name).glob("*.png"))
    page = pages.study_page(leaderboard(result), figures)
    assert page == (REPORTS / f"{name}.md").read_text(encoding="utf-8")


def test_the_published_claims_and_the_readme_come_from_the_stored_results(tmp_path: Path) -> None:
    results, refusals = read_results(REPORTS / "results")
    own = [result for result in results if "@" not in result.name]
    assert refusals == []
    page = claims_page.claims_page([leaderboard(result) for result in own])
    assert page == (REPORTS / "claims.md").read_text(encoding="utf-8")
    readme = tmp_path / "README.md"
    before = (PROJECT / "README.md").read_text(encoding="utf-8")
    readme.write_text(before, encoding="utf-8")
    update_readme(readme, own)
    assert readme.read_text(encoding="utf-8") == before
