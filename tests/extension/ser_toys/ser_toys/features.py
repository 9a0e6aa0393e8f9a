"""Toy feature set: log energy in eight bands of frequency."""

from __future__ import annotations

import numpy as np

from benchmark.features import FeatureSet

N_BANDS = 8


def compute(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the log energy of each band, float32 of shape (8,)."""
    del sample_rate_hz
    power = np.abs(np.fft.rfft(samples, n=4096)) ** 2
    energies = [band.sum() for band in np.array_split(power[:512], N_BANDS)]
    return np.log(np.array(energies) + 1e-9).astype(np.float32)


TOY_BANDS = FeatureSet(
    name="toy-bands",
    description="Log energy in eight bands of frequency.",
    columns=tuple(f"band_{number}" for number in range(1, N_BANDS + 1)),
    compute=compute,
)
