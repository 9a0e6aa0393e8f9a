"""Groups of clips are compared on the same emotions, speakers and corpus, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import recall_score

from benchmark.evaluation.subgroups import Division, divisions

EMOTIONS = ("angry", "neutral", "sad")


def make(speakers: int, *, clips: int = 5, easier: float = 0.0, corpus: str = "a") -> pd.DataFrame:
    """Rows of men and women in turn, each emotion normal and strong, but for neutral."""
    rng = np.random.default_rng(speakers)
    rows = []
    for speaker in range(speakers):
        for emotion in EMOTIONS:
            for intensity in ("normal", "strong")[: 1 + (emotion != "neutral")]:
                evidence = rng.normal(size=(clips, 3))
                evidence[:, EMOTIONS.index(emotion)] += 1 + easier * (intensity == "strong")
                rows += [
                    {
                        "clip": f"{corpus}/{speaker}-{emotion}-{intensity}-{clip}",
                        "corpus": corpus,
                        "speaker": f"{corpus}/{speaker:02d}",
                        "gender": ("female", "male")[speaker % 2],
                        "emotion": emotion,
                        "intensity": intensity,
                        "statement": f"words {clip % 2}",
                    }
                    | dict(zip([f"p_{one}" for one in EMOTIONS], row, strict=True))
                    for clip, row in enumerate(evidence)
                ]
    return pd.DataFrame(rows)


def divided(rows: pd.DataFrame, metric: str = "uar", **changes: Any) -> dict[str, Division]:
    clips = rows[["clip", "statement", "intensity"]].assign(**changes)
    shown = rows.drop(columns=["statement", "intensity"])
    return {one.by: one for one in divisions(shown, clips, EMOTIONS, metric, 0)}


def uar(rows: pd.DataFrame) -> float:
    places = rows[[f"p_{one}" for one in EMOTIONS]].to_numpy().argmax(axis=1)
    present = sorted(set(rows["emotion"]))
    guess = np.array(EMOTIONS)[places]
    return float(recall_score(rows["emotion"], guess, labels=present, average="macro"))


def test_a_group_has_the_recall_of_its_clips() -> None:
    rows = make(8)
    women = divided(rows)["gender"].groups[0]
    part = rows[rows["gender"] == "female"]
    assert (women.name, women.clips, women.speakers) == ("female", len(part), 4)
    assert women.score.value == pytest.approx(uar(part))


def test_intensities_are_compared_on_the_emotions_that_have_both() -> None:
    rows = make(8, easier=1.0)
    found = divided(rows)["intensity"]
    part = rows[rows["emotion"] != "neutral"]
    values = [uar(part[part["intensity"] == one]) for one in ("normal", "strong")]
    assert found.emotions == ("angry", "sad")
    assert [group.score.value for group in found.groups] == pytest.approx(values)
    assert found.gap is not None
    assert found.gap.value == pytest.approx(values[0] - values[1])


def test_groups_of_the_same_speakers_have_a_paired_interval() -> None:
    rows = make(12)
    found = divided(rows, "accuracy")["intensity"]
    part = rows[rows["emotion"] != "neutral"]
    places = part[[f"p_{one}" for one in EMOTIONS]].to_numpy().argmax(axis=1)
    right = (np.array(EMOTIONS)[places] == part["emotion"]).astype(float)
    means = pd.crosstab(part["speaker"], part["intensity"], right, aggfunc="mean")
    expected = stats.ttest_rel(means["normal"], means["strong"]).confidence_interval(0.95)
    assert found.paired
    assert found.gap is not None
    assert found.gap.interval == pytest.approx((expected.low, expected.high), abs=0.01)


def test_groups_of_other_speakers_have_an_independent_interval() -> None:
    found = divided(make(12))["gender"]
    errors = [group.score.error or 0.0 for group in found.groups]
    assert not found.paired
    assert found.gap is not None
    assert found.gap.error == pytest.approx(np.hypot(*errors))


def test_groups_of_few_speakers_have_no_interval() -> None:
    found = divided(make(10))["gender"]
    assert {group.score.interval for group in found.groups} == {None}
    assert found.gap is not None
    assert found.gap.interval is None


def test_each_speaker_is_a_group_without_an_interval() -> None:
    found = divided(make(6))["speaker"]
    assert [group.name for group in found.groups] == [f"a/{n:02d}" for n in range(6)]
    assert {group.score.interval for group in found.groups} == {None}
    assert found.gap is None


def test_groups_of_too_few_clips_are_counted_and_left_out() -> None:
    rows = make(4)
    few = rows["speaker"].eq("a/03") & ~rows["clip"].str.endswith("-0")
    found = divided(rows[~few])["speaker"]
    assert [group.name for group in found.groups] == ["a/00", "a/01", "a/02"]
    assert found.left_out == 1


@pytest.mark.parametrize("words", ["", "always the same"])
def test_a_corpus_is_not_divided_by_what_it_does_not_tell(words: str) -> None:
    assert "statement" not in divided(make(4), statement=words)


def test_statements_that_belong_to_one_emotion_each_are_not_compared() -> None:
    rows = make(6)
    assert "statement" not in divided(rows, statement=rows["emotion"])


def test_corpora_are_not_taken_together() -> None:
    women, men = make(4, corpus="a"), make(4, corpus="b")
    rows = pd.concat([women.assign(gender="female"), men.assign(gender="male")])
    assert "gender" not in divided(rows)


def test_without_a_table_of_clips_there_are_speakers_and_genders() -> None:
    rows = make(6).drop(columns=["statement", "intensity"])
    found = divisions(rows, None, EMOTIONS, "uar", 0)
    assert [one.by for one in found] == ["speaker", "gender"]
