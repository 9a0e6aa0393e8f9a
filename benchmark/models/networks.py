"""Networks in PyTorch and their training: layers, epochs and weights.

A network takes rows of a table, standardises them with the statistics of the training rows, and
returns a logit for each emotion. The estimators are in `models.deep`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score
from skorch import NeuralNetClassifier
from torch import Tensor, nn

Floats = NDArray[np.float32]
Classes = NDArray[np.int64]


class Rows(nn.Module):
    """Input layer: rows of a table, standardised and reshaped for the network.

    Parameters
    ----------
    size : tuple of int
        Of one row: (channels, length) or (1, height, width).
    frames_first : bool
        Whether a row lists frame by frame, so that its axes are transposed.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int, size: tuple[int, ...], frames_first: bool) -> None:
        super().__init__()
        self.size = size
        self.frames_first = frames_first
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def forward(self, rows: Tensor) -> Tensor:
        """Return (n_rows, *size)."""
        standard = (rows - self.mean) / self.scale
        if self.frames_first:
            standard = standard.reshape(len(rows), self.size[-1], self.size[-2]).transpose(1, 2)
        return standard.reshape(len(rows), *self.size)


class Dropout(nn.Module):
    """Dropout whose mask is drawn on the CPU, so that a GPU uses the same mask."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        """Return the values, in training with a fraction set to 0 and the rest scaled up."""
        if not self.training or self.rate == 0:
            return values
        mask = torch.empty(values.shape).bernoulli_(1 - self.rate)
        return values * mask.to(values.device) / (1 - self.rate)


class Recurrent(nn.Module):
    """An LSTM over a sequence, which returns its last state."""

    def __init__(self, n_channels: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_channels, hidden, batch_first=True)

    def forward(self, sequence: Tensor) -> Tensor:
        """Return (n_rows, hidden) for (n_rows, n_channels, length)."""
        _, (state, _) = self.lstm(sequence.transpose(1, 2))
        last: Tensor = state[-1]
        return last


def conv1d(rows: Rows, n_classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """Return convolutions with batch normalisation, halved after the first and the last."""
    (channels, length), filters = rows.size, settings["filters"]
    layers: list[nn.Module] = [rows]
    for index, count in enumerate(filters):
        layers += [
            nn.Conv1d(channels, count, settings["kernel_size"], padding="same"),
            nn.BatchNorm1d(count),
            nn.ReLU(),
        ]
        channels = count
        if index in {0, len(filters) - 1}:
            step = min(2, length)
            layers.append(nn.AvgPool1d(step))
            length //= step
    layers += [Dropout(settings["dropout"]), nn.Flatten(), nn.Linear(channels * length, n_classes)]
    return nn.Sequential(*layers)


def conv1d_pairs(rows: Rows, n_classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """Return pairs of convolutions, each normalised, halved and with dropout, and a dense layer."""
    channels, length = rows.size
    layers: list[nn.Module] = [rows]
    for count, dropout in zip(settings["filters"], settings["dropouts"], strict=True):
        step = min(2, length)
        layers += [
            nn.Conv1d(channels, count, 3, padding="same"),
            nn.ReLU(),
            nn.Conv1d(count, count, 3, padding="same"),
            nn.ReLU(),
            nn.BatchNorm1d(count),
            nn.MaxPool1d(step),
            Dropout(dropout),
        ]
        channels, length = count, length // step
    dense = settings["dense"]
    layers += [nn.Flatten(), nn.Linear(channels * length, dense), nn.ReLU()]
    layers += [Dropout(settings["dense_dropout"]), nn.Linear(dense, n_classes)]
    return nn.Sequential(*layers)


def cnn_2d(rows: Rows, n_classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """Return convolutions with tanh over the image of coefficients by frames, each halved."""
    channels, height, width = rows.size
    layers: list[nn.Module] = [rows]
    for count, kernel in zip(settings["filters"], settings["kernel_sizes"], strict=True):
        step = (min(2, height), min(2, width))
        layers += [
            nn.Conv2d(channels, count, kernel, padding="same"),
            nn.Tanh(),
            nn.MaxPool2d(step),
            Dropout(settings["dropout"]),
        ]
        channels, height, width = count, height // step[0], width // step[1]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, n_classes))


def cnn_1d(rows: Rows, n_classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """Return pooled convolutions over time, then a linear layer."""
    layers, channels, length = _over_time(rows, settings)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * length, n_classes))


def cnn_lstm(rows: Rows, n_classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """Return pooled convolutions over time, then an LSTM."""
    layers, channels, _ = _over_time(rows, settings)
    hidden = settings["hidden"]
    last = [Recurrent(channels, hidden), Dropout(settings["dropout"]), nn.Linear(hidden, n_classes)]
    return nn.Sequential(*layers, *last)


def _over_time(rows: Rows, settings: Mapping[str, Any]) -> tuple[list[nn.Module], int, int]:
    """Return pooled convolutions over time, and the channels and length of their output."""
    channels, length = rows.size
    layers: list[nn.Module] = [rows]
    for count in settings["filters"]:
        step = min(settings["pool"], length)
        layers += [
            nn.Conv1d(channels, count, settings["kernel_size"], padding="same"),
            nn.BatchNorm1d(count),
            nn.ReLU(),
            nn.MaxPool1d(step),
            Dropout(settings["dropout"]),
        ]
        channels, length = count, length // step
    return layers, channels, length


NETWORKS = {
    "conv1d": conv1d,
    "conv1d_pairs": conv1d_pairs,
    "cnn_2d": cnn_2d,
    "cnn_1d": cnn_1d,
    "cnn_lstm": cnn_lstm,
}


def build(
    network: str, n_features: int, shape: tuple[int, int] | None, settings: Mapping[str, Any]
) -> nn.Module:
    """Return an untrained network.

    Parameters
    ----------
    network : str
        A key of `NETWORKS`.
    n_features : int
        Width of a row.
    shape : tuple of int, or None
        (n_frames, n_coefficients) of features over time; None for features without an order in
        time, which a network reads as a sequence of one channel.
    settings : mapping
        The estimator's parameters, and ``n_classes``.
    """
    n_frames, n_coefficients = shape or (n_features, 1)
    flat = (n_coefficients, n_frames)
    size = (1, *flat) if network == "cnn_2d" else flat
    rows = Rows(n_features, size, frames_first=shape is not None)
    return NETWORKS[network](rows, settings["n_classes"], settings)


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes
    ----------
    network : Module
        With the weights of the best epoch.
    epochs : int
        The best epoch.
    history : tuple of float
        UAR on the validation rows after each epoch; empty without such rows.
    pruned : bool
        Whether training was stopped below a threshold.
    """

    network: nn.Module
    epochs: int
    history: tuple[float, ...]
    pruned: bool


