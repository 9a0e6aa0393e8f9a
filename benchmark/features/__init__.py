"""Features: named recipes from a clip's samples to a row of named numbers.

Importing this package is cheap; numpy and the audio libraries come with the first use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec

from benchmark.errors import BenchmarkError, unknown
from benchmark.features import embeddings, opensmile
from benchmark.features.augmentation import AUGMENTATIONS, Augmentation, Chain, parse_chain
from benchmark.features.extract import Extracted, extract
from benchmark.features.names import COURSES, FUNCTIONALS, each, numbered, over_time
from benchmark.features.recipe import SAMPLE_RATE_HZ, FeatureSet, computed_by, join

__all__ = [
    "AUGMENTATIONS",
    "EXTRAS",
    "FAMILIES",
    "FEATURE_SETS",
    "SAMPLE_RATE_HZ",
    "Augmentation",
    "Chain",
    "Extracted",
    "Family",
    "FeatureSet",
    "extract",
    "feature_set",
    "parse_chain",
]

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
            compute=computed_by("spectral", "means_184"),
            trim_top_db=60.0,
        ),
        FeatureSet(
            name="means-180",
            description=(
                "Means over frames of 40 MFCC, 12 chroma and 128 mel bands of the clip as it is."
            ),
            columns=each("mean", (*MFCC_40, *CHROMA, *MEL)),
            compute=computed_by("spectral", "means_180"),
        ),
        FeatureSet(
            name="mfcc-stats",
            description="Mean, standard deviation and maximum over frames of 20 MFCC.",
            columns=(*each("mean", MFCC_20), *each("std", MFCC_20), *each("max", MFCC_20)),
            compute=computed_by("spectral", "mfcc_stats"),
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
            compute=computed_by("spectral", "stats_164"),
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
            compute=computed_by("frames", "mfcc_frames_13"),
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
            compute=computed_by("frames", "mfcc_track"),
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
            compute=computed_by("frames", "log_mel_frames"),
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
            compute=computed_by("functionals", "functionals"),
            sample_rate_hz=16_000,
            trim_top_db=40.0,
        ),
        FeatureSet(
            name="courses",
            description=(
                "What the functionals leave out of the same contours: how they run over parts of "
                "the clip, as cosines, from frame to frame and at each rate, formants, melody, "
                "loud frames and higher moments."
            ),
            columns=COURSES,
            compute=computed_by("dynamics", "courses"),
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
            compute=computed_by("prosody", "prosody"),
            trim_top_db=60.0,
        ),
    )
}
"""All feature sets, by name; a new one is one entry here and one function."""


@dataclass(frozen=True)
class Family:
    """Feature sets that need an extra, and are asked for their numbers only when they are used.

    Attributes
    ----------
    name : str
        The name in study files, or what stands before the colon in it.
    argument : str
        What is written behind a colon; empty for nothing.
    description : str
        What they measure, in one sentence.
    extra : str
        The extra without which they can't be computed.
    make : callable
        From what stands behind the colon to the feature set.
    """

    name: str
    argument: str
    description: str
    extra: str
    make: Callable[[str], FeatureSet]

    @property
    def title(self) -> str:
        """The name as it is written in a study."""
        return f"{self.name}:{self.argument}" if self.argument else self.name


EXTRAS = {"opensmile": ("opensmile",), "embeddings": ("transformers", "torch")}
"""What an extra of this package brings."""

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="egemaps",
            argument="",
            description=opensmile.EGEMAPS,
            extra="opensmile",
            make=opensmile.egemaps,
        ),
        Family(
            name="compare",
            argument="",
            description=opensmile.COMPARE,
            extra="opensmile",
            make=opensmile.compare,
        ),
        Family(
            name="embedding",
            argument="NETWORK[@layer=N]",
            description=embeddings.DESCRIPTION,
            extra="embeddings",
            make=embeddings.embedding,
        ),
    )
}
"""Feature sets of extras, by name; a new one is one entry here and one file."""


def available(extra: str) -> bool:
    """Whether what an extra brings is installed."""
    return all(find_spec(package) is not None for package in EXTRAS[extra])


def feature_set(name: str, sample_rate_hz: int | None = None) -> FeatureSet:
    """Return a feature set by its name, at its own sample rate or at another.

    Names joined by ``+`` are feature sets whose rows stand one after the other.

    Raises
    ------
    BenchmarkError
        If there is none of that name, it needs an extra that is not installed, can't be joined, or
        can't be had at another rate.
    """
    if "+" in name:
        return join(tuple(feature_set(part, sample_rate_hz) for part in name.split("+")))
    found = FEATURE_SETS[name] if name in FEATURE_SETS else _of_family(name)
    if sample_rate_hz in (None, found.sample_rate_hz):
        return found
    if found.shape is not None:
        raise BenchmarkError(
            f"sample_rate_hz: {name} has {found.shape[0]} frames at {found.sample_rate_hz} Hz, its "
            "own rate; leave the key out."
        )
    if found.weights:
        raise BenchmarkError(
            f"sample_rate_hz: {name} hears {found.sample_rate_hz} Hz, the rate that its network "
            "learned; leave the key out."
        )
    return replace(found, sample_rate_hz=sample_rate_hz)


def _of_family(name: str) -> FeatureSet:
    """Return a feature set of an extra."""
    kind, _, argument = name.partition(":")
    family = FAMILIES.get(kind)
    if family is None or bool(argument) is not bool(family.argument):
        allowed = (*FEATURE_SETS, *(family.title for family in FAMILIES.values()))
        raise unknown("feature set", name, allowed, "features")
    if not available(family.extra):
        raise BenchmarkError(
            f"features: {name} needs the extra `{family.extra}`, which is not installed. Install "
            f'it, pip install -e ".[{family.extra}]", or take another feature set.'
        )
    return family.make(argument)
