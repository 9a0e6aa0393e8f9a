"""Networks as scikit-learn estimators: settings, checks and storage; `networks` does the rest.

torch is imported when a network is fitted or loaded, not before: a study is checked without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

Bools = NDArray[np.bool_]
SHARE = Interval(Real, 0, 1, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")
POSITIVE = Interval(Real, 0, None, closed="neither")
LIST = ["array-like"]

# eq and repr stay scikit-learn's own.
settings_of_a_network = dataclass(eq=False, repr=False)


@settings_of_a_network
class NeuralNetwork(ClassifierMixin, BaseEstimator):
    """A network that learns by epochs with Adam on cross-entropy.

    Parameters
    ----------
    shape : tuple of int, or None
        (n_frames, n_coefficients) of the rows; None for numbers without an order of time.
    max_epochs : int
        How often the training rows are gone through at most.
    patience : int
        After how many epochs without a better UAR on the validation rows training ends.
    batch_size : int
    learning_rate, weight_decay : float
        Of Adam.
    label_smoothing : float
        Share of each clip's truth that is spread over all emotions alike (Szegedy et al. 2016), so
        that a network is not led to be sure of what listeners are not.
    random_state : int or None
        Decides first weights, the order of batches and what is dropped; None is 0.

    Attributes
    ----------
    classes_ : ndarray of str
    n_features_in_ : int
    n_epochs_ : int
        How many epochs the weights have learned.
    history_ : tuple of float
        UAR on the validation rows after each epoch.
    cut_ : bool
        Whether training was stopped because it fell behind the thresholds.
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
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "max_epochs": [COUNT],
        "patience": [COUNT],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate": [POSITIVE],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "label_smoothing": [SHARE],
        "filters": LIST,
        "kernel_sizes": LIST,
        "dropouts": LIST,
        "kernel_size": [COUNT],
        "pool": [COUNT],
        "dense": [COUNT],
        "hidden": [COUNT],
        "dropout": [SHARE],
        "dense_dropout": [SHARE],
    }

    def _validate_params(self) -> None:
        """Refuse settings that no network of this kind can have."""
        from sklearn.utils._param_validation import validate_parameter_constraints

        given = self.get_params(deep=False)
        own = {name: rule for name, rule in self._parameter_constraints.items() if name in given}
        validate_parameter_constraints(
            own, {name: given[name] for name in own}, caller_name=type(self).__name__
        )
        for name in (name for name, rule in own.items() if rule is LIST):
            self._validate_list(name, list(given[name]))

    def _validate_list(self, name: str, values: list[Any]) -> None:
        """Refuse a list that is not one fit number a layer."""
        if name == "dropouts":
            fit = all(isinstance(value, int | float) and 0 <= value < 1 for value in values)
            what = "shares from 0 to below 1"
        else:
            fit = all(isinstance(value, int) and value >= 1 for value in values)
            what = "whole numbers from 1 on"
        if not fit or not values or len(values) != len(self.filters):
            raise ValueError(
                f"The '{name}' parameter of {type(self).__name__} must be a list of {what}, as "
                f"long as 'filters'. Got {values!r} instead."
            )

    def fit(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.str_],
        validation: Bools | None = None,
        thresholds: Mapping[int, float] | None = None,
    ) -> NeuralNetwork:
        """Learn.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
        y : ndarray of str, shape (n_rows,)
        validation : ndarray of bool, shape (n_rows,), optional
            Rows that are not learned from, but decide which epoch is kept.
        thresholds : mapping of int to float, optional
            By epoch, the UAR on the validation rows without which training ends there.
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
        held_out = np.zeros(len(X), dtype=bool) if validation is None else validation
        learned = networks.learn(
            self.network,
            self.shape,
            self._settings(n_rows=int((~held_out).sum())),
            (X[~held_out], numbers[~held_out]),
            (X[held_out], numbers[held_out]) if held_out.any() else None,
            thresholds or {},
        )
        self.module_ = learned.network
        self.n_epochs_, self.history_, self.cut_ = learned.epochs, learned.history, learned.cut
        return self

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of each emotion for each row, (n_rows, n_emotions)."""
        from scipy.special import softmax

        from benchmark.models import networks

        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        # One by one: how a batch is computed, and so its last digits, depends on its size.
        logits = networks.scores(self.module_, np.ascontiguousarray(X), batch_size=1)
        probabilities: NDArray[np.float64] = softmax(logits.astype(np.float64), axis=1)
        return probabilities

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.str_]:
        """Return the most probable emotion of each row."""
        found: NDArray[np.str_] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return found

    def _settings(self, n_rows: int = 0) -> dict[str, Any]:
        """Return what `networks` needs to know."""
        return {
            **self.get_params(deep=False),
            "n_classes": len(self.classes_),
            "seed": 0 if self.random_state is None else self.random_state,
            "drop_last": n_rows % self.batch_size == 1 and n_rows > 1,
        }

    def __getstate__(self) -> dict[str, Any]:
        """Return settings and facts as they are, and the weights in the format of safetensors."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "module_" in state:
            from benchmark.models import networks

            state["weights_"] = networks.to_bytes(state["module_"])
            del state["module_"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the network anew from the settings, and give it its weights."""
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
    """Convolutions over the picture of coefficients by frames; the desktop CNN's sizes.

    Parameters
    ----------
    filters, kernel_sizes : sequence of int
        Of each convolution; the picture is halved both ways after each.
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
        Frames that a convolution sees, and that pooling joins.
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
    """Convolutions over time, each pooled, then an LSTM over what is left.

    Parameters
    ----------
    hidden : int
        Size of the LSTM's state.
    """

    filters: tuple[int, ...] = (64, 128)
    hidden: int = 128
    network: ClassVar[str] = "cnn_lstm"
