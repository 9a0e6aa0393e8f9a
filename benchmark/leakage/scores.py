"""How high each step is: means over draws of the split, with intervals over speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evaluation.metrics import (
    FEWEST_SPEAKERS,
    METRICS,
    RESAMPLES,
    Floats,
    Resampled,
    Score,
    Unit,
    bootstrap_seed,
    effective,
    scored,
)
from benchmark.leakage.stored import Anatomy


@dataclass(frozen=True)
class Height:
    """A figure over several draws of the split.

    Attributes
    ----------
    mean : Score
        Their mean, with its interval.
    draws : tuple of float
        The figure of each.
    """

    mean: Score
    draws: tuple[float, ...]


class Heights:
    """The heights of an anatomy's runs.

    Intervals are those of a cluster bootstrap (`scored`) over all speakers of the study: one
    resample counts each speaker as often in every run and every draw, so that what the runs share
    cancels in their differences, and draws that test the same speaker are not taken for
    independent. Degrees of freedom count the speakers that a level's own runs test, and of a
    difference those of the level with fewer; where they count as fewer than `FEWEST_SPEAKERS`,
    each run's tested rows are resampled instead.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy = anatomy
        names = anatomy.emotions
        table = anatomy.predictions
        speakers, self._speakers = pd.factorize(table["speaker"], sort=True)
        size = len(names)
        shape = (len(anatomy.runs), len(self._speakers), size, size)
        self._counts = np.zeros(shape, dtype=np.int64)
        order = pd.Index(names)
        place = (
            table["run"].to_numpy(),
            speakers,
            order.get_indexer(pd.Index(table["emotion"])),
            order.get_indexer(pd.Index(table["predicted"])),
        )
        np.add.at(self._counts, place, table["rows"].to_numpy())
        self._drawn: dict[tuple[int, str, Unit], Floats] = {}

    def _unit(self, runs: Sequence[int]) -> Resampled:
        """Return what is resampled of runs of one level, and how many their own speakers count."""
        tested = self._counts[list(runs)].sum(axis=(0, 2, 3))
        speakers = effective(tested)
        if speakers < FEWEST_SPEAKERS:
            return Resampled("clips", float(tested.sum() / len(runs)))
        return Resampled("speakers", speakers)

    def level(self, runs: Sequence[int], metric: str) -> Height:
        """Return the mean score of the same experiment's runs, one a draw of the split."""
        unit = self._unit(runs)
        values = [self._value(run, metric) for run in runs]
        return _height(values, [self._resampled(run, metric, unit.over) for run in runs], unit)

    def difference(self, right: Sequence[int], wrong: Sequence[int], metric: str) -> Height:
        """Return by how much the second experiment scores above the first."""
        pairs = list(zip(right, wrong, strict=True))
        values = [self._value(b, metric) - self._value(a, metric) for a, b in pairs]
        # Of two experiments the one that fewer speakers tell of decides; clips where one has few.
        unit = min(self._unit(right), self._unit(wrong))
        drawn = [
            self._resampled(b, metric, unit.over) - self._resampled(a, metric, unit.over)
            for a, b in pairs
        ]
        return _height(values, drawn, unit)

    def _value(self, run: int, metric: str) -> float:
        return float(METRICS[metric].of_counts(self._counts[run].sum(axis=0)))

    def _resampled(self, run: int, metric: str, over: Unit) -> Floats:
        """Return a run's score on each resample; NaN where it drew none of the run's speakers."""
        if (run, metric, over) not in self._drawn:
            size = self._counts.shape[-1]
            cells = self._counts[run].reshape(len(self._speakers), -1)
            drawn = self._times @ cells if over == "speakers" else self._clips(run, cells)
            counts = np.asarray(drawn, dtype=np.int64).reshape(RESAMPLES, size, size)
            values = METRICS[metric].of_counts(counts)
            self._drawn[run, metric, over] = np.where(counts.sum(axis=(1, 2)) > 0, values, np.nan)
        return self._drawn[run, metric, over]

    @cached_property
    def _times(self) -> NDArray[np.int64]:
        """How often each resample counts each speaker, (RESAMPLES, n_speakers)."""
        rng = np.random.default_rng(bootstrap_seed(self._anatomy.settings["seed"], "anatomy"))
        n = len(self._speakers)
        return rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)

    def _clips(self, run: int, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        seed = bootstrap_seed(self._anatomy.settings["seed"], "anatomy", str(run))
        counts = cells.sum(axis=0)
        rows = int(counts.sum())
        return np.random.default_rng(seed).multinomial(rows, counts / rows, size=RESAMPLES)


def _height(values: Sequence[float], drawn: Sequence[Floats], unit: Resampled) -> Height:
    known = np.isfinite(drawn)
    tested = known.any(axis=0)  # a resample without any tested speaker tells nothing
    means = np.where(known, drawn, 0.0).sum(axis=0)[tested] / known.sum(axis=0)[tested]
    mean = scored(float(np.mean(values)), means, unit, lowest=-1.0)
    return Height(mean, tuple(values))
