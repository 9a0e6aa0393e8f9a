"""Sections of a study's page: each is one module with its facts and figures, and one template.

To add one, write a module here with a `Section` and name it in `SECTIONS`, and put its prose into
``templates/sections/NAME.md.j2``.
"""

from __future__ import annotations

from benchmark.engine.registry import Registry
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

SECTIONS: Registry[Section] = Registry(
    "section",
    "report_sections",
    Section,
    (
        headline.SECTION,
        leaderboard.SECTION,
        claims.SECTION,
        corpora.SECTION,
        selected_model.SECTION,
        outer_folds.SECTION,
        significance.SECTION,
        comparisons.SECTION,
        subgroups.SECTION,
        conditions.SECTION,
        calibration.SECTION,
        raters.SECTION,
        learning_curves.SECTION,
        search.SECTION,
        selection_optimism.SECTION,
        data.SECTION,
        reproduction.SECTION,
        reporting_sheet.SECTION,
    ),
)
"""Sections by name, in the order of the page."""
