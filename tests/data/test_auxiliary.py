"""Corpora that are learned from and never tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmark.errors import BenchmarkError
from benchmark.evaluation.results import Result, read_result, write_result
from benchmark.leakage.ablation import stored_result
from benchmark.study import Split
from tests.support.bench import Bench, changed_bench

CHANGES = {
    'corpora  = ["csv"]': 'corpora  = ["csv"]\nauxiliary = ["synthetic"]',
    'protocols = ["speaker-dependent", "speaker-independent"]': (
        'protocols = ["speaker-independent"]\nfolds = 3'
    ),
    'augment  = ["noise"]': 'augment  = ["noise"]\nnormalise = "speaker"',
    "trials = 6": "trials = 2",
    "folds  = 3": "folds  = 2",
    "[models.logistic_regression]": """
[rename]
sad = "low"
neutral = "middle"
happy = "high"

[models.logistic_regression]""",
}


@pytest.fixture(scope="module")
def helped(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The small study, which learns from the generated corpus too."""
    return changed_bench(tmp_path_factory.mktemp("helped"), tones, CHANGES)


@pytest.fixture(scope="module")
def result(helped: Bench) -> Result:
    return read_result(helped.project / "reports/results/small")


def test_auxiliary_clips_are_in_every_training_table_and_nowhere_else(
    helped: Bench, result: Result
) -> None:
    for fold in ("f1", "f2", "f3"):
        folder = helped.project / f"features_cache/small/speaker-independent/{fold}"
        train, test = (pd.read_csv(folder / f"{side}.csv") for side in ("train", "test"))
        others = train[train["corpus"] == "synthetic"]
        assert len(others) == result.data.corpora["synthetic"].used > 0
        assert set(others["emotion"]) == {"low", "middle", "high"}
        assert set(test["corpus"]) == {"csv"}
    assert set(result.predictions["clip"].str.partition("/")[0]) == {"csv"}


def test_auxiliary_clips_are_not_augmented(helped: Bench) -> None:
    train = pd.read_csv(helped.project / "features_cache/small/speaker-independent/f1/train.csv")
    copied = train[train["augmentation"].fillna("") != ""]
    assert set(copied["corpus"]) == {"csv"}


def test_copies_are_standardised_by_copies_with_the_same_augmentation_and_speaker(
    helped: Bench,
) -> None:
    train = pd.read_csv(helped.project / "features_cache/small/speaker-independent/f1/train.csv")
    features = [name for name in train if name.startswith("mfcc")]
    by_voice = train.groupby(["speaker", train["augmentation"].fillna("")])[features]
    assert by_voice.mean().to_numpy() == pytest.approx(0, abs=1e-4)
    assert by_voice.std(ddof=0).to_numpy() == pytest.approx(1, abs=1e-3)


def test_inner_folds_train_on_all_auxiliary_clips_and_validate_none(result: Result) -> None:
    used = result.data.corpora["synthetic"].used
    assert result.out_of_fold is not None
    assert set(result.out_of_fold["clip"].str.partition("/")[0]) == {"csv"}
    for split in result.data.splits.values():
        assert sum(fold.validation_clips for fold in split.folds) == 48
        assert [fold.train_clips - used for fold in split.folds] == [
            48 - fold.validation_clips for fold in split.folds
        ]


def test_the_page_names_auxiliary_corpora(helped: Bench) -> None:
    page = (helped.project / "reports/small.md").read_text()
    assert "72 clips of own recordings" in page.partition("## ")[0]
    assert "**auxiliary corpora: synthetic** (in training only)" in page


def test_pages_with_auxiliary_corpora_are_reproduced_from_the_stored_result(helped: Bench) -> None:
    before = helped.bytes_of("reports")
    helped.invoke("report")
    assert helped.bytes_of("reports") == before


def test_a_leakage_ablation_with_auxiliary_corpora_is_refused(
    result: Result, tmp_path: Path
) -> None:
    study = result.study.model_copy(
        update={"split": Split(protocols=("speaker-independent",)), "normalise": "none"}
    )
    write_result(replace(result, study=study), tmp_path)
    with pytest.raises(BenchmarkError, match="trains on auxiliary corpora"):
        stored_result("small", tmp_path)
