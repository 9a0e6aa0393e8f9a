"""A real study with a time budget while other programs keep the machine busy.

Run with ``pytest tests/performance/test_budget.py``; SER_BUDGETS="30 60 120" changes the seconds,
SER_LOAD the number of busy processes for each core, 2 by default.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark.engine.processes import available_cores
from benchmark.study import BASELINE

ROOT = Path(__file__).parent.parent.parent
BUDGETS = [int(seconds) for seconds in os.environ.get("SER_BUDGETS", "30 60 120").split()]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the quickstart's features are extracted."""
    project = tmp_path_factory.mktemp("extracted")
    command = [sys.executable, "-m", "benchmark", "extract", "--project", str(project)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return project


@pytest.fixture
def load() -> Iterator[int]:
    """Processes that compute all the time."""
    count = int(os.environ.get("SER_LOAD", "2")) * available_cores()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    yield count
    for process in busy:
        process.kill()
        process.wait()


@pytest.mark.parametrize("seconds", BUDGETS)
def test_a_busy_machine_ends_with_models(
    extracted: Path, load: int, record: Callable[[str], None], seconds: int
) -> None:
    changes = ("--set", "search.trials=1000", "--set", f"seed={seconds}")
    command = [sys.executable, "-m", "benchmark", "run-study", "--minutes", f"{seconds / 60:.4f}"]
    began = time.monotonic()
    subprocess.run(
        [*command, *changes, "--project", str(extracted)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    whole_s = time.monotonic() - began
    results = (extracted / "reports/results").glob("*/study.json")
    stored = json.loads(max(results, key=lambda path: path.stat().st_mtime).read_text())
    models = {one["model"] for one in stored["winners"]} - {BASELINE}
    record(
        f"budget of {seconds} s beside {load} busy processes: ended after {whole_s:.0f} s, with "
        f"{', '.join(sorted(models))}"
    )
    assert models
