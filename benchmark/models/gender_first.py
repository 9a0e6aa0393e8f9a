"""The speaker's gender first, then the emotion: what two of the source systems propose."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted, validate_data

GENDERS = ("female", "male")


class GenderFirst(ClassifierMixin, BaseEstimator):
    """A classifier for each gender, weighted by how likely the voice is of that gender.

    The probability of an emotion is the sum over genders of P(gender | row) times P(emotion | row,
    gender). The gender of a clip that is to be recognised is never asked for, only that of training
    rows; rows whose gender nobody tells teach both classifiers.

    Parameters
    ----------
    estimator : estimator
        Cloned for each gender.

    Attributes
    ----------
    classes_ : ndarray of str
    gender_ : estimator or None
        Recognises the gender; None where training rows tell of one gender or none.
    emotion_ : list of estimator
        Recognise the emotion: one for each gender of `gender_`, or a single one.
    """

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def fit(
        self, X: NDArray[Any], y: NDArray[np.str_], genders: NDArray[np.str_] | None = None
    ) -> GenderFirst:
        """Learn the genders, and the emotions of each.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Best standardised: the gender is recognised by logistic regression.
        y : ndarray of str, shape (n_rows,)
        genders : ndarray of str, shape (n_rows,), optional
            ``female``, ``male`` or anything else for a gender that nobody tells.
        """
        X, y = validate_data(self, X, y)
        self.classes_ = np.unique(y)
        told = np.full(len(X), "unknown") if genders is None else np.asarray(genders)
        there = [gender for gender in GENDERS if (told == gender).any()]
        if len(there) < 2:
            self.gender_ = None
            self.emotion_ = [clone(self.estimator).fit(X, y)]
            return self
        known = np.isin(told, there)
        self.gender_ = LogisticRegression(max_iter=1000).fit(X[known], told[known])
        self.emotion_ = []
        for gender in there:
            rows = ~known | (told == gender)
            if len(np.unique(y[rows])) < 2:
                rows[:] = True  # one emotion leaves nothing to tell apart
            self.emotion_.append(clone(self.estimator).fit(X[rows], y[rows]))
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability of each emotion for each row, (n_rows, n_emotions)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        if self.gender_ is None:
            return self._by_emotion(self.emotion_[0], X)
        parts = [self._by_emotion(emotion, X) for emotion in self.emotion_]
        weights = self.gender_.predict_proba(X)  # its classes are sorted, as GENDERS are
        mixed: NDArray[np.float64] = np.einsum("rg,gre->re", weights, np.stack(parts))
        return mixed

    def _by_emotion(self, emotion: Any, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return probabilities in the order of all emotions; one that a gender lacks gets 0."""
        wide = np.zeros((len(X), len(self.classes_)))
        wide[:, np.searchsorted(self.classes_, emotion.classes_)] = emotion.predict_proba(X)
        return wide

    def predict(self, X: NDArray[Any]) -> NDArray[np.str_]:
        """Return the most probable emotion of each row."""
        found: NDArray[np.str_] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return found
