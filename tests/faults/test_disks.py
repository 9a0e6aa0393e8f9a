"""A disk that is full: one line, and with room made the bytes of an unbroken run.

    pytest tests/faults/test_disks.py -s

A small file system in memory is mounted, which takes the rights of the system's administrator. The
study is stopped at a random moment of each stage, the disk filled to its last byte, and the study
let go. FAULTS_DISKS=N does it so often in each stage, some ten minutes on two cores.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.stages import FULL_STUDY, STAGES, Watched, differences, is_refusal
from tests.support.bench import Bench, make_bench

ROUNDS = int(os.environ.get("FAULTS_DISKS", "3"))
SEED = int(os.environ.get("FAULTS_SEED", "0"))
SIZE = 64 << 20  # bytes

Unbroken = tuple[Bench, dict[str, float]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill a disk to its last byte, and return the file that does it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_costs_nothing_that_is_finished(
    unbroken: Unbroken,
    tones: Path,
    disk: Path,
    stage: str,
    number: int,
    record: Callable[[str], None],
) -> None:
    whole, seconds = unbroken
    bench = make_bench(disk / "study", tones, FULL_STUDY)
    with Watched(bench, "--workers", "2") as study:
        study.watch(stage)
        time.sleep(random.Random(f"{SEED} {stage} {number}").uniform(0.0, seconds[stage]))
        found = study.stage()
        study.process.send_signal(signal.SIGSTOP)
        filler = fill(disk)
        study.process.send_signal(signal.SIGCONT)
        status = study.process.wait()
        text = study.errors()
    filler.unlink()
    last = (text.splitlines() or [""])[-1]
    record(f"\nfull disk in {found}: status {status}: {last}")
    # MLflow's records alone stop no study: it ends, and says which are still to be logged.
    assert is_refusal(status, text) or (status == 0 and "Traceback" not in text), text
    bench.run()
    assert differences(bench, whole) == []