def train(
    network: str,
    shape: tuple[int, int] | None,
    settings: Mapping[str, Any],
    training: tuple[Floats, Classes],
    validation: tuple[Floats, Classes] | None,
    thresholds: Mapping[int, float],
) -> Trained:
    """Return a network trained on `training`.

    With validation rows the epoch with the best UAR on them is kept, and training stops after
    ``patience`` epochs without a better one; without them, training lasts ``max_epochs``.

    Parameters
    ----------
    network, shape, settings
        As `build` takes them; settings also has max_epochs, patience, batch_size, learning_rate,
        weight_decay, label_smoothing and seed.
    training, validation : tuple of ndarray
        Rows of shape (n_rows, n_features), and the class index of each row.
    thresholds : mapping of int to float
        By epoch, the best UAR so far below which training is pruned.
    """
    with _seeded(settings["seed"]), _repeatable():
        module = build(network, training[0].shape[1], shape, settings)
        standardise(module, training[0], shape)
        net = _net(module, settings)
        net.initialize()
        history: list[float] = []
        best, weights = 0, _weights(module)
        for epoch in range(1, settings["max_epochs"] + 1):
            net.fit_loop(*training, epochs=1)
            if validation is None:
                continue
            predicted = logits(module, validation[0]).argmax(axis=1)
            history.append(float(balanced_accuracy_score(validation[1], predicted)))
            if history[-1] > max(history[:-1], default=-1.0):
                best, weights = epoch, _weights(module)
            if max(history) < thresholds.get(epoch, 0.0):
                module.load_state_dict(weights)
                return Trained(module, best, tuple(history), pruned=True)
            if epoch - best >= settings["patience"]:
                break
        if validation is None:
            return Trained(module, settings["max_epochs"], (), pruned=False)
        module.load_state_dict(weights)
        return Trained(module, best, tuple(history), pruned=False)


