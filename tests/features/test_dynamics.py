"""Dynamics: numbers measure how contours run over a clip, at every level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dct
from scipy.signal import lfilter
from scipy.stats import kurtosis, skew

from benchmark.features import FEATURE_SETS, dynamics, feature_set, formants
from benchmark.features.contours import N_MEL_BANDS, Contours, contours_of
from tests.support.sounds import FUNCTIONALS_RATE_HZ as RATE_HZ
from tests.support.sounds import harmonics, noise, seconds

DYNAMICS = FEATURE_SETS["dynamics"]


def numbers_of(samples: np.ndarray) -> dict[str, float]:
    """Return the dynamics of a clip by their names."""
    row = DYNAMICS.compute(samples, RATE_HZ)
    return dict(zip(DYNAMICS.columns, row.tolist(), strict=True))


@pytest.fixture(scope="module")
def contours() -> Contours:
    """Return the contours of a tone between two noises."""
    samples = np.concatenate(
        [noise(0.4), harmonics(150.0 + 40.0 * seconds(1.0)), 0.1 * noise(0.3, 1)]
    )
    return contours_of(samples, RATE_HZ)


@pytest.mark.parametrize("factor", [2.0**-7, 0.5, 4.0])  # which round nothing
def test_another_level_changes_nothing(factor: float) -> None:
    samples = np.concatenate([harmonics(150.0), noise(0.3), harmonics(220.0)])
    first, second = (
        DYNAMICS.compute(np.float32(gain) * samples, RATE_HZ) for gain in (1.0, factor)
    )
    assert second.tobytes() == first.tobytes()


def test_features_do_not_depend_on_earlier_clips() -> None:
    clip, other = harmonics(150.0) + noise(), harmonics(300.0, 2.0)
    first = DYNAMICS.compute(clip, RATE_HZ)
    DYNAMICS.compute(other, RATE_HZ)
    assert DYNAMICS.compute(clip, RATE_HZ).tobytes() == first.tobytes()


@pytest.mark.parametrize("n_samples", [1, 100, 500, 1500])
@pytest.mark.parametrize("sound", [noise(), harmonics(150.0), np.zeros(1500, np.float32)])
def test_a_clip_of_fewer_frames_than_parts_has_finite_numbers(
    sound: np.ndarray, n_samples: int
) -> None:
    assert np.isfinite(DYNAMICS.compute(sound[:n_samples], RATE_HZ)).all()


def test_contours_of_the_same_samples_are_computed_once() -> None:
    samples = harmonics(150.0)
    first = contours_of(samples, RATE_HZ)
    assert contours_of(samples.copy(), RATE_HZ) is first
    samples[0] += 0.1
    changed = contours_of(samples, RATE_HZ)
    assert changed is not first
    assert contours_of(samples, 2 * RATE_HZ) is not changed


def test_dynamics_are_joined_behind_the_functionals_of_the_same_clip() -> None:
    samples = harmonics(150.0) + noise()
    joined = feature_set("functionals+dynamics")
    parts = [FEATURE_SETS[name].compute(samples, RATE_HZ) for name in ("functionals", "dynamics")]
    np.testing.assert_array_equal(joined.compute(samples, RATE_HZ), np.concatenate(parts))


@pytest.mark.parametrize(("direction", "rising"), [(1, 1.0), (-1, 0.0)])
def test_the_melody_is_measured_by_its_steps_and_ends(direction: int, rising: float) -> None:
    numbers = numbers_of(harmonics(200.0 * 2.0 ** (direction * seconds(1.0) / 2)))
    assert numbers["pitch_rising_fraction"] == pytest.approx(rising, abs=0.05)
    assert numbers["pitch_range"] == pytest.approx(6.0, abs=0.3)
    assert numbers["pitch_end"] == pytest.approx(direction * 2.8, abs=0.3)
    assert numbers["pitch_start"] == pytest.approx(direction * -2.8, abs=0.3)
    assert numbers["pitch_rise"] - numbers["pitch_fall"] == pytest.approx(0.06, abs=0.01)
    assert numbers["pitch_step_q25"] == pytest.approx(direction * 0.06, abs=0.01)


@pytest.mark.parametrize("at_hz", [(700.0, 1200.0, 2500.0), (300.0, 2200.0, 3000.0)])
def test_the_formants_of_a_vowel_are_found(at_hz: tuple[float, ...]) -> None:
    vowel = np.zeros(RATE_HZ)
    vowel[::133] = 1.0  # 120 Hz
    for frequency in (*at_hz, 3500.0, 4500.0):
        radius = np.exp(-np.pi * 80.0 / RATE_HZ)
        angle = 2.0 * np.pi * frequency / RATE_HZ
        vowel = lfilter([1.0], [1.0, -2.0 * radius * np.cos(angle), radius**2], vowel)
    numbers = numbers_of((0.01 * lfilter([1.0], [1.0, -0.95], vowel)).astype(np.float32))
    found = [numbers[f"voiced_formant_{number}_at_hz_q50"] for number in (1, 2, 3)]
    assert found == pytest.approx(at_hz, rel=0.06)


def test_without_formants_those_of_a_neutral_tube_are_returned() -> None:
    bins = np.arange(1025)
    without = 1.0 + formants.EMPHASIS**2 - 2.0 * formants.EMPHASIS * np.cos(np.pi * bins / 1024)
    flat = (1.0 / without).astype(np.float32)[np.newaxis]
    plain = [*formants.NEUTRAL_HZ, *[formants.WIDEST_HZ] * formants.COUNT]
    np.testing.assert_allclose(formants.formants(flat, RATE_HZ), [plain])


def test_means_over_parts_have_the_names_of_their_parts() -> None:
    numbers = numbers_of(np.concatenate([harmonics(150.0, 1.0), 0.02 * noise(1.0)]))
    voiced = [numbers[f"part_{part}_of_10_voiced"] for part in range(1, 11)]
    assert voiced == pytest.approx([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], abs=0.15)
    level = [numbers[f"part_{part}_of_6_level_db"] for part in range(1, 7)]
    assert min(level[:3]) > max(level[3:]) + 20.0
    low, high = (numbers[f"part_1_of_3_log_mel_{band}"] for band in ("03", "40"))
    assert low > high + 10.0
    pitch = [numbers[f"part_{part}_of_6_pitch_semitones"] for part in (1, 2, 3)]
    assert pitch == pytest.approx([12.0 * np.log2(150.0 / 55.0)] * 3, abs=0.1)


def test_cosines_are_those_of_the_dct(contours: Contours) -> None:
    expected = dct(contours.mel_db, axis=0)[1:6] / len(contours.mel_db)
    computed = dynamics._cosines(contours.mel_db, 5).reshape(5, -1)
    np.testing.assert_allclose(computed, expected, atol=1e-9)


def test_a_rising_level_has_its_first_cosine_below_zero() -> None:
    swell = np.linspace(0.1, 1.0, len(seconds(1.0)))
    numbers = numbers_of((swell * harmonics(150.0)).astype(np.float32))
    assert numbers["level_db_cosine_1"] < -5.0
    assert numbers["voiced_level_db_trend"] > 10.0
    assert numbers["part_3_of_3_level_db"] > numbers["part_1_of_3_level_db"] + 5.0


@pytest.mark.parametrize(("rate_hz", "band"), [(2.5, "2_to_3"), (7.0, "6_to_8")])
def test_modulation_peaks_at_the_rate_of_level_and_pitch(rate_hz: float, band: str) -> None:
    wave = np.sin(2 * np.pi * rate_hz * seconds(4.0))
    numbers = numbers_of(
        ((1.0 + 0.3 * wave) * harmonics(150.0 * 2.0 ** (wave / 6.0), 4.0)).astype(np.float32)
    )
    level = {name: value for name, value in numbers.items() if name.startswith("level_modulated")}
    assert max(level, key=level.get) == f"level_modulated_{band}_hz"
    slow, fast = (numbers[f"pitch_modulated_{hz}_hz"] for hz in ("2_to_4", "4_to_8"))
    assert (slow > fast) == (rate_hz < 4.0)


def test_skewness_and_kurtosis_are_those_of_scipy(contours: Contours) -> None:
    values = contours.everywhere
    computed = dynamics._moments(values).reshape(2, -1)
    np.testing.assert_allclose(computed[0], skew(values))
    np.testing.assert_allclose(computed[1], np.minimum(kurtosis(values, fisher=False), 20.0))


def test_a_constant_column_has_no_moments() -> None:
    np.testing.assert_array_equal(dynamics._moments(np.full((9, 2), 3.0)), np.zeros(4))


def test_loud_frames_count_more_where_amplitude_weighs() -> None:
    numbers = numbers_of(np.concatenate([harmonics(150.0, 0.5), 0.01 * noise(1.5)]))
    plain = np.mean([numbers[f"part_{part}_of_3_level_db"] for part in (1, 2, 3)])
    assert plain + 10.0 < numbers["weighted_level_db_mean"] <= numbers["loudest_level_db_mean"]
    assert numbers["loudest_periodicity_mean"] > 0.95
    assert numbers["weighted_level_db_std"] > 1.0


def test_weighted_mean_and_std_are_those_of_numpy(contours: Contours) -> None:
    amplitude = 10.0 ** (contours.level_db / 20.0)
    mean = np.average(contours.everywhere, axis=0, weights=amplitude)
    variance = np.average(np.square(contours.everywhere - mean), axis=0, weights=amplitude)
    np.testing.assert_allclose(
        dynamics._weighted(contours), [*mean, *np.sqrt(variance)], rtol=1e-6, atol=1e-9
    )


def test_changes_from_frame_to_frame_have_std_rise_size_and_trend(
    contours: Contours,
) -> None:
    level_db, voiced = contours.level_db, contours.voiced
    steps = np.append(0.0, level_db[1:] - level_db[:-1])
    inside = np.abs(steps[1:][voiced[1:] & voiced[:-1]])
    trend, _ = np.polyfit(np.linspace(0.0, 1.0, voiced.sum()), level_db[voiced], 1)
    computed = dynamics._changes(contours).reshape(4, -1)[:, 0]
    expected = [steps.std(), steps[steps > 0].sum() / len(steps), inside.mean(), trend]
    np.testing.assert_allclose(computed, expected)


def test_the_long_term_spectrum_is_that_of_the_sound() -> None:
    relative_db = [numbers_of(harmonics(1000.0))[name] for name in DYNAMICS.columns[-N_MEL_BANDS:]]
    assert DYNAMICS.columns[-1] == "mel_40_of_mean_db"
    bands = np.argsort(contours_of(harmonics(1000.0), RATE_HZ).mel.mean(axis=0))
    assert np.argmax(relative_db) == bands[-1]
    assert np.mean(10.0 ** (np.array(relative_db) / 10.0)) == pytest.approx(1.0)
