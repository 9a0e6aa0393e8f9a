"""Courses: where a contour runs to over a clip stands under its name, whatever the level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dct
from scipy.signal import lfilter
from scipy.stats import kurtosis, skew

from benchmark.features import FEATURE_SETS, feature_set, formants, functionals, names
from benchmark.features import dynamics as courses
from tests.support.sounds import FUNCTIONALS_RATE_HZ, harmonics, noise, seconds

COURSES = FEATURE_SETS["courses"]


def told(samples: np.ndarray) -> dict[str, float]:
    """Return a clip's numbers by their names."""
    row = COURSES.compute(samples, FUNCTIONALS_RATE_HZ)
    return dict(zip(COURSES.columns, row.tolist(), strict=True))


@pytest.fixture(scope="module")
def contours() -> functionals.Contours:
    """Return the contours of a tone between two noises."""
    samples = np.concatenate(
        [noise(0.4), harmonics(150.0 + 40.0 * seconds(1.0)), 0.1 * noise(0.3, 1)]
    )
    return functionals.contours_of(samples, FUNCTIONALS_RATE_HZ)


@pytest.mark.parametrize("factor", [2.0**-7, 0.5, 4.0])  # which round nothing
def test_another_level_changes_nothing(factor: float) -> None:
    samples = np.concatenate([harmonics(150.0), noise(0.3), harmonics(220.0)])
    first, second = (
        COURSES.compute(np.float32(gain) * samples, FUNCTIONALS_RATE_HZ) for gain in (1.0, factor)
    )
    assert second.tobytes() == first.tobytes()


def test_a_clip_measures_the_same_whatever_was_measured_before() -> None:
    clip, other = harmonics(150.0) + noise(), harmonics(300.0, 2.0)
    first = COURSES.compute(clip, FUNCTIONALS_RATE_HZ)
    COURSES.compute(other, FUNCTIONALS_RATE_HZ)
    assert COURSES.compute(clip, FUNCTIONALS_RATE_HZ).tobytes() == first.tobytes()


@pytest.mark.parametrize("n_samples", [1, 100, 500, 1500])
@pytest.mark.parametrize("sound", [noise(), harmonics(150.0), np.zeros(1500, np.float32)])
def test_a_clip_of_fewer_frames_than_parts_has_finite_numbers(
    sound: np.ndarray, n_samples: int
) -> None:
    assert np.isfinite(COURSES.compute(sound[:n_samples], FUNCTIONALS_RATE_HZ)).all()


def test_contours_are_computed_once_for_all_who_ask_for_those_of_the_same_samples() -> None:
    samples = harmonics(150.0)
    first = functionals.contours_of(samples, FUNCTIONALS_RATE_HZ)
    assert functionals.contours_of(samples.copy(), FUNCTIONALS_RATE_HZ) is first
    samples[0] += 0.1
    changed = functionals.contours_of(samples, FUNCTIONALS_RATE_HZ)
    assert changed is not first
    assert functionals.contours_of(samples, 2 * FUNCTIONALS_RATE_HZ) is not changed


def test_courses_stand_behind_the_functionals_of_the_same_clip() -> None:
    samples = harmonics(150.0) + noise()
    joined = feature_set("functionals+courses")
    parts = [
        FEATURE_SETS[name].compute(samples, FUNCTIONALS_RATE_HZ)
        for name in ("functionals", "courses")
    ]
    np.testing.assert_array_equal(
        joined.compute(samples, FUNCTIONALS_RATE_HZ), np.concatenate(parts)
    )


@pytest.mark.parametrize(("direction", "rising"), [(1, 1.0), (-1, 0.0)])
def test_the_melody_is_told_by_its_steps_and_ends(direction: int, rising: float) -> None:
    numbers = told(harmonics(200.0 * 2.0 ** (direction * seconds(1.0) / 2)))
    assert numbers["pitch_rising_share"] == pytest.approx(rising, abs=0.05)
    assert numbers["pitch_range"] == pytest.approx(6.0, abs=0.3)
    assert numbers["pitch_end"] == pytest.approx(direction * 2.8, abs=0.3)
    assert numbers["pitch_start"] == pytest.approx(direction * -2.8, abs=0.3)
    assert numbers["pitch_rise"] - numbers["pitch_fall"] == pytest.approx(0.06, abs=0.01)
    assert numbers["pitch_step_q25"] == pytest.approx(direction * 0.06, abs=0.01)


@pytest.mark.parametrize("at_hz", [(700.0, 1200.0, 2500.0), (300.0, 2200.0, 3000.0)])
def test_the_formants_of_a_vowel_are_found(at_hz: tuple[float, ...]) -> None:
    vowel = np.zeros(FUNCTIONALS_RATE_HZ)
    vowel[::133] = 1.0  # 120 Hz
    for frequency in (*at_hz, 3500.0, 4500.0):
        radius = np.exp(-np.pi * 80.0 / FUNCTIONALS_RATE_HZ)
        angle = 2.0 * np.pi * frequency / FUNCTIONALS_RATE_HZ
        vowel = lfilter([1.0], [1.0, -2.0 * radius * np.cos(angle), radius**2], vowel)
    numbers = told((0.01 * lfilter([1.0], [1.0, -0.95], vowel)).astype(np.float32))
    found = [numbers[f"voiced_formant_{number}_at_hz_q50"] for number in (1, 2, 3)]
    assert found == pytest.approx(at_hz, rel=0.06)


