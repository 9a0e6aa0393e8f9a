"""Results: a record and plain tables for each study; every page is computed from them alone.

They hold no date, no duration and no path of a machine: the same study on the same recordings
writes the same bytes. `reports/results/<study>/` has these files:

study.json
    The study, its data, versions and winners: see `Result`.
trials.csv
    One row per trial: protocol, model, trial, state, score, std, fold scores, epochs, parameters,
    reason.
predictions.parquet
    One row per test clip, protocol and model: identity, true emotion, and the probability of each
    emotion.
clips.csv
    One row per clip of the study: all that its corpus tells of it beside speaker and emotion.
out_of_fold.parquet
    One row per training clip and split: out-of-fold probabilities of the split's selected model.
conditions.parquet
    One row per test clip, protocol and condition: the probabilities of the split's selected model;
    only if the study has conditions.
curves.csv
    One row per point of a learning curve: protocol, model, fraction, fold, rows, training score and
    validation score; only if the study asks for learning curves.

``pandas.read_parquet`` reads the tables of predictions. Up to format 3 they were CSV, too.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.data.record import Change, DataRecord
from benchmark.engine.registry import check_installed
from benchmark.engine.table_file import unguarded
from benchmark.errors import BenchmarkError
from benchmark.evaluation import older_results
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.parquet import from_parquet
from benchmark.evaluation.records import read_record, text_table, write_record
from benchmark.features import parse_chain
from benchmark.study import BASELINE, Record, Study

FORMAT = 4
READ = (older_results.FORMAT, 3, FORMAT)
"""The formats that are read; format 3 differs by its tables of predictions, which are CSV."""

CLIP = ("clip", "corpus", "speaker", "gender", "emotion")
TEXT_COLUMNS = (
    *("protocol", "part", "model", "state", "epochs", "params", "reason"),
    *CLIP,
)
"""Columns of text in any of the tables."""


class Winner(Record):
    """The best trial of a model on a split, or an ensemble of several.

    Attributes
    ----------
    protocol, part : str
        The split; part is empty where the protocol has one split only.
    model : str
        Name of the model or the ensemble in the study.
    trial : int or None
        Number of the trial; None for an ensemble.
    params : dict
        Parameters of the model.
    score, std : float
        Mean and standard deviation of the metric over the inner folds.
    fold_scores : tuple of float
    members : tuple of str
        Models of an ensemble.
    trials, weights : tuple of int
        Trial and number of votes of each member of a greedy ensemble.
    epochs : int or None
        Epochs of the refit, of a model that learns by epochs.
    """

    protocol: str
    part: str = ""
    model: str
    trial: int | None
    params: dict[str, Any]
    score: float
    std: float | None = None
    fold_scores: tuple[float, ...] = ()
    members: tuple[str, ...] = ()
    trials: tuple[int, ...] = ()
    weights: tuple[int, ...] = ()
    epochs: int | None = None

    @property
    def split(self) -> str:
        """Name of the split: the protocol, or ``speaker-independent/f1``."""
        return split_name(self.protocol, self.part)


class UnfinishedSearch(Record):
    """A search that a time budget ended before all its trials were completed."""

    protocol: str
    model: str
    completed: int
    requested: int


class Versions(Record):
    """Versions of the libraries that decide scores, and what fitted each model in the search.

    `search_code` is that of our own code that decides scores, `plan.VERSION`. Version 1, also of
    results that do not state it, selected by the score of all clips together, not by the mean over
    corpora. `plugins` are the packages of other authors whose entries the study uses.
    """

    libraries: dict[str, str]
    engines: dict[str, str] = {}
    search_code: int = 1
    plugins: dict[str, str] = {}

    @property
    def packages(self) -> dict[str, str]:
        """The versions of all libraries and plug-ins."""
        return self.libraries | self.plugins


@dataclass(frozen=True)
class Result:
    """All that is known of a study that has run.

    Attributes
    ----------
    name : str
        The study's name; followed by ``@`` and a digest where the command line changed it.
    study : Study
    changes : tuple of Change
        How the run differs from the study file.
    data : DataRecord
    versions : Versions
    winners : tuple of Winner
        Of every model and ensemble on every split.
    trials : DataFrame
        protocol, part (only if a protocol has several splits), model, trial, state (``complete``,
        ``failed`` or ``pruned``), score (of a trial pruned after its first folds, an estimate),
        std, fold_0 .. (empty if not fitted), epochs (JSON: the best of each fold; empty for other
        models), params (JSON), reason. Ordered by the study's models within a split.
    predictions : DataFrame
        protocol, part (likewise), model, clip, corpus, speaker, gender, emotion, then p_<emotion>
        for each emotion of the study in sorted order (float32).
    curves : DataFrame or None
        Learning curves: protocol, model, fraction (of the training clips), fold, rows (learned
        from), training (score on them), validation (score on the fold's clips).
    clips : DataFrame or None
        clip, then what the corpora tell of it, empty where one does not. None in results of early
        versions and on a user's own tables.
    out_of_fold : DataFrame or None
        As `predictions`, for training clips, with their inner ``fold`` after the emotion, by the
        selected model of each split. None in results of early versions.
    conditions : DataFrame or None
        As `predictions`, with the ``condition`` before the model, by the selected model of each
        split. None without conditions.
    unfinished : tuple of UnfinishedSearch, or None
        Searches that the time budget ended early; None without a budget.
    """

    name: str
    study: Study
    changes: tuple[Change, ...]
    data: DataRecord
    versions: Versions
    winners: tuple[Winner, ...]
    trials: pd.DataFrame
    predictions: pd.DataFrame
    curves: pd.DataFrame | None = None
    clips: pd.DataFrame | None = None
    out_of_fold: pd.DataFrame | None = None
    conditions: pd.DataFrame | None = None
    unfinished: tuple[UnfinishedSearch, ...] | None = None

    @property
    def emotions(self) -> list[str]:
        """The study's emotions in the order of the probability columns."""
        return sorted(self.study.emotions)

    @property
    def generated(self) -> bool:
        """Whether any corpus of the study is synthetic speech."""
        return any(corpus.generated for corpus in self.data.corpora.values())

    @property
    def own_tables(self) -> bool:
        """Whether the study ran on a user's own train and test tables."""
        return any(change.kind == "tables" for change in self.changes)


def split_name(protocol: str, part: str = "") -> str:
    """Return the name of a split among all of a study: ``speaker-independent/f1``."""
    return f"{protocol}/{part}" if part else protocol


def selected(winners: Sequence[Winner]) -> Winner:
    """Return the winner of one split with the best score on the inner folds; the first of equals.

    The baseline is selected only if it stands alone.
    """
    models = [winner for winner in winners if winner.model != BASELINE] or winners
    return max(models, key=lambda winner: winner.score)


def by_split(result: Result) -> dict[str, Result]:
    """Return the part of a result that belongs to each of its splits, by name."""
    names = list(dict.fromkeys(winner.split for winner in result.winners))
    return {
        name: replace(
            result,
            winners=tuple(winner for winner in result.winners if winner.split == name),
            trials=of_split(result.trials, name),
            predictions=of_split(result.predictions, name),
            conditions=None if result.conditions is None else of_split(result.conditions, name),
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
    """Write a result below `folder`; study.json, written last, holds the digests of its tables."""
    frames = {
        "trials.csv": result.trials,
        "predictions.parquet": result.predictions,
        "curves.csv": result.curves,
        "clips.csv": result.clips,
        "out_of_fold.parquet": result.out_of_fold,
        "conditions.parquet": result.conditions,
    }
    tables = {name: table for name, table in frames.items() if table is not None}
    record = {
        "format": FORMAT,
        "name": result.name,
        "changes": [_plain(change) for change in result.changes],
        "settings": result.study.settings(),
        "data": _plain(result.data),
        "versions": _plain(result.versions),
        "winners": [_plain(winner) for winner in result.winners],
    }
    if result.unfinished is not None:
        record["unfinished"] = [_plain(search) for search in result.unfinished]
    target = folder / result.name
    write_record(target / "study.json", record, tables)
    for path in (*target.glob("*.csv"), *target.glob("*.parquet")):
        if path.name not in tables:  # left by an earlier run or format
            path.unlink()


def read_result(folder: Path) -> Result:
    """Return the result that `write_result` left in `folder`.

    Raises
    ------
    BenchmarkError
        If a file is missing, damaged, or of a format that this version does not read, or if a
        plug-in of the study is not installed in the version that made the result.
    """
    advice = "Run the study again: finished trials are kept."
    result = read_record(folder / "study.json", READ, _result, advice)
    check_installed(result.versions.plugins, str(folder))
    _check_names(result, str(folder))
    return result


def _check_names(result: Result, where: str) -> None:
    """Refuse a result by a metric or an augmentation that is not registered in this process."""
    for condition in result.study.conditions:
        try:
            parse_chain(condition)
        except BenchmarkError as error:
            raise BenchmarkError(f"{where}: {error}") from error
    claims = result.study.claims
    for name in (result.study.search.metric, *([claims.metric] if claims else [])):
        if name not in METRICS:
            raise METRICS.unknown(name, where)


def _result(record: dict[str, Any], contents: dict[str, bytes]) -> Result:
    tables = {Path(name).stem: _read_table(content, name) for name, content in contents.items()}
    if record["format"] == older_results.FORMAT:
        record, tables = older_results.converted(record, tables)
    unfinished = record.get("unfinished")
    return Result(
        name=record["name"],
        study=Study.model_validate(record["settings"]),
        changes=tuple(map(Change.model_validate, record["changes"])),
        data=DataRecord.model_validate(record["data"]),
        versions=Versions.model_validate(record["versions"]),
        winners=tuple(map(Winner.model_validate, record["winners"])),
        trials=tables["trials"],
        predictions=tables["predictions"],
        curves=tables.get("curves"),
        clips=tables.get("clips"),
        out_of_fold=tables.get("out_of_fold"),
        conditions=tables.get("conditions"),
        unfinished=None
        if unfinished is None
        else tuple(map(UnfinishedSearch.model_validate, unfinished)),
    )


def read_results(folder: Path) -> tuple[list[Result], list[str]]:
    """Return all results below `folder` by name, and the reasons why others can't be read."""
    results, refusals = [], []
    for path in sorted(folder.glob("*/study.json")):
        try:
            results.append(read_result(path.parent))
        except BenchmarkError as refusal:
            refusals.append(str(refusal))
    return results, refusals


def _plain(record: Record) -> dict[str, Any]:
    """Return a record as plain data, without fields that have their default."""
    return record.model_dump(mode="json", exclude_defaults=True)


def _read_table(content: bytes, name: str) -> pd.DataFrame:
    """Return a table whose text columns stay text, whatever they look like: 007, NA, true."""
    if name.endswith(".parquet"):
        return from_parquet(content)
    if name == "clips.csv":
        return text_table(content)
    header = pd.read_csv(io.BytesIO(content), nrows=0).columns
    numbers = [column for column in header if column not in TEXT_COLUMNS]
    table = pd.read_csv(
        io.BytesIO(content),
        dtype=dict.fromkeys(TEXT_COLUMNS, "str"),
        keep_default_na=False,
        na_values={column: [""] for column in numbers},
    )
    texts = [column for column in TEXT_COLUMNS if column in table]
    table[texts] = table[texts].map(unguarded)
    probabilities = [column for column in header if str(column).startswith("p_")]
    return table.astype(dict.fromkeys(probabilities, "float32"))
