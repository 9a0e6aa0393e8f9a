"""A plug-in with an entry of each kind runs through every command and every page.

Each kind of extension is one file of the package ``ser_toys``. These tests run the program in
processes of their own, and never import the toys: registries of the test process stay as they are.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.support.commands import run_apart
from tests.support.plugins import environment, install
from tests.support.sounds import RATE_HZ, voice
from tests.support.tracking import client_of

FOLDER = Path(__file__).parent
DOCS = FOLDER.parents[1] / "docs" / "how_to" / "extending.md"
PACKAGE = FOLDER / "ser_toys"
TOYS = sorted(path for path in PACKAGE.glob("ser_toys/*.py") if path.name != "__init__.py")
CONTRACTS = (
    "tests/models/test_stored.py",
    "tests/features/test_extract.py",
    "tests/features/test_features.py",
    "tests/features/test_augmentation.py",
    "tests/search/test_ensemble.py",
    "tests/corpora/test_fetch.py",
)
"""Tests over all entries of a registry, here run on the toys."""
SPEAKERS = {"ann": 200, "eva": 210, "mia": 220, "bob": 120, "max": 126, "tom": 132}  # Hz
EMOTIONS = {"bored": 1.0, "happy": 1.25, "sad": 1.5}  # times the speaker's pitch
COMMANDS = {
    "run-study": (),
    "leakage": ("--draws", "1", "--seeds", "2", "--settings", "2"),
    "explore": (),
}


class Toys:
    """A project in which the toy entries have run."""

    def __init__(self, folder: Path) -> None:
        self.project, self.corpora = folder / "project", folder / "corpora"
        self.reports, self.site = self.project / "reports", folder / "site"
        install(PACKAGE, self.site)

    def start(
        self, *commands: tuple[str, ...], site: Path | None = None
    ) -> list[subprocess.CompletedProcess[str]]:
        """Run commands in one process with the packages of a folder, by default the toys."""
        project = ("--project", str(self.project))
        return run_apart(
            [command + project for command in commands], environment(site or self.site)
        )

    def run(self, *commands: tuple[str, ...]) -> list[str]:
        """Run commands to their ends, and return what each prints."""
        found = self.start(*commands)
        for ended in found:
            assert ended.returncode == 0, ended.stderr
        return [ended.stdout for ended in found]

    def page(self, name: str) -> str:
        """Return the text of a page."""
        return (self.reports / f"{name}.md").read_text()


def phrase(pitch_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Return eight syllables; equal tones would count as copies of one recording."""
    tones_hz, levels = rng.normal(pitch_hz, 0.2 * pitch_hz, 8), rng.uniform(0.1, 1.0, 8)
    durations_s = rng.uniform(0.05, 0.3, 8)
    syllables = zip(tones_hz, levels, durations_s, strict=True)
    return np.concatenate([level * voice(tone, duration) for tone, level, duration in syllables])


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Toys:
    """The whole study, its leakage ablation and its data page."""
    toys = Toys(tmp_path_factory.mktemp("toys"))
    recordings = toys.corpora / "toy_voices"
    recordings.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for speaker, pitch_hz in SPEAKERS.items():
        for emotion, height in EMOTIONS.items():
            for take in range(1, 9):
                name = f"{speaker}_{emotion}_{take:02d}_s{(take + 1) // 2 % 2 + 1}.wav"
                soundfile.write(recordings / name, phrase(pitch_hz * height, rng), RATE_HZ)
    study = (str(FOLDER / "toys.toml"), "--corpora", str(toys.corpora), "--workers", "2")
    toys.run(*((command, *study, *options) for command, options in COMMANDS.items()))
    return toys


