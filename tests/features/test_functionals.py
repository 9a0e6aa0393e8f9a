"""Functionals: numbers measure what their names say, at every level; and the pitch tracker."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from benchmark.features import FEATURE_SETS, contours, filters, functionals, pitch
from tests.support.sounds import FUNCTIONALS_RATE_HZ as RATE_HZ
from tests.support.sounds import harmonics, noise, seconds

FUNCTIONALS = FEATURE_SETS["functionals"]
HOP_LENGTH = 160
LEVEL = ["rms_db", "peak_db"]


def numbers_of(samples: np.ndarray) -> dict[str, float]:
    """Return the functionals of a clip by their names."""
    row = FUNCTIONALS.compute(samples, RATE_HZ)
    return dict(zip(FUNCTIONALS.columns, row.tolist(), strict=True))


@pytest.mark.parametrize("f0_hz", [70.0, 110.0, 203.7, 333.3, 630.0])
@pytest.mark.parametrize("falling", [0.0, 1.0, 2.0])
def test_the_pitch_of_a_tone_is_found_however_its_harmonics_fall(
    f0_hz: float, falling: float
) -> None:
    found = pitch.track(harmonics(f0_hz, falling=falling), RATE_HZ, HOP_LENGTH)
    inner = slice(5, -5)
    assert found.voiced[inner].all()
    np.testing.assert_allclose(found.f0_hz[inner], f0_hz, rtol=0.01)
    assert found.periodicity[inner].min() > 0.95


def test_a_glide_over_an_octave_and_a_half_is_followed() -> None:
    f0_hz = 100.0 * 2.0 ** (1.5 * seconds(1.0))
    found = pitch.track(harmonics(f0_hz), RATE_HZ, HOP_LENGTH)
    expected = f0_hz[::HOP_LENGTH][5:-5]
    np.testing.assert_allclose(found.f0_hz[5 : 5 + len(expected)], expected, rtol=0.02)


def test_a_frame_that_could_be_an_octave_off_is_read_by_its_neighbours() -> None:
    # For 60 ms every second pulse is weak: alone, those frames have half the pitch.
    amplitude = np.ones(len(seconds(1.0)))
    pulses = np.arange(0, len(amplitude), 80)
    weak = pulses[(pulses > 7_500) & (pulses < 8_460)][::2]
    samples = np.zeros(len(amplitude))
    samples[pulses] = 1.0
    samples[weak] = 0.6
    resonance = np.exp(-seconds(0.01) / 0.001) * np.sin(2 * np.pi * 800 * seconds(0.01))
    voice = np.convolve(samples, resonance, "same").astype(np.float32)
    found = pitch.track(voice, RATE_HZ, HOP_LENGTH)
    np.testing.assert_allclose(found.f0_hz[5:-5], 200.0, rtol=0.01)


@pytest.mark.parametrize("samples", [noise(), np.zeros(16_000, np.float32)], ids=["noise", "zeros"])
def test_noise_and_silence_have_no_voice(samples: np.ndarray) -> None:
    assert pitch.track(samples, RATE_HZ, HOP_LENGTH).voiced.mean() < 0.05


def test_pitch_agrees_with_librosas_pyin_where_both_find_a_voice() -> None:
    f0_hz = 150.0 * (1.0 + 0.2 * np.sin(2 * np.pi * 2.0 * seconds(2.0)))
    samples = harmonics(f0_hz, 2.0) + 0.3 * noise(2.0)
    samples[10_000:14_000] = 0.3 * noise(0.25)
    found = pitch.track(samples, RATE_HZ, HOP_LENGTH)
    expected, voiced, _ = librosa.pyin(
        samples, fmin=65, fmax=650, sr=RATE_HZ, frame_length=1024, hop_length=HOP_LENGTH
    )
    both = voiced & found.voiced
    assert both.mean() > 0.8
    assert np.mean(voiced == found.voiced) > 0.95
    assert np.abs(12 * np.log2(found.f0_hz[both] / expected[both])).mean() < 0.2


def test_mel_bands_are_librosas() -> None:
    samples = harmonics(180.0) + noise()
    expected = librosa.feature.melspectrogram(
        y=samples, sr=RATE_HZ, n_fft=2048, win_length=512, hop_length=160, n_mels=40
    )
    computed = contours.Contours(samples, RATE_HZ).mel
    np.testing.assert_allclose(computed, expected.T, rtol=1e-3)


def test_mfcc_are_librosas_after_the_first() -> None:
    measured = contours.Contours(harmonics(180.0) + noise(), RATE_HZ)
    expected = librosa.feature.mfcc(S=measured.mel_db.T, n_mfcc=21)[1:]
    np.testing.assert_allclose(measured.mfcc, expected.T, atol=1e-6)


@pytest.mark.parametrize("factor", [0.01, 0.5, 3.0])
def test_another_level_changes_nothing_but_the_level(factor: float) -> None:
    samples = np.concatenate([harmonics(150.0), noise(0.3), harmonics(220.0)])
    first, second = numbers_of(samples), numbers_of(np.float32(factor) * samples)
    assert [second[name] - first[name] for name in LEVEL] == pytest.approx(
        [20 * np.log10(factor)] * 2, abs=1e-3
    )
    rest = [name for name in FUNCTIONALS.columns if name not in LEVEL]
    np.testing.assert_allclose(
        [second[name] for name in rest], [first[name] for name in rest], rtol=2e-3, atol=2e-3
    )


def test_features_do_not_depend_on_earlier_clips() -> None:
    clip, other = harmonics(150.0) + noise(), harmonics(300.0, 2.0)
    first = FUNCTIONALS.compute(clip, RATE_HZ)
    FUNCTIONALS.compute(other, RATE_HZ)
    assert FUNCTIONALS.compute(clip, RATE_HZ).tobytes() == first.tobytes()


def test_statistics_of_pitch_are_those_of_the_voice() -> None:
    numbers = numbers_of(np.concatenate([harmonics(110.0), 0.1 * noise(0.5), harmonics(220.0)]))
    assert numbers["voiced_pitch_semitones_q05"] == pytest.approx(12.0, abs=0.2)
    assert numbers["voiced_pitch_semitones_q95"] == pytest.approx(24.0, abs=0.2)
    assert numbers["voiced_pitch_semitones_mean"] == pytest.approx(18.0, abs=0.5)
    assert numbers["voiced_pitch_semitones_std"] == pytest.approx(6.0, abs=0.3)
    assert numbers["voiced_pitch_semitones_trend"] > 10.0
    assert numbers["part_01_pitch_semitones"] == pytest.approx(12.0, abs=0.3)
    assert numbers["part_06_pitch_semitones"] == pytest.approx(24.0, abs=0.3)


def test_lengths_of_voice_gaps_and_pauses_are_in_seconds() -> None:
    silence = np.zeros(len(seconds(0.4)), np.float32)
    numbers = numbers_of(np.concatenate([harmonics(150.0, 0.6), silence, harmonics(150.0, 1.0)]))
    assert numbers["duration_s"] == pytest.approx(2.0)
    assert numbers["voice_share"] == pytest.approx(0.8, abs=0.03)
    assert numbers["voice_per_s"] == pytest.approx(1.0)
    assert numbers["voice_mean_s"] == pytest.approx(0.8, abs=0.05)
    assert numbers["voice_longest_s"] == pytest.approx(1.0, abs=0.05)
    assert numbers["voice_std_s"] == pytest.approx(0.2, abs=0.03)
    assert numbers["gap_longest_s"] == pytest.approx(0.4, abs=0.05)
    assert numbers["pause_share"] == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(("rate_hz", "band"), [(3.0, "2_to_4"), (6.0, "4_to_8")])
def test_syllables_are_counted_and_their_rate_is_where_the_level_moves(
    rate_hz: float, band: str
) -> None:
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * rate_hz * seconds(3.0))
    numbers = numbers_of((swell * harmonics(150.0, 3.0)).astype(np.float32))
    assert numbers["syllables_per_s"] == pytest.approx(rate_hz, abs=0.4)
    moves = {name: value for name, value in numbers.items() if name.startswith("level_modulated")}
    assert max(moves, key=moves.get) == f"level_modulated_{band}_hz"


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_harmonicity_is_the_ratio_of_voice_to_noise(snr_db: float) -> None:
    voice, breath = harmonics(200.0, 2.0), noise(2.0)
    breath *= np.std(voice) / np.std(breath) * 10.0 ** (-snr_db / 20.0)
    numbers = numbers_of(voice + breath)
    assert numbers["voiced_harmonicity_db_q50"] == pytest.approx(snr_db, abs=1.5)


@pytest.mark.parametrize("falling", [0.0, 1.0, 2.0])
def test_level_differences_of_harmonics_follow_their_slope(falling: float) -> None:
    numbers = numbers_of(harmonics(200.0, falling=falling))
    assert numbers["voiced_h1_h2_db_q50"] == pytest.approx(6.02 * falling, abs=0.5)
    assert numbers["voiced_h1_h3_db_q50"] == pytest.approx(9.54 * falling, abs=0.5)


def test_a_trembling_voice_has_more_jitter_and_shimmer() -> None:
    rng = np.random.default_rng(0)
    calm = 200.0 * np.ones(len(seconds(1.0)))
    trembling = calm * (1.0 + 0.05 * np.repeat(rng.standard_normal(100), 160))
    swell = np.repeat(1.0 + 0.3 * rng.uniform(-1, 1, 100), 160)
    still, shaking = (
        numbers_of(harmonics(calm)),
        numbers_of((swell * harmonics(trembling)).astype(np.float32)),
    )
    for name in ("voiced_pitch_jitter_mean", "voiced_level_shimmer_mean"):
        assert shaking[name] > 3.0 * still[name]


def test_a_ramp_has_its_trend_and_its_steps() -> None:
    ramp = np.column_stack([np.linspace(0.0, 5.0, 101), np.full(101, 2.0)])
    np.testing.assert_allclose(functionals.movement(ramp), [5.0, 0.0, 5.0 / 101, 0.0], atol=1e-9)


def test_statistics_are_in_the_order_of_their_names() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 3))
    computed = functionals.statistics(values).reshape(len(functionals.STATISTICS), 3)
    expected = [values.mean(axis=0), values.std(axis=0)]
    expected += [
        np.quantile(values, fraction, axis=0) for fraction in (0.05, 0.25, 0.5, 0.75, 0.95)
    ]
    np.testing.assert_array_equal(computed, expected)


@pytest.mark.parametrize("n_frames", [1, 31, 32, 33, 100])
def test_frames_have_the_spectra_that_they_have_all_at_once(n_frames: int) -> None:
    frames = np.random.default_rng(0).standard_normal((n_frames, 64)).astype(np.float32)
    in_blocks = filters.in_blocks(filters.power_of, frames)
    np.testing.assert_array_equal(in_blocks, filters.power_of(frames))


def test_runs_are_counted_from_edge_to_edge() -> None:
    inside = np.array([1, 1, 0, 0, 1, 0, 1, 1, 1, 0], dtype=bool)
    fraction, per_s, mean_s, std_s, longest_s = contours._runs(inside, 0.1)
    assert (fraction, per_s) == (0.6, pytest.approx(30.0))
    assert (mean_s, longest_s) == (pytest.approx(0.02), pytest.approx(0.03))
    assert std_s == pytest.approx(np.std([0.02, 0.01, 0.03]))


def test_a_bright_sound_has_its_spectrum_higher() -> None:
    dark, bright = (
        numbers_of(harmonics(200.0, falling=2.0)),
        numbers_of(harmonics(200.0, falling=0.0)),
    )
    for name in ("centroid_hz_mean", "rolloff_90_hz_mean", "slope_500_to_1500_hz_mean"):
        assert bright[name] > dark[name]
    for name in ("alpha_ratio_db_mean", "hammarberg_db_mean"):
        assert bright[name] < dark[name]
