"""Records with a digest, changed as their writer would change them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.engine.digests import with_digest, without_digest


def read_sealed(path: Path) -> dict[str, Any]:
    """The record in a file, without its digest."""
    return without_digest(json.loads(path.read_text(encoding="utf-8")))


def write_sealed(path: Path, record: dict[str, Any]) -> Path:
    """Write a record with its digest, and return its file."""
    path.write_text(json.dumps(with_digest(record)), encoding="utf-8")
    return path
