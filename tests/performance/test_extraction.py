"""How fast features are made: against the same features by plain librosa calls, and from the cache.

Run with ``pytest tests/performance/test_extraction.py``. On real recordings where SER_CORPORA names
their folder, else on generated tones. Numbers in brackets are ratios to the table's fastest row;
the last test prints the ratios that matter. Decoding and trimming are part of every time but those
called "features alone".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile

from benchmark.corpora.clip import Clip
from benchmark.corpora.folder import AUDIO_SUFFIXES
from benchmark.engine.processes import Workers
from benchmark.features import FEATURE_SETS, extract, parse_chain
from benchmark.features.augmentation import Chain
from benchmark.features.extract import CLIPS_PER_TASK, RecordingFile, measure

FEATURES = FEATURE_SETS["means-184"]
RATE_HZ = FEATURES.sample_rate_hz
CLIP_COUNT = 240
COPIES = ("", "noise", "stretch+pitch", "trim=40")

seconds: dict[str, float] = {}


def real_paths(folder: Path) -> list[Path]:
    """Return recordings spread evenly over the three corpora."""
    paths = sorted(
        path
        for corpus in ("ravdess", "tess", "savee")
        for path in (folder / corpus).rglob("*")
        if path.suffix in AUDIO_SUFFIXES
    )
    return paths[:: max(1, len(paths) // CLIP_COUNT)][:CLIP_COUNT]


def generated_paths(folder: Path) -> list[Path]:
    """Write tones of 1.5 to 3.5 seconds and return their paths."""
    rng = np.random.default_rng(0)
    for number in range(CLIP_COUNT):
        time_s = np.arange(int(rng.uniform(1.5, 3.5) * RATE_HZ)) / RATE_HZ
        pitch_hz = rng.uniform(90, 300)
        tone = sum(np.sin(2 * np.pi * k * pitch_hz * time_s) / k for k in range(1, 15))
        sound = 0.1 * np.sin(np.pi * time_s / time_s[-1]) * tone
        noise = 0.002 * rng.standard_normal(len(time_s))
        soundfile.write(folder / f"{number:03d}.flac", sound + noise, RATE_HZ)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = os.environ.get("SER_CORPORA")
    make = {True: lambda: real_paths(Path(str(folder)))}.get(
        folder is not None, lambda: generated_paths(tmp_path_factory.mktemp("tones"))
    )
    return [Clip("toy", path.stem, path, "toy/1", "female", "happy") for path in make()]


@pytest.fixture(scope="module")
def two_workers(clips: list[Clip]) -> Iterator[Workers]:
    """Two processes that have imported and compiled all that they need."""
    with Workers(2) as workers:
        paths = [clip.path for clip in clips[:8]]
        list(workers.map(plain_rows, [(paths, "stretch+pitch")] * 8))
        orders = [(path, b"") for path in paths]
        list(workers.map(measure, [(FEATURES, parse_chain("stretch+pitch"), orders)] * 8))
        yield workers


def plain_rows(paths: list[Path], augmentation: str = "") -> list[np.ndarray]:
    """Return the capstone's 184 means by librosa's functions, called one by one."""
    return [plain_row(path, augmentation) for path in paths]


def plain_row(path: Path, augmentation: str) -> np.ndarray:
    loaded, rate_hz = librosa.load(path, sr=RATE_HZ)
    samples, _ = librosa.effects.trim(loaded, top_db=60)
    change: dict[str, Callable[[], np.ndarray]] = {
        "": lambda: samples,
        "stretch+pitch": lambda: librosa.effects.pitch_shift(
            librosa.effects.time_stretch(samples, rate=0.75), sr=rate_hz, n_steps=0.8
        ),
    }
    return plain_features(change[augmentation](), rate_hz)


def plain_features(samples: np.ndarray, rate_hz: float) -> np.ndarray:
    kind = librosa.feature
    magnitude = np.abs(librosa.stft(samples))
    return np.concatenate(
        [
            kind.rms(y=samples).mean(axis=1),
            kind.spectral_centroid(y=samples, sr=rate_hz).mean(axis=1),
            kind.spectral_rolloff(y=samples, sr=rate_hz).mean(axis=1),
            kind.zero_crossing_rate(samples).mean(axis=1),
            kind.chroma_stft(S=magnitude, sr=rate_hz).mean(axis=1),
            kind.mfcc(y=samples, sr=rate_hz, n_mfcc=40).mean(axis=1),
            kind.melspectrogram(y=samples, sr=rate_hz).mean(axis=1),
        ]
    )


def timed(benchmark: Any, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function once under the benchmark and remember its time."""
    result = benchmark.pedantic(function, arguments, rounds=1, iterations=1)
    seconds[name] = benchmark.stats.stats.min
    return result


