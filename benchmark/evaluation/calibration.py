"""Probability calibration: ECE, Brier score, log loss, temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

BINS = 15
FEWEST_CLIPS = 10
"""Minimum of clips in a bin; small sets have fewer bins."""

DRAWS = 500
SMALLEST = 1e-7
"""Lower bound of a probability in logarithms; float32 has zeros."""


@dataclass(frozen=True)
class Calibration:
    """Calibration of a model's probabilities on one set of clips.

    Attributes
    ----------
    curve : DataFrame of shape (n_bins, 3)
        Reliability curve, one row per bin: confidence (mean probability of the predicted emotion),
        accuracy (fraction of correct predictions) and clips.
    error : float
        Expected calibration error (ECE): mean distance of accuracy and confidence over clips.
    error_by_chance : float
        Mean ECE of a perfectly calibrated model on as many clips.
    brier : float
        Brier score over all emotions, 0 to 2 (Brier 1950, Verification of forecasts expressed in
        terms of probability).
    log_loss : float
        Mean negative natural logarithm of the true emotion's probability.
    """

    curve: pd.DataFrame
    error: float
    error_by_chance: float
    brier: float
    log_loss: float


def calibration(probabilities: Floats, truth: Labels, seed: int = 0) -> Calibration:
    """Return the calibration of probabilities.

    The ECE is Guo et al.'s (2017, On calibration of modern neural networks,
    ICML) with bins of equally many clips (Nixon et al. 2019, Measuring calibration in deep
    learning, CVPR workshops): most bins of equal width would be almost empty.

    Parameters
    ----------
    probabilities : ndarray of shape (n_clips, n_emotions)
        Rows that sum to 1.
    truth : ndarray of int, shape (n_clips,)
        Column of the true emotion.
    seed : int
        For the draws of `Calibration.error_by_chance`.
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
    """Return temperature-scaled probabilities; a temperature above 1 lowers the confidence."""
    logits = np.log(np.clip(probabilities, SMALLEST, 1)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


def fit_temperature(probabilities: Floats, truth: Labels) -> float:
    """Return the temperature with the lowest log loss (Guo et al. 2017), from 1/20 to 20.

    Parameters
    ----------
    probabilities : ndarray of shape (n_clips, n_emotions)
        Of clips that were not in training.
    truth : ndarray of int, shape (n_clips,)
    """
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        of_truth = tempered(probabilities, float(np.exp(logarithm)))[np.arange(len(truth)), truth]
        return float(-np.log(np.clip(of_truth, SMALLEST, 1)).mean())

    bounds = (-np.log(20), np.log(20))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _bins(confidence: Floats) -> Labels:
    """Return the bin of each clip, from 0 on; clips of equal confidence share one."""
    count = max(1, min(BINS, len(confidence) // FEWEST_CLIPS))
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, count + 1)[1:-1]))
    places = np.searchsorted(edges, confidence, side="right")
    return np.unique(places, return_inverse=True)[1]


def _error(bins: Labels, confidence: Floats, right: NDArray[np.bool_]) -> Floats:
    """Return the ECE for each row of `right`, of shape (n_rows,)."""
    member = (bins[:, None] == np.arange(bins.max() + 1)).astype(np.float64)
    distance = np.abs((right - confidence) @ member).sum(axis=1)
    return np.asarray(distance / len(confidence), dtype=np.float64)
