"""Toy augmentation: adds mains hum."""

from __future__ import annotations

import numpy as np

from benchmark.features import Augmentation

HUM_HZ = 50.0


def add_hum(
    samples: np.ndarray, sample_rate_hz: int, amount: float, generator: np.random.Generator
) -> np.ndarray:
    """Return the samples with a hum of random phase, float32."""
    phase = generator.uniform(0.0, 2.0 * np.pi)
    time_s = np.arange(len(samples)) / sample_rate_hz
    hum = amount * np.abs(samples).max() * np.sin(2.0 * np.pi * HUM_HZ * time_s + phase)
    return (samples + hum).astype(np.float32)


TOY_HUM = Augmentation(
    name="toy-hum",
    description="Adds a hum of 50 Hz.",
    amount=0.05,
    unit="fraction of the largest sample",
    lowest=0.0,
    highest=1.0,
    apply=add_hum,
    random=True,
)
