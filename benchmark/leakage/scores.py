"""Scores of experiments: means over splits, with confidence intervals over speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evaluation.intervals import (
    FEWEST_SPEAKERS,
    RESAMPLES,
    Resampled,
    Score,
    Unit,
    bootstrap_seed,
    effective,
    scored,
)
from benchmark.evaluation.metrics import METRICS, Floats
from benchmark.leakage.stored import Ablation

STREAM = "anatomy"
"""Part of the seed of the resamples. Another word would change the published intervals."""


@dataclass(frozen=True)
class MeanScore:
    """A score, or a difference of scores, over several splits.

    Attributes
    ----------
    mean : Score
        With its confidence interval.
    by_split : tuple of float
    """

    mean: Score
    by_split: tuple[float, ...]


class AblationScores:
    """The scores of an ablation's runs.

    Intervals come from a cluster bootstrap (`scored`) over all speakers of the study. A resample
    counts a speaker as often in every run and every split: what runs share cancels in their
    differences, and splits with the same test speaker do not count as independent. The degrees of
    freedom follow from the speakers that the runs test; for a difference, from the experiment with
    fewer. Below `FEWEST_SPEAKERS` effective speakers, the test rows of each run are resampled.
    """

    def __init__(self, ablation: Ablation) -> None:
        self._seed = ablation.study.seed
        table = ablation.predictions
        speakers, self._speakers = pd.factorize(table["speaker"], sort=True)
        emotions = pd.Index(ablation.emotions)
        size = len(emotions)
        self._counts = np.zeros(
            (len(ablation.runs), len(self._speakers), size, size), dtype=np.int64
        )
        cells = (
            table["run"].to_numpy(),
            speakers,
            emotions.get_indexer(pd.Index(table["emotion"])),
            emotions.get_indexer(pd.Index(table["predicted"])),
        )
        np.add.at(self._counts, cells, table["rows"].to_numpy())
        self._resamples: dict[tuple[int, str, Unit], Floats] = {}

    def score(self, runs: Sequence[int], metric: str) -> MeanScore:
        """Return the mean score of an experiment's runs, one per split."""
        unit = self._unit(runs)
        values = [self._value(run, metric) for run in runs]
        resamples = [self._resampled(run, metric, unit.over) for run in runs]
        return _mean(resamples, values, unit, (METRICS[metric].low, METRICS[metric].high))

    def difference(self, clean: Sequence[int], leaky: Sequence[int], metric: str) -> MeanScore:
        """Return the score of the second experiment minus that of the first."""
        pairs = list(zip(clean, leaky, strict=True))
        values = [self._value(b, metric) - self._value(a, metric) for a, b in pairs]
        unit = min(self._unit(clean), self._unit(leaky))
        resamples = [
            self._resampled(b, metric, unit.over) - self._resampled(a, metric, unit.over)
            for a, b in pairs
        ]
        width = METRICS[metric].width
        return _mean(resamples, values, unit, (-width, width))

    def _unit(self, runs: Sequence[int]) -> Resampled:
        """Return the resampling unit of an experiment, and its effective number."""
        tested = self._counts[list(runs)].sum(axis=(0, 2, 3))
        speakers = effective(tested)
        if speakers < FEWEST_SPEAKERS:
            return Resampled("clips", float(tested.sum() / len(runs)))
        return Resampled("speakers", speakers)

    def _value(self, run: int, metric: str) -> float:
        return float(METRICS[metric].of_counts(self._counts[run].sum(axis=0)))

    def _resampled(self, run: int, metric: str, over: Unit) -> Floats:
        """Return a run's score on each resample; NaN if a resample has none of its speakers."""
        if (run, metric, over) not in self._resamples:
            size = self._counts.shape[-1]
            cells = self._counts[run].reshape(len(self._speakers), -1)
            drawn = self._weights @ cells if over == "speakers" else self._rows(run, cells)
            counts = np.asarray(drawn, dtype=np.int64).reshape(RESAMPLES, size, size)
            values = METRICS[metric].of_counts(counts)
            known = counts.sum(axis=(1, 2)) > 0
            self._resamples[run, metric, over] = np.where(known, values, np.nan)
        return self._resamples[run, metric, over]

    @cached_property
    def _weights(self) -> NDArray[np.int64]:
        """How often each resample contains each speaker, of shape (RESAMPLES, n_speakers)."""
        rng = np.random.default_rng(bootstrap_seed(self._seed, STREAM))
        n = len(self._speakers)
        return rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)

    def _rows(self, run: int, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return resampled counts of a run's rows, of shape (RESAMPLES, n_cells)."""
        rng = np.random.default_rng(bootstrap_seed(self._seed, STREAM, str(run)))
        counts = cells.sum(axis=0)
        n = int(counts.sum())
        return rng.multinomial(n, counts / n, size=RESAMPLES)


def _mean(
    resamples: Sequence[Floats],
    values: Sequence[float],
    unit: Resampled,
    limits: tuple[float, float],
) -> MeanScore:
    known = np.isfinite(resamples)
    tested = known.any(axis=0)  # a resample without any tested speaker has no score
    means = np.where(known, resamples, 0.0).sum(axis=0)[tested] / known.sum(axis=0)[tested]
    return MeanScore(scored(float(np.mean(values)), means, unit, *limits), tuple(values))
