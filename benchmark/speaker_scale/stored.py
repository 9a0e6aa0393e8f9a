"""The record of a scale curve: everything on its page is computed from it.

It holds no date, no duration and no path of a machine. ``reports/speaker_scale/`` has two files for
each study:

NAME.json
    The study, the sources of the scale and the libraries; with the digest of the table.
NAME.csv
    A row per model and clip: model, clip, corpus, speaker, emotion, and the predicted emotion for
    each source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from benchmark.evaluation.records import read_record, text_table, write_record
from benchmark.hints import command
from benchmark.study import Scale, Study

FOLDER = "speaker_scale"
"""Folder of all records, below the reports."""

FORMAT = 2
INDUCTIVE = "none"
"""Name of the source that is none: features are not normalised, in training neither."""


@dataclass(frozen=True)
class Source:
    """The clips that set the scale of a test speaker, with their column in the table."""

    name: str
    scale: Scale


@dataclass(frozen=True)
class Curve:
    """The scale curve of a study.

    Attributes
    ----------
    study : Study
    sources : tuple of Source
    libraries : dict of str to str
        That fit each model, with their versions.
    predictions : DataFrame
        See the table of this module.
    """

    study: Study
    sources: tuple[Source, ...]
    libraries: Mapping[str, str]
    predictions: pd.DataFrame


def write_curve(curve: Curve, folder: Path) -> None:
    """Write the record into `folder`; the JSON file is written last."""
    record = {
        "format": FORMAT,
        "settings": curve.study.settings(),
        "sources": TypeAdapter(tuple[Source, ...]).dump_python(curve.sources, mode="json"),
        "libraries": dict(curve.libraries),
    }
    name = curve.study.name
    write_record(folder / f"{name}.json", record, {f"{name}.csv": curve.predictions})


def read_curve(path: Path) -> Curve:
    """Return the curve of a JSON file that `write_curve` wrote.

    Raises
    ------
    BenchmarkError
        If a file is missing, corrupt, or in an unknown format.
    """
    advice = f"Run {command('scale-curve')} again."
    return read_record(path, [FORMAT], _curve, advice)


def _curve(record: dict[str, Any], tables: dict[str, bytes]) -> Curve:
    (table,) = tables.values()
    return Curve(
        study=Study.model_validate(record["settings"]),
        sources=TypeAdapter(tuple[Source, ...]).validate_python(record["sources"]),
        libraries=record["libraries"],
        predictions=text_table(table),
    )


def read_curves(folder: Path) -> list[Curve]:
    """Return all curves in `folder`, by name."""
    return [read_curve(path) for path in sorted(folder.glob("*.json"))]
