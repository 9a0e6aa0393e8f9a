"""Labels of several raters: the majority is the label, and what has none is set aside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmark.corpora import read_corpus
from benchmark.corpora.raters import NO_MAJORITY, NO_VOTES, TIE, agreement, krippendorff_alpha
from benchmark.errors import BenchmarkError

CODERS = (
    *((1, 1, 1), (2, 2, 3, 2), (3, 3, 3, 3), (3, 3, 3, 3), (2, 2, 2, 2), (1, 2, 3, 4)),
    *((4, 4, 4, 4), (1, 1, 2, 1), (2, 2, 2, 2), (5, 5, 5), (1, 1), (3,)),
)
"""Krippendorff's example of four coders and twelve units, some of them not coded by all."""


def write_table(folder: Path, *lines: str) -> Path:
    for name in "abcd":
        (folder / f"{name}.wav").touch()
    table = folder / "table.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def test_alpha_is_that_of_the_published_example() -> None:
    votes = [Counter(map(str, unit)) for unit in CODERS]
    assert krippendorff_alpha(votes) == pytest.approx(0.743, abs=0.0005)


@pytest.mark.parametrize("votes", [[], [{"sad": 1}], [{"sad": 2}, {"sad": 3}]])
def test_votes_that_can_show_no_disagreement_have_no_alpha(votes: list[dict[str, int]]) -> None:
    assert krippendorff_alpha(votes) is None


def test_agreement_counts_votes_per_clip_and_unanimous_clips_of_several_votes() -> None:
    found = agreement([{"sad": 3}, {"sad": 1, "angry": 1}, {"sad": 1}, {}])
    assert found is not None
    assert (found.clips, found.fewest, found.most, found.unanimous) == (3, 1, 3, 0.5)


@pytest.mark.parametrize(
    "lines",
    [
        [
            "path,speaker,rater_1,rater 2,Rater_ann",
            *("a.wav,1,sad,sad,angry", "b.wav,1,sad,angry,", "c.wav,2,,,", "d.wav,2,,,sad"),
        ],
        [
            "path,speaker,votes",
            *("a.wav,1,sad angry sad", "b.wav,1,angry sad", "c.wav,2,", "d.wav,2,sad"),
        ],
        [
            "path,speaker,Votes",
            *("a.wav,1,sad:2 angry:1", "b.wav,1,angry:1 sad:1", "c.wav,2,", "d.wav,2,sad:1"),
        ],
        [
            "path;speaker;votes",
            *('a.wav;1;"sad; angry; sad"', 'b.wav;1;"angry:1;sad"', "c.wav;2;", "d.wav;2;sad"),
        ],
        [
            "path,speaker,votes_sad,votes_angry",
            *("a.wav,1,2,1", "b.wav,1,1,1", "c.wav,2,,0", "d.wav,2,1,"),
        ],
    ],
    ids=["columns of raters", "a list", "numbers", "semicolons", "a column per emotion"],
)
def test_the_majority_is_the_label_and_votes_are_facts_of_a_clip(
    lines: list[str], tmp_path: Path
) -> None:
    found = read_corpus("csv", write_table(tmp_path, *lines))
    assert [(clip.name, clip.emotion, clip.more) for clip in found.clips] == [
        ("a", "sad", (("votes_angry", "1"), ("votes_sad", "2"))),
        ("d", "sad", (("votes_sad", "1"),)),
    ]
    assert found.set_aside == (("b.wav", TIE), ("c.wav", NO_VOTES))
    assert found.agreement is not None
    assert found.agreement.clips == 3


def test_an_emotion_with_half_of_the_votes_is_no_majority(tmp_path: Path) -> None:
    table = write_table(tmp_path, "path,speaker,votes", "a.wav,1,a a b c", "b.wav,1,a a b")
    found = read_corpus("csv", table)
    assert [clip.name for clip in found.clips] == ["b"]
    assert found.set_aside == (("a.wav", NO_MAJORITY),)


def test_a_semicolon_anywhere_in_the_column_makes_labels_of_several_words(tmp_path: Path) -> None:
    table = write_table(
        tmp_path, "path,speaker,votes", "a.wav,1,very sad; calm; very sad", "b.wav,1,very sad"
    )
    assert [clip.emotion for clip in read_corpus("csv", table).clips] == ["very sad"] * 2


def test_a_column_emotion_is_the_label_beside_votes(tmp_path: Path) -> None:
    table = write_table(
        tmp_path, "path,speaker,emotion,rater1,rater2", "a.wav,1,angry,sad,sad", "b.wav,1,sad,a,b"
    )
    found = read_corpus("csv", table)
    assert [clip.emotion for clip in found.clips] == ["angry", "sad"]
    assert found.clips[0].more == (("votes_sad", "2"),)
    assert not found.set_aside


def test_each_corpus_of_a_table_has_its_own_raters(tmp_path: Path) -> None:
    table = write_table(
        tmp_path,
        "path,speaker,corpus,votes",
        *("a.wav,1,X,sad sad", "b.wav,1,X,sad angry", "c.wav,1,Y,sad"),
    )
    parts = read_corpus("csv", table).parts
    assert {name: part.set_aside for name, part in parts.items()} == {
        "X": (("b.wav", TIE),),
        "Y": (),
    }
    assert [one.agreement and one.agreement.clips for one in parts.values()] == [2, 1]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["path,speaker"], "In its place, raters may vote: columns rater_1"),
        (["path,speaker,votes", "a.wav,1,sad:x"], "row 2, column 'votes': 'x' is not a number"),
        (["path,speaker,votes", "a.wav,1,:3"], "row 2, column 'votes': '3' is not a number of vo"),
        (["path,speaker,votes", "a.wav,1,3"], "'3' is not a vote. Allowed: angry angry sad"),
        (["path,speaker,votes", 'a.wav,1,"a,b"'], "'a,b' is not a vote"),
        (["path,speaker,rater1", "a.wav,1,0.8"], "row 2, column 'rater1': '0.8' is a number"),
        (["path,speaker,rater1,rater2", "a.wav,1,Sad,sad"], "'Sad' and 'sad' differ by case"),
        (["path,speaker,rater1,votes", "a.wav,1,a,a"], "columns 'rater1' and 'votes' both hold"),
        (["path,speaker,votes", "a.wav,1,a b"], "It holds 1 other audio files: a.wav (a tie of"),
    ],
)
def test_a_wrong_vote_is_refused_with_row_column_and_what_is_allowed(
    lines: list[str], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(BenchmarkError) as refusal:
        read_corpus("csv", write_table(tmp_path, *lines))
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)
