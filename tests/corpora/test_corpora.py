"""Corpora: clips parsed from file names and tables, and the messages for what is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from benchmark.corpora import (
    CORPORA,
    Clip,
    Corpus,
    describe_shortfall,
    entry_of,
    known_emotions,
    locate,
    read_corpus,
)
from benchmark.corpora.clip import Segment
from benchmark.corpora.folder import AUDIO_SUFFIXES, CONTAINERS
from benchmark.corpora.manifest import PATHS
from benchmark.errors import BenchmarkError
from benchmark.features.audio import decode

OFFICIAL = {name: corpus.official_names for name, corpus in CORPORA.items() if corpus.parse}
NAMED = tuple(OFFICIAL)


def fill(folder: Path, *files: str) -> Path:
    """Make empty files below a folder; readers go by names alone."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def write_table(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    table = folder / "table.csv"
    table.write_text("\n".join(lines) + "\n", encoding=encoding)
    return table


def test_importing_the_corpora_loads_no_heavy_library() -> None:
    code = (
        "import sys, benchmark.corpora, benchmark.corpora.fetch;"
        "heavy = {'numpy', 'scipy', 'pandas', 'librosa', 'requests'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"


@pytest.mark.parametrize("name", CORPORA)
def test_an_entry_is_complete(name: str) -> None:
    corpus = CORPORA[name]
    assert corpus.name == name
    assert corpus.title
    assert corpus.licence
    assert corpus.how_to_get
    assert set(corpus.emotions) <= set(known_emotions())
    assert corpus.generated == (name == "synthetic")
    assert (corpus.parse is None) != (corpus.read is None)


@pytest.mark.parametrize("name", NAMED)
def test_a_corpus_knows_all_its_official_clips(name: str) -> None:
    parse = CORPORA[name].parse
    assert parse is not None
    clips = [parse(official) for official in OFFICIAL[name]]
    assert len(clips) == CORPORA[name].official_clips
    assert {clip.emotion for clip in clips} == set(CORPORA[name].emotions)
    assert tuple(clip.name for clip in clips) == OFFICIAL[name]
    assert {clip.corpus for clip in clips} == {name}


@pytest.mark.parametrize("name", NAMED)
def test_a_complete_copy_is_read_at_any_depth(name: str, tmp_path: Path) -> None:
    fill(tmp_path, *(f"some/where/{clip}.wav" for clip in OFFICIAL[name]))
    recordings = read_corpus(name, tmp_path)
    assert tuple(clip.name for clip in recordings.clips) == OFFICIAL[name]
    assert recordings.missing == ()
    assert recordings.set_aside == ()


@pytest.mark.parametrize("suffix", [*AUDIO_SUFFIXES, ".WAV"])
def test_a_recording_may_have_any_suffix_that_can_be_decoded(suffix: str, tmp_path: Path) -> None:
    clip = read_corpus("savee", fill(tmp_path, f"DC/a01{suffix}")).clips[0]
    assert (clip.name, clip.path.suffix) == ("DC_a01", suffix)


@pytest.mark.parametrize("container", sorted({names[0] for names in CONTAINERS.values()}))
def test_a_recording_with_any_of_these_suffixes_is_decoded(container: str, tmp_path: Path) -> None:
    rate_hz = 16_000
    tone = 0.5 * np.sin(2 * np.pi * 200 * np.arange(rate_hz) / rate_hz)
    soundfile.write(tmp_path / "tone", tone, rate_hz, format=container)
    assert decode((tmp_path / "tone").read_bytes(), rate_hz).duration_s >= 1


def test_a_ravdess_name_gives_speaker_gender_emotion_statement_and_intensity(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "Actor_12/03-01-06-02-02-01-12.wav")
    clip = read_corpus("ravdess", tmp_path).clips[0]
    assert (clip.id, clip.speaker) == ("ravdess/03-01-06-02-02-01-12", "ravdess/12")
    assert (clip.gender, clip.emotion, clip.intensity) == ("female", "fearful", "strong")
    assert clip.statement == "Dogs are sitting by the door"


def test_the_misspelt_tess_clip_has_one_name_in_corrected_copies_too(tmp_path: Path) -> None:
    fill(tmp_path / "own", "OAF_neutral/OA_bite_neutral.wav")
    fill(tmp_path / "mended", "OAF_neutral/OAF_bite_neutral.wav")
    own = read_corpus("tess", tmp_path / "own").clips[0]
    mended = read_corpus("tess", tmp_path / "mended").clips[0]
    assert own.name == mended.name == "OA_bite_neutral"
    assert (own.speaker, own.emotion) == ("tess/OAF", "neutral")


def test_tess_calls_pleasant_surprise_ps(tmp_path: Path) -> None:
    fill(tmp_path, "YAF_pleasant_surprised/YAF_back_ps.wav")
    clip = read_corpus("tess", tmp_path).clips[0]
    assert (clip.emotion, clip.statement) == ("surprised", "Say the word back")


@pytest.mark.parametrize("file", ["DC_sa01.flac", "DC/sa01.flac", "AudioData/DC/sa01.WAV"])
def test_a_savee_clip_has_one_name_in_every_layout(file: str, tmp_path: Path) -> None:
    clip = read_corpus("savee", fill(tmp_path, file)).clips[0]
    assert (clip.name, clip.speaker, clip.emotion) == ("DC_sa01", "savee/DC", "sad")


def test_a_jl_name_gives_speaker_gender_emotion_and_sentence(tmp_path: Path) -> None:
    clip = read_corpus("jl", fill(tmp_path, "wav/male2_encouraging_10a_1.wav")).clips[0]
    assert (clip.id, clip.speaker) == ("jl/male2_encouraging_10a_1", "jl/male2")
    assert (clip.gender, clip.emotion) == ("male", "encouraging")
    assert (clip.statement, clip.facts["sentence"]) == ("", "encouraging 10")


def test_each_speaker_of_jl_has_sixty_clips_of_each_emotion() -> None:
    clips = [CORPORA["jl"].parse(name) for name in OFFICIAL["jl"]]
    counts = Counter((clip.speaker, clip.emotion) for clip in clips)
    assert len(counts) == 40
    assert set(counts.values()) == {60}


@pytest.mark.parametrize(
    ("word", "emotion"),
    [("pensive", "assertive"), ("worried", "concerned"), ("enthusiastic", "encouraging")],
)
def test_jl_names_with_the_words_of_papers_are_the_same_clips(
    word: str, emotion: str, tmp_path: Path
) -> None:
    clip = read_corpus("jl", fill(tmp_path, f"female1_{word}_3b_2.wav")).clips[0]
    assert (clip.name, clip.emotion) == (f"female1_{emotion}_3b_2", emotion)


def test_a_cremad_name_gives_speaker_gender_emotion_statement_and_intensity(tmp_path: Path) -> None:
    fill(tmp_path, "AudioWAV/1091_IEO_FEA_LO.wav", "AudioWAV/1001_DFA_ANG_XX.wav")
    plain, low = read_corpus("cremad", tmp_path).clips
    assert (low.id, low.speaker) == ("cremad/1091_IEO_FEA_LO", "cremad/1091")
    assert (low.gender, low.emotion, low.intensity) == ("female", "fearful", "low")
    assert low.statement == "It's eleven o'clock"
    assert (plain.gender, plain.emotion, plain.intensity) == ("male", "angry", "")


def test_a_complete_cremad_is_without_the_twenty_unpublished_clips() -> None:
    official = OFFICIAL["cremad"]
    assert len(official) == 7442
    clips = [CORPORA["cremad"].parse(name) for name in official]
    emotions = Counter(clip.emotion for clip in clips)
    assert emotions.pop("neutral") == 1087
    assert set(emotions.values()) == {1271}
    sexes = {clip.speaker: clip.gender for clip in clips}
    assert Counter(sexes.values()) == {"male": 48, "female": 43}
    gaps = {"1002_TIE_NEU_XX", "1076_ITS_NEU_XX", "1008_WSI_SAD_XX", "1009_MTI_ANG_XX"}
    assert gaps | {"1019_ITH_HAP_XX"} <= CORPORA["cremad"].gaps
    assert not CORPORA["cremad"].gaps & set(official)


def test_an_incomplete_cremad_names_its_missing_clips(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{name}.wav" for name in OFFICIAL["cremad"][2:]))
    recordings = read_corpus("cremad", tmp_path)
    line = describe_shortfall(CORPORA["cremad"], recordings)
    assert line == "cremad: 7440 of 7442 clips; missing: 1001_DFA_ANG_XX, 1001_DFA_DIS_XX"


def test_the_misspelt_cremad_clip_has_its_official_name(tmp_path: Path) -> None:
    clip = read_corpus("cremad", fill(tmp_path, "1040_ITH_SAD_X.wav")).clips[0]
    assert (clip.name, clip.path.stem) == ("1040_ITH_SAD_XX", "1040_ITH_SAD_X")


def test_an_emodb_name_gives_speaker_gender_emotion_and_sentence(tmp_path: Path) -> None:
    clip = read_corpus("emodb", fill(tmp_path, "wav/03a01Fa.wav")).clips[0]
    assert (clip.id, clip.speaker, clip.gender) == ("emodb/03a01Fa", "emodb/03", "male")
    assert (clip.emotion, clip.statement) == ("happy", "Der Lappen liegt auf dem Eisschrank.")


def test_a_complete_emodb_has_the_published_number_of_clips() -> None:
    """The figures are those of the corpus's own pages."""
    clips = [CORPORA["emodb"].parse(name) for name in OFFICIAL["emodb"]]
    assert Counter(clip.emotion for clip in clips) == {
        "angry": 127,
        "bored": 81,
        "neutral": 79,
        "happy": 71,
        "fearful": 69,
        "sad": 62,
        "disgust": 46,
    }
    assert {clip.speaker for clip in clips if clip.gender == "female"} == {
        f"emodb/{speaker}" for speaker in ("08", "09", "13", "14", "16")
    }
    assert len({clip.speaker for clip in clips}) == 10


def test_an_emovo_name_gives_speaker_gender_emotion_and_sentence(tmp_path: Path) -> None:
    clip = read_corpus("emovo", fill(tmp_path, "EMOVO/m3/rab-m3-d1.wav")).clips[0]
    assert (clip.id, clip.speaker, clip.gender) == ("emovo/rab-m3-d1", "emovo/m3", "male")
    assert (clip.emotion, clip.statement) == ("angry", "Sabato sera cosa farà?")


def test_each_speaker_of_emovo_says_each_sentence_with_each_emotion() -> None:
    clips = [CORPORA["emovo"].parse(name) for name in OFFICIAL["emovo"]]
    assert len(clips) == len({(one.speaker, one.emotion, one.statement) for one in clips}) == 588


@pytest.mark.parametrize(
    ("file", "facts"),
    [
        ("0001/Neutral/0001_000350", ("female", "neutral", "Mandarin sentence 350", "Mandarin")),
        ("0003/Sad/0003_001051", ("female", "sad", "Mandarin sentence 1", "Mandarin")),
        ("0011/Angry/train/0011_000351", ("male", "angry", "English sentence 1", "English")),
        ("0020/Happy/test/0020_001050", ("male", "happy", "English sentence 350", "English")),
        ("0016/Surprise/0016_001401", ("female", "surprised", "English sentence 1", "English")),
    ],
)
def test_an_esd_name_gives_gender_emotion_sentence_and_language(
    file: str, facts: tuple[str, ...], tmp_path: Path
) -> None:
    clip = read_corpus("esd", fill(tmp_path, f"{file}.wav")).clips[0]
    assert clip.speaker == f"esd/{file[:4]}"
    assert (clip.gender, clip.emotion, clip.statement, clip.facts["language"]) == facts


def test_esd_has_five_women_and_five_men_of_each_language() -> None:
    clips = [CORPORA["esd"].parse(name) for name in OFFICIAL["esd"]]
    speakers = {(clip.speaker, clip.gender, clip.facts["language"]) for clip in clips}
    assert Counter(speaker[1:] for speaker in speakers) == {
        ("female", "English"): 5,
        ("male", "English"): 5,
        ("female", "Mandarin"): 5,
        ("male", "Mandarin"): 5,
    }
    assert set(Counter(clip.emotion for clip in clips).values()) == {7000}


def parse_toy(name: str) -> Clip | str:
    """Return a clip of a corpus that is not in the package."""
    speaker, _, emotion = name.partition("-")
    if emotion not in ("glad", "grim"):
        return "not a toy name"
    return Clip("toy", name, Path(), f"toy/{speaker}", "unknown", emotion)


def test_a_corpus_from_outside_needs_one_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = Corpus("toy", "Toy", ("glad", "grim"), "none", "Make it.", parse=parse_toy)
    monkeypatch.setitem(CORPORA, "toy", toy)
    fill(tmp_path, "toy/a-glad.wav", "toy/b-grim.wav", "toy/b-sad.wav")
    recordings = read_corpus("toy", locate("toy", root=tmp_path, given={}, cache=tmp_path))
    assert [clip.speaker for clip in recordings.clips] == ["toy/a", "toy/b"]
    assert recordings.set_aside == (("b-sad.wav", "not a toy name"),)
    assert describe_shortfall(toy, recordings) == "toy: 2 of 2 clips"
    assert {"glad", "grim"} <= set(known_emotions())


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("female1_sad_1a_1(1).wav", "a second copy, by its name"),
        ("female1_sad_1a_1 (1).wav", "a second copy, by its name"),
        ("female3_sad_1a_1.wav", "not a JL name"),
        ("female1_sad_16a_1.wav", "not among the official clips of jl"),
    ],
)
def test_other_files_of_jl_are_skipped_with_a_reason(
    file: str, reason: str, tmp_path: Path
) -> None:
    recordings = read_corpus("jl", fill(tmp_path, file, "female1_sad_1a_1.wav"))
    assert [clip.name for clip in recordings.clips] == ["female1_sad_1a_1"]
    assert recordings.set_aside == ((file, reason),)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("03-02-03-01-01-01-01.wav", "song, not speech"),
        ("01-01-03-01-01-01-01.wav", "video with sound, not audio alone"),
        ("02-01-03-01-01-01-01.wav", "video, not audio alone"),
        ("03-01-01-02-01-01-01.wav", "not among the official clips of ravdess"),
        ("noise.wav", "not a RAVDESS name"),
    ],
)
def test_files_that_are_not_speech_clips_are_skipped_with_a_reason(
    file: str, reason: str, tmp_path: Path
) -> None:
    fill(tmp_path, f"more/{file}", "03-01-03-01-01-01-01.wav")
    assert read_corpus("ravdess", tmp_path).set_aside == ((f"more/{file}", reason),)


