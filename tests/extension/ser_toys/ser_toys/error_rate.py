"""Toy metric of which smaller values are better: the fraction of wrong predictions."""

from __future__ import annotations

from benchmark.evaluation.metrics import Counts, Floats, Metric, accuracy


def error_rate(counts: Counts) -> Floats:
    """Return the fraction of clips whose emotion is not recognised, of shape (...)."""
    return 1.0 - accuracy(counts)


TOY_ERROR_RATE = Metric(
    name="toy_error_rate",
    title="error rate",
    description="Fraction of clips whose emotion is not recognised.",
    of_counts=error_rate,
    scorer="neg_error_rate",
    greater_is_better=False,
)
