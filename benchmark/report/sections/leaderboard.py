"""All models under all protocols, by every metric."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.report import wording
from benchmark.report.markdown import capitalised, figure
from benchmark.report.sections.section import Section

Rows = list[list[str]]


@dataclass(frozen=True)
class Facts:
    """Two tables with a row per model: the leaderboard, and the other metrics.

    Attributes
    ----------
    rows, other_rows : list of list of str
    other_header : list of str
    """

    rows: Rows
    other_header: list[str]
    other_rows: Rows


def _facts(board: Leaderboard) -> Facts:
    titles = {one.model: wording.row_title(board, one.model) for one in board.standings}
    others = [metric for metric in METRICS if metric != METRIC]
    columns = [wording.protocol_words(protocol).column for protocol in board.protocols]
    rows = []
    for standing in board.standings:
        row = [titles[standing.model], wording.rank(board, standing.model)]
        row += wording.scores_of(board, standing.model)
        if board.has_gap:
            row.append(figure(standing.gaps.get(METRIC)))
        rows.append(row)
    return Facts(
        rows,
        [f"{capitalised(METRICS[metric].title)}, {c}" for metric in others for c in columns],
        [
            [
                titles[one.model],
                *(c for metric in others for c in wording.scores_of(board, one.model, metric)),
            ]
            for one in board.standings
        ],
    )


SECTION = Section("leaderboard", _facts)
