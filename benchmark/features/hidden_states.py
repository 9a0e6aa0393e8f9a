"""Hidden states of pretrained networks: where a network is found, how it is loaded and called.

The only module that imports torch for features, Hugging Face transformers and its hub, an extra.
Nothing is downloaded and no code of a network's folder is run. Clips are processed one by one:
padding in a batch would change the numbers of networks such as wav2vec 2.0 base, and a service,
which gets single clips, must return the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import BenchmarkError, nearest
from benchmark.features.encoders import ENCODERS, FOLDER_VARIABLE, folders
from benchmark.hints import command

CONFIG = "config.json"
INPUT_CONFIG = "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files of weights, the first that is there, itself or as the index of its shards; pickles are read
as plain tensors only."""

INDEX = ".index.json"
"""End of the name of an index: ``model.safetensors.index.json`` names ``model-*.safetensors``."""

UNUSED_WEIGHTS = {"masked_spec_embed"}
"""Weights that only training uses."""

WHISPER = "whisper"
LONGEST_S = 30
"""What Whisper takes at once; longer clips are cut into equal chunks for every network."""

WHISPER_SHORTEST_S = 4
"""Shorter clips are padded with silence, of which Whisper has heard more than of short clips."""

WHISPER_FRAME = 320
"""Samples of a frame of Whisper: the hop of its spectrogram, twice."""


@dataclass(frozen=True)
class Network:
    """A stored network.

    Attributes
    ----------
    folder : Path
        Folder of its files.
    kind : str
        Architecture, as its configuration names it: ``whisper``.
    width, n_layers : int
        Size of a hidden state, and number of layers after the input layer.
    sample_rate_hz : int
        Sample rate of its input.
    digest : str
        Digest of its files.
    """

    folder: Path
    kind: str
    width: int
    n_layers: int
    sample_rate_hz: int
    digest: str


