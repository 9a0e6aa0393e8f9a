"""The one reader of a user's tables: CSV of any spreadsheet, Parquet or JSON lines, as text."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import pandas as pd

KINDS = "a CSV file (comma, semicolon or tab), Parquet (.parquet) or JSON (.json, .jsonl)"
WORKBOOK = b"PK\x03\x04"
"""How a workbook of a spreadsheet program begins."""
DELIMITERS = ",;\t"
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_table(path: Path) -> pd.DataFrame:
    """Return the rows of a table, each cell as stripped text; an absent cell is empty.

    The index is the number of each row in the file, the header being row 1; empty rows are skipped.

    Parameters
    ----------
    path : Path
        A file with a header: CSV (comma, semicolon or tab; UTF-8 or UTF-16, with or without a byte
        order mark), Parquet (``.parquet``), JSON lines (``.jsonl``) or a JSON list (``.json``).

    Raises
    ------
    BenchmarkError
        If the file can't be read or is no such table.
    """
    readers = {".parquet": _parquet, ".jsonl": _json_lines, ".json": _json}
    try:
        table = readers.get(path.suffix.lower(), _text)(path.read_bytes())
    except OSError as error:
        raise BenchmarkError(
            f"{path}: can't read the table ({error.strerror}). Give {KINDS}."
        ) from error
    except (ValueError, csv.Error) as error:
        reason = str(error).splitlines()[0]
        raise BenchmarkError(f"{path}: not a table ({reason}). Give {KINDS}.") from error
    names = [str(name).strip() for name in table.columns]
    twice = [name for name, times in Counter(map(str.lower, names)).items() if times > 1]
    if twice:
        raise BenchmarkError(f"{path}: row 1: the column {twice[0]!r} occurs twice.")
    return table.set_axis(names, axis=1)


def encoding_of(content: bytes) -> str:
    """Return the encoding of a text by its byte order mark; UTF-8 without one."""
    marks = BYTE_ORDER_MARKS.items()
    return next((name for mark, name in marks if content.startswith(mark)), "utf-8")


def delimiter(text: str) -> str:
    """Return the delimiter of the header; spreadsheets of many locales write ;."""
    header = text.partition("\n")[0]
    return max(DELIMITERS, key=header.count)


def _text(content: bytes) -> pd.DataFrame:
    import pandas as pd

    if content.startswith(WORKBOOK):
        raise ValueError("it is a workbook: save the sheet as CSV")
    text = content.decode(encoding_of(content))
    lines = list(csv.reader(io.StringIO(text), delimiter=delimiter(text)))
    header = lines[0] if lines else []
    rows = {}
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(header):
            raise ValueError(
                f"row {number} has {len(line)} cells, the header {len(header)}; cells that contain "
                "the delimiter need quotes"
            )
        rows[number] = [cell.strip() for cell in line]
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=header, dtype="str")


def _parquet(content: bytes) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(content))
    unnamed = table.index.names == [None]
    return _as_text(table.reset_index(drop=unnamed))


def _json_lines(content: bytes) -> pd.DataFrame:
    lines = content.decode(encoding_of(content)).splitlines()
    return _of_objects([json.loads(line) for line in lines if line.strip()])


def _json(content: bytes) -> pd.DataFrame:
    rows = json.loads(content.decode(encoding_of(content)))
    if not isinstance(rows, list):
        raise ValueError("it is not a list of rows")
    return _of_objects(rows)


def _of_objects(rows: list[Any]) -> pd.DataFrame:
    import pandas as pd

    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a row is not an object with names and values")
    return _as_text(pd.DataFrame(rows))


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return each cell as text; an absent one is empty."""
    filled = table.astype(object).where(table.notna(), "")
    return filled.map(lambda cell: str(cell).strip()).set_axis(range(2, len(table) + 2), axis=0)
