"""Results: plain tables and a record for each study; all that is shown is computed from them.

They hold no date, no duration and no path of a machine: the same study on the same recordings
writes the same bytes. `reports/results/<study>/` has these files:

study.json
    What was asked and of what data: see `Result`.
trials.csv
    A row a trial: protocol, model, trial, state, score, spread, fold scores, epochs, parameters,
    reason.
predictions.csv
    A row a test clip, protocol and model: identity, truth, and the probability of each emotion.
clips.csv
    A row a clip that the study uses: its statement and intensity, where the corpus tells them.
out_of_fold.csv
    A row a training clip and split: the probabilities that the split's chosen model gives on the
    inner fold that validates the clip.
curves.csv
    A row a point of a learning curve: protocol, model, share, fold, rows, training score and
    validation score; only of a study that asks for learning curves.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.engine.files import write_text
from benchmark.errors import BenchmarkError
from benchmark.evaluation import older_results
from benchmark.study import BASELINE

FORMAT = 3

CLIP = ("clip", "corpus", "speaker", "gender", "emotion")
WORDS = (
    *("protocol", "part", "model", "state", "epochs", "params", "reason"),
    *(*CLIP, "statement", "intensity"),
)
"""Columns of words in any of the tables."""

OWN_TABLES = "own tables"
"""How the change begins that names a user's own tables."""

