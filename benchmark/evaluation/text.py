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
    sentences : int
        Number of different sentences.
    tied : float
        Share of clips whose sentence is spoken several times, always with one emotion.
    cramers_v : float
        Cramér's V of sentence and emotion, bias-corrected (Bergsma 2013, A bias-correction for
        Cramér's V and Tschuprow's T): 0 without association, 1 if each emotion has one sentence and
        each sentence one emotion. With more sentences than emotions it stays below 1 even if all
        are tied.
    """

    corpus: str
    sentences: int
    tied: float
    cramers_v: float

    @property
    def tells_emotion(self) -> bool:
        """Whether the sentence tells the emotion of most clips."""
        return self.tied > TIED


def text_associations(result: Result) -> Iterator[TextAssociation]:
    """Yield the association of sentence and emotion in each corpus whose sentences are known.

    It is that of the clips that models learn from: the mean over training sides.
    """
    if result.clips is None or "statement" not in result.clips:
        return
    table = result.predictions if result.out_of_fold is None else result.out_of_fold
    side_of = ["protocol", *(["part"] if "part" in table else [])]
    learned = table[[*side_of, "corpus", "clip", "emotion"]].drop_duplicates()
    learned = learned.merge(_spoken(result, learned), on="clip")
    for corpus, rows in learned[learned["statement"] != ""].groupby("corpus"):
        sides = [
            association(str(corpus), side["statement"], side["emotion"])
            for _, side in rows.groupby(side_of)
        ]
        yield TextAssociation(
            corpus=str(corpus),
            sentences=int(rows["statement"].nunique()),
            tied=float(np.mean([side.tied for side in sides])),
            cramers_v=float(np.mean([side.cramers_v for side in sides])),
        )


def _spoken(result: Result, clips: pd.DataFrame) -> pd.DataFrame:
    """Return the sentence of each clip, as its name tells it if it does, otherwise as stored."""
    assert result.clips is not None, "text_associations has looked"
    names = clips[["clip", "corpus"]].drop_duplicates("clip")
    known = names.merge(result.clips[["clip", "statement"]], on="clip")
    for corpus, rows in known.groupby("corpus"):
        entry = CORPORA.get(str(corpus))
        if entry is not None and entry.official is not None and entry.parse is not None:
            parsed = [entry.parse(clip.partition("/")[2]) for clip in rows["clip"]]
            known.loc[rows.index, "statement"] = [
                clip.statement if isinstance(clip, Clip) else stored
                for clip, stored in zip(parsed, rows["statement"], strict=True)
            ]
    return known[["clip", "statement"]]


def association(corpus: str, sentences: pd.Series, emotions: pd.Series) -> TextAssociation:
    """Return the association of the sentence and the emotion of each clip."""
    rows, columns = (pd.factorize(one)[0] for one in (sentences, emotions))
    shape = (rows.max() + 1, columns.max() + 1)
    counts = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)
    spoken = counts.sum(axis=1)
    tied = ((counts > 0).sum(axis=1) == 1) & (spoken > 1)
    return TextAssociation(
        corpus=corpus,
        sentences=len(counts),
        tied=float(spoken[tied].sum() / spoken.sum()),
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
