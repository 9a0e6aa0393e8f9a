"""Scores of all models within each corpus."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.report import wording
from benchmark.report.markdown import figure
from benchmark.report.sections.section import Section


@dataclass(frozen=True)
class ProtocolTable:
    """The scores under one protocol: a row per model, a column per corpus."""

    side: wording.TestSide
    rows: list[list[str]]


def _facts(board: Leaderboard) -> list[ProtocolTable] | None:
    if len(board.corpora) < 2:
        return None
    return [ProtocolTable(side, _rows(board, side.protocol)) for side in wording.test_sides(board)]


def _rows(board: Leaderboard, protocol: str) -> list[list[str]]:
    rows = []
    for standing in board.standings:
        evaluation = standing.evaluations.get(protocol)
        if evaluation is None:
            continue
        parts = [evaluation.corpora.get(name) for name in board.corpora]
        scores = [part.scores[METRIC] if part else None for part in parts]
        bold = board.selected[protocol].model == standing.model
        cells = [figure(one, bold) for one in [*scores, evaluation.mean_over_corpora[METRIC]]]
        rows.append([wording.model_title(board.result, standing.model), *cells])
    return rows


SECTION = Section(_facts)
