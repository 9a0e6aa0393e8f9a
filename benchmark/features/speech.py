"""Voice activity: how many seconds of a recording are voiced, and whether they are enough.

A frame is voiced if it is periodic at a pitch of people and not far below the loudest frame. Noise,
clicks, a constant offset and silence have hardly such a frame; nor has whispering.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from benchmark.features import filters
from benchmark.features.audio import UnusableError, resample
from benchmark.features.filters import Floats
from benchmark.features.recipe import FeatureSet

RATE_HZ = 4_000
"""Enough for pitch. Above 2 kHz, breath and noise hide that a voice is periodic."""

FRAME_LENGTH, HOP_LENGTH = 192, 80
"""48 ms, three periods of the lowest pitch, every 20 ms."""

LOWEST_HZ, HIGHEST_HZ = 65.0, 500.0
PERIODICITY = 0.45
"""Least correlation of a voiced frame with itself one period later: Praat's voicing threshold."""

BELOW_LOUDEST_DB = 40.0
LEAST_DB = -100.0  # of full scale: less is rounding

LEAST_FRACTION = 1 / 4
LEAST_S, ENOUGH_S = 0.1, 0.4
"""A recording needs a quarter of its length as voiced speech, at least and at most so many seconds.

Of the 4,770 clips of RAVDESS, TESS, SAVEE and JL at hand none has less: the least voiced one has
0.78 s. White noise, clicks, mains hum and a constant offset have 0 to 0.2 s. Tones pass, and so may
low rumble: they are unlike the training recordings.
"""


def check_speech(found_s: float, duration_s: float) -> None:
    """Refuse a recording with too little speech to tell an emotion.

    Parameters
    ----------
    found_s : float
        Seconds that are voiced, see `voiced_s`.
    duration_s : float
        Of the recording, or of a window of it.

    Raises
    ------
    UnusableError
        If less is voiced than `LEAST_FRACTION`, `LEAST_S` and `ENOUGH_S` say.
    """
    needed_s = float(np.clip(LEAST_FRACTION * duration_s, LEAST_S, ENOUGH_S))
    if found_s < needed_s:
        raise UnusableError(
            "too-little-speech",
            f"too little speech: {found_s:.2f} of {duration_s:.2f} s are voiced, {needed_s:.2f} s "
            "are needed",
        )


def voiced_s(samples: Floats, sample_rate_hz: int) -> float:
    """Return how many seconds of mono samples, full scale 1.0, are voiced."""
    sound = resample(samples, sample_rate_hz, RATE_HZ)
    if len(sound) < FRAME_LENGTH:
        return 0.0
    frames = sliding_window_view(sound, FRAME_LENGTH)[::HOP_LENGTH]
    level, periodicity = filters.in_blocks(_level_and_periodicity, frames).T
    loud = level > max(10 ** (LEAST_DB / 20), level.max() * 10 ** (-BELOW_LOUDEST_DB / 20))
    return float((loud & (periodicity > PERIODICITY)).sum() * HOP_LENGTH / RATE_HZ)


def _level_and_periodicity(frames: Floats) -> NDArray[np.float32]:
    """Return the RMS of frames, and the highest peak of their autocorrelation: (n_frames, 2)."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    level = np.sqrt(np.mean(np.square(centred), axis=1))
    correlation = _correlation(centred * _window()) / _correlation(_window()[np.newaxis])
    shortest = int(RATE_HZ / HIGHEST_HZ)
    left, centre, right = (correlation[:, shortest + step : step - 2 or None] for step in (0, 1, 2))
    peaks = np.where((centre > left) & (centre >= right), centre, 0.0)
    return np.column_stack([level, peaks.max(axis=1)])


def _row(samples: Floats, sample_rate_hz: int) -> NDArray[np.float32]:
    return np.array([voiced_s(samples, sample_rate_hz)], dtype=np.float32)


VOICED = FeatureSet(
    name="voiced",
    description="Seconds of voiced speech.",
    columns=("voiced_s",),
    compute=_row,
)
"""The measure as a feature set, so that it is computed in parallel and cached."""


@cache
def _window() -> Floats:
    return np.hanning(FRAME_LENGTH + 2)[1:-1].astype(np.float32)


def _correlation(frames: Floats) -> Floats:
    """Return the autocorrelation of frames up to the longest period, 1 at lag 0."""
    longest = int(np.ceil(RATE_HZ / LOWEST_HZ))
    n_fft = 1 << (FRAME_LENGTH + longest).bit_length()
    correlation = np.fft.irfft(filters.power_of(frames, n_fft), axis=1)[:, : longest + 2]
    energy = correlation[:, :1]
    normalised: Floats = correlation / np.where(energy > np.finfo(np.float32).tiny, energy, np.inf)
    return normalised
