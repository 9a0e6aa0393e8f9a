"""Extraction: from the cache where known, in parallel where not, and nothing lost or guessed."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmark.corpora.clip import Clip, Segment
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.features import FEATURE_SETS, Extracted, FeatureSet, extract, feature_set
from benchmark.features.cache import cache_name
from benchmark.features.recipe import join
from tests.support.platforms import posix
from tests.support.sounds import RATE_HZ, make_clips, swelling_tone

FEATURES = FEATURE_SETS["means-184"]
COUNT = 30


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    return make_clips(tmp_path / "toy", COUNT)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as pool:
        yield pool


def row(clip: Clip) -> np.ndarray:
    """Return a clip's features, computed here and now."""
    from benchmark.features import audio, spectral

    samples = audio.decode(clip.path.read_bytes(), RATE_HZ).samples
    return FEATURES.compute(spectral.trim(samples, 60.0), RATE_HZ)


def test_segments_have_the_features_of_their_samples_alone(
    tmp_path: Path, cache: Path, workers: Workers
) -> None:
    sounds = [swelling_tone(pitch_hz) for pitch_hz in (100.0, 150.0, 200.0)]
    soundfile.write(tmp_path / "all.wav", np.concatenate(sounds), RATE_HZ)
    ends = [sum(len(sound) for sound in sounds[:number]) / RATE_HZ for number in range(4)]
    segments = [Segment(ends[0], ends[1]), Segment(ends[1], ends[2]), Segment(ends[2], None)]
    cut, parts = [], []
    for number, (sound, segment) in enumerate(zip(sounds, segments, strict=True)):
        soundfile.write(tmp_path / f"{number}.wav", sound, RATE_HZ)
        clip = Clip("toy", str(number), tmp_path / f"{number}.wav", "toy/1", "female", "happy")
        cut.append(clip)
        parts.append(dataclasses.replace(clip, path=tmp_path / "all.wav", segment=segment))
    expected = extract(cut, FEATURES, cache=cache, workers=workers)
    for computed, cached in ((3, 0), (0, 3)):
        found = extract(parts, FEATURES, cache=cache, workers=workers)
        assert (found.computed, found.cached, found.unusable) == (computed, cached, ())
        assert np.array_equal(found.values, expected.values)
        assert found.samples_digests == expected.samples_digests
        assert found.durations_s == expected.durations_s


@pytest.mark.parametrize(
    ("segment", "usable"),
    [
        (Segment(0.1, 0.5), True),
        (Segment(0.1, 0.59), True),
        (Segment(0.1, 0.7), False),
        (Segment(0.6, 0.65), False),
        (Segment(0.6, None), False),
    ],
)
def test_a_segment_may_end_a_little_after_its_recording_but_not_more(
    segment: Segment, usable: bool, tmp_path: Path, cache: Path, workers: Workers
) -> None:
    (clip,) = make_clips(tmp_path / "toy", 1)
    part = dataclasses.replace(clip, segment=segment)
    found = extract([part], FEATURES, cache=cache, workers=workers)
    assert bool(found.clips) == usable
    reason = f"the segment {segment.name} s is not within the recording of 0.500 s"
    assert [why for _, why in found.unusable] == [reason] * (not usable)