def test_every_page_has_the_words_of_the_entries(toys: Toys) -> None:
    pages = {path.stem: path.read_text() for path in toys.reports.glob("*.md")}
    assert "| ser-toys | 1.0 |" in pages["toys"]
    assert set(pages) == {"toys", "toys_data", "claims", "leakage", "reading", "README"}
    for name, text in pages.items():
        assert "not registered" not in text, name
        assert not re.search(r"\b(None|nan)\b", text), name
    for words in ("nearest centroid", "cross-gender", "UAR, CG", "toy-hum", "toy-bands", "MCC, CG"):
        assert words.casefold() in pages["toys"].casefold()
    assert "CG, female-to-male" in pages["toys"]  # a split by its protocol's words
    assert "Matthews correlation" in pages["reading"]
    assert "each gender is tested after training on the other" in pages["reading"]
    assert "MCC 0.90" in pages["claims"]
    assert pages["leakage"].count("[Toys at large](toys.md)") == 1  # of two parts, one is run
    assert "toy voices" in pages["toys_data"]


def test_every_figure_of_a_page_exists(toys: Toys) -> None:
    for path in toys.reports.glob("*.md"):
        for place in re.findall(r"!\[[^]]*\]\(([^)]+)\)", path.read_text()):
            assert (toys.reports / place).is_file(), place


def test_a_section_from_outside_has_its_text_and_its_figure(toys: Toys) -> None:
    section = toys.page("toys").partition("## Toy errors")[2]
    assert "![Error rate by emotion](figures/toys/toy_errors.png)" in section
    assert re.search(r"- bored: 0\.\d{3}", section)


def test_a_metric_below_zero_keeps_its_interval(toys: Toys) -> None:
    lower_limits = re.findall(r"\[−0\.\d\d,\s0\.\d\d\]", toys.page("toys"))
    assert lower_limits  # not clipped to 0


def test_a_further_fact_of_a_clip_reaches_the_result_and_the_subgroups(toys: Toys) -> None:
    clips = pd.read_csv(toys.reports / "results/toys/clips.csv")
    assert set(clips["microphone"]) == {"near", "far"}
    assert "toy voices, by microphone" in toys.page("toys")


def test_mlflow_has_the_metric_the_model_and_the_splits(toys: Toys) -> None:
    runs, _ = logged(toys, "toys")
    models = [run for run in runs if run.data.tags["role"] == "model"]
    splits = {run.data.tags["split"] for run in models}
    assert "toy-cross-gender/female-to-male" in splits
    for run in models:
        assert {"cv_toy_mcc", "test_toy_mcc"} <= set(run.data.metrics)


