"""Cache of arrays in .npz files: a file is read whole and verified, or not at all.

A missing or damaged file is no error: its numbers are computed again, which costs only time.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.engine.files import replace_bytes
from benchmark.errors import BenchmarkError

FORMAT = 1  # also of files without the entry `format`


def save(path: Path, **arrays: Any) -> None:
    """Write named arrays to an .npz file, which holds a checksum of each."""
    content = io.BytesIO()
    # With their number: a zip file whose directory is damaged may lack the last entries.
    np.savez(content, format=(FORMAT, len(arrays)), **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Files left by killed processes stay: a folder holds ten thousands of files to search.
    replace_bytes(path, content.getvalue())


def load(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the arrays of a file by name; None if the file is missing or damaged.

    Raises
    ------
    BenchmarkError
        If the file has a format that this version does not know.
    """
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        version, count = arrays.pop("format", np.array((FORMAT, len(arrays)))).tolist()
    except FileNotFoundError:
        return None
    except (MemoryError, PermissionError):
        raise
    except Exception:  # numpy and zipfile raise errors of every kind for a damaged file
        return None
    if version != FORMAT:
        raise BenchmarkError(
            f"{path}: cached in format {version}; this version reads format {FORMAT}. Use the "
            "version that wrote it, or delete its folder, which costs the time of those fits."
        )
    return arrays if len(arrays) == count else None