OUT_OF_TIME = "minutes of time"
"""How the change ends that says what budget of time a run had."""

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
        left_out (bool: not complete, and left out as the command line allowed),
        used (clips of the study's emotions that could be used), speakers (of the used clips;
        optional), missing (list of names), set_aside (list of [name, reason]), generated (bool).
        ``unusable``: list of [clip, reason]. ``duplicates``: lists of clips with the same samples.
        ``clips``: list of [corpus, emotion, gender, clips, speakers] counts.
        ``tables``: by split: train/test: rows, clips, speakers (list), digest.
        ``folds``: by split: list of {train_clips, validation_clips, validation_speakers}.
        A split is named as its protocol, or as ``speaker-independent/f1`` where the protocol has several.
        ``cut``: only of a run with a budget of time: list of {protocol, model, told, trials}, the
        searches that had not all their trials.
    versions : dict
        Versions of the libraries that decide scores, and which engine fitted what.
    winners : list of dict
        protocol, part (only where the protocol has several splits: which one), model, trial (None
        for an ensemble), params, score and spread on the inner folds; fold_scores; members
        (ensembles only): their models; trials and weights (greedy ensembles only): each member's
        trial and how many votes it has; epochs (models that learn by epochs only): how many the
        winner learned on the whole training table.
    trials : DataFrame
        protocol, part (likewise; empty where another protocol has several), model, trial, state
        (complete, failed, or cut: stopped early as it fell behind), score (of one cut after its
        first folds, what they say of it), spread, fold_0 .. (empty where it was not fitted),
        epochs (JSON: the best of each fold; empty for other models), params (JSON), reason. The
        settings' order of models within a protocol.
    predictions : DataFrame
        protocol, part (likewise), model, clip, corpus, speaker, gender, emotion, then p_<emotion>
        for each emotion of the study in sorted order (float32).
    curves : DataFrame or None
        Learning curves: protocol, model, share (of the training clips), fold, rows (learned from),
        training (score on them), validation (score on the fold's clips).
    clips : DataFrame or None
        clip, statement, intensity: the two empty where the corpus does not tell. None in results
        of earlier versions and on a user's own tables.
    out_of_fold : DataFrame or None
        As `predictions`, for training clips, with their inner ``fold`` after the emotion, by the
        `chosen` winner of each split. None in results of earlier versions.
    """

    name: str
    settings: dict[str, Any]
    changes: tuple[str, ...]
    data: dict[str, Any]
    versions: dict[str, Any]
    winners: list[dict[str, Any]]
    trials: pd.DataFrame
    predictions: pd.DataFrame
    curves: pd.DataFrame | None = None
    clips: pd.DataFrame | None = None
    out_of_fold: pd.DataFrame | None = None

    @property
    def emotions(self) -> list[str]:
        """The study's emotions in the order of the probability columns."""
        return sorted(self.settings["emotions"])

    @property
    def generated(self) -> bool:
        """Whether any recording of the study was made by code."""
        return any(corpus["generated"] for corpus in self.data["corpora"].values())


def split_of(entry: Mapping[str, Any]) -> str:
    """Return the name of the split to which a winner, or a row of a table, belongs."""
    part = entry.get("part", "")
    return f"{entry['protocol']}/{part}" if part else str(entry["protocol"])


def chosen(winners: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the winner of one split with the best inner score; the first of equal ones."""
    real = [winner for winner in winners if winner["model"] != BASELINE] or winners
    return max(real, key=lambda winner: winner["score"])


def by_split(result: Result) -> dict[str, Result]:
    """Return the part of a result that belongs to each of its splits, by name."""
    names = list(dict.fromkeys(split_of(winner) for winner in result.winners))
    return {
        name: replace(
            result,
            winners=[winner for winner in result.winners if split_of(winner) == name],
            trials=of_split(result.trials, name),
            predictions=of_split(result.predictions, name),
        )
        for name in names
    }


def of_split(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of a table that belong to a split."""
    named = table["protocol"]
    if "part" in table:
        named = named.where(table["part"] == "", named + "/" + table["part"])
    return table[named == name]


def write_result(result: Result, folder: Path) -> None:
    """Write a result below `folder`; study.json, written last, seals its tables by digest."""
    target = folder / result.name
    target.mkdir(parents=True, exist_ok=True)
    tables = {
        "trials.csv": result.trials.to_csv(index=False, lineterminator="\n"),
        "predictions.csv": result.predictions.to_csv(index=False, lineterminator="\n"),
    }
    optional = {"curves": result.curves, "clips": result.clips, "out_of_fold": result.out_of_fold}
    for name, table in optional.items():
        if table is not None:
            tables[f"{name}.csv"] = table.to_csv(index=False, lineterminator="\n")
    record = {
        "format": FORMAT,
        "name": result.name,
        "changes": list(result.changes),
        "settings": result.settings,
        "data": result.data,
        "versions": result.versions,
        "winners": result.winners,
        "sha256": {name: _sha256(text.encode()) for name, text in tables.items()},
    }
    for name, text in tables.items():
        write_text(target / name, text)
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
        if record.get("format") not in (FORMAT, older_results.FORMAT):
            raise BenchmarkError(
                f"{folder}: results of format {record.get('format')}; this version reads formats "
                f"{older_results.FORMAT} and {FORMAT}. Run the study again with it."
            )
        tables = {name: (folder / name).read_bytes() for name in record["sha256"]}
        if {name: _sha256(content) for name, content in tables.items()} != record["sha256"]:
            raise BenchmarkError(
                f"{folder}: its tables are not those that its study.json seals: a run was "
                "interrupted as it wrote them, or they were changed. Run its study again: trials "
                "are kept."
            )
        read = {name: _read_table(content) for name, content in tables.items()}
        if record["format"] == older_results.FORMAT:
            record, read = older_results.converted(record, read)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(
            f"{folder}: the result can't be read ({error!r}). Run its study again: trials are kept."
        ) from error
    return Result(
        name=record["name"],
        settings=record["settings"],
        changes=tuple(record["changes"]),
        data=record["data"],
        versions=record["versions"],
        winners=record["winners"],
        trials=read["trials.csv"],
        predictions=read["predictions.csv"],
        curves=read.get("curves.csv"),
        clips=read.get("clips.csv"),
        out_of_fold=read.get("out_of_fold.csv"),
    )


def read_results(folder: Path) -> tuple[list[Result], list[str]]:
    """Return all results below `folder` by name, and why those that can't be read can't."""
    results, refusals = [], []
    for path in sorted(folder.glob("*/study.json")):
        try:
            results.append(read_result(path.parent))
        except BenchmarkError as refusal:
            refusals.append(str(refusal))
    return results, refusals


def _read_table(content: bytes) -> pd.DataFrame:
    """Return a table whose columns of words are words, whatever they look like: 007, NA, true."""
    header = pd.read_csv(io.BytesIO(content), nrows=0).columns
    numbers = [column for column in header if column not in WORDS]
    table = pd.read_csv(
        io.BytesIO(content),
        dtype=dict.fromkeys(WORDS, "str"),
        keep_default_na=False,
        na_values={column: [""] for column in numbers},
    )
    probabilities = [column for column in header if str(column).startswith("p_")]
    return table.astype(dict.fromkeys(probabilities, "float32"))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
