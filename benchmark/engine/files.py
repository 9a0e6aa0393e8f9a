"""Paths as users write them, and atomic writes: a reader sees the old file or the new one."""

from __future__ import annotations

import os
from glob import escape
from pathlib import Path

from benchmark.errors import BenchmarkError, shortened


def user_path(text: str | Path) -> Path:
    """Return a path that a user wrote, with the home folder for ``~``.

    Raises
    ------
    BenchmarkError
        If it can't be a path: the user of ``~user`` is unknown, or the system refuses the name.
    """
    try:
        path = Path(text).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BenchmarkError(f"{shortened(str(text))}: not a valid path ({reason}).") from error
    return path


def is_file(path: Path) -> bool:
    """Return whether a file is there; False for a name that the system refuses."""
    try:
        return path.is_file()
    except OSError:
        return False


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically, and delete partial files left by killed processes."""
    replace_bytes(path, content)
    for left in path.parent.glob(f".{escape(path.name)}.*.partial"):
        left.unlink(missing_ok=True)


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        while not _moved(partial, path):
            partial.write_bytes(content)
    except OSError as error:
        error.filename = str(path)  # not the partial file, whose name says nothing to a user
        raise
    finally:
        partial.unlink(missing_ok=True)


def _moved(partial: Path, path: Path) -> bool:
    """Rename a partial file; False if another process has deleted it in the meantime."""
    try:
        partial.replace(path)
    except FileNotFoundError:
        return False
    return True
