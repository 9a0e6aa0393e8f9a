"""Features: named recipes from a clip's samples to a row of named numbers.

Importing this package is cheap; numpy and the audio libraries come with the first use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.features.augment import AUGMENTATIONS, Augmentation, Chain, parse_chain
from benchmark.features.extract import Extracted, extract
from benchmark.features.names import FUNCTIONALS, each, numbered, over_time

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "AUGMENTATIONS",
    "FEATURE_SETS",
    "Augmentation",
    "Chain",
    "Extracted",
    "FeatureSet",
    "extract",
    "feature_set",
    "parse_chain",
]

SAMPLE_RATE_HZ = 22_050
"""The rate to which every recording is brought; passed everywhere, never left to a default."""


@dataclass(frozen=True)
class FeatureSet:
    """A named recipe from samples to a row of named numbers.

    Attributes
    ----------
    name : str
        Its name in study files.
    description : str
        What it measures, in one sentence.
    columns : tuple of str
        Names of the numbers, in the order of a row.
    compute : callable
        From mono samples (float32, full scale 1.0) and their rate in Hz to a row, float32 of shape
        (n_columns,).
    sample_rate_hz : int
        The rate to which recordings are resampled first.
    offset_s, duration_s : float, float or None
        The part of a recording that is taken, as by librosa.load's arguments of the same names; a
        shorter recording gives what there is. It is taken before anything else is done.
    trim_top_db : float or None
        Silence at both ends that lies this far below the loudest frame is cut off first; None takes
        recordings as they are.
    shape : (int, int) or None
        Frames and coefficients of features over time, whose row is the array of this shape in C
        order; None where the numbers have no order.
    version : int
        Raised whenever the numbers change, so that no cache serves the old ones.
    """

    name: str
    description: str
    columns: tuple[str, ...]
    compute: Callable[[np.ndarray, int], np.ndarray]
    sample_rate_hz: int = SAMPLE_RATE_HZ
    trim_top_db: float | None = None
    offset_s: float = 0.0
    duration_s: float | None = None
    shape: tuple[int, int] | None = None
    version: int = 1

    @property
    def part(self) -> slice:
        """The samples of a recording that are taken."""
        first = round(self.offset_s * self.sample_rate_hz)
        if self.duration_s is None:
            return slice(first, None)
        return slice(first, first + round(self.duration_s * self.sample_rate_hz))

    def recipe(self) -> dict[str, Any]:
        """Return everything that decides the numbers, as plain data."""
        told = {
            "name": self.name,
            "version": self.version,
            "sample_rate_hz": self.sample_rate_hz,
            "trim_top_db": self.trim_top_db,
            "columns": list(self.columns),
        }
        # Recipes for whole recordings are told as before there were others: their caches last.
        if self.part != slice(0, None):
            told |= {"offset_s": self.offset_s, "duration_s": self.duration_s}
        return told


def _row(module: str, function: str, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the row of a function in a module of this package, which is imported only now."""
    compute = getattr(import_module(f"benchmark.features.{module}"), function)
    row: np.ndarray = compute(samples, sample_rate_hz)
    return row


SINGLE = ("rms", "centroid", "rolloff", "zero_crossing_rate")
CHROMA, MEL = numbered("chroma", 12), numbered("mel", 128)
MFCC_20, MFCC_40 = numbered("mfcc", 20), numbered("mfcc", 40)
QUANTITIES = (*MFCC_20, *CHROMA, *numbered("contrast", 7), "zero_crossing_rate", "rms")

