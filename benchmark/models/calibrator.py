"""Calibrated probabilities of a stored model, and how far a recording is from its training rows.

A probability of 0.99 from a recording with another microphone is wrong more often than not. A
calibrator is fitted on held-out clips, of inner folds and of corpora left out of training, and
stored beside the model. It tempers the probabilities of each recording, the more the farther it is
from the training rows (`search.calibrate` fits it).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

N_COMPONENTS = 20
"""Principal components that span the space of distances.

With 50, the calibration error on a corpus left out was at most 0.10 in 3 of the 9 cases of
reports/unseen_corpora.md instead of 6; right answers were ranked better in 5 cases instead of 4.
"""

ROWS_PER_COMPONENT = 10
"""Fewest training rows for each of them: the variance of the last ones would be noise."""

WITHIN = 0.95
"""Fraction of the held-out clips of inner folds within the limit, each corpus of equal weight."""

SMALLEST = 1e-7
"""Lower bound of a probability in logarithms; float32 has zeros."""


@dataclass(frozen=True)
class TrainingSpace:
    """The space of a model's training rows, in which distances are measured.

    Features are standardised and projected onto the principal components of the training rows,
    each divided by its standard deviation there: the Euclidean distance is that of Mahalanobis.

    Attributes
    ----------
    center : ndarray of float64, shape (n_features,)
    axes : ndarray of float64, shape (n_components, n_features)
    means : ndarray of float64, shape (n_emotions, n_components)
        Of the training rows of each emotion.
    """

    center: Floats
    axes: Floats
    means: Floats

    @classmethod
    def of(cls, values: NDArray[np.float32], emotions: NDArray[np.str_]) -> TrainingSpace:
        """Return the space of training rows (n_rows, n_features) and their emotions."""
        from sklearn.decomposition import PCA

        center = values.mean(axis=0, dtype=np.float64)
        std = values.std(axis=0, dtype=np.float64)
        scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > 0)
        rows = (values - center) * scale
        n_components = min(N_COMPONENTS, rows.shape[1], max(1, len(rows) // ROWS_PER_COMPONENT))
        # The seed draws the start of an iteration that converges: no model depends on it.
        pca = PCA(n_components, svd_solver="randomized", random_state=0).fit(rows)
        variances = pca.explained_variance_
        inverse = np.divide(
            1.0, np.sqrt(variances), out=np.zeros_like(variances), where=variances > 0
        )
        axes = pca.components_ * inverse[:, None] * scale
        projected = (values - center) @ axes.T
        means = [projected[emotions == emotion].mean(axis=0) for emotion in np.unique(emotions)]
        return cls(center, axes, np.stack(means))

    def distances(self, values: NDArray[np.float32]) -> Singles:
        """Return each row's distance to the nearest emotion of the training rows, (n_rows,).

        It is the root mean square over the components, so that 1 is one standard deviation.
        """
        rows = (values.astype(np.float64) - self.center) @ self.axes.T
        squares = np.square(rows[:, None, :] - self.means[None, :, :]).mean(axis=2)
        # Rounded before anything is computed from it: sums differ by the number of rows at once.
        distances: Singles = np.sqrt(squares.min(axis=1)).astype(np.float32)
        return distances


@dataclass(frozen=True)
class Calibrator:
    """How a stored model's probabilities are calibrated.

    Attributes
    ----------
    space : TrainingSpace
    limit : float
        Distance beyond which a recording is unlike the training recordings.
    frequencies : ndarray of float64, shape (n_emotions,)
        Of the emotions in the training clips, the mean over corpora.
    temperature : float
        At the limit.
    growth : float
        Exponent by which the temperature grows with the distance; above 0.
    nearest : float
        Shortest distance, in units of the limit, on which the calibrator was fitted; shorter ones
        have the temperature of this one.
    """

    space: TrainingSpace
    limit: float
    frequencies: Floats
    temperature: float
    growth: float
    nearest: float

    def distances(self, values: NDArray[np.float32]) -> Singles:
        """Return the distance of each row from the training rows, in units of the limit."""
        return self.space.distances(values) / np.float32(self.limit)

    def calibrated(self, probabilities: Singles, distances: Singles) -> Singles:
        """Return calibrated probabilities; see `tempered_at`.

        Parameters
        ----------
        probabilities : ndarray of float32, shape (n_rows, n_emotions)
            Of the model.
        distances : ndarray of float32, shape (n_rows,)
            See `distances`.
        """
        reached = np.maximum(distances.astype(np.float64), self.nearest)
        raw = probabilities.astype(np.float64)
        served = tempered_at(raw, self.frequencies, reached, self.temperature, self.growth)
        return served.astype(np.float32)


@dataclass(frozen=True)
class FittedCalibrator:
    """The calibrator of one model, and on what it was fitted.

    Attributes
    ----------
    calibrator : Calibrator
    emotions : tuple of str
        Of the training side, in the order of the probabilities.
    n_clips : int
        Held-out clips of the inner folds.
    left_out : tuple of str
        Corpora that were left out.
    test_distances : ndarray of float32, shape (n_test_clips,)
        In units of the limit, in the order of the test table.
    """

    calibrator: Calibrator
    emotions: tuple[str, ...]
    n_clips: int
    left_out: tuple[str, ...]
    test_distances: Singles


def tempered_at(
    probabilities: Floats,
    frequencies: Floats,
    distances: Floats,
    temperature: float,
    growth: float,
) -> Floats:
    """Return probabilities that move towards class frequencies as the distance grows.

    The ratio of each probability to its frequency is raised to the power of 1 / T, where T is
    temperature * distance ** growth: at T = 1 probabilities stay, at infinity they are the
    frequencies. Where all frequencies are equal, this is temperature scaling (Guo et al. 2017, On
    calibration of modern neural networks, ICML).

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_emotions)
    frequencies : ndarray of shape (n_emotions,)
    distances : ndarray of shape (n_rows,)
        Above 0.
    temperature, growth : float

    Examples
    --------
    >>> even = np.array([0.5, 0.5])
    >>> tempered_at(np.array([[0.9, 0.1]]), even, np.array([2.0]), 1.0, 1.0).round(2)
    array([[0.75, 0.25]])
    """
    base = np.log(frequencies)
    ratios = np.log(np.clip(probabilities, SMALLEST, 1)) - base
    logits = base + ratios / (temperature * distances**growth)[:, None]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)
