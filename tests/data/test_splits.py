"""Protocols keep apart what they promise to keep apart, and stop a run that would not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmark import study
from benchmark.corpora import CORPORA
from benchmark.data.outer_folds import EMOBOX, OUTER_FOLDS
from benchmark.data.prepare import clip_frame
from benchmark.data.protocols import PROTOCOLS
from benchmark.data.splits import (
    LeakError,
    Split,
    check_split,
    draw_splits,
    with_auxiliary,
)
from benchmark.errors import BenchmarkError

EMOTIONS = ("angry", "happy", "sad")
DRAWN = [name for name, protocol in PROTOCOLS.items() if protocol.hold_out]
TEXT = [name for name, protocol in PROTOCOLS.items() if protocol.text_independent]
PLAIN = [name for name in DRAWN if name not in TEXT]


def draw_split(
    protocol: str, clips: pd.DataFrame, test_size: float, n_folds: int, seed: int
) -> Split:
    """The split of a protocol with one test side."""
    [split] = draw_splits(protocol, clips, study.Split(test_size=test_size), n_folds, seed)
    return split


def corpus(name: str, speakers: dict[str, int], genders: str = "fm") -> pd.DataFrame:
    """Clips of a corpus: so many of each emotion for each speaker, genders in turn."""
    rows = [
        (f"{name}/{speaker}_{emotion}_{take}", name, f"{name}/{speaker}", gender, emotion)
        for place, (speaker, count) in enumerate(speakers.items())
        for gender in [genders[place % len(genders)]]
        for emotion in EMOTIONS
        for take in range(count)
    ]
    frame = pd.DataFrame(rows, columns=["clip", "corpus", "speaker", "gender", "emotion"])
    return frame.assign(samples=frame["clip"], statement=statements(frame))


def statements(clips: pd.DataFrame) -> pd.Series:
    """A sentence for each take, spoken with every emotion by every speaker."""
    return "s" + clips["clip"].str.rpartition("_")[2]


@pytest.fixture
def clips() -> pd.DataFrame:
    """Three corpora as unequal as the real ones: 24 speakers, two with many clips, four men."""
    return pd.concat(
        [
            corpus("many", {f"{n:02d}": 4 for n in range(24)}),
            corpus("two", {"old": 60, "young": 60}, "f"),
            corpus("men", {"a": 8, "b": 8, "c": 8, "d": 8}, "m"),
        ],
        ignore_index=True,
    )


@pytest.mark.parametrize("protocol", PLAIN)
@pytest.mark.parametrize("seed", range(5))
def test_every_clip_is_on_one_side_and_every_training_clip_in_one_fold(
    clips: pd.DataFrame, protocol: str, seed: int
) -> None:
    split = draw_split(protocol, clips, 0.25, 5, seed)
    assert ((split.fold == -1) == split.test).all()
    assert set(split.fold[~split.test]) == set(range(5))


@pytest.mark.parametrize("protocol", DRAWN)
def test_the_same_seed_draws_the_same_split(clips: pd.DataFrame, protocol: str) -> None:
    one, other = (draw_split(protocol, clips, 0.25, 5, 7) for _ in range(2))
    assert (one.test == other.test).all()
    assert (one.fold == other.fold).all()
    assert (one.test != draw_split(protocol, clips, 0.25, 5, 8).test).any()


@pytest.mark.parametrize("protocol", DRAWN)
def test_exact_duplicates_stay_on_one_side(clips: pd.DataFrame, protocol: str) -> None:
    twins = clips[clips["corpus"] == "many"].index[1::4]  # the second take of each is its first
    clips.loc[twins, "samples"] = clips.loc[twins - 1, "samples"].to_numpy()
    clips.loc[[0, 95], "samples"] = "one recording under two speakers"
    split = draw_split(protocol, clips, 0.25, 4, 0)
    sides = clips.assign(side=np.where(split.test, -1, split.fold)).groupby("samples")["side"]
    assert sides.nunique().max() == 1


def test_speaker_dependent_draws_a_quarter_stratified_by_emotion(clips: pd.DataFrame) -> None:
    split = draw_split("speaker-dependent", clips, 0.25, 5, 0)
    shares = pd.Series(split.test).groupby(clips["emotion"].to_numpy()).mean()
    assert shares.to_numpy() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("seed", range(10))
def test_speaker_independent_tests_speakers_of_every_corpus_and_gender(
    clips: pd.DataFrame, seed: int
) -> None:
    split = draw_split("speaker-independent", clips, 0.25, 5, seed)
    drawn = clips[split.test].groupby(["corpus", "gender"])["speaker"].nunique()
    assert drawn.to_dict() == {
        ("many", "f"): 3, ("many", "m"): 3, ("men", "m"): 1, ("two", "f"): 1,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_a_small_corpus_is_in_as_many_folds_as_it_has_speakers(
    clips: pd.DataFrame, seed: int
) -> None:
    split = draw_split("speaker-independent", clips, 0.25, 5, seed)
    train = clips.assign(fold=split.fold)[~split.test]
    assert train.groupby("corpus")["fold"].nunique().to_dict() == {"many": 5, "men": 3, "two": 1}
    assert train.groupby("speaker")["fold"].nunique().max() == 1


def test_speaker_independent_uses_the_draw_with_the_best_balance_of_emotions() -> None:
    clips = corpus("uneven", {f"{n}": 6 for n in range(8)}, "f")
    weeping = clips[(clips["speaker"] == "uneven/0") & (clips["emotion"] == "sad")]
    more = [weeping.assign(samples=weeping["samples"] + str(take)) for take in range(6)]
    clips = pd.concat([clips, *more], ignore_index=True)
    for seed in range(5):
        split = draw_split("speaker-independent", clips, 0.25, 3, seed)
        assert "uneven/0" not in set(clips.loc[split.test, "speaker"])


def test_a_corpus_with_one_speaker_is_refused_under_speaker_independent(
    clips: pd.DataFrame,
) -> None:
    lonely = pd.concat([clips, corpus("alone", {"x": 9})], ignore_index=True)
    with pytest.raises(BenchmarkError, match="alone has one speaker only"):
        draw_split("speaker-independent", lonely, 0.25, 5, 0)


def test_too_few_speakers_for_the_folds_are_refused() -> None:
    with pytest.raises(BenchmarkError, match=r"3 speakers .* Set search.folds = 3"):
        draw_split(
            "speaker-independent", corpus("men", {"a": 8, "b": 8, "c": 8, "d": 8}, "m"), 0.25, 5, 0
        )


def test_an_error_names_the_protocol_that_is_drawn_and_its_part() -> None:
    clips = pd.concat([corpus("one", {"x": 9}), corpus("two", {"y": 9})], ignore_index=True)
    with pytest.raises(BenchmarkError, match=r"^protocol cross-corpus/one: .* 1 speakers"):
        draw_splits("cross-corpus", clips, study.Split(), 3, 0)


def test_an_emotion_that_a_part_lacks_is_refused() -> None:
    clips = corpus("few", {f"{n}": 6 for n in range(8)}, "f")
    only_one = (clips["emotion"] == "sad") & (clips["speaker"] != "few/3")
    with pytest.raises(BenchmarkError, match="has no clip of sad"):
        draw_split("speaker-independent", clips[~only_one].reset_index(drop=True), 0.25, 3, 0)


def test_an_emotion_too_rare_for_the_folds_is_refused() -> None:
    clips = corpus("few", {f"{n}": 6 for n in range(8)}, "f")
    rare = (clips["emotion"] == "sad") & (clips["speaker"] != "few/3")
    with pytest.raises(BenchmarkError, match="clips of sad, too few"):
        draw_split("speaker-dependent", clips[~rare].reset_index(drop=True), 0.25, 5, 0)


def test_a_speaker_on_both_sides_stops_the_run(clips: pd.DataFrame) -> None:
    split = draw_split("speaker-dependent", clips, 0.25, 5, 0)
    with pytest.raises(LeakError, match=r"speaker .* is on both sides of the test side"):
        check_split(Split("speaker-independent", split.test, split.fold), clips)


def test_a_speaker_in_two_inner_folds_stops_the_run(clips: pd.DataFrame) -> None:
    split = draw_split("speaker-independent", clips, 0.25, 5, 0)
    fold = split.fold.copy()
    fold[np.flatnonzero(~split.test)] = draw_split(
        "speaker-dependent", clips, 0.25, 5, 0
    ).fold.max()
    fold[np.flatnonzero(~split.test)[::2]] = 0
    with pytest.raises(LeakError, match="inner fold 1"):
        check_split(Split("speaker-independent", split.test, fold), clips)


@pytest.mark.parametrize("protocol", PLAIN)
@pytest.mark.parametrize("folds", [2, 3, "leave-one-speaker-out"])
def test_outer_folds_test_every_clip_once(protocol: str, folds: int | str) -> None:
    clips = corpus("men", {"a": 8, "b": 8, "c": 8, "d": 8, "e": 8, "f": 8}, "m")
    splits = draw_splits(protocol, clips, study.Split(folds=folds), 2, 0)
    assert len(splits) == (6 if isinstance(folds, str) else folds)
    assert len({split.name for split in splits}) == len(splits)
    assert (np.sum([split.test for split in splits], axis=0) == 1).all()
    assert all((split.train == ~split.test).all() for split in splits)


def test_leaving_one_speaker_out_names_each_part_by_its_speaker() -> None:
    clips = corpus("men", {"a": 8, "b": 8, "c": 8, "d": 8}, "m")
    rule = study.Split(folds="leave-one-speaker-out")
    for split in draw_splits("speaker-independent", clips, rule, 3, 0):
        assert set(clips.loc[split.test, "speaker"]) == {split.part}


@pytest.mark.parametrize("name", EMOBOX)
def test_emobox_folds_test_each_of_its_speakers_once(name: str) -> None:
    speakers = " ".join(EMOBOX[name]).split()
    clips = corpus(name, dict.fromkeys(speakers, 2))
    splits = draw_splits("speaker-independent", clips, study.Split(folds="emobox"), 3, 0)
    assert [set(clips.loc[split.test, "speaker"]) for split in splits] == [
        {f"{name}/{speaker}" for speaker in fold.split()} for fold in EMOBOX[name]
    ]


@pytest.mark.parametrize("folds", OUTER_FOLDS)
def test_published_folds_give_speaker_dependent_as_many_folds(folds: str) -> None:
    clips = corpus("savee", dict.fromkeys(EMOBOX["savee"], 6), "m")
    splits = draw_splits("speaker-dependent", clips, study.Split(folds=folds), 3, 0)
    assert [split.part for split in splits] == ["f1", "f2", "f3", "f4"]
    assert all(len(set(clips.loc[split.test, "speaker"])) > 1 for split in splits)


def test_emobox_folds_are_refused_for_what_emobox_does_not_divide(clips: pd.DataFrame) -> None:
    with pytest.raises(BenchmarkError, match="EmoBox divides one corpus, of ravdess, savee, jl"):
        draw_splits("speaker-independent", clips, study.Split(folds="emobox"), 3, 0)


def test_a_speaker_that_emobox_does_not_know_is_refused() -> None:
    clips = corpus("savee", dict.fromkeys([*EMOBOX["savee"], "XX"], 2), "m")
    with pytest.raises(BenchmarkError, match="no fold has speaker savee/XX"):
        draw_splits("speaker-independent", clips, study.Split(folds="emobox"), 3, 0)


def test_repeats_draw_other_sides_and_the_first_is_the_plain_one(clips: pd.DataFrame) -> None:
    splits = draw_splits("speaker-independent", clips, study.Split(repeats=3), 5, 0)
    assert [split.name for split in splits] == [
        f"speaker-independent/repeat-{n}" for n in (1, 2, 3)
    ]
    assert len({split.test.tobytes() for split in splits}) == 3
    assert (splits[0].test == draw_split("speaker-independent", clips, 0.25, 5, 0).test).all()


def test_each_corpus_is_tested_after_training_on_the_others(clips: pd.DataFrame) -> None:
    splits = draw_splits("cross-corpus", clips, study.Split(), 3, 0)
    assert [split.part for split in splits] == ["many", "men", "two"]
    for split in splits:
        assert set(clips.loc[split.test, "corpus"]) == {split.part}
        assert set(clips.loc[split.train, "corpus"]) == {"many", "men", "two"} - {split.part}


def test_pairs_of_corpora_go_over_the_emotions_of_both(clips: pd.DataFrame) -> None:
    calm = corpus("calm", {"x": 9, "y": 9}).replace({"emotion": {"angry": "calm"}})
    splits = draw_splits(
        "cross-corpus-pairs", pd.concat([clips, calm], ignore_index=True), study.Split(), 3, 0
    )
    emotions = pd.concat([clips, calm], ignore_index=True)["emotion"]
    assert len(splits) == 4 * 3
    by_part = {split.part: split for split in splits}
    assert set(emotions[by_part["calm-to-men"].train]) == {"happy", "sad"}
    assert set(emotions[by_part["men-to-calm"].test]) == {"happy", "sad"}
    assert set(emotions[by_part["men-to-two"].train]) == set(EMOTIONS)


def test_a_recording_in_two_corpora_is_on_no_side_between_them(clips: pd.DataFrame) -> None:
    clips.loc[clips.index[[0, -1]], "samples"] = "in both"
    for split in draw_splits("cross-corpus-pairs", clips, study.Split(), 3, 0):
        assert not (split.train | split.test)[[0, -1]].any()


def test_one_corpus_alone_is_refused_where_corpora_are_tested() -> None:
    with pytest.raises(BenchmarkError, match="needs two corpora or more"):
        draw_splits("cross-corpus", corpus("men", {"a": 8, "b": 8}), study.Split(), 2, 0)


@pytest.mark.parametrize("protocol", [name for name in DRAWN if name != "text-independent"])
def test_more_outer_folds_than_there_can_be_are_refused_by_their_own_name(protocol: str) -> None:
    clips = corpus("men", {"a": 6, "b": 6, "c": 6, "d": 6}, "m")
    with pytest.raises(BenchmarkError, match=r"the study has .* split\.folds") as refused:
        draw_splits(protocol, clips, study.Split(folds=99), 2, 0)
    assert "search.folds" not in str(refused.value)
    assert "training" not in str(refused.value)


def test_auxiliary_clips_are_in_training_of_every_fold_and_tested_in_none() -> None:
    own = corpus("men", {"a": 8, "b": 8, "c": 8, "d": 8}, "m")
    others = corpus("more", {"x": 6, "y": 6})
    others.loc[others["speaker"] == "more/y", "emotion"] = "calm"
    clips = pd.concat([own, others], ignore_index=True)
    [split] = draw_splits("speaker-independent", own, study.Split(), 3, 0)
    longer = with_auxiliary(split, clips)
    assert set(clips.loc[longer.train & (clips["corpus"] == "more"), "speaker"]) == {"more/x"}
    assert not longer.test[len(own) :].any()
    assert (longer.fold[len(own) :] == -1).all()
    assert (longer.test[: len(own)] == split.test).all()
    assert (longer.fold[: len(own)] == split.fold).all()
    assert longer.n_folds == 3


@pytest.mark.parametrize(("column", "noun"), [("samples", "recording"), ("speaker", "speaker")])
def test_an_auxiliary_clip_of_a_tested_recording_or_speaker_stops_the_run(
    column: str, noun: str
) -> None:
    own = corpus("men", {"a": 8, "b": 8, "c": 8, "d": 8}, "m")
    [split] = draw_splits("speaker-independent", own, study.Split(), 3, 0)
    clips = pd.concat([own, corpus("more", {"x": 6})], ignore_index=True)
    clips.loc[len(own), column] = own.loc[split.test, column].iloc[0]
    with pytest.raises(LeakError, match=f"{noun} .* is on both sides of the test side"):
        with_auxiliary(split, clips)


def official_clips(*names: str) -> pd.DataFrame:
    """All clips of complete copies, from their names."""
    parsed = [CORPORA[name].parse(clip) for name in names for clip in CORPORA[name].official_names]
    return clip_frame(parsed, [clip.id for clip in parsed])


@pytest.mark.parametrize("protocol", TEXT)
@pytest.mark.parametrize(
    ("corpus_name", "folds"), [("savee", 4), ("savee", "emobox"), ("ravdess", "emobox")]
)
def test_text_protocols_test_each_clip_once_and_share_no_sentence(
    protocol: str, corpus_name: str, folds: int | str
) -> None:
    clips = official_clips(corpus_name)
    splits = draw_splits(protocol, clips, study.Split(folds=folds), 3, 0)
    assert (np.sum([split.test for split in splits], axis=0) == 1).all()
    for split in splits:
        for column in PROTOCOLS[protocol].kept_apart:
            assert not set(clips.loc[split.train, column]) & set(clips.loc[split.test, column])


def test_neither_a_validated_speaker_nor_a_validated_sentence_is_trained_on() -> None:
    clips = official_clips("savee")
    for split in draw_splits("speaker+text-independent", clips, study.Split(folds=4), 3, 0):
        assert split.n_folds == 9
        for number in range(split.n_folds):
            train, held_out = clips[split.trained(number)], clips[split.fold == number]
            for column in ("speaker", "statement"):
                assert not set(train[column]) & set(held_out[column])
            assert set(train["emotion"]) == set(held_out["emotion"]) == set(clips["emotion"])


def test_each_group_of_savee_sentences_has_a_common_one_and_a_third_of_each_emotion() -> None:
    clips = official_clips("savee")
    rule = study.Split(folds="leave-one-speaker-out")
    splits = draw_splits("speaker+text-independent", clips, rule, 3, 0)
    assert [split.part for split in splits[:4]] == [
        "savee/DC/t1", "savee/DC/t2", "savee/DC/t3", "savee/JE/t1",
    ]  # fmt: skip
    for split in splits:
        tested = clips[split.test]
        assert sorted(tested["emotion"].value_counts()) == [5, 5, 5, 5, 5, 5, 10]
        assert tested.loc[
            tested["statement"].isin(["01", "02", "03"]), "statement"
        ].unique().shape == (1,)


def test_one_sentence_left_to_learn_from_is_validated_on_too() -> None:
    clips = official_clips("ravdess")
    rule = study.Split(folds="emobox")
    for split in draw_splits("speaker+text-independent", clips, rule, 4, 0):
        assert split.n_folds == 4
        assert len(set(clips.loc[split.train, "statement"])) == 1
        assert not set(clips.loc[split.trained(0), "speaker"]) & set(
            clips.loc[split.fold == 0, "speaker"]
        )


def test_a_label_of_two_corpora_is_two_sentences() -> None:
    clips = pd.concat(
        [corpus("one", {"a": 4, "b": 4, "c": 4, "d": 4}), corpus("two", {"x": 4, "y": 4})],
        ignore_index=True,
    )
    split = draw_split("text-independent", clips, 0.25, 2, 0)
    heard = (clips["corpus"] + clips["statement"])[split.train]
    assert not set(heard) & set((clips["corpus"] + clips["statement"])[split.test])
    assert set(clips["statement"]) == set(clips.loc[split.train, "statement"]) | set(
        clips.loc[split.test, "statement"]
    )


@pytest.mark.parametrize("protocol", TEXT)
def test_a_corpus_without_sentences_or_with_one_is_refused(protocol: str) -> None:
    clips = corpus("men", {"a": 8, "b": 8, "c": 8, "d": 8}, "m")
    with pytest.raises(BenchmarkError, match=r"sentence of 96 clips is unknown, the first men/a"):
        draw_splits(protocol, clips.assign(statement=""), study.Split(), 2, 0)
    with pytest.raises(BenchmarkError, match="one sentence only of men"):
        draw_splits(protocol, clips.assign(statement="same"), study.Split(), 2, 0)


def test_a_shared_sentence_stops_the_run() -> None:
    clips = official_clips("savee")
    split = draw_split("speaker-independent", clips, 0.25, 3, 0)
    with pytest.raises(LeakError, match=r"sentence .* is on both sides of the test side"):
        check_split(Split("text-independent", split.test, split.fold), clips)


@pytest.mark.parametrize("protocol", ["speaker-independent", "cross-corpus"])
def test_inner_folds_by_corpus_validate_on_each_training_corpus(
    clips: pd.DataFrame, protocol: str
) -> None:
    for split in draw_splits(protocol, clips, study.Split(), study.BY_CORPUS, 0):
        validated = [set(clips["corpus"][split.fold == n]) for n in range(split.n_folds)]
        assert validated == [{name} for name in sorted(set(clips["corpus"][split.train]))]


def test_inner_folds_by_corpus_need_two_training_corpora(clips: pd.DataFrame) -> None:
    two = clips[clips["corpus"] != "men"].reset_index(drop=True)
    with pytest.raises(BenchmarkError, match="corpus needs two training corpora or more"):
        draw_splits("cross-corpus", two, study.Split(), study.BY_CORPUS, 0)


@pytest.mark.parametrize("protocol", TEXT)
def test_inner_folds_by_corpus_are_refused_where_sentences_are_kept_apart(
    clips: pd.DataFrame, protocol: str
) -> None:
    with pytest.raises(BenchmarkError, match="does not keep sentences apart"):
        draw_splits(protocol, clips, study.Split(), study.BY_CORPUS, 0)
