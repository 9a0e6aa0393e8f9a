"""Features over time: the frames of a clip in order, cut or padded to a fixed number.

A row is the array of shape (n_frames, n_coefficients) in C order. All numbers equal those of
librosa 0.11 with its defaults.
"""

from __future__ import annotations

import numpy as np

from benchmark.features import filters
from benchmark.features.filters import Floats
from benchmark.features.recipe import SAMPLE_RATE_HZ, FeatureSet, numbered
from benchmark.features.spectral import Frames, decibels

MFCC_FRAMES = 130  # of 3 s at 22,050 Hz
TRACK_FRAMES = 259  # of 3 s at 44,100 Hz
LONGEST_S = 3.0
LOG_MEL_BANDS = 40
LOG_MEL_FRAMES = 65
LOG_MEL_STEP = 2  # every second frame: a hop of 1,024 samples, 46 ms at 22,050 Hz


def mfcc_frames_13(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return 13 MFCC of 130 frames, zero-padded on both sides: (1690,)."""
    mfcc = Frames(samples, sample_rate_hz).mfcc(13)[:MFCC_FRAMES]
    missing = MFCC_FRAMES - len(mfcc)
    padded = np.pad(mfcc, ((missing // 2, missing - missing // 2), (0, 0)))
    return padded.astype(np.float32).reshape(-1)


def mfcc_track(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return the mean of 13 MFCC at each of 259 frames, zero-padded at the end: (259,)."""
    track = Frames(samples, sample_rate_hz).mfcc(13).mean(axis=1)[:TRACK_FRAMES]
    return np.pad(track, (0, TRACK_FRAMES - len(track))).astype(np.float32)


def log_mel_frames(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return 40 mel bands in dB of 65 frames, (2600,): three seconds, padded with silence."""
    longest = round(LONGEST_S * sample_rate_hz)
    padded = np.pad(samples[:longest], (0, max(0, longest - len(samples))))
    power = np.square(Frames(padded, sample_rate_hz).magnitude[::LOG_MEL_STEP])
    mel = power @ filters.mel_bank(sample_rate_hz, LOG_MEL_BANDS).T
    return decibels(mel).astype(np.float32).reshape(-1)


def _over_time(n_frames: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return column names such as ``frame_007_mfcc_02``, frame by frame."""
    return tuple(f"{frame}_{name}" for frame in numbered("frame", n_frames) for name in names)


FEATURE_SETS = (
    FeatureSet(
        name="mfcc-frames-13",
        description=(
            "13 MFCC of each of 130 frames of the first 3 s; silent ends removed, zero-padded on "
            "both sides."
        ),
        columns=_over_time(MFCC_FRAMES, numbered("mfcc", 13)),
        compute=mfcc_frames_13,
        duration_s=3.0,
        trim_top_db=60.0,
        shape=(MFCC_FRAMES, 13),
    ),
    FeatureSet(
        name="mfcc-track-44k",
        description=(
            "Mean of 13 MFCC at each of 259 frames of 3 s from 0.5 s on, at 44,100 Hz, zero-padded "
            "at the end."
        ),
        columns=_over_time(TRACK_FRAMES, ("mfcc_mean",)),
        compute=mfcc_track,
        sample_rate_hz=2 * SAMPLE_RATE_HZ,
        offset_s=0.5,
        duration_s=3.0,
        shape=(TRACK_FRAMES, 1),
    ),
    FeatureSet(
        name="log-mel-frames",
        description=(
            "40 mel bands in dB of each of 65 frames; silent ends removed, cut or padded with "
            "silence to 3 s."
        ),
        columns=_over_time(LOG_MEL_FRAMES, numbered("mel", LOG_MEL_BANDS)),
        compute=log_mel_frames,
        trim_top_db=40.0,
        shape=(LOG_MEL_FRAMES, LOG_MEL_BANDS),
    ),
)
