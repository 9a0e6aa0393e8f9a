"""Classifiers without probabilities: searched by their decisions, calibrated once selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.models import linear
from benchmark.models.model import FitContext, Model, scaled

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

TYPES = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.model_selection._split.PredefinedSplit",
)


def _svc() -> Pipeline:
    from sklearn.svm import SVC

    return scaled(SVC())


def _calibrated_svc() -> Pipeline:
    return _calibrated(_svc())


def _ridge() -> Pipeline:
    from sklearn.linear_model import RidgeClassifier

    return scaled(RidgeClassifier())


def _calibrated_ridge() -> Pipeline:
    return _calibrated(_ridge())


def _calibrated(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline whose classifier is calibrated."""
    from sklearn.calibration import CalibratedClassifierCV

    return scaled(CalibratedClassifierCV(pipeline[-1], ensemble=False))


def _calibrate_on_inner_folds(pipeline: Pipeline, context: FitContext) -> dict[str, Any]:
    """Calibrate on the study's inner folds, which keep speakers and augmented copies together."""
    from sklearn.model_selection import PredefinedSplit

    if hasattr(pipeline[-1], "cv"):
        pipeline[-1].set_params(cv=PredefinedSplit(context.fold))
    return {}


def _has_no_probability(classifier: Any) -> bool:
    """Whether libsvm draws no folds for probabilities of its own."""
    return classifier.probability is not True  # "deprecated" by default


MODELS = (
    Model(
        "svc",
        "SVM",
        "support vector machine on standardised features, calibrated once its parameters are found",
        _calibrated_svc,
        search_pipeline=_svc,
        fit_params=_calibrate_on_inner_folds,
        is_deterministic=_has_no_probability,
        relative_cost=20,
        labels_only=True,
        min_folds=3,
        trusted_types=TYPES,
    ),
    Model(
        "ridge",
        "Ridge regression",
        "least squares with a penalty on standardised features, calibrated as the SVM is",
        _calibrated_ridge,
        search_pipeline=_ridge,
        fit_params=_calibrate_on_inner_folds,
        is_deterministic=linear.is_deterministic,
        relative_cost=2,
        labels_only=True,
        min_folds=3,
        trusted_types=TYPES,
    ),
)
