"""The report: leaderboard, figures and pages, computed from results alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from benchmark.engine.files import write_text
from benchmark.evaluation import external, looks, summaries
from benchmark.evaluation.leaderboard import Leaderboard, leaderboard
from benchmark.evaluation.results import Result
from benchmark.report import study_page, wording
from benchmark.report.latex import FOLDER, latex_table
from benchmark.report.pages import claims, speaker_independent
from benchmark.report.pages.leaderboard import leaderboard_page
from benchmark.report.readme import update_readme

__all__ = ["read_boards", "update_readme", "write_pages"]


def read_boards(
    results: Sequence[Result], folder: Path, only: Collection[str] | None = None
) -> list[Leaderboard]:
    """Return the leaderboard of each result; its summary is stored beside the result.

    Parameters
    ----------
    results : sequence of Result
    folder : Path
        Folder of the pages, with the stored results and the table of looks.
    only : collection of str, or None
        Names of the only results whose own pages are to be written; stored summaries are used for
        all. None for all pages: everything is computed anew from the predictions.
    """
    known = looks.read_looks(folder / looks.NAME)
    boards = []
    for result in results:
        stored = folder / "results" / result.name
        summary = None if only is None else summaries.read_summary(stored)
        own = only is None or result.name in only
        board = leaderboard(result, known if own else (), summary)
        if summary is None and (stored / "study.json").is_file():
            summaries.write_summary(board, stored)
        boards.append(board)
    return boards


def write_pages(
    boards: Sequence[Leaderboard],
    folder: Path,
    only: Collection[str] | None = None,
    *,
    latex: bool = False,
) -> list[Path]:
    """Write the page and figures of each result, and the pages over all results.

    Parameters
    ----------
    boards : sequence of Leaderboard
        Of all results.
    folder : Path
        Receives ``<name>.md``, ``figures/<name>/*.png``, ``claims.md`` if a study has claims,
        ``speaker_independent.md`` if one is comparable with published figures, ``reading.md`` and
        ``README.md``.
    only : collection of str, or None
        Names of the only results whose own pages are written; None for all.
    latex : bool
        Whether to write each leaderboard as a LaTeX table, too: ``latex/<name>.tex``.

    Returns
    -------
    list of Path
        The written pages, the leaderboard last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for board in boards:
        if only is not None and board.result.name not in only:
            continue
        facts = study_page.present_sections(board)
        drawn = study_page.study_figures(board, facts)
        drawn.write(folder / "figures" / board.result.name)
        page = folder / f"{board.result.name}.md"
        write_text(page, study_page.study_page(board, drawn, facts))
        written.append(page)
        if latex:
            (folder / FOLDER).mkdir(exist_ok=True)
            written.append(folder / FOLDER / f"{board.result.name}.tex")
            write_text(written[-1], latex_table(board))
    over_all = {
        wording.READING: study_page.reading_page(),
        claims.NAME: claims.claims_page(boards),
        speaker_independent.NAME: speaker_independent.speaker_independent_page(boards, folder),
    }
    for name, text in over_all.items():
        if text:
            write_text(folder / name, text)
            written.append(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    overview = folder / "README.md"
    names = [board.result.name for board in boards]
    explored = [name for name in names if (folder / f"{name}_data.md").is_file()]
    externals = external.read_externals(folder / external.FOLDER)
    write_text(overview, leaderboard_page(boards, explored, externals))
    return [*written, overview]
