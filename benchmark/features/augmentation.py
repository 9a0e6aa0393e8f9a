"""Augmentation: named, seeded changes of the samples of a training clip, alone or in a chain."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from benchmark.engine.registry import Registry
from benchmark.errors import BenchmarkError
from benchmark.features import audio, channel, spectral, vocoder
from benchmark.features.channel import Codec

AS_RECORDED = "as recorded"
"""The condition of recordings that nothing changes."""


@dataclass(frozen=True)
class Augmentation:
    """A named change of samples.

    Attributes
    ----------
    name, description : str
        Name in study files, and what it does in one sentence.
    amount : float
        Default amount, from the published system that uses it.
    unit : str
        Unit of the amount.
    lowest, highest : float
        Range of allowed amounts.
    apply : callable
        From samples, sample rate in Hz, amount and random generator to new samples.
    random : bool
        Whether `apply` uses the generator; if not, all seeds give the same augmented copy.
    version : int
        Increase it whenever the augmented copies change: cached rows of other versions are not
        used.
    of_recording : bool
        Whether it happens to a recording on its way: a chain with it is applied to the whole
        recording, before a feature set cuts and trims it.
    codec : Codec or None
        The codec that it needs.
    """

    name: str
    description: str
    amount: float
    unit: str
    lowest: float
    highest: float
    apply: Callable[[np.ndarray, int, float, np.random.Generator], np.ndarray]
    random: bool = False
    version: int = 1
    of_recording: bool = False
    codec: Codec | None = None


@dataclass(frozen=True)
class Chain:
    """Augmentations applied one after the other, each with its amount.

    Attributes
    ----------
    steps : tuple of (str, float)
        Names in the registry, and amounts.
    """

    steps: tuple[tuple[str, float], ...]

    @property
    def text(self) -> str:
        """The chain with all its amounts; equal for every spelling of it."""
        return "+".join(f"{name}={amount:.17g}" for name, amount in self.steps)

    @property
    def identity(self) -> str:
        """The text, the version of each step above version 1, and the versions of plug-ins."""
        versions = [AUGMENTATIONS[name].version for name, _ in self.steps]
        plugins = AUGMENTATIONS.versions(name for name, _ in self.steps)
        own = self.text + "".join(f"@{v}" if v > 1 else "" for v in versions)
        return own + "".join(f"@{package}=={version}" for package, version in plugins.items())

    @property
    def of_recording(self) -> bool:
        """Whether it is applied to the whole recording, before that is cut and trimmed."""
        return any(AUGMENTATIONS[name].of_recording for name, _ in self.steps)

    @property
    def missing_codecs(self) -> list[str]:
        """Titles of the codecs that it needs and that the installed libsndfile lacks."""
        codecs = [AUGMENTATIONS[name].codec for name, _ in self.steps]
        return [codec.title for codec in codecs if codec is not None and not codec.available]

    def seed(self, study_seed: int, clip_id: str) -> bytes:
        """Return the seed of one augmented copy, 16 bytes; empty if no step is random."""
        if not any(AUGMENTATIONS[name].random for name, _ in self.steps):
            return b""
        text = f"{study_seed}\n{clip_id}\n{self.text}"
        return blake2b(text.encode(), digest_size=16).digest()

    def apply(self, samples: np.ndarray, sample_rate_hz: int, seed: bytes) -> np.ndarray:
        """Return the augmented samples, float32; the seed alone decides what is random."""
        generator = np.random.default_rng(int.from_bytes(seed, "big"))
        for name, amount in self.steps:
            samples = AUGMENTATIONS[name].apply(samples, sample_rate_hz, amount, generator)
        return samples


def parse_chain(text: str) -> Chain:
    """Return the chain of a text such as ``stretch+pitch`` or ``stretch=0.9+pitch=-1``.

    Raises
    ------
    BenchmarkError
        If an augmentation is unknown, or an amount is not a number in the allowed range.

    Examples
    --------
    >>> parse_chain("stretch+pitch=-1").steps
    (('stretch', 0.75), ('pitch', -1.0))
    """
    return Chain(tuple(_parse_step(step.strip(), text) for step in text.split("+")))


def chain_problems(texts: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with chains: a wrong one, one that is there twice, a missing codec."""
    known: dict[Chain, str] = {}
    for text in texts:
        try:
            chain = parse_chain(text)
        except BenchmarkError as error:
            yield str(error)
            continue
        if chain in known:
            yield f"{known[chain]!r} and {text!r} are the same. Remove one of them."
        known[chain] = text
        if missing := chain.missing_codecs:
            yield (
                f"{text} needs {missing[0]}, which the installed libsndfile lacks. "
                "Remove it, or install another build of soundfile."
            )


def _parse_step(step: str, text: str) -> tuple[str, float]:
    name, equals, amount_text = (part.strip() for part in step.partition("="))
    if name not in AUGMENTATIONS:
        raise AUGMENTATIONS.unknown(name, f"augmentation {text!r}")
    augmentation = AUGMENTATIONS[name]
    if not equals:
        return name, augmentation.amount
    try:
        amount = float(amount_text)
    except ValueError:
        amount = math.nan
    if not augmentation.lowest <= amount <= augmentation.highest:
        raise BenchmarkError(
            f"augmentation {text!r}: {amount_text!r} is not an allowed amount of {name}. Allowed: "
            f"{augmentation.lowest:g} to {augmentation.highest:g} ({augmentation.unit}); the "
            f"default is {augmentation.amount:g}."
        )
    return name, amount


