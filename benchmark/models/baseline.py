"""The baseline of every study: always the most frequent emotion.

The search sets it to the most frequent emotion of both sides of its split (`Plan`), so that outer
folds predict the same emotion and UAR is at chance within each corpus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.models.model import Model, unscaled
from benchmark.study import BASELINE

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def _majority() -> Pipeline:
    from sklearn.dummy import DummyClassifier

    return unscaled(DummyClassifier(strategy="prior"))


def _always(_classifier: Any) -> bool:
    return True


MODELS = (
    Model(
        BASELINE,
        "Majority class",
        "baseline: always the most frequent emotion",
        _majority,
        is_deterministic=_always,
        selects_features=False,
    ),
)
