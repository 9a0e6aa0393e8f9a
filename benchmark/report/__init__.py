"""The report: leaderboard, figures and pages, computed from results alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.evaluate import METRICS
from benchmark.report import figures, pages, words
from benchmark.report.leaderboard import Leaderboard, leaderboard
from benchmark.report.markdown import title
from benchmark.results import Result, write_bytes, write_text

__all__ = ["headline_table", "update_readme", "write_pages"]


def write_pages(results: Sequence[Result], folder: Path, only: str | None = None) -> list[Path]:
    """Write a page for each result, its figures, and the leaderboard over all of them.

    Parameters
    ----------
    results : sequence of Result
        All that the leaderboard is to show.
    folder : Path
        Receives ``<name>.md``, ``figures/<name>/*.png`` and ``README.md``.
    only : str or None
        The one result whose page is to be written anew, beside the leaderboard; None for all.

    Returns
    -------
    list of Path
        Of the pages, the leaderboard last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    boards = [leaderboard(result) for result in results]
    written = []
    for board in boards:
        if only not in (None, board.result.name):
            continue
        drawn = _draw(board)
        _write_figures(drawn, folder / "figures" / board.result.name)
        page = folder / f"{board.result.name}.md"
        write_text(page, pages.study_page(board, list(drawn)))
        written.append(page)
    overview = folder / "README.md"
    write_text(overview, pages.overview_page(boards))
    return [*written, overview]


def headline_table(result: Result) -> str:
    """Return the finding and the compact leaderboard of a study, for a page above ``reports/``."""
    return pages.headline_table(leaderboard(result), "reports")


def update_readme(readme: Path, results: Sequence[Result]) -> None:
    """Put each study's headline table between its markers in a README.

    The markers are ``<!-- leaderboard:NAME -->`` and ``<!-- /leaderboard -->``; a study without a
    result keeps what stands there.

    Raises
    ------
    BenchmarkError
        If a marker has no end.
    """
    text = readme.read_text(encoding="utf-8")
    by_name = {result.name: result for result in results}

    def replaced(match: re.Match[str]) -> str:
        if not match["end"]:
            raise BenchmarkError(
                f"{readme}: {match['start']} has no end; write <!-- /leaderboard --> behind it."
            )
        if match["name"] not in by_name:
            return match[0]
        return f"{match['start']}\n\n{headline_table(by_name[match['name']])}\n\n{match['end']}"

    pattern = (
        r"(?P<start><!-- leaderboard:(?P<name>\S+) -->)"
        r"(?:(?:(?!<!-- leaderboard:).)*?(?P<end><!-- /leaderboard -->))?"
    )
    updated = re.sub(pattern, replaced, text, flags=re.DOTALL)
    if updated != text:
        write_text(readme, updated)


def _draw(board: Leaderboard) -> dict[str, bytes]:
    """Return a study's figures by file name."""
    result = board.result
    panels = [
        figures.Confusion(
            _panel_title(board, protocol), board.chosen_evaluation(protocol).confusion
        )
        for protocol in board.protocols
    ]
    drawn = {
        "gap.png": figures.gap_figure(board, _heading(result)),
        "confusion.png": figures.confusion_figure(panels, result.emotions),
    }
    if len(board.corpora) > 1:
        drawn["confusion_by_corpus.png"] = figures.confusion_figure(
            _corpus_panels(board), result.emotions, columns=min(3, len(board.corpora))
        )
    for model in result.settings["models"]:
        picture = _draw_search(board, model)
        if picture:
            drawn[f"search_{model}.png"] = picture
    return drawn


def _heading(result: Result) -> str:
    corpora = " + ".join(title(name) for name in result.data["corpora"])
    kind = ", generated speech" if result.generated else ""
    return f"{result.name}: {len(result.emotions)} emotions, {corpora}{kind}"


def _panel_title(board: Leaderboard, protocol: str) -> str:
    return f"{words.protocol_words(protocol).column}: {title(board.chosen[protocol]['model'])}"


def _corpus_panels(board: Leaderboard) -> list[figures.Confusion]:
    return [
        figures.Confusion(f"{title(name)}, {words.protocol_words(protocol).column}", part.confusion)
        for protocol in board.protocols
        for name, part in board.chosen_evaluation(protocol).corpora.items()
    ]


def _draw_search(board: Leaderboard, model: str) -> bytes | None:
    """Return the search plots of a model, a row a protocol; None if nothing was searched."""
    from benchmark.report import search_figures

    result = board.result
    spec = result.settings["models"][model]
    rows: list[list[figures.Draw]] = []
    names = []
    for protocol in board.protocols:
        of_model = (result.trials["protocol"] == protocol) & (result.trials["model"] == model)
        trials = result.trials[of_model]
        if not spec["space"] or not (trials["state"] == "complete").any():
            continue
        study = search_figures.rebuilt_study(trials, spec)
        metric = METRICS[result.settings["search"]["metric"]].title
        importances = search_figures.has_importances(study)
        rows.append(
            [
                partial(search_figures.draw_history, study, metric),
                partial(search_figures.draw_importances, study, metric) if importances else None,
            ]
        )
        where = f"{title(model)}, {words.protocol_words(protocol).column}"
        names.append([f"{where}: history", "importance of its parameters"])
    if not any(row[1] for row in rows):
        rows, names = [[row[0] for row in rows]], [[pair[0] for pair in names]]
    return figures.search_figure(rows, names) if rows[0] else None


def _write_figures(drawn: dict[str, bytes], folder: Path) -> None:
    """Write figures, and take away those of an earlier version of the study."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in drawn.items():
        write_bytes(folder / name, content)
    for stale in folder.glob("*.png"):
        if stale.name not in drawn:
            stale.unlink()
