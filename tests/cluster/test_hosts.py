# ruff: noqa: T201 - the counts are what this file is for
"""Studies on four hosts give the same bytes as one local worker, despite failures.

    pytest tests/cluster -s

prints the counts. Needs root for network namespaces; see `hosts`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmark.engine.processes import Task
from benchmark.errors import BenchmarkError
from tests.cluster.hosts import Hosts
from tests.support.bench import Bench
from tests.support.dask_processes import ROOT, DaskProcesses
from tests.support.stores import assert_same
from tests.support.waiting import wait_until

TRIALS = 26

KILLS = 8


def start(bench: Bench, *options: str) -> subprocess.Popen[str]:
    """Start the small study on a cluster."""
    command = bench.command("run-study", str(bench.study), "--corpus", f"csv={bench.table}")
    return subprocess.Popen(
        [*command, *options],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of a run; return its status and output."""
    _, said = process.communicate(timeout=600)
    return process.returncode, said


def told(bench: Bench) -> int:
    """Number of stored trials."""
    try:
        with sqlite3.connect(f"file:{bench.project / 'optuna.db'}?mode=ro", uri=True) as database:
            (count,) = database.execute("SELECT count(*) FROM trials").fetchone()
    except sqlite3.Error:
        return 0
    return int(count)


def start_workers(dask: DaskProcesses, hosts: Hosts, recordings: Path) -> None:
    """Start a worker on each host, without the recordings."""
    for number in range(hosts.count):
        dask.worker(inside=hosts.inside(number, "", recordings))


def test_hosts_with_same_other_or_no_recordings_give_the_bytes_of_one_local_worker(
    hosts: Hosts, dask: DaskProcesses, finished: Bench, bench: Bench, tmp_path: Path
) -> None:
    recordings, foreign = bench.table.parent, tmp_path / "foreign"
    shutil.copytree(recordings, foreign)
    rng = np.random.default_rng(1)
    for path in foreign.glob("*.wav"):
        soundfile.write(path, rng.normal(0, 0.1, 6000), 22_050)
    dask.worker(inside=hosts.inside(0))
    dask.worker(inside=hosts.inside(1, str(foreign), recordings))
    dask.worker(inside=hosts.inside(2, "", recordings))
    dask.worker(inside=hosts.inside(3, "", recordings))
    status, said = end(start(bench, "--cluster", dask.address))
    assert status == 0, said
    assert_same(bench, finished)
    print(f"\n4 hosts, in network namespaces: {hosts.separate}; the same bytes")


def test_two_disconnected_hosts_change_no_result(
    hosts: Hosts, dask: DaskProcesses, finished: Bench, bench: Bench
) -> None:
    start_workers(dask, hosts, bench.table.parent)
    wait_until(lambda: dask.registered() == hosts.count)
    process = start(bench, "--cluster", dask.address)
    wait_until(lambda: told(bench) >= 3, 300)
    dask.stop(dask.processes[1])
    wait_until(lambda: told(bench) >= 6, 300)
    cut = "its cable pulled" if hosts.separate else "killed"
    hosts.cut(1) if hosts.separate else dask.stop(dask.processes[2])
    at = told(bench)
    status, said = end(process)
    assert status == 0, said
    assert_same(bench, finished)
    lost = said.count("a worker is lost")
    assert lost == 2, said
    print(f"\none of 4 hosts killed after 3 trials, one {cut} after {at} of {TRIALS}: same bytes")


