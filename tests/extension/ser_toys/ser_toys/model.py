"""Toy model: the nearest centroid of standardised features."""

from __future__ import annotations

from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline

from benchmark.models import Model
from benchmark.models.model import scaled


def nearest_centroid() -> Pipeline:
    """Return the unfitted pipeline."""
    return scaled(NearestCentroid())


TOY_CENTROID = Model(
    name="toy_centroid",
    title="Nearest centroid",
    description="nearest centroid on standardised features",
    pipeline=nearest_centroid,
)
