"""The end of a run: the table and paths that the terminal shows, and the same as plain data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from benchmark.console import Console
from benchmark.data.protocols import PROTOCOLS
from benchmark.engine.databases import without_user
from benchmark.evaluation.leaderboard import METRIC, Leaderboard, Standing, leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.evaluation.summaries import read_summary
from benchmark.hints import program
from benchmark.project import Project
from benchmark.report.markdown import counted, figure, percent, signed, title
from benchmark.report.records import evaluation_record, figure_record
from benchmark.report.wording import TestSide, given_sides, rank, row_title, test_sides

NARROW = "a model name"
"""As wide as a model's name is shown at least; the rest of it is wrapped."""


def print_summary(result: Result, project: Project, console: Console) -> None:
    """Print the leaderboard of a result and the paths of its pages, tables and runs."""
    board = leaderboard(result, summary=read_summary(project.results / result.name))
    metric, searched = METRICS[METRIC], METRICS[result.study.search.metric]
    generated = " (generated speech)" if result.generated else ""
    mean = ", mean over corpora" if len(board.corpora) > 1 else ""
    _print_leaderboard(f"{result.name}{generated}: test {metric.title}{mean}", board, console)
    protocols = [PROTOCOLS[name] for name in board.protocols]
    console.print("; ".join(f"{p.abbreviation}: {p.title}" for p in protocols))
    for line in dict.fromkeys(map(_intervals, test_sides(board))):
        console.print(line)
    by = f" ({searched.title})" if searched != metric else ""
    console.print(f"selected: the best CV score{by}; test scores take no part in the selection\n")
    for warning in _warnings(board):
        console.warning(warning)
    for label, place in (*_places(result, project).items(), ("runs", _runs(project))):
        console.print(f"{label + ':':<13}{place}")


def result_record(result: Result, project: Project) -> dict[str, Any]:
    """Return the leaderboard of a result and the paths of its pages as plain data, for JSON."""
    board = leaderboard(result, summary=read_summary(project.results / result.name))
    gap = board.selected_gap
    return {
        "name": result.name,
        "page": str(_page(result, project)),
        "generated_speech": result.generated,
        "changes": [one.text for one in result.changes],
        "warnings": list(_warnings(board)),
        "metric": result.study.search.metric,
        "emotions": list(result.emotions),
        "protocols": {
            protocol: {
                "selected": selection.model,
                "cv_score": selection.score,
                "models": {
                    one.model: evaluation_record(one.evaluations[protocol])
                    for one in _ordered(board)
                    if protocol in one.evaluations
                },
            }
            for protocol, selection in board.selected.items()
        },
        "ranks": {model: [rank.first, rank.last] for model, rank in board.ranks.items()},
        "sd_si_gap": None
        if gap is None
        else {name: figure_record(score) for name, score in gap.scores.items()},
        "files": _places(result, project),
        "runs": _runs(project),
    }


def _warnings(board: Leaderboard) -> Iterator[str]:
    """Yield what the page warns of, each in a line."""
    if board.result.changes:
        yield f"changed run: {', '.join(one.text for one in board.result.changes)}"
    for text in board.texts:
        if text.tells_emotion:
            yield (
                f"{title(text.corpus)}: the sentence tells the emotion of {percent(text.tied)} of "
                "the training clips; its figures partly measure the text"
            )
    for side in given_sides(board):
        if side.overlap.shared_speakers:
            yield (
                f"given partition: {side.overlap.shared_speakers:,} of "
                f"{counted(side.overlap.speakers, 'test speaker')} also occur in training"
            )


def _print_leaderboard(title: str, board: Leaderboard, console: Console) -> None:
    """Print a table of all protocols; in a terminal that is too narrow, a table for each."""
    standings = _ordered(board)
    names = [(row_title(board, one.model), rank(board, one.model)) for one in standings]
    columns = {
        PROTOCOLS[protocol].abbreviation: [
            figure(one.evaluations[protocol].scores[METRIC]) if protocol in one.evaluations else ""
            for one in standings
        ]
        for protocol in board.protocols
    }
    if board.has_gap:
        gaps = [one.gaps.get(METRIC) for one in standings]
        columns["SD–SI gap"] = [signed(gap.value) if gap else "" for gap in gaps]
    heads = ["model", "rank", *columns]
    by_model = zip(names, *columns.values(), strict=True)
    rows = _fitting(heads, [(*name, *cells) for name, *cells in by_model], console)
    if console.fits(heads, [(NARROW, *row[1:]) for row in rows]):
        console.table(title, heads, rows)
        return
    for column, cells in columns.items():
        heads = ["model", "rank", column]
        lines = [(*name, cell) for name, cell in zip(names, cells, strict=True)]
        console.table(f"{title}, {column}", heads, _fitting(heads, lines, console))


def _fitting(
    heads: Sequence[str], rows: Sequence[tuple[str, ...]], console: Console
) -> Sequence[tuple[str, ...]]:
    """Return the rows of a leaderboard, with intervals below the scores if there is no room."""
    if console.fits(heads, rows):
        return rows
    return [tuple(cell.replace(" [", "\n[") for cell in row) for row in rows]


def _ordered(board: Leaderboard) -> list[Standing]:
    """Return the standings, the selected model of the leading protocol first."""
    selected = board.selected[board.leading].model
    return sorted(board.standings, key=lambda one: one.model != selected)


def _intervals(side: TestSide) -> str:
    """Return what the brackets of a protocol's scores are."""
    bracketed = side.evaluation.scores[METRIC].interval is not None
    return f"in brackets: 95 % confidence {side.intervals}" if bracketed else side.intervals


def _places(result: Result, project: Project) -> dict[str, str]:
    """Return the paths of a result's pages and tables."""
    return {
        "report": str(_page(result, project)),
        "leaderboard": str(project.reports / "README.md"),
        "predictions": str(project.results / result.name / "predictions.parquet"),
        "tables": str(project.features_cache / result.name),
    }


def _page(result: Result, project: Project) -> Path:
    return project.reports / f"{result.name}.md"


def _runs(project: Project) -> str:
    """Return the address of the MLflow runs, or the command that shows them."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        return without_user(uri)
    folder = str(project.folder)
    return f"{program()} ui" + ("" if folder == "." else f" --project {quote(folder)}")
