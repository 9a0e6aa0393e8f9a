"""Models: unfitted scikit-learn pipelines by name.

Everything that learns from data, the scaler too, is a step of the pipeline and so is fitted inside
the fold. A family of models is one module, whose `MODELS` are its entries; see `Model` for what an
entry holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.engine.registry import Registry
from benchmark.models import (
    baseline,
    calibrated,
    convolutional,
    gender,
    linear,
    mlp,
    neighbours,
    trees,
)
from benchmark.models.model import (
    ENGINES,
    EXTRAS,
    FitContext,
    Model,
    engine_problem,
    is_installed,
)

__all__ = [
    "ENGINES",
    "EXTRAS",
    "MODELS",
    "FitContext",
    "Model",
    "engine_problem",
    "is_installed",
    "probabilities",
]

_FAMILIES = (baseline, linear, trees, mlp, calibrated, neighbours, gender, convolutional)

MODELS: Registry[Model] = Registry(
    "model", "models", Model, (model for family in _FAMILIES for model in family.MODELS)
)
"""The registry, in the order in which models are listed."""


def probabilities(model: Any, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a fitted model's probabilities for each row, independent of the other rows.

    In single precision the last digits of a sum depend on the number of rows that are computed
    together. In double precision they do too, but beyond the digits of the float32 that is
    returned.

    Parameters
    ----------
    model : estimator
        A fitted model of the registry, or an ensemble of such.
    values : ndarray of float32, shape (n_rows, n_features)

    Returns
    -------
    ndarray of float32, shape (n_rows, n_emotions)
        In the sorted order of emotions.
    """
    predicted: NDArray[np.float32] = model.predict_proba(values.astype(np.float64))
    return predicted.astype(np.float32)
