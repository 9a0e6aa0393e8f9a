"""The page of an audit: ``reports/audit/NAME.md``, with its figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.audit import CHECKS, Audit
from benchmark.audit.evidence import Finding
from benchmark.audit.speakers import FEWEST_CLIPS
from benchmark.data.tables import OWN
from benchmark.engine.files import write_text
from benchmark.evaluation.predictions import ONE_CORPUS
from benchmark.report.figures import (
    BLUE,
    GREY,
    VERMILLION,
    WIDTH_IN,
    Drawn,
    draw,
    house_style,
    png_bytes,
)
from benchmark.report.markdown import address
from benchmark.report.pages.audits import PAGE as PUBLISHED
from benchmark.report.template import render

FOLDER = "audit"
"""Folder of the pages, below that of the reports."""

SHOWN = 20
"""Rows of a finding that its page shows; ``--json`` has all."""

FIGURE = "effects.png"


@dataclass(frozen=True)
class AuditPage:
    """What the page of an audit shows.

    Attributes
    ----------
    audit : Audit
    command : str
        The command that makes the page again.
    """

    audit: Audit
    command: str

    @property
    def name(self) -> str:
        """Of what was audited, and of the page's file."""
        return self.audit.evidence.name

    @property
    def corpora(self) -> list[str]:
        """The names of the corpora, if a user knows any."""
        return sorted(set(self.audit.evidence.clips["corpus"]) - {OWN, ONE_CORPUS})

    @property
    def measured(self) -> list[Finding]:
        """The findings with a measured effect."""
        return [finding for finding in self.audit.findings if finding.effect is not None]

    def of(self, severity: str) -> list[Finding]:
        """Return the findings of a severity."""
        return [finding for finding in self.audit.findings if finding.severity == severity]


def audit_page(page: AuditPage, drawn: Drawn, *, published: bool) -> str:
    """Return the text of a page; `published` tells whether that of `published-audits` is there."""
    evidence = page.audit.evidence
    return (
        render(
            "audit",
            page=page,
            audit=page.audit,
            evidence=evidence,
            clips=evidence.clips,
            titles={check.name: check.title for check in CHECKS.values()},
            place=address(page.name),
            drawn=drawn,
            fewest_clips=FEWEST_CLIPS,
            figure=FIGURE,
            shown=SHOWN,
            published=published,
        )
        + "\n"
    )


def effects_figure(findings: Sequence[Finding]) -> bytes:
    """Return a figure of what each finding adds to a score, as PNG: UAR with it, and without."""
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(WIDTH_IN, 1.3 + 0.5 * len(findings)), layout="constrained")
        axes = figure.subplots()
        for height, finding in enumerate(reversed(findings)):
            assert finding.effect is not None, "the caller has looked"
            ends = (finding.effect.without, finding.effect.as_it_is)
            axes.plot(ends, (height, height), color=GREY, lw=2, zorder=1)
            axes.scatter(ends[0], height, color=VERMILLION, marker="D", zorder=2,
                         label="without the finding" if height == 0 else None)  # fmt: skip
            axes.scatter(ends[1], height, color=BLUE, marker="o", zorder=2,
                         label="with the finding" if height == 0 else None)  # fmt: skip
        names = [
            f"{CHECKS[finding.check].title}{', ' if finding.where else ''}{finding.where}"
            for finding in reversed(findings)
        ]
        axes.set_yticks(range(len(findings)), names)
        axes.set_ylim(-0.6, len(findings) - 0.4)
        axes.set_xlim(0, 1)
        axes.set_xlabel("UAR")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
        return png_bytes(figure)


def write_audit(page: AuditPage, reports: Path) -> Path:
    """Write the page and its figure below the folder of the reports; return its path."""
    folder = reports / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw({FIGURE: partial(effects_figure, page.measured)} if page.measured else {})
    drawn.write(folder / page.name)
    path = folder / f"{page.name}.md"
    write_text(path, audit_page(page, drawn, published=(reports / PUBLISHED).exists()))
    return path


def audit_record(page: AuditPage, path: Path) -> dict[str, Any]:
    """Return all findings, and the path of the page, as plain data, for JSON."""
    return {
        "name": page.name,
        "page": str(path),
        "clips": len(page.audit.evidence.clips),
        "speakers": int(page.audit.evidence.clips["speaker"].nunique()),
        "findings": [asdict(finding) for finding in page.audit.findings],
        "passed": [check.name for check in page.audit.passed],
        "not_checked": {check.name: lack for check, lack in page.audit.skipped},
    }
