"""Toy model: the nearest centroid of standardised features."""

from __future__ import annotations

from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline

from benchmark.models import MODELS, Model
from benchmark.models.model import scaled


def nearest_centroid() -> Pipeline:
    """Return the unfitted pipeline."""
    return scaled(NearestCentroid())


MODELS["toy_centroid"] = Model(
    name="toy_centroid",
    title="Nearest centroid",
    description="nearest centroid on standardised features",
    pipeline=nearest_centroid,
)