@pytest.mark.parametrize("augmentation", ["", "stretch+pitch"])
def test_one_core_plain(benchmark: Any, clips: list[Clip], augmentation: str) -> None:
    benchmark.group = f"one core {augmentation}"
    paths = [clip.path for clip in clips]
    plain_rows(paths[:2], augmentation)
    timed(benchmark, f"one core, plain {augmentation}", plain_rows, paths, augmentation)


@pytest.mark.parametrize("augmentation", ["", "stretch+pitch"])
def test_one_core_ours(benchmark: Any, clips: list[Clip], augmentation: str) -> None:
    benchmark.group = f"one core {augmentation}"
    chain = {"": Chain(())}.get(augmentation) or parse_chain(augmentation)
    orders = [RecordingFile(clip.path, b"", b"", clip.path.read_bytes()) for clip in clips]
    measure(FEATURES, chain, orders[:2])
    timed(benchmark, f"one core, ours {augmentation}", measure, FEATURES, chain, orders)


@pytest.fixture(scope="module")
def trimmed(clips: list[Clip]) -> list[np.ndarray]:
    """Trimmed samples of every clip."""
    loaded = (librosa.load(clip.path, sr=RATE_HZ)[0] for clip in clips)
    return [librosa.effects.trim(samples, top_db=60)[0] for samples in loaded]


def test_features_alone_plain(benchmark: Any, trimmed: list[np.ndarray]) -> None:
    benchmark.group = "features alone"
    run = lambda: [plain_features(samples, RATE_HZ) for samples in trimmed]  # noqa: E731
    timed(benchmark, "features alone, plain", run)


def test_features_alone_ours(benchmark: Any, trimmed: list[np.ndarray]) -> None:
    benchmark.group = "features alone"
    run = lambda: [FEATURES.compute(samples, RATE_HZ) for samples in trimmed]  # noqa: E731
    timed(benchmark, "features alone, ours", run)


def test_two_cores_plain(benchmark: Any, clips: list[Clip], two_workers: Workers) -> None:
    benchmark.group = "two cores "
    chunks = [clips[n : n + CLIPS_PER_TASK] for n in range(0, len(clips), CLIPS_PER_TASK)]
    arguments = [([clip.path for clip in chunk],) for chunk in chunks]
    run = lambda: list(two_workers.map(plain_rows, arguments))  # noqa: E731
    timed(benchmark, "two cores, plain", run)


def test_two_cores_ours(
    benchmark: Any, clips: list[Clip], two_workers: Workers, tmp_path: Path
) -> None:
    benchmark.group = "two cores "
    run = lambda: extract(clips, FEATURES, cache=tmp_path, workers=two_workers)  # noqa: E731
    assert timed(benchmark, "two cores, ours", run).computed == len(clips)


def test_cold_and_warm_cache(clips: list[Clip], tmp_path: Path, two_workers: Workers) -> None:
    """Originals and three copies of each clip, cold and then warm."""
    from time import perf_counter

    for name in ("cold", "warm"):
        start = perf_counter()
        for augmentation in COPIES:
            extract(clips, FEATURES, augmentation=augmentation, cache=tmp_path, workers=two_workers)
        seconds[f"{name} cache, with three copies"] = perf_counter() - start


PAIRS = (
    ("features alone, plain", "features alone, ours"),
    ("one core, plain ", "one core, ours "),
    ("one core, plain stretch+pitch", "one core, ours stretch+pitch"),
    ("two cores, plain", "two cores, ours"),
    ("cold cache, with three copies", "warm cache, with three copies"),
)


def test_the_ratios_side_by_side(clips: list[Clip], capsys: pytest.CaptureFixture[str]) -> None:
    missing = {name for pair in PAIRS for name in pair} - set(seconds)
    if_missing = pytest.skip if missing else lambda _: None
    if_missing("needs all tests of this file in one run")
    with capsys.disabled():
        for slow, fast in PAIRS:
            rates = [len(clips) / seconds[name] for name in (slow, fast)]
            print(  # noqa: T201 - the purpose of this file
                f"\n{slow:32}{rates[0]:8.0f} clips/s   {fast:32}{rates[1]:8.0f} clips/s   "
                f"ratio {rates[1] / rates[0]:6.1f}",
                end="",
            )
        print()  # noqa: T201