def test_hidden_files_and_other_files_are_not_recordings(tmp_path: Path) -> None:
    fill(tmp_path, "DC_a01.wav", "._DC_a02.wav", ".trash/DC_a03.wav", "readme.txt", "DC_a04.mp4")
    recordings = read_corpus("savee", tmp_path)
    assert [clip.name for clip in recordings.clips] == ["DC_a01"]
    assert recordings.set_aside == ()


def test_missing_clips_are_named_and_counted(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{name}.wav" for name in OFFICIAL["savee"][2:]))
    recordings = read_corpus("savee", tmp_path)
    assert recordings.missing == ("DC_a01", "DC_a02")
    line = describe_shortfall(CORPORA["savee"], recordings)
    assert line == "savee: 478 of 480 clips; missing: DC_a01, DC_a02"


def test_of_many_missing_clips_the_first_are_shown(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{name}.wav" for name in OFFICIAL["savee"][8:]))
    line = describe_shortfall(CORPORA["savee"], read_corpus("savee", tmp_path))
    assert line == (
        "savee: 472 of 480 clips; missing: DC_a01, DC_a02, DC_a03, DC_a04, DC_a05, ... (and 3 more)"
    )


def test_a_broken_link_is_a_missing_clip(tmp_path: Path) -> None:
    fill(tmp_path, "DC_a01.wav")
    (tmp_path / "DC_a02.wav").symlink_to(tmp_path / "gone.wav")
    assert "DC_a02" in read_corpus("savee", tmp_path).missing


def test_folders_with_circular_links_are_read_once(tmp_path: Path) -> None:
    fill(tmp_path, "DC/a01.wav")
    (tmp_path / "DC" / "again").symlink_to(tmp_path)
    assert len(read_corpus("savee", tmp_path).clips) == 1


def test_two_different_recordings_of_one_clip_are_refused_and_both_named(tmp_path: Path) -> None:
    fill(tmp_path, "one/DC_a01.wav", "two/DC/a01.flac")
    (tmp_path / "one" / "DC_a01.wav").write_bytes(b"other")
    with pytest.raises(BenchmarkError, match=r"DC_a01.*one/DC_a01\.wav and two/DC/a01\.flac"):
        read_corpus("savee", tmp_path)


def test_a_folder_that_holds_the_same_files_twice_counts_them_once(tmp_path: Path) -> None:
    fill(tmp_path, "Actor_01/03-01-03-01-01-01-01.wav", "all/Actor_01/03-01-03-01-01-01-01.wav")
    recordings = read_corpus("ravdess", tmp_path)
    assert [clip.path.parent.parent for clip in recordings.clips] == [tmp_path]
    assert recordings.set_aside == (
        ("all/Actor_01/03-01-03-01-01-01-01.wav", "a second copy, with the same bytes"),
    )


def test_a_table_that_holds_the_same_recording_twice_counts_it_once(tmp_path: Path) -> None:
    for name, content in (("a.wav", b"one"), ("b.wav", b"two")):
        (tmp_path / name).write_bytes(content)
    for name in ("copy/a.wav", "guest.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / "a.wav", tmp_path / name)
    rows = ["a.wav,sad,1", "b.wav,sad,1", "copy/a.wav,sad,1", "guest.wav,sad,2"]
    (tmp_path / "t.csv").write_text("\n".join(["path,emotion,speaker", *rows]))
    recordings = read_corpus("csv", tmp_path / "t.csv")
    assert [clip.name for clip in recordings.clips] == ["a", "b", "guest"]
    assert recordings.set_aside == (("copy/a", "a second copy, with the same bytes"),)
    assert not recordings.incomplete


@pytest.mark.parametrize("name", NAMED)
def test_a_folder_without_a_clip_of_the_corpus_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=f"no clip of {name} found"):
        read_corpus(name, tmp_path)
    fill(tmp_path, "noise.wav")
    with pytest.raises(BenchmarkError, match=r"It holds 1 other audio files: noise\.wav"):
        read_corpus(name, tmp_path)


@pytest.mark.parametrize("name", NAMED)
def test_a_missing_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"nowhere: can't read the folder"):
        read_corpus(name, tmp_path / "nowhere")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "DC/a01.wav")
    (tmp_path / "DC").chmod(0)
    with pytest.raises(BenchmarkError, match="Permission denied"):
        read_corpus("savee", tmp_path)


