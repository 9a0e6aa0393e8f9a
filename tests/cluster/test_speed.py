# ruff: noqa: T201 - the figures are what this file is for
"""Speedup by the number of workers, with sleeping and with real fits.

pytest tests/cluster/test_speed.py -s
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.tables import Table, training_arrays
from benchmark.engine.arrays import StoredArrays, save_arrays
from benchmark.engine.processes import Workers, available_cores
from benchmark.models import MODELS
from benchmark.search.fitting import fit_fold
from tests.cluster.hosts import Hosts
from tests.support.dask_processes import DaskProcesses
from tests.support.waiting import wait_until


@pytest.fixture
def table(tmp_path: Path) -> StoredArrays:
    """A table of 1,500 clips with 184 features and seven emotions, in five folds."""
    rng = np.random.default_rng(0)
    n = 1500
    emotions = np.array(list("abcdefg"))[np.arange(n) % 7]
    values = rng.normal(size=(n, 184)).astype(np.float32)
    values[:, :7] += np.eye(7, dtype=np.float32)[np.arange(n) % 7]
    rows = pd.DataFrame({"clip": [f"c{number}" for number in range(n)], "emotion": emotions})
    rows = rows.assign(corpus="csv", speaker="s", gender="female", augmentation="")
    columns = tuple(f"f{number}" for number in range(184))
    save_arrays(
        training_arrays(Table(rows, values, columns), np.arange(n) % 5), tmp_path / "arrays"
    )
    return StoredArrays(tmp_path / "arrays", "speed")


def seconds(workers: Workers, tasks: list[tuple[object, ...]]) -> float:
    """Return the seconds that tasks take in warm workers."""
    for _ in range(2 * workers.count):
        workers.submit(*tasks[0])  # type: ignore[arg-type]
    list(workers.drain())
    began = time.monotonic()
    for task in tasks:
        workers.submit(*task)  # type: ignore[arg-type]
    assert {task.error for task in workers.drain()} == {None}
    return time.monotonic() - began


def test_speed_by_workers(hosts: Hosts, dask: DaskProcesses, table: StoredArrays) -> None:
    from benchmark.engine.dask import Cluster

    forest, params = MODELS["random_forest"], {"n_estimators": 40}
    kinds: dict[str, list[tuple[object, ...]]] = {
        "0.2 s of sleep": [(time.sleep, 0.2)] * 80,
        "1 s of sleep": [(time.sleep, 1.0)] * 32,
        "a fold of a forest": [(fit_fold, table, forest, params, n, n % 5) for n in range(40)],
    }
    print(f"\n{available_cores()} cores in all")
    with Workers(1) as one:
        for name, tasks in kinds.items():
            print(f"{name}: one local process {seconds(one, tasks):.1f} s")
    alone: dict[str, float] = {}
    for count in (1, 2, 4):
        for number in range(count - len(dask.processes) + 1):
            dask.worker(inside=hosts.inside(count - 1 - number))
        with Cluster(dask.address, print) as cluster:
            wait_until(lambda: cluster.count == count)  # noqa: B023 - is called at once
            for name, tasks in kinds.items():
                took = seconds(cluster, tasks)
                alone.setdefault(name, took)
                print(f"{name}: {count} hosts {took:.1f} s, {alone[name] / took:.2f} times as fast")
