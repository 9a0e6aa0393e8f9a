"""A scaler that makes blocks of features count alike, times the weights that a study gives them.

Without it a feature set counts by its number of columns: beside an embedding of 1,024 columns, a
hundred functionals hardly count, however good they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from benchmark.features.recipe import Block

LARGEST = 8.0
"""Standard deviations at which a feature is clipped: one broken value must not decide."""


class BlockScaler(StandardScaler):
    """Standardise features, clip them, and multiply each block by a factor.

    Blocks of factor 0 are left out. The result is of double precision, since a classifier with
    little regularisation would be decided by the rounding of a faint block.

    Parameters
    ----------
    widths : sequence of int
        Number of columns of each block, in their order.
    factors : sequence of float
        One per block.
    """

    def __init__(self, widths: Sequence[int] = (), factors: Sequence[float] = ()) -> None:
        super().__init__()
        self.widths = widths
        self.factors = factors

    def fit(
        self,
        X: NDArray[Any],
        y: NDArray[Any] | None = None,
        sample_weight: NDArray[Any] | None = None,
    ) -> BlockScaler:
        """Learn mean and standard deviation of each feature of rows (n_rows, n_features)."""
        super().fit(X, y, sample_weight)
        if self.n_features_in_ != sum(self.widths):
            raise ValueError(
                f"X has {self.n_features_in_} features, but the blocks have {sum(self.widths)}"
            )
        return self

    def transform(self, X: NDArray[Any], copy: bool | None = None) -> NDArray[np.float64]:
        """Return the scaled blocks, (n_rows, n_columns of blocks with a factor above 0)."""
        factors = np.repeat(np.asarray(self.factors, dtype=np.float64), self.widths)
        scaled = super().transform(X, copy)[:, factors > 0].astype(np.float64)
        clipped: NDArray[np.float64] = np.clip(scaled, -LARGEST, LARGEST, out=scaled)
        clipped *= factors[factors > 0]
        return clipped


def block_scaler(blocks: Sequence[Block], weights: Mapping[str, float]) -> BlockScaler:
    """Return an unfitted scaler that gives each block a total variance of its squared weight.

    Parameters
    ----------
    blocks : sequence of Block
        Of all features, in the order of columns.
    weights : mapping of str to float
        By the name of a feature set: its blocks each have that weight, others weight 1. By names
        joined by ``+``: the sets are one block together, of that weight.

    Examples
    --------
    >>> blocks = Block("functionals", 100), Block("dynamics", 300), Block("whisper", 400)
    >>> block_scaler(blocks, {"functionals": 2}).factors
    (0.2, 0.0577, 0.05)
    >>> block_scaler(blocks, {"functionals+dynamics": 2}).factors
    (0.1, 0.1, 0.05)
    """
    keys = {name: key for key in weights for name in key.split("+")}
    factors = []
    for block in blocks:
        key = keys.get(block.name, "")
        joined = [one.width for one in blocks if keys.get(one.name) == key] if "+" in key else []
        factors.append(float(weights.get(key, 1)) / np.sqrt(sum(joined) or block.width))
    return BlockScaler(tuple(block.width for block in blocks), tuple(map(float, factors)))
