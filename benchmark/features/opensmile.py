"""Feature sets of openSMILE. The only module that imports the package, an extra.

Eyben, Wöllmer & Schuller, openSMILE, 2010; Eyben et al., The Geneva Minimalistic Acoustic Parameter
Set, 2016; Schuller et al., The INTERSPEECH 2016 Computational Paralinguistics Challenge, 2016.
"""

from __future__ import annotations

from functools import cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmark.features.recipe import FeatureSet, OptionalFeatureSet


@cache
def _smile(opensmile_name: str) -> Any:
    """Return openSMILE configured for one of its feature sets."""
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet[opensmile_name], opensmile.FeatureLevel.Functionals)


def row(opensmile_name: str, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the functionals of one clip, float32 of shape (n_columns,)."""
    values: np.ndarray = _smile(opensmile_name)(samples, sample_rate_hz)
    return values.reshape(-1).astype("float32")


def _optional(name: str, opensmile_name: str, description: str) -> OptionalFeatureSet:
    def make(_argument: str) -> FeatureSet:
        return FeatureSet(
            name=name,
            description=description,
            columns=tuple(_smile(opensmile_name).feature_names),
            compute=partial(row, opensmile_name),
            sample_rate_hz=16_000,
            trim_top_db=40.0,
            versions=(("opensmile", version("opensmile")),),
        )

    return OptionalFeatureSet(name, "", description, "opensmile", ("opensmile",), make)


OPTIONAL_FEATURE_SETS = (
    _optional(
        "egemaps",
        "eGeMAPSv02",
        "eGeMAPSv02 by openSMILE: 88 functionals of pitch, loudness, spectrum, formants and voice "
        "quality; silent ends removed.",
    ),
    _optional(
        "compare",
        "ComParE_2016",
        "ComParE 2016 by openSMILE: 6,373 functionals of energy, spectrum, MFCC, pitch and voice "
        "quality; silent ends removed.",
    ),
)
