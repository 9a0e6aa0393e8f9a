"""How long the capstone's search takes beside a careful user's script, on the real recordings.

Run with ``pytest tests/performance/test_capstone.py -s``, SER_CORPORA set; an hour and more, nearly
all of it the script's. Both search the capstone's tables of unseen speakers, by its spaces, on its
folds, with as many trials (50; SER_TRIALS changes that). Left out on both sides: the source's own
settings, which the study file has tried first (one of them takes 12 core minutes, and no search can
know beforehand that it is not worth that), and the network. The study gives up hopeless trials
(`pruner = "paired"`); it also fits its winners, votes, tests, stores and draws.

Two figures tell what the search costs beside its fits: the time of fits whose results are kept (not
of folds that a pruned trial had begun), and the processor time of the workers, sampled each second.

The script is told nothing of this project: Optuna's `optimize`, `cross_val_score` on all cores, one
BLAS thread, one nested MLflow run a trial. Whole processes are timed; features lie ready for both.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmark.engine.processes import THREAD_LIMITS, available_cores

ROOT = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).parent / "plain_script.py"
TRIALS = os.environ.get("SER_TRIALS", "50")

SEARCH = f"""[search]
trials = {TRIALS}
folds  = 5
metric = "uar"
engine = "intelex"
concurrent_trials = 2
pruner = "paired"

"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The capstone's spaces on unseen speakers, without what it tries first, and the network."""
    text = (ROOT / "studies/capstone.toml").read_text()
    text = re.sub(r"(?ms)^\[search\].*?(?=^\[models)", SEARCH, text)
    text = re.sub(r"(?ms)^\[models\.conv1d\].*", "", text)
    text = re.sub(r"(?ms)^\[ensembles\].*", "", text)
    text = re.sub(r"(?m)^initial = .*\n", "", text)
    text = re.sub(r"(?m)^protocols = .*$", 'protocols = ["speaker-independent"]', text)
    text = re.sub(r"(?m)^folds     = 4.*$", "test_size = 0.25", text)
    path = tmp_path_factory.mktemp("study") / "speed.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def extracted(recordings: Path, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the study's features are extracted."""
    project = tmp_path_factory.mktemp("extracted")
    command = [sys.executable, "-m", "benchmark", "extract", str(study)]
    command += ["--project", str(project), "--corpora", str(recordings)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return project


@dataclass
class Load:
    """Processor seconds of a process and of its workers, sampled while it runs.

    Attributes
    ----------
    samples : list of (float, float)
        Seconds since the start, and the seconds of all workers, those that have ended included.
    own_s : float
        Of the main process.
    """

    samples: list[tuple[float, float]] = field(default_factory=list)
    own_s: float = 0.0

    def watch(self, process: psutil.Process, began: float) -> None:
        """Sample until the process ends."""
        by_worker: dict[int, float] = {}
        with suppress(psutil.Error):
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                self.own_s = sum(process.cpu_times()[:2])
                for worker in process.children(recursive=True):
                    with suppress(psutil.Error):
                        by_worker[worker.pid] = sum(worker.cpu_times()[:2])
                self.samples.append((time.perf_counter() - began, sum(by_worker.values())))
                time.sleep(1)

    def busy(self, first_s: float, last_s: float) -> float:
        """Return the processor seconds of workers between two moments."""
        moments, seconds = np.array(self.samples).T
        return float(np.interp(last_s, moments, seconds) - np.interp(first_s, moments, seconds))


def watched(command: list[str], folder: Path) -> tuple[float, float, Load]:
    """Run a command in a folder; return when it began, how long it took, and its load."""
    environment = {k: v for k, v in os.environ.items() if k not in THREAD_LIMITS}
    began, clock, load = time.time(), time.perf_counter(), Load()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        load.watch(psutil.Process(process.pid), clock)
    assert process.returncode == 0
    return began, time.perf_counter() - clock, load


def best_by_time(project: Path, began: float) -> list[tuple[float, str, float]]:
    """Each complete trial: seconds, model, score."""
    with sqlite3.connect(project / "optuna.db") as database:
        rows = database.execute(
            "SELECT datetime_complete, study_name, value FROM trials JOIN studies USING (study_id) "
            "JOIN trial_values USING (trial_id) WHERE state = 'COMPLETE' ORDER BY datetime_complete"
        ).fetchall()
    told = [
        (datetime.fromisoformat(ended).replace(tzinfo=UTC).timestamp() - began, name, value)
        for ended, name, value in rows
    ]
    return [(seconds, name.split(": ")[1].split(",")[0], value) for seconds, name, value in told]


def last_trial_s(project: Path, began: float) -> float:
    """The seconds at which the last trial ended, pruned or complete."""
    with sqlite3.connect(project / "optuna.db") as database:
        ((ended,),) = database.execute("SELECT max(datetime_complete) FROM trials").fetchall()
    return datetime.fromisoformat(ended).replace(tzinfo=UTC).timestamp() - began


def test_the_capstone_study_and_a_careful_script(
    recordings: Path, study: Path, extracted: Path, tmp_path: Path, record: Callable[[str], None]
) -> None:
    project, script = tmp_path / "project", tmp_path / "script"
    shutil.copytree(extracted, project)
    script.mkdir()
    command = [sys.executable, "-m", "benchmark", "run-study", str(study)]
    command += ["--project", str(project), "--corpora", str(recordings)]
    began, ours_s, load = watched(command, ROOT)
    told = best_by_time(project, began)
    ours = {model: max(score for _, m, score in told if m == model) for _, model, _ in told}
    cores = available_cores()
    folds = map(np.load, (project / "features_cache/searches").rglob("*.npz"))
    busy_s = sum(float(one["seconds"]) for one in folds if "seconds" in one)
    search_s = last_trial_s(project, began)
    first_s = min(seconds for seconds, _, _ in told)
    searching = load.busy(first_s, search_s) / cores / (search_s - first_s)
    record(f"study: {ours_s:.0f} s, of which searching from {first_s:.0f} to {search_s:.0f} s")
    record(
        f"  fits kept {busy_s:.0f} s on {cores} cores; the wall time of all beyond that: "
        f"{1 - busy_s / cores / ours_s:.1%}, of the search: {1 - busy_s / cores / search_s:.1%}"
    )
    record(
        f"  workers busy {searching:.1%} of the search, "
        f"{load.busy(0, ours_s) / cores / ours_s:.1%} of all; main process {load.own_s:.0f} CPU s"
    )
    tables = extracted / "features_cache/speed"
    one_thread = dict.fromkeys(THREAD_LIMITS, "1")
    plain = [sys.executable, str(SCRIPT), str(study), str(tables), "best.json", str(cores)]
    clock = time.perf_counter()
    environment = os.environ | one_thread
    subprocess.run(plain, cwd=script, env=environment, check=True, capture_output=True)
    script_s = time.perf_counter() - clock
    best = json.loads((script / "best.json").read_text())
    record(f"careful script: {script_s:.0f} s, {script_s / ours_s:.1f} times the study's")
    for search, score in best.items():
        model = search.split()[1]
        record(f"  {model}: best inner UAR {score:.4f}, the study {ours[model]:.4f}")
    target = max(best.values())
    reached_s = min((s for s, _, score in told if score >= target), default=float("nan"))
    record(f"  its best, {target:.4f}, the study had after {reached_s:.0f} s")
    record(f"  that is {reached_s / script_s:.2f} of the script's time")
    assert set(ours) == {search.split()[1] for search in best} | {"majority"}
    assert script_s > 2 * ours_s
