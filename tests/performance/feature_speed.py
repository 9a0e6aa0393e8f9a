"""How many clips a second each feature set makes on two cores, written to reports/speed.json.

Run as ``python -m tests.performance.feature_speed --corpora DIR`` on a quiet machine: every eighth
clip of RAVDESS (3.7 s on average, as it lies there), decoding included, warm, the median of three.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmark.corpora import locate, read_corpus
from benchmark.corpora.clip import Clip
from benchmark.engine.files import write_text
from benchmark.engine.processes import Workers
from benchmark.features import FEATURE_SETS, extract, feature_set
from benchmark.report.pages.speaker_independent import SPEED

EVERY = 8
RUNS = 3
CORES = 2


def clips_a_second(name: str, clips: list[Clip]) -> float:
    """The median speed of a feature set over clips that no cache knows."""
    speeds = []
    with Workers(CORES) as workers:
        for run in range(RUNS + 1):  # the first one loads libraries
            with tempfile.TemporaryDirectory() as cache:
                began = time.perf_counter()
                extract(
                    clips,
                    feature_set(name),
                    augmentation="",
                    seed=0,
                    cache=Path(cache),
                    workers=workers,
                    progress=lambda *_: None,
                )
                if run:
                    speeds.append(len(clips) / (time.perf_counter() - began))
    return statistics.median(speeds)


def main() -> None:
    """Measure the sets that are named, or all, and keep what others are known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("names", nargs="*", default=list(FEATURE_SETS))
    given = parser.parse_args()
    folder = locate("ravdess", root=given.corpora, given={}, cache=Path())
    clips = list(read_corpus("ravdess", folder).clips)[::EVERY]
    path = Path("reports") / SPEED
    known = json.loads(path.read_text()) if path.is_file() else {}
    for name in given.names:
        known[name] = round(clips_a_second(name, clips), 1)
        print(f"{name}: {known[name]} clips/s")  # noqa: T201 - a script's progress
    write_text(path, json.dumps(dict(sorted(known.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
