"""What the faults share: a study that is long enough in every stage, and its unbroken run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import SMALL_STUDY, Bench
from tests.faults.stages import Watched
from tests.performance.conftest import record

__all__ = ["record"]

FULL_STUDY = (
    SMALL_STUDY.replace("augment", 'compare = [["svc", "logistic_regression"]]\naugment').replace(
        '"speaker-dependent", "speaker-independent"', '"speaker-independent"'
    )
    + """
[models.svc]
C = [0.1, 1.0, 10.0]

[ensembles]
two   = ["logistic_regression", "random_forest"]
three = ["logistic_regression", "random_forest", "svc"]

[learning_curves]
fractions = [0.5, 1.0]
"""
)
"""The small study under one protocol, and whatever else makes a stage longer."""


def full_bench(tones: Path, folder: Path) -> Bench:
    """The full study and an empty project, in a folder."""
    (folder / "project").mkdir(parents=True)
    study = folder / "small.toml"
    study.write_text(FULL_STUDY)
    return Bench(study, tones, folder / "project")


@pytest.fixture
def full(tones: Path, tmp_path: Path) -> Bench:
    """The full study and an empty project."""
    return full_bench(tones, tmp_path / "broken")


@pytest.fixture(scope="session")
def unbroken(
    tones: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bench, dict[str, float]]:
    """The full study, run once without interruption, and how many seconds each stage took."""
    bench = full_bench(tones, tmp_path_factory.mktemp("unbroken") / "whole")
    with Watched(bench) as study:
        seconds = study.watch()
        assert study.process.wait() == 0, study.told()
    return bench, seconds