def test_rows_stand_in_the_order_of_the_clips(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    shuffled = clips[::-1]
    extracted = extract(shuffled, FEATURES, cache=cache, workers=workers)
    assert extracted.clips == tuple(shuffled)
    assert extracted.values.dtype == np.float32
    np.testing.assert_array_equal(extracted.values, [row(clip) for clip in shuffled])
    assert (extracted.computed, extracted.cached, extracted.unusable) == (COUNT, 0, ())


@pytest.mark.parametrize("name", ["stats-164", "mfcc-frames-13", "mfcc-track-44k"])
def test_a_recipe_measures_its_part_of_a_recording_and_no_more(
    name: str, clips: list[Clip], cache: Path, workers: Workers
) -> None:
    feature_set = FEATURE_SETS[name]
    rate_hz = feature_set.sample_rate_hz
    taken = np.tile(swelling_tone(150.0), 20)[: round(feature_set.duration_s * rate_hz)]
    before = np.zeros(round(feature_set.offset_s * rate_hz), dtype=np.int16)
    loud = np.full(rate_hz, 20_000, dtype=np.int16)
    recordings = ((before, taken), (before, taken, loud), (before + 90, taken, loud))
    for clip, parts in zip(clips, recordings, strict=False):
        soundfile.write(clip.path, np.concatenate(parts), rate_hz)
    extracted = extract(clips[:3], feature_set, cache=cache, workers=workers)
    assert len(extracted.clips) == 3
    np.testing.assert_array_equal(extracted.values, extracted.values[[0, 0, 0]])


def test_a_recording_that_ends_before_the_part_that_is_taken_is_listed(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    extracted = extract(clips[:2], FEATURE_SETS["stats-164"], cache=cache, workers=workers)
    assert extracted.clips == ()
    assert "shorter than a frame: 0.000 s" in extracted.unusable[0][1]


@pytest.mark.parametrize("feature_set", FEATURE_SETS.values(), ids=FEATURE_SETS)
def test_every_feature_set_comes_back_from_the_cache_as_it_was_computed(
    feature_set, clips: list[Clip], cache: Path, workers: Workers
) -> None:
    for clip in clips[:2]:
        soundfile.write(clip.path, np.tile(swelling_tone(100.0), 3), RATE_HZ)
    ask = {"augmentation": "shift", "cache": cache, "workers": workers}
    computed = extract(clips[:2], feature_set, **ask)
    cached = extract(clips[:2], feature_set, **ask)
    assert (computed.computed, cached.cached) == (2, 2)
    assert computed.values.shape == (2, len(feature_set.columns))
    np.testing.assert_array_equal(cached.values, computed.values)
    assert not np.array_equal(computed.values[0], computed.values[1])


def test_what_is_known_is_not_computed_again(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    extract(clips[:20], FEATURES, cache=cache, workers=workers)
    extracted = extract(clips, FEATURES, cache=cache, workers=workers)
    assert (extracted.computed, extracted.cached) == (COUNT - 20, 20)
    np.testing.assert_array_equal(extracted.values, [row(clip) for clip in clips])


def test_no_worker_starts_when_all_is_known(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    extract(clips, FEATURES, cache=cache, workers=workers)
    running = set(multiprocessing.active_children())
    with Workers(2) as idle:
        extract(clips, FEATURES, cache=cache, workers=idle)
        assert set(multiprocessing.active_children()) == running


def test_progress_ends_with_all_clips(clips: list[Clip], cache: Path, workers: Workers) -> None:
    calls: list[tuple[int, int]] = []
    progress = lambda done, total: calls.append((done, total))  # noqa: E731
    extract(clips, FEATURES, cache=cache, workers=workers, progress=progress)
    assert calls == sorted(calls)
    assert (calls[0], calls[-1]) == ((0, COUNT), (COUNT, COUNT))
    assert len(calls) > 2


def test_two_workers_give_the_bytes_of_one(
    clips: list[Clip], tmp_path: Path, workers: Workers
) -> None:
    one = extract(clips, FEATURES, augmentation="noise", cache=tmp_path / "1", workers=workers)
    with Workers(2) as two_workers:
        two = extract(
            clips, FEATURES, augmentation="noise", cache=tmp_path / "2", workers=two_workers
        )
    assert one.values.tobytes() == two.values.tobytes()


def test_a_renamed_recording_is_not_computed_again(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    before = extract(clips, FEATURES, cache=cache, workers=workers)
    path = clips[0].path.rename(clips[0].path.with_name("renamed.wav"))
    renamed = [dataclasses.replace(clips[0], name="renamed", path=path), *clips[1:]]
    after = extract(renamed, FEATURES, cache=cache, workers=workers)
    assert after.computed == 0
    np.testing.assert_array_equal(after.values, before.values)


def test_an_edited_recording_is_computed_again_even_with_the_same_date(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    extract(clips, FEATURES, cache=cache, workers=workers)
    path = clips[0].path
    date = path.stat()
    soundfile.write(path, swelling_tone(777.0), RATE_HZ)
    os.utime(path, ns=(date.st_atime_ns, date.st_mtime_ns))
    assert path.stat().st_size == date.st_size
    extracted = extract(clips, FEATURES, cache=cache, workers=workers)
    assert extracted.computed == 1
    np.testing.assert_array_equal(extracted.values[0], row(clips[0]))


def test_a_changed_recipe_is_computed_anew(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    extract(clips, FEATURES, cache=cache, workers=workers)
    untrimmed = dataclasses.replace(FEATURES, trim_top_db=None)
    assert extract(clips, untrimmed, cache=cache, workers=workers).computed == COUNT


def test_equal_recordings_are_measured_once_and_known_by_their_samples(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    shutil.copy(clips[0].path, clips[1].path)
    samples, _ = soundfile.read(clips[0].path, dtype="int16")
    flac = clips[2].path.with_suffix(".flac")
    soundfile.write(flac, samples, RATE_HZ)
    clips[2] = dataclasses.replace(clips[2], path=flac)
    extracted = extract(clips, FEATURES, cache=cache, workers=workers)
    digests = extracted.samples_digests
    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests)) == COUNT - 2
    np.testing.assert_array_equal(extracted.values[0], extracted.values[1])
    np.testing.assert_array_equal(extracted.values[0], extracted.values[2])


@pytest.mark.parametrize("augmentation", ["noise", "stretch+pitch", "trim=20"])
def test_an_augmented_copy_can_be_made_again_alone(
    clips: list[Clip], tmp_path: Path, workers: Workers, augmentation: str
) -> None:
    def copies(chosen: list[Clip], folder: str) -> Extracted:
        return extract(
            chosen,
            FEATURES,
            augmentation=augmentation,
            seed=3,
            cache=tmp_path / folder,
            workers=workers,
        )

    together = copies(clips, "together")
    alone = copies(clips[7:8], "alone")
    np.testing.assert_array_equal(alone.values[0], together.values[7])
    assert copies(clips, "together").computed == 0
    original = extract(clips, FEATURES, cache=tmp_path / "together", workers=workers)
    assert original.computed == COUNT
    assert original.samples_digests == together.samples_digests
    assert not np.array_equal(original.values, together.values)


def test_another_seed_makes_other_noise(clips: list[Clip], cache: Path, workers: Workers) -> None:
    ask = {"augmentation": "noise", "cache": cache, "workers": workers}
    first = extract(clips[:3], FEATURES, seed=0, **ask)
    second = extract(clips[:3], FEATURES, seed=1, **ask)
    assert second.computed == 3
    assert not np.array_equal(first.values, second.values)


def test_an_unknown_augmentation_is_refused(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    with pytest.raises(BenchmarkError, match="Did you mean 'noise'"):
        extract(clips, FEATURES, augmentation="nois", cache=cache, workers=workers)


def spoil(path: Path, kind: str) -> None:
    """Make a recording that can't be used."""
    whole = path.read_bytes()
    contents = {"empty": b"", "cut": whole[:5000], "text": b"no audio " * 500}
    sounds = {
        "silent": np.zeros(RATE_HZ),
        "short": np.ones(500),
        "nan": np.full(RATE_HZ, np.nan),
    }
    path.unlink()
    {
        **dict.fromkeys(contents, lambda: path.write_bytes(contents[kind])),
        **dict.fromkeys(sounds, lambda: soundfile.write(path, sounds[kind], RATE_HZ, "FLOAT")),
        "folder": path.mkdir,
        "gone": lambda: None,
    }[kind]()


REASONS = {
    "empty": "empty file",
    "cut": "truncated",
    "text": "not audio",
    "silent": "silent",
    "short": "shorter than a frame",
    "nan": "not numbers",
    "folder": "can't be read",
    "gone": "can't be read",
}


@pytest.mark.parametrize("kind", REASONS)
def test_a_clip_that_cannot_be_used_is_listed_and_stops_nothing(
    clips: list[Clip], cache: Path, workers: Workers, kind: str
) -> None:
    spoil(clips[5].path, kind)
    for _ in ("computed", "from the cache"):
        extracted = extract(clips, FEATURES, cache=cache, workers=workers)
        assert len(extracted.clips) == len(extracted.values) == COUNT - 1
        assert clips[5] not in extracted.clips
        ((clip_id, reason),) = extracted.unusable
        assert clip_id == clips[5].id
        assert REASONS[kind] in reason
        np.testing.assert_array_equal(extracted.values[5], row(clips[6]))


def test_all_clips_may_be_unusable(clips: list[Clip], cache: Path, workers: Workers) -> None:
    for clip in clips:
        spoil(clip.path, "empty")
    extracted = extract(clips, FEATURES, cache=cache, workers=workers)
    assert extracted.values.shape == (0, len(FEATURES.columns))
    assert len(extracted.unusable) == COUNT


def test_no_clips_are_no_rows(cache: Path, workers: Workers) -> None:
    assert extract([], FEATURES, cache=cache, workers=workers).values.shape == (0, 184)


def test_a_cache_that_cannot_be_written_is_refused(
    clips: list[Clip], tmp_path: Path, workers: Workers
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchmarkError, match="features cache can't be used"):
        extract(clips, FEATURES, cache=tmp_path / "file" / "cache", workers=workers)


EXTRACT_AND_DIE = """
import os, signal, sys
from pathlib import Path
from benchmark.engine.processes import Workers
from benchmark.corpora.clip import Clip
from benchmark.features import FEATURE_SETS, extract
def die(done, total):
    if done:
        os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    paths = sorted((folder / "toy").iterdir())
    clips = [Clip("toy", path.stem, path, "toy/1", "female", "happy") for path in paths]
    with Workers(1) as workers:
        features = FEATURE_SETS['means-184']
        extract(clips, features, cache=folder / "cache", workers=workers, progress=die)
"""


@posix
def test_a_killed_extraction_goes_on_where_it_was(
    clips: list[Clip], tmp_path: Path, cache: Path, workers: Workers
) -> None:
    script = tmp_path / "die.py"
    script.write_text(EXTRACT_AND_DIE)
    path = str(Path(__file__).parents[2])
    killed = subprocess.run(
        [sys.executable, script, tmp_path], env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    extracted = extract(clips, FEATURES, cache=cache, workers=workers)
    assert 0 < extracted.cached < COUNT
    assert extracted.computed == COUNT - extracted.cached
    np.testing.assert_array_equal(extracted.values, [row(clip) for clip in clips])


def noted(log: Path, name: str, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return a clip's length in seconds, and note who measured it: what a part computes."""
    with log.open("a") as file:
        file.write(f"{name}\n")
    return np.array([len(samples) / sample_rate_hz], dtype=np.float32)


def test_all_parts_of_a_joined_set_are_measured_of_one_reading_of_a_clip(
    clips: list[Clip], cache: Path, workers: Workers, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    parts = tuple(
        FeatureSet(name, "", columns=("length_s",), compute=partial(noted, log, name))
        for name in ("one", "other")
    )
    calls: list[tuple[int, int]] = []
    progress = lambda done, total: calls.append((done, total))  # noqa: E731
    extracted = extract(clips, join(parts), cache=cache, workers=workers, progress=progress)
    assert log.read_text().split() == ["one", "other"] * COUNT
    assert (extracted.computed, extracted.cached) == (COUNT, 0)
    assert (calls[0], calls[-1]) == ((0, COUNT), (COUNT, COUNT))


def test_caches_of_parts_serve_a_joined_set_and_are_filled_by_it(
    clips: list[Clip], cache: Path, workers: Workers, tmp_path: Path
) -> None:
    spoil(clips[5].path, "silent")
    shutil.copy(clips[0].path, clips[1].path)
    parts = [FEATURE_SETS["functionals"], FEATURE_SETS["dynamics"]]
    alone = [extract(clips, part, cache=tmp_path / "alone", workers=workers) for part in parts]
    extract(clips[:20], parts[0], cache=cache, workers=workers)
    extract(clips[10:], parts[1], cache=cache, workers=workers)
    joined = extract(clips, feature_set("functionals+dynamics"), cache=cache, workers=workers)
    assert (joined.computed, joined.cached) == (20, 10)
    np.testing.assert_array_equal(joined.values, np.hstack([part.values for part in alone]))
    assert joined.clips == alone[0].clips
    assert joined.unusable == alone[0].unusable
    for part, known in zip(parts, alone, strict=True):
        again = extract(clips, part, cache=cache, workers=workers)
        assert again.computed == len(again.unusable) == 1
        np.testing.assert_array_equal(again.values, known.values)


def test_parts_that_are_not_of_the_same_recording_are_not_joined(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    joined = feature_set("functionals+dynamics")
    extract(clips, joined.parts[0], cache=cache, workers=workers)
    edit = lambda *_: soundfile.write(clips[7].path, swelling_tone(777.0), RATE_HZ)  # noqa: E731
    with pytest.raises(BenchmarkError, match=r"a recording changed.*Run the command again"):
        extract(clips, joined, cache=cache, workers=workers, progress=edit)
    assert extract(clips, joined, cache=cache, workers=workers).computed == 1


def test_the_recordings_own_length_and_rate_are_remembered(
    clips: list[Clip], cache: Path, workers: Workers
) -> None:
    from benchmark.features.cache import Cache, row_key
    from benchmark.features.extract import file_digest

    soundfile.write(clips[0].path, np.repeat(swelling_tone(200.0), 2), 2 * RATE_HZ)
    extract(clips[:1], FEATURES, cache=cache, workers=workers)
    assert (cache / cache_name(FEATURES)).exists()
    with Cache(cache, FEATURES) as store:
        (known,) = store.read([row_key(file_digest(clips[0].path))]).values()
    assert (known.sample_rate_hz, known.duration_s) == (2 * RATE_HZ, 0.5)
