"""Records: a JSON file with the digests of the tables beside it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from benchmark.engine.digests import with_digest, without_digest
from benchmark.engine.files import write_bytes, write_text
from benchmark.engine.table_file import table_csv, unguarded
from benchmark.errors import BenchmarkError
from benchmark.evaluation.parquet import to_parquet

T = TypeVar("T")


def write_record(path: Path, record: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> None:
    """Write the tables of a record, then the record with their digests.

    Parameters
    ----------
    path : Path
        The JSON file. Its folder is made.
    record : mapping
        What JSON can hold, with its ``format``.
    tables : mapping of str to DataFrame
        By file name: Parquet if it ends in ``.parquet``, else CSV.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {name: _bytes_of(table, name) for name, table in tables.items()}
    for name, content in contents.items():
        write_bytes(path.parent / name, content)
    sealed = with_digest({**record, "sha256": _digests(contents)})
    write_text(path, json.dumps(sealed, indent=1, ensure_ascii=False) + "\n")


def read_record(
    path: Path,
    formats: Collection[int],
    build: Callable[[dict[str, Any], dict[str, bytes]], T],
    advice: str,
) -> T:
    """Return what `build` makes of a record and the contents of its tables, by file name.

    Parameters
    ----------
    path : Path
        As `write_record` takes it.
    formats : collection of int
        The formats that are read.
    build : callable
    advice : str
        What to do if the record is refused, as a sentence.

    Raises
    ------
    BenchmarkError
        If a file is missing or changed, or if the record is corrupt or in another format.
    """
    try:
        record = without_digest(json.loads(path.read_text(encoding="utf-8")))
        if record.get("format") not in formats:
            raise BenchmarkError(
                f"{path}: format {record.get('format')}; this version reads "
                f"{', '.join(map(str, formats))}. {advice}"
            )
        contents = {name: (path.parent / name).read_bytes() for name in record["sha256"]}
        if _digests(contents) != record["sha256"]:
            raise BenchmarkError(
                f"{path}: the tables do not match their digests: a run was interrupted while "
                f"writing, or they were changed. {advice}"
            )
        return build(record, contents)
    except BenchmarkError:
        raise
    except Exception as error:  # a damaged table raises errors of many kinds
        reason = repr(error).splitlines()[0]
        raise BenchmarkError(f"{path}: the record can't be read ({reason}). {advice}") from error


def text_table(content: bytes) -> pd.DataFrame:
    """Return a CSV table whose cells all stay text, whatever they look like: 007, NA, true."""
    table = pd.read_csv(io.BytesIO(content), dtype="str", keep_default_na=False)
    return table.rename(columns=unguarded).map(unguarded)


def _bytes_of(table: pd.DataFrame, name: str) -> bytes:
    if name.endswith(".parquet"):
        return to_parquet(table)
    return table_csv(table).encode()


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
