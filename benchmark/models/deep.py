"""Networks as scikit-learn estimators: parameters, validation and storage; see also `networks`.

torch is imported only when a network is fitted or loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

Bools = NDArray[np.bool_]


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _is_fraction(value: Any) -> bool:
    return isinstance(value, Real) and 0 <= float(value) < 1


COUNT = ("a whole number from 1 on", _is_count)
FRACTION = ("a number from 0 to below 1", _is_fraction)
NUMBERS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "max_epochs": COUNT,
    "patience": COUNT,
    "batch_size": ("a whole number from 2 on", lambda value: _is_count(value) and value >= 2),
    "learning_rate": (
        "a number above 0",
        lambda value: isinstance(value, Real) and float(value) > 0,
    ),
    "weight_decay": (
        "a number from 0 on",
        lambda value: isinstance(value, Real) and float(value) >= 0,
    ),
    "label_smoothing": FRACTION,
    "kernel_size": COUNT,
    "pool": COUNT,
    "dense": COUNT,
    "hidden": COUNT,
    "dropout": FRACTION,
    "dense_dropout": FRACTION,
}
LISTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "filters": ("whole numbers from 1 on", _is_count),
    "kernel_sizes": ("whole numbers from 1 on", _is_count),
    "dropouts": ("fractions from 0 to below 1", _is_fraction),
}
"""What each parameter must be, and whether a value is."""

# eq and repr stay scikit-learn's own.
settings_of_a_network = dataclass(eq=False, repr=False)


@settings_of_a_network
class NeuralNetwork(ClassifierMixin, BaseEstimator):
    """A network that learns by epochs with Adam on cross-entropy.

    Parameters
    ----------
    shape : tuple of int, or None
        (n_frames, n_coefficients) of the rows; None for features without an order in time.
    max_epochs : int
    patience : int
        Training stops after this many epochs without a better UAR on the validation rows.
    batch_size : int
    learning_rate, weight_decay : float
        Of Adam.
    label_smoothing : float
        Fraction of each label that is spread evenly over all emotions (Szegedy et al. 2016).
    random_state : int or None
        Seed of the initial weights, the order of batches and dropout; None is 0.

    Attributes
    ----------
    classes_ : ndarray of str
    n_features_in_ : int
    n_epochs_ : int
        The epoch of the weights.
    history_ : tuple of float
        UAR on the validation rows after each epoch.
    pruned_ : bool
        Whether training was stopped below a threshold.
    """

    shape: tuple[int, int] | None = None
    max_epochs: int = 50
    patience: int = 5
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    random_state: int | None = None

    network: ClassVar[str]

    def _validate_params(self) -> None:
        """Raise for parameters out of range, as scikit-learn's estimators do."""
        for name, value in self.get_params(deep=False).items():
            expected = self._expected(name, value)
            if expected:
                raise ValueError(
                    f"The '{name}' parameter of {type(self).__name__} must be {expected}. Got "
                    f"{value!r} instead."
                )

    def _expected(self, name: str, value: Any) -> str:
        """Return what a parameter must be; empty if its value is valid."""
        if name in LISTS:
            what, is_valid = LISTS[name]
            values = list(value) if isinstance(value, list | tuple) else []
            valid = all(map(is_valid, values)) and 0 < len(values) == len(self.filters)
            return "" if valid else f"a list of {what}, as long as 'filters'"
        what, is_valid = NUMBERS.get(name, ("", lambda _: True))
        return "" if is_valid(value) else what

    def fit(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.str_],
        validation: Bools | None = None,
        thresholds: Mapping[int, float] | None = None,
    ) -> NeuralNetwork:
        """Fit the network.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
        y : ndarray of str, shape (n_rows,)
        validation : ndarray of bool, shape (n_rows,), optional
            Rows for early stopping: the epoch with the best UAR on them is kept.
        thresholds : mapping of int to float, optional
            By epoch, the UAR on the validation rows below which training is pruned.
        """
        from benchmark.models import networks

        X, y = validate_data(self, X, y, dtype=np.float32)
        self._validate_params()
        if self.shape is not None and X.shape[1] != self.shape[0] * self.shape[1]:
            raise ValueError(
                f"X has {X.shape[1]} features, but shape {self.shape} needs "
                f"{self.shape[0] * self.shape[1]}."
            )
        self.classes_, numbers = np.unique(y, return_inverse=True)
        stopping = np.zeros(len(X), dtype=bool) if validation is None else validation
        trained = networks.train(
            self.network,
            self.shape,
            self._settings(n_rows=int((~stopping).sum())),
            (X[~stopping], numbers[~stopping]),
            (X[stopping], numbers[stopping]) if stopping.any() else None,
            thresholds or {},
        )
        self.module_ = trained.network
        self.n_epochs_, self.history_ = trained.epochs, trained.history
        self.pruned_ = trained.pruned
        return self

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of each emotion for each row, (n_rows, n_emotions)."""
        from scipy.special import softmax

        from benchmark.models import networks

        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        # Row by row, since the last digits depend on the batch size.
        logits = networks.logits(self.module_, np.ascontiguousarray(X), batch_size=1)
        probabilities: NDArray[np.float64] = softmax(logits.astype(np.float64), axis=1)
        return probabilities

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.str_]:
        """Return the most probable emotion of each row."""
        predicted: NDArray[np.str_] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return predicted

    def _settings(self, n_rows: int = 0) -> dict[str, Any]:
        """Return the settings that `networks` takes."""
        return {
            **self.get_params(deep=False),
            "n_classes": len(self.classes_),
            "seed": 0 if self.random_state is None else self.random_state,
            "drop_last": n_rows % self.batch_size == 1 and n_rows > 1,
        }

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with the weights in the format of safetensors."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "module_" in state:
            from benchmark.models import networks

            state["weights_"] = networks.to_bytes(state["module_"])
            del state["module_"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the network from the settings and load its weights."""
        weights = state.pop("weights_", None)
        super().__setstate__(state)
        if weights is not None:
            from benchmark.models import networks

            shape = None if self.shape is None else (self.shape[0], self.shape[1])
            self.module_ = networks.from_bytes(
                weights, self.network, self.n_features_in_, shape, self._settings()
            )


