"""The record of an anatomy: all that its page shows is computed from it.

It holds no date, no duration and no path of a machine. `reports/anatomy/<study>/` has two files:

anatomy.json
    What was run, with which mistakes and on what data: see `Anatomy`. It seals the table by digest.
predictions.csv
    A row for each run, speaker, emotion and predicted emotion that occurs: run, speaker, emotion,
    predicted, rows (how many of the speaker's tested rows are told so). A row that SMOTE made
    counts as the speaker's whose recording is nearest to it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.engine.files import write_text
from benchmark.errors import BenchmarkError

FORMAT = 1
RECORD, TABLE = "anatomy.json", "predictions.csv"
WORDS = ("speaker", "emotion", "predicted")


@dataclass(frozen=True)
class Run:
    """One experiment that was conducted, and reported as it would be.

    Attributes
    ----------
    model : str
    draw : int
        Of the splits, from 0 on; 0 is the study's own.
    conduct : dict
        The fields of `mistakes.Conduct`.
    params : dict
        Of the fit that is reported.
    seed : int
        Of that fit.
    epochs : int
        The epoch that was kept, where it was chosen; else 0.
    trained, tested : int
        How many rows were learned from, and tested.
    by_setting, by_seed : tuple of float
        The test scores of all settings and all seeds, where the test rows chose between them; the
        first are those of the honest choice.
    """

    model: str
    draw: int
    conduct: Mapping[str, str]
    params: Mapping[str, Any]
    seed: int
    epochs: int
    trained: int
    tested: int
    by_setting: tuple[float, ...] = ()
    by_seed: tuple[float, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """One mistake alone: the same experiment done right and done wrong, a run a draw each.

    Attributes
    ----------
    mistake : str
    speakers : str
        Who may be on both sides of the experiment done right: ``apart`` or ``shared``.
    right, wrong : tuple of int
        Positions among the runs, in the order of draws.
    """

    mistake: str
    speakers: str
    right: tuple[int, ...]
    wrong: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One step of a staircase: the mistake that it adds (none for the first), a run a draw."""

    mistake: str
    runs: tuple[int, ...]


@dataclass(frozen=True)
class Staircase:
    """Mistakes one upon another.

    Attributes
    ----------
    model : str
    protocol : str
        Under which its settings were chosen.
    metric : str
    steps : tuple of Step
        The honest experiment first.
    lacking : dict of str to str
        Mistakes that the model can't make, and why.
    published : float or None
        What the source says; None for a staircase of the study's own winner.
    """

    model: str
    protocol: str
    metric: str
    steps: tuple[Step, ...]
    lacking: Mapping[str, str]
    published: float | None = None


@dataclass(frozen=True)
class Anatomy:
    """All that is known of a study's inflated scores.

    Attributes
    ----------
    name : str
        The study's.
    settings : dict
        `Study.settings()`.
    data : dict
        clips, speakers (counts), left_out (corpora), generated (bool), augment (the copies that
        mistakes were made with), measured (the honest score of the first draw as the study's stored
        result has it).
    versions : dict
        Of the libraries that decide scores.
    draws, seeds : int
        How many splits were drawn, and between how many seeds the test rows chose.
    runs : tuple of Run
    alone : tuple of Comparison
    staircases : tuple of Staircase
        Of the study's own winner first, then those of the published cases.
    predictions : DataFrame
        run, speaker, emotion, predicted, rows.
    """

    name: str
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    versions: Mapping[str, Any]
    draws: int
    seeds: int
    runs: tuple[Run, ...]
    alone: tuple[Comparison, ...]
    staircases: tuple[Staircase, ...]
    predictions: pd.DataFrame

    @property
    def emotions(self) -> list[str]:
        """The study's emotions, sorted."""
        return sorted(self.settings["emotions"])


def write_anatomy(anatomy: Anatomy, folder: Path) -> None:
    """Write an anatomy below `folder`; anatomy.json, written last, seals its table by digest."""
    target = folder / anatomy.name
    target.mkdir(parents=True, exist_ok=True)
    table = anatomy.predictions.to_csv(index=False, lineterminator="\n")
    record = {
        "format": FORMAT,
        "name": anatomy.name,
        "settings": anatomy.settings,
        "data": anatomy.data,
        "versions": anatomy.versions,
        "draws": anatomy.draws,
        "seeds": anatomy.seeds,
        "runs": [asdict(run) for run in anatomy.runs],
        "alone": [asdict(comparison) for comparison in anatomy.alone],
        "staircases": [asdict(staircase) for staircase in anatomy.staircases],
        "sha256": {TABLE: _sha256(table.encode())},
    }
    write_text(target / TABLE, table)
    write_text(target / RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_anatomy(folder: Path) -> Anatomy:
    """Return the anatomy that `write_anatomy` left in `folder`.

    Raises
    ------
    BenchmarkError
        If a file is missing, damaged, or of a format that this version does not know.
    """
    again = "Make it again with `python -m benchmark anatomy`: finished fits are kept."
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record.get("format") != FORMAT:
            raise BenchmarkError(
                f"{folder}: an anatomy of format {record.get('format')}; this version reads format "
                f"{FORMAT}. {again}"
            )
        content = (folder / TABLE).read_bytes()
        if record["sha256"] != {TABLE: _sha256(content)}:
            raise BenchmarkError(f"{folder}: {TABLE} is not the one that {RECORD} seals. {again}")
        return Anatomy(
            name=record["name"],
            settings=record["settings"],
            data=record["data"],
            versions=record["versions"],
            draws=record["draws"],
            seeds=record["seeds"],
            runs=tuple(_run(entry) for entry in record["runs"]),
            alone=tuple(
                Comparison(e["mistake"], e["speakers"], tuple(e["right"]), tuple(e["wrong"]))
                for e in record["alone"]
            ),
            staircases=tuple(_staircase(entry) for entry in record["staircases"]),
            predictions=pd.read_csv(
                io.BytesIO(content), dtype=dict.fromkeys(WORDS, "str"), keep_default_na=False
            ),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{folder}: the anatomy can't be read ({error!r}). {again}") from error


def read_anatomies(folder: Path) -> list[Anatomy]:
    """Return all anatomies below `folder`: of real recordings before generated ones, by name."""
    found = [read_anatomy(path.parent) for path in sorted(folder.glob(f"*/{RECORD}"))]
    return sorted(found, key=lambda anatomy: (anatomy.data["generated"], anatomy.name))


def _run(entry: dict[str, Any]) -> Run:
    lists = {name: tuple(entry[name]) for name in ("by_setting", "by_seed")}
    return Run(**{**entry, **lists})


def _staircase(entry: dict[str, Any]) -> Staircase:
    steps: Sequence[dict[str, Any]] = entry["steps"]
    return Staircase(
        **{**entry, "steps": tuple(Step(step["mistake"], tuple(step["runs"])) for step in steps)}
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
