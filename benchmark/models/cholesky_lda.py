"""An LDA for the search, about ten times as fast as scikit-learn's with a shrunk covariance.

scikit-learn's ``eigen`` solver decomposes the covariance, after a rotation by singular value
decomposition. The classifier needs only the inverse covariance times the class means: with fewer
features than rows one Cholesky decomposition of the covariance, with more one of the Gram matrix of
the rows (Woodbury identity: Golub & Van Loan, Matrix Computations, section 2.1.4). The fit differs
from scikit-learn's by rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

Array = NDArray[Any]


class CholeskyLDA(LinearDiscriminantAnalysis):
    """scikit-learn's LDA after a full rotation; for settings without shrinkage it is used as is."""

    def fit(self, X: Array, y: Array) -> CholeskyLDA:
        """Fit to rows (n_rows, n_features) and their emotions (n_rows,)."""
        self.rotation_ = None
        if not self._is_shrunk():
            rotation = PCA(svd_solver="full")
            super().fit(rotation.fit_transform(X), y)
            self.rotation_ = rotation
            return self
        self.classes_, index, counts = np.unique(y, return_inverse=True, return_counts=True)
        n_rows, n_features = X.shape
        self.priors_ = counts / n_rows
        mean = X.mean(axis=0)
        class_means = np.stack([X[index == one].mean(axis=0) for one in range(len(counts))])
        residuals = (X - class_means[index]) / np.sqrt(n_rows, dtype=X.dtype)
        means = (class_means - mean).astype(np.float64)
        shrinkage = float(self.shrinkage)
        # The mean variance of the rotated rows, which have min(n_rows, n_features) columns.
        variance = float(np.square(residuals, dtype=np.float64).sum()) / min(n_rows, n_features)
        ridge = shrinkage * variance
        if n_features <= n_rows:
            covariance = (1 - shrinkage) * (residuals.T @ residuals).astype(np.float64)
            covariance[np.diag_indices(n_features)] += ridge
            weights = _solve(covariance, means.T).T
        elif shrinkage == 1:
            weights = means / ridge
        else:
            gram = (residuals @ residuals.T).astype(np.float64)
            gram[np.diag_indices(n_rows)] += ridge / (1 - shrinkage)
            solution = _solve(gram, residuals.astype(np.float64) @ means.T)
            weights = (means - (residuals.T.astype(np.float64) @ solution).T) / ridge
        intercepts = np.log(self.priors_) - 0.5 * (means * weights).sum(axis=1) - weights @ mean
        if len(counts) == 2:
            weights, intercepts = weights[1:] - weights[:1], intercepts[1:] - intercepts[:1]
        self.coef_, self.intercept_ = weights, intercepts
        self.n_features_in_ = n_features
        return self

    def _is_shrunk(self) -> bool:
        return (
            self.solver == "eigen"
            and isinstance(self.shrinkage, float | int)
            and self.shrinkage > 0
            and self.priors is None
            and self.covariance_estimator is None
        )

    def decision_function(self, X: Array) -> Array:
        """Return the log-likelihood of each emotion up to a constant, as scikit-learn does."""
        scores: Array = super().decision_function(
            X if self.rotation_ is None else self.rotation_.transform(X)
        )
        return scores


def _solve(matrix: Array, right: Array) -> Array:
    factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    solution: Array = cho_solve(factor, right, check_finite=False)
    return solution
