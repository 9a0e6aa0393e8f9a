"""How long an audit's search for copies takes, and the audit of a corpus from a warm cache.

Run with ``pytest tests/performance/test_audit.py``. The plain way compares each fingerprint with
all others at all shifts and cuts, as one product of matrices for each; the search has to find the
same copies. The audit is of the recordings in SER_CORPORA; its first run fills a cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.data.near_duplicates import near_duplicates
from benchmark.features.fingerprint import BANDS, FRAMES

RECORDINGS, COPIES, SPEAKERS = 600, 20, 20
EDGE, STEPS = 4, (-4, -2, 0, 2, 4)


def fingerprints() -> tuple[np.ndarray, np.ndarray]:
    """Return random fingerprints, the last of which are shifted copies of the first."""
    rng = np.random.default_rng(0)
    prints = rng.normal(size=(RECORDINGS, BANDS, FRAMES)).cumsum(axis=2).astype(np.float32)
    noise = rng.normal(size=(COPIES, BANDS, FRAMES))
    prints[-COPIES:] = np.roll(prints[:COPIES], 2, axis=1) + 0.1 * noise
    speakers = np.array([f"s{number % SPEAKERS}" for number in range(RECORDINGS)])
    speakers[-COPIES:] = "other"
    return prints, speakers


def plain(prints: np.ndarray) -> np.ndarray:
    """Return the highest correlation of each two fingerprints, over all shifts and cuts."""
    prints = prints - prints.mean(axis=2, keepdims=True)
    inner = slice(EDGE, -EDGE)
    target = _standardised(prints[:, inner, inner])
    highest = np.full((len(prints), len(prints)), -1, dtype=np.float32)
    for start in STEPS:
        for end in STEPS:
            at = np.linspace(EDGE + start, FRAMES - 1 - EDGE + end, FRAMES - 2 * EDGE)
            below = np.clip(at.astype(int), 0, FRAMES - 2)
            part = (at - below).astype(np.float32)
            cut = prints[:, :, below] * (1 - part) + prints[:, :, below + 1] * part
            for shift in range(2 * EDGE + 1):
                moved = _standardised(cut[:, shift : BANDS - 2 * EDGE + shift])
                np.maximum(highest, moved @ target.T, out=highest)
    return highest


def _standardised(prints: np.ndarray) -> np.ndarray:
    rows = (prints - prints.mean(axis=-1, keepdims=True)).reshape(len(prints), -1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_search_finds_the_copies_of_all_products_in_less_time(
    record: Callable[[str], None],
) -> None:
    prints, speakers = fingerprints()
    began = time.perf_counter()
    found = near_duplicates(prints.reshape(RECORDINGS, -1), speakers)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    highest = plain(prints)
    slow = time.perf_counter() - began
    alike = np.maximum(highest, highest.T)
    copies = {(n, RECORDINGS - COPIES + n) for n in range(COPIES)}
    assert {(pair.first, pair.second) for pair in found} == copies
    assert {(int(a), int(b)) for a, b in np.argwhere(np.triu(alike, 1) > 0.9)} == copies
    record(
        f"copies among {RECORDINGS} recordings: all products {slow:.1f} s, the search {ours:.1f} "
        f"s: {slow / ours:.1f} times as fast"
    )
    assert ours < slow


def test_an_audit_from_a_warm_cache(
    recordings: Path, tmp_path: Path, record: Callable[[str], None]
) -> None:
    corpora = ("ravdess", "tess", "savee")
    options = [part for one in corpora for part in ("--corpus", f"{one}={recordings / one}")]
    command = [sys.executable, "-m", "benchmark", "audit", *options, "--project", str(tmp_path)]
    seconds, processor = [], []
    for _ in range(2):
        began, before = time.perf_counter(), os.times()
        done = subprocess.run(command, check=False, capture_output=True)
        assert done.returncode < 2, done.stderr
        seconds.append(time.perf_counter() - began)
        after = os.times()
        processor.append(
            after.children_user + after.children_system
            - before.children_user - before.children_system
        )  # fmt: skip
    cold, warm = seconds
    record(
        f"audit of {', '.join(corpora)}: {cold:.0f} s, from a warm cache {warm:.0f} s "
        f"({processor[1]:.0f} s of processor time): {cold / warm:.1f} times as fast"
    )
    assert warm < cold
