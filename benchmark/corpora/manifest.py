"""The corpus `csv`: a table of path, emotion, speaker, and optionally gender and statement."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.engine.table_file import read_table
from benchmark.errors import BenchmarkError

REQUIRED = ("path", "emotion", "speaker")
COLUMNS = (*REQUIRED, "gender", "statement")
GENDERS = ("female", "male", "unknown")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: its number (the header is row 1), and the cells of known columns."""

    number: int
    cells: Mapping[str, str]


def read(table: Path) -> Recordings:
    """Return the recordings of a table; relative paths are relative to its folder.

    Raises
    ------
    BenchmarkError
        If the table can't be read or a row is invalid; it names the row and the column.
    """
    clips: dict[str, Clip] = {}
    missing: list[str] = []
    first_row: dict[str, int] = {}
    gender_row: dict[str, tuple[str, int]] = {}
    for row in _rows(table):
        clip = _clip(table, row)
        if clip.name in first_row:
            raise _row_error(
                table,
                row.number,
                "path",
                f"{clip.name} is in row {first_row[clip.name]} already. Keep one of the two; "
                "recordings outside the table's folder need different names.",
            )
        gender, number = gender_row.setdefault(clip.speaker, (clip.gender, row.number))
        if gender != clip.gender:
            problem = f"{clip.gender!r}, but {gender!r} in row {number} for the same speaker."
            raise _row_error(table, row.number, "gender", problem)
        first_row[clip.name] = row.number
        if clip.path.is_file():
            clips[clip.name] = clip
        else:
            missing.append(clip.name)
    return Recordings(tuple(clips[name] for name in sorted(clips)), tuple(sorted(missing)))


def _rows(table: Path) -> list[Row]:
    """Return the rows of a table with the cells of known columns."""
    content = read_table(table)
    content.columns = content.columns.str.lower()
    columns = _columns(table, list(content))
    cells = zip(*(content[name] for name in columns), strict=True)
    return [
        Row(number, dict(zip(columns, row, strict=True)))
        for number, row in zip(content.index, cells, strict=True)
    ]


def _columns(table: Path, names: list[str]) -> list[str]:
    """Return the known columns among those of a table; others are ignored."""
    for column in COLUMNS:
        near = difflib.get_close_matches(column, set(names) - set(COLUMNS), n=1, cutoff=0.7)
        if column in names or (column not in REQUIRED and not near):
            continue
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise BenchmarkError(
            f"{table}: row 1: no column {column!r}.{hint} "
            f"Required: {', '.join(REQUIRED)}; optional: gender, statement. Found: "
            f"{', '.join(names) or 'none'}."
        )
    return [name for name in COLUMNS if name in names]


def _clip(table: Path, row: Row) -> Clip:
    """Return the clip of a row."""
    for column in REQUIRED:
        if not row.cells[column]:
            raise _row_error(table, row.number, column, "the cell is empty.")
    gender = row.cells.get("gender", "").lower() or "unknown"
    if gender not in GENDERS:
        problem = f"{gender!r} is not allowed. Allowed: {', '.join(GENDERS)}."
        raise _row_error(table, row.number, "gender", problem)
    path = Path(os.path.normpath(table.absolute().parent / row.cells["path"]))
    return Clip(
        corpus="csv",
        name=_name(path, table.absolute().parent),
        path=path,
        speaker=f"csv/{row.cells['speaker']}",
        gender=gender,
        emotion=row.cells["emotion"],
        statement=row.cells.get("statement", ""),
    )


def _name(path: Path, folder: Path) -> str:
    """Return the path relative to the table's folder without suffix; outside it, the stem."""
    below = Path(os.path.normpath(folder))
    if below not in path.parents:
        return path.stem
    return path.relative_to(below).with_suffix("").as_posix()


def _row_error(table: Path, row: int, column: str, problem: str) -> BenchmarkError:
    return BenchmarkError(f"{table}: row {row}, column {column!r}: {problem}")


CSV = Corpus(
    name="csv",
    title="A user's own table",
    emotions=(),
    licence="set by its owner",
    how_to_get="Write a table with the columns path, emotion, speaker and optionally gender, "
    "statement.",
    read=read,
)
