"""What a feature set is: a recipe from samples to a row of named numbers, and recipes joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import numpy as np

SAMPLE_RATE_HZ = 22_050
"""The rate to which every recording is brought; passed everywhere, never left to a default."""


@dataclass(frozen=True)
class FeatureSet:
    """A named recipe from samples to a row of named numbers.

    Attributes
    ----------
    name : str
        Its name in study files.
    description : str
        What it measures, in one sentence.
    columns : tuple of str
        Names of the numbers, in the order of a row.
    compute : callable
        From mono samples (float32, full scale 1.0) and their rate in Hz to a row, float32 of shape
        (n_columns,).
    sample_rate_hz : int
        The rate to which recordings are resampled first.
    offset_s, duration_s : float, float or None
        The part of a recording that is taken, as by librosa.load's arguments of the same names; a
        shorter recording gives what there is. It is taken before anything else is done.
    trim_top_db : float or None
        Silence at both ends that lies this far below the loudest frame is cut off first; None takes
        recordings as they are.
    shape : (int, int) or None
        Frames and coefficients of features over time, whose row is the array of this shape in C
        order; None where the numbers have no order.
    version : int
        Raised whenever the numbers change, so that no cache serves the old ones.
    versions : tuple of (str, str)
        Packages of an extra that compute the numbers, by their names, and their versions.
    weights : str
        Digest of the files of a network that computes them; empty for none.
    parts : tuple of FeatureSet
        The feature sets that are joined in this one, whose rows stand one after the other.
    """

    name: str
    description: str
    columns: tuple[str, ...]
    compute: Callable[[np.ndarray, int], np.ndarray]
    sample_rate_hz: int = SAMPLE_RATE_HZ
    trim_top_db: float | None = None
    offset_s: float = 0.0
    duration_s: float | None = None
    shape: tuple[int, int] | None = None
    version: int = 1
    versions: tuple[tuple[str, str], ...] = ()
    weights: str = ""
    parts: tuple[FeatureSet, ...] = ()

    @property
    def part(self) -> slice:
        """The samples of a recording that are taken."""
        first = round(self.offset_s * self.sample_rate_hz)
        if self.duration_s is None:
            return slice(first, None)
        return slice(first, first + round(self.duration_s * self.sample_rate_hz))

    def recipe(self) -> dict[str, Any]:
        """Return everything that decides the numbers, as plain data."""
        told = {
            "name": self.name,
            "version": self.version,
            "sample_rate_hz": self.sample_rate_hz,
            "trim_top_db": self.trim_top_db,
            "columns": list(self.columns),
        }
        # Recipes for whole recordings are told as before there were others: their caches last.
        if self.part != slice(0, None):
            told |= {"offset_s": self.offset_s, "duration_s": self.duration_s}
        further = {
            "versions": dict(self.versions),
            "weights": self.weights,
            "parts": [part.recipe() for part in self.parts],
        }
        return told | {key: value for key, value in further.items() if value}


def computed_by(
    module: str, function: str, *settings: object
) -> Callable[[np.ndarray, int], np.ndarray]:
    """Return what computes a row: a function of a module of this package, imported when called.

    It is given the settings, the samples and their rate.
    """
    return partial(_row, module, function, *settings)


def _row(module: str, function: str, *arguments: object) -> np.ndarray:
    row: np.ndarray = getattr(import_module(f"benchmark.features.{module}"), function)(*arguments)
    return row


def join(parts: tuple[FeatureSet, ...]) -> FeatureSet:
    """Return the feature set whose row is those of several, one after the other.

    Raises
    ------
    BenchmarkError
        If one stands there twice, has features over time, or takes another part of a recording, or
        at another rate, than the first.
    """
    first = parts[0]
    name = "+".join(part.name for part in parts)
    taken = {part.name: (part.sample_rate_hz, part.trim_top_db, part.part) for part in parts}
    if len(taken) < len(parts):
        raise BenchmarkError(f"features: {name}: a feature set stands there twice.")
    for part in parts:
        if part.shape is not None or taken[part.name] != taken[first.name]:
            raise BenchmarkError(
                f"features: {name}: {part.name} can't be joined. Those that can have one number "
                "for each column, and take the same part of a recording at the same sample rate."
            )
    return FeatureSet(
        name=name,
        description=" ".join(part.description for part in parts),
        columns=tuple(f"{part.name}.{column}" for part in parts for column in part.columns),
        compute=partial(_joined, tuple(part.compute for part in parts)),
        sample_rate_hz=first.sample_rate_hz,
        trim_top_db=first.trim_top_db,
        offset_s=first.offset_s,
        duration_s=first.duration_s,
        versions=tuple(dict(pair for part in parts for pair in part.versions).items()),
        parts=parts,
    )


def _joined(
    computes: tuple[Callable[[np.ndarray, int], np.ndarray], ...],
    samples: np.ndarray,
    sample_rate_hz: int,
) -> np.ndarray:
    import numpy as np

    return np.concatenate([compute(samples, sample_rate_hz) for compute in computes])
