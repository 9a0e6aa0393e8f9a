"""Generated tables between the markers of a README."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmark.engine.files import write_text
from benchmark.errors import BenchmarkError
from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.report.pages.claims import claims_block
from benchmark.report.pages.glance import glance_block
from benchmark.report.pages.leaderboard import headline_table

FOLDER = "reports"
"""Path from the README to the pages."""

MARKED = re.compile(
    r"(?P<start><!-- (?P<kind>leaderboard|claims|glance)(?::(?P<name>\S+))? -->)"
    r"(?:(?:(?!<!-- (?:leaderboard|claims|glance)\b).)*?(?P<end><!-- /(?P=kind) -->))?",
    flags=re.DOTALL,
)


def update_readme(readme: Path, boards: Sequence[Leaderboard]) -> None:
    """Write the tables of the studies between the markers of a README.

    ``<!-- leaderboard:NAME -->`` starts the headline table of a study, ``<!-- claims -->`` all
    claims, and ``<!-- glance:NAME -->`` the table of all studies of the same clips as NAME. Each
    ends at ``<!-- /leaderboard -->``, ``<!-- /claims -->`` or ``<!-- /glance -->``. Text between
    markers without a result is left unchanged.

    Raises
    ------
    BenchmarkError
        If a marker has no end.
    """
    text = readme.read_text(encoding="utf-8")

    def replaced(match: re.Match[str]) -> str:
        if not match["end"]:
            raise BenchmarkError(
                f"{readme}: {match['start']} has no end; add <!-- /{match['kind']} --> after it."
            )
        block = _block(match["kind"], match["name"], boards)
        return f"{match['start']}\n\n{block}\n\n{match['end']}" if block else match[0]

    updated = MARKED.sub(replaced, text)
    if updated != text:
        write_text(readme, updated)


def _block(kind: str, name: str, boards: Sequence[Leaderboard]) -> str:
    """Return the text between a pair of markers; empty without a result."""
    if kind == "claims":
        return claims_block(boards, FOLDER)
    if kind == "glance":
        return glance_block(boards, name, FOLDER)
    own = [board for board in boards if board.result.name == name]
    return headline_table(own[0], FOLDER) if own else ""
