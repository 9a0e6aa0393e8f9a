"""The one reader of a user's tables: CSV of any spreadsheet, Parquet or JSON lines.

In CSV files, text that a spreadsheet would run as a formula is written after an apostrophe, and
read without it.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError, shortened

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

KINDS = "a CSV file (comma, semicolon or tab), Parquet (.parquet) or JSON (.json, .jsonl)"
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How workbooks of spreadsheet programs begin."""
ROW = '{"file": "a.wav", "scores": [{"label": "sad", "score": 0.9}, ...]}'
"""A row of JSON, for messages: what a pipeline of Hugging Face returns has no file names."""
DELIMITERS = ",;\t"
LONGEST_SHOWN = 40  # characters of a wrong cell
ROW_NUMBERS = re.compile(r"(unnamed: \d+)?")
"""Lowercase name of the column in which pandas writes row numbers, and reads them again."""
NAMED_DELIMITER = re.compile(r"sep=(.)\n", re.IGNORECASE)
"""First line by which a spreadsheet is told the delimiter; it is no row."""

SCORED_LABELS = re.compile(r"""\[\{\s*["'](label|score)["']""")
"""How a cell of a CSV file begins that holds labels with scores, as pandas writes lists."""

BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""How text begins that a spreadsheet takes for a formula, and text that was written after it."""

NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")


def guarded(text: str) -> str:
    """Return text for a CSV file: after an apostrophe if it would be a formula in a spreadsheet.

    >>> guarded("=1+1"), guarded("-0.5"), guarded("angry")
    ("'=1+1", '-0.5', 'angry')
    """
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """Return text that `guarded` wrote, as it was.

    >>> unguarded("'=1+1"), unguarded("'quoted'")
    ('=1+1', "'quoted'")
    """
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def table_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV, without its index, and with its text guarded."""
    import pandas as pd

    safe = table.rename(columns=lambda name: guarded(str(name)))
    for name in safe:
        if not pd.api.types.is_numeric_dtype(safe[name].dtype):
            safe[name] = safe[name].map(
                lambda cell: guarded(cell) if isinstance(cell, str) else cell
            )
    text: str = safe.to_csv(index=False, lineterminator="\n")
    return text


