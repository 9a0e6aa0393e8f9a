"""Networks in PyTorch, and how they learn: the only door to torch, skorch and safetensors.

`models.deep` has the estimators; this module knows layers, epochs and weights. A network takes rows
as they stand in the tables, standardises them with what it saw in training, and answers with a
score (logit) for each emotion.
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
    """Rows of a table, standardised and put into the shape that a network reads.

    Parameters
    ----------
    size : tuple of int
        Of one row for the network: (channels, length) or (1, height, width).
    frames_first : bool
        Whether a row lists frame by frame, so that its axes have to be exchanged.
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
    """Dropout whose mask is drawn on the CPU, so that a GPU drops the same."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Tensor:
        """Return the values, a share of them 0 and the rest scaled up, while training."""
        if not self.training or self.share == 0:
            return values
        kept = torch.empty(values.shape).bernoulli_(1 - self.share)
        return values * kept.to(values.device) / (1 - self.share)


class Recurrent(nn.Module):
    """An LSTM over the length of a sequence; its last state is the answer."""

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
    for place, count in enumerate(filters):
        layers += [
            nn.Conv1d(channels, count, settings["kernel_size"], padding="same"),
            nn.BatchNorm1d(count),
            nn.ReLU(),
        ]
        channels = count
        if place in {0, len(filters) - 1}:
            step = min(2, length)
            layers.append(nn.AvgPool1d(step))
            length //= step
    layers += [Dropout(settings["dropout"]), nn.Flatten(), nn.Linear(channels * length, n_classes)]
    return nn.Sequential(*layers)


def conv1d_pairs(rows: Rows, n_classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """Return pairs of convolutions, each pair normalised, halved and thinned; a dense layer."""
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
    """Return convolutions over the picture of coefficients by frames, tanh, each halved."""
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
    """Return convolutions over time, each pooled, then a layer over what is left."""
    layers, channels, length = _over_time(rows, settings)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * length, n_classes))


def cnn_lstm(rows: Rows, n_classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """Return convolutions over time, each pooled, then an LSTM over what is left."""
    layers, channels, _ = _over_time(rows, settings)
    hidden = settings["hidden"]
    last = [Recurrent(channels, hidden), Dropout(settings["dropout"]), nn.Linear(hidden, n_classes)]
    return nn.Sequential(*layers, *last)


def _over_time(rows: Rows, settings: Mapping[str, Any]) -> tuple[list[nn.Module], int, int]:
    """Return pooled convolutions over time, and the channels and length that leave them."""
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
        (n_frames, n_coefficients) of features over time; None for a row of numbers that have no
        order of time, which the networks read as a sequence of one channel.
    settings : mapping
        The estimator's parameters, and ``n_classes``.
    """
    n_frames, n_coefficients = shape or (n_features, 1)
    flat = (n_coefficients, n_frames)
    size = (1, *flat) if network == "cnn_2d" else flat
    rows = Rows(n_features, size, frames_first=shape is not None)
    return NETWORKS[network](rows, settings["n_classes"], settings)


@dataclass(frozen=True)
class Learned:
    """What training brings.

    Attributes
    ----------
    network : Module
        With the weights of the best epoch.
    epochs : int
        How many epochs those weights have learned.
    history : tuple of float
        UAR on the validation rows after each epoch; empty without such rows.
    cut : bool
        Whether training was stopped because it fell behind.
    """

    network: nn.Module
    epochs: int
    history: tuple[float, ...]
    cut: bool