@pytest.mark.parametrize("resumed_on", ["the cluster", "this machine"])
def test_a_lost_scheduler_ends_the_run_in_one_line_and_the_run_is_resumed(
    hosts: Hosts, dask: DaskProcesses, finished: Bench, bench: Bench, resumed_on: str
) -> None:
    start_workers(dask, hosts, bench.table.parent)
    process = start(bench, "--cluster", dask.address)
    wait_until(lambda: told(bench) >= 3, 300)
    dask.stop(dask.processes[0])
    began = time.monotonic()
    status, said = end(process)
    took_s = time.monotonic() - began
    assert status == 2, said
    assert "scheduler is gone" in said.strip().splitlines()[-1]
    at = told(bench)
    dask.close()
    dask.scheduler()
    start_workers(dask, hosts, bench.table.parent)
    where = {"the cluster": ("--cluster", dask.address), "this machine": ("--workers", "1")}
    status, said = end(start(bench, *where[resumed_on]))
    assert status == 0, said
    assert f"{at} finished trials" in said
    assert_same(bench, finished)
    print(
        f"\nscheduler killed after {at} of {TRIALS} trials, told within {took_s:.1f} s; resumed on "
        f"{resumed_on}: same bytes"
    )


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_or_killed_driver_is_resumed_on_the_same_cluster(
    hosts: Hosts, dask: DaskProcesses, finished: Bench, bench: Bench, sign: int, status: int
) -> None:
    start_workers(dask, hosts, bench.table.parent)
    process = start(bench, "--cluster", dask.address)
    wait_until(lambda: told(bench) >= 3, 300)
    began = time.monotonic()
    process.send_signal(sign)
    assert end(process)[0] == status
    took_s = time.monotonic() - began
    at = told(bench)
    again, said = end(start(bench, "--cluster", dask.address))
    assert again == 0, said
    assert_same(bench, finished)
    print(f"\nsignal {sign} after {at} of {TRIALS} trials, gone in {took_s:.1f} s: same bytes")


def test_no_task_fails_because_its_scheduler_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    from benchmark.engine.dask import Cluster

    moments = random.Random(0)
    answers: list[Task] = []
    for number in range(KILLS):
        (tmp_path / str(number)).mkdir()
        small = DaskProcesses(tmp_path / str(number))
        scheduler = small.scheduler()
        for _ in range(2):
            small.worker()
        with Cluster(small.address, print) as workers:
            for _ in range(4000):
                workers.submit(time.sleep, 0.002)
            threading.Timer(moments.uniform(0.5, 2), small.stop, (scheduler,)).start()
            with pytest.raises(BenchmarkError, match="scheduler is gone"):
                answers.extend(workers.drain())
        small.close()
    failed = [task.error for task in answers if task.error is not None]
    print(f"\n{KILLS} schedulers killed amid {len(answers)} tasks; that failed: {len(failed)}")
    assert failed == []


def test_a_disconnected_scheduler_ends_the_run_in_one_line(hosts: Hosts, tmp_path: Path) -> None:
    if not hosts.separate:
        pytest.skip("needs network namespaces: root, and the command ip")
    import dask

    from benchmark.engine.dask import Cluster

    far = DaskProcesses(tmp_path, "10.213.77.1")
    far.scheduler(inside=hosts.inside(0))
    far.worker(inside=hosts.inside(0))
    with (
        dask.config.set({"distributed.comm.timeouts.tcp": "12s"}),
        Cluster(far.address, print) as workers,
    ):
        workers.submit(time.sleep, 600)
        hosts.cut(0)
        began = time.monotonic()
        with pytest.raises(BenchmarkError, match="scheduler is gone"):
            workers.next_done()
        took_s = time.monotonic() - began
    far.close()
    print(f"\nthe scheduler's cable pulled: told after {took_s:.1f} s")


def test_certificates_of_dasks_configuration_are_used(
    hosts: Hosts, tmp_path: Path, bench: Bench, finished: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography", reason="makes the certificates")
    from distributed.security import Security

    made = Security.temporary()
    (tmp_path / "ca.pem").write_text(made.tls_ca_file)
    (tmp_path / "cert.pem").write_text(made.tls_client_cert + made.tls_client_key)
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION", "true")
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", str(tmp_path / "ca.pem"))
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        name = f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"
        monkeypatch.setenv(name, str(tmp_path / "cert.pem"))
    (tmp_path / "dask").mkdir()
    secured = DaskProcesses(tmp_path / "dask", hosts.address, "tls")
    secured.scheduler()
    secured.worker(inside=hosts.inside(0))
    status, said = end(start(bench, "--cluster", secured.address))
    assert status == 0, said
    assert_same(bench, finished)
    status, said = end(start(bench, "--cluster", secured.address.replace("tls", "tcp")))
    secured.close()
    assert status == 2
    assert "refusing communication" in said.strip().splitlines()[-1]
    print("\nTLS by Dask's settings: the same bytes; without TLS: refused in one line")