def read_table(path: Path) -> pd.DataFrame:
    """Return the rows of a table, each cell as stripped text; an absent cell is empty.

    The index is the number of each row in the file, the header being row 1; empty rows are skipped.
    The row numbers of pandas, a column without a name, are left out.

    Parameters
    ----------
    path : Path
        A file with a header: CSV (comma, semicolon or tab; UTF-8 or UTF-16, with or without a byte
        order mark), Parquet (``.parquet``), JSON lines (``.jsonl``) or a JSON list (``.json``).
        Cells may hold lists of labels with their scores, as a pipeline of Hugging Face gives them:
        each label is a column ``p_<label>``.

    Raises
    ------
    BenchmarkError
        If the file can't be read or is no such table.
    """
    try:
        table = READERS.get(path.suffix.lower(), _text)(path.read_bytes())
    except OSError as error:
        raise BenchmarkError(
            f"{path}: can't read the table ({error.strerror}). Give {KINDS}."
        ) from error
    except (ValueError, ArithmeticError, csv.Error, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BenchmarkError(f"{path}: not a table ({reason}). Give {KINDS}.") from error
    return _without_row_numbers(table.set_axis(_distinct(table.columns, path), axis=1))


def our_names(columns: Iterable[str], known: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return our name of each column that has one.

    Parameters
    ----------
    columns : iterable of str
        Of a table. Case does not matter, and a blank is an underscore.
    known : mapping of str to sequence of str
        By our name: the lowercase names under which a column may be written, the first of which
        that is there counts.

    Examples
    --------
    >>> our_names(["Actual Labels", "label"], {"emotion": ("emotion", "actual_labels", "label")})
    {'Actual Labels': 'emotion'}
    """
    written = {name.lower().replace(" ", "_"): name for name in columns}
    found: dict[str, str] = {}
    for ours, names in known.items():
        theirs = next((written[name] for name in names if name in written), None)
        if theirs is not None:
            found.setdefault(theirs, ours)
    return found


def read_numbers(
    path: Path, text: Mapping[str, Sequence[str]], *, facts: bool = False
) -> pd.DataFrame:
    """Return the rows of a wide table: some columns as text, all others as float32.

    Rows are numbered as in `read_table`. A CSV file may have decimal commas if its delimiter is
    another character.

    Parameters
    ----------
    path : Path
        As `read_table` takes it.
    text : mapping of str to sequence of str
        The columns of text, as `our_names` takes them. They are optional, and come first.
    facts : bool
        Whether other columns without any number are text, too.

    Raises
    ------
    BenchmarkError
        If the file can't be read, or a cell of another column is not a finite number.
    """
    import numpy as np
    import pandas as pd

    typed = _typed(path, text)
    table = read_table(path) if typed is None else typed
    names = our_names(table.columns, text)
    cells = table.drop(columns=list(names))
    numbers = _parsed(cells, path) if typed is None else cells
    if facts:
        words = numbers.columns[numbers.isna().all()]
        names |= {name: name for name in words}
        cells, numbers = cells.drop(columns=words), numbers.drop(columns=words)
    values = _float32(numbers)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        cell = str(cells.iloc[row, column])
        shown = repr(shortened(cell, LONGEST_SHOWN)) if cell else "an empty cell"
        absent = "" if names else ", none of which is there"
        raise BenchmarkError(
            f"{path}: row {cells.index[row]}, column {cells.columns[column]!r}: {shown} is not a "
            f"finite number, one of {len(wrong):,} such cells. Text may stand in "
            f"{', '.join(text)} only{absent}."
        )
    named = table[list(names)].rename(columns=names)
    return pd.concat([named, pd.DataFrame(values, table.index, cells.columns)], axis=1)


def _float32(numbers: pd.DataFrame) -> NDArray[np.float32]:
    """Return numbers as float32; infinite where one is too large."""
    import numpy as np

    with np.errstate(over="ignore"):
        values: NDArray[np.float32] = numbers.to_numpy(dtype=np.float32)
    return values


def _without_row_numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table[[name for name in table if not ROW_NUMBERS.fullmatch(name.lower())]]


def _typed(path: Path, text: Mapping[str, Sequence[str]]) -> pd.DataFrame | None:
    """Return a table whose columns of numbers are read as such, which is five times as fast.

    None if anything else is in them: `read_table` then says what.
    """
    import numpy as np

    suffix = path.suffix.lower()
    if suffix in READERS and suffix != ".parquet":
        return None
    try:
        content = path.read_bytes()
        table = _columns(content) if suffix == ".parquet" else _numeric_text(content, text)
    except (OSError, ValueError):
        return None
    table = _without_row_numbers(table.set_axis(_distinct(table.columns, path), axis=1))
    table = table.set_axis(range(2, len(table) + 2), axis=0)
    named = list(our_names(table.columns, text))
    numbers = table.drop(columns=named)
    if any(dtype.kind not in "fiu" for dtype in numbers.dtypes):
        return None
    if not np.isfinite(_float32(numbers)).all():
        return None
    texts = _as_text(table[named])
    return table.assign(**(texts if suffix == ".parquet" else texts.map(unguarded)))


def _numeric_text(content: bytes, text: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return a CSV file in which all columns but those named in `text` are float64."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    lines = decoded(content)
    if "\n\n" in lines or NAMED_DELIMITER.match(lines):
        raise ValueError("pyarrow does not count such rows")
    header, separator = lines.partition("\n")[0], delimiter(lines)
    names = next(csv.reader([header], delimiter=separator), [])
    named = our_names(map(str.strip, names), text)
    types = {n: pa.string() if n.strip() in named else pa.float64() for n in names}
    table: pd.DataFrame = arrow.read_csv(
        io.BytesIO(lines.encode()),
        parse_options=arrow.ParseOptions(delimiter=separator),
        convert_options=arrow.ConvertOptions(column_types=types),
    ).to_pandas()
    return table


def _parsed(cells: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the numbers of cells of text; NaN for a cell that is not a number."""
    import pandas as pd

    if path.suffix.lower() not in READERS and delimiter(decoded(path.read_bytes())) != ",":
        cells = cells.apply(lambda column: column.str.replace(",", "."))
    return cells.apply(pd.to_numeric, errors="coerce")


def _distinct(columns: Iterable[Any], path: Path) -> list[str]:
    """Return the stripped names of columns; refuse one that occurs twice."""
    names = [unguarded(str(name).strip()) for name in columns]
    written = Counter(name.lower() for name in names if name)
    twice = [name for name, times in written.items() if times > 1]
    if twice:
        raise BenchmarkError(f"{path}: row 1: the column {twice[0]!r} occurs twice.")
    return names


def read_list(path: Path, columns: Sequence[str]) -> pd.Series[str]:
    """Return the names that a file lists: one a line, or the first of `columns` of a table.

    The index is the number of each line or row. A file whose first line has none of `columns` has
    one name a line.

    Raises
    ------
    BenchmarkError
        If the file can't be read.
    """
    import pandas as pd

    try:
        lines = decoded(path.read_bytes()).splitlines()
    except OSError as error:
        raise BenchmarkError(f"{path}: can't read the list ({error.strerror}).") from error
    except ValueError as error:
        raise BenchmarkError(f"{path}: not a list of names ({error}).") from error
    header = next(csv.reader(lines[:1], delimiter=delimiter(lines[0])), []) if lines else []
    if {name.strip().lower() for name in header} & set(columns):
        table = read_table(path).rename(columns=str.lower)
        return table[next(name for name in columns if name in table)]
    names = {number: line.strip().strip('"') for number, line in enumerate(lines, start=1)}
    return pd.Series({number: name for number, name in names.items() if name}, dtype="str")


def decoded(content: bytes) -> str:
    r"""Return a text, UTF-8 unless its byte order mark says another, with lines that end in \n.

    Raises
    ------
    ValueError
        If it has another encoding.
    """
    marks = BYTE_ORDER_MARKS.items()
    encoding = next((name for mark, name in marks if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"line {line} is not {encoding.upper()[:6].rstrip('-')}: save it as CSV UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def delimiter(text: str) -> str:
    """Return the delimiter of a table's header; spreadsheets of many locales write ;."""
    if named := NAMED_DELIMITER.match(text):
        return named[1]
    header = text.partition("\n")[0]
    return max(DELIMITERS, key=header.count)


def _text(content: bytes) -> pd.DataFrame:
    import pandas as pd

    if content.startswith(WORKBOOKS):
        raise ValueError("it is a workbook or an archive: save the sheet as CSV, an array as .npy")
    text = decoded(content)
    named = NAMED_DELIMITER.match(text)
    rest = io.StringIO(text[named.end() :] if named else text)
    lines = list(csv.reader(rest, delimiter=delimiter(text)))
    header = lines[0] if lines else []
    rows = {}
    for number, line in enumerate(lines[1:], start=3 if named else 2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(header):
            raise ValueError(
                f"row {number} has {len(line)} cells, the header {len(header)}; cells that contain "
                "the delimiter need quotes"
            )
        rows[number] = [unguarded(cell.strip()) for cell in line]
    table = pd.DataFrame(list(rows.values()), index=list(rows), columns=header, dtype="str")
    return _with_scores(table) if SCORED_LABELS.search(text) else table


def _with_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Return a CSV file's table with a column for each label in its lists of labels and scores."""
    lists = [name for name in table if table[name].str.match(SCORED_LABELS).any()]
    cells = {
        name: [_list(cell, row, str(name)) for row, cell in table[name].items()] for name in lists
    }
    return _filled(_flat(table.astype(object).assign(**cells)))


def _list(cell: str, row: Hashable, column: str) -> Any:
    """Return the list in a cell of a CSV file; an empty cell as it is."""
    try:
        return ast.literal_eval(cell) if cell else cell
    except (ValueError, SyntaxError) as error:
        raise ValueError(
            f"row {row}, column {column!r} is not a list of labels with scores, as in other rows"
        ) from error


def _parquet(content: bytes) -> pd.DataFrame:
    return _as_text(_columns(content))


def _columns(content: bytes) -> pd.DataFrame:
    """Return the columns of a Parquet file, those of a named index first."""
    import pandas as pd

    table: pd.DataFrame = pd.read_parquet(io.BytesIO(content))
    unnamed = table.index.names == [None]
    return table.reset_index(drop=unnamed)


def _json_lines(content: bytes) -> pd.DataFrame:
    lines = decoded(content).splitlines()
    return _of_objects([json.loads(line) for line in lines if line.strip()])


def _json(content: bytes) -> pd.DataFrame:
    rows = json.loads(decoded(content))
    if not isinstance(rows, list):
        raise ValueError(f"it is not a list of rows, such as {ROW}")
    return _of_objects(rows)


def _of_objects(rows: list[Any]) -> pd.DataFrame:
    import pandas as pd

    if not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"a row is not an object with names and values, such as {ROW}")
    return _as_text(pd.DataFrame(rows))


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return each cell as text; an absent one is empty."""
    return _filled(_flat(table.set_axis(range(2, len(table) + 2), axis=0)))


def _filled(table: pd.DataFrame) -> pd.DataFrame:
    filled = table.astype(object).where(table.notna(), "")
    return filled.map(lambda cell: str(cell).strip())


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a column ``p_<label>`` for each label in lists of labels and scores.

    They are the output of a pipeline of Hugging Face: ``[{"label": "sad", "score": 0.9}, ...]``. A
    label that a list lacks has the score 0 there.
    """
    import pandas as pd

    for name in [name for name in table if table[name].dtype == object]:
        nested = (
            table[name]
            .map(lambda cell: hasattr(cell, "__iter__") and not isinstance(cell, str))
            .astype(bool)
        )
        if not nested.any():
            continue
        scores = pd.DataFrame(
            [_scores(cell, row, str(name)) for row, cell in table[name][nested].items()],
            index=table.index[nested],
        ).fillna(0.0)
        twice = [column for column in scores if column in table]
        if twice:
            raise ValueError(f"column {name!r} holds {twice[0]!r}, which is a column, too")
        table = table.drop(columns=name).join(scores)
    return table


def _scores(cell: Iterable[Any], row: Hashable, column: str) -> dict[str, Any]:
    """Return the scores in a cell by ``p_<label>``."""
    pairs = [
        (f"p_{one['label']}", one["score"])
        for one in cell
        if isinstance(one, dict) and {"label", "score"} <= one.keys()
    ]
    if not pairs or len(dict(pairs)) < len(list(cell)):
        raise ValueError(
            f"row {row}, column {column!r} has a list or an object; only lists of different "
            'labels with their scores are read, [{"label": "sad", "score": 0.9}, ...]: remove the '
            "column, or write plain values"
        )
    return dict(pairs)


READERS: dict[str, Callable[[bytes], pd.DataFrame]] = {
    ".parquet": _parquet,
    ".jsonl": _json_lines,
    ".json": _json,
}
"""Readers by suffix; any other file is CSV."""

TABLE_SUFFIXES = (".csv", ".tsv", *READERS, ".xlsx", ".xls", ".ods")
"""Suffixes by which a file among recordings is a table. Workbooks are refused with what to do."""
