"""Corpora with label files: what is read from them, and the line for each that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.corpora import CORPORA, Clip, describe_presence, describe_shortfall, read_corpus
from benchmark.corpora import iemocap as iemocap_corpus
from benchmark.corpora import meld as meld_corpus
from benchmark.errors import BenchmarkError


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def fill(folder: Path, *files: str) -> None:
    """Make recordings whose bytes differ; readers go by names alone."""
    for file in files:
        write(folder / file, file)


def iemocap(folder: Path) -> Path:
    """Write three dialogues of a release, with the files that lie beside labels and recordings."""
    first, second = folder / "Session1", folder / "Session5"
    write(
        first / "dialog/EmoEvaluation/Ses01F_impro01.txt",
        "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]",
        "",
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]",
        "C-E2:\tNeutral;\t()",
        "[10.0100 - 11.3925]\tSes01F_impro01_M001\texc\t[2.5000, 2.5000, 2.5000]",
        "[14.8872 - 18.0175]\tSes01F_impro01_F002\txxx\t[2.5000, 2.5000, 2.5000]",
        "[19.2900 - 20.7875]\tSes01F_impro01_M003\toth\t[2.0000, 3.0000, 3.0000]",
    )
    write(first / "dialog/EmoEvaluation/._Ses01F_impro01.txt", "of another file system")
    write(first / "dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat.txt", "of one annotator")
    write(
        first / "dialog/transcriptions/Ses01F_impro01.txt",
        "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.",
        "F: a line without time",
    )
    write(
        second / "dialog/EmoEvaluation/Ses05M_script01_1b.txt",
        "[1.0000 - 2.0000]\tSes05M_script01_1b_F000\tfru\t[2.5000, 2.5000, 2.5000]",
        "[3.0000 - 4.0000]\tSes05M_script01_1b_MXX0\tsad\t[2.5000, 2.5000, 2.5000]",
    )
    fill(
        first,
        "dialog/wav/Ses01F_impro01.wav",
        *(f"sentences/wav/Ses01F_impro01/Ses01F_impro01_{turn}.wav" for turn in TURNS),
    )
    fill(second, *(f"sentences/wav/Ses05M_script01_1b_{turn}.wav" for turn in ("F000", "MXX0")))
    return folder


TURNS = ("F000", "M001", "F002", "M003")

MSP_HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"


def msp_podcast(folder: Path) -> Path:
    write(
        folder / "Labels/labels_consensus.csv",
        MSP_HEADER,
        "MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,30,Male,Test1",
        "MSP-PODCAST_0001_0009.wav,C,3.7,3.5,3.7,39,Female,Development",
        "MSP-PODCAST_0001_0011.wav,U,4.1,4.7,4.0,Unknown,Unknown,Train",
        "MSP-PODCAST_0001_0013.wav,X,3.0,3.7,3.1,39,Female,Train",
        "MSP-PODCAST_0001_0016.wav,O,2.4,4.2,2.8,30,Male,Train",
    )
    write(folder / "Previous_releases_information/Labels/labels_consensus.csv", "of an old release")
    fill(folder, *(f"Audios/MSP-PODCAST_0001_{item}.wav" for item in MSP_ITEMS))
    return folder


MSP_ITEMS = ("0008", "0009", "0011", "0013", "0016", "0099")

MELD_HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode"


def meld(folder: Path) -> Path:
    write(
        folder / "train/train_sent_emo.csv",
        MELD_HEADER,
        '1,"Well, you know!",Chandler,joy,positive,0,0,8,21',
        "2,What?,Dr. Leedbetter,surprise,negative,0,1,8,21",
        "3,No.,Ross,anger,negative,125,3,8,21",
    )
    write(
        folder / "dev_sent_emo.csv",
        MELD_HEADER,
        "1,Oh.,Monica,neutral,neutral,0,0,4,7",
        "2,Hey!,All,joy,positive,0,1,4,7",
        "3,Hey!,Joey and Ross,joy,positive,0,2,4,7",
        "4,Right.,Joey,neutral,neutral,110,7,4,7",
    )
    write(folder / "test_sent_emo.csv", MELD_HEADER, "1,Why?,Mark,sadness,negative,0,0,3,3")
    fill(
        folder,
        *("train/train_splits/dia0_utt0.wav", "train/train_splits/dia0_utt1.wav"),
        *(f"dev_splits_complete/dia0_utt{number}.wav" for number in range(3)),
        "output_repeated_splits_test/dia0_utt0.flac",
        "output_repeated_splits_test/final_videos_testdia0_utt0.wav",
    )
    return folder


LABELLED: dict[str, Callable[[Path], Path]] = {
    "iemocap": iemocap,
    "msp_podcast": msp_podcast,
    "meld": meld,
}
A_LABEL_FILE = {
    "iemocap": "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
    "msp_podcast": "Labels/labels_consensus.csv",
    "meld": "train/train_sent_emo.csv",
}


N_LABELS = {"iemocap": iemocap_corpus.N_LABELS, "meld": meld_corpus.N_LABELS}


def by_name(name: str, folder: Path) -> dict[str, Clip]:
    return {clip.name: clip for clip in read_corpus(name, LABELLED[name](folder)).clips}


def test_every_corpus_of_folders_is_tested_here_or_by_its_names() -> None:
    with_labels = {name for name, corpus in CORPORA.items() if corpus.read is not None}
    assert with_labels == {*LABELLED, "synthetic", "csv"}


@pytest.mark.parametrize("name", LABELLED)
def test_a_complete_copy_misses_nothing_and_has_emotions_of_its_corpus(
    name: str, tmp_path: Path
) -> None:
    recordings = read_corpus(name, LABELLED[name](tmp_path))
    assert recordings.missing == ()
    assert bool(recordings.missing_labels) == (name in N_LABELS)
    assert {clip.emotion for clip in recordings.clips} <= set(CORPORA[name].emotions)
    assert all(clip.path.is_file() for clip in recordings.clips)
    assert all(clip.speaker.startswith(f"{name}/") for clip in recordings.clips)


@pytest.mark.parametrize("name", LABELLED)
def test_a_label_without_recording_is_a_missing_clip(name: str, tmp_path: Path) -> None:
    gone, *rest = read_corpus(name, LABELLED[name](tmp_path)).clips
    gone.path.unlink()
    recordings = read_corpus(name, tmp_path)
    assert recordings.missing == (gone.name,)
    line = describe_shortfall(CORPORA[name], recordings)
    assert line.startswith(f"{name}: {len(rest)} of {len(rest) + 1} clips; ")
    assert line.endswith(f"missing: {gone.name}")


@pytest.mark.parametrize("name", N_LABELS)
def test_label_files_that_lack_labels_of_the_release_are_an_incomplete_copy(
    name: str, tmp_path: Path
) -> None:
    recordings = read_corpus(name, LABELLED[name](tmp_path))
    assert recordings.incomplete
    n_labels = N_LABELS[name] - recordings.missing_labels
    assert n_labels >= len(recordings.clips) > 0
    line = describe_shortfall(CORPORA[name], recordings)
    assert f"; {recordings.missing_labels:,} labels of the release are missing" in line


@pytest.mark.parametrize("name", LABELLED)
def test_a_missing_label_file_is_one_clear_line(name: str, tmp_path: Path) -> None:
    folder = LABELLED[name](tmp_path)
    for path in (*folder.rglob("*.csv"), *folder.rglob("*.txt")):
        path.unlink()
    with pytest.raises(BenchmarkError, match=r"label files? .* missing\. Give the folder") as wrong:
        read_corpus(name, tmp_path)
    assert "\n" not in str(wrong.value)
    given = {name: tmp_path}
    assert describe_presence(name, root=None, given=given, cache=tmp_path) == str(wrong.value)


@pytest.mark.parametrize("name", LABELLED)
def test_a_wrong_label_file_is_named(name: str, tmp_path: Path) -> None:
    labels = LABELLED[name](tmp_path) / A_LABEL_FILE[name]
    write(labels, "<html>", "<p>Not found</p>")
    with pytest.raises(BenchmarkError, match=labels.name) as wrong:
        read_corpus(name, tmp_path)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("name", LABELLED)
def test_a_label_that_occurs_twice_is_refused_with_both_places(name: str, tmp_path: Path) -> None:
    labels = LABELLED[name](tmp_path) / A_LABEL_FILE[name]
    lines = labels.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line[:1] in "[M1" and line)
    write(labels, *lines, lines[first])
    with pytest.raises(BenchmarkError, match=rf"has a label already, in .* {first + 1}\. Keep one"):
        read_corpus(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "right", "wrong", "complaint"),
    [
        (
            "iemocap",
            "\tneu\t",
            "\tjoy\t",
            "line 3: label 'joy' is not one of this corpus: ang, dis",
        ),
        ("iemocap", "impro01_F000\t", "impro01\t", "line 3: Ses01F_impro01 is not a name such as"),
        ("msp_podcast", ",N,", ",Z,", "row 2: EmoClass 'Z' is not one of this corpus: A, C"),
        ("msp_podcast", "SpkrID", "Speaker", "row 1: no column 'SpkrID'. Required: FileName"),
        ("meld", ",joy,", ",Joy,", "row 2: Emotion 'Joy' is not one of this corpus: anger"),
        ("meld", "Dialogue_ID", "Dialogue", "row 1: no column 'Dialogue_ID'. Required: Utterance"),
    ],
)
def test_a_wrong_entry_of_a_label_file_is_refused_with_its_place(
    name: str, right: str, wrong: str, complaint: str, tmp_path: Path
) -> None:
    labels = LABELLED[name](tmp_path) / A_LABEL_FILE[name]
    write(labels, labels.read_text(encoding="utf-8").replace(right, wrong, 1))
    with pytest.raises(BenchmarkError) as refusal:
        read_corpus(name, tmp_path)
    assert f"{labels.name}: {complaint}" in str(refusal.value)


def test_an_iemocap_clip_is_of_who_speaks_and_not_of_who_wears_the_markers(tmp_path: Path) -> None:
    clips = by_name("iemocap", tmp_path)
    woman, man = clips["Ses01F_impro01_F000"], clips["Ses01F_impro01_M001"]
    assert (woman.speaker, woman.gender, woman.emotion) == ("iemocap/Ses01F", "female", "neutral")
    assert (man.speaker, man.gender, man.emotion) == ("iemocap/Ses01M", "male", "excited")
    assert (woman.statement, man.statement) == ("Excuse me.", "")
    assert woman.more == (("session", "1"), ("style", "improvised"))
    scripted = clips["Ses05M_script01_1b_F000"]
    assert (scripted.speaker, scripted.emotion) == ("iemocap/Ses05F", "frustrated")
    assert scripted.more == (("session", "5"), ("style", "scripted"))
    assert clips["Ses05M_script01_1b_MXX0"].speaker == "iemocap/Ses05M"


def test_iemocap_clips_without_a_majority_and_whole_dialogues_are_set_aside(tmp_path: Path) -> None:
    reasons = dict(read_corpus("iemocap", iemocap(tmp_path)).set_aside)
    assert {Path(file).stem: reason for file, reason in reasons.items()} == {
        "Ses01F_impro01": "no label in dialog/EmoEvaluation",
        "Ses01F_impro01_F002": "annotators disagree (xxx)",
        "Ses01F_impro01_M003": "labelled as another emotion (oth)",
    }


def test_an_msp_podcast_label_gives_speaker_gender_emotion_and_split(tmp_path: Path) -> None:
    plain, contempt = by_name("msp_podcast", tmp_path).values()
    assert (plain.id, plain.speaker) == ("msp_podcast/MSP-PODCAST_0001_0008", "msp_podcast/30")
    assert (plain.gender, plain.emotion) == ("male", "neutral")
    assert (contempt.gender, contempt.emotion) == ("female", "contempt")
    assert [clip.facts["split"] for clip in (plain, contempt)] == ["test1", "dev"]


def test_msp_podcast_clips_of_unknown_speakers_or_emotions_are_set_aside(tmp_path: Path) -> None:
    reasons = dict(read_corpus("msp_podcast", msp_podcast(tmp_path)).set_aside)
    assert {Path(file).stem[-4:]: reason for file, reason in reasons.items()} == {
        "0011": "unknown speaker, who can't be kept apart from others",
        "0013": "annotators disagree (X)",
        "0016": "labelled as another emotion (O)",
        "0099": "not in labels_consensus.csv",
    }


def test_early_releases_of_msp_podcast_misspell_their_label_file(tmp_path: Path) -> None:
    labels = msp_podcast(tmp_path) / A_LABEL_FILE["msp_podcast"]
    labels.rename(labels.with_name("labels_concensus.csv"))
    write(
        labels.parent / "labels_concensus.csv",
        MSP_HEADER,
        "MSP-PODCAST_0001_0008.wav,A,2,4,2,30,Male,Validation",
    )
    (tmp_path / "Previous_releases_information/Labels/labels_consensus.csv").unlink()
    clip = read_corpus("msp_podcast", tmp_path).clips[0]
    assert (clip.emotion, clip.facts["split"]) == ("angry", "dev")


def test_two_label_files_side_by_side_are_refused(tmp_path: Path) -> None:
    msp_podcast(tmp_path / "old")
    msp_podcast(tmp_path / "new")
    with pytest.raises(BenchmarkError, match=r"two label files: new/Labels/.* and old/Labels/"):
        read_corpus("msp_podcast", tmp_path)


def test_a_meld_clip_is_named_after_its_split_and_has_its_words(tmp_path: Path) -> None:
    clips = by_name("meld", tmp_path / "test")
    assert sorted(clips) == [
        "dev_dia0_utt0",
        "test_dia0_utt0",
        "train_dia0_utt0",
        "train_dia0_utt1",
    ]
    clip = clips["train_dia0_utt0"]
    assert (clip.speaker, clip.gender, clip.emotion) == ("meld/Chandler", "male", "happy")
    assert (clip.statement, clip.more) == ("Well, you know!", (("split", "train"),))
    assert clips["dev_dia0_utt0"].gender == "female"
    assert clips["test_dia0_utt0"].gender == "unknown"
    assert clips["train_dia0_utt1"].speaker == "meld/Dr. Ledbetter"


def test_meld_clips_of_several_speakers_and_unlabelled_ones_are_set_aside(tmp_path: Path) -> None:
    assert dict(read_corpus("meld", meld(tmp_path)).set_aside) == {
        "dev_splits_complete/dia0_utt1.wav": "spoken by several people",
        "dev_splits_complete/dia0_utt2.wav": "spoken by several people",
        "output_repeated_splits_test/final_videos_testdia0_utt0.wav": "no label in *_sent_emo.csv",
    }


def test_meld_as_published_is_refused_with_how_to_extract_its_sound(tmp_path: Path) -> None:
    for path in meld(tmp_path).rglob("dia*"):
        path.rename(path.with_suffix(".mp4"))
    (tmp_path / "output_repeated_splits_test/final_videos_testdia0_utt0.wav").unlink()
    with pytest.raises(BenchmarkError, match=r"None of its 4 files exists: dev_dia0_utt0.*ffmpeg"):
        read_corpus("meld", tmp_path)
