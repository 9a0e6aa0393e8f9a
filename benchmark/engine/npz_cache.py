"""Numbers that are kept between runs: whole or not at all, checked, and of a known format.

They cost time alone: whatever is missing or damaged is computed again.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.engine.files import replace_bytes
from benchmark.errors import BenchmarkError

FORMAT = 1  # files that say nothing of it are of this one


def keep(path: Path, **numbers: Any) -> None:
    """Write numbers to an .npz file, which holds a checksum of each."""
    content = io.BytesIO()
    # How many there are, since a damaged directory of a zip file may end too early.
    np.savez(content, format=(FORMAT, len(numbers)), **numbers)
    path.parent.mkdir(parents=True, exist_ok=True)
    # What a killed process leaves is not swept: to look for it among ten thousands takes long.
    replace_bytes(path, content.getvalue())


def kept(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the numbers of a file by name; None where there is none, or none that is whole.

    Raises
    ------
    BenchmarkError
        If the file is of a format that this version does not know.
    """
    try:
        with np.load(path) as file:
            numbers = {name: file[name] for name in file.files}
        told = numbers.pop("format", np.array((FORMAT, len(numbers))))
        version, count = told.tolist()
    except FileNotFoundError:
        return None
    except (MemoryError, PermissionError):
        raise
    except Exception:  # a damaged file leads numpy and zipfile into errors of every kind
        return None
    if version != FORMAT:
        raise BenchmarkError(
            f"{path}: kept in format {version}; this version reads format {FORMAT}. Use the "
            "version that wrote it, or delete its folder, which costs the time of those fits."
        )
    return numbers if len(numbers) == count else None
