"""The corpus `synthetic`: synthetic speech with seven emotions, for first steps and tests.

Emotions shift level and range of pitch, tempo, energy, spectral tilt, jitter, shimmer and breath in
the directions that Juslin & Laukka 2003 ("Communication of emotions in vocal expression and music
performance") and Banse & Scherer 1996 ("Acoustic profiles in vocal emotion expression") report; the
amounts are ours, so that the emotions overlap. Figures from it do not hold for humans.
"""

from __future__ import annotations

import hashlib
import io
import wave
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.engine.files import write_bytes
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import numpy as np

SAMPLE_RATE_HZ = 22_050
SPEAKERS = tuple(f"spk{number:02d}" for number in range(1, 13))  # odd: female, even: male
REPETITIONS = (1, 2)
STATEMENTS = {"s1": "aieoa", "s2": "eauri", "s3": "oieau"}
"""Spoken vowels, one for each syllable."""


class Manner(NamedTuple):
    """Manner of speaking, as differences from the speaker's neutral voice."""

    pitch: float  # semitones
    pitch_range: float  # octaves by which the melody is wider
    tempo: float  # octaves by which syllables are faster
    energy: float  # dB
    tilt: float  # dB per octave above 500 Hz: positive is sharper
    jitter: float  # octaves of more pulse-to-pulse variation of pitch
    shimmer: float  # octaves of more pulse-to-pulse variation of amplitude
    breath: float  # dB of breath noise
    rise: float  # semitones from the first syllable to the last
    formants: float  # octaves; a smile raises them (Tartter 1980)


MANNERS = {
    "angry": Manner(4.0, 0.5, 0.20, 9.0, 4.0, 0.8, 0.6, -3.0, -1.0, 0.02),
    "disgust": Manner(-2.0, 0.1, -0.25, -1.0, 1.5, 1.0, 0.8, 3.0, -3.0, -0.07),
    "fearful": Manner(5.0, -0.5, 0.25, -2.0, 1.5, 1.2, 0.6, 6.0, 0.5, 0.02),
    "happy": Manner(4.0, 0.7, 0.10, 5.0, 2.0, 0.0, 0.0, 0.0, 1.0, 0.09),
    "neutral": Manner(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -3.0, -1.0, 0.0),
    "sad": Manner(-1.5, -0.7, -0.35, -7.0, -3.0, 0.3, 0.3, 4.0, -1.5, -0.03),
    "surprised": Manner(6.5, 0.9, 0.0, 3.0, 0.0, 0.3, 0.0, 3.0, 6.0, -0.02),
}


def official() -> Iterator[str]:
    """Yield the names of the clips."""
    for codes in product(SPEAKERS, MANNERS, STATEMENTS, REPETITIONS):
        yield "_".join(map(str, codes))


def _clip(name: str, home: Path) -> Clip:
    speaker, emotion, statement, _ = name.split("_")
    return Clip(
        corpus="synthetic",
        name=name,
        path=home / speaker / f"{name}.wav",
        speaker=f"synthetic/{speaker}",
        gender=gender_of(speaker),
        emotion=emotion,
        statement=statement,
    )


def gender_of(speaker: str) -> str:
    """Return the gender of a speaker."""
    return "male" if SPEAKERS.index(speaker) % 2 else "female"


def read(folder: Path) -> Recordings:
    """Return the recordings in a folder; missing or corrupt ones are generated first.

    They lie in a subfolder named by the digest of the source code, so that no version uses
    recordings of another version.

    Raises
    ------
    BenchmarkError
        If they can't be written.
    """
    from benchmark.corpora import synthetic_voice

    source = Path(__file__).read_bytes() + Path(synthetic_voice.__file__).read_bytes()
    home = folder / hashlib.sha256(source).hexdigest()[:12]
    clips = [_clip(name, home) for name in sorted(official())]

    def generate(clip: Clip) -> None:
        if not _is_whole(clip.path):
            clip.path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(clip.path, _with_checksum(wav(synthetic_voice.samples(clip))))

    try:
        with ThreadPoolExecutor() as threads:  # NumPy computes outside the interpreter's lock
            list(threads.map(generate, clips))
    except OSError as error:
        raise BenchmarkError(
            f"{home}: can't write the synthetic speech ({error.strerror}). "
            "Give a writable folder with --corpus synthetic=DIR."
        ) from error
    return Recordings(tuple(clips))


def wav(signal: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """Return samples between -1 and 1 as a 16-bit WAV file in memory."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((signal * 32767).round().astype("<i2").tobytes())
    return content.getvalue()


def _with_checksum(recording: bytes) -> bytes:
    """Return a RIFF file with a final chunk that holds its checksum; players ignore it."""
    size = int.from_bytes(recording[4:8], "little") + 12
    content = recording[:4] + size.to_bytes(4, "little") + recording[8:] + b"crc \x04\0\0\0"
    return content + zlib.crc32(content).to_bytes(4, "little")


def _is_whole(path: Path) -> bool:
    """Whether a recording exists and its checksum is correct."""
    if not path.exists():
        return False
    content = path.read_bytes()
    return content[-4:] == zlib.crc32(content[:-4]).to_bytes(4, "little")


SYNTHETIC = Corpus(
    name="synthetic",
    title="Synthetic speech",
    emotions=tuple(sorted(MANNERS)),
    licence="generated by this project's code, MIT",
    how_to_get="It is generated when it is first read.",
    official=official,
    read=read,
    generated=True,
    speech="generated",
)
