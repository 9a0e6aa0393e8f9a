"""The record of a measurement of calibration on unseen corpora: its page is computed from it.

It holds no date, no duration and no path of a machine. ``reports/unseen_corpora/`` has two files
for each study:

NAME.json
    The study, the numbers of each calibrator and the libraries; with the digest of the table.
NAME.parquet
    A row per model, corpus left out and clip: model, left_out, held_out (``corpus`` for a clip of
    the corpus left out, ``speaker`` for a training clip predicted after training without its
    speaker), clip, corpus, speaker, emotion, the model's own probability of each emotion, and the
    distance from the clips trained on (1 is the limit).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from benchmark.evaluation.parquet import from_parquet
from benchmark.evaluation.records import read_record, write_record
from benchmark.hints import command
from benchmark.study import Study

FOLDER = "unseen_corpora"
"""Folder of all records, below the reports."""

FORMAT = 1


@dataclass(frozen=True)
class Fitted:
    """The numbers of the calibrator of one model, fitted without one corpus.

    Attributes
    ----------
    model, left_out : str
    temperature, growth, nearest : float
        See `Calibrator`.
    frequencies : dict of str to float
        By emotion.
    """

    model: str
    left_out: str
    temperature: float
    growth: float
    nearest: float
    frequencies: dict[str, float]


@dataclass(frozen=True)
class Measurement:
    """Calibration of a study's models on corpora left out.

    Attributes
    ----------
    study : Study
    fitted : tuple of Fitted
    libraries : dict of str to str
        That fit each model, with their versions.
    predictions : DataFrame
        See the table of this module.
    """

    study: Study
    fitted: tuple[Fitted, ...]
    libraries: Mapping[str, str]
    predictions: pd.DataFrame


def write_measurement(measurement: Measurement, folder: Path) -> None:
    """Write the record into `folder`; the JSON file is written last."""
    record = {
        "format": FORMAT,
        "settings": measurement.study.settings(),
        "fitted": TypeAdapter(tuple[Fitted, ...]).dump_python(measurement.fitted, mode="json"),
        "libraries": dict(measurement.libraries),
    }
    name = measurement.study.name
    write_record(folder / f"{name}.json", record, {f"{name}.parquet": measurement.predictions})


def read_measurement(path: Path) -> Measurement:
    """Return the measurement of a JSON file that `write_measurement` wrote.

    Raises
    ------
    BenchmarkError
        If a file is missing, corrupt, or in an unknown format.
    """
    advice = f"Run {command('unseen-corpora')} again."
    return read_record(path, [FORMAT], _measurement, advice)


def _measurement(record: dict[str, Any], tables: dict[str, bytes]) -> Measurement:
    (table,) = tables.values()
    return Measurement(
        study=Study.model_validate(record["settings"]),
        fitted=TypeAdapter(tuple[Fitted, ...]).validate_python(record["fitted"]),
        libraries=record["libraries"],
        predictions=from_parquet(table),
    )


def read_measurements(folder: Path) -> list[Measurement]:
    """Return all measurements in `folder`, by name."""
    return [read_measurement(path) for path in sorted(folder.glob("*.json"))]
