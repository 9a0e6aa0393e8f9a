"""Summaries: what the pages over all studies need of each, stored beside its result.

The intervals and tests of a leaderboard take seconds to compute. A run computes its own, and takes
those of other studies from ``reports/results/<study>/summary.json``. `python -m benchmark report`
computes all anew. A summary that does not belong to its result is not used.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from benchmark.engine.digests import with_digest, without_digest
from benchmark.engine.files import write_text
from benchmark.evaluation.leaderboard import Leaderboard, Summary

NAME = "summary.json"


def write_summary(board: Leaderboard, folder: Path) -> None:
    """Write the summary of a leaderboard into the folder of its result."""
    content = {
        "result": _digest(folder),
        "summary": TypeAdapter(Summary).dump_python(board.summary),
    }
    # Floats are written so that they read back exactly; JSON of Python's has NaN and Infinity.
    write_text(folder / NAME, json.dumps(with_digest(content), separators=(",", ":")) + "\n")


def read_summary(folder: Path) -> Summary | None:
    """Return the summary of the result in a folder; None if it is missing, older or unreadable."""
    try:
        content = without_digest(json.loads((folder / NAME).read_text(encoding="utf-8")))
        if content["result"] != _digest(folder):
            return None
        return TypeAdapter(Summary).validate_python(content["summary"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def _digest(folder: Path) -> str:
    """Return the digest of the result's record, which holds the digests of its tables."""
    return hashlib.sha256((folder / "study.json").read_bytes()).hexdigest()
