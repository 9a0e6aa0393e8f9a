"""Atomic writes: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import os
from glob import escape
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file as `replace_bytes` does, and sweep away what killed processes left beside it."""
    replace_bytes(path, content)
    for left in path.parent.glob(f".{escape(path.name)}.*.partial"):
        left.unlink(missing_ok=True)


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        while not _moved(partial, path):
            partial.write_bytes(content)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not tell where it is
        raise
    finally:
        partial.unlink(missing_ok=True)


def _moved(partial: Path, path: Path) -> bool:
    """Put a file in its place, unless another process has swept it away in the meantime."""
    try:
        partial.replace(path)
    except FileNotFoundError:
        return False
    return True