def learn(
    network: str,
    shape: tuple[int, int] | None,
    settings: Mapping[str, Any],
    training: tuple[Floats, Classes],
    validation: tuple[Floats, Classes] | None,
    thresholds: Mapping[int, float],
) -> Learned:
    """Return a network that has learned from `training`.

    With validation rows the epoch with the best UAR on them is kept, and training ends when
    ``patience`` epochs have brought nothing better; without, all ``max_epochs`` are learned.

    Parameters
    ----------
    network, shape, settings
        As `build` takes them; settings also has max_epochs, patience, batch_size, learning_rate,
        weight_decay, label_smoothing and seed.
    training, validation : tuple of ndarray
        Rows of shape (n_rows, n_features), and the number of each row's emotion.
    thresholds : mapping of int to float
        By epoch, the UAR that must have been reached by then.
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
            predicted = scores(module, validation[0]).argmax(axis=1)
            history.append(float(balanced_accuracy_score(validation[1], predicted)))
            if history[-1] > max(history[:-1], default=-1.0):
                best, weights = epoch, _weights(module)
            if max(history) < thresholds.get(epoch, 0.0):
                module.load_state_dict(weights)
                return Learned(module, best, tuple(history), cut=True)
            if epoch - best >= settings["patience"]:
                break
        if validation is None:
            return Learned(module, settings["max_epochs"], (), cut=False)
        module.load_state_dict(weights)
        return Learned(module, best, tuple(history), cut=False)


def _net(module: nn.Module, settings: Mapping[str, Any]) -> NeuralNetClassifier:
    """Return skorch's trainer of a network: its batches, loss and optimiser."""
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        criterion__label_smoothing=settings["label_smoothing"],
        optimizer=torch.optim.Adam,
        lr=settings["learning_rate"],
        optimizer__weight_decay=settings["weight_decay"],
        batch_size=settings["batch_size"],
        iterator_train__shuffle=True,
        # A last batch of one row has no variance to normalise by.
        iterator_train__drop_last=settings["drop_last"],
        train_split=None,
        callbacks="disable",
        device=device(),
        verbose=0,
    )


def device() -> str:
    """Return where networks learn: a GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch for the block alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _repeatable() -> Iterator[None]:
    """Let torch compute in one order, and a GPU as exactly as a CPU, for the block alone.

    One thread, as with BLAS: the cores are kept busy by other fits.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    exact = {"enabled": True, "benchmark": False, "deterministic": True, "allow_tf32": False}
    try:
        with torch.backends.cudnn.flags(**exact), warnings.catch_warnings():
            # An even kernel is padded by a copy: what torch says of it is no news to a user.
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel", UserWarning)
            yield
    finally:
        torch.set_num_threads(threads)


def standardise(module: nn.Module, values: Floats, shape: tuple[int, int] | None) -> None:
    """Tell a network the mean and spread of its rows: by number, or by coefficient over time."""
    parts = values.reshape(len(values), *(shape or values.shape[1:]))
    axes = (0, 1) if shape else 0
    mean = parts.mean(axis=axes, dtype=np.float64)
    spread = parts.std(axis=axes, dtype=np.float64)
    scale = np.where(spread > 0, spread, 1.0)
    repeats = shape[0] if shape else 1
    rows = next(part for part in module.modules() if isinstance(part, Rows))
    rows.mean.copy_(torch.from_numpy(np.tile(mean, repeats)))
    rows.scale.copy_(torch.from_numpy(np.tile(scale, repeats)))


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: part.detach().clone() for name, part in module.state_dict().items()}


def scores(module: nn.Module, values: Floats, batch_size: int = 512) -> Floats:
    """Return the logit of each emotion for each row, (n_rows, n_emotions)."""
    place = next(module.parameters()).device
    module.eval()
    with torch.inference_mode(), _repeatable():
        parts = [
            module(torch.from_numpy(values[first : first + batch_size]).to(place)).cpu()
            for first in range(0, len(values), batch_size)
        ]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def to_bytes(module: nn.Module) -> bytes:
    """Return a network's weights in the format of safetensors: numbers, and nothing that runs."""
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
    """Return the network with the weights that `to_bytes` wrote; the rest is as `build` takes it.

    Nothing is reserved for the network before its weights are seen to fit: settings that ask for
    more than the file holds cost no memory.

    Raises
    ------
    ValueError
        If they are not the weights of such a network.
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
