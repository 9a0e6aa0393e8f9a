"""Functionals: statistics over time of the contours of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from benchmark.features.contours import (
    BY_PART,
    EVERYWHERE,
    FRAMES_PER_SECOND,
    LEVEL_BY_BAND,
    RHYTHM,
    SILENCE_RMS,
    VOICE,
    contours_of,
    decibels,
    rms,
)
from benchmark.features.filters import Floats
from benchmark.features.recipe import FeatureSet, columns_of, numbered

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
STATISTICS = ("mean", "std", "q05", "q25", "q50", "q75", "q95")
"""Names of what `statistics` returns for each contour."""

MOVEMENT = ("trend", "change")
"""Names of what `movement` returns for each contour."""

N_PARTS = 6
MODULATION_HZ = (0.5, 2.0, 4.0, 8.0, 16.0, 32.0)
MODULATION_LENGTH = 512  # minimum number of frames of the Fourier transform


def functionals(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return statistics of level, spectrum, pitch, voice and rhythm: (1468,)."""
    level = rms(samples)
    peak = max(float(np.abs(samples).max()), SILENCE_RMS)
    contours = contours_of(samples, sample_rate_hz)
    voiced = np.column_stack([contours.everywhere, contours.voice])[contours.voiced]
    row = np.concatenate(
        [
            20.0 * np.log10([level, peak]),
            statistics(contours.everywhere),
            movement(contours.everywhere),
            statistics(voiced),
            movement(voiced[:, -len(VOICE) :]),
            part_means(contours.by_part, N_PARTS),
            contours.rhythm,
            modulation(contours.level_by_band, MODULATION_HZ),
        ]
    )
    return row.astype(np.float32)


def statistics(contours: Floats) -> Floats:
    """Return mean, standard deviation and five quantiles of columns, statistic by statistic."""
    # Sorting first is faster: numpy partitions a column twice for each quantile.
    ordered = np.sort(contours, axis=0)
    quantiles = np.quantile(ordered, QUANTILES, axis=0, overwrite_input=True)
    return np.concatenate([contours.mean(axis=0), contours.std(axis=0), *quantiles])


def movement(contours: Floats) -> Floats:
    """Return trend (slope over the clip) and mean absolute frame-to-frame change of columns."""
    time = np.linspace(-0.5, 0.5, len(contours)) if len(contours) > 1 else np.zeros(1)
    energy = np.square(time).sum()
    trend = time @ contours / (energy if energy else 1.0)
    change = np.abs(np.diff(contours, axis=0, append=contours[-1:])).mean(axis=0)
    return np.concatenate([trend, change])


def part_means(contours: Floats, n_parts: int) -> Floats:
    """Return the means of columns over equal parts of at least one frame, part by part."""
    edges = np.linspace(0, len(contours), n_parts + 1).astype(np.intp)
    return np.concatenate([contours[a : max(b, a + 1)].mean(axis=0) for a, b in pairwise(edges)])


def modulation(contours: Floats, edges_hz: tuple[float, ...]) -> Floats:
    """Return the power of columns in bands of the modulation spectrum, in dB, band by band."""
    n_fft = max(MODULATION_LENGTH, len(contours))
    spectrum = np.fft.rfft(contours - contours.mean(axis=0), n=n_fft, axis=0)
    power = np.square(np.abs(spectrum)) / len(contours)
    frequencies = np.fft.rfftfreq(n_fft, 1.0 / FRAMES_PER_SECOND)
    edges = np.searchsorted(frequencies, edges_hz)
    bands = [power[a:b].mean(axis=0) for a, b in pairwise(edges)]
    return decibels(np.maximum(np.concatenate(bands), 1e-3))


def modulation_columns(contours: Sequence[str], edges_hz: Sequence[float]) -> tuple[str, ...]:
    """Return the column names of what `modulation` returns."""
    bands = [f"{low:g}_to_{high:g}" for low, high in pairwise(edges_hz)]
    return tuple(f"{name}_modulated_{band}_hz" for band in bands for name in contours)


FEATURE_SETS = (
    FeatureSet(
        name="functionals",
        description=(
            "Statistics over all frames, voiced frames and parts of the clip of level, spectral "
            "shape, MFCC, mel bands, pitch, voice quality and rhythm; silent ends removed."
        ),
        columns=(
            "rms_db",
            "peak_db",
            *columns_of(EVERYWHERE, *STATISTICS, *MOVEMENT),
            *columns_of((*EVERYWHERE, *VOICE), *STATISTICS, prefix="voiced_"),
            *columns_of(VOICE, *MOVEMENT, prefix="voiced_"),
            *(f"{part}_{name}" for part in numbered("part", N_PARTS) for name in BY_PART),
            *RHYTHM,
            *modulation_columns(LEVEL_BY_BAND, MODULATION_HZ),
        ),
        compute=functionals,
        sample_rate_hz=16_000,
        trim_top_db=40.0,
    ),
)
