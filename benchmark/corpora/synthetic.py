"""The generated corpus: a source-filter voice speaks with seven emotions, for trying things out.

A glottal pulse train (Rosenberg 1971, "Effect of glottal pulse shape on the quality of natural
vowels") with breath noise goes through formants that move from vowel to vowel (a cascade of
resonators: Klatt 1980, "Software for a cascade/parallel formant synthesizer"; the vowels: Peterson
& Barney 1952, "Control methods used in a study of the vowels"). Emotions shift level and range of
pitch, tempo, energy, spectral tilt, jitter, shimmer and breath in the directions that Juslin &
Laukka 2003 ("Communication of emotions in vocal expression and music performance") and Banse &
Scherer 1996 ("Acoustic profiles in vocal emotion expression") report; the amounts are ours, chosen
so that the emotions overlap. Every speaker has habits of their own and no two clips are alike, so
that a model that knows a speaker has it easier than one that does not. Figures from it say nothing
of people.
"""

from __future__ import annotations

import hashlib
import io
import os
import wave
import zlib
from dataclasses import replace
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
"""What is said, a vowel a syllable."""


class Manner(NamedTuple):
    """How somebody speaks, as differences from their own neutral voice."""

    pitch: float  # semitones
    pitch_range: float  # octaves by which the melody is wider
    tempo: float  # octaves by which syllables are faster
    energy: float  # dB
    tilt: float  # dB an octave above 500 Hz: positive is sharper
    jitter: float  # octaves by which pitch differs more from pulse to pulse
    shimmer: float  # octaves by which amplitude differs more from pulse to pulse
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
"""Spread (standard deviation) of what an emotion does to one speaker and not to another."""

CHANCE = Manner(0.9, 0.3, 0.09, 1.6, 0.8, 0.5, 0.5, 1.6, 1.2, 0.019)
"""Spread (standard deviation) from clip to clip of one speaker and emotion."""


class Voice(NamedTuple):
    """A speaker: what stays the same in all their clips."""

    pitch_hz: float
    tract: float  # factor of the formant frequencies; a shorter vocal tract has higher ones
    rate: float  # syllables a second
    open_quotient: float  # part of a period in which the vocal folds are open
    tilt: float  # dB an octave above 500 Hz
    breath: float  # of the voice, as an amplitude
    level: float  # dB
    room: float  # dB of the background noise, below full scale
    expression: float  # factor of what emotions do


def _official() -> dict[str, Clip]:
    """Return the clips by name."""
    clips: dict[str, Clip] = {}
    for speaker, emotion, statement, repetition in product(
        SPEAKERS, MANNERS, STATEMENTS, REPETITIONS
    ):
        name = f"{speaker}_{emotion}_{statement}_{repetition}"
        clips[name] = Clip(
            corpus="synthetic",
            name=name,
            path=Path(),
            speaker=f"synthetic/{speaker}",
            gender=_gender(speaker),
            emotion=emotion,
            statement=statement,
        )
    return clips


def _gender(speaker: str) -> str:
    return "male" if SPEAKERS.index(speaker) % 2 else "female"


def read(folder: Path) -> Recordings:
    """Return the generated recordings below a folder; those that are not there are made first.

    They lie in a folder named by this module's own digest, so that no version of it finds
    recordings that it would not make.

    Raises
    ------
    BenchmarkError
        If they can't be written.
    """
    home = folder / hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    clips = [
        replace(clip, path=home / clip.speaker.partition("/")[2] / f"{name}.wav")
        for name, clip in sorted(_official().items())
    ]
    try:
        for clip in clips:
            if not _is_whole(clip.path):
                _write(clip.path, samples(clip))
    except OSError as error:
        raise BenchmarkError(
            f"{home}: can't write the generated recordings ({error.strerror}). "
            "Give a folder that may be written with --corpus synthetic=DIR."
        ) from error
    return Recordings(tuple(clips))


def _write(path: Path, signal: Numbers) -> None:
    """Write samples as 16-bit WAV, whole or not at all."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((signal * 32767).round().astype("<i2").tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(_sealed(content.getvalue()))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _sealed(recording: bytes) -> bytes:
    """Return a RIFF file with a last chunk that holds its checksum; who plays it passes over it."""
    size = int.from_bytes(recording[4:8], "little") + 12
    sealed = recording[:4] + size.to_bytes(4, "little") + recording[8:] + b"crc \x04\0\0\0"
    return sealed + zlib.crc32(sealed).to_bytes(4, "little")


def _is_whole(path: Path) -> bool:
    """Whether a recording is there as it was written."""
    if not path.exists():
        return False
    content = path.read_bytes()
    return content[-4:] == zlib.crc32(content[:-4]).to_bytes(4, "little")


def samples(clip: Clip) -> Numbers:
    """Return a generated clip's samples within -1..1, of shape (samples,), decided by its name."""
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
    return np.asarray(0.98 * np.tanh((speech + room) / 0.98))  # bends only what would overload


