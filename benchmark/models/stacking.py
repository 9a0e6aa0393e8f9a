"""Stacking: a classifier on the log-probabilities of other models (Wolpert 1992)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

LOWEST_PROBABILITY = 1e-4
"""Lower probabilities count as this one: how strongly a member excludes an emotion is noise."""


def log_probabilities(library: NDArray[Any]) -> NDArray[np.float64]:
    """Return members' log-probabilities side by side, (n_rows, n_members * n_emotions).

    Parameters
    ----------
    library : ndarray of shape (n_members, n_rows, n_emotions)

    Examples
    --------
    >>> log_probabilities(np.array([[[1.0, 0.0]], [[0.5, 0.5]]])).round(2)
    array([[ 0.  , -9.21, -0.69, -0.69]])
    """
    logs = np.log(np.maximum(library, LOWEST_PROBABILITY, dtype=np.float64))
    return np.concatenate(list(logs), axis=1)


def fit_final(
    rows: NDArray[np.float64],
    emotions: NDArray[np.str_],
    fold: NDArray[np.intp],
    scoring: str | Callable[..., float],
) -> Pipeline:
    """Return the fitted final classifier of a stack: a multinomial logistic regression.

    Its regularisation and class weights are selected by `scoring` over the folds.

    Parameters
    ----------
    rows : ndarray of shape (n_clips, n_members * n_emotions)
        Out-of-fold `log_probabilities`.
    emotions : ndarray of str, shape (n_clips,)
    fold : ndarray of int, shape (n_clips,)
        Of two folds or more.
    scoring : str or callable
        A scorer of scikit-learn.
    """
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    choices = {
        "logisticregression__C": [0.001, 0.01, 0.1],
        "logisticregression__class_weight": [None, "balanced"],
    }
    search = GridSearchCV(pipeline, choices, scoring=scoring, cv=PredefinedSplit(fold))
    fitted: Pipeline = search.fit(rows, emotions).best_estimator_
    return fitted


class LogProbabilities(TransformerMixin, BaseEstimator):
    """The log-probabilities of fitted models, as features of another.

    Parameters
    ----------
    members : sequence of estimator
        Fitted on the same rows; used as they are.
    """

    def __init__(self, members: Sequence[Any] = ()) -> None:
        self.members = members

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there are members, which are fitted."""
        return bool(self.members)

    @property
    def n_features_in_(self) -> int:
        """Width of the rows."""
        return int(self.members[0].n_features_in_)

    def fit(self, X: NDArray[Any], y: NDArray[np.str_] | None = None) -> LogProbabilities:
        """Return itself: the members are fitted already."""
        del X, y
        return self

    def transform(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the members' `log_probabilities` for each row."""
        return log_probabilities(np.stack([member.predict_proba(X) for member in self.members]))


def stacked(members: Sequence[Any], final: Any) -> Pipeline:
    """Return one model of fitted members and the fitted final classifier."""
    features = LogProbabilities([FrozenEstimator(member) for member in members])
    return Pipeline([("log_probabilities", features), *final.steps])
