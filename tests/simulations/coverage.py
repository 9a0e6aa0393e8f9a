"""Coverage of the intervals by design: `python -m tests.simulations.coverage > .../coverage.md`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evaluation.intervals import Interval, evaluate, paired_difference
from tests.simulations.speakers import CONCENTRATION, MEANS, draw_counts, draw_recalls

EMOTIONS = tuple("abcdefg")
RESAMPLES = 400
"""Of each data set: what they lack in precision averages out over data sets."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Corpus:
    """A simulated corpus.

    Attributes
    ----------
    clips : tuple of int
        Clips of each emotion, by speaker.
    level : float
        Added to the mean recall of each emotion, 0.2 to 0.7.
    concentration : float
        Of the beta distributions of the speakers' recalls: the smaller, the more speakers differ.
    hard : float
        Share of speakers whose recalls are half as high.
    """

    clips: tuple[int, ...]
    level: float = 0.0
    concentration: float = CONCENTRATION
    hard: float = 0.0

    @property
    def means(self) -> Floats:
        """Mean recall of each emotion over all speakers that there might be."""
        return np.asarray(self._easy * (1 - self.hard / 2))

    @property
    def _easy(self) -> Floats:
        return np.clip(MEANS + self.level, 0.02, 0.98)

    def draw(self, rng: np.random.Generator) -> Floats:
        """Return the recalls of speakers, of shape (n_speakers, n_emotions)."""
        recalls = draw_recalls(len(self.clips), rng, self._easy, self.concentration)
        hard = rng.uniform(size=len(recalls)) < self.hard
        return np.where(hard[:, None], recalls / 2, recalls)


RAVDESS, SAVEE, TESS = (8,) * 24, (17,) * 4, (50,) * 2
"""Clips of each emotion as in these corpora, but a quarter of TESS's, to save time."""

SHOWN: dict[str, tuple[Corpus, ...]] = {
    "24 + 4 + 2 speakers, corpora alike": (Corpus(RAVDESS), Corpus(SAVEE), Corpus(TESS)),
    "24 + 4 + 2 speakers, corpora of other levels and spreads": (
        Corpus(RAVDESS, -0.15, 16), Corpus(SAVEE, 0.0, 4), Corpus(TESS, 0.25, 30),
    ),
    "6 + 1 + 1 speakers, corpora alike": (Corpus((8,) * 6), Corpus((17,)), Corpus((50,))),
    "6 + 1 + 1 speakers, corpora of other levels and spreads": (
        Corpus((8,) * 6, -0.1, 12), Corpus((17,), 0.0, 4), Corpus((50,), 0.25, 30),
    ),
    "24 + 12 speakers, corpora of other levels and spreads": (
        Corpus(RAVDESS, -0.15, 16), Corpus((10,) * 12, 0.2, 4),
    ),
    "4 speakers": (Corpus(SAVEE),),
    "6 speakers": (Corpus((8,) * 6),),
    "8 speakers": (Corpus((8,) * 8),),
    "12 speakers": (Corpus((8,) * 12),),
    "24 speakers": (Corpus(RAVDESS),),
    "8 speakers who differ much": (Corpus((8,) * 8, 0.0, 3),),
    "8 speakers, recall 0.78 to 0.98": (Corpus((8,) * 8, 0.45),),
    "24 speakers, recall 0.78 to 0.98": (Corpus(RAVDESS, 0.45),),
    "10 speakers of 21 to 168 clips": (Corpus((3, 5, 7, 10, 12, 14, 17, 19, 21, 24)),),
    "24 + 10 speakers, unequal clips": (
        Corpus(tuple(range(2, 26)), -0.1), Corpus((3, 5, 7, 10, 12, 14, 17, 19, 21, 24), 0.2),
    ),
}  # fmt: skip
"""The designs for which the pages say that the intervals hold."""

NOT_SHOWN: dict[str, tuple[Corpus, ...]] = {
    f"{n} speakers, one in seven half as well recognised": (Corpus((8,) * n, 0.25, 20, 0.15),)
    for n in (8, 12, 24)
}
"""Designs for which few speakers are not enough: a sample often has none of another kind."""


class Coverage(NamedTuple):
    """Shares of data sets in which an interval covers the true value; NaN without an interval.

    Attributes
    ----------
    score : float
        Of the mean over corpora.
    percentiles : float
        The same by percentiles of the resamples.
    gap : float
        Of the paired difference of two models on the same clips.
    pooled : float
        Of the accuracy of all clips together, as sources report it.
    width : float
        Mean width of the interval of the score.
    """

    score: float
    percentiles: float
    gap: float
    pooled: float
    width: float


