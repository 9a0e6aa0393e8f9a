"""Features over time: a clip's frames one after the other, cut or padded to a fixed number.

A row holds the frames in order, each with all its coefficients: it is the array of shape
(n_frames, n_coefficients) in C order. Every number equals that of librosa 0.11 with its defaults.
"""

from __future__ import annotations

import numpy as np

from benchmark.features import filters
from benchmark.features.filters import Floats
from benchmark.features.spectral import Frames, decibels

MFCC_FRAMES = 130  # of 3 s at 22,050 Hz
TRACK_FRAMES = 259  # of 3 s at 44,100 Hz
LONGEST_S = 3.0
LOG_MEL_BANDS = 40
LOG_MEL_STEP = 2  # every second frame: a hop of 1,024 samples, 46 ms at 22,050 Hz


def mfcc_frames_13(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return 13 MFCCs of 130 frames, those that are missing zero on both sides: (1690,)."""
    mfcc = Frames(samples, sample_rate_hz).mfcc(13)[:MFCC_FRAMES]
    missing = MFCC_FRAMES - len(mfcc)
    padded = np.pad(mfcc, ((missing // 2, missing - missing // 2), (0, 0)))
    return padded.astype(np.float32).reshape(-1)


def mfcc_track(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return the mean of 13 MFCCs at each of 259 frames, those that are missing zero: (259,)."""
    track = Frames(samples, sample_rate_hz).mfcc(13).mean(axis=1)[:TRACK_FRAMES]
    return np.pad(track, (0, TRACK_FRAMES - len(track))).astype(np.float32)


def log_mel_frames(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return 40 mel bands in dB of 65 frames, (2600,): three seconds, silence behind the clip."""
    longest = round(LONGEST_S * sample_rate_hz)
    padded = np.pad(samples[:longest], (0, max(0, longest - len(samples))))
    power = np.square(Frames(padded, sample_rate_hz).magnitude[::LOG_MEL_STEP])
    mel = power @ filters.mel_bank(sample_rate_hz, LOG_MEL_BANDS).T
    return decibels(mel).astype(np.float32).reshape(-1)
