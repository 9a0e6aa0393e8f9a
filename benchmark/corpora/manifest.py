"""The `csv` corpus: a user's own table that tells path, emotion, speaker and perhaps gender."""

from __future__ import annotations

import csv
import difflib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.errors import BenchmarkError

NEEDED = ("path", "emotion", "speaker")
COLUMNS = (*NEEDED, "gender")
GENDERS = ("female", "male", "unknown")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: its number, counted with the header as row 1, and its needed cells."""

    number: int
    cells: Mapping[str, str]


def read(table: Path) -> Recordings:
    """Return the recordings that a table names; relative paths go by the table's folder.

    Raises
    ------
    BenchmarkError
        If the table can't be read or a row can't be used; it names the row and the column.
    """
    clips: dict[str, Clip] = {}
    missing: list[str] = []
    first_row: dict[str, int] = {}
    gender_row: dict[str, tuple[str, int]] = {}
    for row in _rows(table):
        clip = _clip(table, row)
        if clip.name in first_row:
            raise _refusal(
                table,
                row.number,
                "path",
                f"{clip.name} stands in row {first_row[clip.name]} already. Keep one of the two; "
                "recordings outside the table's folder need different names.",
            )
        gender, number = gender_row.setdefault(clip.speaker, (clip.gender, row.number))
        if gender != clip.gender:
            problem = f"{clip.gender!r}, but row {number} says {gender!r} of the same speaker."
            raise _refusal(table, row.number, "gender", problem)
        first_row[clip.name] = row.number
        if clip.path.is_file():
            clips[clip.name] = clip
        else:
            missing.append(clip.name)
    return Recordings(tuple(clips[name] for name in sorted(clips)), tuple(sorted(missing)))


def _rows(table: Path) -> list[Row]:
    """Return the rows of a table with their needed cells, stripped."""
    try:
        text = table.read_text(encoding="utf-8-sig")
        header, *lines = csv.reader(io.StringIO(text), delimiter=delimiter(text))
    except OSError as error:
        raise BenchmarkError(
            f"{table}: can't read the table ({error.strerror}). "
            "Give a CSV file: --corpus csv=table.csv."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BenchmarkError(f"{table}: not a CSV file in UTF-8 ({error}).") from error
    except ValueError:  # nothing to unpack: not even a header
        header, lines = [], []
    columns = _columns(table, header)
    rows: list[Row] = []
    for number, line in enumerate(lines, start=2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(header):
            raise BenchmarkError(
                f"{table}: row {number} has {len(line)} cells, the header {len(header)}. "
                "Put quotes around a cell that holds the separator."
            )
        rows.append(Row(number, {name: line[at].strip() for name, at in columns.items()}))
    return rows


def delimiter(text: str) -> str:
    """Return the sign that separates the header's cells; spreadsheets of many countries write ;."""
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _columns(table: Path, header: list[str]) -> dict[str, int]:
    """Return where each column stands that the corpus knows; others may be there."""
    names = [name.strip().lower() for name in header]
    for column in COLUMNS:
        if names.count(column) > 1:
            raise BenchmarkError(f"{table}: row 1: the column {column!r} stands there twice.")
        near = difflib.get_close_matches(column, set(names) - set(COLUMNS), n=1, cutoff=0.7)
        if column in names or (column not in NEEDED and not near):
            continue
        hint = f" Did you mean it by {near[0]!r}?" if near else ""
        raise BenchmarkError(
            f"{table}: row 1: no column {column!r}.{hint} "
            f"Needed: {', '.join(NEEDED)}; allowed: gender. Found: {', '.join(names) or 'none'}."
        )
    return {name: names.index(name) for name in COLUMNS if name in names}


def _clip(table: Path, row: Row) -> Clip:
    """Return the clip that a row describes."""
    for column in NEEDED:
        if not row.cells[column]:
            raise _refusal(table, row.number, column, "the cell is empty.")
    gender = row.cells.get("gender", "").lower() or "unknown"
    if gender not in GENDERS:
        problem = f"{gender!r} is not allowed. Allowed: {', '.join(GENDERS)}."
        raise _refusal(table, row.number, "gender", problem)
    path = Path(os.path.normpath(table.absolute().parent / row.cells["path"]))
    return Clip(
        corpus="csv",
        name=_name(path, table.absolute().parent),
        path=path,
        speaker=f"csv/{row.cells['speaker']}",
        gender=gender,
        emotion=row.cells["emotion"],
    )


def _name(path: Path, folder: Path) -> str:
    """Return the path below the table's folder without its ending; if it lies outside, the stem."""
    below = Path(os.path.normpath(folder))
    if below not in path.parents:
        return path.stem
    return path.relative_to(below).with_suffix("").as_posix()


def _refusal(table: Path, row: int, column: str, problem: str) -> BenchmarkError:
    return BenchmarkError(f"{table}: row {row}, column {column!r}: {problem}")


CSV = Corpus(
    name="csv",
    title="A table of one's own",
    emotions=(),
    official_clips=None,
    home_page="",
    licence="as its owner says",
    how_to_get="Write a table with the columns path, emotion, speaker and perhaps gender.",
    read=read,
)