def test_an_unknown_corpus_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="Did you mean 'ravdess'"):
        read_corpus("ravdes", tmp_path)


def test_a_folder_given_for_one_corpus_has_precedence(tmp_path: Path) -> None:
    (tmp_path / "all" / "tess").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    given = {"tess": tmp_path / "mine"}
    assert locate("tess", root=tmp_path / "all", given=given, cache=tmp_path) == given["tess"]


@pytest.mark.parametrize("folder", ["tess", "TESS"])
def test_a_corpus_is_a_subfolder_of_the_root_with_its_name(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    assert locate("tess", root=tmp_path, given={}, cache=tmp_path) == tmp_path / folder


def test_the_generated_corpus_needs_no_folder(tmp_path: Path) -> None:
    assert locate("synthetic", root=None, given={}, cache=tmp_path) == tmp_path / "synthetic"


@pytest.mark.parametrize("name", NAMED)
def test_a_missing_corpus_is_refused_with_how_to_give_and_to_get_it(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(BenchmarkError) as refusal:
        locate(name, root=tmp_path, given={}, cache=tmp_path)
    message = str(refusal.value)
    assert str(tmp_path / name) in message
    assert f"--corpus {name}=DIR" in message
    assert "--corpora DIR" in message
    assert "SER_CORPORA=DIR" in message
    assert CORPORA[name].how_to_get in message


def test_a_missing_table_is_refused_with_how_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"--corpus csv=table\.csv"):
        locate("csv", root=tmp_path, given={}, cache=tmp_path)


def test_a_missing_given_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"nowhere does not exist, as given by --corpus tess="):
        locate("tess", root=None, given={"tess": tmp_path / "nowhere"}, cache=tmp_path)


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="nowhere: can't read the folder of the corpora"):
        locate("tess", root=tmp_path / "nowhere", given={}, cache=tmp_path)


