"""Whether a model's probabilities are as often right as they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

BINS = 15
FEWEST_CLIPS = 10
"""A bin holds at least as many clips: few clips have fewer bins."""

DRAWS = 500
SMALLEST = 1e-7
"""A probability below it, one of float32's zeros say, counts as so much."""


@dataclass(frozen=True)
class Calibration:
    """What a model's probabilities are worth on one set of clips.

    Attributes
    ----------
    curve : DataFrame of shape (n_bins, 3)
        The reliability curve: confidence (mean probability of the predicted emotion), accuracy
        (share of right predictions) and clips, a row a bin.
    error : float
        Expected calibration error: the mean distance of accuracy and confidence over clips.
    error_by_chance : float
        The mean of that error, had every probability been exactly right: what so few clips give by
        chance alone.
    brier, log_loss : float
        Of all emotions' probabilities: mean sum of squared distances from the truth (Brier 1950,
        Verification of forecasts expressed in terms of probability), 0 to 2; mean negative natural
        logarithm of the true emotion's probability.
    """

    curve: pd.DataFrame
    error: float
    error_by_chance: float
    brier: float
    log_loss: float


def calibration(probabilities: Floats, truth: Places, seed: int = 0) -> Calibration:
    """Return what probabilities are worth.

    The expected calibration error is Guo et al.'s (2017, On calibration of modern neural networks,
    ICML) with bins of equally many clips (Nixon et al. 2019, Measuring calibration in deep
    learning, CVPR workshops): of bins equally wide most would be all but empty.

    Parameters
    ----------
    probabilities : ndarray of shape (n_clips, n_emotions)
        Rows that sum to 1.
    truth : ndarray of int, shape (n_clips,)
        The true emotion's column.
    seed : int
        Of the draws of `Calibration.error_by_chance`.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = _bins(confidence)
    rng = np.random.default_rng(seed)
    drawn = rng.random((DRAWS, len(confidence))) < confidence
    curve = pd.DataFrame({"confidence": confidence, "accuracy": right}).groupby(bins)
    expected = np.eye(probabilities.shape[1])[truth]
    of_truth = np.clip(probabilities[np.arange(len(truth)), truth], SMALLEST, 1)
    return Calibration(
        curve=curve.mean().assign(clips=curve.size()).reset_index(drop=True),
        error=float(_error(bins, confidence, right[None])[0]),
        error_by_chance=float(_error(bins, confidence, drawn).mean()),
        brier=float(np.square(probabilities - expected).sum(axis=1).mean()),
        log_loss=float(-np.log(of_truth).mean()),
    )


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """Return probabilities at a temperature: above 1 less sure, below 1 surer, same order."""
    logits = np.log(np.clip(probabilities, SMALLEST, 1)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


def fit_temperature(probabilities: Floats, truth: Places) -> float:
    """Return the temperature with the smallest log loss (Guo et al. 2017), from 1/20 to 20.

    Parameters
    ----------
    probabilities : ndarray of shape (n_clips, n_emotions)
        Of clips that the model did not learn from.
    truth : ndarray of int, shape (n_clips,)
    """
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        of_truth = tempered(probabilities, float(np.exp(logarithm)))[np.arange(len(truth)), truth]
        return float(-np.log(np.clip(of_truth, SMALLEST, 1)).mean())

    bounds = (-np.log(20), np.log(20))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _bins(confidence: Floats) -> Places:
    """Return each clip's bin, from 0 on; clips of the same confidence share one."""
    count = max(1, min(BINS, len(confidence) // FEWEST_CLIPS))
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, count + 1)[1:-1]))
    places = np.searchsorted(edges, confidence, side="right")
    return np.unique(places, return_inverse=True)[1]


def _error(bins: Places, confidence: Floats, right: NDArray[np.bool_]) -> Floats:
    """Return the calibration error for each row of `right`, of shape (n_rows,)."""
    member = (bins[:, None] == np.arange(bins.max() + 1)).astype(np.float64)
    distance = np.abs((right - confidence) @ member).sum(axis=1)
    return np.asarray(distance / len(confidence), dtype=np.float64)
