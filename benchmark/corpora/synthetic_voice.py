"""The voice of the corpus `synthetic`: a source-filter synthesiser with seven emotions.

A glottal pulse train (Rosenberg 1971, "Effect of glottal pulse shape on the quality of natural
vowels") with breath noise goes through formants that move from vowel to vowel (a cascade of
resonators: Klatt 1980, "Software for a cascade/parallel formant synthesizer"; the vowels: Peterson
& Barney 1952, "Control methods used in a study of the vowels"). Emotions shift level and
range of pitch, tempo and more (`synthetic.MANNERS`). Every speaker has individual habits and no two
clips are equal, so that speaker-dependent scores exceed speaker-independent ones.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from benchmark.corpora.clip import Clip
from benchmark.corpora.synthetic import MANNERS, SAMPLE_RATE_HZ, STATEMENTS, Manner, gender_of

Numbers: TypeAlias = NDArray[np.float64]

SEED = 2003
SHORTEST_S, LONGEST_S = 1.0, 1.8  # of a clip
FRAME, HOP, FFT = 512, 256, 1024  # samples; the response of a frame's filter rings into its padding
LEVEL = 0.03  # root mean square of a neutral voice, in full-scale units

VOWELS_HZ = {
    "i": (270, 2290, 3010),
    "e": (530, 1840, 2480),
    "a": (730, 1090, 2440),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
    "r": (490, 1350, 1690),
}
"""First three formants of a male voice (Peterson & Barney 1952)."""

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


def samples(clip: Clip) -> Numbers:
    """Return the samples of a clip within -1..1, (n_samples,); its name is the seed."""
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
    return np.random.default_rng([SEED, *name.encode()])


def _voice(speaker: str) -> Voice:
    """Return the voice of a speaker."""
    rng = _rng(speaker)
    female = gender_of(speaker.partition("/")[2]) == "female"
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
    syllables = len(bounds_s) - 1
    accents = 1.3 * 2**manner.pitch_range * rng.standard_normal(syllables)
    slope = manner.rise * np.linspace(-0.5, 0.5, syllables)
    middles_s = (bounds_s[:-1] + bounds_s[1:]) / 2
    return np.asarray(np.interp(time_s, middles_s, accents - accents.mean() + slope))


def _loudness(bounds_s: Numbers, time_s: Numbers) -> Numbers:
    """Return the amplitude of the voice, one hump per syllable: (count,)."""
    syllable = np.interp(time_s, bounds_s, np.arange(len(bounds_s)))
    hump = np.sqrt(np.sin(np.pi * (syllable % 1)))
    return np.asarray(hump * np.linspace(1.1, 0.8, len(time_s)))


def _consonants(bounds_s: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """Return noise at the start of each syllable but the first: (count,)."""
    time_s = np.arange(count) / SAMPLE_RATE_HZ
    onsets_s = bounds_s[1:-1]
    strength = 0.02 * rng.uniform(0.3, 1.0, size=len(onsets_s))
    near = np.exp(-0.5 * ((time_s[:, None] - onsets_s) / 0.018) ** 2)
    return (near @ strength) * rng.standard_normal(count)


def _filter(
    voice: Voice, manner: Manner, vowels: str, bounds_s: Numbers, count: int
) -> NDArray[np.complex128]:
    """Return the response of the vocal tract times the tilt, (n_frames, FFT // 2 + 1)."""
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
    delay = np.exp(-2j * np.pi * np.arange(FFT // 2 + 1) / FFT)
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ)
    first = (2 * radius * np.cos(2 * np.pi * formant_hz / SAMPLE_RATE_HZ))[:, None]
    second = (radius**2)[:, None]
    return np.asarray((1 - first + second) / (1 - delay * (first - second * delay)))


def _hiss() -> Numbers:
    """Return the spectrum of consonant noise, a hump around 5 kHz: (FFT // 2 + 1,)."""
    frequency_hz = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE_HZ)
    return np.exp(-0.5 * ((frequency_hz - 5000) / 1500) ** 2)


def _frame_count(count: int) -> int:
    return count // HOP + 2


def _frames(signal: Numbers) -> NDArray[np.complex128]:
    """Return the spectra of overlapping frames, (n_frames, FFT // 2 + 1)."""
    padded = np.zeros((_frame_count(len(signal)) + 1) * HOP)
    padded[HOP : HOP + len(signal)] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    window = 0.5 - 0.5 * np.cos(
        2 * np.pi * np.arange(FRAME) / FRAME
    )  # sums to 1 with its neighbour
    return np.asarray(rfft(frames * window, FFT, axis=1))


def _overlap_add(spectra: NDArray[np.complex128], count: int) -> Numbers:
    """Return the samples of the spectra of overlapping frames, (count,)."""
    frames = irfft(spectra, FFT, axis=1).reshape(len(spectra), FFT // HOP, HOP)
    signal = np.zeros((len(spectra) + FFT // HOP - 1, HOP))
    for part in range(FFT // HOP):
        signal[part : part + len(spectra)] += frames[:, part]
    return signal.reshape(-1)[HOP : HOP + count]
