"""Features: named recipes from a clip's samples to a row of named numbers.

Importing this package is cheap; numpy and the audio libraries come with the first use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.features.augment import AUGMENTATIONS, Augmentation, Chain, parse_chain
from benchmark.features.extract import Extracted, extract

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
    trim_top_db : float or None
        Silence at both ends that lies this far below the loudest frame is cut off first; None takes
        recordings as they are.
    version : int
        Raised whenever the numbers change, so that no cache serves the old ones.
    """

    name: str
    description: str
    columns: tuple[str, ...]
    compute: Callable[[np.ndarray, int], np.ndarray]
    sample_rate_hz: int = SAMPLE_RATE_HZ
    trim_top_db: float | None = None
    version: int = 1

    def recipe(self) -> dict[str, Any]:
        """Return everything that decides the numbers, as plain data."""
        return {
            "name": self.name,
            "version": self.version,
            "sample_rate_hz": self.sample_rate_hz,
            "trim_top_db": self.trim_top_db,
            "columns": list(self.columns),
        }


def _means_184(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    from benchmark.features import spectral

    return spectral.means_184(samples, sample_rate_hz)


def _means_180(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    from benchmark.features import spectral

    return spectral.means_180(samples, sample_rate_hz)


def _mfcc_stats(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    from benchmark.features import spectral

    return spectral.mfcc_stats(samples, sample_rate_hz)


def _numbered(name: str, count: int, statistic: str = "mean") -> tuple[str, ...]:
    """Return column names such as ``mfcc_07_mean``, counted from 1 in digits of equal number."""
    digits = max(2, len(str(count)))
    return tuple(f"{name}_{number:0{digits}d}_{statistic}" for number in range(1, count + 1))


FEATURE_SETS: dict[str, FeatureSet] = {
    feature_set.name: feature_set
    for feature_set in (
        FeatureSet(
            name="means-184",
            description=(
                "Means over frames of RMS, spectral centroid, rolloff, zero-crossing rate, "
                "12 chroma, 40 MFCC and 128 mel bands of the clip without its silent ends."
            ),
            columns=(
                "rms_mean",
                "centroid_mean",
                "rolloff_mean",
                "zero_crossing_rate_mean",
                *_numbered("chroma", 12),
                *_numbered("mfcc", 40),
                *_numbered("mel", 128),
            ),
            compute=_means_184,
            trim_top_db=60.0,
        ),
        FeatureSet(
            name="means-180",
            description=(
                "Means over frames of 40 MFCC, 12 chroma and 128 mel bands of the clip as it is."
            ),
            columns=(*_numbered("mfcc", 40), *_numbered("chroma", 12), *_numbered("mel", 128)),
            compute=_means_180,
        ),
        FeatureSet(
            name="mfcc-stats",
            description="Mean, standard deviation and maximum over frames of 20 MFCC.",
            columns=(
                *_numbered("mfcc", 20),
                *_numbered("mfcc", 20, "std"),
                *_numbered("mfcc", 20, "max"),
            ),
            compute=_mfcc_stats,
        ),
    )
}
"""All feature sets, by name; a new one is one entry here and one function."""
