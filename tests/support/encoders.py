"""Encoders for tests: thin ones with random weights, and the real ones of SER_ENCODERS."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.features import OPTIONAL_FEATURE_SETS

RATE_HZ = 16_000
WIDTH, N_LAYERS = 16, 3
SAMPLES_PER_FRAME = 320

needs_transformers = pytest.mark.skipif(
    not OPTIONAL_FEATURE_SETS["embedding"].available, reason="needs the extra `embeddings`"
)
needs_real_encoder = pytest.mark.skipif(
    not (Path(os.environ.get("SER_ENCODERS", "none")) / "whisper-tiny.en").is_dir(),
    reason="needs whisper-tiny.en in the folder that SER_ENCODERS names",
)


def save_wav2vec2_like(kind: str, folder: Path, seed: int = 0, **config: Any) -> Path:
    """Save a thin wav2vec 2.0, HuBERT or WavLM with random weights."""
    import torch
    import transformers

    torch.manual_seed(seed)
    thin = getattr(transformers, f"{kind}Config")(
        hidden_size=WIDTH,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_kernel=(10, 33),
        conv_stride=(10, 32),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        **config,
    )
    getattr(transformers, f"{kind}Model")(thin).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(
        sampling_rate=RATE_HZ, return_attention_mask=config.get("feat_extract_norm") == "layer"
    ).save_pretrained(folder)
    return folder


def save_whisper(folder: Path, head: str = "Model", n_layers: int = N_LAYERS) -> Path:
    """Save a thin Whisper with random weights; its input is 30 s."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        d_model=WIDTH,
        encoder_layers=n_layers,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        vocab_size=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    getattr(transformers, f"Whisper{head}")(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor(sampling_rate=RATE_HZ).save_pretrained(folder)
    return folder


LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
"""What tells the large networks from the base ones: where they normalise."""

SAVE: dict[str, Callable[[Path], Path]] = {
    "whisper": save_whisper,
    "wav2vec2-base": lambda folder: save_wav2vec2_like("Wav2Vec2", folder),
    "wav2vec2-large": lambda folder: save_wav2vec2_like("Wav2Vec2", folder, **LARGE),
    "hubert-base": lambda folder: save_wav2vec2_like("Hubert", folder),
    "hubert-large": lambda folder: save_wav2vec2_like("Hubert", folder, **LARGE),
    "wavlm-base": lambda folder: save_wav2vec2_like("WavLM", folder),
    "wavlm-large": lambda folder: save_wav2vec2_like("WavLM", folder, **LARGE),
}
"""Thin networks of each architecture, by the folder's name."""


def transformers_states(folder: Path, samples: Any) -> list[Any]:
    """Return the hidden states (n_frames, width) of transformers' own call on a clip."""
    import torch
    from transformers import AutoFeatureExtractor, AutoModel

    prepared = AutoFeatureExtractor.from_pretrained(folder)(
        samples, sampling_rate=RATE_HZ, return_tensors="pt"
    )
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    called = model.get_encoder() if model.config.is_encoder_decoder else model
    with torch.inference_mode():
        found = called(**prepared, output_hidden_states=True).hidden_states
    return [state[0].numpy() for state in found]
