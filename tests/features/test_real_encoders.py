"""A real encoder, whisper-tiny.en: its numbers, and extraction that is killed or shared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from hashlib import sha256
from math import prod
from pathlib import Path

import numpy as np
import pytest

from benchmark.engine.processes import Workers
from benchmark.features import extract, feature_set
from benchmark.features.encoders import ENCODERS
from benchmark.features.extract import features_of
from tests.support.encoders import RATE_HZ, needs_real_encoder, needs_transformers
from tests.support.encoders import transformers_states as states_of
from tests.support.platforms import posix
from tests.support.sounds import make_clips, voice

pytestmark = [needs_transformers, needs_real_encoder]

ENCODER = ENCODERS["whisper-tiny.en"]
NAME = f"embedding:{ENCODER.name}@layers=0-4,pool=mean+std"
KNOWN = "4a00f3f1a71e7390"
"""Digest of the mean over columns of each block of `voice(120.0)`, to two decimals."""


@pytest.fixture
def folder() -> Path:
    return Path(os.environ["SER_ENCODERS"]) / ENCODER.name


def test_the_registry_describes_it(folder: Path) -> None:
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as weights:
        sizes = {name: prod(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118 - no dict
    assert sum(sizes[name] for name in sizes if "encoder." in name) == ENCODER.n_parameters
    found = feature_set(NAME)
    assert len(found.columns) == 2 * (ENCODER.n_layers + 1) * ENCODER.width
    assert found.sample_rate_hz == ENCODER.sample_rate_hz


def test_a_known_clip_has_known_numbers() -> None:
    row = features_of(voice(120.0), feature_set(NAME)).reshape(-1, ENCODER.width)
    rounded = " ".join(f"{mean:.2f}" for mean in np.abs(row).mean(axis=1))
    assert sha256(rounded.encode()).hexdigest()[:16] == KNOWN, rounded


def test_layers_of_half_a_minute_are_those_of_transformers_own_call(folder: Path) -> None:
    samples = voice(200.0, seconds=42.0)[: 30 * RATE_HZ]
    states = states_of(folder, samples)
    expected = [
        value for state in states for value in (state.mean(axis=0), state.std(axis=0, dtype=float))
    ]
    row = feature_set(NAME).compute(samples, RATE_HZ)
    np.testing.assert_allclose(row, np.concatenate(expected), rtol=1e-4, atol=1e-4)


EXTRACT_AND_DIE = """
import os, signal, sys
from pathlib import Path
from benchmark.engine.processes import Workers
from benchmark.corpora.clip import Clip
from benchmark.features import extract, feature_set
def die(done, total):
    if done:
        os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    paths = sorted((folder / "toy").iterdir())
    clips = [Clip("toy", path.stem, path, "toy/1", "female", "happy") for path in paths]
    with Workers(1) as workers:
        features = feature_set(sys.argv[2])
        extract(clips, features, cache=folder / "cache", workers=workers, progress=die)
"""


@posix
def test_one_worker_two_workers_and_a_killed_and_resumed_run_give_the_same_bytes(
    tmp_path: Path,
) -> None:
    clips = make_clips(tmp_path / "toy", 26)
    script = tmp_path / "die.py"
    script.write_text(EXTRACT_AND_DIE)
    killed = subprocess.run(
        [sys.executable, script, tmp_path, NAME],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    with Workers(1) as workers:
        one = extract(clips, feature_set(NAME), cache=tmp_path / "one", workers=workers)
    with Workers(2) as workers:
        resumed = extract(clips, feature_set(NAME), cache=tmp_path / "cache", workers=workers)
    assert 0 < resumed.cached < len(clips)
    assert (one.computed, resumed.computed) == (26, 26 - resumed.cached)
    assert one.values.tobytes() == resumed.values.tobytes()
