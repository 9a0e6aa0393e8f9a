"""Augmentation: named, seeded changes of the samples of a training clip, alone or in a chain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from benchmark.engine.registry import Registry
from benchmark.errors import BenchmarkError
from benchmark.features import audio, spectral, vocoder


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
    ),
)
"""All augmentations, by name."""
