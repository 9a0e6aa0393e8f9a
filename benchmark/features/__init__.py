"""Features: named recipes from the samples of a clip to a row of named numbers.

Importing this package imports numpy and nothing heavier; decoders and resamplers are imported with
the first recording. A family of feature sets is one module with a tuple FEATURE_SETS (or
OPTIONAL_FEATURE_SETS if it needs an extra or a file), listed below.
"""

from __future__ import annotations

from dataclasses import replace

from benchmark.engine.registry import Registry
from benchmark.errors import BenchmarkError
from benchmark.features import (
    dynamics,
    embeddings,
    frames,
    functionals,
    opensmile,
    own_table,
    prosody,
    spectral,
)
from benchmark.features.augmentation import (
    AS_RECORDED,
    AUGMENTATIONS,
    Augmentation,
    Chain,
    chain_problems,
    parse_chain,
)
from benchmark.features.extract import Extracted, extract
from benchmark.features.recipe import SAMPLE_RATE_HZ, FeatureSet, OptionalFeatureSet, join
from benchmark.hints import install

__all__ = [
    "AS_RECORDED",
    "AUGMENTATIONS",
    "FEATURE_SETS",
    "OPTIONAL_FEATURE_SETS",
    "SAMPLE_RATE_HZ",
    "Augmentation",
    "Chain",
    "Extracted",
    "FeatureSet",
    "OptionalFeatureSet",
    "chain_problems",
    "extract",
    "feature_set",
    "parse_chain",
]

OPTIONAL_FEATURE_SETS: dict[str, OptionalFeatureSet] = {
    optional.name: optional
    for family in (opensmile, embeddings, own_table)
    for optional in family.OPTIONAL_FEATURE_SETS
}
"""Feature sets that need an extra or a user's own file, by name."""

FEATURE_SETS: Registry[FeatureSet] = Registry(
    "feature set",
    "features",
    FeatureSet,
    (
        feature_set
        for family in (spectral, frames, functionals, dynamics, prosody)
        for feature_set in family.FEATURE_SETS
    ),
    reserved=OPTIONAL_FEATURE_SETS,
)
"""Feature sets that need no extra, by name."""

RENAMED_FEATURE_SETS = {"courses": "dynamics"}
"""Names of earlier versions, which are refused with the new name."""


def feature_set(name: str, sample_rate_hz: int | None = None) -> FeatureSet:
    """Return a feature set by its name, at its own sample rate or at another.

    Names joined by ``+`` give the joined feature set, see `names_of`.

    Raises
    ------
    BenchmarkError
        If the name is unknown, its extra is not installed, the parts can't be joined, or the
        feature set is bound to its own sample rate.

    Examples
    --------
    >>> len(feature_set("means-184").columns)
    184
    >>> feature_set("functionals+dynamics").sample_rate_hz
    16000
    """
    names = names_of(name)
    if len(names) > 1:
        return join(tuple(feature_set(part, sample_rate_hz) for part in names))
    found = _plain(name) if name in FEATURE_SETS else _optional(name)
    if sample_rate_hz in (None, found.sample_rate_hz) or found.table is not None:
        return found
    if found.shape is not None or found.weights:
        reason = f"has {found.shape[0]} frames" if found.shape else "uses a pretrained network"
        raise BenchmarkError(
            f"sample_rate_hz: {name} {reason} at {found.sample_rate_hz} Hz and can't be computed "
            "at another rate. Remove the key."
        )
    return replace(found, sample_rate_hz=sample_rate_hz)


def names_of(joined: str) -> list[str]:
    """Return the names that ``+`` joins.

    In an argument, which follows a colon, a ``+`` belongs to the argument unless the name of a
    feature set follows.

    Examples
    --------
    >>> names_of("functionals+embedding:whisper-base@pool=mean+std+dynamics")
    ['functionals', 'embedding:whisper-base@pool=mean+std', 'dynamics']
    """
    names: list[str] = []
    for part in joined.split("+"):
        kind = part.partition(":")[0]
        begins = kind in FEATURE_SETS or kind in OPTIONAL_FEATURE_SETS
        if names and ":" in names[-1] and not (begins or kind in RENAMED_FEATURE_SETS):
            names[-1] += f"+{part}"
        else:
            names.append(part)
    return names


def _plain(name: str) -> FeatureSet:
    """Return a feature set that needs no extra; the version of its plug-in decides its numbers."""
    found = FEATURE_SETS[name]
    return replace(found, versions=(*found.versions, *FEATURE_SETS.versions([name]).items()))


def _optional(name: str) -> FeatureSet:
    """Return a feature set that needs an extra or a file."""
    kind, _, argument = name.partition(":")
    optional = OPTIONAL_FEATURE_SETS.get(kind)
    if optional is None or bool(argument) is not bool(optional.argument):
        titles = [one.title for one in OPTIONAL_FEATURE_SETS.values()]
        raise FEATURE_SETS.unknown(name, "features", RENAMED_FEATURE_SETS, titles)
    if not optional.available:
        raise BenchmarkError(
            f"features: {name} needs the extra `{optional.extra}`, which is not installed. "
            f"Install it ({install(optional.extra)}) or choose another feature set."
        )
    return optional.make(argument)
