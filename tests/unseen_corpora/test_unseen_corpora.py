"""Calibration on corpora left out: each clip is tested by models without its corpus."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmark.console import Console
from benchmark.errors import BenchmarkError
from benchmark.project import Job, Project, Sources
from benchmark.report.pages.unseen_corpora import (
    FIGURES,
    NAME,
    MeasuredCases,
    auroc,
    unseen_corpora_page,
    write_page,
)
from benchmark.study import Study, read_study
from benchmark.unseen_corpora.measure import measure_unseen_corpora
from benchmark.unseen_corpora.stored import (
    FOLDER,
    Measurement,
    read_measurement,
    read_measurements,
    write_measurement,
)
from benchmark.validation import check
from tests.support.figures import stored_figures

TEXT = """
question = "Are the probabilities true in another room?"
corpora  = ["csv"]
emotions = ["low", "middle", "high"]
features = "mfcc-stats"
[split]
protocols = ["cross-corpus"]
[search]
trials = 1
folds  = 2
metric = "uar"
[models.lda]
"""
REPORTS = Path(__file__).parents[2] / "reports"
ROOMS = ("hall", "kitchen", "street")


def study_of(folder: Path, text: str) -> Study:
    path = folder / "rooms.toml"
    path.write_text(text, encoding="utf-8")
    return check(read_study(path), path.name)


def job_of(folder: Path, tones: Path, rooms: tuple[str, ...]) -> Job:
    """The six speakers of the tones, two in each of three rooms, or all in one."""
    with tones.open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = folder / "rooms.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "corpus"])
        writer.writeheader()
        for row in rows:
            room = rooms[int(row["speaker"][1:]) % len(rooms)]
            writer.writerow(row | {"path": str(tones.parent / row["path"]), "corpus": room})
    project = Project(folder)
    return Job(project, Sources(given={"csv": table}, cache=project.features_cache), workers=1)


@pytest.fixture(scope="module")
def measured(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    folder = tmp_path_factory.mktemp("rooms")
    job = job_of(folder, tones, ROOMS)
    return measure_unseen_corpora(study_of(folder, TEXT), job, Console(quiet=True))


def test_each_clip_is_predicted_once_without_its_corpus(measured: Measurement) -> None:
    table = measured.predictions
    left_out = table[table["held_out"] == "corpus"]
    assert (left_out["left_out"] == left_out["corpus"]).all()
    assert len(left_out) == left_out["clip"].nunique() == 72
    speakers = table[table["held_out"] == "speaker"]
    assert (speakers["left_out"] != speakers["corpus"]).all()
    assert {one.left_out for one in measured.fitted} == set(ROOMS)


def test_a_record_is_read_as_it_was_written_and_makes_the_same_page(
    measured: Measurement, tmp_path: Path
) -> None:
    write_measurement(measured, tmp_path / FOLDER)
    read = read_measurement(tmp_path / FOLDER / "rooms.json")
    assert read.predictions.equals(measured.predictions)
    assert write_page(tmp_path) == tmp_path / NAME
    text = unseen_corpora_page(
        [MeasuredCases(measured)], stored_figures(tmp_path.joinpath(*FIGURES))
    )
    assert (tmp_path / NAME).read_text(encoding="utf-8") == text
    assert "unlike the training recordings" in text


def test_a_single_corpus_is_refused(tones: Path, tmp_path: Path) -> None:
    job = job_of(tmp_path, tones, ("hall",))
    with pytest.raises(BenchmarkError, match="has 1 corpora, and needs 3 or more"):
        measure_unseen_corpora(study_of(tmp_path, TEXT), job, Console(quiet=True))


def test_a_normalised_study_is_refused(tones: Path, tmp_path: Path) -> None:
    text = TEXT.replace("[split]", 'normalise = "speaker"\n[split]')
    job = job_of(tmp_path, tones, ROOMS)
    with pytest.raises(BenchmarkError, match="is normalised"):
        measure_unseen_corpora(study_of(tmp_path, text), job, Console(quiet=True))


def test_right_answers_above_wrong_ones_have_an_area_of_one() -> None:
    right = np.array([True, False, True, False])
    assert auroc(right, np.array([0.9, 0.1, 0.8, 0.2])) == 1
    assert auroc(right, np.full(4, 0.5)) == 0.5


def test_the_published_page_comes_from_its_stored_record() -> None:
    measured = [MeasuredCases(one) for one in read_measurements(REPORTS / FOLDER)]
    drawn = stored_figures(REPORTS.joinpath(*FIGURES))
    assert unseen_corpora_page(measured, drawn) == (REPORTS / NAME).read_text(encoding="utf-8")