def test_a_table_gives_path_emotion_speaker_and_gender(tmp_path: Path) -> None:
    fill(tmp_path, "b/x.wav", "a.mp3")
    table = write_table(
        tmp_path,
        "path,emotion,speaker,gender,age",
        "b/x.wav,bored,Ann,Female,30",
        f"{tmp_path}/a.mp3,angry,Bob,,40",
    )
    first, second = read_corpus("csv", table).clips
    assert (first.name, first.speaker, first.gender, first.emotion) == (
        "a",
        "csv/Bob",
        "unknown",
        "angry",
    )
    assert (second.id, second.speaker, second.gender, second.emotion) == (
        "csv/b/x",
        "csv/Ann",
        "female",
        "bored",
    )
    assert second.path == tmp_path / "b" / "x.wav"


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    fill(tmp_path, "a.wav")
    table = write_table(
        tmp_path, "Path;Emotion;Speaker", "a.wav;fröhlich;1", ";;", encoding="utf-8-sig"
    )
    assert [clip.emotion for clip in read_corpus("csv", table).clips] == ["fröhlich"]


def test_a_missing_file_of_a_table_is_a_missing_clip(tmp_path: Path) -> None:
    fill(tmp_path, "a.wav")
    table = write_table(tmp_path, "path,emotion,speaker", "a.wav,sad,1", "b/c.wav,sad,1")
    recordings = read_corpus("csv", table)
    assert recordings.missing == ("b/c",)
    line = describe_shortfall(CORPORA["csv"], recordings)
    assert line == "csv: 1 of 2 clips; missing: b/c"


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["path,emotoin,speaker"], "no column 'emotion'. Did you mean 'emotoin'"),
        (["path,emotion"], "no column 'speaker'"),
        (["path,emotion,speaker,gendr"], "no column 'gender'. Did you mean 'gendr'"),
        (["path,path,emotion,speaker"], "'path' occurs twice"),
        ([""], "no column 'path'"),
        (["path,emotion,speaker", "a.wav,,1"], "row 2, column 'emotion': the cell is empty"),
        (["path,emotion,speaker", "", "a.wav,sad, "], "row 3, column 'speaker': the cell is empty"),
        (["path,emotion,speaker", ",sad,1"], "row 2, column 'path': the cell is empty"),
        (
            ["path,emotion,speaker,gender", "a.wav,sad,1,f"],
            "row 2, column 'gender': 'f' is not allowed. Allowed: female, male, unknown",
        ),
        (
            ["path,emotion,speaker,gender", "a.wav,sad,1,male", "b.wav,sad,1,female"],
            "row 3, column 'gender': 'female', but 'male' in row 2 for the same speaker",
        ),
        (
            ["path,emotion,speaker", "a.wav,sad,1", "./a.wav,sad,1"],
            "row 3, column 'path': a is in row 2",
        ),
        (
            ["path,emotion,speaker,corpus", "a.wav,sad,1,"],
            "row 2, column 'corpus': the cell is empty",
        ),
        (
            ["path,emotion,speaker,corpus", "a.wav,sad,1,../x"],
            "row 2, column 'corpus': '../x' can't be the name of a corpus. Allowed: letters",
        ),
        (
            ["path,emotion,speaker,corpus", "a.wav,sad,1,Calls", "b.wav,sad,1,calls"],
            "row 3, column 'corpus': 'calls', but 'Calls' in row 2",
        ),
        (
            ["path,emotion,speaker,start", "a.wav,sad,1,-1"],
            "row 2, column 'start': '-1' is not a time within a recording. Allowed: seconds (1.5)",
        ),
        (["path,emotion,speaker,start", "a.wav,sad,1,soon"], "column 'start': 'soon' is not a ti"),
        (["path,emotion,speaker,end", "a.wav,sad,1,nan"], "column 'end': 'nan' is not a time"),
        (
            ["path,emotion,speaker,start,end", "a.wav,sad,1,2,1.5"],
            "row 2, column 'end': 1.5 s is not after the start, 2 s",
        ),
        (
            ["path,emotion,speaker,end", "a.wav,sad,1,1", "a.wav,sad,1,1.0"],
            "row 3, column 'path': a_0-1 is in row 2 already",
        ),
        (["path,emotion,speaker,folds"], "no column 'fold'. Did you mean 'folds'"),
        (["path,emotion,speaker", "a,b.wav,sad,1"], "row 2 has 4 cells, the header 3"),
        (["path,emotion,speaker"], "no clip of csv found"),
        (["path,emotion,speaker", "c.wav,sad,1"], "None of its 1 files exists: c"),
    ],
)
def test_a_wrong_table_is_refused_with_row_column_and_what_is_allowed(
    lines: list[str], complaint: str, tmp_path: Path
) -> None:
    fill(tmp_path, "a.wav", "b.wav")
    with pytest.raises(BenchmarkError) as refusal:
        read_corpus("csv", write_table(tmp_path, *lines))
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_table_names_corpora_and_official_partitions(tmp_path: Path) -> None:
    fill(tmp_path, "a.wav", "b.wav", "c.wav")
    table = write_table(
        tmp_path,
        "path,emotion,speaker,corpus,split,fold",
        "c.wav,sad,1,Office,Test1,",
        "a.wav,sad,1,call centre,,3",
        "b.wav,sad,1,Office,,",
        "d.wav,sad,1,Office,,",
    )
    found = read_corpus("csv", table)
    assert [clip.id for clip in found.clips] == ["Office/b", "Office/c", "call centre/a"]
    assert [clip.speaker for clip in found.clips] == ["Office/1", "Office/1", "call centre/1"]
    assert [clip.more for clip in found.clips] == [
        (),
        (("split", "Test1"),),
        (("fold", "3"),),
    ]
    parts = {name: (len(part.clips), part.missing) for name, part in found.parts.items()}
    assert parts == {"Office": (2, ("d",)), "call centre": (1, ())}
    line = describe_shortfall(CORPORA["csv"], found)
    assert line == "csv: 3 of 4 clips (2 of Office, 1 of call centre); missing: d"


