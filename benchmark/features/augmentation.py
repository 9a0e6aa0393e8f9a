"""Augmentation: named, seeded changes of the samples of a training clip, alone or in a chain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError, unknown

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """A named change of samples.

    Attributes
    ----------
    name, description : str
        Its name in study files, and what it does in one sentence.
    amount : float
        The default: that of the source system which it re-enacts.
    unit : str
        What the amount counts.
    lowest, highest : float
        The amounts that are allowed.
    apply : callable
        From samples, their rate in Hz, the amount and a generator to new samples.
    random : bool
        Whether the generator is used: if not, all seeds give the same copy.
    version : int
        Raised whenever the copies change, so that no cache serves the old ones.
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
    """Augmentations one after the other, each with its amount.

    Attributes
    ----------
    steps : tuple of (str, float)
        Names in the registry, and amounts.
    """

    steps: tuple[tuple[str, float], ...]

    @property
    def text(self) -> str:
        """The chain with all its amounts, the same for every way of writing it."""
        return "+".join(f"{name}={amount:.17g}" for name, amount in self.steps)

    @property
    def identity(self) -> str:
        """The text, with the version of each step that is no longer its first."""
        versions = [AUGMENTATIONS[name].version for name, _ in self.steps]
        return self.text + "".join(f"@{v}" if v > 1 else "" for v in versions)

    def seed(self, study_seed: int, clip_id: str) -> bytes:
        """Return the seed of one copy, 16 bytes; none where no step is random."""
        if not any(AUGMENTATIONS[name].random for name, _ in self.steps):
            return b""
        told = f"{study_seed}\n{clip_id}\n{self.text}"
        return blake2b(told.encode(), digest_size=16).digest()

    def apply(self, samples: np.ndarray, sample_rate_hz: int, seed: bytes) -> np.ndarray:
        """Return the changed samples, float32; the same for the same seed, whatever came before."""
        import numpy as np

        generator = np.random.default_rng(int.from_bytes(seed, "big"))
        for name, amount in self.steps:
            samples = AUGMENTATIONS[name].apply(samples, sample_rate_hz, amount, generator)
        return samples


def parse_chain(text: str) -> Chain:
    """Return the chain of a text such as ``stretch+pitch`` or ``stretch=0.9+pitch=-1``.

    Raises
    ------
    BenchmarkError
        If it names no augmentation, or an amount that is none or is not allowed.
    """
    return Chain(tuple(_parse_step(step.strip(), text) for step in text.split("+")))


def _parse_step(step: str, text: str) -> tuple[str, float]:
    name, equals, written = (part.strip() for part in step.partition("="))
    if name not in AUGMENTATIONS:
        raise unknown("augmentation", name, AUGMENTATIONS, f"augmentation {text!r}")
    augmentation = AUGMENTATIONS[name]
    if not equals:
        return name, augmentation.amount
    try:
        amount = float(written)
    except ValueError:
        amount = math.nan
    if not augmentation.lowest <= amount <= augmentation.highest:
        raise BenchmarkError(
            f"augmentation {text!r}: {written!r} is no amount of {name}. Allowed: "
            f"{augmentation.lowest:g} to {augmentation.highest:g} ({augmentation.unit}); "
            f"without '=' it is {augmentation.amount:g}."
        )
    return name, amount


def _noise(
    samples: np.ndarray, _rate: int, amount: float, generator: np.random.Generator
) -> np.ndarray:
    import numpy as np

    amplitude = amount * generator.uniform() * np.abs(samples).max(initial=0.0)
    noise = generator.standard_normal(len(samples), dtype=np.float32)
    changed: np.ndarray = samples + np.float32(amplitude) * noise
    return changed


def _stretch(
    samples: np.ndarray, _rate: int, amount: float, _generator: np.random.Generator
) -> np.ndarray:
    from benchmark.features import vocoder

    return vocoder.time_stretch(samples, amount)


def _pitch(
    samples: np.ndarray, rate_hz: int, amount: float, _generator: np.random.Generator
) -> np.ndarray:
    from benchmark.features import vocoder

    return vocoder.pitch_shift(samples, rate_hz, amount)


def _speed(
    samples: np.ndarray, rate_hz: int, amount: float, _generator: np.random.Generator
) -> np.ndarray:
    from benchmark.features import audio

    return audio.resample(samples, amount * rate_hz, rate_hz)


def _trim(
    samples: np.ndarray, _rate: int, amount: float, _generator: np.random.Generator
) -> np.ndarray:
    from benchmark.features import spectral

    return spectral.trim(samples, amount)


def _shift(
    samples: np.ndarray, rate_hz: int, amount: float, generator: np.random.Generator
) -> np.ndarray:
    import numpy as np

    return np.roll(samples, int(generator.uniform(-amount, amount) * rate_hz))


AUGMENTATIONS: dict[str, Augmentation] = {
    augmentation.name: augmentation
    for augmentation in (
        Augmentation(
            name="noise",
            description="Adds white noise of up to this share of the clip's largest sample.",
            amount=0.03,
            unit="share of the largest sample, times a random number from 0 to 1",
            lowest=0.0,
            highest=1.0,
            apply=_noise,
            random=True,
        ),
        Augmentation(
            name="stretch",
            description="Changes the tempo and keeps the pitch.",
            amount=0.75,
            unit="times as fast",
            lowest=0.25,
            highest=4.0,
            apply=_stretch,
        ),
        Augmentation(
            name="pitch",
            description="Changes the pitch and keeps the tempo.",
            amount=0.8,
            unit="semitones up",
            lowest=-24.0,
            highest=24.0,
            apply=_pitch,
        ),
        Augmentation(
            name="speed",
            description=(
                "Plays the clip faster: tempo, pitch and formants change together, as if a smaller "
                "speaker spoke (Ko et al. 2015)."
            ),
            amount=1.1,
            unit="times as fast",
            lowest=0.5,
            highest=2.0,
            apply=_speed,
        ),
        Augmentation(
            name="trim",
            description="Cuts off both ends where they are quieter than the loudest frame by this.",
            amount=60.0,
            unit="dB below the loudest frame",
            lowest=1.0,
            highest=120.0,
            apply=_trim,
        ),
        Augmentation(
            name="shift",
            description="Moves the clip in time; what leaves at one end comes in at the other.",
            amount=0.227,  # 5,000 samples at 22,050 Hz
            unit="s at most, either way",
            lowest=0.0,
            highest=10.0,
            apply=_shift,
            random=True,
        ),
    )
}
"""All augmentations, by name; a new one is one entry here and one function."""