def _rng(name: str) -> np.random.Generator:
    """Return the source of chance of one name, the same on every machine."""
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
    """Return how a clip is spoken: the emotion, the speaker's habit with it, and chance."""
    habits = _rng(f"{clip.speaker} {clip.emotion}").standard_normal(len(HABIT))
    chances = rng.standard_normal(len(CHANCE))
    terms = zip(MANNERS[clip.emotion], HABIT, habits, CHANCE, chances, strict=True)
    return Manner(
        *(voice.expression * m + habit * h + chance * c for m, habit, h, chance, c in terms)
    )


def _source(
    voice: Voice, manner: Manner, bounds_s: Numbers, count: int, rng: np.random.Generator
) -> Numbers:
    """Return the flow's derivative at the lips and the breath, of shape (count,).

    The flow opens as half a cosine and closes as a quarter of one (Rosenberg's pulse C), with pitch
    and amplitude drawn anew for each pulse.
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
    """Return the pitch in semitones about its level, an accent a syllable, of shape (count,)."""
    import numpy as np

    syllables = len(bounds_s) - 1
    accents = 1.3 * 2**manner.pitch_range * rng.standard_normal(syllables)
    slope = manner.rise * np.linspace(-0.5, 0.5, syllables)
    middles_s = (bounds_s[:-1] + bounds_s[1:]) / 2
    return np.asarray(np.interp(time_s, middles_s, accents - accents.mean() + slope))


def _loudness(bounds_s: Numbers, time_s: Numbers) -> Numbers:
    """Return the amplitude of the voice, a hump a syllable, of shape (count,)."""
    import numpy as np

    syllable = np.interp(time_s, bounds_s, np.arange(len(bounds_s)))
    hump = np.sqrt(np.sin(np.pi * (syllable % 1)))
    return np.asarray(hump * np.linspace(1.1, 0.8, len(time_s)))


def _consonants(bounds_s: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """Return noise at the start of each syllable but the first, of shape (count,)."""
    import numpy as np

    time_s = np.arange(count) / SAMPLE_RATE_HZ
    onsets_s = bounds_s[1:-1]
    strength = 0.02 * rng.uniform(0.3, 1.0, size=len(onsets_s))
    near = np.exp(-0.5 * ((time_s[:, None] - onsets_s) / 0.018) ** 2)
    return (near @ strength) * rng.standard_normal(count)


def _filter(
    voice: Voice, manner: Manner, vowels: str, bounds_s: Numbers, count: int
) -> NDArray[np.complex128]:
    """Return the vocal tract's response times the tilt, of shape (frames, FFT // 2 + 1)."""
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
    """Return a second-order resonator's response, 1 at 0 Hz, of shape (frames, FFT // 2 + 1)."""
    import numpy as np

    delay = np.exp(-2j * np.pi * np.arange(FFT // 2 + 1) / FFT)
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ)
    first = (2 * radius * np.cos(2 * np.pi * formant_hz / SAMPLE_RATE_HZ))[:, None]
    second = (radius**2)[:, None]
    return np.asarray((1 - first + second) / (1 - delay * (first - second * delay)))


def _hiss() -> Numbers:
    """Return the spectrum of a consonant's noise, of shape (FFT // 2 + 1,): a hump about 5 kHz."""
    import numpy as np

    frequency_hz = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE_HZ)
    return np.exp(-0.5 * ((frequency_hz - 5000) / 1500) ** 2)


def _frame_count(count: int) -> int:
    return count // HOP + 2


def _frames(signal: Numbers) -> NDArray[np.complex128]:
    """Return the spectra of overlapping frames, of shape (frames, FFT // 2 + 1)."""
    import numpy as np
    from scipy.fft import rfft

    padded = np.zeros((_frame_count(len(signal)) + 1) * HOP)
    padded[HOP : HOP + len(signal)] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)  # with its neighbour: 1
    return np.asarray(rfft(frames * window, FFT, axis=1))


def _overlap_add(spectra: NDArray[np.complex128], count: int) -> Numbers:
    """Return the samples of overlapping frames' spectra, of shape (count,)."""
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
    official_clips=len(SPEAKERS) * len(MANNERS) * len(STATEMENTS) * len(REPETITIONS),
    home_page="",
    licence="made by this project's own code, MIT",
    how_to_get="It is made when it is read.",
    read=read,
    generated=True,
)
