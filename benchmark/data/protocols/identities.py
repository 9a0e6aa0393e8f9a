"""Names of what a protocol keeps apart: speakers and sentences that share a recording are one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.protocols.protocol import Positions

SENTENCE = "statement"
"""Column of the spoken sentence."""


def identities(clips: pd.DataFrame, column: str) -> NDArray[Any]:
    """Return the name of each clip's value in a column; those that share a recording are one.

    Otherwise a recording listed under two speakers or sentences could be on both sides. Sentences
    are told apart by corpus, since two corpora may use one label for different sentences.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    values = clips[column]
    if column == SENTENCE:
        values = clips["corpus"] + "/" + values
    numbers, names = pd.factorize(values, sort=True)
    recordings, recording_names = pd.factorize(clips["samples"])
    links = coo_array(
        (np.ones(len(clips)), (numbers, recordings)), shape=(len(names), len(recording_names))
    ).tocsr()
    _, group_of = connected_components(links @ links.T, directed=False)
    groups = group_of[numbers]
    leaders: NDArray[Any] = values.groupby(groups).min().loc[groups].to_numpy()
    return leaders


def codes(clips: pd.DataFrame, columns: tuple[str, ...]) -> Positions:
    """Return a number for each value that inner folds keep apart, shape (n_clips, n_columns).

    A clip has -1 where its corpus has one sentence only: there is no other one to validate on.
    """
    found = np.empty((len(clips), len(columns)), dtype=np.intp)
    for place, column in enumerate(columns):
        names = pd.Series(identities(clips, column), index=clips.index)
        number = pd.factorize(names)[0]
        alone = names.groupby(clips["corpus"]).transform("nunique") == 1
        found[:, place] = np.where(alone & (column == SENTENCE), -1, number)
    return found
