from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.corpora import locate, read_corpus
from benchmark.features.audio import UnusableError, decode
from benchmark.features.speech import ENOUGH_S, check_speech, voiced_s
from tests.support.sounds import FUNCTIONALS_RATE_HZ, harmonics, noise

RATE_HZ = FUNCTIONALS_RATE_HZ


@pytest.mark.parametrize("f0_hz", [75.0, 120.0, 220.0, 440.0])
def test_voiced_seconds_are_those_of_a_voice(f0_hz: float) -> None:
    silence = np.zeros(2 * RATE_HZ, dtype=np.float32)
    sound = np.concatenate([silence, harmonics(f0_hz, 1.0), silence])
    assert voiced_s(sound, RATE_HZ) == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("gain", [1e-3, 0.1, 10.0])
def test_the_level_of_a_recording_does_not_matter(gain: float) -> None:
    sound = harmonics(150.0) + noise()
    assert voiced_s(np.float32(gain) * sound, RATE_HZ) == voiced_s(sound, RATE_HZ)


def test_a_voice_in_noise_is_found_and_noise_alone_is_not() -> None:
    assert voiced_s(harmonics(150.0) + 2.0 * noise(), RATE_HZ) > 0.8
    assert voiced_s(noise(3.0), RATE_HZ) <= 0.04


@pytest.mark.parametrize(("found_s", "duration_s"), [(0.4, 60.0), (0.3, 1.0), (0.1, 0.2)])
def test_enough_speech_is_a_quarter_of_a_short_recording(found_s: float, duration_s: float) -> None:
    check_speech(found_s, duration_s)
    with pytest.raises(UnusableError, match="too little speech") as refused:
        check_speech(0.6 * found_s, duration_s)
    assert refused.value.fault == "too-little-speech"


@pytest.mark.recordings
@pytest.mark.parametrize("name", ["ravdess", "tess", "savee", "jl"])
def test_real_clips_have_about_twice_as_much_as_is_needed(name: str, recordings: Path) -> None:
    clips = read_corpus(name, locate(name, root=recordings, given={}, cache=recordings)).clips
    found = [
        voiced_s(decode(clip.path.read_bytes(), 22_050).samples, 22_050) for clip in clips[::20]
    ]
    assert min(found) > 1.9 * ENOUGH_S
