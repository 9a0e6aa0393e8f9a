"""The check of single numbers: what duration, level or pitch alone recognise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.audit.evidence import SPEAKER, Check, Evidence, Finding, recordings

FOLDS = 5
STRONG = 2.0
"""Ratio of UAR to chance above which duration or level alone is a doubt."""

OF_THE_RECORDING = ("duration", "level")
"""Numbers that depend on how was recorded and cut, not only on the voice."""


def single_numbers(evidence: Evidence) -> Iterator[Finding]:
    """Yield corpora in which a single number recognises emotions of other speakers."""
    assert evidence.sound is not None, "the check needs recordings"
    clips = evidence.clips.reset_index(drop=True)
    for corpus, rows in clips.groupby("corpus"):
        n_speakers, emotions = rows[SPEAKER].nunique(), sorted(set(rows["emotion"]))
        if n_speakers < 2 or len(emotions) < 2:
            continue
        chance = 1 / len(emotions)
        scores = {
            name: uar_of_number(values.to_numpy(), rows["emotion"], rows[SPEAKER])
            for name, values in evidence.sound.numbers.iloc[rows.index].items()
        }
        ordered = sorted(scores.items(), key=lambda pair: -pair[1])
        doubtful = [
            str(name)
            for name, score in ordered
            if score > STRONG * chance and str(name).startswith(OF_THE_RECORDING)
        ]
        best, highest = ordered[0]
        problem = (
            f"{best.capitalize()} alone reaches UAR {highest:.3f} on other speakers; chance is "
            f"{chance:.3f}."
        )
        if doubtful:
            problem += (
                f" UAR above {STRONG:.0f} times chance: {' and '.join(doubtful)}. Such a number "
                "also depends on the microphone, the distance and the cut, not only on the voice."
            )
        yield Finding(
            "single-numbers",
            "doubt" if doubtful else "note",
            str(corpus),
            problem,
            "Test recordings of another microphone and cut before you claim that the voice is "
            "recognised."
            if doubtful
            else "A model has to be better than this number.",
            None,
            ("Number", "UAR"),
            tuple((str(name), f"{score:.3f}") for name, score in ordered),
        )


def uar_of_number(values: NDArray[np.float64], emotions: pd.Series, speakers: pd.Series) -> float:
    """Return UAR of one number on speakers not in training.

    By a normal distribution of each emotion, all emotions being equally probable, in at most five
    folds of speakers.
    """
    from sklearn.metrics import recall_score
    from sklearn.model_selection import GroupKFold
    from sklearn.naive_bayes import GaussianNB

    numbers, labels = np.nan_to_num(values)[:, None], emotions.to_numpy(dtype=np.str_)
    predicted = np.empty_like(labels)
    folds = GroupKFold(min(FOLDS, speakers.nunique()))
    for train, test in folds.split(numbers, labels, speakers):
        n_known = len(np.unique(labels[train]))
        model = GaussianNB(priors=np.full(n_known, 1 / n_known)).fit(numbers[train], labels[train])
        predicted[test] = model.predict(numbers[test])
    return float(recall_score(labels, predicted, average="macro", zero_division=0))


CHECKS = (Check("single-numbers", "What a single number recognises", single_numbers, recordings),)
