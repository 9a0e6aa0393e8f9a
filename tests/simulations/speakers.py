"""Simulated speakers with a known recall of each emotion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MEANS = np.linspace(0.2, 0.7, 7)
"""Mean recall of each of seven emotions over speakers; their mean, 0.45, is the true UAR."""

CONCENTRATION = 8.0
"""a + b of the beta distributions of recalls; at mean 0.45 the standard deviation is 0.17."""

SHARED = 0.4
"""Correlation of the normal scores of one speaker's recalls."""


def draw_recalls(
    speakers: int,
    rng: np.random.Generator,
    means: NDArray[np.float64] = MEANS,
    concentration: float = CONCENTRATION,
) -> NDArray[np.float64]:
    """Return each speaker's recall of each emotion, of shape (n_speakers, n_emotions).

    Each is beta-distributed with the mean of its emotion; a Gaussian copula correlates the recalls
    of one speaker.
    """
    common = rng.normal(size=(speakers, 1))
    own = rng.normal(size=(speakers, len(means)))
    ranks = stats.norm.cdf(np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own)
    drawn = stats.beta.ppf(ranks, concentration * means, concentration * (1 - means))
    return np.asarray(drawn, dtype=np.float64)


def draw_counts(
    recalls: NDArray[np.float64], clips: Sequence[int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return confusion counts of shape (n_speakers, n_emotions, n_emotions).

    Parameters
    ----------
    recalls : ndarray of shape (n_speakers, n_emotions)
    clips : sequence of int, n_speakers
        Number of clips of each emotion, by speaker. Misrecognised clips are predicted as the next
        emotion.
    rng : Generator
    """
    emotions = recalls.shape[1]
    support = np.repeat(np.asarray(clips)[:, None], emotions, axis=1)
    hits = rng.binomial(support, recalls)
    right = np.eye(emotions, dtype=np.int64)
    wrong = np.roll(right, 1, axis=1)
    return hits[:, :, None] * right + (support - hits)[:, :, None] * wrong
