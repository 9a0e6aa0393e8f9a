"""Killed processes: the study ends with the bytes of an uninterrupted run.

    pytest tests/faults/test_processes.py -s

FAULTS_KILLS=N and FAULTS_WORKER_KILLS=N set how often the main process and a worker are killed;
about twenty minutes each on two cores. FAULTS_SEED=N changes the moments.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.faults.stages import FULL_STUDY, STAGES, Watched, differences, is_refusal, kill
from tests.support.bench import Bench, make_bench
from tests.support.platforms import linux

KILLS = int(os.environ.get("FAULTS_KILLS", "100"))
WORKER_KILLS = int(os.environ.get("FAULTS_WORKER_KILLS", "50"))
SEED = int(os.environ.get("FAULTS_SEED", "0"))

KILLS_A_RUN = 3  # of a worker: each repeats a task, and two on one task end the run

PART = 0.5  # of the time in the uninterrupted run: the machine may be faster, and a resumed run is

pytestmark = linux

Unbroken = tuple[Bench, dict[str, float]]


def kill_in(bench: Bench, stage: str, after_s: float, workers: int) -> tuple[str, str]:
    """Kill a study some seconds after the start of a stage; return the stage it was in."""
    with Watched(bench, "--workers", str(workers)) as study:
        study.watch(stage)
        time.sleep(after_s)
        stack = study.stack()
        found = study.stage()
        study.process.kill()
        killed = study.process.wait() == -signal.SIGKILL
    return (found if killed else "end"), stack


def test_a_killed_main_process_loses_nothing_in_any_stage(
    unbroken: Unbroken, tones: Path, tmp_path: Path, record: Callable[[str], None]
) -> None:
    whole, seconds = unbroken
    moments = random.Random(SEED)
    killed: Counter[str] = Counter()
    logging = chains = 0
    wrong: list[str] = []
    record(f"\nseconds a stage: { {stage: round(s, 2) for stage, s in seconds.items()} }")
    while killed.total() < KILLS:
        chains += 1
        bench = make_bench(tmp_path / str(chains), tones, FULL_STUDY)
        for stage in STAGES:
            after_s = moments.uniform(0.0, PART * seconds[stage])
            found, stack = kill_in(bench, stage, after_s, workers=1 + chains % 2)
            killed.update([found] if found != "end" else [])
            logging += "log_trial" in stack
        bench.run()
        wrong += [f"chain {chains}: {name}" for name in differences(bench, whole)]
        shutil.rmtree(tmp_path / str(chains))
        record(f"kills by stage: {dict(killed)}, of {chains} chains; wrong: {wrong}")
    record(f"kills of the main process: {killed.total()}; as a trial was logged: {logging}")
    assert not wrong
    assert all(killed[stage] for stage in STAGES)


def test_a_killed_worker_changes_no_result(
    unbroken: Unbroken, tones: Path, tmp_path: Path, record: Callable[[str], None]
) -> None:
    whole, seconds = unbroken
    moments = random.Random(SEED)
    killed: Counter[str] = Counter()
    wrong: list[str] = []
    runs = again = 0
    while killed.total() < WORKER_KILLS:
        runs += 1
        bench = make_bench(tmp_path / str(runs), tones, FULL_STUDY)
        whole_s = PART * sum(seconds[stage] for stage in STAGES)
        with Watched(bench, "--workers", "2") as study:
            study.watch("extraction")
            began = time.monotonic()
            for after_s in sorted(moments.uniform(0.0, whole_s) for _ in range(KILLS_A_RUN)):
                time.sleep(max(0.0, began + after_s - time.monotonic()))
                stage, workers = study.stage(), study.workers()
                killed.update([stage] if workers and kill(moments.choice(workers)) else [])
            status = study.process.wait()
            text = study.errors()
        if is_refusal(status, text):  # the same task was killed twice
            again += 1
            status = bench.run(check=False).returncode
        wrong += [f"run {runs}: status {status}: {text}"] if status else []
        wrong += [f"run {runs}: {name}" for name in differences(bench, whole)]
        shutil.rmtree(tmp_path / str(runs))
        record(f"kills of a worker by stage: {dict(killed)}; runs: {runs}; wrong: {wrong}")
    record(f"kills of a worker: {killed.total()}, in {runs} studies; {again} run again")
    assert not wrong
