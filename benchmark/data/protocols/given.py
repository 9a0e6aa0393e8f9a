"""Given: the official partitions that a corpus, or a user's table, states for its clips."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from benchmark.data.protocols.protocol import Protocol, Sides
from benchmark.data.protocols.speaker_dependent import SPEAKER_DEPENDENT
from benchmark.data.protocols.speaker_independent import SPEAKER_INDEPENDENT
from benchmark.errors import BenchmarkError

SPLIT, FOLD = "split", "fold"
"""Columns of clips: train, dev or test, and the name of the fold that tests a clip."""

TRAIN = ("train", "training")
DEV = ("dev", "devel", "development", "val", "valid", "validation")
TEST = re.compile(r"test[\w.-]*")
FOLD_NAME = re.compile(r"\w[\w .-]*")


def given_sides(clips: pd.DataFrame) -> Sides:
    """Return each given test part with the training side, or each given fold with all others."""
    stated = [name for name in (SPLIT, FOLD) if name in clips and (clips[name] != "").any()]
    if not stated:
        raise BenchmarkError(
            "needs official partitions, and no clip has one. Give each clip a split (train, dev, "
            "test) or a fold, as columns of your own table, or take another protocol."
        )
    if len(stated) == 2:
        raise BenchmarkError(
            "the clips have both a split and a fold. Keep one of the two: split for one test side, "
            "fold to test every clip once."
        )
    without = clips.loc[clips[stated[0]] == "", "clip"]
    if len(without):
        raise BenchmarkError(
            f"{len(without)} of {len(clips)} clips have no {stated[0]}, such as "
            f"{without.iloc[0]}. Give one to every clip, or remove these clips."
        )
    return _test_parts(clips) if stated == [SPLIT] else _folds(clips)


def _test_parts(clips: pd.DataFrame) -> Sides:
    """Return each test part; dev clips are trained on, too."""
    sides = clips[SPLIT].str.lower()
    trained = sides.isin(TRAIN + DEV)
    tested = sides.map(lambda name: TEST.fullmatch(name) is not None)
    others = clips.loc[~trained & ~tested]
    if len(others):
        raise BenchmarkError(
            f"{others['clip'].iloc[0]} has the split {others[SPLIT].iloc[0]!r}. Allowed: "
            f"{', '.join(TRAIN + DEV)}, and test or a name such as test1."
        )
    for name, side in (("train", sides.isin(TRAIN)), ("test", tested)):
        if not side.any():
            raise BenchmarkError(f"no clip has the split {name}. Both train and test are needed.")
    names = sorted(set(sides[tested]))
    return {
        name if len(names) > 1 else "": (trained.to_numpy(), (sides == name).to_numpy())
        for name in names
    }


def _folds(clips: pd.DataFrame) -> Sides:
    """Return each fold as test side, all the others as training side."""
    names = sorted(set(clips[FOLD]), key=lambda name: (not name.isdigit(), len(name), name))
    if len(names) < 2:
        raise BenchmarkError(f"needs two folds or more, and there is only {names[0]!r}.")
    for name in names:
        if not FOLD_NAME.fullmatch(name):
            raise BenchmarkError(
                f"{name!r} can't be the name of a fold. Allowed: letters, digits, blanks and "
                "_ . -, a letter or digit first."
            )
    tests = {name: (clips[FOLD] == name).to_numpy() for name in names}
    return {
        f"f{name}" if name.isdigit() else name: (np.logical_not(test), test)
        for name, test in tests.items()
    }


def inner_protocol(train: pd.DataFrame, test: pd.DataFrame) -> Protocol:
    """Return the protocol that the two sides follow in fact, by their speakers."""
    shared = set(train["speaker"]) & set(test["speaker"])
    return SPEAKER_DEPENDENT if shared else SPEAKER_INDEPENDENT


GIVEN = Protocol(
    name="given",
    title="on the given partition",
    abbreviation="given",
    description="the sides are those that the corpus states: each given test part after training "
    "on train and dev, or each given fold after training on the others; models are selected on "
    "inner folds of train and dev together, not on dev alone",
    tested_on="the given test side",
    divide=SPEAKER_DEPENDENT.divide,
    sides=given_sides,
    inner_protocol=inner_protocol,
    kept_apart=(),
)
