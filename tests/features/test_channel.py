"""Channels: what a line, a codec, a room and noise leave of a recording, by its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.features import AUGMENTATIONS, channel, feature_set, parse_chain
from benchmark.features.extract import features_of

RATE_HZ = 16_000
CHANNELS = [name for name, one in AUGMENTATIONS.items() if one.of_recording]


def tone(pitch_hz: float, rate_hz: int = RATE_HZ, seconds: float = 1.0) -> np.ndarray:
    """Return a tone at a fifth of full scale, float32."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    return (0.2 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32)


def noise(seconds: float = 1.0) -> np.ndarray:
    """Return white noise, float32."""
    length = int(seconds * RATE_HZ)
    return (0.1 * np.random.default_rng(0).standard_normal(length)).astype(np.float32)


def changed(text: str, samples: np.ndarray, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return samples as a chain leaves them."""
    chain = parse_chain(text)
    return chain.apply(samples, rate_hz, chain.seed(0, "toy/1"))


def level_db(samples: np.ndarray) -> float:
    """Return the mean power in dB."""
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("length", [1, 10, 500, 20_000])
@pytest.mark.parametrize("rate_hz", [4_000, 16_000, 22_050, 48_000])
def test_a_recording_keeps_its_length(name: str, length: int, rate_hz: int) -> None:
    samples = np.resize(noise(), length)
    heard = changed(name, samples, rate_hz)
    assert heard.shape == samples.shape
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()


@pytest.mark.parametrize("name", ["gsm", "opus", "mp3"])
def test_a_codec_delays_nothing(name: str) -> None:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    swept = (0.2 * np.sin(2 * np.pi * (300 + 900 * time_s) * time_s)).astype(np.float32)
    spectra = [np.fft.rfft(one, 2 * RATE_HZ) for one in (changed(name, swept), swept)]
    alike = np.fft.irfft(spectra[0] * np.conj(spectra[1]))
    assert int(np.argmax(alike)) == 0


@pytest.mark.parametrize(("pitch_hz", "lost_db"), [(80, 40), (6000, 50)])
def test_a_telephone_carries_nothing_outside_its_band(pitch_hz: float, lost_db: float) -> None:
    assert level_db(changed("telephone", tone(pitch_hz))) < level_db(tone(pitch_hz)) - lost_db


@pytest.mark.parametrize("pitch_hz", [500, 1000, 2500])
def test_a_telephone_carries_its_band(pitch_hz: float) -> None:
    heard = changed("telephone", tone(pitch_hz))
    assert level_db(heard) == pytest.approx(level_db(tone(pitch_hz)), abs=0.5)


@pytest.mark.parametrize("name", ["gsm", "telephone"])
def test_nothing_above_4_khz_is_left_of_a_narrow_band(name: str) -> None:
    spectrum = np.abs(np.fft.rfft(changed(name, noise())))
    high = np.fft.rfftfreq(RATE_HZ, 1 / RATE_HZ) > 4_100
    assert spectrum[high].max() < 0.01 * spectrum.max()


@pytest.mark.parametrize(("low", "high"), [("opus=8", "opus=64"), ("mp3=16", "mp3=96")])
def test_a_lower_rate_leaves_less(low: str, high: str) -> None:
    losses = [level_db(changed(text, noise()) - noise()) for text in (low, high)]
    assert losses[0] > losses[1] + 3


@pytest.mark.parametrize("name", ["telephone", "gsm", "opus", "mp3"])
def test_codecs_cut_off_what_is_above_full_scale(name: str) -> None:
    assert np.abs(changed(name, 20 * tone(1000))).max() < 2


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 0.0, -5.0])
def test_noise_has_its_ratio_to_the_recording(snr_db: float) -> None:
    samples = tone(300)
    added = changed(f"snr={snr_db}", samples) - samples
    assert level_db(samples) - level_db(added) == pytest.approx(snr_db, abs=0.1)


def test_a_room_goes_on_after_a_click_and_decays_by_60_db() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[0] = 1.0
    heard = changed("reverberation=0.5", click)
    direct, tail = np.square(heard[0]), np.square(heard[1:])
    assert tail.sum() == pytest.approx(direct, rel=1e-3)
    early, late = tail[: RATE_HZ // 20].mean(), tail[9 * RATE_HZ // 20 : RATE_HZ // 2].mean()
    assert 10 * np.log10(early / late) == pytest.approx(54, abs=3)
    assert np.abs(heard[RATE_HZ // 2 + 1 :]).max() < 1e-6


def test_rooms_and_noises_differ_between_clips() -> None:
    for text in ("reverberation", "snr"):
        chain = parse_chain(text)
        one, other = (
            chain.apply(noise(), RATE_HZ, chain.seed(0, clip)) for clip in ("toy/1", "toy/2")
        )
        assert not np.array_equal(one, other)


def test_clipping_cuts_off_peaks_and_leaves_the_rest() -> None:
    samples = tone(300)
    heard = changed("clipping=0.25", samples)
    limit = 0.25 * np.abs(samples).max()
    assert np.abs(heard).max() == pytest.approx(limit)
    soft = np.abs(samples) < limit
    np.testing.assert_array_equal(heard[soft], samples[soft])


@pytest.mark.parametrize("change_db", [-20.0, 6.0])
def test_a_level_changes_by_its_decibels(change_db: float) -> None:
    heard = changed(f"level={change_db}", tone(300))
    assert level_db(heard) - level_db(tone(300)) == pytest.approx(change_db, abs=1e-4)


@pytest.mark.parametrize(
    ("chain", "first"),
    [("telephone", True), ("stretch+snr", True), ("stretch", False), ("noise+trim", False)],
)
def test_what_happens_to_a_recording_comes_before_it_is_trimmed(chain: str, first: bool) -> None:
    assert parse_chain(chain).of_recording is first


def test_the_silent_ends_of_a_recording_are_filled_by_noise_and_not_trimmed() -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    samples = np.concatenate([silence, tone(300), silence])
    functionals = feature_set("functionals")
    chain = parse_chain("snr=0")
    seed = chain.seed(0, "toy/1")
    noisy = chain.apply(samples, RATE_HZ, seed)
    np.testing.assert_array_equal(
        features_of(samples, functionals, chain, seed), features_of(noisy, functionals)
    )


@pytest.mark.parametrize("codec", [channel.MU_LAW, channel.GSM, channel.OPUS, channel.MP3])
def test_a_codec_knows_whether_it_is_available(codec: channel.Codec) -> None:
    assert codec.available
    assert not codec._replace(subtype="NONE").available
    assert not codec._replace(container="NONE").available
