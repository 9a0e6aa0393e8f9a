"""Dynamics: how the contours of a clip run over time, beside their statistics (functionals).

No block of numbers was selected by its score on a corpus, and none depends on the recording level.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.features import formants
from benchmark.features.contours import (
    BY_PART,
    EVERYWHERE,
    LEVEL_BY_BAND,
    N_MEL_BANDS,
    N_MFCC,
    SPECTRAL,
    VOICE,
    Contours,
    contours_of,
)
from benchmark.features.filters import Floats
from benchmark.features.functionals import (
    MODULATION_HZ,
    MOVEMENT,
    STATISTICS,
    modulation,
    modulation_columns,
    movement,
    part_means,
    statistics,
)
from benchmark.features.recipe import FeatureSet, columns_of, numbered

N_LEVEL_COSINES, N_SPECTRAL_COSINES = 8, 5
N_COSINE_MFCC = 13
FRACTION_SCALE, CENTROID_SCALE_HZ = 10.0, 100.0  # brings changes to the size of some dB of level
FINE_MODULATION_HZ = (0.4, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32, 40)
STEP_QUANTILES = (0.1, 0.25, 0.75, 0.9)
END_FRAMES = 10  # voiced frames at the start and the end
LOUD_QUANTILE = 0.9
SMALLEST_STD = 1e-6  # below it a contour is constant
LARGEST_KURTOSIS = 20.0  # limits the effect of a single outlier

MODULATED = ("pitch", "periodicity", "voiced", "centroid", "flatness")
"""Contours whose modulation is measured in `MODULATION_HZ`, beside MFCC."""

MELODY = (
    "pitch_rise",
    "pitch_fall",
    "pitch_rising_fraction",
    "pitch_step_std",
    "pitch_step_largest",
    "pitch_range",
    "pitch_end",
    "pitch_start",
    *("pitch_step_q10", "pitch_step_q25", "pitch_step_q75", "pitch_step_q90"),
)
"""Names of what `_melody` returns."""


def dynamics(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return how level, spectrum, pitch and voice run over a clip: (n_columns,)."""
    contours = contours_of(samples, sample_rate_hz)
    row = np.concatenate(
        [
            _changes(contours),
            _parts(contours),
            _cosines(contours.by_part[:, :4], N_LEVEL_COSINES),
            _cosines(contours.mel_db, N_SPECTRAL_COSINES),
            _cosines(contours.mfcc[:, :N_COSINE_MFCC], N_SPECTRAL_COSINES),
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
    """Return std and mean rise of frame-to-frame changes; in voiced frames, change and trend."""
    changes = np.diff(contours.everywhere, axis=0, prepend=contours.everywhere[:1])
    trends = movement(contours.everywhere[contours.voiced])[: len(EVERYWHERE)]
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
    """Return DCT-II coefficients 1 to `count` of columns over the clip, order by order."""
    phase = np.pi * (np.arange(len(contours)) + 0.5) / len(contours)
    waves = np.cos(np.outer(np.arange(1, count + 1), phase))
    amplitudes: Floats = 2.0 / len(contours) * (waves @ contours)
    return amplitudes.ravel()


def _formants(contours: Contours) -> Floats:
    """Return statistics, trend and change of formants in voiced frames."""
    found = formants.formants(contours.power[contours.voiced], contours.sample_rate_hz)
    return np.concatenate([statistics(found), movement(found)])


def _modulations(contours: Contours) -> Floats:
    """Return modulation of pitch, voicing and spectrum, and of the level in fine bands."""
    voicing = np.column_stack([contours.track.periodicity, contours.track.voiced])
    centroid = contours.spectral[:, SPECTRAL.index("centroid_hz")] / CENTROID_SCALE_HZ
    flatness = contours.spectral[:, SPECTRAL.index("flatness_db")]
    modulated = np.column_stack([contours.semitones, FRACTION_SCALE * voicing, centroid, flatness])
    return np.concatenate(
        [
            modulation(modulated, MODULATION_HZ),
            modulation(contours.mfcc[:, :N_COSINE_MFCC], MODULATION_HZ),
            modulation(contours.level_by_band, FINE_MODULATION_HZ),
        ]
    )


def _melody(contours: Contours) -> Floats:
    """Return how pitch changes from frame to frame and over the clip, as `MELODY`."""
    steps = np.diff(contours.semitones, prepend=contours.semitones[:1])[contours.linked]
    voiced = contours.semitones[contours.voiced]
    return np.array(
        [
            np.maximum(steps, 0.0).mean(),
            np.minimum(steps, 0.0).mean(),
            (steps > 0.0).mean(),
            steps.std(),
            np.abs(steps).max(),
            np.ptp(voiced),
            voiced[-END_FRAMES:].mean() - voiced.mean(),
            voiced[:END_FRAMES].mean() - voiced.mean(),
            *np.quantile(steps, STEP_QUANTILES),
        ]
    )


def _weighted(contours: Contours) -> Floats:
    """Return mean and standard deviation over frames, weighted by their amplitude."""
    amplitude = np.power(10.0, contours.level_db / 20.0)
    weights = amplitude / amplitude.sum()
    mean = weights @ contours.everywhere
    return np.concatenate([mean, np.sqrt(weights @ np.square(contours.everywhere - mean))])


def _moments(contours: Floats) -> Floats:
    """Return skewness and kurtosis of columns; 0 for constant columns."""
    std = np.maximum(contours.std(axis=0), SMALLEST_STD)
    standard = (contours - contours.mean(axis=0)) / std
    kurtosis = np.minimum((standard**4).mean(axis=0), LARGEST_KURTOSIS)
    return np.concatenate([(standard**3).mean(axis=0), kurtosis])


def _loudest(contours: Contours) -> Floats:
    """Return means over the loudest tenth of the frames."""
    loud = contours.level_db >= np.quantile(contours.level_db, LOUD_QUANTILE)
    means: Floats = np.column_stack([contours.everywhere, contours.voice])[loud].mean(axis=0)
    return means


def _long_term(contours: Contours) -> Floats:
    """Return the mean power of each mel band relative to the mean of all bands, in dB: (40,)."""
    power = contours.mel.mean(axis=0, dtype=np.float64)
    relative_db: Floats = 10.0 * np.log10(power / power.mean())
    return relative_db


def _part_columns(n_parts: int, contours: Sequence[str]) -> tuple[str, ...]:
    parts = range(1, n_parts + 1)
    return tuple(f"part_{part}_of_{n_parts}_{name}" for part in parts for name in contours)


def _cosine_columns(count: int, contours: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}_cosine_{order}" for order in range(1, count + 1) for name in contours)


FORMANTS = tuple(f"formant_{number}_{kind}_hz" for kind in ("at", "width") for number in (1, 2, 3))
MFCC = numbered("mfcc", N_COSINE_MFCC)

FEATURE_SETS = (
    FeatureSet(
        name="dynamics",
        description=(
            "How the contours of the functionals run over the clip: parts, cosines, frame-to-frame "
            "changes, modulation, formants, melody, loud frames and higher moments; silent ends "
            "removed."
        ),
        columns=(
            *columns_of(EVERYWHERE, "change_std", "rise"),
            *columns_of(EVERYWHERE, "change", "trend", prefix="voiced_"),
            *_part_columns(3, BY_PART),
            *_part_columns(6, (*SPECTRAL, *numbered("mfcc", N_MFCC), *VOICE)),
            *_part_columns(10, (*BY_PART[:4], *numbered("mel_pair", N_MEL_BANDS // 2))),
            *_cosine_columns(N_LEVEL_COSINES, BY_PART[:4]),
            *_cosine_columns(N_SPECTRAL_COSINES, BY_PART[4:]),
            *_cosine_columns(N_SPECTRAL_COSINES, MFCC),
            *columns_of(FORMANTS, *STATISTICS, *MOVEMENT, prefix="voiced_"),
            *modulation_columns(MODULATED, MODULATION_HZ),
            *modulation_columns(MFCC, MODULATION_HZ),
            *modulation_columns(LEVEL_BY_BAND, FINE_MODULATION_HZ),
            *MELODY,
            *columns_of(EVERYWHERE, "mean", "std", prefix="weighted_"),
            *columns_of(EVERYWHERE, "skewness", "kurtosis", prefix="voiced_"),
            *columns_of((*EVERYWHERE, *VOICE), "mean", prefix="loudest_"),
            *columns_of(numbered("mel", N_MEL_BANDS), "of_mean_db"),
        ),
        compute=dynamics,
        sample_rate_hz=16_000,
        trim_top_db=40.0,
    ),
)