def coverage(corpora: tuple[Corpus, ...], datasets: int, seed: int) -> Coverage:
    """Return the coverage in a design.

    The truth is the mean over corpora of the UAR over all speakers that there might be; in a corpus
    whose speakers are held fixed, over those.
    """
    rng = np.random.default_rng(seed)
    found = [_one(corpora, rng, place) for place in range(datasets)]
    return Coverage(*np.mean(found, axis=0).tolist())


def _one(corpora: tuple[Corpus, ...], rng: np.random.Generator, seed: int) -> Coverage:
    sides: tuple[list[pd.DataFrame], ...] = ([], [])
    truths: tuple[list[tuple[float, float]], ...] = ([], [])
    for place, corpus in enumerate(corpora):
        recalls = corpus.draw(rng)
        weaker = rng.uniform(0.5, 1.0, recalls.shape)
        speakers = np.asarray(corpus.clips) / sum(corpus.clips)
        for side, (own, mean) in enumerate(
            ((recalls, corpus.means), (recalls * weaker, 0.75 * corpus.means))
        ):
            counts = draw_counts(own, corpus.clips, rng)
            sides[side].append(_rows(str(place), counts, rng))
            truths[side].append((float(mean.mean()), float((speakers @ own).mean())))
    tables = [pd.concat(one, ignore_index=True) for one in sides]
    evaluation = evaluate(tables[0], EMOTIONS, seed, RESAMPLES)
    score = evaluation.scores["uar"]
    gap = paired_difference(tables[0], tables[1], EMOTIONS, seed, RESAMPLES).scores["uar"]
    fixed = np.array([str(place) in score.fixed for place in range(len(corpora))])
    true, other = (float(np.mean(np.where(fixed, *np.array(one).T[::-1]))) for one in truths)
    # Each emotion has equally many clips, so that accuracy is the mean weighted by clips.
    clips = np.array([sum(corpus.clips) for corpus in corpora])
    together = float(np.average(np.where(fixed, *np.array(truths[0]).T[::-1]), weights=clips))
    width = np.ptp(score.interval) if score.interval else np.nan
    return Coverage(
        _holds(score.interval, true),
        _holds(score.percentiles, true),
        _holds(gap.interval, true - other),
        _holds(evaluation.pooled["accuracy"].interval, together),
        width,
    )


def _holds(interval: Interval | None, truth: float) -> float:
    return np.nan if interval is None else float(interval.low <= truth <= interval.high)


def _rows(corpus: str, counts: NDArray[np.int64], rng: np.random.Generator) -> pd.DataFrame:
    """Return a row per clip of confusion counts of shape (n_speakers, n_emotions, n_emotions)."""
    speakers, true, predicted = (np.repeat(one, counts.ravel()) for one in np.indices(counts.shape)
                                 .reshape(3, -1))  # fmt: skip
    # A clip has the same place for every model; which clips are recognised is drawn.
    order = np.lexsort((rng.uniform(size=len(true)), true, speakers))
    rows = pd.DataFrame(np.eye(len(EMOTIONS))[predicted[order]])
    rows.columns = pd.Index([f"p_{emotion}" for emotion in EMOTIONS])
    return rows.assign(
        clip=[f"{corpus}/{place}" for place in range(len(rows))],
        corpus=corpus,
        speaker=np.char.add(f"{corpus}/", speakers[order].astype(np.str_)),
        emotion=np.array(EMOTIONS)[true[order]],
    )


def main() -> None:
    """Print the coverage, one row per design."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=1000)
    datasets = parser.parse_args().datasets
    print(HEAD.format(datasets=datasets))  # noqa: T201
    for designs, words in ((SHOWN, ""), (NOT_SHOWN, LIMIT)):
        print(words + TABLE)  # noqa: T201
        for name, corpora in designs.items():
            found = coverage(corpora, datasets, seed=0)
            cells = " | ".join("none" if np.isnan(one) else f"{one:.3f}" for one in found)
            print(f"| {name} | {cells} |", flush=True)  # noqa: T201


HEAD = """# How often the 95 % intervals cover the true value, by design

Written by `python -m tests.simulations.coverage`: {datasets:,} simulated data sets a design, seven
emotions, with the code that computes the pages' intervals. The standard error of a share is about
0.007 for 1,000 data sets. The true value of a score is the mean over corpora of the UAR over all
speakers that there might be; in a corpus of fewer than six speakers, which are held fixed, over
these speakers. "none": no interval is printed. Gap: a paired difference on the same clips.
Accuracy, pooled: of all clips together, as the pages show it beside a source's figure.
"""
TABLE = """
| Design | Score | Score by percentiles | Gap | Accuracy, pooled | Width of the score's interval |
| :--- | ---: | ---: | ---: | ---: | ---: |"""
LIMIT = """
## Where few speakers are not enough

Some speakers are of another kind, and a sample often has none of them. No method can know of them.
"""


if __name__ == "__main__":
    main()
