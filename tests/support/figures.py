"""The figures that a page shows."""

from __future__ import annotations

from pathlib import Path

from benchmark.report.figures import Drawn


def stored_figures(folder: Path) -> Drawn:
    """Return the figures that are stored in a folder."""
    return Drawn({path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))})
