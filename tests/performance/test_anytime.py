"""The best CV score against time: ours beside FLAML and successive halving, on the same table.

Run with ``pytest tests/performance/test_anytime.py``, SER_CORPORA set; SER_BUDGETS="20 60 240"
changes the seconds, SER_FLAML names a Python that has FLAML, if this one has not. Whole processes
are timed, imports and all, one after the other, on the clips of the capstone under the
speaker-dependent protocol: means-184, without copies, three inner folds, the mean UAR over corpora.
The study has the capstone's name, so that its portfolio is chosen without the capstone.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmark.engine.arrays import StoredArrays, load_arrays
from benchmark.evaluation.metrics import fold_weights

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
BUDGETS = [int(seconds) for seconds in os.environ.get("SER_BUDGETS", "20 60 240").split()]
PROTOCOL = "speaker-dependent"
STUDY = """
question = "How fast does the CV score rise?"
corpora  = ["ravdess", "tess", "savee"]
emotions = ["angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised"]
features = "means-184"

[split]
protocols = ["speaker-dependent"]

[search]
trials  = 10000
folds   = 3
metric  = "uar"
initial = "portfolio"

[models.lda]
shrinkage = { low = 1e-3, high = 1.0, log = true }

[models.logistic_regression]
C = { low = 1e-4, high = 1e2, log = true }
max_iter = 1000

[models.random_forest]
n_estimators = { low = 100, high = 300, step = 50 }
max_features = ["sqrt", "log2"]

[models.svc]
C = { low = 1e-1, high = 1e2, log = true }

[models.mlp]
hidden_layer_sizes = [[128], [300], [256, 128]]
alpha = { low = 1e-5, high = 1e1, log = true }
learning_rate_init = { low = 3e-4, high = 5e-3, log = true }
max_iter = 100

[models.gradient_boosting]
learning_rate = { low = 0.03, high = 0.3, log = true }
"""

Curve = list[tuple[float, float]]


def command(project: Path, recordings: Path, *arguments: str) -> list[str]:
    study = [str(project / "capstone.toml"), "--corpora", str(recordings)]
    return [sys.executable, "-m", "benchmark", *arguments, *study, "--project", str(project)]


@pytest.fixture(scope="module")
def project(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the features of the study are extracted."""
    folder = tmp_path_factory.mktemp("anytime")
    (folder / "capstone.toml").write_text(STUDY)
    subprocess.run(command(folder, recordings, "extract"), cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def table(project: Path) -> Path:
    """The training table in a file that any Python reads."""
    data = load_arrays(StoredArrays(project / f"features_cache/capstone/{PROTOCOL}/arrays", ""))
    weights = fold_weights(data.corpora, data.fold, data.n_folds)
    np.savez(
        project / "table.npz", values=data.values, emotions=data.emotions.astype(str),
        fold=data.fold, corpora=data.corpora, weights=weights,
    )  # fmt: skip
    return project / "table.npz"


def ours(extracted: Path, recordings: Path, project: Path, seconds: int) -> tuple[Curve, float]:
    """Our curve, of the trials that the run stored, and the duration of the run."""
    shutil.copytree(extracted, project)
    arguments = ("run-study", "--minutes", f"{seconds / 60:.4f}")
    began, clock = time.time(), time.monotonic()
    subprocess.run(command(project, recordings, *arguments), cwd=ROOT, check=True)
    whole_s = time.monotonic() - clock
    with sqlite3.connect(project / "optuna.db") as database:
        rows = database.execute(
            "SELECT datetime_complete, value FROM trials JOIN trial_values USING (trial_id) "
            "WHERE state = 'COMPLETE' ORDER BY datetime_complete"
        ).fetchall()
    ended = [datetime.fromisoformat(moment).timestamp() - began for moment, _ in rows]
    best = np.maximum.accumulate([score for _, score in rows])
    floor = 1 / 7 + 1e-6  # the baseline is no model
    return [(t, s) for t, s in zip(ended, best, strict=True) if s > floor], whole_s


def theirs(python: str, script: str, table: Path, seconds: int) -> Curve:
    """The curve of a script."""
    output = table.with_name(f"{script}_{seconds}.json")
    command = [python, str(HERE / script), str(table), str(seconds), str(output)]
    command.append(str(time.time()))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, timeout=10 * seconds + 120, env=environment)
    return [(moment, score) for moment, score in json.loads(output.read_text())]


def at(curve: Curve, moment: float) -> float:
    """The best score up to a moment; 0 before the first."""
    return max((score for ended, score in curve if ended <= moment), default=0.0)


def line(name: str, curve: Curve, seconds: int) -> str:
    """A curve in a line, at eight moments."""
    moments = np.linspace(seconds / 8, seconds, 8)
    points = "  ".join(f"{moment:.0f} s {at(curve, moment):.3f}" for moment in moments)
    first = f"first model after {curve[0][0]:.1f} s" if curve else "no model"
    return f"{name:8} {points}  ({first})"


@pytest.mark.parametrize("seconds", BUDGETS)
def test_the_curves(
    project: Path,
    recordings: Path,
    table: Path,
    tmp_path: Path,
    record: Callable[[str], None],
    seconds: int,
) -> None:
    own, whole_s = ours(project, recordings, tmp_path / "project", seconds)
    record(f"\nCV UAR within {seconds} s; ours ended after {whole_s:.0f} s")
    record(line("ours", own, seconds))
    record(line("halving", theirs(sys.executable, "anytime_halving.py", table, seconds), seconds))
    assert own


@pytest.mark.parametrize("seconds", BUDGETS)
def test_the_curve_of_flaml(table: Path, record: Callable[[str], None], seconds: int) -> None:
    python = os.environ.get("SER_FLAML", sys.executable)
    if python == sys.executable and find_spec("flaml") is None:
        pytest.skip("needs FLAML: install it, or set SER_FLAML to a Python that has it")
    curve = theirs(python, "anytime_flaml.py", table, seconds)
    record(f"\nCV UAR within {seconds} s")
    record(line("FLAML", curve, seconds))
    assert curve
