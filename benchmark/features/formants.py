"""Formants of frames by linear prediction from their power spectra.

The autocorrelation method (Markel & Gray, Linear Prediction of Speech, 1976) on the spectrum below
5.5 kHz, as for a voice sampled at 11 kHz: a filter of order 10 has five resonances, of which the
lowest three that are narrow enough are formants.
"""

from __future__ import annotations

import numpy as np

from benchmark.features import filters
from benchmark.features.filters import FRAME_LENGTH, Floats

COUNT = 3
ORDER = 10
HIGHEST_HZ = 5500.0
EMPHASIS = 0.97  # pre-emphasis, against the spectral slope of a voice
WHITENING = 1.0001  # -40 dB of noise, without which the equations of a pure tone are singular
RANGE_HZ = (150.0, 5300.0)  # of the frequency of a formant
WIDEST_HZ = 700.0
NEUTRAL_HZ = (500.0, 1500.0, 2500.0)  # of a tube 17 cm long; returned if no formant is found


def formants(power: Floats, sample_rate_hz: int) -> Floats:
    """Return frequencies and bandwidths in Hz of the first three formants: (n_frames, 6).

    Parameters
    ----------
    power : ndarray of float32, shape (n_frames, 1025)
        Power spectra, all above 0.
    sample_rate_hz : int
        Sample rate of the clip.
    """
    bin_hz = sample_rate_hz / FRAME_LENGTH
    n_bins = min(int(HIGHEST_HZ / bin_hz), FRAME_LENGTH // 2)
    radians = 2.0 * np.pi * np.arange(n_bins + 1) / FRAME_LENGTH
    emphasis = 1.0 + EMPHASIS**2 - 2.0 * EMPHASIS * np.cos(radians)
    correlation = filters.in_blocks(
        lambda block: np.fft.irfft(block * emphasis, axis=1)[:, : ORDER + 1], power[:, : n_bins + 1]
    )
    correlation[:, 0] *= WHITENING
    roots = _roots(_predictor(correlation))
    rate_hz = 2.0 * n_bins * bin_hz
    frequency = np.angle(roots) * rate_hz / (2.0 * np.pi)
    width = -np.log(np.clip(np.abs(roots), 1e-9, 1.0)) * rate_hz / np.pi
    lowest, highest = RANGE_HZ
    found = (frequency > lowest) & (frequency < highest) & (width < WIDEST_HZ)
    ordered = np.argsort(np.where(found, frequency, np.inf), axis=1)[:, :COUNT]
    there, frequency, width = (
        np.take_along_axis(values, ordered, axis=1) for values in (found, frequency, width)
    )
    return np.column_stack(
        [np.where(there, frequency, NEUTRAL_HZ), np.where(there, width, WIDEST_HZ)]
    )


def _predictor(correlation: Floats) -> Floats:
    """Return the prediction coefficients of each frame: (n_frames, 10)."""
    lags = np.abs(np.subtract.outer(np.arange(ORDER), np.arange(ORDER)))
    weights: Floats = np.linalg.solve(correlation[:, lags], correlation[:, 1:, np.newaxis])[..., 0]
    return weights


def _roots(predictor: Floats) -> np.ndarray:
    """Return the poles of each frame's filter: the eigenvalues of its companion matrix."""
    companion = np.zeros((len(predictor), ORDER, ORDER))
    companion[:, 0, :] = predictor
    companion[:, np.arange(1, ORDER), np.arange(ORDER - 1)] = 1.0
    roots: np.ndarray = np.linalg.eigvals(companion)
    return roots
