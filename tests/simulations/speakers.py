"""Simulated speakers of whom it is known how well a model recognises them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MEANS = np.linspace(0.2, 0.7, 7)
"""A speaker's mean recall of each of seven emotions; their mean, 0.45, is the true UAR."""

CONCENTRATION = 8.0
"""a + b of the beta distributions of recalls: at a mean of 0.45 a standard deviation of 0.17."""

SHARED = 0.4
"""How alike the recalls of one speaker's emotions are, as a correlation of their normal scores."""


def draw_recalls(
    speakers: int, rng: np.random.Generator, means: NDArray[np.float64] = MEANS
) -> NDArray[np.float64]:
    """Return each speaker's recall of each emotion, of shape (n_speakers, n_emotions).

    Each is beta-distributed with its emotion's mean; a Gaussian copula makes those of one speaker
    alike.
    """
    common = rng.normal(size=(speakers, 1))
    own = rng.normal(size=(speakers, len(means)))
    ranks = stats.norm.cdf(np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own)
    drawn = stats.beta.ppf(ranks, CONCENTRATION * means, CONCENTRATION * (1 - means))
    return np.asarray(drawn, dtype=np.float64)


def draw_counts(
    recalls: NDArray[np.float64], clips: Sequence[int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return confusion counts of shape (n_speakers, n_emotions, n_emotions).

    Parameters
    ----------
    recalls : ndarray of shape (n_speakers, n_emotions)
    clips : sequence of int, n_speakers
        How many clips of each emotion a speaker has. What is not recognised is taken for the next
        emotion.
    rng : Generator
    """
    emotions = recalls.shape[1]
    support = np.repeat(np.asarray(clips)[:, None], emotions, axis=1)
    hits = rng.binomial(support, recalls)
    right = np.eye(emotions, dtype=np.int64)
    wrong = np.roll(right, 1, axis=1)
    return hits[:, :, None] * right + (support - hits)[:, :, None] * wrong
