"""Figures that a published system reports, beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.evaluation.leaderboard import SPEAKER_INDEPENDENT, Claim, Leaderboard, claims
from benchmark.report import wording
from benchmark.report.sections.section import Section
from benchmark.study import Claims


@dataclass(frozen=True)
class Facts:
    """The reported figures of a source, the highest first.

    Attributes
    ----------
    reported : Claims
    claims : list of Claim
    explained : list of Claim
        Those below the reported figure for which the study names a likely reason.
    sides : list of TestSide
        The source's protocol and the speaker-independent one, if they were measured.
    """

    reported: Claims
    claims: list[Claim]
    explained: list[Claim]
    sides: list[wording.TestSide]


def _facts(board: Leaderboard) -> Facts | None:
    reported = board.result.study.claims
    if reported is None:
        return None
    shown = (reported.protocol, SPEAKER_INDEPENDENT)
    sides = [side for side in wording.test_sides(board) if side.protocol in shown]
    found = claims(board)
    below = [one for one in found if one.verdict == "below" and reported.why.get(one.model)]
    return Facts(reported, found, below, sides)


SECTION = Section("claims", _facts)
