"""Courses: what the contours of the functionals do over a clip, beside their statistics.

All blocks that were thought of are in; none was chosen by what it brings on a corpus. No number
depends on how loud a recording is. What each is called stands in `names`.
"""

from __future__ import annotations

import numpy as np

from benchmark.features import formants, names
from benchmark.features.filters import Floats
from benchmark.features.functionals import (
    MODULATION_EDGES_HZ,
    Contours,
    contours_of,
    course,
    modulation,
    part_means,
    statistics,
)

LEVEL_COSINES, SPECTRAL_COSINES = 8, 5
SHARE_SCALE, CENTROID_SCALE_HZ = 10.0, 100.0  # their changes count as much as some dB of level
FINE_EDGES_HZ = tuple(float(edge) for edge in names.FINE_HZ)
STEP_QUANTILES = (0.1, 0.25, 0.75, 0.9)
END_FRAMES = 10  # voiced ones, at the beginning and the end
LOUD_QUANTILE = 0.9
SMALLEST_SPREAD = 1e-6  # what moves less does not move
LARGEST_KURTOSIS = 20.0  # one outlier among many frames has as many as there are frames


def courses(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return how level, spectrum, pitch and voice run over a clip, as `names.COURSES`."""
    contours = contours_of(samples, sample_rate_hz)
    row = np.concatenate(
        [
            _changes(contours),
            _parts(contours),
            _cosines(contours.by_part[:, :4], LEVEL_COSINES),
            _cosines(contours.mel_db, SPECTRAL_COSINES),
            _cosines(contours.mfcc[:, : names.COSINE_MFCC], SPECTRAL_COSINES),
            _formants(contours),
            _modulations(contours),
            _melody(contours),
            _weighted(contours),
            _moments(contours.everywhere[contours.voiced]),
            _loudest(contours),
            _long_term(contours),
        ]
    )
    return row.astype(np.float32)


def _changes(contours: Contours) -> Floats:
    """Return spread and rise of changes from frame to frame; in the voice, change and trend."""
    changes = np.diff(contours.everywhere, axis=0, prepend=contours.everywhere[:1])
    trends = course(contours.everywhere[contours.voiced])[: len(names.EVERYWHERE)]
    return np.concatenate(
        [
            changes.std(axis=0),
            np.maximum(changes, 0.0).mean(axis=0),
            np.abs(changes[contours.linked]).mean(axis=0),
            trends,
        ]
    )


def _parts(contours: Contours) -> Floats:
    """Return means over thirds, sixths and tenths of the clip."""
    pairs = contours.mel_db.reshape(len(contours.mel_db), -1, 2).mean(axis=2)
    return np.concatenate(
        [
            part_means(contours.by_part, 3),
            part_means(np.column_stack([contours.spectral, contours.mfcc, contours.voice]), 6),
            part_means(np.column_stack([contours.by_part[:, :4], pairs]), 10),
        ]
    )


def _cosines(contours: Floats, count: int) -> Floats:
    """Return amplitudes of the first cosines of the DCT-II of columns over the clip, one by one."""
    phase = np.pi * (np.arange(len(contours)) + 0.5) / len(contours)
    waves = np.cos(np.outer(np.arange(1, count + 1), phase))
    amplitudes: Floats = 2.0 / len(contours) * (waves @ contours)
    return amplitudes.ravel()


def _formants(contours: Contours) -> Floats:
    """Return statistics, trend and change of formants in voiced frames."""
    found = formants.formants(contours.power[contours.voiced], contours.sample_rate_hz)
    return np.concatenate([statistics(found), course(found)])


def _modulations(contours: Contours) -> Floats:
    """Return the power of slow changes of pitch, voice and spectrum, and of level in fine bands."""
    shares = SHARE_SCALE * np.column_stack([contours.track.periodicity, contours.track.voiced])
    centroid = contours.spectral[:, names.SPECTRAL.index("centroid_hz")] / CENTROID_SCALE_HZ
    flatness = contours.spectral[:, names.SPECTRAL.index("flatness_db")]
    moved = np.column_stack([contours.semitones, shares, centroid, flatness])
    return np.concatenate(
        [
            modulation(moved, MODULATION_EDGES_HZ),
            modulation(contours.mfcc[:, : names.COSINE_MFCC], MODULATION_EDGES_HZ),
            modulation(contours.level_by_band, FINE_EDGES_HZ),
        ]
    )


def _melody(contours: Contours) -> Floats:
    """Return how pitch moves from frame to frame and over the clip, as `names.MELODY`."""
    steps = np.diff(contours.semitones, prepend=contours.semitones[:1])[contours.linked]
    heard = contours.semitones[contours.voiced]
    return np.array(
        [
            np.maximum(steps, 0.0).mean(),
            np.minimum(steps, 0.0).mean(),
            (steps > 0.0).mean(),
            steps.std(),
            np.abs(steps).max(),
            np.ptp(heard),
            heard[-END_FRAMES:].mean() - heard.mean(),
            heard[:END_FRAMES].mean() - heard.mean(),
            *np.quantile(steps, STEP_QUANTILES),
        ]
    )


def _weighted(contours: Contours) -> Floats:
    """Return mean and standard deviation over frames that count by their amplitude."""
    amplitude = np.power(10.0, contours.level_db / 20.0)
    weights = amplitude / amplitude.sum()
    mean = weights @ contours.everywhere
    return np.concatenate([mean, np.sqrt(weights @ np.square(contours.everywhere - mean))])


def _moments(contours: Floats) -> Floats:
    """Return skewness and kurtosis of columns, 0 for those that don't move."""
    spread = np.maximum(contours.std(axis=0), SMALLEST_SPREAD)
    standard = (contours - contours.mean(axis=0)) / spread
    kurtosis = np.minimum((standard**4).mean(axis=0), LARGEST_KURTOSIS)
    return np.concatenate([(standard**3).mean(axis=0), kurtosis])


def _loudest(contours: Contours) -> Floats:
    """Return means over the loudest tenth of frames."""
    loud = contours.level_db >= np.quantile(contours.level_db, LOUD_QUANTILE)
    means: Floats = np.column_stack([contours.everywhere, contours.voice])[loud].mean(axis=0)
    return means


def _long_term(contours: Contours) -> Floats:
    """Return the mean power of each mel band over that of all, in dB: (40,)."""
    power = contours.mel.mean(axis=0, dtype=np.float64)
    share_db: Floats = 10.0 * np.log10(power / power.mean())
    return share_db
