"""Association of sentence and emotion: whether a sentence tells the emotion of its clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.corpora import CORPORA, Clip
from benchmark.evaluation.results import Result

TIED = 0.5
"""Share of clips with a tied sentence above which pages warn: for most clips, a model that knows
the sentence can name the emotion without hearing how it is spoken."""


@dataclass(frozen=True)
class TextAssociation:
    """How far the sentences of a corpus tell the emotion.

    Attributes
    ----------
    corpus : str
    sentences, clips : int
        Number of sentences, and of clips whose sentence is known.
    tied_clips : int
        Clips whose sentence is spoken several times, always with one emotion.
    cramers_v : float
        Cramér's V of sentence and emotion, bias-corrected (Bergsma 2013, A bias-correction for
        Cramér's V and Tschuprow's T): 0 without association, 1 if each emotion has one sentence and
        each sentence one emotion. With more sentences than emotions it stays below 1 even if all
        are tied.
    """

    corpus: str
    sentences: int
    clips: int
    tied_clips: int
    cramers_v: float

    @property
    def tied(self) -> float:
        """Share of clips whose sentence occurs with one emotion only."""
        return self.tied_clips / self.clips

    @property
    def tells_emotion(self) -> bool:
        """Whether the sentence tells the emotion of most clips."""
        return self.tied > TIED


def text_associations(result: Result) -> Iterator[TextAssociation]:
    """Yield the association of sentence and emotion in each corpus whose sentences are known."""
    if result.clips is None or "statement" not in result.clips:
        yield from _official_associations(result)
        return
    columns = ["clip", "corpus", "emotion"]
    tables = [result.predictions, result.out_of_fold]
    known = pd.concat([table[columns] for table in tables if table is not None])
    clips = known.drop_duplicates("clip").merge(result.clips[["clip", "statement"]], on="clip")
    for corpus, rows in clips[clips["statement"] != ""].groupby("corpus"):
        yield association(str(corpus), rows["statement"], rows["emotion"])


def _official_associations(result: Result) -> Iterator[TextAssociation]:
    """Yield the associations in complete copies of the corpora, as names of clips tell them.

    An older result has no table of clips, and its predictions hold test clips only: of SAVEE, two
    clips with one sentence may be on different sides.
    """
    for name in sorted(set(result.predictions["corpus"])):
        entry = CORPORA.get(name)
        if entry is None or entry.parse is None or entry.official is None:
            continue
        parsed = [entry.parse(clip) for clip in entry.official_names]
        clips = [
            clip
            for clip in parsed
            if isinstance(clip, Clip) and clip.statement and clip.emotion in result.emotions
        ]
        if clips:
            spoken = pd.Series([clip.statement for clip in clips])
            yield association(name, spoken, pd.Series([clip.emotion for clip in clips]))


def association(corpus: str, sentences: pd.Series, emotions: pd.Series) -> TextAssociation:
    """Return the association of the sentence and the emotion of each clip."""
    counts = pd.crosstab(sentences, emotions).to_numpy()
    spoken = counts.sum(axis=1)
    tied = ((counts > 0).sum(axis=1) == 1) & (spoken > 1)
    return TextAssociation(
        corpus=corpus,
        sentences=len(counts),
        clips=int(counts.sum()),
        tied_clips=int(spoken[tied].sum()),
        cramers_v=_cramers_v(counts),
    )


def _cramers_v(counts: np.ndarray) -> float:
    """Return the bias-corrected Cramér's V of a table of counts; 0 for a single row or column."""
    n_rows, n_columns = counts.shape
    n = counts.sum()
    if min(counts.shape) < 2 or n < 2:
        return 0.0
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / n
    phi2 = ((counts - expected) ** 2 / expected).sum() / n
    corrected = max(0.0, phi2 - (n_rows - 1) * (n_columns - 1) / (n - 1))
    fewest = min(size - (size - 1) ** 2 / (n - 1) for size in counts.shape)
    return float(np.sqrt(corrected / (fewest - 1))) if fewest > 1 else 0.0
