"""Embeddings: means over time of the hidden states of a pretrained network.

The only module that imports Hugging Face transformers, an extra. Nothing is downloaded: a network
is a folder, or in the cache that `hf download NAME` fills. Clips are processed one by one: padding
in a batch would change the numbers of networks such as wav2vec 2.0 base, and a service, which gets
single clips, must return the same numbers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, partial
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.features.recipe import FeatureSet, OptionalFeatureSet, numbered

DESCRIPTION = (
    "Mean over time of the hidden states of a network such as wav2vec 2.0, HuBERT, WavLM or "
    "Whisper's encoder, of one layer or averaged over all; NETWORK is a folder or a name in "
    "Hugging Face's cache."
)
DIGESTED_SUFFIXES = (".json", ".safetensors", ".bin")
"""Suffixes of the files that decide the numbers of a network."""


@dataclass(frozen=True)
class Network:
    """A stored network.

    Attributes
    ----------
    folder : Path
        Folder of its files.
    width, n_layers : int
        Size of a hidden state, and number of layers after the input layer.
    sample_rate_hz : int
        Sample rate of its input.
    digest : str
        Digest of its files.
    """

    folder: Path
    width: int
    n_layers: int
    sample_rate_hz: int
    digest: str


def embedding(argument: str) -> FeatureSet:
    """Return the feature set of a network, ``NETWORK`` or ``NETWORK@layer=8``.

    Layer 0 is the input of the first layer. Without a layer, the row is the mean over the layers
    from 1 on.

    Raises
    ------
    BenchmarkError
        If the network is not on this machine, does not take audio, or has no such layer.
    """
    where = f"features: embedding:{argument}"
    name, _, option = argument.partition("@")
    network = _network(_folder(name, where), where)
    layer = None
    if option or "@" in argument:
        number = re.fullmatch(r"layer=(\d{1,4})", option)
        layer = int(number[1]) if number else -1
        if not 0 <= layer <= network.n_layers:
            raise BenchmarkError(
                f"{where}: {option!r} is not a layer of this network. Allowed: @layer=0 to "
                f"@layer={network.n_layers}; without a layer, the mean over all."
            )
    return FeatureSet(
        name=f"embedding:{argument}",
        description=DESCRIPTION,
        columns=numbered("embedding", network.width),
        compute=partial(row, str(network.folder), layer),
        sample_rate_hz=network.sample_rate_hz,
        trim_top_db=40.0,
        versions=tuple((package, version(package)) for package in ("torch", "transformers")),
        weights=network.digest,
    )


def _folder(name: str, where: str) -> Path:
    """Return the folder of a network on this machine."""
    if Path(name).is_dir():
        return Path(name).resolve()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise BenchmarkError(
            f"{where}: {name} is neither a folder nor a network in Hugging Face's cache on this "
            f"machine. Download it once with `hf download {name}`, or give its folder."
        ) from error


@cache
def _network(folder: Path, where: str) -> Network:
    """Return the description of a network; its files are read once per process."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        input_config = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        return Network(
            folder=folder,
            width=int(config.hidden_size),
            n_layers=int(config.num_hidden_layers),
            sample_rate_hz=int(input_config["sampling_rate"]),
            digest=_digest(folder),
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        line = str(error).strip().partition("\n")[0]
        raise BenchmarkError(
            f"{where}: {folder} holds no network that takes audio ({line}). It needs config.json, "
            "preprocessor_config.json and weights, as `hf download` stores them."
        ) from error


def _digest(folder: Path) -> str:
    """Return the digest of a network's files; other files in the folder don't count."""
    digest = blake2b(digest_size=16)
    for path in sorted(path for path in folder.iterdir() if path.suffix in DIGESTED_SUFFIXES):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@cache
def _loaded(folder: str) -> tuple[Any, Any]:
    """Return the feature extractor and the network; of an encoder-decoder, the encoder."""
    from transformers import AutoFeatureExtractor, AutoModel

    extractors: Any = AutoFeatureExtractor  # untyped
    extractor = extractors.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    return extractor, model.get_encoder() if model.config.is_encoder_decoder else model


def row(folder: str, layer: int | None, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the mean hidden state over time of one layer, or of all: (n_columns,), float32."""
    import torch

    extractor, model = _loaded(folder)
    prepared = extractor(samples, sampling_rate=sample_rate_hz, return_tensors="pt")
    with torch.inference_mode():
        states = model(**prepared, output_hidden_states=True).hidden_states
    n_frames = _frames_of_clip(extractor, len(samples), states[0].shape[1])
    chosen = states[1:] if layer is None else states[layer : layer + 1]
    pooled = torch.stack(chosen)[:, 0, :n_frames].mean(dim=(0, 1))
    values: np.ndarray = pooled.float().numpy()
    return values


def _frames_of_clip(extractor: Any, n_samples: int, n_frames: int) -> int:
    """Return the number of frames that cover the clip; Whisper pads its input to 30 s."""
    n_padded = getattr(extractor, "n_samples", n_samples)
    return max(1, min(n_frames, -(-n_frames * n_samples // n_padded)))


OPTIONAL_FEATURE_SETS = (
    OptionalFeatureSet(
        name="embedding",
        argument="NETWORK[@layer=N]",
        description=DESCRIPTION,
        extra="embeddings",
        packages=("transformers", "torch"),
        make=embedding,
    ),
)
