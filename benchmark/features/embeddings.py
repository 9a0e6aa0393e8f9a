"""Embeddings: means over time of the hidden states of a network of Hugging Face transformers.

The only door to transformers, an extra. Nothing is downloaded: a network is a folder, or lies in
the cache that `hf download NAME` fills. Clips go through it one at a time: in a batch they would be
padded, which networks such as wav2vec 2.0 base hear, and a clip that a service is asked for comes
alone and is to have the same numbers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.features.names import numbered
from benchmark.features.recipe import FeatureSet, computed_by

if TYPE_CHECKING:
    import numpy as np

DESCRIPTION = (
    "Hidden states of a network such as wav2vec 2.0, HuBERT, WavLM or Whisper's encoder, means "
    "over time: of one layer, or over all; a folder, or a name in Hugging Face's cache."
)
DECISIVE = (".json", ".safetensors", ".bin")
"""How the files of a network end that decide its numbers."""


@dataclass(frozen=True)
class Network:
    """A stored network.

    Attributes
    ----------
    folder : Path
        Where its files lie.
    width, n_layers : int
        Numbers of a hidden state, and how many of them follow the first.
    sample_rate_hz : int
        Of the samples that it hears.
    digest : str
        Of its files.
    """

    folder: Path
    width: int
    n_layers: int
    sample_rate_hz: int
    digest: str


def embedding(argument: str) -> FeatureSet:
    """Return the feature set of a network, ``NETWORK`` or ``NETWORK@layer=8``.

    Layer 0 is what the first layer of the network hears. Without a layer it is the mean over all
    layers from 1 on.

    Raises
    ------
    BenchmarkError
        If the network is not on this machine, is none that hears, or has no such layer.
    """
    where = f"features: embedding:{argument}"
    name, _, asked = argument.partition("@")
    network = _network(_folder(name, where), where)
    layer = None
    if asked or "@" in argument:
        written = re.fullmatch(r"layer=(\d{1,4})", asked)
        layer = int(written[1]) if written else -1
        if not 0 <= layer <= network.n_layers:
            raise BenchmarkError(
                f"{where}: {asked!r} is no layer of this network. Allowed: @layer=0 to "
                f"@layer={network.n_layers}; without it, the mean over all."
            )
    return FeatureSet(
        name=f"embedding:{argument}",
        description=DESCRIPTION,
        columns=numbered("embedding", network.width),
        compute=computed_by("embeddings", "row", str(network.folder), layer),
        sample_rate_hz=network.sample_rate_hz,
        trim_top_db=40.0,
        versions=tuple((package, version(package)) for package in ("torch", "transformers")),
        weights=network.digest,
    )


def _folder(name: str, where: str) -> Path:
    """Return where a network's files lie on this machine."""
    if Path(name).is_dir():
        return Path(name).resolve()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise BenchmarkError(
            f"{where}: no folder {name}, and no network of that name in Hugging Face's cache on "
            f"this machine. Fetch it once, `hf download {name}`, or name the folder it lies in."
        ) from error


@cache
def _network(folder: Path, where: str) -> Network:
    """Return what is told of a network; its files are read once in a process."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        heard = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        return Network(
            folder=folder,
            width=int(config.hidden_size),
            n_layers=int(config.num_hidden_layers),
            sample_rate_hz=int(heard["sampling_rate"]),
            digest=_digest(folder),
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        line = str(error).strip().partition("\n")[0]
        raise BenchmarkError(
            f"{where}: {folder} holds no network that hears ({line}). It needs config.json and "
            "preprocessor_config.json, as `hf download` fetches them, and its weights."
        ) from error


def _digest(folder: Path) -> str:
    """Return the digest of a network's files, whatever else lies beside them."""
    digest = blake2b(digest_size=16)
    for path in sorted(path for path in folder.iterdir() if path.suffix in DECISIVE):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@cache
def _loaded(folder: str) -> tuple[Any, Any]:
    """Return what prepares samples for a network, and the network, as far as it listens."""
    from transformers import AutoFeatureExtractor, AutoModel

    extractors: Any = AutoFeatureExtractor  # has no types
    extractor = extractors.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    return extractor, model.get_encoder() if model.config.is_encoder_decoder else model


def row(folder: str, layer: int | None, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the mean over time of one layer's hidden states, or of all: (n_columns,), float32."""
    import torch

    extractor, model = _loaded(folder)
    prepared = extractor(samples, sampling_rate=sample_rate_hz, return_tensors="pt")
    with torch.inference_mode():
        states = model(**prepared, output_hidden_states=True).hidden_states
    n_frames = _frames_heard(extractor, len(samples), states[0].shape[1])
    chosen = states[1:] if layer is None else states[layer : layer + 1]
    pooled = torch.stack(chosen)[:, 0, :n_frames].mean(dim=(0, 1))
    values: np.ndarray = pooled.float().numpy()
    return values


def _frames_heard(extractor: Any, n_samples: int, n_frames: int) -> int:
    """Return how many of a network's frames hear the clip; Whisper's are those of 30 s."""
    whole = getattr(extractor, "n_samples", n_samples)
    return max(1, min(n_frames, -(-n_frames * n_samples // whole)))
