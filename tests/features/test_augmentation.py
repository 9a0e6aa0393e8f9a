"""Augmentation: seeded, repeatable alone, named as in study files, and like librosa's."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.features import AUGMENTATIONS, parse_chain

RATE_HZ = 22_050


def clip(seconds: float = 0.8) -> np.ndarray:
    """Return a tone with overtones that swells and fades between silent ends, float32."""
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = sum(np.sin(2.0 * np.pi * 190.0 * number * time_s) / number for number in range(1, 12))
    sound = 0.2 * np.sin(np.pi * time_s / seconds) ** 2 * tone
    return np.concatenate([np.zeros(4000), sound, np.zeros(4000)]).astype(np.float32)


def augmented(text: str, study_seed: int = 0, clip_id: str = "toy/1") -> np.ndarray:
    """Return the augmented copy of the clip under a chain."""
    chain = parse_chain(text)
    return chain.apply(clip(), RATE_HZ, chain.seed(study_seed, clip_id))


CHAINS = [*AUGMENTATIONS, "stretch+pitch", "noise+trim", "noise+noise", "stretch=0.9+pitch=-1"]


@pytest.mark.parametrize("text", CHAINS)
def test_an_augmented_copy_is_repeatable(text: str) -> None:
    first = augmented(text)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(augmented(text), first)


@pytest.mark.parametrize("text", CHAINS)
def test_the_clip_itself_is_left_as_it_was(text: str) -> None:
    samples = clip()
    parse_chain(text).apply(samples, RATE_HZ, b"seed")
    np.testing.assert_array_equal(samples, clip())


@pytest.mark.parametrize("text", CHAINS)
def test_an_augmented_copy_differs_from_its_clip(text: str) -> None:
    changed = augmented(text)
    assert len(changed) != len(clip()) or not np.array_equal(changed, clip())


def test_noise_differs_between_clips_seeds_and_chains() -> None:
    clips = [
        augmented("noise"),
        augmented("noise", 1),
        augmented("noise", 0, "toy/2"),
        augmented("noise=0.031"),
    ]
    noises = [samples - clip() for samples in clips]
    correlations = np.corrcoef(noises)[np.triu_indices(len(noises), 1)]
    assert np.abs(correlations).max() < 0.05


def test_noise_is_at_most_its_fraction_of_the_largest_sample() -> None:
    largest = np.abs(clip()).max()
    levels = [np.std(augmented("noise", seed) - clip()) / largest for seed in range(40)]
    assert max(levels) < 0.03 * 1.02
    assert 0.010 < np.mean(levels) < 0.020


@pytest.mark.parametrize("rate", [0.5, 0.75, 1.0, 1.3])
def test_stretching_equals_librosa_in_double_precision(rate: float) -> None:
    samples = clip()
    spectrum = librosa.stft(samples.astype(np.float64))
    stretched = librosa.phase_vocoder(spectrum, rate=rate)
    expected = librosa.istft(stretched, length=round(len(samples) / rate))
    changed = parse_chain(f"stretch={rate}").apply(samples, RATE_HZ, b"")
    assert len(changed) == len(expected)
    assert np.linalg.norm(changed - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("semitones", [-3.0, -0.5, 0.8, 5.0])
def test_pitch_shifting_equals_librosa(semitones: float) -> None:
    samples = clip()
    expected = librosa.effects.pitch_shift(
        samples.astype(np.float64), sr=RATE_HZ, n_steps=semitones
    )
    changed = parse_chain(f"pitch={semitones}").apply(samples, RATE_HZ, b"")
    assert len(changed) == len(samples)
    assert np.linalg.norm(changed - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("speed", [0.9, 1.1, 1.25])
def test_a_faster_clip_is_shorter_and_higher(speed: float) -> None:
    changed = augmented(f"speed={speed}")
    assert len(changed) == int(np.ceil(len(clip()) / speed))
    loudest_hz = [
        np.abs(np.fft.rfft(samples)).argmax() * RATE_HZ / len(samples)
        for samples in (clip(), changed)
    ]
    assert loudest_hz[1] / loudest_hz[0] == pytest.approx(speed, rel=0.01)


def test_trimming_equals_librosa() -> None:
    np.testing.assert_array_equal(augmented("trim=30"), librosa.effects.trim(clip(), top_db=30)[0])


def test_shifting_moves_the_clip_round_by_at_most_its_amount() -> None:
    places = [int(np.argmax(np.abs(augmented("shift=0.1", seed)))) for seed in range(40)]
    moved = np.array(places) - int(np.argmax(np.abs(clip())))
    assert len(set(moved.tolist())) > 30
    assert moved.min() < 0 < moved.max()
    assert np.abs(moved).max() <= 0.1 * RATE_HZ
    for seed, samples in enumerate(moved):
        np.testing.assert_array_equal(augmented("shift=0.1", seed), np.roll(clip(), samples))


def test_the_augmentations_of_the_prediction_apis_later_notebook_can_be_named() -> None:
    for text in ("noise=0.035", "pitch=0.7", "noise=0.035+pitch=0.7", "stretch=0.8", "shift"):
        assert len(parse_chain(text).steps) == text.count("+") + 1
    assert parse_chain("shift").steps == (("shift", 0.227),)


def test_a_chain_applies_its_steps_in_order() -> None:
    stretched = augmented("stretch")
    shifted = parse_chain("pitch").apply(stretched, RATE_HZ, b"")
    np.testing.assert_array_equal(augmented("stretch+pitch"), shifted)


def test_a_chain_has_one_text_however_it_is_written() -> None:
    assert parse_chain(" stretch + pitch = 0.80").text == parse_chain("stretch=0.75+pitch").text


def test_the_amounts_left_out_are_the_capstones() -> None:
    chain = parse_chain("noise+stretch+pitch+trim")
    assert chain.steps == (("noise", 0.03), ("stretch", 0.75), ("pitch", 0.8), ("trim", 60.0))


@pytest.mark.parametrize("augmentation", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_only_random_augmentations_have_a_seed(augmentation) -> None:
    assert bool(parse_chain(augmentation.name).seed(0, "toy/1")) == augmentation.random


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nois", "Did you mean 'noise'"),
        ("stretch+ptich", "Did you mean 'pitch'"),
        ("", "unknown augmentation"),
        ("noise+", "unknown augmentation"),
        ("stretch=fast", "'fast' is not an allowed amount of stretch. Allowed: 0.25 to 4"),
        ("stretch=0", "'0' is not an allowed amount of stretch"),
        ("pitch=nan", "'nan' is not an allowed amount of pitch"),
        ("pitch=inf", "'inf' is not an allowed amount of pitch"),
        ("noise=", "'' is not an allowed amount of noise"),
    ],
)
def test_a_wrong_chain_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match="augmentation") as refusal:
        parse_chain(text)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
