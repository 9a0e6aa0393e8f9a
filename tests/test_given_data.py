"""Tables and recordings as users give them: own, damaged, or incomplete."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from benchmark.evaluation.results import read_result
from tests.support.bench import Bench, refused_line


def test_a_study_runs_on_own_tables(finished: Bench, bench: Bench) -> None:
    folder = finished.project / "features_cache/small/speaker-independent"
    tables = ("--train", str(folder / "train.csv"), "--test", str(folder / "test.csv"))
    once = ("--set", "search.trials=1", "--workers", "1")
    bench.invoke("run-study", str(bench.study), *tables, *once)
    (own,) = (bench.project / "reports/results").iterdir()
    theirs = read_result(finished.project / "reports/results/small").predictions
    rows = theirs[theirs["protocol"] == "speaker-independent"].reset_index(drop=True)
    ours = read_result(own).predictions
    assert ours["clip"].tolist() == rows["clip"].tolist()
    assert set(ours["protocol"]) == {"speaker-independent"}


def test_own_tables_get_covariates_and_renamed_emotions(finished: Bench, bench: Bench) -> None:
    folder = finished.project / "features_cache/small/speaker-independent"
    text = bench.study.read_text().replace('"high"]', '"loud"]', 1)
    renamed = text.replace("augment", 'covariates = ["gender"]\naugment')
    bench.study.write_text(renamed + '[rename]\nhigh = "loud"\n')
    tables = ("--train", str(folder / "train.csv"), "--test", str(folder / "test.csv"))
    once = ("--set", "search.trials=1", "--workers", "1")
    bench.invoke("run-study", str(bench.study), *tables, *once)
    (own,) = (bench.project / "features_cache").glob("small@*/speaker-independent/train.csv")
    train = pd.read_csv(own)
    assert set(train["emotion"]) == {"low", "middle", "loud"}
    assert set(train["gender_male"]) == {0.0, 1.0}


def test_own_tables_are_refused_for_features_over_frames(finished: Bench, bench: Bench) -> None:
    folder = finished.project / "features_cache/small/speaker-independent"
    tables = ("--train", str(folder / "train.csv"), "--test", str(folder / "test.csv"))
    over_frames = ("--set", "features=log-mel-frames", "--project", str(bench.project))
    line = refused_line("run-study", str(bench.study), *tables, *over_frames)
    assert "65 frames of 40 numbers" in line


def test_unusable_clips_are_counted_and_named(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(bench.table.parent, folder)
    (folder / "0_low_0.wav").write_bytes(b"")
    soundfile.write(folder / "1_low_1.wav", np.zeros(6000), 22_050)
    copy = Bench(bench.study, folder / "table.csv", bench.project)
    refused = copy.run(check=False)
    assert refused.returncode == 2
    assert "2 of 72 clips can't be used" in refused.stderr
    copy.run("--allow-incomplete", "--set", "search.trials=1")
    (page,) = (copy.project / "reports").glob("small@*.md")
    text = page.read_text()
    assert "0_low_0" in text
    assert "silent" in text


@pytest.mark.parametrize("command", ["scale-curve", "text-ablation"])
def test_other_measurements_refuse_many_unusable_clips_as_well(
    tones: Path, tmp_path: Path, command: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tones.parent, folder)
    for name in ("0_low_0.wav", "1_low_1.wav"):
        (folder / name).write_bytes(b"")
    study = tmp_path / "tones.toml"
    study.write_text(
        'question = "Can tones be told apart?"\ncorpora = ["csv"]\n'
        'emotions = ["low", "middle", "high"]\nfeatures = "mfcc-stats"\nnormalise = "speaker"\n'
        '[split]\nprotocols = ["speaker-independent", "speaker+text-independent"]\nfolds = 3\n'
        '[search]\ntrials = 1\nfolds = 2\nmetric = "uar"\n[models.lda]\n'
    )
    given = ("--corpus", f"csv={folder / 'table.csv'}", "--project", str(tmp_path))
    line = refused_line(command, str(study), *given, "--workers", "1")
    assert "2 of 72 clips can't be used" in line


def test_a_missing_clip_is_refused_unless_allowed_and_then_shown(
    bench: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "incomplete"
    shutil.copytree(bench.table.parent, folder)
    (folder / "0_low_0.wav").unlink()
    bench.study.write_text(bench.study.read_text().replace("trials = 6", "trials = 1"))
    copy = Bench(bench.study, folder / "table.csv", bench.project)
    refused = copy.run(check=False)
    assert refused.returncode == 2
    assert "csv: 71 of 72 clips; missing: 0_low_0" in refused.stderr
    copy.run("--allow-incomplete")
    (page,) = (copy.project / "reports").glob("small@*.md")
    assert "71 of 72 clips" in page.read_text()
    assert not (copy.project / "reports/small.md").exists()
