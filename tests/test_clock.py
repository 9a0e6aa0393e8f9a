"""Clock jumps change no result, because durations are measured with a monotonic clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.bench import Bench
from tests.support.clock import DAY_S, Clock
from tests.support.stores import assert_same, run_on


def test_the_clock_of_these_tests_jumps(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    clock.set(-3650 * DAY_S)
    program = "import time; from datetime import datetime; print(time.time(), datetime.now().year)"
    said = subprocess.run(
        [sys.executable, "-c", program], env=clock.environment, capture_output=True, check=True
    )
    seconds, year = said.stdout.split()
    assert 0 < float(seconds) < 3e9
    assert subprocess.run(["date", "+%Y"], capture_output=True, check=True).stdout > year


def test_a_clock_that_jumps_changes_no_result(
    finished: Bench, bench: Bench, tmp_path: Path
) -> None:
    clock = Clock(tmp_path)
    storage, tracking = (f"sqlite:///{bench.project / name}.db" for name in ("optuna", "mlflow"))
    with run_on(bench, storage, tracking, **clock.environment) as process:
        jumps = clock.jump(process, every_s=0.5, seed=0)
        said = process.communicate()[1]
    assert process.returncode == 0, said
    assert jumps >= 4
    assert_same(bench, finished, storage, tracking)
