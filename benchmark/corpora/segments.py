"""Segments of recordings in tables: columns `start` and `end`, in seconds or times of audformat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

from benchmark.corpora.clip import Segment
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import pandas as pd

TIMES = ("start", "end")


def segment_of(table: object, row: object, cells: Mapping[str, str]) -> Segment | None:
    """Return the segment of a row with a number and cells; None for all of the recording.

    `table` is its file, for messages.

    Raises
    ------
    BenchmarkError
        If a cell is not a time, or the end is not after the start.
    """
    start_s, end_s = (_seconds(table, row, column, cells.get(column, "")) for column in TIMES)
    if not start_s and end_s is None:
        return None
    segment = Segment(start_s or 0.0, end_s)
    if end_s is not None and end_s <= segment.start_s:
        problem = f"{end_s:g} s is not after the start, {segment.start_s:g} s."
        raise BenchmarkError(f"{table}: row {row}, column 'end': {problem}")
    return segment


def _seconds(table: object, row: object, column: str, text: str) -> float | None:
    """Return the time in a cell, in seconds; None if it is empty."""
    import pandas as pd

    if text in {"", "NaT"}:
        return None
    try:
        seconds = float(text.replace(",", "."))
    except ValueError:
        try:
            seconds = pd.Timedelta(text).total_seconds()
        except ValueError:
            seconds = math.nan
    if math.isfinite(seconds) and seconds >= 0:
        return seconds
    raise BenchmarkError(
        f"{table}: row {row}, column {column!r}: {text!r} is not a time within a recording. "
        "Allowed: seconds (1.5), a time with a unit (1.5s, 1500ms, 0 days 00:00:01.500000), or "
        "nothing."
    )


def segments_of(table: object, content: pd.DataFrame) -> list[Segment | None]:
    """Return the segment of each row of a table; None for all of a recording.

    Parameters
    ----------
    table : object
        Its file, for messages.
    content : DataFrame
        Cells of text; the index is the number of each row. Columns `TIMES`, or one, or none.

    Raises
    ------
    BenchmarkError
        As `segment_of`.
    """
    times = [name for name in TIMES if name in content]
    return [
        segment_of(table, number, dict(zip(times, cells, strict=True)))
        for number, *cells in content[times].itertuples()
    ]


def named_segments(table: object, content: pd.DataFrame, clip: str) -> pd.DataFrame:
    """Return a table without times, in which several segments of one file have names of their own.

    These are the names that clips of a corpus `csv` have: ``a_1.5-3.25``. A table with a row for
    each file keeps its names.

    Parameters
    ----------
    table : object
        Its file, for messages.
    content : DataFrame
        Cells of text, the index being the number of each row.
    clip : str
        Name of the column that names files.
    """
    times = [name for name in content if name.lower() in TIMES]
    if not times:
        return content
    others = content.drop(columns=times)
    if clip not in content or not content[clip].duplicated().any():
        return others
    segments = segments_of(table, content[times].rename(columns=str.lower))
    names = [
        name if segment is None else f"{PurePath(name).with_suffix('')}_{segment.name}"
        for name, segment in zip(content[clip], segments, strict=True)
    ]
    return others.assign(**{clip: names})