def test_a_table_lists_segments_of_recordings_with_times_in_seconds_or_as_audformat_writes_them(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "a.wav", "b.wav")
    table = write_table(
        tmp_path,
        "path,start,end,emotion,speaker",
        "a.wav,0,1.5,sad,1",
        "a.wav,0 days 00:00:01.500000,0 days 00:00:03.250000,happy,1",
        "a.wav,3250ms,NaT,sad,2",
        "b.wav,,,sad,1",
    )
    clips = {clip.name: clip.segment for clip in read_corpus("csv", table).clips}
    assert clips == {
        "a_0-1.5": Segment(0.0, 1.5),
        "a_1.5-3.25": Segment(1.5, 3.25),
        "a_3.25-end": Segment(3.25, None),
        "b": None,
    }


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_segmented_table_of_audformat_is_read_directly(suffix: str, tmp_path: Path) -> None:
    fill(tmp_path, "audio/a.wav")
    seconds = [pd.to_timedelta(times, unit="s") for times in ([0.0, 1.5], [1.5, None])]
    index = pd.MultiIndex.from_arrays(
        [["audio/a.wav"] * 2, *seconds], names=["file", "start", "end"]
    )
    labels = pd.DataFrame({"emotion": ["sad", "happy"], "speaker": [1, 2]}, index=index)
    table = tmp_path / f"db.emotion.{suffix}"
    writers = {"csv": labels.to_csv, "parquet": labels.to_parquet}
    writers[suffix](table)
    clips = read_corpus("csv", table).clips
    assert [(clip.id, clip.segment, clip.speaker, clip.emotion) for clip in clips] == [
        ("csv/audio/a_0-1.5", Segment(0.0, 1.5), "csv/1", "sad"),
        ("csv/audio/a_1.5-end", Segment(1.5, None), "csv/2", "happy"),
    ]


