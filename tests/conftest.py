"""What the tests share: the real recordings where there are some, and a small study of its own."""

from __future__ import annotations

from benchmark.engine.processes import limit_threads

limit_threads()

import csv  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterable, Mapping  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402
import soundfile  # noqa: E402

from benchmark import models  # noqa: E402

# A shell that runs the tests in the background has them ignore Ctrl-C, and what they start as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

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


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of the real corpora; a test that needs them is skipped where there are none."""
    folder = os.environ.get("SER_CORPORA")
    if not folder:
        pytest.skip("needs the real recordings: set SER_CORPORA to the folder that holds them")
    return Path(folder)


def needing_extras(names: Iterable[str]) -> list[object]:
    """Models as parameters of a test, which is skipped for those whose extra is not installed."""
    return [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not models.available(name),
                reason=f"{name} needs the extra `{models.MODELS[name].extra}`",
            ),
        )
        for name in names
    ]


@dataclass
class Bench:
    """A small study of tones, and a project folder to run it in."""

    study: Path
    table: Path
    project: Path
    whole_s: float = 0.0  # that its last run took

    def command(self, *arguments: str) -> list[str]:
        """The command line of one of the tool's commands in this project."""
        return [sys.executable, "-m", "benchmark", *arguments, "--project", str(self.project)]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the small study to its end."""
        began = time.monotonic()
        ended = subprocess.run(
            self.command("run-study", str(self.study), "--corpus", f"csv={self.table}", *arguments),
            capture_output=True,
            text=True,
            check=check,
        )
        self.whole_s = time.monotonic() - began
        return ended

    def card(self, split: str = "speaker-independent", model: str = "ensemble") -> Path:
        """The card of one of the small study's fitted models."""
        return self.project / f"features_cache/small/{split}/models/{model}.json"

    def stored(self, split: str = "speaker-independent", model: str = "ensemble") -> pd.DataFrame:
        """The stored test predictions of a model, float32, by the path of the recording."""
        table = pd.read_csv(self.project / "reports/results/small/predictions.csv")
        rows = table[(table["protocol"] == split) & (table["model"] == model)]
        paths = [self.table.parent / f"{clip.removeprefix('csv/')}.wav" for clip in rows["clip"]]
        columns = [column for column in rows if column.startswith("p_")]
        return rows[columns].astype(np.float32).set_index(pd.Index(paths))

    def bytes_of(self, folder: str) -> dict[str, bytes]:
        """Every file below a folder of the project, by its path there."""
        root = self.project / folder
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of tones: six speakers, three emotions that are pitches, four clips of each."""
    folder = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    rows = []
    for speaker in range(6):
        for emotion, pitch_hz in {"low": 200, "middle": 240, "high": 290}.items():
            for take in range(4):
                name = f"{speaker}_{emotion}_{take}.wav"
                time_s = np.arange(6000) / 22_050
                voice = pitch_hz * rng.normal(1.0, 0.08) * (1 + 0.05 * speaker)
                tone = np.sin(2 * np.pi * voice * time_s) + rng.normal(0, 0.2, len(time_s))
                soundfile.write(folder / name, 0.2 * tone, 22_050)
                gender = "female" if speaker % 2 else "male"
                rows.append((name, emotion, f"s{speaker}", gender))
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "emotion", "speaker", "gender"), *rows])
    return folder / "table.csv"


@pytest.fixture
def bench(tones: Path, tmp_path: Path) -> Bench:
    """A small study and an empty project."""
    study = tmp_path / "small.toml"
    study.write_text(SMALL_STUDY)
    (tmp_path / "project").mkdir()
    return Bench(study, tones, tmp_path / "project")


def changed_bench(folder: Path, table: Path, changes: Mapping[str, str]) -> Bench:
    """The small study with some lines replaced, run once in a project below a folder."""
    text = SMALL_STUDY
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    (folder / "small.toml").write_text(text)
    (folder / "project").mkdir()
    bench = Bench(folder / "small.toml", table, folder / "project")
    bench.run()
    return bench


@pytest.fixture(scope="session")
def finished(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The small study, run once without interruption by one worker; not to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.toml").write_text(SMALL_STUDY)
    (folder / "project").mkdir()
    bench = Bench(folder / "small.toml", tones, folder / "project")
    bench.run("--workers", "1")
    return bench
