"""Figures that a published system reports, beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.evaluation.leaderboard import (
    SPEAKER_INDEPENDENT,
    Claim,
    Leaderboard,
)
from benchmark.evaluation.leaderboard import claims as claims_of
from benchmark.evaluation.metrics import METRICS
from benchmark.report import wording
from benchmark.report.markdown import capitalised
from benchmark.report.sections.section import Section
from benchmark.study import Claims


@dataclass(frozen=True)
class Row:
    """One reported figure: the measured one, the verdict, and why they differ."""

    claim: Claim
    verdict: str
    why: str


@dataclass(frozen=True)
class Facts:
    """The reported figures of a source, the highest first.

    Attributes
    ----------
    reported : Claims
    metric : str
        Title of the source's metric.
    rows : list of Row
    sides : list of TestSide
        The source's protocol and the speaker-independent one, if they were measured.
    """

    reported: Claims
    metric: str
    rows: list[Row]
    sides: list[wording.TestSide]

    @property
    def measured(self) -> list[Claim]:
        """The claims that were measured."""
        return [row.claim for row in self.rows if row.claim.measured]

    @property
    def reached(self) -> int:
        """Number of measured figures at or above the reported ones."""
        return sum(row.claim.reached for row in self.rows)

    @property
    def has_independent(self) -> bool:
        """Whether any model was also measured speaker-independently."""
        return any(row.claim.independent for row in self.rows)


def _facts(board: Leaderboard) -> Facts | None:
    reported = board.result.study.claims
    if reported is None:
        return None
    return Facts(
        reported,
        capitalised(METRICS[reported.metric].title),
        [
            Row(claim, wording.verdict(claim), reported.why.get(claim.model, ""))
            for claim in claims_of(board)
        ],
        [
            side
            for side in wording.test_sides(board)
            if side.protocol in (reported.protocol, SPEAKER_INDEPENDENT)
        ],
    )


SECTION = Section(_facts)
