"""A proposed study follows from the recordings, says why, and is accepted as it stands."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.console import Console
from benchmark.corpora import CORPORA
from benchmark.data.prepare import study_splits
from benchmark.errors import BenchmarkError
from benchmark.project import Project, Sources
from benchmark.proposal import Proposal, propose, write_study
from benchmark.study import Study
from benchmark.validation import read_checked
from tests.support.bench import run_command

Row = tuple[str, str, str]  # emotion, speaker, sentence
EMOTIONS = ("angry", "calm", "sad")


def rows(
    n_speakers: int,
    emotions: tuple[str, ...] = EMOTIONS,
    clips: int = 6,
    sentence: Callable[[str, int], str] = lambda _, take: f"s{take}",
) -> list[Row]:
    """The clips of speakers who all have all emotions, in different sentences."""
    return [
        (emotion, f"P{speaker:02d}", sentence(emotion, take))
        for speaker in range(n_speakers)
        for emotion in emotions
        for take in range(clips)
    ]


def proposed(folder: Path, table: list[Row]) -> Proposal:
    """The study proposed for a table, whose files are not looked into."""
    folder.mkdir(exist_ok=True)
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "emotion", "speaker", "statement"])
        for number, row in enumerate(table):
            (folder / f"{number}.wav").write_text(str(number))
            writer.writerow([f"{number}.wav", *row])
    sources = Sources(cache=folder / "cache", given={"csv": folder / "table.csv"})
    return propose("mine", (), sources, Console(quiet=True))


def written(folder: Path, proposal: Proposal) -> tuple[Study, str]:
    """The study of a proposal as it is read from its file, which allows its splits; the file."""
    path = write_study(proposal, Project(folder))
    study = read_checked(path)
    study_splits(study, proposal.found.clips, ())
    return study, path.read_text().replace("\n#", "").replace("     ", " ")


@pytest.mark.parametrize(
    ("n_speakers", "independent", "folds", "why"),
    [
        (1, False, 5, "1 speaker: a speaker-independent figure needs 3"),
        (2, False, 5, "2 speakers: a speaker-independent figure needs 3"),
        (3, True, "leave-one-speaker-out", "3 speakers, not more than 10"),
        (4, True, "leave-one-speaker-out", "fewer than 6 speakers"),
        (10, True, "leave-one-speaker-out", "in 10 outer folds"),
        (11, True, 5, "11 speakers, too many to test each alone"),
    ],
)
def test_the_number_of_speakers_decides_protocols_and_folds(
    tmp_path: Path, n_speakers: int, independent: bool, folds: str | int, why: str
) -> None:
    study, text = written(tmp_path, proposed(tmp_path, rows(n_speakers)))
    protocols = ("speaker-dependent", "speaker-independent")[: 1 + independent]
    assert (study.split.protocols, study.split.folds) == (protocols, folds)
    assert study.question.startswith(f"How high is {protocols[-1]} UAR on 3 emotions")
    assert why in text


def test_an_emotion_with_few_clips_or_few_speakers_is_left_out_with_the_reason(
    tmp_path: Path,
) -> None:
    rare = rows(1, ("bored",), 5) + rows(2, ("shy",), 4)
    study, text = written(tmp_path, proposed(tmp_path, rows(5) + rare))
    assert study.emotions == EMOTIONS
    assert "Left out: bored (5 clips in csv, fewer than 6)." in text
    assert "Left out: shy (only 2 of 5 speakers have it" in text


def test_an_emotion_that_a_speaker_lacks_is_kept_if_folds_of_several_speakers_have_it(
    tmp_path: Path,
) -> None:
    table = [row for row in rows(8) if row[:2] != ("sad", "P03")]
    study, text = written(tmp_path, proposed(tmp_path, table))
    assert study.emotions == EMOTIONS
    assert study.split.folds == 5
    assert "8 speakers, of whom not each has clips of all emotions" in text


def test_speakers_with_emotions_of_their_own_are_not_kept_apart(tmp_path: Path) -> None:
    table = [
        (emotion, f"P{n}", f"s{take}") for n, emotion in enumerate(EMOTIONS) for take in range(9)
    ]
    proposal = proposed(tmp_path, table)
    assert [one.protocol for one in proposal.protocols] == ["speaker-dependent"]
    assert "Record the same emotions of each speaker" in proposal.warnings[0]


def test_emotions_that_differ_by_case_only_are_read_as_one(tmp_path: Path) -> None:
    study, text = written(tmp_path, proposed(tmp_path, rows(5) + rows(5, ("Sad", "SAD"), 1)))
    assert study.rename == {"SAD": "sad", "Sad": "sad"}
    assert study.emotions == EMOTIONS
    assert "sad 40." in text


@pytest.mark.parametrize(
    ("n_speakers", "protocol"), [(5, "speaker+text-independent"), (2, "text-independent")]
)
def test_sentences_that_tell_the_emotion_are_kept_apart_with_a_warning(
    tmp_path: Path, n_speakers: int, protocol: str
) -> None:
    table = rows(n_speakers, clips=9, sentence=lambda emotion, take: f"{emotion} {take}")
    study, text = written(tmp_path, proposed(tmp_path, table))
    assert study.split.protocols[-1] == protocol
    assert "WARNING: csv: the sentence tells the emotion." in text
    assert f"except those of {protocol}." in text


def test_sentences_that_cannot_be_kept_apart_bring_a_warning_alone(tmp_path: Path) -> None:
    table = rows(5, sentence=lambda emotion, _: emotion)
    study, text = written(tmp_path, proposed(tmp_path, table))
    assert study.split.protocols == ("speaker-dependent", "speaker-independent")
    assert "no split with all emotions keeps sentences apart" in text


def test_unknown_sentences_are_said_to_be_unknown(tmp_path: Path) -> None:
    _, text = written(tmp_path, proposed(tmp_path, rows(5, sentence=lambda *_: "")))
    assert "Sentences: unknown." in text


def test_several_corpora_are_tested_across_on_the_emotions_that_they_share(tmp_path: Path) -> None:
    for name in ("ravdess", "savee"):
        (tmp_path / name).mkdir()
        for clip in CORPORA[name].official_names:
            (tmp_path / name / f"{clip}.wav").write_text(clip)
    sources = Sources(cache=tmp_path / "cache", root=tmp_path)
    study, text = written(
        tmp_path, propose("both", ("ravdess", "savee"), sources, Console(quiet=True))
    )
    assert study.split.protocols[-2:] == ("speaker+text-independent", "cross-corpus")
    assert "calm" not in study.emotions
    assert "Left out: calm (not in savee; [rename] can map it to another one)." in text
    assert "87 sentences; Cramér's V of sentence and emotion: 0.73" in text


def test_names_of_a_table_cannot_break_the_file(tmp_path: Path) -> None:
    names = ('a "quoted" \\ one', "two\nlines = 3", "# three \x1b[31m\x7f", "ängstlich")
    study, _ = written(
        tmp_path, proposed(tmp_path, [*rows(5, names), ("rare\nseed = 7", "P0", "s")])
    )
    assert sorted(study.emotions) == sorted(names)
    assert study.seed == 0


def test_too_few_clips_are_refused_with_their_number(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"Left out: angry: 2 clips in csv, fewer than 6"):
        proposed(tmp_path, rows(2, ("angry",), 1) + rows(3, ("sad",)))


def test_names_of_speakers_that_make_a_protocol_untrue_are_refused(tmp_path: Path) -> None:
    table = rows(5) + [(emotion, "p 1", "s") for emotion in EMOTIONS]
    with pytest.raises(BenchmarkError, match="differ only in case"):
        proposed(tmp_path, table)


def test_two_tables_alike_give_the_same_bytes(tmp_path: Path) -> None:
    files = [
        write_study(proposed(tmp_path / name, rows(4)), Project(tmp_path / name)).read_bytes()
        for name in ("one", "two")
    ]
    assert files[0] == files[1]


def test_segments_of_one_file_are_recordings_of_their_own(tmp_path: Path) -> None:
    with (tmp_path / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "emotion", "speaker", "start", "end"])
        for number, (emotion, speaker, _) in enumerate(rows(4)):
            writer.writerow(["call.wav", emotion, speaker, number, number + 1])
    (tmp_path / "call.wav").write_text("call")
    sources = Sources(cache=tmp_path / "cache", given={"csv": tmp_path / "table.csv"})
    proposal = propose("mine", (), sources, Console(quiet=True))
    assert len(proposal.found.clips) == 72


def test_a_study_is_never_overwritten(tmp_path: Path) -> None:
    proposal = proposed(tmp_path, rows(4))
    write_study(proposal, Project(tmp_path))
    with pytest.raises(BenchmarkError, match=r"mine\.toml exists already and is not overwritten"):
        write_study(proposal, Project(tmp_path))


def test_the_command_names_the_next_command_which_accepts_the_study(
    tones: Path, tmp_path: Path
) -> None:
    where = ("--corpus", f"csv={tones}", "--project", str(tmp_path))
    done = run_command("new", "tones", *where)
    assert done.stdout == f"{tmp_path / 'studies/tones.toml'}\n"
    assert f"run-study {tmp_path / 'studies/tones.toml'} --corpus csv={tones}" in done.stderr
    tables = run_command("extract", str(tmp_path / "studies/tones.toml"), *where)
    assert tables.returncode == 0, tables.stderr
    assert tables.stdout.count("12 rows") == 12  # each of six speakers, in both protocols


def test_corpora_and_sides_that_a_table_names_are_proposed(tmp_path: Path) -> None:
    table = rows(6)
    proposed(tmp_path, table)
    with (tmp_path / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "emotion", "speaker", "statement", "corpus", "split"])
        for number, row in enumerate(table):
            of_first = row[1] < "P03"
            sides = ("ours", "train") if of_first else ("theirs", "test")
            writer.writerow([f"{number}.wav", *row, *sides])
    sources = Sources(cache=tmp_path / "cache", given={"csv": tmp_path / "table.csv"})
    study, text = written(tmp_path, propose("two", (), sources, Console(quiet=True)))
    assert study.corpora == ("csv",)
    assert {"cross-corpus", "given"} <= set(study.split.protocols)
    assert "ours: 54 clips of 3 speakers" in text
