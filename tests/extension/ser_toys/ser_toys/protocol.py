"""Toy protocol: train on one gender, test on the other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmark.data.protocols import Protocol, Sides
from benchmark.data.protocols.speaker_independent import divide_speakers
from benchmark.errors import BenchmarkError


def each_gender(clips: pd.DataFrame) -> Sides:
    """Return the training and the test clips of both directions."""
    masks = {name: np.asarray(clips["gender"] == name) for name in ("female", "male")}
    if not all(mask.any() for mask in masks.values()):
        raise BenchmarkError("needs speakers of both genders. Add a corpus that has them.")
    return {
        f"{one}-to-{other}": (masks[one], masks[other])
        for one, other in (("female", "male"), ("male", "female"))
    }


TOY_CROSS_GENDER = Protocol(
    name="toy-cross-gender",
    title="cross-gender",
    abbreviation="CG",
    description="each gender is tested after training on the other",
    tested_on="speakers of the gender not in training",
    divide=divide_speakers,
    sides=each_gender,
)
