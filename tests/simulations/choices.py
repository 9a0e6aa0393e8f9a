"""How far scores of a search lie from the true one: `python -m tests.simulations.choices`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.selection_bias import corrected

Floats = NDArray[np.float64]


def draw_trials(
    trials: int, folds: int, rng: np.random.Generator, skill: float = 0.01, noise: float = 0.02
) -> tuple[Floats, Floats]:
    """Return scores of shape (n_trials, n_folds) and each trial's true score on these folds.

    Folds differ by 0.07, as folds of other speakers do, in the same way for every trial; trials
    differ by `skill` everywhere, and by `noise` on each fold.
    """
    level = rng.normal(0.4, 0.07, folds)
    own = rng.normal(0, skill, trials)
    return own[:, None] + level + rng.normal(0, noise, (trials, folds)), own + level.mean()


def tibshirani(scores: Floats) -> float:
    """Return the best score less the bias that Tibshirani & Tibshirani (2009) estimate."""
    chosen = scores[scores.mean(axis=1).argmax()]
    return float(chosen.mean() - (scores.max(axis=0) - chosen).mean())


def main() -> None:
    """Print a row a kind of search: the mean distance from the true score."""
    rng = np.random.default_rng(0)
    print("| trials | folds | skill | inner best | corrected | Tibshirani & Tibshirani |")  # noqa: T201
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
