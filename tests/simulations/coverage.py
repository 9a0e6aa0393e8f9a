"""Coverage of the confidence interval of UAR: `python -m tests.simulations.coverage`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from benchmark.evaluation import intervals, metrics
from tests.simulations.speakers import MEANS, draw_counts, draw_recalls

SETTINGS = {
    **{f"{n} speakers of 56 clips": [8] * n for n in (3, 4, 6, 8, 12, 24, 48)},
    "10 speakers of 21 to 168 clips": [3, 5, 7, 10, 12, 14, 17, 19, 21, 24],
    "RAVDESS and SAVEE, 24 + 4 speakers": [7] * 24 + [17] * 4,
    "capstone, speaker-dependent, 24 + 4 + 2": [2] * 24 + [4] * 4 + [50] * 2,
}
"""Number of clips of each emotion, by speaker."""


def coverage(clips: Sequence[int], datasets: int, seed: int) -> tuple[float, float]:
    """Return the coverage of our interval and of the percentile interval."""
    rng = np.random.default_rng(seed)
    sizes = np.asarray(clips)
    speaker_of = np.repeat(np.arange(len(sizes)), sizes)
    unit = intervals.resampled_unit(speaker_of, np.arange(len(speaker_of)))
    assert unit.over == "speakers"
    held = np.zeros((datasets, 2), dtype=bool)
    for place in range(datasets):
        counts = draw_counts(draw_recalls(len(sizes), rng), clips, rng)
        value = float(metrics.uar(counts.sum(axis=0)))
        draws = metrics.uar(intervals.resample_groups(counts, rng))
        score = intervals.scored(value, draws, unit)
        low, high = np.quantile(draws, [0.025, 0.975])
        truth = float(MEANS.mean())
        held[place] = score.low <= truth <= score.high, low <= truth <= high
    ours, percentile = held.mean(axis=0)
    return float(ours), float(percentile)


def main() -> None:
    """Print the coverage, one row per setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=4000)
    datasets = parser.parse_args().datasets
    print("| Setting | effective speakers | ours | percentiles |\n| :--- | ---: | ---: | ---: |")  # noqa: T201
    for name, clips in SETTINGS.items():
        ours, percentile = coverage(clips, datasets, seed=0)
        worth = intervals.effective(np.asarray(clips))
        print(f"| {name} | {worth:.1f} | {ours:.3f} | {percentile:.3f} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
