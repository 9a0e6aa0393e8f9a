"""Linear models: logistic regression and linear discriminant analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.models.model import Model, scaled

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

STOCHASTIC_SOLVERS = {"saga", "sag", "liblinear"}
"""Solvers of scikit-learn's logistic and ridge regression that draw random numbers."""


def _logistic_regression() -> Pipeline:
    from sklearn.linear_model import LogisticRegression

    return scaled(LogisticRegression(max_iter=1000))


def is_deterministic(classifier: Any) -> bool:
    """Whether the solver of a logistic or ridge regression draws no random numbers."""
    return classifier.solver not in STOCHASTIC_SOLVERS


def _lda() -> Pipeline:
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # A rotation leaves no more features than rows. It changes no decision, since the shrunk
    # covariance is the identity outside the space of the rows, and saves minutes.
    lda = LinearDiscriminantAnalysis("eigen", shrinkage=0.3)
    return make_pipeline(StandardScaler(), PCA(svd_solver="full"), lda)


def _cholesky_lda() -> Pipeline:
    from benchmark.models.cholesky_lda import CholeskyLDA

    return scaled(CholeskyLDA("eigen", shrinkage=0.3))


MODELS = (
    Model(
        "logistic_regression",
        "Logistic regression",
        "multinomial logistic regression on standardised features",
        _logistic_regression,
        is_deterministic=is_deterministic,
        relative_cost=5,
    ),
    Model(
        "lda",
        "LDA",
        "linear discriminant analysis with a shrunk covariance, on standardised features",
        _lda,
        search_pipeline=_cholesky_lda,
        relative_cost=1,
        version=2,
    ),
)
