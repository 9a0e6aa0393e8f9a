"""The page of a study: its sections in order, and their figures."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.report import wording
from benchmark.report.markdown import address
from benchmark.report.sections import SECTIONS
from benchmark.report.template import render, render_text


def present_sections(board: Leaderboard) -> dict[str, Any]:
    """Return the facts of each section that a study has, by name."""
    facts = {name: section.facts(board) for name, section in SECTIONS.items()}
    return {name: found for name, found in facts.items() if found is not None}


def study_figures(board: Leaderboard, facts: dict[str, Any]) -> dict[str, bytes]:
    """Return the figures of a study by file name, as PNG."""
    drawn: dict[str, bytes] = {}
    for name, found in facts.items():
        drawn |= SECTIONS[name].figures(board, found)
    return drawn


def study_page(
    board: Leaderboard, figures: Collection[str], facts: dict[str, Any] | None = None
) -> str:
    """Return the page of a study.

    Parameters
    ----------
    board : Leaderboard
    figures : collection of str
        File names of the figures in ``figures/<name>/``; the page shows only these.
    facts : dict or None
        Of `present_sections`; None to compute them.
    """
    present = present_sections(board) if facts is None else facts
    shared = wording.context(board) | {
        "picture": partial(_picture, board, figures),
        "packages": board.result.versions.packages
        | METRICS.versions(METRICS)
        | SECTIONS.versions(present),
    }
    parts = [section_text(name, shared | {"facts": found}) for name, found in present.items()]
    return "\n\n".join(part for part in parts if part) + "\n"


def section_text(name: str, context: dict[str, Any]) -> str:
    """Return the text of a section from the variables of its template."""
    text = SECTIONS[name].template
    if text is None:
        return render(f"sections/{name}", **context)
    return render_text(text, **context)


def _picture(board: Leaderboard, figures: Collection[str], name: str, words: str) -> str:
    """Return a figure with its alternative text; empty if there is no such figure."""
    place = address("figures", board.result.name, name)
    return f"![{words}]({place})" if name in figures else ""


def reading_page() -> str:
    """Return the page that explains the terms and tables of all pages."""
    return render("reading", **wording.constants()) + "\n"
