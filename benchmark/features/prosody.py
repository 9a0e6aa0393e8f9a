"""Prosody: duration, level and pitch of a clip, as the data pages show them.

Its pitch is YIN's: published pages show it, and it differs from that of `pitch`, which follows a
path over all frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.features import spectral
from benchmark.features.filters import FRAME_LENGTH, Floats, framed
from benchmark.features.recipe import FeatureSet
from benchmark.features.spectral import HOP_LENGTH

LOWEST_HZ, HIGHEST_HZ = 65.0, 600.0
TROUGH = 0.1  # YIN's absolute threshold; librosa's default
VOICED_APERIODICITY = 0.4  # from 0.15 to 0.5, the value whose medians are nearest to librosa.pyin's
VOICED_DB = 30.0  # a frame this far below the loudest is breath or room noise
SILENCE_RMS = 1e-5  # -100 dB of full scale
ROUNDING = 1e-12  # of a frame's energy: rounding error of a Fourier transform and its inverse
TRANSFORM_LENGTH = 2_592  # a fast length above a frame plus the longest period


@dataclass(frozen=True)
class Pitch:
    """Pitch of frames.

    Attributes
    ----------
    f0_hz : ndarray of float64, shape (n_frames,)
        Most likely fundamental frequency, of voiced and unvoiced frames.
    aperiodicity : ndarray of float64, shape (n_frames,)
        Normalised difference between a frame and itself one period later: 0 if they are equal,
        about 1 for noise.
    """

    f0_hz: Floats
    aperiodicity: Floats


def prosody(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return duration in s, two levels in dB, three pitches in Hz, fraction of voiced frames: (7,).

    Levels are those of the mean and the maximum RMS over frames. Pitch is the median and the 10th
    and 90th percentile over voiced frames; 0 without voiced frames.
    """
    rms = spectral.frame_rms(samples)
    mean_db, max_db = 20.0 * np.log10(np.maximum(SILENCE_RMS, [rms.mean(), rms.max()]))
    pitch = yin(samples, sample_rate_hz)
    loud = rms > max(SILENCE_RMS, rms.max() * 10.0 ** (-VOICED_DB / 20.0))
    voiced = loud & (pitch.aperiodicity < VOICED_APERIODICITY)
    f0_hz = pitch.f0_hz[voiced] if voiced.any() else np.zeros(1)
    median_hz, low_hz, high_hz = np.percentile(f0_hz, [50, 10, 90])
    duration_s = len(samples) / sample_rate_hz
    return np.array(
        [duration_s, mean_db, max_db, median_hz, low_hz, high_hz, voiced.mean()], dtype=np.float32
    )


def yin(samples: Floats, sample_rate_hz: int) -> Pitch:
    """Return the pitch of each centred frame, as librosa.yin does in double precision.

    The period is the lag of the first trough of the normalised difference below a threshold, else
    of its minimum, refined by a parabola (de Cheveigné & Kawahara, YIN, 2002).
    """
    shortest = int(sample_rate_hz / HIGHEST_HZ)
    longest = int(np.ceil(sample_rate_hz / LOWEST_HZ))
    difference = _normalised_difference(samples, longest)[:, shortest - 1 :]
    rows = np.arange(len(difference))
    lag = _first_trough(difference)
    period = shortest + lag + _parabola_shift(difference, rows, lag)
    return Pitch(sample_rate_hz / period, difference[rows, lag])


def _normalised_difference(samples: Floats, longest: int) -> Floats:
    """Return the cumulative mean normalised difference at lags from 1 on: (n_frames, longest)."""
    frames = framed(samples.astype(np.float64), HOP_LENGTH)
    length = max(TRANSFORM_LENGTH, FRAME_LENGTH + longest)
    transformed = np.fft.rfft(frames, n=length, axis=1)
    power = np.square(transformed.real) + np.square(transformed.imag)
    correlation = np.fft.irfft(power, n=length, axis=1)[:, : longest + 1]
    energy = np.cumsum(np.square(frames[:, :longest]), axis=1)
    difference = 2.0 * (correlation[:, :1] - correlation[:, 1:]) - energy
    mean = np.cumsum(difference, axis=1) / np.arange(1, longest + 1)
    # A frame of zeros has no period, nor has rounding error.
    normalised: Floats = np.ones_like(difference)
    np.divide(difference, mean, out=normalised, where=mean > ROUNDING * correlation[:, :1])
    return normalised


def _first_trough(difference: Floats) -> NDArray[np.intp]:
    """Return the index of each row's first trough below the threshold, else of its minimum."""
    below = np.pad(difference, ((0, 0), (1, 1)), constant_values=np.inf)
    trough = (difference < below[:, :-2]) & (difference <= below[:, 2:]) & (difference < TROUGH)
    index: NDArray[np.intp] = np.where(
        trough.any(axis=1), trough.argmax(axis=1), difference.argmin(axis=1)
    )
    return index


def _parabola_shift(difference: Floats, rows: NDArray[np.intp], index: NDArray[np.intp]) -> Floats:
    """Return the offset of the minimum of the parabola through each index and its neighbours."""
    inner = np.clip(index, 1, difference.shape[1] - 2)
    left, centre, right = (difference[rows, inner + step] for step in (-1, 0, 1))
    curvature, slope = left + right - 2.0 * centre, (right - left) / 2.0
    inside = (np.abs(slope) < np.abs(curvature)) & (inner == index)
    shift: Floats = np.where(inside, -slope / np.where(inside, curvature, 1.0), 0.0)
    return shift


FEATURE_SETS = (
    FeatureSet(
        name="prosody",
        description=(
            "Duration, level (mean and loudest frame), pitch (median, 10th and 90th percentile) "
            "and fraction of voiced frames; silent ends removed."
        ),
        columns=(
            "duration_s",
            "level_mean_db",
            "level_max_db",
            "pitch_median_hz",
            "pitch_10th_hz",
            "pitch_90th_hz",
            "voiced_share",
        ),
        compute=prosody,
        trim_top_db=60.0,
    ),
)
