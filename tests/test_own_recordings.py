"""A study on a user's own table: segments of two corpora, with an official partition."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import bootstrap_seed
from benchmark.evaluation.overlap import Overlap, overlap
from benchmark.evaluation.results import read_result
from benchmark.evaluation.votes import soft_scores, vote_counts
from benchmark.report.markdown import figure
from tests.support.bench import Bench, make_ready, refused_line

RATE_HZ = 22_050
STUDY = """
question = "Can tones be told apart?"
corpora  = ["csv"]
emotions = ["low", "high"]
features = "mfcc-stats"
augment  = ["noise"]

[split]
protocols = ["given", "cross-corpus"]

[search]
trials = 1
folds  = 2
metric = "uar"

[models.logistic_regression]
"""
COLUMNS = ("path", "start", "end", "emotion", "speaker", "corpus", "statement", "split")


def write_recordings(folder: Path) -> Path:
    """One file per speaker, and a table of its segments: 0.3 s each, two of each emotion."""
    rng = np.random.default_rng(0)
    rows = []
    for corpus, speaker in [*(("Office", n) for n in range(3)), ("calls", 0), ("calls", 1)]:
        sounds = []
        for number in range(4):
            pitch_hz = (200.0, 300.0)[number % 2] * rng.normal(1.0, 0.03)
            times_s = np.arange(round(0.3 * RATE_HZ)) / RATE_HZ
            tone = np.sin(2 * np.pi * pitch_hz * times_s) + rng.normal(0, 0.2, len(times_s))
            sounds.append(0.2 * tone)
            split = "test" if number >= 2 and speaker < 2 else "dev" if number < 2 else "train"
            rows.append(
                (
                    f"{corpus}_{speaker}.wav",
                    f"0 days 00:00:0{0.3 * number:.6f}",
                    f"{0.3 * (number + 1):.1f}",
                    ("low", "high")[number % 2],
                    str(speaker),
                    corpus,
                    f"sentence {number % 3}",
                    split if speaker < 2 else "train",
                )
            )
        soundfile.write(folder / f"{corpus}_{speaker}.wav", np.concatenate(sounds), RATE_HZ)
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder / "table.csv"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("own")
    bench = make_ready(folder, write_recordings(folder), STUDY)
    bench.run()
    return bench


def test_segments_of_several_corpora_are_split_as_their_table_states(own: Bench) -> None:
    result = read_result(own.project / "reports/results/small")
    given = result.predictions[result.predictions["protocol"] == "given"]
    assert set(given["clip"]) == {
        f"{corpus}/{corpus}_{speaker}_{times}"
        for corpus in ("Office", "calls")
        for speaker in range(2)
        for times in ("0.6-0.9", "0.9-1.2")
    }
    assert {name: one.used for name, one in result.data.corpora.items()} == {
        "Office": 12,
        "calls": 8,
    }
    parts = result.predictions.loc[result.predictions["protocol"] == "cross-corpus", "part"]
    assert set(parts) == {"Office", "calls"}
    assert overlap(result, "given") == Overlap(4, 4, 4, 3)


def test_the_page_says_who_is_on_both_given_sides_and_scores_each_corpus(own: Bench) -> None:
    page = (own.project / "reports/small.md").read_text()
    for words in (
        "Test speakers of the given partition also occur in training**: 4 of 4.",
        "In the given partition, 4 of 4 test speakers and 3 of 4 test sentences also occur in",
        "Its dev clips are part of training",
        "| UAR, given | Office | calls | mean over corpora |",
        "UAR is the mean over Office and calls, each with the same weight.",
        "--corpus csv=TABLE.csv",
    ):
        assert words in page
    assert "--corpora DIR" not in page
    board = (own.project / "reports/README.md").read_text()
    assert "UAR, given" in board


def test_a_table_without_a_partition_is_refused_under_the_given_protocol(
    own: Bench, tmp_path: Path
) -> None:
    table = pd.read_csv(own.table, dtype=str).drop(columns="split")
    table["path"] = [str(own.table.parent / path) for path in table["path"]]
    table.to_csv(tmp_path / "without.csv", index=False)
    given = ("--corpus", f"csv={tmp_path / 'without.csv'}", "--project", str(tmp_path))
    line = refused_line("run-study", str(own.study), *given, "--workers", "1")
    assert "protocol given: needs official partitions, and no clip has one." in line


def test_a_corpus_that_the_study_reads_elsewhere_is_refused_in_a_table(
    own: Bench, tmp_path: Path
) -> None:
    table = pd.read_csv(own.table, dtype=str).replace({"corpus": {"calls": "synthetic"}})
    table["path"] = [str(own.table.parent / path) for path in table["path"]]
    table.to_csv(tmp_path / "twice.csv", index=False)
    study = tmp_path / "twice.toml"
    study.write_text(STUDY.replace('["csv"]', '["csv", "synthetic"]'))
    given = ("--corpus", f"csv={tmp_path / 'twice.csv'}", "--project", str(tmp_path))
    line = refused_line("run-study", str(study), *given, "--workers", "1")
    assert "column 'corpus': synthetic is also in the study's corpora" in line


RATED = """
question = "Can tones be told apart?"
corpora  = ["csv"]
emotions = ["low", "middle", "high"]
features = "mfcc-stats"

[split]
protocols = ["speaker-independent"]
folds = 3

[search]
trials = 1
folds  = 2
metric = "uar"

[models.logistic_regression]
"""


def test_the_votes_of_a_table_are_on_the_page_and_score_as_they_do_alone(
    tones: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(tones, dtype=str)
    path = pd.Series([str(tones.parent / name) for name in table["path"]])
    second = table["emotion"].where(table.index % 3 > 0, "high")
    third = table["emotion"].where(table.index % 6 > 0, "other")
    votes = table["emotion"] + " " + second + " " + third
    rated = table.drop(columns="emotion").assign(path=path, votes=votes)
    rated.to_csv(tmp_path / "rated.csv", index=False)
    own = make_ready(tmp_path, tmp_path / "rated.csv", RATED)
    own.run()
    page = (own.project / "reports/small.md").read_text()
    for words in (
        "## Raters",
        "| own recordings | 72 | 3 |",
        "own recordings: 12 clips have no majority of votes and count for agreement only",
        "own recordings: 12 files set aside (a tie of votes)",
        "| logistic regression (selected) | 0.",
    ):
        assert words in page
    result = read_result(own.project / "reports/results/small")
    rows = result.predictions[result.predictions["model"] == "logistic_regression"]
    stored = vote_counts(result.clips)
    assert stored is not None
    found = soft_scores(
        rows, stored, result.emotions, bootstrap_seed(0, stream("speaker-independent"))
    )
    assert found is not None
    assert f"{figure(found.soft_f1)} | {figure(found.divergence)} |" in page