@settings_of_a_network
class Conv1d(NeuralNetwork):
    """Convolutions with batch normalisation over a row of numbers; sizes of the capstone.

    Parameters
    ----------
    filters : sequence of int
        Of each convolution; the sequence is halved after the first and the last.
    kernel_size : int
    dropout : float
        Before the last layer.
    """

    filters: tuple[int, ...] = (256, 128, 64, 128, 256, 64)
    kernel_size: int = 8
    dropout: float = 0.2
    network: ClassVar[str] = "conv1d"


@settings_of_a_network
class Conv1dPairs(NeuralNetwork):
    """Pairs of convolutions over a row of numbers, then a dense layer; the prediction API's sizes.

    Parameters
    ----------
    filters, dropouts : sequence of int and of float
        Of each pair.
    dense : int
        Units of the dense layer.
    dense_dropout : float
        After it.
    """

    filters: tuple[int, ...] = (64, 128, 256)
    dropouts: tuple[float, ...] = (0.2, 0.3, 0.4)
    dense: int = 256
    dense_dropout: float = 0.5
    network: ClassVar[str] = "conv1d_pairs"


@settings_of_a_network
class Cnn2d(NeuralNetwork):
    """Convolutions over the image of coefficients by frames; the desktop CNN's sizes.

    Parameters
    ----------
    filters, kernel_sizes : sequence of int
        Of each convolution; the image is halved both ways after each.
    dropout : float
        After each.
    """

    filters: tuple[int, ...] = (128, 64, 64)
    kernel_sizes: tuple[int, ...] = (7, 5, 3)
    dropout: float = 0.4
    network: ClassVar[str] = "cnn_2d"


@settings_of_a_network
class Cnn1d(NeuralNetwork):
    """Convolutions over time, each pooled.

    Parameters
    ----------
    filters : sequence of int
        Of each convolution.
    kernel_size, pool : int
        Frames that a convolution spans, and that pooling merges.
    dropout : float
        After each.
    """

    filters: tuple[int, ...] = (64, 64, 128)
    kernel_size: int = 5
    pool: int = 4
    dropout: float = 0.2
    network: ClassVar[str] = "cnn_1d"


@settings_of_a_network
class CnnLstm(Cnn1d):
    """Convolutions over time, each pooled, then an LSTM over the remaining frames.

    Parameters
    ----------
    hidden : int
        Size of the LSTM's state.
    """

    filters: tuple[int, ...] = (64, 128)
    hidden: int = 128
    network: ClassVar[str] = "cnn_lstm"
