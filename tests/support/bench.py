"""The small study: a project folder to run it in, and the command line."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmark import models
from benchmark.cli import app
from benchmark.tracking.store import DATABASE, check_store

SMALL_STUDY = """
question = "Can tones be told apart?"
corpora  = ["csv"]
emotions = ["low", "middle", "high"]
features = "mfcc-stats"
augment  = ["noise"]

[split]
protocols = ["speaker-dependent", "speaker-independent"]

[search]
trials = 6
folds  = 3
metric = "uar"

[models.logistic_regression]
initial = { C = 1.0 }
C = { low = 1e-3, high = 1e1, log = true }

[models.random_forest]
initial = { n_estimators = 25, criterion = "entropy" }
n_estimators = [5, 10]
max_depth = { low = 1, high = 4 }
"""


@dataclass
class Bench:
    """A small study of tones, and a project folder to run it in."""

    study: Path
    table: Path
    project: Path
    whole_s: float = 0.0  # duration of the last run in a process of its own

    def command(self, *arguments: str) -> list[str]:
        """The command line of one of the tool's commands in this project, for a new process."""
        return [sys.executable, "-m", "benchmark", *arguments, "--project", str(self.project)]

    def invoke(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of the tool's commands in this project to its end."""
        ended = run_command(*arguments, "--project", str(self.project))
        assert not check or ended.returncode == 0, ended.stderr
        return ended

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the small study to its end, by one worker unless the arguments say otherwise."""
        return self.invoke("run-study", *self._study_arguments, *arguments, check=check)

    def run_apart(self, *arguments: str) -> None:
        """Run the small study to its end in a process of its own, as users do."""
        began = time.monotonic()
        command = self.command("run-study", *self._study_arguments, *arguments)
        subprocess.run(command, check=True, capture_output=True)
        self.whole_s = time.monotonic() - began

    @property
    def _study_arguments(self) -> tuple[str, ...]:
        return (str(self.study), "--corpus", f"csv={self.table}", "--workers", "1")

    def card(self, split: str = "speaker-independent", model: str = "ensemble") -> Path:
        """The card of one of the small study's fitted models."""
        return self.project / f"features_cache/small/{split}/models/{model}.json"

    def stored(self, split: str = "speaker-independent", model: str = "ensemble") -> pd.DataFrame:
        """The stored test predictions of a model, float32, by the path of the recording."""
        table = pd.read_parquet(self.project / "reports/results/small/predictions.parquet")
        rows = table[(table["protocol"] == split) & (table["model"] == model)]
        paths = [self.table.parent / f"{clip.removeprefix('csv/')}.wav" for clip in rows["clip"]]
        columns = [column for column in rows if column.startswith("p_")]
        return rows[columns].astype(np.float32).set_index(pd.Index(paths))

    def served(self, split: str = "speaker-independent", model: str = "ensemble") -> pd.DataFrame:
        """The calibrated test predictions beside a model, float32, by the path of the recording."""
        table = pd.read_parquet(self.card(split, model).with_name(f"{model}.predictions.parquet"))
        paths = [self.table.parent / f"{clip.removeprefix('csv/')}.wav" for clip in table["clip"]]
        columns = [column for column in table if column.startswith("p_")]
        return table[columns].set_index(pd.Index(paths))

    def bytes_of(self, folder: str) -> dict[str, bytes]:
        """Every file below a folder of the project, by its path there."""
        root = self.project / folder
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }


@cache
def empty_store() -> bytes:
    """MLflow's database without any run; to make one takes a second or two, to copy it none."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / DATABASE
        check_store(f"sqlite:///{file}")
        return file.read_bytes()


def make_bench(folder: Path, table: Path, text: str = SMALL_STUDY) -> Bench:
    """A study, by default the small one, and an empty project in a folder."""
    (folder / "project").mkdir(parents=True)
    study = folder / "small.toml"
    study.write_text(text)
    return Bench(study, table, folder / "project")


def make_ready(folder: Path, table: Path, text: str = SMALL_STUDY) -> Bench:
    """The same, but the project has MLflow's database, without any run."""
    bench = make_bench(folder, table, text)
    (bench.project / DATABASE).write_bytes(empty_store())
    return bench


def changed_bench(folder: Path, table: Path, changes: Mapping[str, str]) -> Bench:
    """The small study with some lines replaced, run once in a project below a folder."""
    text = SMALL_STUDY
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    bench = make_ready(folder, table, text)
    bench.run()
    return bench


def run_command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the tool to its end, with further environment variables.

    In this process: a new one would first import for seconds. A bug is raised here.
    """
    runner = CliRunner(env={"COLUMNS": "200", **variables})
    ended = runner.invoke(app, arguments, catch_exceptions=False)
    return subprocess.CompletedProcess(arguments, ended.exit_code, ended.stdout, ended.stderr)


def refused_line(*arguments: str, **variables: str) -> str:
    """The one error line of a command that is refused."""
    refused = run_command(*arguments, **variables)
    assert refused.returncode == 2, refused.stderr
    assert "Traceback" not in refused.stderr
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    return line


def needing_extras(names: Iterable[str]) -> list[object]:
    """Models as parameters of a test, which is skipped for those whose extra is not installed."""
    return [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not models.MODELS[name].available,
                reason=f"{name} needs the extra `{models.MODELS[name].extra}`",
            ),
        )
        for name in names
    ]
