"""Every model against the selected one, on the test clips of the leading protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.evaluation.leaderboard import Comparison, Leaderboard
from benchmark.evaluation.significance import ClipTest
from benchmark.report import wording
from benchmark.report.sections.section import Section


@dataclass(frozen=True)
class Facts:
    """The comparisons with the selected model, and the models by outcome."""

    comparisons: Sequence[Comparison]
    better_than: list[str]
    worse_than: list[str]
    not_different_from: list[str]

    @property
    def test(self) -> ClipTest:
        """Any of the tests: all swap the same speakers."""
        return self.comparisons[0].test


def _facts(board: Leaderboard) -> Facts | None:
    if not board.comparisons:
        return None
    different = [one for one in board.comparisons if one.significant]
    by_outcome = [
        [one for one in different if one.test.statistic > 0],
        [one for one in different if one.test.statistic < 0],
        [one for one in board.comparisons if not one.significant],
    ]
    names = [[wording.named(board.result, one.model) for one in group] for group in by_outcome]
    return Facts(board.comparisons, *names)


SECTION = Section("significance", _facts)