FEATURE_SETS: dict[str, FeatureSet] = {
    feature_set.name: feature_set
    for feature_set in (
        FeatureSet(
            name="means-184",
            description=(
                "Means over frames of RMS, spectral centroid, rolloff, zero-crossing rate, "
                "12 chroma, 40 MFCC and 128 mel bands of the clip without its silent ends."
            ),
            columns=each("mean", (*SINGLE, *CHROMA, *MFCC_40, *MEL)),
            compute=partial(_row, "spectral", "means_184"),
            trim_top_db=60.0,
        ),
        FeatureSet(
            name="means-180",
            description=(
                "Means over frames of 40 MFCC, 12 chroma and 128 mel bands of the clip as it is."
            ),
            columns=each("mean", (*MFCC_40, *CHROMA, *MEL)),
            compute=partial(_row, "spectral", "means_180"),
        ),
        FeatureSet(
            name="mfcc-stats",
            description="Mean, standard deviation and maximum over frames of 20 MFCC.",
            columns=(*each("mean", MFCC_20), *each("std", MFCC_20), *each("max", MFCC_20)),
            compute=partial(_row, "spectral", "mfcc_stats"),
        ),
        FeatureSet(
            name="stats-164",
            description=(
                "Mean, standard deviation, maximum and minimum over frames of 20 MFCC, 12 chroma, "
                "7 bands of spectral contrast, zero-crossing rate and RMS of 2.5 s from 0.6 s on."
            ),
            columns=(
                *each("mean", QUANTITIES),
                *each("std", QUANTITIES),
                *each("max", QUANTITIES),
                *each("min", QUANTITIES),
            ),
            compute=partial(_row, "spectral", "stats_164"),
            offset_s=0.6,
            duration_s=2.5,
        ),
        FeatureSet(
            name="mfcc-frames-13",
            description=(
                "13 MFCC of each of 130 frames of the first 3 s without their silent ends, with "
                "zeros on both sides."
            ),
            columns=over_time(130, numbered("mfcc", 13)),
            compute=partial(_row, "frames", "mfcc_frames_13"),
            duration_s=3.0,
            trim_top_db=60.0,
            shape=(130, 13),
        ),
        FeatureSet(
            name="mfcc-track-44k",
            description=(
                "Mean of 13 MFCC at each of 259 frames of 3 s from 0.5 s on, at twice the usual "
                "sample rate, with zeros behind."
            ),
            columns=over_time(259, ("mfcc_mean",)),
            compute=partial(_row, "frames", "mfcc_track"),
            sample_rate_hz=2 * SAMPLE_RATE_HZ,
            offset_s=0.5,
            duration_s=3.0,
            shape=(259, 1),
        ),
        FeatureSet(
            name="log-mel-frames",
            description=(
                "40 mel bands in dB of each of 65 frames of the clip without its silent ends, cut "
                "to 3 s or filled up with silence."
            ),
            columns=over_time(65, numbered("mel", 40)),
            compute=partial(_row, "frames", "log_mel_frames"),
            trim_top_db=40.0,
            shape=(65, 40),
        ),
        FeatureSet(
            name="functionals",
            description=(
                "Statistics over frames, over voiced frames and over parts of the clip without its "
                "silent ends: level, spectral shape, MFCC, mel bands, pitch, voice quality, rhythm."
            ),
            columns=FUNCTIONALS,
            compute=partial(_row, "functionals", "functionals"),
            sample_rate_hz=16_000,
            trim_top_db=40.0,
        ),
        FeatureSet(
            name="prosody",
            description=(
                "Length without silent ends, level (mean and of the loudest frame), pitch (median, "
                "10th and 90th percentile) and share of voiced frames."
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
            compute=partial(_row, "prosody", "prosody"),
            trim_top_db=60.0,
        ),
    )
}
"""All feature sets, by name; a new one is one entry here and one function."""


def feature_set(name: str, sample_rate_hz: int | None = None) -> FeatureSet:
    """Return a feature set of the registry, at its own sample rate or at another.

    Raises
    ------
    BenchmarkError
        If features over time are asked for at another rate: their frames are counted at their own.
    """
    found = FEATURE_SETS[name]
    if sample_rate_hz in (None, found.sample_rate_hz):
        return found
    if found.shape is not None:
        raise BenchmarkError(
            f"sample_rate_hz: {name} has {found.shape[0]} frames at {found.sample_rate_hz} Hz, its "
            "own rate; leave the key out."
        )
    return replace(found, sample_rate_hz=sample_rate_hz)
