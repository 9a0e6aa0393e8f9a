"""The same answers sooner, where rows come one at a time.

scikit-learn's forest spends 45 microseconds a tree on being ready for jobs, and 3 on the tree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from benchmark.models.stacking import Answers


class QuickForest(RandomForestClassifier):
    """A forest whose trees are asked one after the other: to the last bit the same answer."""

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean over trees of each leaf's shares, (n_rows, n_emotions).

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Finite, as the step before the forest sees to.
        """
        rows = np.ascontiguousarray(X, dtype=np.float32)
        total = np.zeros((len(rows), self.n_classes_))
        for tree in self.estimators_:
            total += tree.tree_.predict(rows)
        mean: NDArray[np.float64] = total / len(self.estimators_)
        return mean


def quickened(model: Any) -> Any:
    """Return a fitted model, itself changed, that answers sooner and the same.

    Its forests, wherever they stand in it, have become `QuickForest`; members of an ensemble stand
    there as they are, for what keeps them from being fitted again takes half a millisecond each.
    """
    if isinstance(model, FrozenEstimator):
        return quickened(model.estimator)
    if isinstance(model, RandomForestClassifier):
        model.__class__ = QuickForest
    elif isinstance(model, Pipeline):
        quickened(model[-1])
        if isinstance(model[0], Answers):
            model[0].members = [quickened(member) for member in model[0].members]
    elif isinstance(model, VotingClassifier):
        model.estimators_ = [quickened(member) for member in model.estimators_]
    return model
