"""A Dask cluster's workers give the bytes of local ones, and are looked at before they do."""

from __future__ import annotations

import operator
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.tables import Table, training_arrays
from benchmark.engine.arrays import StoredArrays, save_arrays
from benchmark.engine.processes import LimitError, WorkerLostError
from benchmark.errors import BenchmarkError
from tests.support.cluster_tasks import end_once, threads, total

pytest.importorskip("distributed", reason="needs the extra `cluster`")

from benchmark.engine.dask import Cluster
from tests.support.bench import Bench
from tests.support.dask_processes import ROOT, DaskProcesses
from tests.support.stores import runs_in_mlflow, trials_in_optuna
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    """A scheduler that lacks the package, and two workers."""
    processes = DaskProcesses(tmp_path_factory.mktemp("dask"))
    processes.scheduler()
    processes.worker()
    processes.worker()
    yield processes
    processes.close()


@pytest.fixture
def said() -> list[str]:
    """What a cluster has said."""
    return []


@pytest.fixture
def cluster(dask: DaskProcesses, said: list[str]) -> Iterator[Cluster]:
    with Cluster(dask.address, said.append) as workers:
        wait_until(lambda: workers.count == 2)
        yield workers


@pytest.fixture
def table(tmp_path: Path) -> StoredArrays:
    """A small training table."""
    rows = pd.DataFrame({"clip": list("abcd"), "emotion": ["low", "high"] * 2, "gender": ""})
    rows = rows.assign(corpus="csv", speaker=rows["clip"], augmentation="")
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    save_arrays(
        training_arrays(Table(rows, values, ("x", "y", "z")), np.arange(4) % 2), tmp_path / "arrays"
    )
    return StoredArrays(tmp_path / "arrays", str(tmp_path))


def test_a_cluster_without_the_recordings_gives_the_bytes_of_one_local_worker(
    finished: Bench, bench: Bench, dask: DaskProcesses
) -> None:
    # A relative path, which leads nowhere from the folder of a worker.
    recordings = f"csv={bench.table.name}"
    command = bench.command("run-study", str(bench.study), "--corpus", recordings)
    done = subprocess.run(
        [*command, "--cluster", dask.address],
        cwd=bench.table.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert bench.bytes_of("reports") == finished.bytes_of("reports")
    assert trials_in_optuna(bench) == trials_in_optuna(finished)
    assert runs_in_mlflow(bench) == runs_in_mlflow(finished)


def test_every_task_comes_back_and_an_error_stops_no_other(cluster: Cluster) -> None:
    cluster.submit(operator.truediv, 1, 0, label="refused")
    done = [*cluster.map(operator.add, ((n, n) for n in range(20)))]
    assert {str(task.error) for task in done if task.label == "refused"} == {"division by zero"}
    sums = [(task.label, task.result) for task in done if task.label != "refused"]
    assert sorted(sums) == [(n, 2 * n) for n in range(20)]


def test_a_table_comes_along_and_again_after_all_workers_are_lost(
    cluster: Cluster, table: StoredArrays, tmp_path: Path
) -> None:
    for _ in range(8):
        cluster.submit(total, table)
    assert [task.result for task in cluster.drain()] == [66.0] * 8
    for name in ("one", "other"):
        cluster.submit(end_once, str(tmp_path / name))
    assert [task.result for task in cluster.drain()] == ["survived"] * 2
    cluster.submit(total, table)
    assert [task.result for task in cluster.drain()] == [66.0]


def test_a_task_that_ends_every_worker_is_handed_back_as_lost(cluster: Cluster) -> None:
    cluster.submit(os._exit, 1)
    assert [type(task.error) for task in cluster.drain()] == [WorkerLostError]


def test_a_task_over_its_limit_is_given_up_with_its_worker_alone(cluster: Cluster) -> None:
    cluster.submit(time.sleep, 600, label="hung", limit_s=1.0)
    for number in range(4):
        cluster.submit(operator.neg, number, label=number)
    errors = {task.label: task.error for task in cluster.drain()}
    assert isinstance(errors.pop("hung"), LimitError)
    assert errors == dict.fromkeys(range(4))
    wait_until(lambda: cluster.count == 2)


def test_abandoned_tasks_leave_the_workers_ready_for_others(cluster: Cluster) -> None:
    for _ in range(6):
        cluster.submit(time.sleep, 600)
    cluster.abandon()
    assert not cluster.pending
    cluster.submit(operator.neg, 1)
    assert [task.result for task in cluster.drain()] == [-1]


def test_no_task_waits_behind_a_long_one_while_a_worker_is_idle(cluster: Cluster) -> None:
    began = time.monotonic()
    for seconds in (3.0, 0.5, 0.1, 0.1):
        cluster.submit(time.sleep, seconds, label=seconds)
    ends = [(task.label, time.monotonic() - began) for task in cluster.drain()]
    assert ends[-1][0] == 3.0
    assert ends[-2][1] < 2.5


def test_a_worker_has_one_thread_for_each_library(dask: DaskProcesses, said: list[str]) -> None:
    many = {f"{name}_NUM_THREADS": "2" for name in ("OMP", "OPENBLAS", "MKL")}
    process = dask.worker("--no-nanny", "--nthreads", "3", environment=many)
    with Cluster(dask.address, said.append) as workers:
        wait_until(lambda: workers.count == 3)
        for _ in range(12):
            workers.submit(threads)
        found = [task.result for task in workers.drain()]
    dask.stop(process)
    assert found == [{1}] * 12
    assert len([line for line in said if "has 3 threads" in line]) == 1


def test_a_worker_with_other_code_is_refused_with_a_list_before_and_after_the_beginning(
    dask: DaskProcesses, cluster: Cluster, said: list[str], tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "benchmark", tmp_path / "benchmark")
    with (tmp_path / "benchmark/search/fitting.py").open("a") as file:
        file.write("\n# A change.\n")
    lacking = [dask.worker(path=dask.folder / "lacking"), dask.worker(path=tmp_path)]
    wait_until(lambda: sum("given nothing" in line for line in said) == 2)
    for number in range(20):
        cluster.submit(operator.neg, number)
    assert {task.error for task in cluster.drain()} == {None}
    with (
        pytest.raises(BenchmarkError, match="2 of 4 workers") as refusal,
        Cluster(dask.address, said.append),
    ):
        pass  # pragma: no cover - is not reached
    for process in lacking:
        dask.stop(process)
    assert "its code" in str(refusal.value)
    assert "not installed" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    # A killed worker is gone when the scheduler has seen it.
    wait_until(lambda: dask.registered() == 2)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:8786", "allowed are tcp://HOST:8786"),
        ("nowhere.json", "no such scheduler file"),
        ("config", "names no scheduler"),
        ("nonsense://127.0.0.1:1", "no scheduler"),
    ],
)
def test_an_address_without_a_cluster_is_refused_in_one_line(address: str, words: str) -> None:
    with pytest.raises(BenchmarkError, match=words) as refusal, Cluster(address, print):
        pass  # pragma: no cover - is not reached
    assert "\n" not in str(refusal.value)