def logged(toys: Toys, study: str) -> tuple[list[Any], dict[str, str]]:
    """Return the runs and the tags of an experiment in MLflow."""
    client = client_of(f"sqlite:///{toys.project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(study)
    return list(client.search_runs([experiment.experiment_id])), experiment.tags


def test_a_model_by_toy_features_is_promoted_and_predicts(toys: Toys) -> None:
    split = "toy-cross-gender/female-to-male"
    recording = toys.corpora / "toy_voices" / "ann_sad_01_s2.wav"
    promoted, predicted = toys.run(
        ("promote", "toys", "--model", "toy_centroid", "--split", split),
        ("predict", str(recording), "--json", "--workers", "1"),
    )
    assert "It is the first champion" in promoted
    assert json.loads(predicted)["predictions"][0]["emotion"] in EMOTIONS


def test_list_shows_the_entries(toys: Toys) -> None:
    listed = {
        "features": "toy-bands",
        "augmentations": "toy-hum",
        "models": "toy_centroid .* ser-toys 1.0",
        "protocols": "toy-cross-gender",
        "samplers": "toy-evolution",
        "plugins": "audit_checks +toy-few-speakers",
        "metrics": "Matthews correlation",
    }
    corpora, *found = toys.run(
        ("list", "--corpora", str(toys.corpora)), *(("list", noun) for noun in listed)
    )
    assert "toy_voices (144" in " ".join(corpora.split())
    for text, words in zip(found, listed.values(), strict=True):
        assert re.search(words, text)
    assert "ser-toys 1.0" in found[list(listed).index("plugins")]


@pytest.fixture(scope="module")
def errors(toys: Toys) -> Toys:
    """The same project after a study by a metric of which smaller values are better."""
    study = str(FOLDER / "errors.toml")
    toys.run(("run-study", study, "--corpora", str(toys.corpora), "--workers", "2"))
    return toys


def test_the_search_minimises_a_metric_of_which_smaller_is_better(errors: Toys) -> None:
    trials = pd.read_csv(errors.reports / "results/errors/trials.csv")
    knn = trials[trials["model"] == "knn"].set_index("trial")["score"]
    best = json.loads((errors.reports / "results/errors/study.json").read_text())["winners"][-1]
    assert (knn <= 0).all()  # negated, as by scikit-learn's neg_ scorers
    assert best["trial"] == knn.idxmax()


def test_pages_and_mlflow_name_the_negated_metric(errors: Toys) -> None:
    page = errors.page("errors")
    assert "CV score (negated error rate) −0." in page
    assert "**above** (+0." in page  # a larger error rate than the reported one
    runs, tags = logged(errors, "errors")
    selected = next(run for run in runs if run.data.tags["role"] == "model")
    assert selected.data.metrics["cv_neg_toy_error_rate"] <= 0
    assert selected.data.metrics["test_toy_error_rate"] >= 0
    state = json.loads(tags["mlflow.sharedViewState.selected"])["state"]
    view = json.loads(zlib.decompress(base64.b64decode(state.removeprefix("deflate;"))))
    assert (view["orderByKey"], view["orderByAsc"]) == (
        "metrics.`cv_neg_toy_error_rate`",
        False,
    )


def refusal(ended: subprocess.CompletedProcess[str]) -> str:
    """Return the message of a refused command, in one line."""
    assert ended.returncode == 2, ended.stdout
    assert "Traceback" not in ended.stderr
    return " ".join(ended.stderr.split())


@pytest.fixture(scope="module")
def newer(toys: Toys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with another version of the toys."""
    site = tmp_path_factory.mktemp("newer")
    install(PACKAGE, site, "1.1")
    return site


def test_what_another_version_of_a_plug_in_made_is_refused(toys: Toys, newer: Path) -> None:
    for ended in toys.start(
        ("report",),
        ("leakage", str(FOLDER / "toys.toml"), "--corpora", str(toys.corpora)),
        ("promote", "toys", "--model", "toy_centroid", "--split", "speaker-dependent"),
        site=newer,
    ):
        message = refusal(ended)
        assert "made with the plug-in ser-toys 1.0; 1.1 is installed" in message
        assert "pip install ser-toys==1.0" in message


def test_a_study_and_a_result_of_a_plug_in_that_is_missing_are_refused(toys: Toys) -> None:
    study, result = toys.start(
        ("run-study", str(FOLDER / "toys.toml")), ("report",), site=toys.project
    )
    assert "[models]: unknown model 'toy_centroid'." in refusal(study)
    assert "Installed packages with entry points of ser_benchmark.models: none." in refusal(study)
    assert "made with the plug-in ser-toys 1.0; it is not installed" in refusal(result)


def test_the_audit_runs_a_check_of_a_plug_in(toys: Toys) -> None:
    toys.start(("audit", str(FOLDER / "toys.toml"), "--corpora", str(toys.corpora)))
    assert "An emotion of a few speakers" in toys.page("audit/toys")


def test_another_version_of_a_plug_in_searches_anew(errors: Toys, newer: Path) -> None:
    study = (str(FOLDER / "errors.toml"), "--corpora", str(errors.corpora), "--workers", "1")
    (again,) = errors.start(("run-study", *study), site=newer)
    assert again.returncode == 0, again.stderr
    record = json.loads((errors.reports / "results/errors/study.json").read_text())
    assert record["versions"]["plugins"] == {"ser-toys": "1.1"}


def test_the_entries_pass_the_tests_of_our_own_entries(toys: Toys) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "toy", "-p", "no:cacheprovider", *CONTRACTS],
        capture_output=True,
        text=True,
        check=False,
        env=environment(toys.site),
        cwd=FOLDER.parents[1],
    )
    assert ended.returncode == 0, ended.stdout
    assert re.search(r"\b\d\d passed", ended.stdout)


@pytest.mark.parametrize("toy", TOYS, ids=lambda path: path.stem)
def test_the_documentation_shows_the_toys_as_they_run(toy: Path) -> None:
    assert f"```python\n{toy.read_text()}```" in DOCS.read_text()
