#!/usr/bin/env python3
"""Compare a result with the published one: .ci/compare.py PUBLISHED MADE

The bytes have to be equal on a processor with AVX2 and without AVX-512, as that of the published
result. On another one a few clips may have another answer: status 0 if the UAR of no model differs
by more than 0.03, and a line that says so.
"""

import filecmp
import sys
from pathlib import Path

import pandas as pd
from sklearn.metrics import recall_score

MOST = 0.03


def is_like_the_published() -> bool:
    """Whether this processor is of the kind that made the published result."""
    features = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    return "avx2" in features and "avx512f" not in features


def uars(result: Path) -> pd.Series:
    """Return the UAR of each protocol and model."""
    table = pd.read_parquet(result / "predictions.parquet")
    probabilities = table.filter(regex="^p_")
    table["prediction"] = probabilities.idxmax(axis=1).str.removeprefix("p_")
    return table.groupby(["protocol", "model"])[["emotion", "prediction"]].apply(
        lambda rows: recall_score(rows["emotion"], rows["prediction"], average="macro")
    )


def main(published: Path, made: Path) -> str:
    """Return what was found; SystemExit if it is too different."""
    names = sorted(path.name for path in published.iterdir())
    if names != sorted(path.name for path in made.iterdir()):
        raise SystemExit(f"error: {made} has not the files of {published}")
    equal, _, _ = filecmp.cmpfiles(published, made, names, shallow=False)
    if len(equal) == len(names):
        return "the result has the published bytes"
    if is_like_the_published():
        raise SystemExit(f"error: {made} has other bytes than {published}; equal are only {equal}")
    one, other = uars(published), uars(made)
    if not one.index.equals(other.index) or (worst := (one - other).abs().max()) > MOST:
        raise SystemExit(f"error: {made} is another result than {published}\n{one}\n{other}")
    return f"other last digits than the published ones, as on another processor: UAR by {worst:.3f}"


if __name__ == "__main__":
    print(main(*map(Path, sys.argv[1:])))  # noqa: T201
