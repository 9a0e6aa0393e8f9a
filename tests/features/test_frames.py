"""Features over time, the part of a recording that is taken, and pitch."""

from __future__ import annotations

import math

import librosa
import numpy as np
import pytest

from benchmark.features import FEATURE_SETS, FeatureSet, frames, prosody

RATE_HZ = 22_050
OVER_TIME = {name: f for name, f in FEATURE_SETS.items() if f.shape is not None}


def noise(seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return noise of even loudness, float32."""
    samples = np.random.default_rng(0).standard_normal(round(seconds * rate_hz))
    return (0.1 * samples).astype(np.float32)


def buzz(pitch_hz: float, seconds: float = 1.0) -> np.ndarray:
    """Return a tone with overtones, float32."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tone = sum(np.sin(2.0 * np.pi * pitch_hz * number * time_s) / number for number in range(1, 9))
    return (0.1 * tone).astype(np.float32)


def array(feature_set: FeatureSet, seconds: float) -> np.ndarray:
    """Return the frames of some noise, of the feature set's shape."""
    row = feature_set.compute(
        noise(seconds, feature_set.sample_rate_hz), feature_set.sample_rate_hz
    )
    return row.reshape(feature_set.shape)


@pytest.mark.parametrize("feature_set", OVER_TIME.values(), ids=OVER_TIME)
def test_a_shape_has_a_column_for_each_frame_and_coefficient(feature_set: FeatureSet) -> None:
    assert math.prod(feature_set.shape) == len(feature_set.columns)
    numbers = [int(column.split("_")[1]) for column in feature_set.columns]
    expected = np.repeat(np.arange(feature_set.shape[0]) + 1, feature_set.shape[1])
    assert numbers == expected.tolist()


@pytest.mark.parametrize("feature_set", OVER_TIME.values(), ids=OVER_TIME)
def test_three_seconds_fill_every_frame(feature_set: FeatureSet) -> None:
    assert np.count_nonzero(array(feature_set, 3.0)) == len(feature_set.columns)


@pytest.mark.parametrize("feature_set", OVER_TIME.values(), ids=OVER_TIME)
def test_what_is_longer_is_cut_behind(feature_set: FeatureSet) -> None:
    # The last frames of the shorter one see its end.
    np.testing.assert_allclose(
        array(feature_set, 5.0)[:-4], array(feature_set, 3.0)[:-4], atol=1e-3
    )


def test_missing_mfcc_frames_are_zero_on_both_sides() -> None:
    values = array(FEATURE_SETS["mfcc-frames-13"], 1.0)
    (filled,) = np.nonzero(values.any(axis=1))
    n_frames = 1 + RATE_HZ // 512
    first = (130 - n_frames) // 2
    assert filled.tolist() == list(range(first, first + n_frames))


def test_a_missing_part_of_a_track_is_zero_behind() -> None:
    track = array(FEATURE_SETS["mfcc-track-44k"], 1.0)[:, 0]
    (filled,) = np.nonzero(track)
    assert filled.tolist() == list(range(1 + 44_100 // 512))


def test_a_missing_part_of_log_mel_frames_is_the_quietest_that_is_told_apart() -> None:
    decibels = array(FEATURE_SETS["log-mel-frames"], 1.0)
    np.testing.assert_allclose(decibels[25:], decibels.max() - 80.0, atol=1e-4)
    assert decibels[:20].min() > decibels.max() - 60.0


def test_the_first_frame_of_log_mel_frames_hears_the_beginning() -> None:
    samples = np.concatenate([buzz(200.0, 0.5), np.zeros(3 * RATE_HZ, dtype=np.float32)])
    values = frames.log_mel_frames(samples, RATE_HZ).reshape(65, 40)
    assert values[:8].max() == values.max()
    np.testing.assert_allclose(values[15:], values.max() - 80.0, atol=1e-4)


def part(feature_set: str, seconds: float) -> float:
    """Return how many seconds of a recording a feature set takes."""
    rate_hz = FEATURE_SETS[feature_set].sample_rate_hz
    return len(noise(seconds, rate_hz)[FEATURE_SETS[feature_set].part]) / rate_hz


@pytest.mark.parametrize(
    ("name", "seconds", "taken_s"),
    [
        ("stats-164", 5.0, 2.5),
        ("stats-164", 2.0, 1.4),
        ("stats-164", 0.5, 0.0),
        ("mfcc-track-44k", 5.0, 3.0),
        ("mfcc-track-44k", 1.0, 0.5),
        ("mfcc-frames-13", 5.0, 3.0),
        ("means-184", 5.0, 5.0),
    ],
)
def test_a_recipe_takes_its_part_of_a_recording_or_what_there_is(
    name: str, seconds: float, taken_s: float
) -> None:
    assert part(name, seconds) == pytest.approx(taken_s, abs=1e-4)


@pytest.mark.parametrize("pitch_hz", [70.0, 110.0, 203.7, 333.3, 590.0])
def test_the_pitch_of_a_tone_is_found(pitch_hz: float) -> None:
    pitch = prosody.yin(buzz(pitch_hz), RATE_HZ)
    inner = slice(3, -3)
    np.testing.assert_allclose(pitch.f0_hz[inner], pitch_hz, rtol=0.005)
    assert pitch.aperiodicity[inner].max() < 0.1


def test_noise_has_no_period() -> None:
    assert np.median(prosody.yin(noise(1.0), RATE_HZ).aperiodicity) > 0.6
    assert prosody.prosody(noise(1.0), RATE_HZ)[3:].tolist() == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("rate_hz", [16_000, RATE_HZ, 44_100])
def test_pitch_is_librosas(rate_hz: int) -> None:
    samples = buzz(160.0) * np.linspace(0.2, 1.0, RATE_HZ) + 0.1 * noise(1.0)
    expected = librosa.yin(samples, fmin=65, fmax=600, sr=rate_hz)
    np.testing.assert_allclose(prosody.yin(samples, rate_hz).f0_hz, expected, rtol=1e-6)


def test_prosody_has_length_level_and_pitch() -> None:
    samples = np.concatenate([buzz(120.0), buzz(240.0), buzz(240.0)])
    names = FEATURE_SETS["prosody"].columns
    numbers = dict(zip(names, prosody.prosody(samples, RATE_HZ).tolist(), strict=True))
    assert numbers["duration_s"] == pytest.approx(3.0)
    assert numbers["level_max_db"] == pytest.approx(20 * np.log10(np.std(samples)), abs=0.5)
    assert numbers["level_mean_db"] <= numbers["level_max_db"]
    assert numbers["pitch_10th_hz"] == pytest.approx(120.0, rel=0.01)
    assert numbers["pitch_median_hz"] == pytest.approx(240.0, rel=0.01)
    assert numbers["pitch_90th_hz"] == pytest.approx(240.0, rel=0.01)
    assert numbers["voiced_share"] > 0.9


def test_half_the_level_is_six_decibels_less_and_the_pitch_the_same() -> None:
    loud = prosody.prosody(buzz(200.0), RATE_HZ)
    quiet = prosody.prosody(np.float32(0.5) * buzz(200.0), RATE_HZ)
    np.testing.assert_allclose(loud[1:3] - quiet[1:3], 6.02, atol=0.01)
    np.testing.assert_allclose(np.delete(loud, [1, 2]), np.delete(quiet, [1, 2]), rtol=1e-5)