EMOBOX_LINE = (
    '{"key": "emodb-03a02Wb", "dataset": "emodb", "wav": "downloads/emodb/wav/03a02Wb.wav", '
    '"type": "raw", "sample_rate": 16000, "num_frame": 33978.0, "task": "category", '
    '"length": 2.123625, "emo": "anger", "channel": 1%s}\n'
)


def test_lines_of_emobox_are_read_directly_from_their_folder(tmp_path: Path) -> None:
    fill(tmp_path, "downloads/emodb/wav/03a02Wb.wav", "data/emodb/emodb.jsonl")
    table = tmp_path / "data/emodb/emodb.jsonl"
    table.write_text(EMOBOX_LINE % ', "speaker": "03", "split": "test"')
    [clip] = read_corpus("csv", table).clips
    assert (clip.id, clip.speaker, clip.emotion) == (
        "emodb/downloads/emodb/wav/03a02Wb",
        "emodb/03",
        "anger",
    )
    assert clip.path == tmp_path / "downloads/emodb/wav/03a02Wb.wav"
    assert clip.more == (("split", "test"),)


def test_lines_of_emobox_without_speakers_are_refused_with_where_to_find_them(
    tmp_path: Path,
) -> None:
    table = tmp_path / "emodb.jsonl"
    table.write_text(EMOBOX_LINE % "")
    with pytest.raises(BenchmarkError, match=r"no column 'speaker'\. EmoBox's lines.*the names of"):
        read_corpus("csv", table)


