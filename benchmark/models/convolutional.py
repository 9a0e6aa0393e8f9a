"""Convolutional networks, of the extra `deep`. Each standardises its rows itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmark.models.model import FitContext, Model, unscaled

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def _conv1d() -> Pipeline:
    from benchmark.models.deep import Conv1d

    return unscaled(Conv1d())


def _conv1d_pairs() -> Pipeline:
    from benchmark.models.deep import Conv1dPairs

    return unscaled(Conv1dPairs())


def _cnn_2d() -> Pipeline:
    from benchmark.models.deep import Cnn2d

    return unscaled(Cnn2d())


def _cnn_1d() -> Pipeline:
    from benchmark.models.deep import Cnn1d

    return unscaled(Cnn1d())


def _cnn_lstm() -> Pipeline:
    from benchmark.models.deep import CnnLstm

    return unscaled(CnnLstm())


def _early_stopping(_pipeline: Pipeline, context: FitContext) -> dict[str, Any]:
    return {"validation": context.validation, "thresholds": context.thresholds}


def _network(
    name: str, title: str, description: str, pipeline: Callable[[], Pipeline], estimator: str
) -> Model:
    return Model(
        name,
        title,
        f"{description} (extra `deep`)",
        pipeline,
        fit_params=_early_stopping,
        by_epochs=True,
        selects_features=False,
        min_folds=3,
        extra="deep",
        libraries=("torch", "skorch"),
        trusted_types=(f"benchmark.models.deep.{estimator}",),
    )


MODELS = (
    _network(
        "conv1d",
        "Conv1D",
        "convolutions with batch normalisation over the row of features",
        _conv1d,
        "Conv1d",
    ),
    _network(
        "conv1d_pairs",
        "Conv1D in pairs",
        "pairs of convolutions over the row of features, then a dense layer",
        _conv1d_pairs,
        "Conv1dPairs",
    ),
    _network(
        "cnn_2d",
        "CNN, 2-D",
        "convolutions over the image of coefficients by frames",
        _cnn_2d,
        "Cnn2d",
    ),
    _network("cnn_1d", "CNN, 1-D", "convolutions over time", _cnn_1d, "Cnn1d"),
    _network("cnn_lstm", "CNN-LSTM", "convolutions over time, then an LSTM", _cnn_lstm, "CnnLstm"),
)
