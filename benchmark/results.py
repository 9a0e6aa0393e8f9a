"""Results: plain tables and a record for each study; all that is shown is computed from them.

They hold no date, no duration and no path of a machine: the same study on the same recordings
writes the same bytes. `reports/results/<study>/` has three files:

study.json
    What was asked and of what data: see `Result`.
trials.csv
    A row a trial: protocol, model, trial, state, score, spread, fold scores, parameters, reason.
predictions.csv
    A row a test clip, protocol and model: identity, truth, and the probability of each emotion.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.errors import BenchmarkError

FORMAT = 1

UNUSABLE = "clips can't be used"
"""How the change ends that says of how many, where more than a study puts up with were let pass."""


@dataclass(frozen=True)
class Result:
    """All that is known of a study that has run.

    Attributes
    ----------
    name : str
        The study's name; with ``@`` and a digest behind it where the command line changed it.
    settings : dict
        `Study.settings()`.
    changes : tuple of str
        In what this run is not the study's own: overrides, incomplete corpora, a user's own tables.
    data : dict
        ``corpora``: by name: title, home_page, licence, official (int or None), found (clips read),
        used (clips of the study's emotions that could be used), speakers (of the used clips;
        optional), missing (list of names), set_aside (list of [name, reason]), generated (bool).
        ``unusable``: list of [clip, reason]. ``duplicates``: lists of clips with the same samples.
        ``clips``: list of [corpus, emotion, gender, clips, speakers] counts.
        ``tables``: by protocol: train/test: rows, clips, speakers (list), digest.
        ``folds``: by protocol: list of {train_clips, validation_clips, validation_speakers}.
    versions : dict
        Versions of the libraries that decide scores, and which engine fitted what.
    winners : list of dict
        protocol, model, trial (None for the ensemble), params, score and spread on the inner folds,
        members (ensemble only).
    trials : DataFrame
        protocol, model, trial, state (complete or failed), score, spread, fold_0 .., params (JSON),
        reason. The settings' order of models within a protocol.
    predictions : DataFrame
        protocol, model, clip, corpus, speaker, gender, emotion, then p_<emotion> for each emotion
        of the study in sorted order (float32).
    """

    name: str
    settings: dict[str, Any]
    changes: tuple[str, ...]
    data: dict[str, Any]
    versions: dict[str, Any]
    winners: list[dict[str, Any]]
    trials: pd.DataFrame
    predictions: pd.DataFrame

    @property
    def emotions(self) -> list[str]:
        """The study's emotions in the order of the probability columns."""
        return sorted(self.settings["emotions"])

    @property
    def generated(self) -> bool:
        """Whether any recording of the study was made by code."""
        return any(corpus["generated"] for corpus in self.data["corpora"].values())


def write_result(result: Result, folder: Path) -> None:
    """Write a result below `folder`, whole or not at all: study.json, the last file, seals it."""
    target = folder / result.name
    target.mkdir(parents=True, exist_ok=True)
    record = {
        "format": FORMAT,
        "name": result.name,
        "changes": list(result.changes),
        "settings": result.settings,
        "data": result.data,
        "versions": result.versions,
        "winners": result.winners,
    }
    write_text(target / "trials.csv", result.trials.to_csv(index=False, lineterminator="\n"))
    write_text(
        target / "predictions.csv", result.predictions.to_csv(index=False, lineterminator="\n")
    )
    write_text(target / "study.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_result(folder: Path) -> Result:
    """Return the result that `write_result` left in `folder`.

    Raises
    ------
    BenchmarkError
        If a file is missing, damaged, or of a format that this version does not know.
    """
    try:
        record = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        if record.get("format") != FORMAT:
            raise BenchmarkError(
                f"{folder}: results of format {record.get('format')}; this version reads format "
                f"{FORMAT}. Run the study again with it."
            )
        trials = pd.read_csv(folder / "trials.csv", dtype={"reason": "string", "params": "string"})
        predictions = pd.read_csv(folder / "predictions.csv")
    except (OSError, ValueError) as error:
        raise BenchmarkError(
            f"{folder}: the result can't be read ({error}). Run its study again: trials are kept."
        ) from error
    probabilities = [column for column in predictions if str(column).startswith("p_")]
    return Result(
        name=record["name"],
        settings=record["settings"],
        changes=tuple(record["changes"]),
        data=record["data"],
        versions=record["versions"],
        winners=record["winners"],
        trials=trials,
        predictions=predictions.astype(dict.fromkeys(probabilities, "float32")),
    )


def read_results(folder: Path) -> list[Result]:
    """Return all results below `folder`, by name."""
    return [read_result(path.parent) for path in sorted(folder.glob("*/study.json"))]


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