def test_where_no_formant_is_there_stand_those_of_a_plain_tube() -> None:
    bins = np.arange(1025)
    without = 1.0 + formants.EMPHASIS**2 - 2.0 * formants.EMPHASIS * np.cos(np.pi * bins / 1024)
    flat = (1.0 / without).astype(np.float32)[np.newaxis]
    plain = [*formants.NEUTRAL_HZ, *[formants.WIDEST_HZ] * formants.COUNT]
    np.testing.assert_allclose(formants.formants(flat, FUNCTIONALS_RATE_HZ), [plain])


def test_contours_over_parts_stand_where_their_names_say() -> None:
    numbers = told(np.concatenate([harmonics(150.0, 1.0), 0.02 * noise(1.0)]))
    voiced = [numbers[f"part_{part}_of_10_voiced"] for part in range(1, 11)]
    assert voiced == pytest.approx([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], abs=0.15)
    level = [numbers[f"part_{part}_of_6_level_db"] for part in range(1, 7)]
    assert min(level[:3]) > max(level[3:]) + 20.0
    low, high = (numbers[f"part_1_of_3_log_mel_{band}"] for band in ("03", "40"))
    assert low > high + 10.0
    pitch = [numbers[f"part_{part}_of_6_pitch_semitones"] for part in (1, 2, 3)]
    assert pitch == pytest.approx([12.0 * np.log2(150.0 / 55.0)] * 3, abs=0.1)


def test_cosines_are_those_of_the_dct(contours: functionals.Contours) -> None:
    expected = dct(contours.mel_db, axis=0)[1:6] / len(contours.mel_db)
    computed = courses._cosines(contours.mel_db, 5).reshape(5, -1)
    np.testing.assert_allclose(computed, expected, atol=1e-9)


def test_a_rising_level_has_its_first_cosine_below_zero() -> None:
    swell = np.linspace(0.1, 1.0, len(seconds(1.0)))
    numbers = told((swell * harmonics(150.0)).astype(np.float32))
    assert numbers["level_db_cosine_1"] < -5.0
    assert numbers["voiced_level_db_trend"] > 10.0
    assert numbers["part_3_of_3_level_db"] > numbers["part_1_of_3_level_db"] + 5.0


@pytest.mark.parametrize(("rate_hz", "band"), [(2.5, "2_to_3"), (7.0, "6_to_8")])
def test_the_rate_at_which_level_and_pitch_move_is_told(rate_hz: float, band: str) -> None:
    wave = np.sin(2 * np.pi * rate_hz * seconds(4.0))
    numbers = told(
        ((1.0 + 0.3 * wave) * harmonics(150.0 * 2.0 ** (wave / 6.0), 4.0)).astype(np.float32)
    )
    level = {name: value for name, value in numbers.items() if name.startswith("level_modulated")}
    assert max(level, key=level.get) == f"level_modulated_{band}_hz"
    slow, fast = (numbers[f"pitch_modulated_{hz}_hz"] for hz in ("2_to_4", "4_to_8"))
    assert (slow > fast) == (rate_hz < 4.0)


def test_skewness_and_kurtosis_are_those_of_scipy(contours: functionals.Contours) -> None:
    values = contours.everywhere
    computed = courses._moments(values).reshape(2, -1)
    np.testing.assert_allclose(computed[0], skew(values))
    np.testing.assert_allclose(computed[1], np.minimum(kurtosis(values, fisher=False), 20.0))


def test_what_stands_still_has_no_moments() -> None:
    np.testing.assert_array_equal(courses._moments(np.full((9, 2), 3.0)), np.zeros(4))


def test_loud_frames_count_more_where_amplitude_weighs() -> None:
    numbers = told(np.concatenate([harmonics(150.0, 0.5), 0.01 * noise(1.5)]))
    plain = np.mean([numbers[f"part_{part}_of_3_level_db"] for part in (1, 2, 3)])
    assert plain + 10.0 < numbers["weighted_level_db_mean"] <= numbers["loudest_level_db_mean"]
    assert numbers["loudest_periodicity_mean"] > 0.95
    assert numbers["weighted_level_db_std"] > 1.0


def test_amplitude_weighs_mean_and_spread_as_in_numpy(contours: functionals.Contours) -> None:
    amplitude = 10.0 ** (contours.level_db / 20.0)
    mean = np.average(contours.everywhere, axis=0, weights=amplitude)
    variance = np.average(np.square(contours.everywhere - mean), axis=0, weights=amplitude)
    np.testing.assert_allclose(
        courses._weighted(contours), [*mean, *np.sqrt(variance)], rtol=1e-6, atol=1e-9
    )


def test_changes_from_frame_to_frame_are_told_by_spread_rise_and_size(
    contours: functionals.Contours,
) -> None:
    level_db, voiced = contours.level_db, contours.voiced
    steps = np.append(0.0, level_db[1:] - level_db[:-1])
    inside = np.abs(steps[1:][voiced[1:] & voiced[:-1]])
    trend, _ = np.polyfit(np.linspace(0.0, 1.0, voiced.sum()), level_db[voiced], 1)
    computed = courses._changes(contours).reshape(4, -1)[:, 0]
    expected = [steps.std(), steps[steps > 0].sum() / len(steps), inside.mean(), trend]
    np.testing.assert_allclose(computed, expected)


def test_the_long_term_spectrum_is_that_of_the_sound() -> None:
    shares_db = [told(harmonics(1000.0))[name] for name in COURSES.columns[-names.MEL_BANDS :]]
    assert COURSES.columns[-1] == "mel_40_of_mean_db"
    bands = np.argsort(
        functionals.contours_of(harmonics(1000.0), FUNCTIONALS_RATE_HZ).mel.mean(axis=0)
    )
    assert np.argmax(shares_db) == bands[-1]
    assert np.mean(10.0 ** (np.array(shares_db) / 10.0)) == pytest.approx(1.0)
