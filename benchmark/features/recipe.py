"""Feature sets: recipes from samples to a row of named numbers, alone or joined.

The rows of a user's own table are the exception: they are looked up by clip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.features.own_table import OwnTable

SAMPLE_RATE_HZ = 22_050
"""The default sample rate; every function takes the rate as an argument."""

Compute: TypeAlias = Callable[[np.ndarray, int], np.ndarray]
"""From mono samples (float32, full scale 1.0) and their rate in Hz to a row of float32."""


@dataclass(frozen=True)
class Block:
    """Columns of a row that belong together: of one feature set, or one layer and statistic of it.

    Attributes
    ----------
    name : str
        Name of the feature set, without its argument where that says which columns; by it a model
        gives the block a weight.
    width : int
        Number of columns.
    """

    name: str
    width: int


@dataclass(frozen=True)
class FeatureSet:
    """A named recipe from samples to a row of named numbers.

    Attributes
    ----------
    name : str
        Name in study files.
    description : str
        What it measures, in one sentence.
    columns : tuple of str
        Names of the numbers, in the order of a row.
    compute : callable
        From mono samples (float32, full scale 1.0) and their rate in Hz to a row, float32 of shape
        (n_columns,). Importable from a worker process.
    sample_rate_hz : int
        Rate to which recordings are resampled first.
    offset_s, duration_s : float, float or None
        Part of the recording that is used, as in librosa.load; applied before everything else.
    trim_top_db : float or None
        Silence at both ends is removed if it is this far below the loudest frame; None: no trim.
    shape : (int, int) or None
        Frames and coefficients of features over time, stored in C order; None for a plain row.
    version : int
        Increase it whenever the numbers change: cached rows of other versions are not used.
    versions : tuple of (str, str)
        Packages of an extra that compute the numbers, with their versions.
    weights : str
        Digest of the files of a pretrained network; empty without one.
    parts : tuple of FeatureSet
        The feature sets that this one joins; empty for a single one.
    own_blocks : tuple of Block
        The blocks of its columns, in their order; empty for a single block.
    table : OwnTable or None
        The user's own table in which rows are looked up; nothing is computed then.
    """

    name: str
    description: str
    columns: tuple[str, ...]
    compute: Compute
    sample_rate_hz: int = SAMPLE_RATE_HZ
    trim_top_db: float | None = None
    offset_s: float = 0.0
    duration_s: float | None = None
    shape: tuple[int, int] | None = None
    version: int = 1
    versions: tuple[tuple[str, str], ...] = ()
    weights: str = ""
    parts: tuple[FeatureSet, ...] = ()
    own_blocks: tuple[Block, ...] = ()
    table: OwnTable | None = None

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of a row, in the order of its columns."""
        if self.parts:
            return tuple(block for part in self.parts for block in part.blocks)
        return self.own_blocks or (Block(self.name, len(self.columns)),)

    @property
    def tables(self) -> tuple[OwnTable, ...]:
        """The user's own tables among this feature set and its parts."""
        return tuple(part.table for part in self.parts or (self,) if part.table is not None)

    @property
    def measured(self) -> FeatureSet:
        """What is computed of a recording: all but own tables; `RECORDING` if that is nothing."""
        parts = tuple(part for part in self.parts or (self,) if part.table is None)
        if len(parts) > 1:
            return self if parts == self.parts else join(parts)
        return parts[0] if parts else RECORDING

    @property
    def part(self) -> slice:
        """The samples of a recording that are used."""
        first = round(self.offset_s * self.sample_rate_hz)
        if self.duration_s is None:
            return slice(first, None)
        return slice(first, first + round(self.duration_s * self.sample_rate_hz))

    def recipe(self) -> dict[str, Any]:
        """Return everything that decides the numbers, as plain data.

        Optional keys are left out at their defaults, so that adding one invalidates no cache.
        """
        recipe = {
            "name": self.name,
            "version": self.version,
            "sample_rate_hz": self.sample_rate_hz,
            "trim_top_db": self.trim_top_db,
            "columns": list(self.columns),
        }
        if self.part != slice(0, None):
            recipe |= {"offset_s": self.offset_s, "duration_s": self.duration_s}
        optional = {
            "versions": dict(self.versions),
            "weights": self.weights,
            "parts": [part.recipe() for part in self.parts],
            "table": self.table.digest if self.table else "",
        }
        return recipe | {key: value for key, value in optional.items() if value}


@dataclass(frozen=True)
class OptionalFeatureSet:
    """A feature set of an extra or of a user's own file: its columns are known when it is made.

    Attributes
    ----------
    name : str
        Name in study files, without the argument.
    argument : str
        What follows the name and a colon in a study file; empty for nothing.
    description : str
        What it measures, in one sentence.
    extra : str
        Extra of this package that it needs; empty for none.
    packages : tuple of str
        Packages that the extra installs and the feature set imports.
    make : callable
        From the argument to the feature set.
    """

    name: str
    argument: str
    description: str
    extra: str
    packages: tuple[str, ...]
    make: Callable[[str], FeatureSet]

    @property
    def title(self) -> str:
        """The name as it is written in a study file."""
        return f"{self.name}:{self.argument}" if self.argument else self.name

    @property
    def available(self) -> bool:
        """Whether the packages of the extra are installed."""
        return all(find_spec(package) is not None for package in self.packages)


def _nothing(_samples: np.ndarray, _sample_rate_hz: int) -> np.ndarray:
    return np.empty(0, dtype=np.float32)


RECORDING = FeatureSet(
    name="recording",
    description="No features: whether a recording can be used, its duration and its digest.",
    columns=(),
    compute=_nothing,
)
"""What is computed of the recordings of a study whose features are all looked up."""


def numbered(name: str, count: int) -> tuple[str, ...]:
    """Return numbered names, all with the same number of digits.

    Examples
    --------
    >>> numbered("mfcc", 3)
    ('mfcc_01', 'mfcc_02', 'mfcc_03')
    """
    digits = max(2, len(str(count)))
    return tuple(f"{name}_{number:0{digits}d}" for number in range(1, count + 1))


def columns_of(names: Sequence[str], *statistics: str, prefix: str = "") -> tuple[str, ...]:
    """Return column names, statistic by statistic.

    Examples
    --------
    >>> columns_of(("rms", "centroid"), "mean", "std")
    ('rms_mean', 'centroid_mean', 'rms_std', 'centroid_std')
    """
    return tuple(f"{prefix}{name}_{statistic}" for statistic in statistics for name in names)


def join(parts: tuple[FeatureSet, ...]) -> FeatureSet:
    """Return the feature set whose row is the concatenation of the parts' rows.

    Raises
    ------
    BenchmarkError
        If a part occurs twice, has features over time, or uses another part of the recording or
        another sample rate than the first. An own table uses none.
    """
    measured = [part for part in parts if part.table is None] or [RECORDING]
    first = measured[0]
    name = "+".join(part.name for part in parts)
    inputs = {part.name: (part.sample_rate_hz, part.trim_top_db, part.part) for part in measured}
    if len({part.name for part in parts}) < len(parts):
        raise BenchmarkError(f"features: {name}: a feature set occurs twice. Remove one of them.")
    for part in measured:
        if part.shape is not None or inputs[part.name] != inputs[first.name]:
            raise BenchmarkError(
                f"features: {name}: {part.name} can't be joined. Joined feature sets need a plain "
                "row (no frames over time), the same part of the recording and the same sample "
                "rate."
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


def _joined(computes: tuple[Compute, ...], samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    return np.concatenate([compute(samples, sample_rate_hz) for compute in computes])
