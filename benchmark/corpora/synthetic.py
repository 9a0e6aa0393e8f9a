"""The generated corpus: a source-filter voice with seven emotions, for first steps and tests.

A glottal pulse train (Rosenberg 1971, "Effect of glottal pulse shape on the quality of natural
vowels") with breath noise goes through formants that move from vowel to vowel (a cascade of
resonators: Klatt 1980, "Software for a cascade/parallel formant synthesizer"; the vowels: Peterson
& Barney 1952, "Control methods used in a study of the vowels"). Emotions shift level and range of
pitch, tempo, energy, spectral tilt, jitter, shimmer and breath in the directions that Juslin &
Laukka 2003 ("Communication of emotions in vocal expression and music performance") and Banse &
Scherer 1996 ("Acoustic profiles in vocal emotion expression") report; the amounts are ours, chosen
so that the emotions overlap. Every speaker has individual habits and no two clips are equal, so that
speaker-dependent scores exceed speaker-independent ones. Figures from it do not hold for humans.
"""

from __future__ import annotations

import hashlib
import io
import os
import wave
import zlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

SAMPLE_RATE_HZ = 22_050
SEED = 2003
SHORTEST_S, LONGEST_S = 1.0, 1.8  # of a clip
FRAME, HOP, FFT = 512, 256, 1024  # samples; a frame's filter rings into zeros behind it
LEVEL = 0.03  # root mean square of a neutral voice, in full-scale units

SPEAKERS = tuple(f"spk{number:02d}" for number in range(1, 13))  # odd: female, even: male
REPETITIONS = (1, 2)

VOWELS_HZ = {
    "i": (270, 2290, 3010),
    "e": (530, 1840, 2480),
    "a": (730, 1090, 2440),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
    "r": (490, 1350, 1690),
}
"""First three formants of a male voice (Peterson & Barney 1952)."""

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

HABIT = Manner(0.9, 0.2, 0.06, 1.4, 0.7, 0.3, 0.3, 1.4, 0.9, 0.017)
"""Standard deviation between speakers of the effect of an emotion."""

CHANCE = Manner(0.9, 0.3, 0.09, 1.6, 0.8, 0.5, 0.5, 1.6, 1.2, 0.019)
"""Standard deviation between clips of one speaker and emotion."""


class Voice(NamedTuple):
    """A speaker: constants of all their clips."""

    pitch_hz: float
    tract: float  # factor of the formant frequencies; a shorter vocal tract has higher ones
    rate: float  # syllables per second
    open_quotient: float  # fraction of a period in which the vocal folds are open
    tilt: float  # dB per octave above 500 Hz
    breath: float  # amplitude of the breath noise
    level: float  # dB
    room: float  # dB of the background noise, below full scale
    expression: float  # factor of the effect of emotions


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
        gender=_gender(speaker),
        emotion=emotion,
        statement=statement,
    )


def _gender(speaker: str) -> str:
    return "male" if SPEAKERS.index(speaker) % 2 else "female"


def read(folder: Path) -> Recordings:
    """Return the generated recordings in a folder; missing or corrupt ones are written first.

    They lie in a subfolder named by the digest of this module's source, so that no version of the
    module uses recordings of another version.

    Raises
    ------
    BenchmarkError
        If they can't be written.
    """
    home = folder / hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    clips = [_clip(name, home) for name in sorted(official())]
    try:
        for clip in clips:
            if not _is_whole(clip.path):
                _write(clip.path, samples(clip))
    except OSError as error:
        raise BenchmarkError(
            f"{home}: can't write the generated recordings ({error.strerror}). "
            "Give a writable folder with --corpus synthetic=DIR."
        ) from error
    return Recordings(tuple(clips))


