"""A full disk: a one-line error; after space is freed, the bytes of an uninterrupted run.

    pytest tests/faults/test_disks.py -s

Needs root, to mount a small file system in memory. The study is stopped at a random moment of each
stage, the disk is filled, and the study continues. FAULTS_DISKS=N sets the repetitions per
stage; about ten minutes on two cores.
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
    """A folder on a separate small disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill a disk completely; return the file that fills it."""
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
def test_a_full_disk_loses_no_finished_work(
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
    # A failure of MLflow's records alone does not stop a study; it reports what is not logged.
    assert is_refusal(status, text) or (status == 0 and "Traceback" not in text), text
    bench.run()
    assert differences(bench, whole) == []
