"""What a prediction costs on this machine: CPU time for generated speech of known lengths."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.corpora import synthetic, synthetic_voice
from benchmark.engine.environment import processor
from benchmark.features.audio import decode
from benchmark.features.extract import features_of
from benchmark.serving.example_clip import EXAMPLE
from benchmark.serving.predictor import Predictor
from benchmark.serving.timeline import WINDOW_S
from benchmark.tracking.cards import Cost

LONGER_S = 10.0
"""Length of the clip of which a second is priced: longer than any network pads a clip."""

PASSES = 3
"""The fastest counts: other processes can only slow one down."""


def measure_cost(card: Path) -> Cost:
    """Return what a prediction of a model costs, for its card and the files beside it.

    Raises
    ------
    BenchmarkError
        If the model can't be loaded.
    """
    predictor = Predictor.load(card)
    seconds, features_seconds = _fastest(predictor, WINDOW_S)
    longer, _ = _fastest(predictor, LONGER_S)
    return Cost(
        clip_s=WINDOW_S,
        seconds=_rounded(seconds),
        features_seconds=_rounded(features_seconds),
        per_second=_rounded(longer / LONGER_S),
        processor=processor(),
    )


def _fastest(predictor: Predictor, length_s: float) -> tuple[float, float]:
    """Return the CPU time of a prediction, and of its features, in seconds."""
    content, features = _speech(length_s), predictor.features
    samples = decode(content, features.sample_rate_hz).samples
    predictor.predict(content)  # loads libraries and compiles
    whole = min(_timed(lambda: predictor.predict(content)) for _ in range(PASSES))
    part = min(_timed(lambda: features_of(samples, features)) for _ in range(PASSES))
    return whole, part


def _timed(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _speech(length_s: float) -> bytes:
    """Return generated speech without pauses as a WAV file."""
    n_samples = round(length_s * synthetic.SAMPLE_RATE_HZ)
    return synthetic.wav(np.resize(synthetic_voice.samples(EXAMPLE), n_samples))


def _rounded(seconds: float) -> float:
    """Return three significant digits: more would not come out again."""
    return float(f"{seconds:.3g}")