def _write(path: Path, signal: Numbers) -> None:
    """Write samples as 16-bit WAV, atomically."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((signal * 32767).round().astype("<i2").tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(_with_checksum(content.getvalue()))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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


def samples(clip: Clip) -> Numbers:
    """Return the samples of a clip within -1..1, (n_samples,); its name is the seed."""
    import numpy as np

    voice = _voice(clip.speaker)
    rng = _rng(clip.name)
    manner = _manner(clip, voice, rng)
    vowels = STATEMENTS[clip.statement]
    rate = voice.rate * 2**manner.tempo
    before_s, after_s = rng.uniform(0.05, 0.1, size=2)
    length_s = np.clip(before_s + len(vowels) / rate + after_s, SHORTEST_S, LONGEST_S)
    spoken_s = length_s - before_s - after_s
    count = round(length_s * SAMPLE_RATE_HZ)
    lengths = rng.uniform(0.8, 1.2, size=len(vowels)) * np.linspace(0.9, 1.15, len(vowels))
    bounds_s = before_s + spoken_s * np.concatenate([[0], np.cumsum(lengths) / lengths.sum()])
    spectrum = _frames(_source(voice, manner, bounds_s, count, rng)) * _filter(
        voice, manner, vowels, bounds_s, count
    )
    spectrum += _frames(_consonants(bounds_s, count, rng)) * _hiss()
    speech = _overlap_add(spectrum, count)
    loudness = LEVEL * 10 ** ((voice.level + manner.energy) / 20)
    speech *= loudness / np.sqrt(np.mean(speech**2))
    room = 10 ** (voice.room / 20) * rng.standard_normal(count)
    return np.asarray(
        0.98 * np.tanh((speech + room) / 0.98)
    )  # changes only samples that would clip


def _rng(name: str) -> np.random.Generator:
    """Return the random generator of a name, equal on every machine."""
    import numpy as np

    return np.random.default_rng([SEED, *name.encode()])


def _voice(speaker: str) -> Voice:
    """Return the voice of a speaker."""
    rng = _rng(speaker)
    female = _gender(speaker.partition("/")[2]) == "female"
    return Voice(
        pitch_hz=(205.0 if female else 115.0) * 2 ** rng.normal(0, 0.12),
        tract=(1.15 if female else 1.0) * rng.uniform(0.96, 1.04),
        rate=rng.uniform(3.8, 4.6),
        open_quotient=rng.uniform(0.55, 0.75) + (0.08 if female else 0.0),
        tilt=rng.normal(0, 0.6),
        breath=0.02 * 2 ** rng.normal(0, 0.4),
        level=rng.normal(0, 1.0),
        room=rng.uniform(-70, -66),
        expression=rng.uniform(0.75, 1.1),
    )


def _manner(clip: Clip, voice: Voice, rng: np.random.Generator) -> Manner:
    """Return the manner of a clip: the emotion, the speaker's habit, and random variation."""
    habits = _rng(f"{clip.speaker} {clip.emotion}").standard_normal(len(HABIT))
    chances = rng.standard_normal(len(CHANCE))
    terms = zip(MANNERS[clip.emotion], HABIT, habits, CHANCE, chances, strict=True)
    return Manner(
        *(voice.expression * m + habit * h + chance * c for m, habit, h, chance, c in terms)
    )


def _source(
    voice: Voice, manner: Manner, bounds_s: Numbers, count: int, rng: np.random.Generator
) -> Numbers:
    """Return the derivative of the glottal flow plus breath noise, (count,).

    The flow opens as half a cosine and closes as a quarter of one (Rosenberg's pulse C), with
    random pitch and amplitude for each pulse.
    """
    import numpy as np

    time_s = np.arange(count) / SAMPLE_RATE_HZ
    melody = _melody(manner, bounds_s, time_s, rng)
    pitch_hz = voice.pitch_hz * 2 ** ((manner.pitch + melody) / 12)
    pulse = np.cumsum(pitch_hz / SAMPLE_RATE_HZ).astype(int)
    pulses = pulse[-1] + 1
    jitter = 0.007 * 2**manner.jitter * rng.standard_normal(pulses)
    shimmer = 0.06 * 2**manner.shimmer * rng.standard_normal(pulses)
    phase = np.cumsum(pitch_hz * (1 + jitter[pulse]) / SAMPLE_RATE_HZ) % 1
    opening, closing = 0.67 * voice.open_quotient, 0.33 * voice.open_quotient
    flow = np.where(
        phase < opening,
        0.5 - 0.5 * np.cos(np.pi * phase / opening),
        np.cos(0.5 * np.pi * np.clip((phase - opening) / closing, 0, 1)),
    )
    loud = _loudness(bounds_s, time_s) * (1 + shimmer[pulse])
    breath = voice.breath * 10 ** (manner.breath / 20) * rng.standard_normal(count)
    return np.asarray(loud * (np.diff(flow, prepend=flow[0]) + breath * (0.3 + flow)))


def _melody(
    manner: Manner, bounds_s: Numbers, time_s: Numbers, rng: np.random.Generator
) -> Numbers:
    """Return the pitch in semitones relative to its level, one accent per syllable: (count,)."""
    import numpy as np

    syllables = len(bounds_s) - 1
    accents = 1.3 * 2**manner.pitch_range * rng.standard_normal(syllables)
    slope = manner.rise * np.linspace(-0.5, 0.5, syllables)
    middles_s = (bounds_s[:-1] + bounds_s[1:]) / 2
    return np.asarray(np.interp(time_s, middles_s, accents - accents.mean() + slope))


