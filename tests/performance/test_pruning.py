"""What paired pruning would have saved and lost, replayed on the stored trials of whole searches.

Run with ``pytest tests/performance/test_pruning.py``; it fits nothing and takes seconds. Settings
stay those that were sampled without pruning: what a sampler makes of estimates is not replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.search import pruning

RESULTS = Path(__file__).parent.parent.parent / "reports/results"
FEWEST_TRIALS = 12


def searches() -> list[list[tuple[float, ...]]]:
    """The fold scores of each stored search of enough complete trials, in the order of asking."""
    found = []
    for path in sorted(RESULTS.glob("*/trials.csv")):
        table = pd.read_csv(path)
        splits = [name for name in ("protocol", "part", "model") if name in table]
        for _, search in table.fillna({"part": ""}).groupby(splits, sort=False):
            whole = search[search["state"] == "complete"].filter(regex=r"^fold_\d+$")
            whole = whole.dropna(axis=1, how="all")
            if len(whole) >= FEWEST_TRIALS:
                found.append([*map(tuple, whole.to_numpy())])
    return found


def replayed(scores: list[tuple[float, ...]], concurrent_trials: int) -> tuple[float, float]:
    """The share of folds that are fitted, and how much lower the best complete trial is."""
    fitted, complete = 0, {}
    for number, trial in enumerate(scores):
        told = [one for n, one in complete.items() if n <= number - concurrent_trials]
        best = pruning.rival(told)
        ends = [k for k in range(1, len(trial)) if best is not None and best.beats(trial[:k])]
        fitted += min(ends, default=len(trial))
        complete |= {} if ends else {number: trial}
    lost = np.mean(scores, axis=1).max() - np.mean(list(complete.values()), axis=1).max()
    return fitted / np.size(scores), float(lost)


@pytest.mark.parametrize("concurrent_trials", [1, 4])
@pytest.mark.parametrize("chance", [0.05, 0.1, 0.2])
def test_a_replay(
    monkeypatch: pytest.MonkeyPatch,
    record: Callable[[str], None],
    chance: float,
    concurrent_trials: int,
) -> None:
    monkeypatch.setattr(pruning, "CHANCE", chance)
    shares, losses = zip(*(replayed(one, concurrent_trials) for one in searches()), strict=True)
    record(
        f"chance {chance}, concurrent_trials {concurrent_trials}, {len(shares)} searches: "
        f"{np.mean(shares):.2f} of "
        f"the folds; the best is lower by {np.mean(losses):.4f}, at most {max(losses):.4f}"
    )
    assert np.mean(shares) < 0.85
    assert np.mean(losses) < 0.005
