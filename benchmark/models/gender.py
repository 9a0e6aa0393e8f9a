"""Gender-first models: a classifier for each gender, see `gender_first`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.models import linear, mlp
from benchmark.models.model import FitContext, Model, scaled

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

TYPE = "benchmark.models.gender_first.GenderFirst"


def _logistic_regression() -> Pipeline:
    from sklearn.linear_model import LogisticRegression

    from benchmark.models.gender_first import GenderFirst

    return scaled(GenderFirst(LogisticRegression(max_iter=1000)))


def _mlp() -> Pipeline:
    from sklearn.neural_network import MLPClassifier

    from benchmark.models.gender_first import GenderFirst

    return scaled(GenderFirst(MLPClassifier()))


def _genders(_pipeline: Pipeline, context: FitContext) -> dict[str, Any]:
    return {"genders": context.genders}


MODELS = (
    Model(
        "gender_first_logistic_regression",
        "Gender-first logistic regression",
        "a logistic regression for each gender, weighted by the probability of that gender",
        _logistic_regression,
        fit_params=_genders,
        is_deterministic=linear.is_deterministic,
        relative_cost=10,
        trusted_types=(TYPE,),
    ),
    Model(
        "gender_first_mlp",
        "Gender-first MLP",
        "an MLP for each gender, weighted by the probability of that gender",
        _mlp,
        fit_params=_genders,
        trusted_types=(TYPE, *mlp.OPTIMIZERS),
        relative_cost=60,
    ),
)
