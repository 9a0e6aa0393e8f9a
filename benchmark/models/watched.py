"""An MLP that can be stopped as it learns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score
from sklearn.neural_network import MLPClassifier


class WatchedMLP(MLPClassifier):
    """scikit-learn's MLP, to the last bit, whose learning ends where it falls behind.

    Attributes
    ----------
    history_ : tuple of float
        UAR on the rows that watch, after each epoch; empty without such rows, and for L-BFGS, which
        has no epochs.
    cut_ : bool
        Whether learning was ended.
    """

    def fit(
        self,
        X: NDArray[Any],
        y: NDArray[np.str_],
        watch: tuple[NDArray[Any], NDArray[np.str_]] | None = None,
        thresholds: Mapping[int, float] | None = None,
    ) -> WatchedMLP:
        """Learn.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
        y : ndarray of str, shape (n_rows,)
        watch : tuple of ndarray, optional
            Rows and their emotions, not learned from.
        thresholds : mapping of int to float, optional
            By epoch, the UAR on them without which learning ends there.
        """
        self.history_: tuple[float, ...] = ()
        self.cut_ = False
        self._watch, self._thresholds = watch, thresholds or {}
        super().fit(X, y)
        del self._watch
        return self

    def _update_no_improvement_count(self, *arguments: Any) -> None:
        """Look, after each epoch, whether it is worth another: scikit-learn asks here as well."""
        super()._update_no_improvement_count(*arguments)
        if self._watch is None or self.cut_:
            return
        rows, emotions = self._watch
        predicted = self._predict(rows, check_input=False)
        self.history_ += (float(balanced_accuracy_score(emotions, predicted)),)
        if max(self.history_) < self._thresholds.get(self.n_iter_, 0.0):
            self.cut_ = True
            self._no_improvement_count = math.inf
