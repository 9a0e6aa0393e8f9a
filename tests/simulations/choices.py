"""Bias of the best CV score of a search: `python -m tests.simulations.choices`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.selection_bias import corrected

Floats = NDArray[np.float64]


def draw_trials(
    trials: int, folds: int, rng: np.random.Generator, skill: float = 0.01, noise: float = 0.02
) -> tuple[Floats, Floats]:
    """Return scores of shape (n_trials, n_folds) and each trial's true score on these folds.

    Standard deviations: 0.07 between folds (as between folds of different speakers, the same for
    every trial), `skill` between trials, and `noise` for each trial on each fold.
    """
    level = rng.normal(0.4, 0.07, folds)
    own = rng.normal(0, skill, trials)
    return own[:, None] + level + rng.normal(0, noise, (trials, folds)), own + level.mean()


def tibshirani(scores: Floats) -> float:
    """Return the best score minus the bias estimate of Tibshirani and Tibshirani (2009)."""
    chosen = scores[scores.mean(axis=1).argmax()]
    return float(chosen.mean() - (scores.max(axis=0) - chosen).mean())


def main() -> None:
    """Print the mean difference from the true score, one row per kind of search."""
    rng = np.random.default_rng(0)
    print("| trials | folds | skill | best CV score | corrected | Tibshirani & Tibshirani |")  # noqa: T201
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")  # noqa: T201
    for trials in (5, 12, 50, 200):
        for folds in (4, 6):
            for skill in (0.0, 0.01, 0.03):
                off = []
                for _ in range(2000):
                    scores, truth = draw_trials(trials, folds, rng, skill)
                    chosen = scores.mean(axis=1).argmax()
                    found = scores[chosen].mean(), corrected(scores)[-1], tibshirani(scores)
                    off.append(np.subtract(found, truth[chosen]))
                cells = " | ".join(f"{value:+.4f}" for value in np.mean(off, axis=0))
                print(f"| {trials} | {folds} | {skill} | {cells} |")  # noqa: T201


if __name__ == "__main__":
    main()
