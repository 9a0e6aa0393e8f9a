"""Embeddings: statistics over time of the hidden states of a pretrained encoder, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmark.errors import BenchmarkError, unknown
from benchmark.features.encoders import ENCODERS
from benchmark.features.hidden_states import Network, describe, find, hidden_states
from benchmark.features.recipe import Block, FeatureSet, OptionalFeatureSet, numbered

DESCRIPTION = (
    "Mean over time of the hidden states of a pretrained encoder such as Whisper, WavLM, HuBERT or "
    "wav2vec 2.0, averaged over its layers, or chosen layers and statistics side by side "
    "(@layers=1-5,pool=mean+std); ENCODER is a name, a folder or a network in Hugging Face's cache."
)
OPTIONS = ("layers", "pool")
AVERAGE = "mean"
"""Layers 1 to the last, averaged frame by frame."""


@dataclass(frozen=True)
class Statistic:
    """What is computed of a layer's frames.

    Attributes
    ----------
    parts : tuple of str
        Names of its rows.
    compute : callable
        From frames (n_frames, width) to rows (n_parts, width).
    """

    parts: tuple[str, ...]
    compute: Callable[[np.ndarray], np.ndarray]


def _mean(frames: np.ndarray) -> np.ndarray:
    return frames.mean(axis=0, dtype=np.float64)[None]


def _std(frames: np.ndarray) -> np.ndarray:
    return frames.std(axis=0, dtype=np.float64)[None]


def _thirds(frames: np.ndarray) -> np.ndarray:
    """Return the means of the first, second and last third, each of one frame at least."""
    starts = [len(frames) * third // 3 for third in range(3)]
    ends = [max(len(frames) * third // 3, start + 1) for third, start in enumerate(starts, 1)]
    thirds = [frames[start:end] for start, end in zip(starts, ends, strict=True)]
    return np.concatenate([_mean(third) for third in thirds])


STATISTICS = {
    "mean": Statistic(("mean",), _mean),
    "std": Statistic(("std",), _std),
    "thirds": Statistic(("third1", "third2", "third3"), _thirds),
}


@dataclass(frozen=True)
class Pooling:
    """What of an encoder's hidden states is in a row.

    Attributes
    ----------
    layers : tuple of int
        Layers, in ascending order; 0 is the input of the first layer.
    averaged : bool
        Whether the layers are averaged, else they stand side by side.
    statistics : tuple of str
        Statistics over the frames.
    """

    layers: tuple[int, ...]
    averaged: bool
    statistics: tuple[str, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """A name for each layer and row of a statistic, in the order of a row's blocks."""
        each = tuple(f"layer{layer}" for layer in self.layers)
        layers = (f"layers{self.layers[0]}-{self.layers[-1]}",) if self.averaged else each
        parts = [part for name in self.statistics for part in STATISTICS[name].parts]
        return tuple(f"{layer}_{part}" for layer in layers for part in parts)


def embedding(argument: str) -> FeatureSet:
    """Return the feature set of an encoder, ``ENCODER`` or ``ENCODER@layers=1-5,pool=mean+std``.

    Layer 0 is the input of the first layer. Without layers, they are averaged from 1 on; without
    a statistic, it is the mean over time. Layers and statistics have a block of columns each.

    Raises
    ------
    BenchmarkError
        If the network is not on this machine, does not take audio, or has no such layer.
    """
    where = f"features: embedding:{argument}"
    name, at, options = argument.partition("@")
    network = describe(find(name, where), where)
    pooling = _pooling(options if at else None, network, where)
    of_folder = name not in ENCODERS and Path(name).is_dir()
    short = Path(name).absolute().name
    return FeatureSet(
        name=f"embedding:{short if of_folder else name}{at}{options}",
        description=DESCRIPTION,
        columns=tuple(
            column
            for title in pooling.titles
            for column in numbered(f"{short}_{title}", network.width)
        ),
        compute=partial(row, network, pooling),
        sample_rate_hz=network.sample_rate_hz,
        trim_top_db=40.0,
        versions=tuple((package, version(package)) for package in ("torch", "transformers")),
        weights=network.digest,
        own_blocks=tuple(Block(short, network.width) for _ in pooling.titles),
    )


def _pooling(options: str | None, network: Network, where: str) -> Pooling:
    """Return the layers and statistics that options name; all have defaults."""
    given = {} if options is None else dict(_option(text, where) for text in options.split(","))
    if options is not None and len(given) < len(options.split(",")):
        raise BenchmarkError(f"{where}: an option occurs twice. Remove one of them.")
    layers = given.get("layers", AVERAGE)
    averaged = layers == AVERAGE
    return Pooling(
        layers=tuple(range(1, network.n_layers + 1))
        if averaged
        else _layers(layers, network.n_layers, where),
        averaged=averaged,
        statistics=_statistics(given.get("pool", "mean"), where),
    )


def _option(text: str, where: str) -> tuple[str, str]:
    """Return the name and the value of an option."""
    name, _, value = text.partition("=")
    if name not in OPTIONS:
        shown = f"layers={value}" if name == "layer" else "layers=1-5,pool=mean+std"
        raise BenchmarkError(
            f"{where}: {text!r} is not an option of an embedding. Allowed: layers= and pool=, "
            f"separated by a comma, such as @{shown}."
        )
    return name, value


def _layers(text: str, n_layers: int, where: str) -> tuple[int, ...]:
    """Return the layers of ``3``, ``1-5`` or ``1+3+5``."""
    ranges = [re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part) for part in text.split("+")]
    layers = [
        layer
        for found in ranges
        if found is not None
        for layer in range(int(found[1]), int(found[2] or found[1]) + 1)
    ]
    ascending = layers == sorted(set(layers))
    if None in ranges or not layers or not ascending or layers[-1] > n_layers:
        raise BenchmarkError(
            f"{where}: layers={text} are not layers of this network. Allowed: 0 to {n_layers} in "
            f"ascending order, such as layers=3, layers=1-{n_layers} or layers=1+3, and "
            f"layers={AVERAGE} for the mean over 1 to {n_layers}."
        )
    return tuple(layers)


def _statistics(text: str, where: str) -> tuple[str, ...]:
    """Return the statistics of ``mean+std``."""
    names = tuple(text.split("+"))
    for name in names:
        if name not in STATISTICS:
            raise unknown("statistic", name, STATISTICS, where)
    if len(set(names)) < len(names):
        raise BenchmarkError(f"{where}: pool={text} has a statistic twice. Remove one of them.")
    return names


def row(network: Network, pooling: Pooling, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return statistics of hidden states, layer by layer: (n_columns,), float32."""
    chunks = []
    for states in hidden_states(network, pooling.layers[-1], samples, sample_rate_hz):
        chosen = np.stack([states[layer] for layer in pooling.layers])
        chunks.append(chosen.mean(axis=0, keepdims=True) if pooling.averaged else chosen)
    rows = [
        STATISTICS[name].compute(frames)
        for frames in np.concatenate(chunks, axis=1)
        for name in pooling.statistics
    ]
    return np.concatenate(rows).ravel().astype(np.float32)


OPTIONAL_FEATURE_SETS = (
    OptionalFeatureSet(
        name="embedding",
        argument="ENCODER[@layers=1-5,pool=mean+std]",
        description=DESCRIPTION,
        extra="embeddings",
        packages=("transformers", "torch"),
        make=embedding,
    ),
)
