"""A model that the package does not have, as a user would add it."""

from __future__ import annotations

from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.models import Model


def _pipeline() -> Pipeline:
    return make_pipeline(StandardScaler(), GaussianNB())


NAIVE_BAYES = Model("naive_bayes", "Naive Bayes", "Gaussian naive Bayes", _pipeline)
