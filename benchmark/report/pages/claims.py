"""Reproductions of published systems: every reported figure beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.evaluation.leaderboard import (
    SPEAKER_INDEPENDENT,
    Claim,
    Leaderboard,
    claims,
)
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.report import wording
from benchmark.report.markdown import capitalised, claimed, figure, link, plain
from benchmark.report.template import render
from benchmark.study import Claims

NAME = "claims.md"
"""File name of the page."""


@dataclass(frozen=True)
class Row:
    """One reported figure of one study.

    Attributes
    ----------
    board : Leaderboard
        Of the study that reproduces the system.
    claim : Claim
    """

    board: Leaderboard
    claim: Claim

    @property
    def result(self) -> Result:
        """The study's result."""
        return self.board.result

    @property
    def source(self) -> Claims:
        """The study's table of claims."""
        source = self.result.study.claims
        assert source is not None
        return source

    @property
    def model(self) -> str:
        """Title of the model."""
        return wording.model_title(self.result, self.claim.model)

    @property
    def why(self) -> str:
        """Why our figure is below the reported one; empty for other verdicts."""
        if self.claim.verdict != "below":
            return ""
        why = self.source.why.get(self.claim.model, "")
        return plain(why).rstrip(".") or "the reason is not known"


@dataclass(frozen=True)
class Means:
    """Means over the comparable figures that are measured also speaker-independently.

    A study's figures share their test clips, so its mean counts once.

    Attributes
    ----------
    n, studies : int
        Numbers of figures, and of the studies that they are of.
    reported, reproduced, independent : float
    emotions : tuple of int
        The fewest and the most emotions of their studies.
    """

    n: int
    studies: int
    reported: float
    reproduced: float
    independent: float
    emotions: tuple[int, int]


def claimed_rows(boards: Sequence[Leaderboard]) -> list[Row]:
    """Return all claims by system, the highest first; changed runs are excluded."""
    rows = [
        Row(board, claim)
        for board in boards
        if not wording.is_changed(board.result)
        for claim in claims(board)
    ]
    return sorted(
        rows,
        key=lambda row: (
            row.source.source, -row.claim.claimed, row.result.name, row.claim.model
        ),
    )  # fmt: skip


def claims_page(boards: Sequence[Leaderboard]) -> str:
    """Return the page of all claims; empty if no study has any."""
    rows = claimed_rows(boards)
    return render("pages/claims", **_facts(rows)) + "\n" if rows else ""


def _facts(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the variables of the templates."""
    comparable = [row for row in rows if row.claim.verdict != "not comparable"]
    return {
        "n_claims": len(rows),
        "n_comparable": len(comparable),
        "n_consistent": sum(row.claim.verdict == "consistent" for row in rows),
        "means": _means(comparable),
        "sources": list(dict.fromkeys(wording.cited(row.source) for row in rows)),
        **wording.constants(),
        "metrics": sorted({METRICS[row.source.metric].title for row in rows}),
        "rows": [[*_cells(rows, row), _verdict(row.claim)] for row in rows],
        "remarks": [(row, remark) for row in rows if (remark := _remark(row))],
        "protocols": {
            name: wording.protocol_words(name).meaning
            for name in dict.fromkeys(row.source.protocol for row in rows)
        },
        "independent": wording.protocol_words(SPEAKER_INDEPENDENT),
    }


def _means(comparable: Sequence[Row]) -> Means | None:
    by_study: dict[str, list[tuple[float, float, float]]] = {}
    emotions = []
    for row in comparable:
        if row.claim.measured and row.claim.independent:
            figures = (row.claim.measured.value, row.claim.independent.value)
            by_study.setdefault(row.result.name, []).append((row.claim.claimed, *figures))
            emotions.append(len(row.result.emotions))
    if not by_study:
        return None
    of_studies = [np.mean(triples, axis=0) for triples in by_study.values()]
    reported, reproduced, independent = np.mean(of_studies, axis=0).tolist()
    return Means(
        n=len(emotions),
        studies=len(by_study),
        reported=reported,
        reproduced=reproduced,
        independent=independent,
        emotions=(min(emotions), max(emotions)),
    )


def _cells(rows: Sequence[Row], row: Row) -> list[str]:
    claim = row.claim
    # A speaker-independent claim is itself the speaker-independent figure.
    own = row.source.protocol == SPEAKER_INDEPENDENT
    return [
        _system(rows, row),
        row.model,
        f"{METRICS[row.source.metric].title} {claimed(claim.claimed)}",
        figure(claim.measured),
        figure(claim.measured if own else claim.independent),
        figure(claim.gap),
    ]


def _system(rows: Sequence[Row], row: Row) -> str:
    """Return the source, linked to the study's page; with the study's name if it has several."""
    source = row.source.source
    studies = {one.result.name for one in rows if one.source.source == source}
    shown = f"{source}: {row.result.name}" if len(studies) > 1 else source
    return link(plain(shown), f"{row.result.name}.md")


def _verdict(claim: Claim) -> str:
    """Return the verdict, with the difference if the figures are comparable."""
    return claim.verdict if claim.verdict == "not comparable" else wording.verdict(claim)


def _remark(row: Row) -> str:
    """Return why a figure is not comparable, the missing data, and the reason of a difference."""
    parts = (plain(row.claim.not_comparable), wording.partial_data(row.result), row.why)
    return ". ".join(capitalised(part) for part in parts if part)
