"""How long the quickstart study takes beside a plain script on the same tables and spaces.

Run with ``pytest tests/performance/test_study.py``. Whole processes are timed, imports and all,
each in a folder of its own; the features lie ready for both. The study also fits its winners on all
training rows, votes, evaluates, stores models and draws its pages; the script does none of that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.engine.processes import THREAD_LIMITS, available_cores

ROOT = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).parent / "plain_script.py"
ROUNDS = 3

seconds: dict[str, float] = {}
scores: dict[str, dict[str, float]] = {}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the quickstart's features are extracted."""
    project = tmp_path_factory.mktemp("extracted")
    command = [sys.executable, "-m", "benchmark", "extract", "--project", str(project)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return project


def timed(
    benchmark: Any, name: str, folder: Path, source: Path, command: list[str], **variables: str
) -> Path:
    """Time a command in a fresh copy of the project each round; return the last round's folder."""
    rounds = iter(range(ROUNDS))

    def fresh() -> tuple[tuple[Path], dict[str, Any]]:
        copy = folder / str(next(rounds))
        shutil.copytree(source, copy)
        return (copy,), {}

    def run(copy: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in THREAD_LIMITS} | variables
        subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True)

    benchmark.pedantic(run, setup=fresh, rounds=ROUNDS)
    seconds[name] = benchmark.stats.stats.median
    return folder / str(ROUNDS - 1)


def test_the_quickstart_study(benchmark: Any, extracted: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmark", "run-study"]
    last = timed(benchmark, "study", tmp_path, extracted, command, PYTHONPATH=str(ROOT))
    trials = pd.read_csv(last / "reports/results/quickstart/trials.csv")
    best = trials.groupby(["protocol", "model"])["score"].max()
    scores["study"] = {" ".join(key): value for key, value in best.items()}


@pytest.mark.parametrize(
    ("name", "jobs", "variables"),
    [
        ("plain script", 1, {}),
        ("careful script", available_cores(), dict.fromkeys(THREAD_LIMITS, "1")),
    ],
)
def test_a_script(
    benchmark: Any, extracted: Path, tmp_path: Path, name: str, jobs: int, variables: dict[str, str]
) -> None:
    study, tables = ROOT / "studies/quickstart.toml", extracted / "features_cache/quickstart"
    command = [sys.executable, str(SCRIPT), str(study), str(tables), "best.json", str(jobs)]
    last = timed(benchmark, name, tmp_path, extracted, command, **variables)
    scores[name] = json.loads((last / "best.json").read_text())


def test_the_ratios(record: Callable[[str], None]) -> None:
    for name in ("plain script", "careful script"):
        record(
            f"{name}: {seconds[name]:.1f} s, {seconds[name] / seconds['study']:.2f} of the study"
        )
        for search, best in scores[name].items():
            ours = scores["study"][search]
            record(f"  {search}: best inner UAR {best:.3f}, the study {ours:.3f}")
