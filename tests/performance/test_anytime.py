"""The best CV score against time: ours beside FLAML and successive halving, on the same tables.

Run with ``pytest tests/performance/test_anytime.py``, SER_CORPORA set; SER_BUDGETS="20 60 240"
changes the seconds, SER_SEEDS="0 1 2" the seeds, SER_PROTOCOL the protocol, and SER_FLAML names a
Python that has FLAML, if this one has not. Whole processes are timed, imports and all, one after
the other, on the clips of the capstone: means-184, without copies, three inner folds, the mean UAR
over corpora. A seed draws a test side and the folds, and is that of each search; a line is the
median over the seeds. Beside it stands the UAR on the test side, all clips together, of the model
that is handed over: ours is selected among the models and the greedy ensemble of their trials.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from benchmark import leaderboard, read_result
from benchmark.data.tables import IDENTITY
from benchmark.engine.arrays import StoredArrays, load_arrays
from benchmark.evaluation.metrics import fold_weights

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
BUDGETS = [int(seconds) for seconds in os.environ.get("SER_BUDGETS", "20 60 240").split()]
SEEDS = [int(seed) for seed in os.environ.get("SER_SEEDS", "0").split()]
PROTOCOL = os.environ.get("SER_PROTOCOL", "speaker-dependent")
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

[ensembles]
greedy = "greedy"
"""

Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class Searched:
    """What one process has found: the best CV score at each moment, and the final test UAR."""

    curve: Curve
    test_uar: float
    whole_s: float

    def at(self, moment: float) -> float:
        """The best score up to a moment; 0 before the first."""
        return max((score for ended, score in self.curve if ended <= moment), default=0.0)


@dataclass(frozen=True)
class Prepared:
    """A project in which the features of the study are extracted, for one seed."""

    project: Path
    corpora: Path

    def run(self, *arguments: str, project: Path | None = None) -> None:
        """Run a command of the package on the study."""
        folder = project or self.project
        study = [str(folder / "capstone.toml"), "--corpora", str(self.corpora)]
        command = [sys.executable, "-m", "benchmark", *arguments, *study, "--project", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True)

    @property
    def table(self) -> Path:
        """The tables in a file that any Python reads."""
        return self.project / "table.npz"

    def write_table(self) -> None:
        """Write it."""
        folder = self.project / "features_cache/capstone" / PROTOCOL
        data = load_arrays(StoredArrays(folder / "arrays", ""))
        test = pd.read_csv(folder / "test.csv", keep_default_na=False)
        np.savez(
            self.table, values=data.values, emotions=data.emotions.astype(str),
            fold=data.fold, corpora=data.corpora,
            weights=fold_weights(data.corpora, data.fold, data.n_folds),
            test_values=test.drop(columns=list(IDENTITY)).to_numpy(np.float32),
            test_emotions=test["emotion"].to_numpy(str),
        )  # fmt: skip


@pytest.fixture(scope="module")
def prepared(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Prepared]:
    """The projects of all seeds."""
    return [_prepare(tmp_path_factory.mktemp(f"seed{seed}"), recordings, seed) for seed in SEEDS]


def _prepare(folder: Path, recordings: Path, seed: int) -> Prepared:
    text = STUDY.replace("speaker-dependent", PROTOCOL)
    (folder / "capstone.toml").write_text(f"seed = {seed}\n{text}")
    prepared = Prepared(folder, recordings)
    prepared.run("extract")
    prepared.write_table()
    return prepared


def ours(prepared: Prepared, project: Path, seconds: int) -> Searched:
    """Our search: its trials as the run stored them, and its selected model's test clips."""
    shutil.copytree(prepared.project, project)
    began, clock = time.time(), time.monotonic()
    prepared.run("run-study", "--minutes", f"{seconds / 60:.4f}", project=project)
    whole_s = time.monotonic() - clock
    with sqlite3.connect(project / "optuna.db") as database:
        rows = database.execute(
            "SELECT datetime_complete, value FROM trials JOIN trial_values USING (trial_id) "
            "WHERE state = 'COMPLETE' ORDER BY datetime_complete"
        ).fetchall()
    ended = [datetime.fromisoformat(moment).timestamp() - began for moment, _ in rows]
    best = np.maximum.accumulate([score for _, score in rows])
    floor = 1 / 7 + 1e-6  # the baseline is no model
    curve = [(t, s) for t, s in zip(ended, best, strict=True) if s > floor]
    (name,) = (path.name for path in (project / "reports/results").iterdir())
    result = read_result(name, project)
    board = leaderboard(result)
    (selected,) = board.loc[board["selected"], "model"]
    rows = result.predictions[result.predictions["model"] == selected]
    columns = [f"p_{emotion}" for emotion in result.emotions]
    predicted = np.array(result.emotions)[rows[columns].to_numpy().argmax(axis=1)]
    test_uar = recall_score(rows["emotion"], predicted, average="macro")
    return Searched(curve, float(test_uar), whole_s)


def theirs(python: str, script: str, prepared: Prepared, seconds: int, seed: int) -> Searched:
    """The search of a script."""
    output, clock = prepared.table.with_name(f"{script}_{seconds}.json"), time.monotonic()
    command = [python, str(HERE / script), str(prepared.table), str(seconds), str(output)]
    command += [str(time.time()), str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, timeout=10 * seconds + 120, env=environment)
    found = json.loads(output.read_text())
    curve = [(moment, score) for moment, score in found["curve"]]
    return Searched(curve, found["test_uar"], time.monotonic() - clock)


def line(name: str, runs: Sequence[Searched], seconds: int) -> str:
    """The medians over seeds in a line, at eight moments."""
    moments = np.linspace(seconds / 8, seconds, 8)
    points = "  ".join(f"{at:.0f} s {median(run.at(at) for run in runs):.3f}" for at in moments)
    firsts = [run.curve[0][0] for run in runs if run.curve]
    first = f"first model after {median(firsts):.1f} s" if firsts else "no model"
    test = ", ".join(f"{run.test_uar:.3f}" for run in runs)
    return f"{name:8} {points}  ({first}; test UAR {test})"


@pytest.mark.parametrize("seconds", BUDGETS)
def test_the_curves(
    prepared: list[Prepared], tmp_path: Path, record: Callable[[str], None], seconds: int
) -> None:
    own = [ours(one, tmp_path / str(n), seconds) for n, one in enumerate(prepared)]
    record(f"\nCV UAR within {seconds} s, {PROTOCOL}, medians of {len(SEEDS)} seeds")
    record(line("ours", own, seconds))
    record(f"ours ended after {', '.join(f'{run.whole_s:.0f}' for run in own)} s")
    halving = [
        theirs(sys.executable, "anytime_halving.py", one, seconds, seed)
        for one, seed in zip(prepared, SEEDS, strict=True)
    ]
    record(line("halving", halving, seconds))
    assert all(run.curve for run in own)


@pytest.mark.parametrize("seconds", BUDGETS)
def test_the_curve_of_flaml(
    prepared: list[Prepared], record: Callable[[str], None], seconds: int
) -> None:
    python = os.environ.get("SER_FLAML", sys.executable)
    if python == sys.executable and find_spec("flaml") is None:
        pytest.skip("needs FLAML: install it, or set SER_FLAML to a Python that has it")
    runs = [
        theirs(python, "anytime_flaml.py", one, seconds, seed)
        for one, seed in zip(prepared, SEEDS, strict=True)
    ]
    record(f"\nCV UAR within {seconds} s, {PROTOCOL}, medians of {len(SEEDS)} seeds")
    record(line("FLAML", runs, seconds))
    assert all(run.curve for run in runs)
