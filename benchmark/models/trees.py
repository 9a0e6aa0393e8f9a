"""Ensembles of decision trees. They need no scaling, but would take NaN for a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.models.model import Model, finite, unscaled

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def _random_forest() -> Pipeline:
    from sklearn.ensemble import RandomForestClassifier

    return finite(RandomForestClassifier())


def _random_forest_intelex() -> Pipeline:
    from sklearnex.ensemble import RandomForestClassifier

    return unscaled(RandomForestClassifier())


def _gradient_boosting() -> Pipeline:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Its early stopping would draw validation rows without regard to speakers.
    return finite(HistGradientBoostingClassifier(early_stopping=False))


MODELS = (
    Model(
        "random_forest",
        "Random forest",
        "bagged decision trees",
        _random_forest,
        engines={"intelex": _random_forest_intelex},
        trusted_types=("sklearn.tree._tree.Tree",),
        relative_cost=40,
    ),
    Model(
        "gradient_boosting",
        "Gradient boosting",
        "decision trees on binned features, each fitted to the errors of those before it",
        _gradient_boosting,
        trusted_types=("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",),
    ),
)
