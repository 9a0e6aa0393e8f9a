"""Scores of all models within each corpus, and the percentile interval as a check."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.report import wording
from benchmark.report.markdown import NOTHING, span
from benchmark.report.sections.section import Section


@dataclass(frozen=True)
class ProtocolTable:
    """The scores under one protocol: a row per model, a column per corpus, and a check.

    Attributes
    ----------
    side : TestSide
    rows : list of list of str
    speakers : list of (str, list of str)
        Each corpus without an interval, with the names of its speakers as their figures stand.
    """

    side: wording.TestSide
    rows: list[list[str]]
    speakers: list[tuple[str, list[str]]]


def _facts(board: Leaderboard) -> list[ProtocolTable] | None:
    if len(board.corpora) < 2:
        return None
    return [
        ProtocolTable(side, _rows(board, side.protocol), wording.listed_speakers(side.evaluation))
        for side in wording.test_sides(board)
    ]


def _rows(board: Leaderboard, protocol: str) -> list[list[str]]:
    rows = []
    for standing in board.standings:
        evaluation = standing.evaluations.get(protocol)
        if evaluation is None:
            continue
        parts = [evaluation.corpora.get(name) for name in board.corpora]
        bold = board.selected[protocol].model == standing.model
        cells = [wording.cell(part, METRIC, bold) for part in [*parts, evaluation]]
        check = evaluation.scores[METRIC].percentiles
        title = wording.model_title(board.result, standing.model)
        rows.append([title, *cells, span(*check) if check else NOTHING])
    return rows


SECTION = Section("corpora", _facts)
