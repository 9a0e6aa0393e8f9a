"""The worker processes of a run, as Linux tells of them."""

from __future__ import annotations

from pathlib import Path


def workers_of(pid: int) -> list[int]:
    """Return a process's workers, which are children of the process that imports for them."""
    return [worker for importer in importers_of(pid) for worker in _children(importer)]


def importers_of(pid: int) -> list[int]:
    """Return the processes that import for a process's workers: one, if any."""
    return [child for child in _children(pid) if "multiprocessing.forkserver" in _line(child)]


def _children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").glob("*/children")  # each names those it started
    return [int(child) for thread in threads for child in _content(thread).split()]


def _line(pid: int) -> str:
    return _content(Path(f"/proc/{pid}/cmdline"))


def _content(file: Path) -> str:
    """Return what a file of /proc says; nothing of a process that has gone."""
    try:
        return file.read_text()
    except OSError:
        return ""
