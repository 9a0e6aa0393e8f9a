"""An LDA that learns sooner: scikit-learn's, of a shrunk covariance that is never decomposed.

scikit-learn's solver finds all eigenvectors of the covariance, after a rotation that took a
singular value decomposition; the classifier needs the inverse at the emotions' means alone. With
fewer features than rows that is one Cholesky decomposition of the covariance, with more one of the
rows' products (the Woodbury identity: Golub & Van Loan, Matrix Computations, section 2.1.4). What
is learned differs by rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

Array = NDArray[Any]


class QuickLDA(LinearDiscriminantAnalysis):
    """scikit-learn's LDA behind a full rotation; with other settings than a shrinkage, as it is."""

    def fit(self, X: Array, y: Array) -> QuickLDA:
        """Learn from rows (n_rows, n_features) and their emotions (n_rows,)."""
        self.rotation_ = None
        if not self._plain():
            rotation = PCA(svd_solver="full")
            super().fit(rotation.fit_transform(X), y)
            self.rotation_ = rotation
            return self
        self.classes_, place, counts = np.unique(y, return_inverse=True, return_counts=True)
        rows, features = X.shape
        self.priors_ = counts / rows
        middle = X.mean(axis=0)
        means = np.stack([X[place == one].mean(axis=0) for one in range(len(counts))])
        apart = (X - means[place]) / np.sqrt(rows, dtype=X.dtype)
        means = (means - middle).astype(np.float64)
        shrinkage = float(self.shrinkage)
        # The mean variance of the rotated rows, of which there are no more than rows or features.
        ridge = shrinkage * float(np.square(apart, dtype=np.float64).sum()) / min(rows, features)
        if features <= rows:
            covariance = (1 - shrinkage) * (apart.T @ apart).astype(np.float64)
            covariance[np.diag_indices(features)] += ridge
            weights = _solved(covariance, means.T).T
        elif shrinkage == 1:
            weights = means / ridge
        else:
            products = (apart @ apart.T).astype(np.float64)
            products[np.diag_indices(rows)] += ridge / (1 - shrinkage)
            seen = _solved(products, apart.astype(np.float64) @ means.T)
            weights = (means - (apart.T.astype(np.float64) @ seen).T) / ridge
        intercepts = np.log(self.priors_) - 0.5 * (means * weights).sum(axis=1) - weights @ middle
        if len(counts) == 2:
            weights, intercepts = weights[1:] - weights[:1], intercepts[1:] - intercepts[:1]
        self.coef_, self.intercept_ = weights, intercepts
        self.n_features_in_ = features
        return self

    def _plain(self) -> bool:
        return (
            self.solver == "eigen"
            and isinstance(self.shrinkage, float | int)
            and self.shrinkage > 0
            and self.priors is None
            and self.covariance_estimator is None
        )

    def decision_function(self, X: Array) -> Array:
        """Return the log-likelihood of each emotion but for a constant, as scikit-learn does."""
        scores: Array = super().decision_function(
            X if self.rotation_ is None else self.rotation_.transform(X)
        )
        return scores


def _solved(matrix: Array, right: Array) -> Array:
    factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    solution: Array = cho_solve(factor, right, check_finite=False)
    return solution
