"""An MLP that learns sooner: scikit-learn's network, with less moved through memory at each step.

Of a step of scikit-learn's on 200 rows of 184 numbers with 300 units, products of matrices take a
quarter; the rest goes to Adam, half of it in double precision, to picking rows, and to what relu
lets pass. Here products take half. Rows, their order, first weights, the rule and when to stop are
scikit-learn's own; what is learned differs by rounding, which hundreds of epochs make larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.utils import gen_batches, shuffle

Array = NDArray[Any]


class QuickMLP(MLPClassifier):
    """scikit-learn's MLP; by Adam it learns in place, with all other solvers as it stands there."""

    def _fit_stochastic(
        self, X: Array, y: Array, sample_weight: Array | None, *arguments: Any
    ) -> None:
        incremental = arguments[-1]
        plain = (
            self.solver == "adam"
            and self.shuffle
            and not (self.early_stopping or incremental)
            and self.activation in {"relu", "tanh"}
            and self.out_activation_ == "softmax"
            and sample_weight is None
        )
        if not plain:
            super()._fit_stochastic(X, y, sample_weight, *arguments)
            return
        parameters = [*self.coefs_, *self.intercepts_]
        adam = _Adam(parameters, self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon)
        truth = y.astype(X.dtype)
        order = np.arange(len(X))
        size = min(200, len(X)) if self.batch_size == "auto" else min(self.batch_size, len(X))
        for _ in range(self.max_iter):
            order = shuffle(order, random_state=self._random_state)
            loss = 0.0
            for batch in gen_batches(len(X), size):
                rows = order[batch]
                gradients, batch_loss = self._learn(X.take(rows, axis=0), truth.take(rows, axis=0))
                loss += batch_loss
                adam.step(parameters, gradients)
            self.n_iter_ += 1
            self.t_ += len(X)
            self.loss_ = loss / len(X)
            self.loss_curve_.append(self.loss_)
            self._update_no_improvement_count(False, None, None, None)
            if self._no_improvement_count > self.n_iter_no_change:
                break

    def _learn(self, X: Array, truth: Array) -> tuple[list[Array], float]:
        """Return the gradients of weights, then of biases, and the sum of the rows' losses."""
        n_rows, n_layers = len(X), len(self.coefs_)
        layers = self._forward_pass([X] + [None] * n_layers)
        answers = layers[-1]
        least = np.finfo(answers.dtype).eps
        chosen = np.clip((answers * truth).sum(axis=1), least, 1 - least)
        decay = sum(float(np.vdot(weights, weights)) for weights in self.coefs_)
        loss = 0.5 * self.alpha * decay - float(np.log(chosen).sum())
        error = answers - truth
        error /= n_rows
        weights: list[Array] = [error] * n_layers
        biases = [error] * n_layers
        for layer in range(n_layers - 1, -1, -1):
            weights[layer] = layers[layer].T @ error
            weights[layer] += (self.alpha / n_rows) * self.coefs_[layer]
            biases[layer] = error.sum(axis=0)
            if layer > 0:
                error = error @ self.coefs_[layer].T
                error *= self._slope(layers[layer])
        return [*weights, *biases], loss

    def _slope(self, activation: Array) -> Array:
        """Return the derivative of the activation, given what it gave."""
        if self.activation == "relu":
            return activation > 0
        slope: Array = np.square(activation)
        np.subtract(1, slope, out=slope)
        return slope


class _Adam:
    """Adam (Kingma and Ba 2015), which changes parameters and its moments where they lie."""

    def __init__(
        self,
        parameters: Sequence[Array],
        rate: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
    ) -> None:
        self._settings = rate, beta_1, beta_2, epsilon
        self._means = [np.zeros_like(parameter) for parameter in parameters]
        self._squares = [np.zeros_like(parameter) for parameter in parameters]
        self._spaces = [np.empty_like(parameter) for parameter in parameters]
        self._t = 0

    def step(self, parameters: Sequence[Array], gradients: Sequence[Array]) -> None:
        """Change the parameters by their gradients, which are used up."""
        rate, beta_1, beta_2, _ = self._settings
        self._t += 1
        rate *= float((1 - beta_2**self._t) ** 0.5 / (1 - beta_1**self._t))
        for place, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            self._change(parameter, gradient, place, rate)

    def _change(self, parameter: Array, gradient: Array, place: int, rate: float) -> None:
        _, beta_1, beta_2, epsilon = self._settings
        mean, square, space = self._means[place], self._squares[place], self._spaces[place]
        square *= beta_2
        np.square(gradient, out=space)
        space *= 1 - beta_2
        square += space
        mean *= beta_1
        gradient *= 1 - beta_1
        mean += gradient
        np.sqrt(square, out=space)
        space += epsilon
        np.divide(mean, space, out=space)
        space *= rate
        parameter -= space
