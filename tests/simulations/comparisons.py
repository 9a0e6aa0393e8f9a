"""False positives among equally good models: `python -m tests.simulations.comparisons`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmark.evaluation.significance import ALPHA, compare_on_clips, holm

EMOTIONS = ("angry", "happy", "neutral", "sad")


def equal_models(
    models: int, speakers: int, clips: int, rng: np.random.Generator
) -> list[pd.DataFrame]:
    """Return test predictions of equally good models, which differ by speaker.

    Speakers differ in difficulty, equally for all models, and at random for each model.
    """
    speaker = np.repeat(np.arange(speakers), clips)
    true = np.tile(np.arange(clips) % len(EMOTIONS), speakers)
    names = pd.DataFrame(
        {
            "clip": [f"a/{n:04d}" for n in range(len(true))],
            "corpus": "a",
            "speaker": [f"a/{one:02d}" for one in speaker],
            "emotion": np.array(EMOTIONS)[true],
        }
    )
    hardness = rng.normal(0, 0.5, speakers)
    found = []
    for _ in range(models):
        evidence = rng.normal(size=(len(true), len(EMOTIONS)))
        suits = 0.8 + hardness + rng.normal(0, 0.4, speakers)
        evidence[np.arange(len(true)), true] += suits[speaker]
        found.append(names.join(pd.DataFrame(evidence, columns=[f"p_{e}" for e in EMOTIONS])))
    return found


def contests(
    runs: int, models: int, speakers: int, clips: int, seed: int
) -> Iterator[tuple[list[float], list[float]]]:
    """Yield per run the p values of the first model against the others, raw and corrected."""
    rng = np.random.default_rng(seed)
    for run in range(runs):
        first, *others = equal_models(models, speakers, clips, rng)
        ps = [
            compare_on_clips(first, other, EMOTIONS, "uar", (run, place)).p or 1.0
            for place, other in enumerate(others)
        ]
        yield ps, holm(ps)


def main() -> None:
    """Print the false-positive rate of one test, of any test, and of any corrected test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    print("| speakers | models | one test | any test | any, corrected |")  # noqa: T201
    print("| ---: | ---: | ---: | ---: | ---: |")  # noqa: T201
    for speakers in (8, 12, 24):
        found = list(contests(runs, 5, speakers, 24, seed=speakers))
        plain = np.array([ps for ps, _ in found]) < ALPHA
        corrected = np.array([ps for _, ps in found]) < ALPHA
        rates = plain.mean(), plain.any(axis=1).mean(), corrected.any(axis=1).mean()
        cells = " | ".join(f"{rate:.3f}" for rate in rates)
        print(f"| {speakers} | 5 | {cells} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
