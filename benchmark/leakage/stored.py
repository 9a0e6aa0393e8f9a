"""The record of a leakage ablation: everything on its page is computed from it.

It holds no date, no duration and no path of a machine. ``reports/leakage/<study>/`` has two files:

ablation.json
    The experiments, their leaks and their data, see `Ablation`; with the digest of the table.
predictions.csv
    A row for each run, speaker, emotion and predicted emotion that occurs: run, speaker, emotion,
    predicted, rows (number of test rows). A synthetic row counts for the speaker of the nearest
    recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from benchmark.engine.registry import check_installed
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.records import read_record, text_table, write_record
from benchmark.hints import command
from benchmark.study import Study

FOLDER = "leakage"
"""Folder of all records, below the reports."""

FORMAT = 2
RECORD, TABLE = "ablation.json", "predictions.csv"
NUMBERS = ("run", "rows")


@dataclass(frozen=True)
class Run:
    """One experiment on one split, and its reported fit.

    Attributes
    ----------
    model : str
    draw : int
        Number of the split; 0 is the study's own.
    procedure : dict
        The fields of `leaks.Procedure`.
    params : dict
        Of the reported fit.
    seed : int
        Of the reported fit.
    epochs : int
        The selected epoch; 0 if no epoch was selected.
    n_trained, n_tested : int
        Training and test rows.
    by_setting, by_seed : tuple of float
        Test scores of all settings and seeds, if the test set selected among them; the first ones
        are those of the selection without the leak.
    """

    model: str
    draw: int
    procedure: Mapping[str, str]
    params: Mapping[str, Any]
    seed: int
    epochs: int
    n_trained: int
    n_tested: int
    by_setting: tuple[float, ...] = ()
    by_seed: tuple[float, ...] = ()


@dataclass(frozen=True)
class SingleLeak:
    """The same experiment without and with one leak.

    Attributes
    ----------
    leak : str
    shared_speakers : bool
        Whether the experiment without the leak has the same speakers in training and test.
    clean, leaky : tuple of int
        Indices of the runs, one per split.
    """

    leak: str
    shared_speakers: bool
    clean: tuple[int, ...]
    leaky: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One step of cumulative leaks: the leak that it adds ("" for the first), a run per split."""

    leak: str
    runs: tuple[int, ...]


@dataclass(frozen=True)
class Cumulative:
    """Leaks added one after the other.

    Attributes
    ----------
    model : str
    protocol : str
        The protocol under which its hyperparameters were selected.
    metric : str
    steps : tuple of Step
        The first one is leak-free.
    not_applicable : dict of str to str
        Leaks that do not apply to the model, and why.
    reported : float or None
        The figure that the source reports; None for the study's own selected model.
    """

    model: str
    protocol: str
    metric: str
    steps: tuple[Step, ...]
    not_applicable: Mapping[str, str]
    reported: float | None = None


@dataclass(frozen=True)
class DataFacts:
    """Facts on the recordings.

    Attributes
    ----------
    n_clips, n_speakers : int
    left_out : tuple of str
        Corpora.
    generated : bool
        Whether the speech is synthetic.
    augment : tuple of str
        Augmentations of the leaks with copies.
    stored_score : float
        The leak-free score of the first split in the study's result.
    """

    n_clips: int
    n_speakers: int
    left_out: tuple[str, ...]
    generated: bool
    augment: tuple[str, ...]
    stored_score: float


@dataclass(frozen=True)
class Ablation:
    """The leakage ablation of a study.

    Attributes
    ----------
    name : str
        The study's.
    study : Study
        As it ran.
    data : DataFacts
    versions : dict
        Of the libraries that decide scores.
    n_draws, n_seeds : int
        Number of splits, and of the seeds among which the test set selected.
    runs : tuple of Run
    single : tuple of SingleLeak
    cumulative : tuple of Cumulative
        Of the study's own selected model first, then those of reported figures.
    predictions : DataFrame
        run, speaker, emotion, predicted, rows.
    """

    name: str
    study: Study
    data: DataFacts
    versions: Mapping[str, Any]
    n_draws: int
    n_seeds: int
    runs: tuple[Run, ...]
    single: tuple[SingleLeak, ...]
    cumulative: tuple[Cumulative, ...]
    predictions: pd.DataFrame

    @property
    def emotions(self) -> list[str]:
        """The study's emotions, sorted."""
        return sorted(self.study.emotions)


def write_ablation(ablation: Ablation, folder: Path) -> None:
    """Write the record below `folder`; ablation.json is written last."""
    record = {
        "format": FORMAT,
        "name": ablation.name,
        "settings": ablation.study.settings(),
        "data": asdict(ablation.data),
        "versions": ablation.versions,
        "n_draws": ablation.n_draws,
        "n_seeds": ablation.n_seeds,
        "runs": [asdict(run) for run in ablation.runs],
        "single": [asdict(one) for one in ablation.single],
        "cumulative": [asdict(one) for one in ablation.cumulative],
    }
    write_record(folder / ablation.name / RECORD, record, {TABLE: ablation.predictions})


def read_ablation(folder: Path) -> Ablation:
    """Return the ablation that `write_ablation` wrote into `folder`.

    Raises
    ------
    BenchmarkError
        If a file is missing, corrupt, or in an unknown format.
    """
    advice = f"Run {command('leakage')} again: finished fits are cached."
    ablation = read_record(folder / RECORD, [FORMAT], _ablation, advice)
    check_installed(ablation.versions.get("plugins", {}), str(folder))
    for one in ablation.cumulative:
        if one.metric not in METRICS:
            raise METRICS.unknown(one.metric, str(folder))
    return ablation


def _ablation(record: dict[str, Any], tables: dict[str, bytes]) -> Ablation:
    def read(kind: Any, name: str) -> Any:
        return TypeAdapter(kind).validate_python(record[name])

    return Ablation(
        name=record["name"],
        study=Study.model_validate(record["settings"]),
        data=read(DataFacts, "data"),
        versions=record["versions"],
        n_draws=record["n_draws"],
        n_seeds=record["n_seeds"],
        runs=read(tuple[Run, ...], "runs"),
        single=read(tuple[SingleLeak, ...], "single"),
        cumulative=read(tuple[Cumulative, ...], "cumulative"),
        predictions=text_table(tables[TABLE]).astype(dict.fromkeys(NUMBERS, int)),
    )


def read_ablations(folder: Path) -> list[Ablation]:
    """Return all ablations below `folder`: real recordings before synthetic ones, by name."""
    ablations = [read_ablation(path.parent) for path in sorted(folder.glob(f"*/{RECORD}"))]
    return sorted(ablations, key=lambda one: (one.data.generated, one.name))