def test_the_entry_of_a_corpus_of_a_table_is_that_of_the_table_unless_it_is_registered() -> None:
    assert entry_of("ravdess") is CORPORA["ravdess"]
    own = entry_of("call centre")
    assert (own.name, own.title) == ("call centre", CORPORA["csv"].title)


def test_recordings_outside_the_folder_of_the_table_are_named_by_what_tells_them_apart(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "one/s1/c.wav", "one/s2/c.wav", "two/a.wav", "two/b.wav", "here/a.wav")
    table = write_table(
        tmp_path / "here",
        "path,emotion,speaker",
        "a.wav,sad,1",
        "../one/s1/c.wav,sad,1",
        f"{tmp_path}/one/s2/c.wav,sad,2",
        "../two/a.wav,sad,2",
        "../two/b.wav,sad,2",
    )
    names = [clip.name for clip in read_corpus("csv", table).clips]
    assert names == ["a", "b", "one/s1/c", "one/s2/c", "two/a"]


@pytest.mark.parametrize("content", [b"path,emotion\xff,speaker", b"\0\1\2", b""])
def test_a_file_that_is_not_a_table_is_refused(content: bytes, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"table\.csv"):
        read_corpus("csv", table)


def test_a_folder_is_refused_as_a_table(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="can't read the table"):
        read_corpus("csv", tmp_path)


