"""What it costs to store a trial and to log one, by database, in milliseconds.

Run with ``pytest tests/performance/test_databases.py``. One writer, as in a study; medians over
`TRIALS` trials of eight parameters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.engine.databases import with_driver
from benchmark.search.trial import Trial
from benchmark.study import ModelSettings
from benchmark.tracking.tracker import Tracker
from tests.support.postgres import Postgres
from tests.support.stores import PLAN, opened
from tests.support.tracking import STUDY, TRIAL, served
from tests.support.waiting import free_port

TRIALS = 200
SPACE = {f"parameter_{place}": {"low": 0.0, "high": 1.0} for place in range(8)}
PARAMS = dict.fromkeys(SPACE, 0.5)


def told(milliseconds: list[float]) -> str:
    """Median and 95th percentile."""
    median, high = np.percentile(milliseconds, [50, 95])
    return f"{median:6.1f} ms a trial (95 %: {high:.1f})"


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_storing_a_trial(
    kind: str, postgres: Postgres, tmp_path: Path, record: Callable[[str], None]
) -> None:
    urls = {"SQLite": f"sqlite:///{tmp_path / 'optuna.db'}", "PostgreSQL": postgres.database()}
    plan = replace(PLAN, spec=ModelSettings.model_validate(SPACE))
    store, study = opened(urls[kind])
    took = []
    for number in range(TRIALS):
        began = time.perf_counter()
        store.add(study, plan, Trial(number, PARAMS, PARAMS, (0.5,) * 5, 1.0, 7))
        took.append(1000 * (time.perf_counter() - began))
    assert len(list(store.trials(study, PLAN))) == TRIALS
    record(f"storing in {kind}: {told(took)}")


@contextmanager
def store_of_runs(kind: str, postgres: Postgres, folder: Path) -> Iterator[str]:
    """The address of a new store of runs."""
    if kind == "a server on PostgreSQL":
        with served(folder, free_port(), with_driver(postgres.database())) as address:
            yield address
    else:
        stores = {"SQLite": f"sqlite:///{folder / 'mlflow.db'}", "PostgreSQL": postgres.database()}
        yield with_driver(stores[kind])


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL", "a server on PostgreSQL"])
def test_logging_a_trial(
    kind: str, postgres: Postgres, tmp_path: Path, record: Callable[[str], None]
) -> None:
    with store_of_runs(kind, postgres, tmp_path) as address:
        tracker = Tracker(address, "cost", artifacts=tmp_path / "mlruns")
        tracker.begin(STUDY)
        took = []
        for number in range(TRIALS):  # the first also makes the runs above it
            before = tracker.seconds
            tracker.log_trial(
                "speaker-dependent", "mlp", replace(TRIAL, number=number, params=PARAMS)
            )
            while tracker.seconds == before:
                time.sleep(0.0005)
            took.append(1000 * (tracker.seconds - before))
        tracker.finish()
    assert tracker.lost == 0
    record(f"logging to {kind}: {told(took)}")
