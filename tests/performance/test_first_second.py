"""How soon the tool answers: help, the list, refusals, and the first trial of known features.

Run with ``pytest tests/performance/test_first_second.py``. Whole processes, median of five, with
their bytecode kept as it is for any user. Aims: half a second, also for an unknown study; a second
and a half; six seconds.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 5
TOOL = [sys.executable, "-m", "benchmark"]
ENVIRONMENT = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

COMMANDS = {
    "--help": (["--help"], 0),
    "run-study --help": (["run-study", "--help"], 0),
    "list": (["list"], 0),
    "an unknown study": (["run-study", "nosuch"], 2),
    "a refused study": (["run-study", "capstone", "--set", "models.logistic_regresion.C=1"], 2),
    "a refused value": (["run-study", "capstone", "--set", "models.logistic_regression.C=-1"], 2),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_answer(name: str, record: Callable[[str], None]) -> None:
    arguments, status = COMMANDS[name]
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ended = subprocess.run(
            [*TOOL, *arguments], cwd=ROOT, env=ENVIRONMENT, check=False, capture_output=True
        )
        seconds.append(time.perf_counter() - began)
        assert ended.returncode == status
    record(f"{name}: {median(seconds):.2f} s")


def test_the_first_trial_of_a_warm_study(tmp_path: Path, record: Callable[[str], None]) -> None:
    warm = tmp_path / "warm"
    command = [*TOOL, "extract", "--project", str(warm)]
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
    seconds = []
    for number in range(ROUNDS):
        project = tmp_path / str(number)
        shutil.copytree(warm, project)
        began = time.time()
        command = [*TOOL, "run-study", "--project", str(project)]
        subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
        with sqlite3.connect(project / "optuna.db") as database:
            query = "SELECT min(datetime_complete) FROM trials"
            (first,) = database.execute(query).fetchone()
        ended = datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp()
        seconds.append(ended - began)
    record(f"the first trial of a warm study: {median(seconds):.1f} s")
