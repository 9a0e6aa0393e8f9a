"""Fits that exceed the memory, and fits that never end.

pytest tests/faults/test_fits.py -s

About five minutes on two cores.
"""

from __future__ import annotations

import contextlib
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tests.faults.stages import Watched, differences, is_refusal
from tests.support.bench import Bench
from tests.support.platforms import linux

pytestmark = linux

HEAD = """
question = "Can tones be text apart?"
corpora  = ["csv"]
emotions = ["low", "middle", "high"]
features = "mfcc-stats"

[split]
protocols = ["speaker-independent"]

[search]
trials  = 2
folds   = 3
metric  = "uar"
sampler = "grid"
"""

LARGE = """
[models.mlp]
hidden_layer_sizes = [[8], [3000, 3000]]
max_iter = 2
"""

ENDLESS = """
fit_timeout_s = 5

[models.logistic_regression]
solver   = ["lbfgs", "saga"]
tol      = 0.0
max_iter = 1_000_000_000
"""

SPARE = 150 << 20  # bytes beyond the memory of an idle worker


def made(tones: Path, folder: Path, text: str) -> Bench:
    """A study and an empty project."""
    (folder / "project").mkdir(parents=True)
    (folder / "small.toml").write_text(text)
    return Bench(folder / "small.toml", tones, folder / "project")


def bound_memory(worker: int, known: set[int]) -> None:
    """Limit the memory of a worker to slightly more than it has after its imports."""
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
        bound = max(pages * resource.getpagesize(), 600 << 20) + SPARE
        resource.prlimit(worker, resource.RLIMIT_AS, (bound, bound))
        known.add(worker)


def test_a_fit_that_exceeds_the_memory_stops_the_study_and_stores_no_failure(
    tones: Path, tmp_path: Path, record: Callable[[str], None]
) -> None:
    whole, bench = (made(tones, tmp_path / name, HEAD + LARGE) for name in ("whole", "broken"))
    whole.run()
    bounded: set[int] = set()
    with Watched(bench, "--workers", "2") as study:
        while study.process.poll() is None:
            for worker in set(study.workers()) - bounded:
                bound_memory(worker, bounded)
            time.sleep(0.02)
        status, text = study.process.wait(), study.errors()
    record(f"\nout of memory: status {status}: {text.splitlines()[-1]}")
    assert is_refusal(status, text), text
    assert "could not be fitted" in text
    bench.run()
    assert differences(bench, whole) == []


def test_a_fit_that_never_ends_is_a_failed_trial_with_its_reason(
    tones: Path, tmp_path: Path, record: Callable[[str], None]
) -> None:
    bench = made(tones, tmp_path, HEAD + ENDLESS)
    began = time.monotonic()
    bench.run("--workers", "2")
    trials = pd.read_csv(bench.project / "reports/results/small/trials.csv")
    hung = trials[trials["params"].map(lambda text: json.loads(text).get("solver") == "saga")]
    record(f"\nendless fit: {time.monotonic() - began:.0f} s; {hung['reason'].tolist()}")
    assert hung["state"].tolist() == ["failed"]
    assert "longer than 5 s" in hung["reason"].iloc[0]
    before = bench.bytes_of("reports")
    bench.run()
    assert bench.bytes_of("reports") == before
