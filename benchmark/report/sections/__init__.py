"""Sections of a study's page: each is one module with its facts and figures, and one template.

To add one, write a module here with a `Section` and name it in `SECTIONS`, and put its prose into
``templates/sections/NAME.md.j2``.
"""

from __future__ import annotations

from benchmark.report.sections import (
    calibration,
    claims,
    comparisons,
    conditions,
    corpora,
    data,
    headline,
    leaderboard,
    learning_curves,
    outer_folds,
    raters,
    reporting_sheet,
    reproduction,
    search,
    selected_model,
    selection_optimism,
    significance,
    subgroups,
)
from benchmark.report.sections.section import Section

__all__ = ["SECTIONS", "Section"]

SECTIONS: dict[str, Section] = {
    "headline": headline.SECTION,
    "leaderboard": leaderboard.SECTION,
    "claims": claims.SECTION,
    "corpora": corpora.SECTION,
    "selected_model": selected_model.SECTION,
    "outer_folds": outer_folds.SECTION,
    "significance": significance.SECTION,
    "comparisons": comparisons.SECTION,
    "subgroups": subgroups.SECTION,
    "conditions": conditions.SECTION,
    "calibration": calibration.SECTION,
    "raters": raters.SECTION,
    "learning_curves": learning_curves.SECTION,
    "search": search.SECTION,
    "selection_optimism": selection_optimism.SECTION,
    "data": data.SECTION,
    "reproduction": reproduction.SECTION,
    "reporting_sheet": reporting_sheet.SECTION,
}
"""Sections by name, in the order of the page."""
