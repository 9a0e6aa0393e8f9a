"""How fast encoders are: on a clip's own length, on 4 s and on 30 s, beside transformers' own call.

Run with ``pytest tests/performance/test_encoders.py``, with SER_ENCODERS; on clips of RAVDESS where
SER_CORPORA names their folder, else on generated voices of 3 s. One core, all layers, without
decoding; the clips of all ways take turns, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.features import FeatureSet, audio, feature_set, hidden_states
from benchmark.features.encoders import ENCODERS
from tests.support.encoders import RATE_HZ, needs_real_encoder, needs_transformers
from tests.support.sounds import voice

pytestmark = [needs_transformers, needs_real_encoder]

N_CLIPS = 12
STORED = [
    name
    for name in ENCODERS
    if (Path(os.environ.get("SER_ENCODERS", "none")) / name / "config.json").is_file()
]
FIXED = {"own length": 0, "4 s": 4, "30 s": 30}
"""Seconds to which Whisper pads shorter clips."""


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Samples of clips, spread evenly over RAVDESS."""
    paths = sorted((Path(os.environ.get("SER_CORPORA", "none")) / "ravdess").rglob("*.wav"))
    chosen = paths[:: max(1, len(paths) // N_CLIPS)][:N_CLIPS]
    real = [audio.decode(path.read_bytes(), RATE_HZ).samples for path in chosen]
    return real or [voice(100.0 + 20 * n, seconds=4.0) for n in range(N_CLIPS)]


def transformers_call(name: str) -> Callable[[np.ndarray], object]:
    """Return transformers' own call of an encoder, as its documentation has it."""
    import torch
    from transformers import AutoFeatureExtractor, AutoModel

    folder = Path(os.environ["SER_ENCODERS"]) / name
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    called = model.get_encoder() if model.config.is_encoder_decoder else model

    def call(samples: np.ndarray) -> object:
        with torch.inference_mode():
            inputs = extractor(samples, sampling_rate=RATE_HZ, return_tensors="pt")
            return called(**inputs, output_hidden_states=True).hidden_states

    return call


def padded(
    found: FeatureSet, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> Callable[[np.ndarray], object]:
    """Return the computation of a row with another shortest input of Whisper."""

    def call(samples: np.ndarray) -> object:
        monkeypatch.setattr(hidden_states, "WHISPER_SHORTEST_S", seconds)
        return found.compute(samples, RATE_HZ)

    return call


@pytest.mark.parametrize("name", STORED)
def test_clips_a_second_by_padding_beside_transformers_own_call(
    name: str,
    clips: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = feature_set(f"embedding:{name}@pool=mean+std")
    ways = {label: padded(found, seconds, monkeypatch) for label, seconds in FIXED.items()}
    ways["transformers"] = transformers_call(name)
    spent_s = dict.fromkeys(ways, 0.0)
    for call in ways.values():
        call(clips[0])
    for samples in clips:
        for label, call in ways.items():
            began = time.process_time()
            call(samples)
            spent_s[label] += time.process_time() - began
    torch.set_num_threads(threads)
    with capsys.disabled():
        for label, seconds in spent_s.items():
            print(  # noqa: T201 - the purpose of this file
                f"\n{name:18}{label:14}{len(clips) / seconds:6.1f} clips/s a core   "
                f"ratio {spent_s['transformers'] / seconds:5.1f}",
                end="",
            )
        print()  # noqa: T201
