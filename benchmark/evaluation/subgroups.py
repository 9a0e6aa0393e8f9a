"""Subgroup performance: a model's score by speaker, gender, statement, intensity and the like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.corpora.raters import FACT
from benchmark.evaluation.intervals import (
    Score,
    bootstrap_seed,
    independent_difference,
    paired_difference,
    score_of,
)
from benchmark.evaluation.metrics import METRICS, confusion

SPEAKER = "speaker"
FIRST = (SPEAKER, "gender", "intensity", "statement")
"""Order of the facts by which clips are divided; others follow."""

FEWEST_CLIPS = 4
"""Clips of an emotion that a subgroup needs to be measured on it."""


@dataclass(frozen=True)
class Group:
    """A subgroup of a corpus's clips.

    Attributes
    ----------
    name : str
        The common value: ``female``, ``strong``, a statement, a speaker.
    clips, speakers : int
        Of the emotions compared.
    score : Score
        Without an interval where speakers are too few for one, as for a single speaker.
    """

    name: str
    clips: int
    speakers: int
    score: Score


@dataclass(frozen=True)
class Division:
    """The clips of one corpus, divided by one fact.

    Attributes
    ----------
    corpus, by : str
        `by` is speaker, gender, or a fact of clips.csv.
    emotions : tuple of str
        Those of which every group has enough clips: groups are compared on the same emotions.
    without : tuple of str
        The other emotions of the corpus.
    whole : float
        The score of the clips of all groups together, of `emotions`.
    groups : tuple of Group
        By name; at least two, but one speaker suffices.
    left_out : int
        Number of groups with too few clips.
    gap : Score or None
        First group minus second, if there are exactly two.
    paired : bool
        Whether both have the same speakers, who are then resampled together.
    """

    corpus: str
    by: str
    emotions: tuple[str, ...]
    without: tuple[str, ...]
    whole: float
    groups: tuple[Group, ...]
    left_out: int
    gap: Score | None
    paired: bool

    @property
    def named_emotions(self) -> str:
        """On how many emotions groups are compared, if not on all of the corpus."""
        n_emotions = len(self.emotions) + len(self.without)
        return f"on {len(self.emotions)} of {n_emotions} emotions" if self.without else ""

    @property
    def worst(self) -> Group:
        """The group with the lowest score."""
        return min(self.groups, key=lambda group: group.score.value)

    @property
    def best(self) -> Group:
        """The group with the highest score."""
        return max(self.groups, key=lambda group: group.score.value)


def divisions(
    rows: pd.DataFrame,
    clips: pd.DataFrame | None,
    emotions: Sequence[str],
    metric: str,
    seed: int,
) -> list[Division]:
    """Return the subgroups of a model's test clips, by corpus and fact.

    A corpus is divided by a fact if at least two groups (or one speaker) have `FEWEST_CLIPS` clips
    of half its emotions and two emotions in common. Corpora are not pooled: if one has women only,
    a difference between genders would be one between corpora.

    Parameters
    ----------
    rows : DataFrame of shape (n_clips, ...)
        One model's rows of one protocol.
    clips : DataFrame or None
        Facts by clip, as `Result.clips`; None if they are not stored.
    emotions : sequence of str
        The study's emotions.
    metric : str
        A name in `METRICS`.
    seed : int
        For the resamples.
    """
    facts = [] if clips is None else [name for name in clips if name != "clip"]
    facts = [name for name in facts if not name.startswith(FACT)]
    if clips is not None:
        rows = rows.merge(clips, on="clip", how="left")
    return [
        division
        for corpus, part in rows.groupby("corpus", sort=True)
        for by in dict.fromkeys([*FIRST, *facts])
        if by in part
        for division in _divide(part, (str(corpus), by), emotions, metric, seed)
    ]


def _divide(
    rows: pd.DataFrame, place: tuple[str, str], emotions: Sequence[str], metric: str, seed: int
) -> Iterator[Division]:
    """Yield a corpus divided by one fact; nothing if it cannot be divided."""
    corpus, by = place
    known = rows[rows[by].fillna("") != ""]
    counts = pd.crosstab(known[by], known["emotion"])
    enough = counts >= FEWEST_CLIPS
    measured = enough[enough.sum(axis=1) >= rows["emotion"].nunique() / 2]
    shared = [emotion for emotion in measured.columns if measured[emotion].all()]
    fewest = 1 if by == SPEAKER else 2
    if len(measured) < fewest or len(shared) < 2:
        return
    part = known[known["emotion"].isin(shared) & known[by].isin(measured.index)]
    by_name = {str(name): members for name, members in part.groupby(by)}
    groups = tuple(
        _group(name, members, emotions, metric, bootstrap_seed(seed, corpus, by, name))
        for name, members in by_name.items()
    )
    difference, paired = None, False
    if len(groups) == 2:
        first, second = by_name.values()
        paired = set(first["speaker"]) == set(second["speaker"])
        difference = independent_difference(groups[0].score, groups[1].score)
        if paired:
            seed = bootstrap_seed(seed, corpus, by)
            difference = paired_difference(first, second, emotions, seed).scores[metric]
    yield Division(
        corpus=corpus,
        by=by,
        emotions=tuple(shared),
        without=tuple(sorted({*rows["emotion"]} - {*shared})),
        whole=float(METRICS[metric].of_counts(confusion(part, emotions))),
        groups=groups,
        left_out=len(counts) - len(measured),
        gap=difference,
        paired=paired,
    )


def _group(name: str, rows: pd.DataFrame, emotions: Sequence[str], metric: str, seed: int) -> Group:
    clips, speakers = rows["clip"].nunique(), rows["speaker"].nunique()
    return Group(name, clips, speakers, score_of(rows, emotions, metric, seed))