@pytest.mark.recordings
@pytest.mark.parametrize(("name", "speakers"), [("ravdess", 24), ("tess", 2), ("savee", 4)])
def test_the_real_corpora_are_read_completely(name: str, speakers: int, recordings: Path) -> None:
    found = read_corpus(name, locate(name, root=recordings, given={}, cache=recordings))
    assert (found.missing, found.set_aside) == ((), ())
    assert len(found.clips) == CORPORA[name].official_clips
    counts = Counter(clip.speaker for clip in found.clips)
    assert len(counts) == speakers
    assert len(set(counts.values())) == 1


@pytest.mark.recordings
def test_the_real_clips_of_jl_are_read_with_the_facts_in_their_names(recordings: Path) -> None:
    found = read_corpus("jl", recordings / "jl")
    assert (len(found.clips), len(found.missing), found.set_aside) == (50, 2350, ())
    for clip in found.clips:
        speaker, emotion, _, _ = clip.path.stem.split("_")
        assert (clip.speaker, clip.emotion) == (f"jl/{speaker}", emotion)
        assert speaker.startswith(clip.gender)


@pytest.mark.parametrize("column", PATHS)
def test_the_column_of_recordings_may_have_the_names_of_other_tools(
    column: str, tmp_path: Path
) -> None:
    fill(tmp_path, "a.wav")
    (tmp_path / "table.csv").write_text(f"{column.title()};emotion;speaker\r\na.wav;sad;1\r\n")
    assert [clip.name for clip in read_corpus("csv", tmp_path / "table.csv").clips] == ["a"]


@pytest.mark.parametrize("name", ["a01 (2)", "sa03 (4)", "n12 - Copy", "h01_2"])
def test_numbered_names_of_savee_have_lost_their_speaker(name: str, tmp_path: Path) -> None:
    fill(tmp_path, "DC_a01.wav", f"RawData/{name}.wav")
    (aside,) = read_corpus("savee", tmp_path).set_aside
    assert "so the speaker, is lost" in aside[1]
