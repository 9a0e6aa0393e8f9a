"""Toy metric: Matthews correlation coefficient, from -1 to 1 (Gorodkin 2004)."""

from __future__ import annotations

import numpy as np

from benchmark.evaluation.metrics import Counts, Floats, Metric


def matthews(counts: Counts) -> Floats:
    """Return the coefficient of confusion counts (..., n_emotions, n_emotions); 0 if undefined."""
    counts = np.asarray(counts, dtype=np.float64)
    true, predicted, total = counts.sum(axis=-1), counts.sum(axis=-2), counts.sum(axis=(-2, -1))
    covariance = np.trace(counts, axis1=-2, axis2=-1) * total - (true * predicted).sum(axis=-1)
    product = (total**2 - (true**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1))
    return np.where(product > 0, covariance / np.sqrt(np.maximum(product, 1)), 0.0)


TOY_MCC = Metric(
    name="toy_mcc",
    title="MCC",
    description="Matthews correlation coefficient of true and predicted emotions.",
    of_counts=matthews,
    scorer="matthews_corrcoef",
    low=-1.0,
    high=1.0,
)
