"""Multi-layer perceptrons of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.models.model import Model, scaled, unscaled

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

OPTIMIZERS = (
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
)


def _mlp() -> Pipeline:
    from sklearn.neural_network import MLPClassifier

    return scaled(MLPClassifier())


def _mlp_unscaled() -> Pipeline:
    from sklearn.neural_network import MLPClassifier

    return unscaled(MLPClassifier())


MODELS = (
    Model(
        "mlp",
        "MLP",
        "multi-layer perceptron on standardised features",
        _mlp,
        trusted_types=OPTIMIZERS,
        relative_cost=30,
    ),
    Model(
        "mlp_unscaled",
        "MLP, unscaled",
        "multi-layer perceptron on features as they are",
        _mlp_unscaled,
        trusted_types=OPTIMIZERS,
        relative_cost=30,
    ),
)
