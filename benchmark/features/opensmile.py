"""openSMILE's standard feature sets: the only door to its package, an extra.

Eyben, Wöllmer & Schuller, openSMILE, 2010; Eyben et al., The Geneva Minimalistic Acoustic Parameter
Set, 2016; Schuller et al., The INTERSPEECH 2016 Computational Paralinguistics Challenge, 2016.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from benchmark.features.recipe import FeatureSet, computed_by

if TYPE_CHECKING:
    import numpy as np

EGEMAPS = (
    "eGeMAPSv02 by openSMILE: 88 functionals of pitch, loudness, spectrum, formants and voice "
    "quality of the clip without its silent ends."
)
COMPARE = (
    "ComParE 2016 by openSMILE: 6,373 functionals of energy, spectrum, MFCC, pitch and voice "
    "quality of the clip without its silent ends."
)


def egemaps(_argument: str) -> FeatureSet:
    """Return eGeMAPSv02, 88 numbers."""
    return _feature_set("egemaps", EGEMAPS, "eGeMAPSv02")


def compare(_argument: str) -> FeatureSet:
    """Return ComParE 2016, 6,373 numbers."""
    return _feature_set("compare", COMPARE, "ComParE_2016")


def _feature_set(name: str, description: str, theirs: str) -> FeatureSet:
    return FeatureSet(
        name=name,
        description=description,
        columns=tuple(_smile(theirs).feature_names),
        compute=computed_by("opensmile", "row", theirs),
        sample_rate_hz=16_000,
        trim_top_db=40.0,
        versions=(("opensmile", version("opensmile")),),
    )


@cache
def _smile(theirs: str) -> Any:
    """Return openSMILE set up for one of its feature sets, by its own name."""
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet[theirs], opensmile.FeatureLevel.Functionals)


def row(theirs: str, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the functionals of one clip, float32 of shape (n_columns,)."""
    values: np.ndarray = _smile(theirs)(samples, sample_rate_hz)
    return values.reshape(-1).astype("float32")
