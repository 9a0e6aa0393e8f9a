"""The page of a study: its sections in order, and their figures."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.report import wording
from benchmark.report.figures import Drawn, draw, not_drawn, reason_of
from benchmark.report.markdown import address
from benchmark.report.sections import SECTIONS
from benchmark.report.template import render, render_text


def present_sections(board: Leaderboard) -> dict[str, Any]:
    """Return the facts of each section that a study has, by name."""
    facts = {name: section.facts(board) for name, section in SECTIONS.items()}
    return {name: found for name, found in facts.items() if found is not None}


def study_figures(board: Leaderboard, facts: dict[str, Any]) -> Drawn:
    """Return the figures of a study; a section whose figures all failed is in `failed` by name."""
    drawn = Drawn()
    for name, found in facts.items():
        try:
            own = draw(SECTIONS[name].figures(board, found))
        except Exception as error:
            own = Drawn(failed={name: reason_of(error)})
        drawn.figures.update(own.figures)
        drawn.failed.update(own.failed)
    return drawn


def study_page(
    board: Leaderboard,
    drawn: Drawn | None = None,
    facts: dict[str, Any] | None = None,
) -> str:
    """Return the page of a study.

    Parameters
    ----------
    board : Leaderboard
    drawn : Drawn or None
        Of `study_figures`, in ``figures/<name>/``; None for a page without figures.
    facts : dict or None
        Of `present_sections`; None to compute them.
    """
    present = present_sections(board) if facts is None else facts
    shared = wording.context(board) | {
        "packages": board.result.versions.packages
        | METRICS.versions(METRICS)
        | SECTIONS.versions(present),
    }
    parts = []
    for name, found in present.items():
        picture = partial(_picture, drawn or Drawn(), board, name)
        parts.append(section_text(name, shared | {"facts": found, "picture": picture}))
    return "\n\n".join(part for part in parts if part) + "\n"


def section_text(name: str, context: dict[str, Any]) -> str:
    """Return the text of a section from the variables of its template."""
    text = SECTIONS[name].template
    if text is None:
        return render(f"sections/{name}", **context)
    return render_text(text, **context)


def _picture(drawn: Drawn, board: Leaderboard, section: str, name: str, words: str) -> str:
    """Return a figure of a section, or why it or all of them failed; empty if there is none."""
    if section in drawn.failed:
        return not_drawn(name, drawn.failed[section])
    return drawn.picture(name, words, address("figures", board.result.name))


def reading_page() -> str:
    """Return the page that explains the terms and tables of all pages."""
    return render("reading", **wording.constants()) + "\n"
