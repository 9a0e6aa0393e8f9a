"""How many seconds a clip takes on one core, by feature set: written to reports/seconds.json.

Run as ``python -m tests.performance.feature_seconds --corpora DIR NAME ...``, with any names that
a study's key `features` takes. Clips: every eighth of RAVDESS (3.7 s on average, as it lies there).
Measured is the CPU time of one process with one thread, decoding included and reading not, once all
libraries are loaded; of three passes the fastest, since other processes can only slow one down.
"""

from __future__ import annotations

from benchmark.engine.processes import prepare_libraries

prepare_libraries()

import argparse  # noqa: E402
import json  # noqa: E402
import time  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

from benchmark.corpora import locate, read_corpus  # noqa: E402
from benchmark.engine.digests import with_digest, without_digest  # noqa: E402
from benchmark.engine.files import write_text  # noqa: E402
from benchmark.features import FeatureSet, feature_set  # noqa: E402
from benchmark.features.audio import decode  # noqa: E402
from benchmark.features.extract import features_of  # noqa: E402
from benchmark.report.pages.speaker_independent import SECONDS  # noqa: E402

EVERY = 8
PASSES = 3


def seconds_a_clip(features: FeatureSet, files: Sequence[bytes]) -> float:
    """The CPU time of decoding and measuring one of the files, on average, in s."""
    measure(features, files[0])  # loads libraries and compiles
    passes = []
    for _ in range(PASSES):
        began = time.process_time()
        for content in files:
            measure(features, content)
        passes.append((time.process_time() - began) / len(files))
    return min(passes)


def measure(features: FeatureSet, content: bytes) -> None:
    """Compute the features of a recording."""
    features_of(decode(content, features.sample_rate_hz).samples, features)


def main() -> None:
    """Measure the sets that are named, and keep what is known of others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    parser.add_argument("names", nargs="+")
    given = parser.parse_args()
    folder = locate("ravdess", root=given.corpora, given={}, cache=Path())
    clips = read_corpus("ravdess", folder).clips[::EVERY]
    files = [clip.path.read_bytes() for clip in clips]
    path = given.reports / SECONDS
    known = without_digest(json.loads(path.read_text())) if path.is_file() else {}
    for name in given.names:
        known[name] = float(f"{seconds_a_clip(feature_set(name), files):.2g}")
        print(f"{name}: {known[name]} s a clip")  # noqa: T201 - a script's progress
        write_text(path, json.dumps(with_digest(dict(sorted(known.items()))), indent=1) + "\n")


if __name__ == "__main__":
    main()
