"""Recordings under conditions, written for any system, are those that a study measures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from benchmark.corpora import Clip
from benchmark.corpora.clip import Segment
from benchmark.corpora.manifest import read
from benchmark.data.degraded import write_degraded
from benchmark.engine.processes import Workers
from benchmark.features import extract, feature_set
from benchmark.serving.batch import ThisProcess
from tests.support.bench import refused_line, run_command

CONDITIONS = ("telephone", "snr=10", "reverberation+level=12")


@pytest.fixture
def clips(tones: Path) -> list[Clip]:
    """Six tones; the last one is a segment."""
    whole = read(tones).clips[:5]
    return [*whole, replace(whole[0], name="part", segment=Segment(0.05, 0.2))]


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("condition", CONDITIONS)
def test_written_recordings_have_the_features_that_a_study_measures_under_the_condition(
    condition: str, clips: list[Clip], tmp_path: Path
) -> None:
    features = feature_set("mfcc-stats")
    written = write_degraded(
        clips,
        CONDITIONS,
        tmp_path / "degraded",
        seed=3,
        sample_rate_hz=features.sample_rate_hz,
        workers=ThisProcess(),
    )
    rows = written.table[written.table["condition"] == condition]
    assert list(rows["clip"]) == [clip.id for clip in clips]
    copies = [
        replace(clip, path=tmp_path / "degraded" / path, segment=None)
        for clip, path in zip(clips, rows["path"], strict=True)
    ]
    cache = tmp_path / "cache"
    found = extract(copies, features, cache=cache, workers=ThisProcess())
    expected = extract(
        clips, features, augmentation=condition, seed=3, cache=cache, workers=ThisProcess()
    )
    np.testing.assert_array_equal(found.values, expected.values)


def test_all_workers_write_the_same_bytes_and_the_rate_of_each_recording(
    clips: list[Clip], tmp_path: Path
) -> None:
    write_degraded(clips, CONDITIONS, tmp_path / "one", workers=ThisProcess())
    with Workers(2) as workers:
        write_degraded(clips, CONDITIONS, tmp_path / "two", workers=workers)
    one, two = files_below(tmp_path / "one"), files_below(tmp_path / "two")
    assert len(one) == 4 * len(clips)
    assert one == two
    as_recorded = tmp_path / "one/as recorded" / f"{clips[0].id}.wav"
    assert soundfile.info(as_recorded).samplerate == 22_050
    expected, _ = soundfile.read(clips[0].path, dtype="float32")
    np.testing.assert_array_equal(soundfile.read(as_recorded, dtype="float32")[0], expected)


def test_a_clip_that_cannot_be_used_is_named_and_in_no_row(
    clips: list[Clip], tmp_path: Path
) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    broken = [replace(clips[0], name="text", path=tmp_path / "text.wav"), *clips[1:]]
    written = write_degraded(broken, CONDITIONS, tmp_path / "out", workers=ThisProcess())
    assert written.unusable == (("csv/text", "not audio"),)
    assert "csv/text" not in set(written.table["clip"])
    assert len(written.table) == 4 * len(broken[1:])


def test_the_command_writes_a_table_whose_predictions_can_be_scored(
    tones: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    source = ["--corpus", f"csv={tones}", "--project", str(tmp_path)]
    done = run_command("degrade", *source, "--condition", "gsm", "--out", str(out))
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(out / "clips.csv")
    assert all((out / path).is_file() for path in table["path"])
    wrong = (table["condition"] == "gsm") & (table.index % 5 == 0)
    table["prediction"] = table["emotion"].mask(wrong, "low")
    table.to_csv(tmp_path / "mine.csv", index=False)
    scored = run_command("score", str(tmp_path / "mine.csv"), "--project", str(tmp_path))
    assert scored.returncode == 0, scored.stderr
    assert "UAR by condition" in scored.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--condition", "telefone"], "--condition: augmentation 'telefone': unknown"),
        (["--condition", "snr", "--condition", "snr=10"], "are the same. Remove one of them."),
        ([], "no condition. Give --condition telephone"),
        (["quickstart"], "no condition. Give --condition telephone"),
        (["--condition", "gsm"], "degrade needs a study, or --corpus NAME=DIR"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(
    arguments: list[str], complaint: str, tmp_path: Path
) -> None:
    line = refused_line("degrade", *arguments, "--out", str(tmp_path / "out"))
    assert complaint in line
    assert not (tmp_path / "out").exists()
