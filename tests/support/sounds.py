"""Generated sounds: voices, tones and noise, and clips of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile

from benchmark.corpora.clip import Clip
from benchmark.features import spectral

RATE_HZ = 22_050
FUNCTIONALS_RATE_HZ = 16_000
COUNT = 30


def voice(pitch_hz: float, seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return a buzzing, breathing, slowly swelling tone between two silences, float32."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    glide_hz = pitch_hz * (1.0 + 0.1 * np.sin(5.0 * time_s))
    phase = 2.0 * np.pi * np.cumsum(glide_hz) / RATE_HZ
    tone = sum(np.sin(number * phase) / number for number in range(1, 20))
    swell = np.sin(np.pi * time_s / seconds) ** 2
    sound = swell * (0.2 * tone + 0.02 * rng.standard_normal(len(time_s)))
    silence = np.zeros(3000)
    return np.concatenate([silence, sound, silence]).astype(np.float32)


EXTREMES = {
    "one frame": voice(150.0)[9000 : 9000 + spectral.FRAME_LENGTH],
    "one frame of noise": np.random.default_rng(0).standard_normal(2048).astype(np.float32),
    "long": np.tile(voice(210.0), 12),
    "almost silent": np.float32(1e-4) * voice(210.0),
    "nothing at all": np.zeros(30_000, dtype=np.float32),
    "one click": np.eye(1, 30_000, 20_000, dtype=np.float32)[0],
    "a constant": np.full(30_000, 0.5, dtype=np.float32),
}


def swelling_tone(pitch_hz: float, seconds: float = 0.5) -> np.ndarray:
    """Return a buzzing tone that swells and fades, int16."""
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = sum(np.sin(2.0 * np.pi * pitch_hz * number * time_s) / number for number in range(1, 9))
    return np.int16(8_000 * np.sin(np.pi * time_s / seconds) ** 2 * tone)


def make_clips(folder: Path, count: int = COUNT) -> list[Clip]:
    """Write recordings of different pitch and return their clips."""
    folder.mkdir()
    clips = []
    for number in range(count):
        path = folder / f"{number:02d}.wav"
        soundfile.write(path, swelling_tone(100.0 + 10.0 * number), RATE_HZ)
        clips.append(Clip("toy", path.stem, path, "toy/1", "female", "happy"))
    return clips


def sine(
    seconds: float, pitch_hz: float = 220.0, rate_hz: int = RATE_HZ, noise: float = 0.0
) -> np.ndarray:
    """Return a sine with some noise, as the clips of the small study are, float64."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    added = np.random.default_rng(0).normal(0, noise, len(time_s))
    return 0.2 * (np.sin(2 * np.pi * pitch_hz * time_s) + added)


def audio_file(
    samples: np.ndarray,
    rate_hz: int = RATE_HZ,
    file_format: str = "WAV",
    subtype: str | None = None,
) -> bytes:
    """Return samples as the content of an audio file."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate_hz, format=file_format, subtype=subtype)
    return content.getvalue()


def seconds(duration_s: float) -> np.ndarray:
    """Return the times of samples at 16 kHz, in seconds."""
    return np.arange(round(duration_s * FUNCTIONALS_RATE_HZ)) / FUNCTIONALS_RATE_HZ


def harmonics(
    f0_hz: float | np.ndarray, duration_s: float = 1.0, falling: float = 1.0
) -> np.ndarray:
    """Return a tone at 16 kHz whose n-th harmonic has amplitude n ** -falling, float32."""
    phase = (
        2.0
        * np.pi
        * np.cumsum(np.broadcast_to(f0_hz, len(seconds(duration_s))))
        / FUNCTIONALS_RATE_HZ
    )
    numbers = range(1, int(6000 / np.max(f0_hz)))
    sound = sum(np.sin(n * phase) / n**falling for n in numbers)
    return (0.1 * sound).astype(np.float32)


def noise(duration_s: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return white noise at 16 kHz, float32."""
    samples = np.random.default_rng(seed).standard_normal(len(seconds(duration_s)))
    return (0.05 * samples).astype(np.float32)
