"""The fingerprint of a recording: it stays nearly the same when the recording is changed a little.

Level, padding, noise, codec, telephone band and speed change it little; another recording of the
same speaker and sentence has another one. It is used to find copies, not to recognise emotions.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmark.features.filters import framed, power_of
from benchmark.features.recipe import FeatureSet

Floats = NDArray[np.float32]

SAMPLE_RATE_HZ = 16_000
WINDOW, HOP = 1_024, 160  # 64 ms, 10 ms
BANDS, FRAMES = 60, 64
LOWEST_HZ, BANDS_PER_OCTAVE = 100.0, 12  # a change of speed shifts the bands of a logarithmic axis
NARROWEST_HZ = 16.0  # half the width of the lowest bands; a bin is 15.6 Hz wide
SMOOTHING = 15  # frames
ENDS_DB = 20.0  # speech begins and ends here, below its loudest part; lower would be noise
RANGE_DB = 25.0


def compute(samples: NDArray[np.float32], sample_rate_hz: int) -> Floats:
    """Return the levels in 60 bands and 64 equal parts of the speech, in dB, band by band.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono, full scale 1.0.
    sample_rate_hz : int

    Returns
    -------
    ndarray of float32, shape (3840,)
        At least 25 dB below the highest.
    """
    spectra = power_of(framed(samples, HOP, WINDOW) * _window())
    power = _filters(sample_rate_hz) @ spectra.T
    level = np.convolve(power.sum(axis=0), np.full(SMOOTHING, 1 / SMOOTHING), mode="same")
    speech = np.flatnonzero(level > level.max() * 10 ** (-ENDS_DB / 10))
    means = _in_equal_parts(power[:, speech[0] : speech[-1] + 1])
    lowest = means.max() * 10 ** (-RANGE_DB / 10)
    decibels: Floats = (10 * np.log10(np.maximum(means, lowest))).astype(np.float32)
    return decibels.ravel()


@cache
def _window() -> Floats:
    """Return the periodic Hann window."""
    phase = np.linspace(-np.pi, np.pi, WINDOW + 1, dtype=np.float32)[:-1]
    window: Floats = (0.5 + 0.5 * np.cos(phase)).astype(np.float32)
    return window


@cache
def _filters(sample_rate_hz: int) -> NDArray[np.float64]:
    """Return triangular filters on a logarithmic axis, shape (bands, bins), each of sum 1."""
    bins = np.fft.rfftfreq(WINDOW, 1 / sample_rate_hz)
    filters = np.zeros((BANDS, len(bins)))
    for band in range(BANDS):
        centre = LOWEST_HZ * 2 ** (band / BANDS_PER_OCTAVE)
        width = 2 ** (1.5 / BANDS_PER_OCTAVE)
        low = min(centre / width, centre - NARROWEST_HZ)
        high = max(centre * width, centre + NARROWEST_HZ)
        weights = np.interp(bins, [low, centre, high], [0, 1, 0], left=0, right=0)
        filters[band] = weights / weights.sum()
    return filters


def _in_equal_parts(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean power of equal parts of the time, shape (bands, FRAMES)."""
    n_frames = power.shape[1]
    edges = np.linspace(0, n_frames, FRAMES + 1)
    sums = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    at_edges = np.stack([np.interp(edges, np.arange(n_frames + 1), row) for row in sums])
    return np.maximum(np.diff(at_edges, axis=1), 0) / np.diff(edges)


FINGERPRINT = FeatureSet(
    name="fingerprint",
    description="Levels in 60 bands and 64 parts of the speech, to find copies of a recording.",
    columns=tuple(
        f"band_{band + 1:02d}_part_{part + 1:02d}"
        for band in range(BANDS)
        for part in range(FRAMES)
    ),
    compute=compute,
    sample_rate_hz=SAMPLE_RATE_HZ,
)
"""Not in the registry: no model should learn from it."""
