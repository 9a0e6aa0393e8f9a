"""Clock jumps by days and years during whole studies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bench import Bench
from tests.support.clock import Clock
from tests.support.stores import assert_same, run_on


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("every_s", [0.1, 2.0])
def test_jumps_by_days_and_years(
    finished: Bench,
    bench: Bench,
    record: Callable[[str], None],
    tmp_path: Path,
    every_s: float,
    seed: int,
) -> None:
    clock = Clock(tmp_path)
    storage, tracking = (f"sqlite:///{bench.project / name}.db" for name in ("optuna", "mlflow"))
    with run_on(bench, storage, tracking, **clock.environment) as process:
        jumps = clock.jump(process, every_s, seed)
        said = process.communicate()[1]
    assert process.returncode == 0, said
    assert_same(bench, finished, storage, tracking)
    record(f"the clock jumped {jumps} times: same bytes, runs whole")