def find(name: str, where: str) -> Path:
    """Return the folder of an encoder, of a folder's path, or of a name of the hub's cache.

    Raises
    ------
    BenchmarkError
        If the network is not on this machine.
    """
    encoder = ENCODERS.get(name)
    for folder in folders(name):
        if folder.is_dir():
            return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        hub, revision = (encoder.hub, encoder.revision) if encoder else (name, None)
        return Path(snapshot_download(hub, revision=revision, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise BenchmarkError(f"{where}: {_missing(name)}") from error


def _missing(name: str) -> str:
    """Return what to do about a network that is not on this machine."""
    if encoder := ENCODERS.get(name):
        return (
            f"{name} is not on this machine. Fetch it once with {command(f'fetch {name}')} "
            f"({encoder.download_mb:,} MB, licence {encoder.licence}), or set {FOLDER_VARIABLE} to "
            "the folder that holds it."
        )
    near = nearest(name, ENCODERS)
    hint = f" Did you mean {near!r}?" if near else ""
    return (
        f"{name} is neither an encoder ({', '.join(ENCODERS)}), nor a folder, nor a network in "
        f"{FOLDER_VARIABLE} or Hugging Face's cache on this machine.{hint} Give its folder, set "
        f"{FOLDER_VARIABLE} to the folder that holds it, or download it once with "
        f"`hf download {name}`."
    )


@cache
def describe(folder: Path, where: str) -> Network:
    """Return the description of a network; its files are read once per process.

    Raises
    ------
    BenchmarkError
        If the folder holds no network that takes audio.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.is_encoder_decoder and config.model_type != WHISPER:
            raise ValueError(f"of networks with a decoder only Whisper, not {config.model_type}")
        input_config = json.loads((folder / INPUT_CONFIG).read_text(encoding="utf-8"))
        return Network(
            folder=folder,
            kind=str(config.model_type),
            width=int(config.hidden_size),
            n_layers=int(config.num_hidden_layers),
            sample_rate_hz=int(input_config["sampling_rate"]),
            digest=_digest(folder),
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        line = str(error).strip().partition("\n")[0]
        raise BenchmarkError(
            f"{where}: {folder} holds no network that takes audio ({line}). It needs {CONFIG}, "
            f"{INPUT_CONFIG} and weights, as `hf download` stores them."
        ) from error


def weights_in(folder: Path) -> list[Path]:
    """Return the files of a network's weights: one, or all shards that an index names.

    Raises
    ------
    ValueError
        If there are none, a shard is missing, or the index is damaged.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}{INDEX}").is_file():
            return _shards(folder / f"{name}{INDEX}")
    raise ValueError(f"none of {', '.join(WEIGHTS)}")


def _shards(index: Path) -> list[Path]:
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        shards = [index.parent / name for name in sorted(named)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index.name} is damaged") from error
    missing = [path.name for path in shards if path.parent != index.parent or not path.is_file()]
    if missing or not shards:
        raise ValueError(f"{index.name} names {', '.join(missing) or 'nothing'}, which is missing")
    return shards


def _digest(folder: Path) -> str:
    """Return the digest of the files that decide a network's numbers."""
    digest = blake2b(digest_size=16)
    for path in (folder / CONFIG, folder / INPUT_CONFIG, *weights_in(folder)):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def hidden_states(
    network: Network, top: int, samples: np.ndarray, sample_rate_hz: int
) -> Iterator[list[np.ndarray]]:
    """Yield the hidden states of each chunk of a clip, only of frames that cover the clip.

    Parameters
    ----------
    network : Network
    top : int
        The highest layer to compute.
    samples : ndarray of float32, shape (n_samples,)
        Mono, full scale 1.0.
    sample_rate_hz : int

    Yields
    ------
    list of ndarray of float32, each of shape (n_frames, width)
        The input of the first layer, then the output of each layer up to `top`. The last layer of
        a network is normalised, as transformers gives it.
    """
    import torch

    extractor, model = _loaded(network, top)
    n_chunks = -(-len(samples) // (LONGEST_S * sample_rate_hz))
    for chunk in np.array_split(samples, n_chunks):
        with _one_thread(), torch.inference_mode():
            if network.kind == WHISPER:
                states = _whisper_states(network, extractor, model, top, chunk)
            else:
                prepared = extractor(chunk, sampling_rate=sample_rate_hz, return_tensors="pt")
                states = model(**prepared, output_hidden_states=True).hidden_states[: top + 1]
        yield [state[0].numpy() for state in states]


def _whisper_states(
    network: Network, extractor: Any, encoder: Any, top: int, samples: np.ndarray
) -> list[Any]:
    """Return hidden states of Whisper's encoder, called on as many frames as the clip has.

    transformers pads each clip to 30 s: eight times the work for a clip of 3 s.
    """
    from torch.nn.functional import gelu

    mel = extractor(
        samples,
        sampling_rate=network.sample_rate_hz,
        max_length=max(len(samples), WHISPER_SHORTEST_S * network.sample_rate_hz),
        pad_to_multiple_of=WHISPER_FRAME,
        return_tensors="pt",
    ).input_features
    embedded = gelu(encoder.conv2(gelu(encoder.conv1(mel)))).permute(0, 2, 1)
    states = [embedded + encoder.embed_positions.weight[: embedded.shape[1]]]
    for layer in encoder.layers[:top]:
        output = layer(states[-1], None)
        states.append(output[0] if isinstance(output, tuple) else output)  # by version
    if top == network.n_layers:
        states[-1] = encoder.layer_norm(states[-1])
    return [state[:, : -(-len(samples) // WHISPER_FRAME)] for state in states]


@cache
def _loaded(network: Network, top: int) -> tuple[Any, Any]:
    """Return the feature extractor and the network of a folder that is whole."""
    where = f"features: {network.folder}: the weights"
    try:
        extractor, model, missing = _read(network, top)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file raises errors of many kinds
        line = str(error).strip().partition("\n")[0]
        raise BenchmarkError(
            f"{where} can't be read ({type(error).__name__}: {line}). Download the network again."
        ) from error
    if absent := set(missing) - UNUSED_WEIGHTS:
        raise BenchmarkError(
            f"{where} lack {len(absent):,} of the network's tensors, such as {min(absent)}. "
            "Download the network again."
        )
    return extractor, model.eval()


def _read(network: Network, top: int) -> tuple[Any, Any, list[str]]:
    """Return the feature extractor, the network, and the names of missing weights.

    Of Whisper, the encoder alone is read, and of any network, the layers up to the one above
    `top`: transformers normalises the last layer of some, which must not be `top`.
    """
    import torch
    from transformers import AutoFeatureExtractor, AutoModel
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    of_whisper = network.kind == WHISPER
    model_class: Any = WhisperEncoder if of_whisper else AutoModel
    extractors: Any = AutoFeatureExtractor  # untyped
    with _quiet():
        extractor = extractors.from_pretrained(network.folder, local_files_only=True)
        model, report = model_class.from_pretrained(
            network.folder,
            local_files_only=True,
            trust_remote_code=False,
            key_mapping={r"^(model\.)?encoder\.": ""} if of_whisper else None,
            use_safetensors=weights_in(network.folder)[0].suffix == ".safetensors",
            weights_only=True,
            dtype=torch.float32,
            num_hidden_layers=min(network.n_layers, top + 1),
            output_loading_info=True,
        )
    return extractor, model, report["missing_keys"]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' progress bars and reports within the block."""
    from transformers import utils

    logging: Any = utils.logging  # untyped
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute in one thread within the block: other clips use the other cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
