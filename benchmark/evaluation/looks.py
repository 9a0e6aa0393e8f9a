"""Looks: every scoring of a test side, one row each in ``reports/looks.csv``.

A test side that was scored before has told which ideas help on it. Each further score on the same
clips is the result of a choice, and the more looks, the less it says of new speakers. Rows are
appended and never changed. A run that repeats the predictions of an earlier run of the same study
has told nothing new, and adds no row.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from benchmark.engine.files import write_text
from benchmark.errors import BenchmarkError
from benchmark.evaluation.results import CLIP, Result
from benchmark.study import Record, digest_of

NAME = "looks.csv"
"""File name, beside the pages."""

CHECK = "check"
"""Column with the first digits of the digest of a row."""


class Look(Record):
    """One scoring of a test side.

    Attributes
    ----------
    task : str
        Digest of the protocol and of its test clips with their emotions. Looks with the same task
        are looks at the same test clips.
    protocol : str
    study : str
        Name of the result: followed by ``@`` and a digest where the command line changed the study.
    digest : str
        Digest of the study's settings.
    model : str
        The selected model.
    score : float
        Its UAR, to four decimals.
    predictions : str
        Digest of the predictions of all models.
    version : str
        Version of this package; the commit, for a look from before looks were recorded.
    """

    task: str
    protocol: str
    study: str
    digest: str
    model: str
    score: float
    predictions: str
    version: str

    def repeats(self, other: Look) -> bool:
        """Whether two looks are the same study's with the same predictions."""
        return (self.task, self.study, self.predictions) == (
            other.task,
            other.study,
            other.predictions,
        )


@dataclass(frozen=True)
class Place:
    """Which look at its test clips a result is.

    Attributes
    ----------
    number, total : int
        It is look `number` of `total`, in the order of the file.
    """

    number: int
    total: int


def read_looks(path: Path) -> list[Look]:
    """Return all looks of a file in its order; none if there is no file.

    Raises
    ------
    BenchmarkError
        If the file can't be read, or is not a table of looks.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return [_look(row) for row in csv.DictReader(io.StringIO(text), strict=True)]
    except FileNotFoundError:
        return []
    except (ValueError, csv.Error, ValidationError) as error:
        raise BenchmarkError(
            f"{path}: the table of looks can't be read ({str(error).splitlines()[0]}). It has the "
            f"columns {', '.join((*Look.model_fields, CHECK))}. Restore it from version control."
        ) from error


def append_looks(path: Path, looks: Sequence[Look]) -> None:
    """Append looks to a file; those that repeat an earlier one are left out.

    The caller holds a lock, so that no other process appends at the same time.
    """
    before = read_looks(path)
    new = [look for look in looks if not any(look.repeats(one) for one in before)]
    if not new:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, table_of([*before, *new]))


def table_of(looks: Sequence[Look]) -> str:
    """Return looks as CSV."""
    table = io.StringIO()
    writer = csv.DictWriter(table, [*Look.model_fields, CHECK], lineterminator="\n")
    writer.writeheader()
    writer.writerows(look.model_dump() | {CHECK: _check(look)} for look in looks)
    return table.getvalue()


def _look(row: dict[str, str]) -> Look:
    """Return the look of a row, which a digest protects except in tables of early versions."""
    check = row.pop(CHECK, None)
    look = Look.model_validate(row)
    if check is not None and check != _check(look):
        raise ValueError(f"the row of {look.study}, {look.protocol} was changed: its check differs")
    return look


def _check(look: Look) -> str:
    return digest_of(list(look.model_dump().values()))[:8]


def places(result: Result, looks: Sequence[Look]) -> dict[str, Place]:
    """Return which look a result is under each protocol; only where it is among the looks."""
    found = {}
    if not any(look.study == result.name for look in looks):
        return {}
    for protocol in result.predictions["protocol"].unique():
        task, predictions = task_digest(result, protocol), predictions_digest(result, protocol)
        same = [look for look in looks if look.task == task]
        own = [
            number
            for number, look in enumerate(same, start=1)
            if (look.study, look.predictions) == (result.name, predictions)
        ]
        if own:
            found[str(protocol)] = Place(own[-1], len(same))
    return found


def sharing(study: str, looks: Sequence[Look]) -> set[str]:
    """Return the names of all studies with a look at test clips of one study, and its own."""
    tasks = {look.task for look in looks if look.study == study}
    return {study} | {look.study for look in looks if look.task in tasks}


def study_digest(result: Result) -> str:
    """Return the digest of a result's settings."""
    return digest_of(result.study.settings())[:16]


def task_digest(result: Result, protocol: str) -> str:
    """Return the digest of a protocol and its test clips with their emotions."""
    rows = _of_protocol(result, protocol)[["clip", "emotion"]].drop_duplicates()
    return digest_of([protocol, sorted(rows.itertuples(index=False, name=None))])[:16]


def predictions_digest(result: Result, protocol: str) -> str:
    """Return the digest of all predictions under a protocol: rows, order and every bit."""
    rows = _of_protocol(result, protocol)
    digest = hashlib.blake2b(digest_size=8)
    for name in ("part", "model", *CLIP):
        if name in rows:
            codes, values = pd.factorize(rows[name])
            digest.update("\0".join([name, *values]).encode())
            digest.update(codes.astype("<i4").tobytes())
    for emotion in result.emotions:
        digest.update(rows[f"p_{emotion}"].to_numpy(dtype="<f4").tobytes())
    return digest.hexdigest()


def _of_protocol(result: Result, protocol: str) -> pd.DataFrame:
    return result.predictions[result.predictions["protocol"] == protocol]
