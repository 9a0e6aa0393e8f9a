"""A classifier that recognises the speaker's gender first, as two of the source systems propose."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted, validate_data

GENDERS = ("female", "male")


class GenderFirst(ClassifierMixin, BaseEstimator):
    """A classifier for each gender, weighted by the probability of that gender.

    P(emotion | row) is the sum over genders of P(gender | row) P(emotion | row, gender). Only the
    gender of training rows is used; rows of unknown gender train both classifiers.

    Parameters
    ----------
    estimator : estimator
        Cloned for each gender.

    Attributes
    ----------
    classes_ : ndarray of str
    gender_ : estimator or None
        Recognises the gender; None if the training rows have one known gender or none.
    emotion_ : list of estimator
        Recognise the emotion: one for each gender of `gender_`, or a single one.
    """

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def fit(
        self, X: NDArray[Any], y: NDArray[np.str_], genders: NDArray[np.str_] | None = None
    ) -> GenderFirst:
        """Fit the classifier of genders and one of emotions for each.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Standardised, since the gender is recognised by logistic regression.
        y : ndarray of str, shape (n_rows,)
        genders : ndarray of str, shape (n_rows,), optional
            ``female``, ``male`` or anything else for an unknown gender.
        """
        X, y = validate_data(self, X, y)
        self.classes_ = np.unique(y)
        genders = np.full(len(X), "unknown") if genders is None else np.asarray(genders)
        present = [gender for gender in GENDERS if (genders == gender).any()]
        if len(present) < 2:
            self.gender_ = None
            self.emotion_ = [clone(self.estimator).fit(X, y)]
            return self
        known = np.isin(genders, present)
        self.gender_ = LogisticRegression(max_iter=1000).fit(X[known], genders[known])
        self.emotion_ = []
        for gender in present:
            rows = ~known | (genders == gender)
            if len(np.unique(y[rows])) < 2:
                rows[:] = True  # a classifier needs two emotions
            self.emotion_.append(clone(self.estimator).fit(X[rows], y[rows]))
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability of each emotion for each row, (n_rows, n_emotions)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        if self.gender_ is None:
            return self._all_emotions(self.emotion_[0], X)
        parts = [self._all_emotions(emotion, X) for emotion in self.emotion_]
        weights = self.gender_.predict_proba(X)  # its classes are sorted, as GENDERS are
        mixed: NDArray[np.float64] = np.einsum("rg,gre->re", weights, np.stack(parts))
        return mixed

    def _all_emotions(self, emotion: Any, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return probabilities in the order of all emotions, 0 for those a gender lacks."""
        columns = np.zeros((len(X), len(self.classes_)))
        columns[:, np.searchsorted(self.classes_, emotion.classes_)] = emotion.predict_proba(X)
        return columns

    def predict(self, X: NDArray[Any]) -> NDArray[np.str_]:
        """Return the most probable emotion of each row."""
        predicted: NDArray[np.str_] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return predicted
