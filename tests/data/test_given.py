"""Given partitions: the sides that a corpus or a table states are those of the splits."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from benchmark import study
from benchmark.data.splits import LeakError, Split, draw_splits
from benchmark.errors import BenchmarkError

EMOTIONS = ("angry", "sad")


def clips(**columns: list[str]) -> pd.DataFrame:
    """Clips of eight speakers, two of each emotion; a column has one value per speaker."""
    rows = [
        (f"own/{speaker}_{emotion}_{take}", f"own/{speaker}", "unknown", emotion, speaker)
        for speaker, emotion, take in itertools.product(range(8), EMOTIONS, range(2))
    ]
    frame = pd.DataFrame(rows, columns=["clip", "speaker", "gender", "emotion", "place"])
    facts = {name: np.array(values)[frame["place"]] for name, values in columns.items()}
    return frame.assign(corpus="own", samples=frame["clip"], **facts)


def drawn(frame: pd.DataFrame, n_folds: int = 3) -> dict[str, Split]:
    return {one.part: one for one in draw_splits("given", frame, study.Split(), n_folds, 0)}


def speakers_tested(split: Split, frame: pd.DataFrame) -> set[int]:
    return set(frame["place"][split.test])


@pytest.mark.parametrize("dev", ["dev", "Development", "devel", "val", "valid", "validation"])
def test_the_test_part_is_tested_and_train_and_dev_are_trained_on(dev: str) -> None:
    frame = clips(split=["Train"] * 4 + [dev] * 2 + ["TEST"] * 2)
    [split] = drawn(frame).values()
    assert split.name == "given"
    assert speakers_tested(split, frame) == {6, 7}
    assert (split.train == ~split.test).all()
    assert split.n_folds == 3


def test_several_test_parts_are_several_splits_of_one_training_side() -> None:
    frame = clips(split=["train"] * 4 + ["test2"] * 2 + ["test1"] * 2)
    parts = drawn(frame)
    assert {name: speakers_tested(split, frame) for name, split in parts.items()} == {
        "test1": {6, 7},
        "test2": {4, 5},
    }
    assert {frozenset(frame["place"][split.train]) for split in parts.values()} == {
        frozenset(range(4))
    }


def test_each_given_fold_is_tested_once_after_training_on_the_others() -> None:
    frame = clips(fold=["10", "10", "2", "2", "Ses A", "Ses A", "1", "1"])
    parts = drawn(frame)
    assert list(parts) == ["f1", "f2", "f10", "Ses A"]
    assert (sum(split.test.astype(int) for split in parts.values()) == 1).all()
    assert all((split.train == ~split.test).all() for split in parts.values())


def test_inner_folds_keep_speakers_apart_if_the_given_sides_do() -> None:
    frame = clips(split=["train"] * 6 + ["test"] * 2)
    [split] = drawn(frame).values()
    folds = pd.Series(split.fold[split.train]).groupby(frame["speaker"][split.train].to_numpy())
    assert folds.nunique().max() == 1


def test_inner_folds_draw_clips_if_test_speakers_are_also_in_training() -> None:
    frame = clips(split=["train"] * 8)
    frame.loc[frame["clip"].str.endswith("_1") & (frame["place"] < 5), "split"] = "test"
    [split] = drawn(frame, n_folds=5).values()
    folds = pd.Series(split.fold[split.train]).groupby(frame["speaker"][split.train].to_numpy())
    assert split.n_folds == 5
    assert folds.nunique().max() > 1


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({}, "needs official partitions, and no clip has one. Give each clip a split (train, dev,"),
        ({"split": [""] * 8, "fold": [""] * 8}, "needs official partitions"),
        ({"split": ["train", "test"] * 4, "fold": ["1", "2"] * 4}, "both a split and a fold. Keep"),
        (
            {"split": ["train", "test", "", "test"] * 2},
            "8 of 32 clips have no split, such as own/2",
        ),
        ({"split": ["train", "eval"] * 4}, "has the split 'eval'. Allowed: train, training, dev,"),
        ({"split": ["train", "dev"] * 4}, "no clip has the split test"),
        ({"split": ["dev", "test"] * 4}, "no clip has the split train"),
        ({"fold": ["1"] * 8}, "needs two folds or more, and there is only '1'"),
        ({"fold": ["1", "../2"] * 4}, "'../2' can't be the name of a fold. Allowed: letters"),
    ],
)
def test_partitions_that_decide_nothing_are_refused(
    columns: dict[str, list[str]], complaint: str
) -> None:
    with pytest.raises(BenchmarkError) as refusal:
        drawn(clips(**columns))
    assert str(refusal.value).startswith("protocol given: ")
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_recording_on_both_given_sides_stops_the_run() -> None:
    frame = clips(split=["train"] * 6 + ["test"] * 2)
    frame.loc[frame.index[-1], "samples"] = frame["samples"].iloc[1]
    with pytest.raises(LeakError, match=r"recording .* is on both sides of the test side"):
        drawn(frame)


def test_a_test_part_without_an_emotion_is_refused() -> None:
    frame = clips(split=["train"] * 6 + ["test"] * 2)
    kept = frame[(frame["place"] < 6) | (frame["emotion"] == "sad")].reset_index(drop=True)
    with pytest.raises(BenchmarkError, match="the test side has no clip of angry for testing"):
        drawn(kept)
