"""Covariates: facts about a clip that stand beside its features as further numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.features.recipe import Block


class Covariate(NamedTuple):
    """The name of a covariate's column, and how it is computed from a table's rows."""

    column: str
    compute: Callable[[pd.DataFrame], NDArray[np.float32]]


def with_covariates(
    values: NDArray[np.float32], rows: pd.DataFrame, names: Sequence[str]
) -> NDArray[np.float32]:
    """Return the features of rows with the named covariates as further columns."""
    numbers = [COVARIATES[name].compute(rows) for name in names]
    return np.column_stack([values, *numbers]).astype(np.float32) if numbers else values


def with_covariate_blocks(blocks: Sequence[Block], names: Sequence[str]) -> tuple[Block, ...]:
    """Return the blocks of features with one more for each covariate."""
    return (*blocks, *(Block(name, 1) for name in names))


def _gender(rows: pd.DataFrame) -> NDArray[np.float32]:
    """Return 0 for female, 1 for male and 0.5 for unknown."""
    genders = rows["gender"].map({"female": 0.0, "male": 1.0}).fillna(0.5)
    numbers: NDArray[np.float32] = genders.to_numpy(dtype=np.float32)
    return numbers


COVARIATES = {"gender": Covariate("gender_male", _gender)}
"""By name in study files."""
