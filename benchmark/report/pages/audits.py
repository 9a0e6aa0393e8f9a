"""The page of the audits of published protocols: ``reports/audits.md``."""

from __future__ import annotations

from pathlib import Path

from benchmark.audit.effect import SHRINKAGE
from benchmark.audit.published import (
    BOARD_FOLDS,
    CLIPS_PER_EMOTION,
    COPIED,
    DRAWS,
    FIRST_SEED,
    ITERATIONS,
    TEST_SIZE,
    PublishedAudits,
    read_audits,
)
from benchmark.audit.speakers import SAME_VOICE
from benchmark.data.near_duplicates import OTHER_SPEAKER, SAME_SPEAKER
from benchmark.engine.files import write_text
from benchmark.report.template import render

PAGE = "audits.md"


def audits_page(audits: PublishedAudits) -> str:
    """Return the text of the page."""
    return (
        render(
            "audits",
            audits=audits,
            draws=DRAWS,
            seed=FIRST_SEED,
            folds=BOARD_FOLDS,
            few=CLIPS_PER_EMOTION,
            iterations=ITERATIONS,
            test_size=TEST_SIZE,
            copied=COPIED,
            shrinkage=SHRINKAGE,
            other=OTHER_SPEAKER,
            same=SAME_SPEAKER,
            same_voice=SAME_VOICE,
        )
        + "\n"
    )


def write_page(reports: Path) -> Path | None:
    """Write the page from the stored audits; return its path, None without any."""
    audits = read_audits(reports)
    if audits is None:
        return None
    write_text(reports / PAGE, audits_page(audits))
    return reports / PAGE