def _net(module: nn.Module, settings: Mapping[str, Any]) -> NeuralNetClassifier:
    """Return the network with its batches, loss and optimiser."""
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        criterion__label_smoothing=settings["label_smoothing"],
        optimizer=torch.optim.Adam,
        lr=settings["learning_rate"],
        optimizer__weight_decay=settings["weight_decay"],
        batch_size=settings["batch_size"],
        iterator_train__shuffle=True,
        # Batch normalisation of a last batch of one row has no variance.
        iterator_train__drop_last=settings["drop_last"],
        train_split=None,
        callbacks="disable",
        device=device(),
        verbose=0,
    )


def device() -> str:
    """Return the device of training: a GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch within the block only."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _repeatable() -> Iterator[None]:
    """Make torch deterministic within the block, and a GPU as exact as a CPU.

    With one thread, like BLAS: other fits use the other cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    exact = {"enabled": True, "benchmark": False, "deterministic": True, "allow_tf32": False}
    try:
        with torch.backends.cudnn.flags(**exact), warnings.catch_warnings():
            # An even kernel is padded by a copy, which a user need not know.
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel", UserWarning)
            yield
    finally:
        torch.set_num_threads(threads)


def standardise(module: nn.Module, values: Floats, shape: tuple[int, int] | None) -> None:
    """Set mean and standard deviation of the input: by feature, or by coefficient over time."""
    parts = values.reshape(len(values), *(shape or values.shape[1:]))
    axes = (0, 1) if shape else 0
    mean = parts.mean(axis=axes, dtype=np.float64)
    std = parts.std(axis=axes, dtype=np.float64)
    scale = np.where(std > 0, std, 1.0)
    repeats = shape[0] if shape else 1
    rows = next(part for part in module.modules() if isinstance(part, Rows))
    rows.mean.copy_(torch.from_numpy(np.tile(mean, repeats)))
    rows.scale.copy_(torch.from_numpy(np.tile(scale, repeats)))


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: part.detach().clone() for name, part in module.state_dict().items()}


def logits(module: nn.Module, values: Floats, batch_size: int = 512) -> Floats:
    """Return the logit of each emotion for each row, (n_rows, n_emotions)."""
    where = next(module.parameters()).device
    module.eval()
    with torch.inference_mode(), _repeatable():
        parts = [
            module(torch.from_numpy(values[first : first + batch_size]).to(where)).cpu()
            for first in range(0, len(values), batch_size)
        ]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def to_bytes(module: nn.Module) -> bytes:
    """Return a network's weights in the format of safetensors, which holds no code."""
    from safetensors.torch import save

    state: dict[str, Tensor] = module.state_dict()
    return bytes(save({name: state[name].cpu().contiguous() for name in sorted(state)}))


def from_bytes(
    content: bytes,
    network: str,
    n_features: int,
    shape: tuple[int, int] | None,
    settings: Mapping[str, Any],
) -> nn.Module:
    """Return the network with the weights that `to_bytes` wrote; other arguments as for `build`.

    Memory is reserved only for the weights in `content`, not for what the settings ask for.

    Raises
    ------
    ValueError
        If the weights do not match the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    with torch.device("meta"):
        module = build(network, n_features, shape, settings)
    try:
        module.load_state_dict(load(content), assign=True)
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"the weights don't fit the network: {error}") from error
    return module.eval()
