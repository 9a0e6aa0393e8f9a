"""Prediction of files named on the command line, and its output formats."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from benchmark.console import Console
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.features.audio import UnusableError
from benchmark.serving.batch import Part, find_files, predict_files, timeline_files
from benchmark.serving.command import Output, check_output, predict, predict_over_time
from benchmark.serving.formats import (
    COLUMNS,
    FileResult,
    table_rows,
    timelines_to_csv,
    to_csv,
    to_json,
)
from benchmark.serving.predictor import Prediction, Predictor
from benchmark.serving.timeline import Timeline
from benchmark.tracking.cards import read_card
from tests.support.bench import Bench
from tests.support.records import read_sealed, write_sealed
from tests.support.sounds import sine

QUIET = Console(quiet=True)


def parts(*files: Path) -> tuple[Part, ...]:
    """Return whole recordings to predict."""
    return tuple(map(Part, files))


EMOTIONS = ("high", "low", "middle")


@pytest.fixture(scope="module")
def card(finished: Bench) -> Path:
    return finished.card()


@pytest.fixture
def folder(tones: Path, tmp_path: Path) -> Path:
    """A folder with recordings at two depths, and other files."""
    below = tmp_path / "clips"
    (below / "deep").mkdir(parents=True)
    shutil.copy(tones.parent / "0_high_0.wav", below / "b.wav")
    shutil.copy(tones.parent / "0_low_0.wav", below / "deep" / "a.WAV")
    (below / "notes.txt").write_text("no sound")
    return below


@pytest.fixture
def predictions(folder: Path, card: Path, tmp_path: Path) -> tuple[FileResult[Prediction], ...]:
    """Two recordings, and three files that are none."""
    (folder / "empty.wav").write_bytes(b"")
    (folder / "words.wav").write_text("no sound")
    soundfile.write(folder / "silent.wav", np.zeros(22_050), 22_050)
    return predict_files(find_files([str(folder)]), card, tmp_path / "cache", Workers(1), QUIET)


@pytest.mark.parametrize("split", ["speaker-dependent", "speaker-independent"])
@pytest.mark.parametrize("model", ["ensemble", "logistic_regression", "random_forest"])
def test_predictions_of_test_clips_equal_the_stored_results(
    finished: Bench, tmp_path: Path, split: str, model: str
) -> None:
    stored = finished.served(split, model)
    card = finished.card(split, model)
    result = predict_files(parts(*stored.index), card, tmp_path / "cache", Workers(1), QUIET)
    table = pd.read_csv(io.StringIO(to_csv(result, EMOTIONS)))
    assert len(stored) > 10
    assert np.array_equal(table[list(stored)].astype(np.float32), stored)


def test_a_recording_unlike_the_training_recordings_is_named_and_its_answer_is_less_sure(
    finished: Bench, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 44_100)
    soundfile.write(tmp_path / "unlike.wav", sine(2.0, 110.0) + noise, 22_050)
    tone = finished.table.parent / "0_low_0.wav"
    card = finished.card(model="logistic_regression")
    result = predict_files(
        parts(tone, tmp_path / "unlike.wav"), card, tmp_path / "c", Workers(1), QUIET
    )
    like, unlike = (one.result for one in result)
    assert like is not None
    assert unlike is not None
    assert like.familiarity == "like the training recordings"
    assert unlike.familiarity == "unlike the training recordings"
    assert like.distance <= 1 < unlike.distance
    table = pd.read_csv(io.StringIO(to_csv(result, EMOTIONS)))
    assert list(table["familiarity"]) == [like.familiarity, unlike.familiarity]
    assert table["distance"].astype(np.float32).to_list() == [like.distance, unlike.distance]
    raw = without_calibration(card, tmp_path / "old")
    [old] = predict_files(parts(tmp_path / "unlike.wav"), raw, tmp_path / "c", Workers(1), QUIET)
    assert max(unlike.probabilities.values()) < max(old.result.probabilities.values())


def without_calibration(card: Path, folder: Path) -> Path:
    """A copy of a card and its model, as early versions wrote them."""
    shutil.copytree(card.parent, folder)
    content = read_sealed(card)
    content.pop("calibration")
    return write_sealed(folder / card.name, content)


def test_a_model_of_an_early_version_gives_its_own_probabilities_and_says_so(
    finished: Bench, tmp_path: Path
) -> None:
    card = without_calibration(finished.card(model="logistic_regression"), tmp_path / "old")
    stored = finished.stored(model="logistic_regression")
    result = predict_files(parts(*stored.index), card, tmp_path / "cache", Workers(1), QUIET)
    table = pd.read_csv(io.StringIO(to_csv(result, EMOTIONS)))
    assert np.array_equal(table[list(stored)].astype(np.float32), stored)
    assert set(table["familiarity"]) == {"not calibrated"}
    assert table["distance"].isna().all()
    assert "not calibrated" in read_card(card).calibrated


def test_workers_and_the_cache_change_no_prediction(
    finished: Bench, tones: Path, card: Path, tmp_path: Path
) -> None:
    files = find_files([str(tones.parent)])
    with Workers(2) as workers:
        many = predict_files(files, card, tmp_path / "cache", workers, QUIET)
        cached = predict_files(files, card, tmp_path / "cache", workers, QUIET)
    few = predict_files(files[30:40], card, tmp_path / "other", Workers(1), QUIET)
    assert many == cached
    assert many[30:40] == few
    predictor = Predictor.load(card)
    assert [predictor.predict(part.file.read_bytes()) for part in files[:3]] == [
        one.result for one in many[:3]
    ]


def test_files_folders_and_tables_are_found_in_the_order_they_are_named(folder: Path) -> None:
    first, deep = folder / "b.wav", folder / "deep" / "a.WAV"
    table = folder.parent / "list.csv"
    table.write_text("speaker;Path\n1;clips/deep/a.WAV\n\n2;clips/none.wav\n")
    assert find_files([str(folder)]) == parts(first, deep)
    assert find_files([str(table), str(folder)]) == parts(deep, folder / "none.wav", first)
    assert find_files([str(first), str(deep), str(first)]) == parts(first, deep)


def test_a_file_is_predicted_once_however_it_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    found = find_files(["deep/../b.wav", "b.wav", str(folder / "b.wav"), "."])
    assert [part.file.name for part in found] == ["b.wav", "a.WAV"]


def test_a_file_that_is_named_may_have_any_ending(folder: Path) -> None:
    assert find_files([str(folder / "notes.txt")]) == parts(folder / "notes.txt")


TABLES = {
    "name\na.wav\n": "row 1: no column 'path'. Columns: name.",
    "": "row 1: no column 'path'. Columns: none.",
    "path\n": "lists no recordings",
    "path,speaker\na.wav,1\n,2\n": "row 3, column 'path': '' is not a file name",
    "path,start,end\na.wav,,\nb.wav,3,1.5\n": "row 3, column 'end': 1.5 s is not after the start",
    "path,end\na.wav,loud\n": "row 2, column 'end': 'loud' is not a time within a recording",
    "path\na\0.wav\n": "row 2, column 'path': 'a\\\\x00.wav' is not a file name",
}


@pytest.mark.parametrize("content", TABLES)
def test_a_table_without_paths_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(BenchmarkError, match=TABLES[content]):
        find_files([str(tmp_path / "list.csv")])


def test_a_table_may_state_times_of_whole_recordings(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,start,end\na.wav,0 days,NaT\nb.wav,,\n")
    found = find_files([str(tmp_path / "list.csv")])
    assert found == parts(tmp_path / "a.wav", tmp_path / "b.wav")


def test_a_missing_file_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no such file or folder\. Allowed: recordings"):
        find_files([str(tmp_path / "none.wav")])
    with pytest.raises(BenchmarkError, match=r"no recordings in this folder.*\.mp3"):
        find_files([str(tmp_path)])


def test_an_unusable_file_is_a_row_with_its_reason(
    predictions: tuple[FileResult[Prediction], ...],
) -> None:
    reasons = {Path(one.file).name: one.reason for one in predictions}
    assert reasons == {
        "b.wav": "",
        "a.WAV": "",
        "empty.wav": "empty file",
        "silent.wav": "silent: no sample above -80 dB of full scale",
        "words.wav": "not audio",
    }
    assert all((one.result is None) == bool(one.reason) for one in predictions)


def test_the_table_shows_the_two_most_probable_emotions(
    predictions: tuple[FileResult[Prediction], ...],
) -> None:
    rows = {Path(row[-1]).name: row for row in table_rows(predictions)}
    assert {len(row) for row in rows.values()} == {len(COLUMNS)}
    assert rows["b.wav"][0] == "high"
    assert rows["b.wav"][1].endswith(" %")
    assert rows["b.wav"][3:5] == ("like the training recordings", "0.3 s")
    assert rows["empty.wav"][:-1] == ("none", "", "empty file", "", "")


def test_csv_and_json_hold_the_exact_probabilities(
    predictions: tuple[FileResult[Prediction], ...], card: Path
) -> None:
    table = list(csv.DictReader(io.StringIO(to_csv(predictions, EMOTIONS))))
    printed = json.loads(to_json(read_card(card), "predictions", predictions))
    for result, row, one in zip(predictions, table, printed["predictions"], strict=True):
        assert (row["file"], row["reason"]) == (result.file, result.reason)
        assert one["file"] == result.file
        exact = result.result.probabilities if result.result else {}
        assert one.get("probabilities", {}) == exact
        assert {name: np.float32(row[f"p_{name}"]) for name in exact} == exact
    assert printed["model"] == read_card(card).reference
    assert printed["measured"]["speaker_independent"] is True


def test_timelines_are_written_as_csv_and_json(folder: Path, card: Path) -> None:
    (folder / "empty.wav").write_bytes(b"")
    predictor = Predictor.load(card)
    found = timeline_files(find_files([str(folder)]), predictor, Workers(1), QUIET)
    printed = json.loads(to_json(predictor.card, "timelines", found))
    table = list(csv.DictReader(io.StringIO(timelines_to_csv(found, EMOTIONS))))
    assert [one.reason for one in found] == ["", "", "empty file"]
    assert [row["emotion"] for row in table] == ["high", "low", ""]
    assert [one["file"] for one in printed["timelines"]] == [one.file for one in found]
    assert printed["timelines"][0]["windows"][0]["probabilities"] == _probabilities(found[0])
    assert printed["timelines"][2]["reason"] == table[2]["reason"] == "empty file"


def _probabilities(one: FileResult[Timeline]) -> dict[str, float]:
    assert one.result is not None
    return one.result.windows[0].probabilities


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("clips/b.wav", "is an input"),
        ("list.csv", "is an input"),
        ("clips", "not a regular file"),
        ("link.csv", "not a regular file"),
        ("absent/predictions.csv", "no folder"),
    ],
)
def test_output_files_never_replace_inputs_or_special_files(
    folder: Path, target: str, words: str
) -> None:
    above = folder.parent
    (above / "link.csv").symlink_to(above / "predictions.csv")
    named = [above / "list.csv", folder / "deep" / ".." / "b.wav"]
    check_output(Output(csv=above / "predictions.csv"), named)
    with pytest.raises(BenchmarkError, match=words):
        check_output(Output(csv=above / target), named)


def test_an_unknown_user_and_a_name_too_long_are_refused() -> None:
    for name in ("~nobody-of-that-name/a.wav", 300 * "a"):
        with pytest.raises(BenchmarkError, match="not a valid path"):
            find_files([name])


STRANGE = os.fsdecode(b"[/x] \xff $\\frac{$ \x1b[31m.wav")  # markup, no UTF-8, a formula, a command


def test_any_file_name_is_printed_and_drawn(
    folder: Path, card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = folder / STRANGE
    strange.parent.mkdir()
    (folder / "b.wav").rename(strange)
    table, picture = folder.parent / "predictions.csv", folder.parent / "picture.svg"
    for as_json in (False, True):
        output = Output(as_json, table if as_json else None, picture)
        assert predict_over_time(parts(strange), card, output, Workers(1), Console())
        printed = capsys.readouterr()
        assert "\x1b[31m" not in printed.out + printed.err
    assert json.loads(printed.out)["timelines"][0]["file"] == str(strange)
    assert table.read_text().splitlines()[1].startswith(str(folder))
    assert picture.read_bytes().startswith(b"<?xml")


def test_a_model_that_cannot_be_loaded_is_an_error(
    card: Path, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(card.parent, tmp_path / "models")
    (tmp_path / "models" / "ensemble.skops").write_bytes(b"another model")
    with pytest.raises(BenchmarkError, match="its digest differs"):
        predict_files(
            find_files([str(folder)]),
            tmp_path / "models" / "ensemble.json",
            tmp_path / "cache",
            Workers(1),
            QUIET,
        )


def test_segments_of_a_recording_are_predicted_as_clips_of_their_own(
    tones: Path, card: Path, tmp_path: Path
) -> None:
    low, high = (soundfile.read(tones.parent / f"0_{name}_0.wav") for name in ("low", "high"))
    soundfile.write(tmp_path / "both.wav", np.concatenate([low[0], high[0]]), low[1])
    for name, (samples, rate_hz) in (("low", low), ("high", high)):
        soundfile.write(tmp_path / f"{name}.wav", samples, rate_hz)
    middle_s = len(low[0]) / low[1]
    (tmp_path / "list.csv").write_text(
        f"file;start;end\nboth.wav;0;{str(middle_s).replace('.', ',')}\n"
        f"both.wav;0 days 00:00:0{middle_s:.9f};NaT\nlow.wav;;\nhigh.wav;;\n"
    )
    found = find_files([str(tmp_path / "list.csv")])
    result = predict_files(found, card, tmp_path / "cache", Workers(1), QUIET)
    first, second, low_alone, high_alone = (one.result for one in result)
    assert (first, second) == (low_alone, high_alone)
    table = pd.read_csv(io.StringIO(to_csv(result, EMOTIONS)))
    assert list(table.columns[:4]) == ["file", "start", "end", "emotion"]
    assert table["start"].isna().to_list() == [False, False, True, True]
    printed = json.loads(to_json(read_card(card), "predictions", result))["predictions"]
    assert [one.get("end") for one in printed] == [middle_s, None, None, None]
    assert table_rows(result)[0][-1].endswith(f"both.wav (0-{middle_s:.10g} s)")
    with pytest.raises(BenchmarkError, match="Timelines are of whole recordings"):
        timeline_files(found, Predictor.load(card), Workers(1), QUIET)


@pytest.mark.parametrize("suffix", [".tsv", ".parquet", ".jsonl", ".json"])
def test_a_list_may_be_any_kind_of_table(folder: Path, suffix: str) -> None:
    table = folder.parent / f"list{suffix}"
    rows = pd.DataFrame({"Filename": ["clips/b.wav"]})
    {
        ".tsv": lambda: rows.to_csv(table, sep="\t", index=False, encoding="utf-16"),
        ".parquet": lambda: rows.to_parquet(table),
        ".jsonl": lambda: rows.to_json(table, orient="records", lines=True),
        ".json": lambda: rows.to_json(table, orient="records"),
    }[suffix]()
    assert find_files([str(table)]) == parts(folder / "b.wav")


def spoken(seconds: float, whole_s: float = 3.0, rate_hz: int = 22_050) -> np.ndarray:
    """Return some seconds of a sine, and silence."""
    silence = np.zeros(round((whole_s - seconds) * rate_hz))
    return np.concatenate([sine(seconds, 150.0), silence])


RNG = np.random.default_rng(0)
NO_SPEECH = {
    "a dead line": np.full(60_000, 0.3),
    "a dead line with noise": 0.3 + 1e-3 * RNG.standard_normal(60_000),
    "a click": np.eye(1, 60_000, 30_000)[0],
    "a switch": np.repeat([0.0, 0.5], 30_000),
    "noise": 0.1 * RNG.standard_normal(60_000),
    "a little noise": np.concatenate([0.1 * RNG.standard_normal(6_000), np.zeros(60_000)]),
    "hum": 0.1 * np.sin(2 * np.pi * 50 * np.arange(60_000) / 22_050),
    "mostly silence": spoken(0.3),
}


@pytest.mark.parametrize("kind", NO_SPEECH)
def test_what_holds_too_little_speech_has_no_emotion_at_any_door(
    kind: str, small_card: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sound.wav"
    soundfile.write(file, NO_SPEECH[kind], 22_050)
    [one] = predict_files(parts(file), small_card, tmp_path / "cache", Workers(1), QUIET)
    [over_time] = timeline_files(parts(file), Predictor.load(small_card), Workers(1), QUIET)
    assert one.reason.startswith("too little speech: ")
    assert over_time.reason == "too little speech: no window can be used"
    with pytest.raises(UnusableError, match=re.escape(one.reason)):
        Predictor.load(small_card).predict(file.read_bytes())


def test_stereo_and_a_recording_far_longer_than_those_learned_from_hint_at_a_timeline(
    small_card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"short": spoken(1.0, 1.0), "long": spoken(9.0, 9.0)}
    files["stereo"] = np.stack([files["short"]] * 2, axis=1)
    for name, samples in files.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 22_050)
    assert read_card(small_card).longest_clip_s == pytest.approx(0.3, abs=0.1)
    shutil.copytree(small_card.parent, tmp_path / "models")
    card = tmp_path / "models" / small_card.name
    write_sealed(card, read_sealed(small_card) | {"longest_clip_s": 1.5})
    found = parts(*(tmp_path / f"{name}.wav" for name in files))
    assert predict(found, card, Output(), tmp_path / "cache", Workers(1), Console())
    said = [line for line in capsys.readouterr().err.splitlines() if "--timeline" in line]
    assert [Path(line.partition(":")[0]).stem for line in said] == ["long", "stereo"]
    assert "it has 9 s, and the longest training recording 1.5 s" in said[0]
    assert "its 2 channels are mixed into one" in said[1]
    hints = [Predictor.load(card).predict(part.file.read_bytes()).hint for part in found]
    assert [bool(one) for one in hints] == [False, True, True]