def _loudness(bounds_s: Numbers, time_s: Numbers) -> Numbers:
    """Return the amplitude of the voice, one hump per syllable: (count,)."""
    import numpy as np

    syllable = np.interp(time_s, bounds_s, np.arange(len(bounds_s)))
    hump = np.sqrt(np.sin(np.pi * (syllable % 1)))
    return np.asarray(hump * np.linspace(1.1, 0.8, len(time_s)))


def _consonants(bounds_s: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """Return noise at the start of each syllable but the first: (count,)."""
    import numpy as np

    time_s = np.arange(count) / SAMPLE_RATE_HZ
    onsets_s = bounds_s[1:-1]
    strength = 0.02 * rng.uniform(0.3, 1.0, size=len(onsets_s))
    near = np.exp(-0.5 * ((time_s[:, None] - onsets_s) / 0.018) ** 2)
    return (near @ strength) * rng.standard_normal(count)


def _filter(
    voice: Voice, manner: Manner, vowels: str, bounds_s: Numbers, count: int
) -> NDArray[np.complex128]:
    """Return the response of the vocal tract times the tilt, (n_frames, FFT // 2 + 1)."""
    import numpy as np

    middles_s = (bounds_s[:-1] + bounds_s[1:]) / 2
    frame_s = np.arange(_frame_count(count)) * HOP / SAMPLE_RATE_HZ
    tract = voice.tract * 2**manner.formants
    targets = tract * np.array([VOWELS_HZ[vowel] for vowel in vowels], dtype=float)
    moving = [np.interp(frame_s, middles_s, formant) for formant in targets.T]
    still = [np.array([tract * hz]) for hz in range(3500, 9800, 1000)]
    response = np.ones((1, FFT // 2 + 1), dtype=complex)
    for number, formant_hz in enumerate(still + moving):
        width_hz = 60 + 0.03 * formant_hz + (120 if number < len(still) else 0)
        response = response * _resonance(formant_hz, width_hz)
    frequency_hz = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE_HZ)
    octaves = np.log2(np.maximum(frequency_hz, 500) / 500)
    tilt_db = (voice.tilt + manner.tilt) * np.minimum(octaves, 3.5)
    return np.asarray(response * 10 ** (tilt_db / 20))


def _resonance(formant_hz: Numbers, width_hz: Numbers) -> NDArray[np.complex128]:
    """Return the response of a second-order resonator, 1 at 0 Hz: (n_frames, FFT // 2 + 1)."""
    import numpy as np

    delay = np.exp(-2j * np.pi * np.arange(FFT // 2 + 1) / FFT)
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ)
    first = (2 * radius * np.cos(2 * np.pi * formant_hz / SAMPLE_RATE_HZ))[:, None]
    second = (radius**2)[:, None]
    return np.asarray((1 - first + second) / (1 - delay * (first - second * delay)))


def _hiss() -> Numbers:
    """Return the spectrum of consonant noise, a hump around 5 kHz: (FFT // 2 + 1,)."""
    import numpy as np

    frequency_hz = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE_HZ)
    return np.exp(-0.5 * ((frequency_hz - 5000) / 1500) ** 2)


def _frame_count(count: int) -> int:
    return count // HOP + 2


def _frames(signal: Numbers) -> NDArray[np.complex128]:
    """Return the spectra of overlapping frames, (n_frames, FFT // 2 + 1)."""
    import numpy as np
    from scipy.fft import rfft

    padded = np.zeros((_frame_count(len(signal)) + 1) * HOP)
    padded[HOP : HOP + len(signal)] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    window = 0.5 - 0.5 * np.cos(
        2 * np.pi * np.arange(FRAME) / FRAME
    )  # sums to 1 with its neighbour
    return np.asarray(rfft(frames * window, FFT, axis=1))


def _overlap_add(spectra: NDArray[np.complex128], count: int) -> Numbers:
    """Return the samples of the spectra of overlapping frames, (count,)."""
    import numpy as np
    from scipy.fft import irfft

    frames = irfft(spectra, FFT, axis=1).reshape(len(spectra), FFT // HOP, HOP)
    signal = np.zeros((len(spectra) + FFT // HOP - 1, HOP))
    for part in range(FFT // HOP):
        signal[part : part + len(spectra)] += frames[:, part]
    return signal.reshape(-1)[HOP : HOP + count]


SYNTHETIC = Corpus(
    name="synthetic",
    title="Generated speech",
    emotions=tuple(sorted(MANNERS)),
    licence="generated by this project's code, MIT",
    how_to_get="It is generated when it is first read.",
    official=official,
    read=read,
    generated=True,
)
