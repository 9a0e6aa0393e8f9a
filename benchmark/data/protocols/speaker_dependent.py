"""Speaker-dependent: test speakers also occur in training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmark.data.protocols.protocol import INNER, Folds, Mask, Positions, Protocol
from benchmark.errors import BenchmarkError


def hold_out_clips(clips: pd.DataFrame, test_size: float, seed: int) -> Mask:
    """Draw test clips stratified by emotion, exact duplicates together."""
    from sklearn.model_selection import train_test_split

    recordings = clips.drop_duplicates("samples")
    rarest = recordings["emotion"].value_counts()
    if rarest.min() < 2:
        raise BenchmarkError(
            f"{rarest.idxmin()} has one clip only; at least two are needed. "
            "Add recordings, or leave the emotion out."
        )
    try:
        _, drawn = train_test_split(
            recordings["samples"].to_numpy(),
            test_size=test_size,
            stratify=recordings["emotion"].to_numpy(),
            random_state=seed,
        )
    except ValueError as error:
        raise BenchmarkError(f"the clips can't be split: {error}") from error
    return np.asarray(clips["samples"].isin(drawn), dtype=np.bool_)


def divide_clips(
    clips: pd.DataFrame, n_folds: int, seed: int, folds_of: Folds = INNER
) -> Positions:
    """Deal clips to folds stratified by emotion, exact duplicates together."""
    from sklearn.model_selection import StratifiedKFold

    recordings = clips.drop_duplicates("samples")
    rarest = recordings["emotion"].value_counts()
    if rarest.min() < n_folds:
        raise BenchmarkError(
            f"{folds_of.of} has {rarest.min()} clips of {rarest.idxmin()}, too few "
            f"for {n_folds} folds. Lower {folds_of.setting} or leave the emotion out."
        )
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    fold_of: dict[str, int] = {}
    names = recordings["samples"].to_numpy()
    for number, (_, held_out) in enumerate(splitter.split(names, recordings["emotion"])):
        fold_of.update(dict.fromkeys(names[held_out], number))
    return np.asarray(clips["samples"].map(fold_of), dtype=np.intp)


SPEAKER_DEPENDENT = Protocol(
    name="speaker-dependent",
    title="speaker-dependent",
    abbreviation="SD",
    description="clips are drawn at random, stratified by emotion: test speakers also occur in "
    "training",
    tested_on="speakers that also occur in training",
    divide=divide_clips,
    hold_out=hold_out_clips,
    kept_apart=(),
    stream="random",
)
