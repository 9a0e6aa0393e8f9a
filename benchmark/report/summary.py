"""The table and paths that the terminal shows at the end of a run."""

from __future__ import annotations

import os
from shlex import quote

from benchmark.console import Console
from benchmark.data.protocols import PROTOCOLS
from benchmark.engine.databases import without_user
from benchmark.evaluation.leaderboard import Leaderboard, Standing, leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.evaluation.summaries import read_summary
from benchmark.project import Project
from benchmark.report.markdown import figure
from benchmark.report.wording import rank, row_title


def print_summary(result: Result, project: Project, console: Console) -> None:
    """Print the leaderboard of a result and the paths of its pages, tables and runs."""
    board = leaderboard(result, summary=read_summary(project.results / result.name))
    metric = result.study.search.metric
    protocols = [PROTOCOLS[name] for name in board.protocols]
    generated = " (generated speech)" if result.generated else ""
    mean = ", mean over corpora" if len(board.corpora) > 1 else ""
    console.table(
        f"{result.name}{generated}: test {METRICS[metric].title}{mean}, 95 % confidence intervals",
        [
            "model",
            "rank",
            *(protocol.abbreviation for protocol in protocols),
            *["SD–SI gap"] * board.has_gap,
        ],
        [
            [row_title(board, one.model), rank(board, one.model), *_scores(board, one, metric)]
            for one in board.standings
        ],
    )
    console.print("; ".join(f"{p.abbreviation}: {p.title}" for p in protocols) + "\n")
    if result.changes:
        console.warning(f"changed run: {', '.join(one.text for one in result.changes)}")
    for label, path in (
        ("report", project.reports / f"{result.name}.md"),
        ("leaderboard", project.reports / "README.md"),
        ("predictions", project.results / result.name / "predictions.parquet"),
        ("tables", project.features_cache / result.name),
        ("runs", _runs(project)),
    ):
        console.print(f"{label + ':':<13}{path}")


def _scores(board: Leaderboard, standing: Standing, metric: str) -> list[str]:
    """Return a model's score under each protocol, and its SD–SI gap if the board has one."""
    evaluations = [board.evaluation(protocol, standing.model) for protocol in board.protocols]
    cells = [figure(e.scores[metric]) if e else "" for e in evaluations]
    if board.has_gap:
        gap = standing.gaps.get(metric)
        cells.append(f"{gap.value:+.3f}" if gap else "")
    return cells


def _runs(project: Project) -> str:
    """Return the address of the MLflow runs, or the command that shows them."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        return without_user(uri)
    folder = str(project.folder)
    return "python -m benchmark ui" + ("" if folder == "." else f" --project {quote(folder)}")
