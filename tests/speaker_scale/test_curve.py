"""The scale curve: the same models, tested on rows with another scale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmark.console import Console
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import score
from benchmark.project import Job, Project, Sources
from benchmark.report.markdown import number
from benchmark.report.pages.speaker_scale import write_page
from benchmark.speaker_scale.curve import measure_curve
from benchmark.speaker_scale.stored import FOLDER, Curve, Source, read_curve, write_curve
from benchmark.study import Scale, Study, read_study
from benchmark.validation import check
from tests.support.bench import Bench, changed_bench

TEXT = """
question = "Can tones be told apart, whoever sets the scale?"
corpora  = ["csv"]
emotions = ["low", "middle", "high"]
features = "mfcc-stats"
normalise = "speaker"
[split]
protocols = ["speaker-independent"]
folds = 3
[search]
trials = 1
folds  = 2
metric = "uar"
[models.lda]
"""
FEW = (Source("all", Scale()), Source("others_3", Scale(clips="others", n_clips=3)))
REPORTS = Path(__file__).parents[2] / "reports"


def of(folder: Path, text: str) -> Study:
    path = folder / "tones.toml"
    path.write_text(text, encoding="utf-8")
    return check(read_study(path), path.name)


def job_of(folder: Path, tones: Path) -> Job:
    project = Project(folder)
    sources = Sources(given={"csv": tones}, cache=project.features_cache)
    return Job(project=project, sources=sources, workers=1)


@pytest.fixture(scope="module")
def curve(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Curve:
    folder = tmp_path_factory.mktemp("curve")
    return measure_curve(of(folder, TEXT), job_of(folder, tones), Console(), FEW)


def test_every_clip_is_tested_once_with_every_scale(curve: Curve) -> None:
    table = curve.predictions
    assert list(table.columns[5:]) == ["none", "all", "others_3"]
    assert len(table) == table["clip"].nunique() == 72
    assert not table.isna().any().any()


def test_all_clips_give_what_the_study_itself_predicts(
    curve: Curve, tones: Path, tmp_path: Path
) -> None:
    bench = changed_bench(
        tmp_path,
        tones,
        {
            'augment  = ["noise"]': 'normalise = "speaker"',
            'protocols = ["speaker-dependent", "speaker-independent"]': (
                'protocols = ["speaker-independent"]\nfolds = 3'
            ),
            "trials = 6\nfolds  = 3": "trials = 1\nfolds  = 2",
            "[models.logistic_regression]\ninitial = { C = 1.0 }\n"
            "C = { low = 1e-3, high = 1e1, log = true }\n": "[models.lda]\n",
        },
    )
    table = stored(bench)
    names = sorted(["low", "middle", "high"])
    said = table[[f"p_{name}" for name in names]].to_numpy().argmax(axis=1)
    expected = dict(zip(table["clip"], [names[place] for place in said], strict=True))
    assert dict(zip(curve.predictions["clip"], curve.predictions["all"], strict=True)) == expected


def stored(bench: Bench) -> pd.DataFrame:
    table = pd.read_parquet(bench.project / "reports/results/small/predictions.parquet")
    return table[table["model"] == "lda"]


def test_a_stored_curve_is_read_back_and_its_page_shows_its_scores(
    curve: Curve, tmp_path: Path
) -> None:
    write_curve(curve, tmp_path / FOLDER)
    again = read_curve(tmp_path / FOLDER / "tones.json")
    assert again.sources == curve.sources
    assert (again.predictions == curve.predictions.astype(str)).all().all()
    page = write_page(tmp_path)
    assert page is not None
    text = page.read_text(encoding="utf-8")
    table = curve.predictions
    for source in ("none", "all", "others_3"):
        emotions = sorted(set(table["emotion"]))
        uar = score("uar", table["emotion"].to_numpy(), table[source].to_numpy(), emotions)
        assert f"| {number(uar)} [" in text
    assert "| No normalisation (inductive) |" in text
    assert "| 3 random other clips |" in text
    assert " of 6 |" in text
    assert (tmp_path / "figures/speaker_scale/tones.png").is_file()


def test_a_changed_table_is_refused(curve: Curve, tmp_path: Path) -> None:
    write_curve(curve, tmp_path)
    table = tmp_path / "tones.csv"
    table.write_text(table.read_text().replace("low", "high", 1))
    with pytest.raises(BenchmarkError, match="do not match their digests"):
        read_curve(tmp_path / "tones.json")


def test_without_records_there_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "speaker_scale.md").write_text("of an earlier record")
    assert write_page(tmp_path) is None
    assert not (tmp_path / "speaker_scale.md").exists()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('normalise = "speaker"', "", "is not normalised by speaker"),
        ("[split]", '[scale]\nclips = "others"\n[split]', r"has a \[scale\] of its own"),
        ("folds = 3", "", "has no outer folds"),
        ("[models.lda]", "[models.lda]\nshrinkage = [0.1, 0.3]", "searches hyperparameters of lda"),
        ('normalise = "speaker"', 'normalise = "speaker"\naugment = ["noise"]', "augmented copies"),
    ],
)
def test_a_study_of_another_kind_is_refused(
    tmp_path: Path, tones: Path, before: str, after: str, words: str
) -> None:
    study = of(tmp_path, TEXT.replace(before, after))
    with pytest.raises(BenchmarkError, match=words):
        measure_curve(study, job_of(tmp_path, tones), Console(), FEW)


def test_the_published_page_comes_from_its_stored_record(tmp_path: Path) -> None:
    shutil.copytree(REPORTS / FOLDER, tmp_path / FOLDER)
    page = write_page(tmp_path)
    assert page is not None
    assert page.read_bytes() == (REPORTS / page.name).read_bytes()