def _noise(
    samples: np.ndarray, _rate_hz: int, amount: float, generator: np.random.Generator
) -> np.ndarray:
    amplitude = amount * generator.uniform() * np.abs(samples).max(initial=0.0)
    noise = generator.standard_normal(len(samples), dtype=np.float32)
    noisy: np.ndarray = samples + np.float32(amplitude) * noise
    return noisy


def _shift(
    samples: np.ndarray, rate_hz: int, amount: float, generator: np.random.Generator
) -> np.ndarray:
    return np.roll(samples, int(generator.uniform(-amount, amount) * rate_hz))


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation",
    "augmentations",
    Augmentation,
    (
        Augmentation(
            name="noise",
            description="Adds white noise of up to this fraction of the clip's largest sample.",
            amount=0.03,
            unit="fraction of the largest sample, times a random number from 0 to 1",
            lowest=0.0,
            highest=1.0,
            apply=_noise,
            random=True,
        ),
        Augmentation(
            name="stretch",
            description="Changes the tempo, not the pitch.",
            amount=0.75,
            unit="times as fast",
            lowest=0.25,
            highest=4.0,
            apply=lambda samples, _rate_hz, amount, _rng: vocoder.time_stretch(samples, amount),
        ),
        Augmentation(
            name="pitch",
            description="Changes the pitch, not the tempo.",
            amount=0.8,
            unit="semitones up",
            lowest=-24.0,
            highest=24.0,
            apply=lambda samples, rate_hz, amount, _rng: vocoder.pitch_shift(
                samples, rate_hz, amount
            ),
        ),
        Augmentation(
            name="speed",
            description=(
                "Plays the clip faster: tempo, pitch and formants change together, as for a "
                "smaller speaker (Ko et al. 2015)."
            ),
            amount=1.1,
            unit="times as fast",
            lowest=0.5,
            highest=2.0,
            apply=lambda samples, rate_hz, amount, _rng: audio.resample(
                samples, amount * rate_hz, rate_hz
            ),
        ),
        Augmentation(
            name="trim",
            description="Removes both ends where they are this far below the loudest frame.",
            amount=60.0,
            unit="dB below the loudest frame",
            lowest=1.0,
            highest=120.0,
            apply=lambda samples, _rate_hz, amount, _rng: spectral.trim(samples, amount),
        ),
        Augmentation(
            name="shift",
            description=(
                "Shifts the clip in time; samples shifted out at one end enter at the other."
            ),
            amount=0.227,  # 5,000 samples at 22,050 Hz
            unit="s at most, in either direction",
            lowest=0.0,
            highest=10.0,
            apply=_shift,
            random=True,
        ),
        Augmentation(
            name="telephone",
            description=(
                "Simulates a telephone line: 300 to 3,400 Hz, sampled at 8 kHz, coded by the "
                "\N{MICRO SIGN}-law of G.711."
            ),
            amount=64.0,
            unit="kbit/s, its only rate",
            lowest=64.0,
            highest=64.0,
            apply=lambda samples, rate_hz, _amount, _rng: channel.telephone(samples, rate_hz),
            of_recording=True,
            codec=channel.MU_LAW,
        ),
        Augmentation(
            name="gsm",
            description="Codes and decodes by GSM 6.10 at 8 kHz, as mobile telephones do.",
            amount=13.0,
            unit="kbit/s, its only rate",
            lowest=13.0,
            highest=13.0,
            apply=lambda samples, rate_hz, _amount, _rng: channel.gsm(samples, rate_hz),
            of_recording=True,
            codec=channel.GSM,
        ),
        Augmentation(
            name="opus",
            description="Codes and decodes by Opus at 16 kHz, as calls over the internet do.",
            amount=8.0,
            unit="kbit/s",
            lowest=6.0,
            highest=128.0,
            apply=lambda samples, rate_hz, amount, _rng: channel.opus(samples, rate_hz, amount),
            of_recording=True,
            codec=channel.OPUS,
        ),
        Augmentation(
            name="mp3",
            description="Codes and decodes as MP3 at 16 kHz, as archives of calls do.",
            amount=16.0,
            unit="kbit/s on average",
            lowest=16.0,
            highest=128.0,
            apply=lambda samples, rate_hz, amount, _rng: channel.mp3(samples, rate_hz, amount),
            of_recording=True,
            codec=channel.MP3,
        ),
        Augmentation(
            name="snr",
            description="Adds white noise at this ratio of the recording's mean power to its own.",
            amount=10.0,
            unit="dB",
            lowest=-20.0,
            highest=80.0,
            apply=lambda samples, _rate_hz, amount, rng: channel.add_noise(samples, amount, rng),
            random=True,
            of_recording=True,
        ),
        Augmentation(
            name="reverberation",
            description=(
                "Simulates a room of its own for each clip, with as much power of reverberation "
                "as of direct sound, by Polack's model."
            ),
            amount=0.6,
            unit="s until reverberation has decayed by 60 dB",
            lowest=0.1,
            highest=5.0,
            apply=channel.reverberate,
            random=True,
            of_recording=True,
        ),
        Augmentation(
            name="clipping",
            description="Cuts off samples above this fraction of the largest one.",
            amount=0.1,
            unit="of the largest sample",
            lowest=0.01,
            highest=1.0,
            apply=lambda samples, _rate_hz, amount, _rng: channel.clip_peaks(samples, amount),
            of_recording=True,
        ),
        Augmentation(
            name="level",
            description="Makes the recording louder by this, or softer.",
            amount=-20.0,
            unit="dB",
            lowest=-60.0,
            highest=20.0,
            apply=lambda samples, _rate_hz, amount, _rng: channel.change_level(samples, amount),
            of_recording=True,
        ),
    ),
)
"""All augmentations, by name."""
