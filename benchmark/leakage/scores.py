"""Scores of experiments: means over splits, with confidence intervals over speakers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.evaluation.intervals import (
    RESAMPLES,
    Score,
    bootstrap_seed,
    combined,
    effective,
    enough,
    resample_groups,
    standard_error,
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

    A score is the pooled one of a split's test rows, as the sources of the leaks report it.
    Intervals come from a cluster bootstrap of the speakers of each corpus. A resample counts a
    speaker as often in every run and every split: what runs share cancels in their differences, and
    splits with the same test speaker do not count as independent. The degrees of freedom follow
    from the speakers that the runs test; for a difference, from the experiment with fewer. Speakers
    of a corpus of which too few are tested are held fixed, with their clips.
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
        # A speaker's name begins with its corpus, so that it is unique over corpora.
        self._corpus_of = np.array([str(name).partition("/")[0] for name in self._speakers])
        self._resamples: dict[tuple[int, str, str], Floats] = {}

    def score(self, runs: Sequence[int], metric: str) -> MeanScore:
        """Return the mean score of an experiment's runs, one per split."""
        values = [self._value(run, metric) for run in runs]
        limits = METRICS[metric].low, METRICS[metric].high
        signed = [[(run, 1)] for run in runs]
        return self._mean(signed, values, self._effective(runs), metric, limits)

    def difference(self, clean: Sequence[int], leaky: Sequence[int], metric: str) -> MeanScore:
        """Return the score of the second experiment minus that of the first."""
        pairs = list(zip(clean, leaky, strict=True))
        values = [self._value(b, metric) - self._value(a, metric) for a, b in pairs]
        first, second = self._effective(clean), self._effective(leaky)
        fewer = {name: min(first[name], second[name]) for name in first.keys() & second.keys()}
        width = METRICS[metric].width
        signed = [[(a, -1), (b, 1)] for a, b in pairs]
        return self._mean(signed, values, fewer, metric, (-width, width))

    def _effective(self, runs: Sequence[int]) -> dict[str, float]:
        """Return the effective number of tested speakers of each corpus, 0 if they are too few."""
        tested = self._counts[list(runs)].sum(axis=(0, 2, 3))
        found = {}
        for corpus in sorted(set(self._corpus_of[tested > 0])):
            rows = tested[(self._corpus_of == corpus) & (tested > 0)]
            speakers = effective(rows)
            found[str(corpus)] = speakers if enough(len(rows), speakers) else 0.0
        return found

    def _mean(
        self,
        signed: Sequence[Sequence[tuple[int, int]]],
        values: Sequence[float],
        speakers: Mapping[str, float],
        metric: str,
        limits: tuple[float, float],
    ) -> MeanScore:
        """Return the mean over splits with its interval.

        Parameters
        ----------
        signed : sequence of sequence of (int, int)
            By split: its runs, each with 1, or -1 if it is to be subtracted.
        values : sequence of float
            By split.
        speakers : mapping of str to float
            Effective number of speakers by corpus, as `_effective`.
        metric : str
        limits : (float, float)
            Range of the mean.
        """
        mean = float(np.mean(values))
        fixed = tuple(sorted(name for name, count in speakers.items() if not count))
        sampled = sorted(name for name, count in speakers.items() if count)
        if not sampled:
            return MeanScore(Score(mean, None, 1.0, fixed, *limits), tuple(values))
        errors = []
        for corpus in sampled:
            drawn = [
                np.sum([sign * self._resampled(run, metric, corpus) for run, sign in split], axis=0)
                for split in signed
            ]
            known = np.isfinite(drawn)
            tested = known.any(axis=0)  # a resample without any tested speaker has no score
            sums = np.where(known, drawn, 0.0).sum(axis=0)[tested]
            errors.append(standard_error(sums / known.sum(axis=0)[tested], speakers[corpus]))
        error, freedom = combined(errors, [speakers[corpus] - 1 for corpus in sampled])
        return MeanScore(Score(mean, error, freedom, fixed, *limits), tuple(values))

    def _value(self, run: int, metric: str) -> float:
        return float(METRICS[metric].of_counts(self._counts[run].sum(axis=0)))

    def _resampled(self, run: int, metric: str, corpus: str) -> Floats:
        """Return a run's score with one corpus resampled; NaN if none of its speakers is drawn."""
        if (run, metric, corpus) not in self._resamples:
            own = self._corpus_of == corpus
            others = self._counts[run][~own].sum(axis=0)
            seed = bootstrap_seed(self._seed, STREAM, corpus)
            blocks = []
            for drawn in resample_groups(self._counts[run][own], seed, RESAMPLES):
                counts = drawn + others
                values = METRICS[metric].of_counts(counts)
                blocks.append(np.where(counts.sum(axis=(1, 2)) > 0, values, np.nan))
            self._resamples[run, metric, corpus] = np.concatenate(blocks)
        return self._resamples[run, metric, corpus]
