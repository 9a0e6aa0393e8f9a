"""How long the last stage of the quickstart takes with all results stored, and without them.

Run with ``pytest tests/performance/test_pages.py``. The stage records looks and writes pages; it is
timed in one process, after a first call that imports everything.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.console import Console
from benchmark.evaluation.results import read_result
from benchmark.pipeline import publish
from benchmark.project import Project

ROOT = Path(__file__).parent.parent.parent
STORED = sorted(path.parent.name for path in (ROOT / "reports/results").glob("*/study.json"))
ROUNDS = 3
MOST = 2.0
"""The last stage with all results stored takes at most this many times as long."""

seconds: dict[str, float] = {}


@pytest.mark.parametrize(("name", "studies"), [("alone", ["quickstart"]), ("among all", STORED)])
def test_the_last_stage(benchmark: Any, tmp_path: Path, name: str, studies: list[str]) -> None:
    project = Project(tmp_path)
    for study in studies:
        shutil.copytree(ROOT / "reports/results" / study, project.results / study)
    shutil.copy(ROOT / "reports/looks.csv", project.reports)
    shutil.copy(ROOT / "README.md", tmp_path)
    result = read_result(project.results / "quickstart")
    benchmark.pedantic(publish, args=(result, project, Console()), rounds=ROUNDS, warmup_rounds=1)
    seconds[name] = benchmark.stats.stats.median


def test_the_ratio(record: Callable[[str], None]) -> None:
    ratio = seconds["among all"] / seconds["alone"]
    record(f"last stage among {len(STORED)} results: {seconds['among all']:.1f} s, {ratio:.2f}")
    assert ratio <= MOST
