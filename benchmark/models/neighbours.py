"""Nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.models.model import Model, scaled

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def _knn() -> Pipeline:
    from sklearn.neighbors import KNeighborsClassifier

    # The same neighbours as by a tree, which a stored model could not hold: its state is unchecked
    # memory.
    return scaled(KNeighborsClassifier(algorithm="brute"))


MODELS = (
    Model(
        "knn",
        "k-NN",
        "k nearest neighbours on standardised features",
        _knn,
        reserved=("algorithm", "leaf_size"),
        relative_cost=1,
    ),
)
