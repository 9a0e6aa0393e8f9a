"""Stored predictions of systems that were not fitted here: ``reports/external/NAME/``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.evaluation.parquet import from_parquet
from benchmark.evaluation.predictions import PREFIX
from benchmark.evaluation.records import read_record, write_record

FOLDER = "external"
"""Folder of all stored predictions, below that of the reports."""

FORMAT = 1
RECORD, TABLE = "external.json", "predictions.parquet"


@dataclass(frozen=True)
class External:
    """The predictions of a system, as its user states how they were made.

    Attributes
    ----------
    name, protocol : str
    rows : DataFrame
        clip, corpus, speaker, gender, emotion, p_<emotion> for each emotion.
    """

    name: str
    protocol: str
    rows: pd.DataFrame

    @property
    def emotions(self) -> list[str]:
        """The emotions in the order of their columns."""
        columns = [name for name in self.rows if name.startswith(PREFIX)]
        return [name.removeprefix(PREFIX) for name in columns]


def write_external(external: External, folder: Path) -> None:
    """Write predictions below `folder`; those of the same name are replaced."""
    record = {"format": FORMAT, "name": external.name, "protocol": external.protocol}
    write_record(folder / external.name / RECORD, record, {TABLE: external.rows})


def read_externals(folder: Path) -> list[External]:
    """Return all stored predictions below `folder`, by name.

    Raises
    ------
    BenchmarkError
        If a record is damaged.
    """
    advice = "Score the predictions again with --store, or delete the folder."
    records = sorted(folder.glob(f"*/{RECORD}"))
    return [read_record(path, [FORMAT], _external, advice) for path in records]


def _external(record: dict[str, Any], contents: dict[str, bytes]) -> External:
    return External(record["name"], record["protocol"], from_parquet(contents[TABLE]))
