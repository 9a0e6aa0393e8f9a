"""The report: leaderboard, figures and pages, computed from results alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmark.engine.files import write_bytes, write_text
from benchmark.errors import BenchmarkError
from benchmark.evaluation.leaderboard import Leaderboard, leaderboard
from benchmark.evaluation.results import Result
from benchmark.report import figures, study_page, wording
from benchmark.report.pages import across, claims, glance, speaker_independent
from benchmark.report.pages import leaderboard as leaderboard_page

__all__ = ["headline_table", "update_readme", "write_pages"]


def write_pages(results: Sequence[Result], folder: Path, only: str | None = None) -> list[Path]:
    """Write a page for each result, its figures, and the leaderboard over all of them.

    Parameters
    ----------
    results : sequence of Result
        All that the leaderboard is to show.
    folder : Path
        Receives ``<name>.md``, ``figures/<name>/*.png``, ``claims.md`` where a study has claims,
        ``unseen_speakers.md`` where one stands beside published figures, ``reading.md`` and
        ``README.md``.
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
        facts = study_page.present_sections(board)
        drawn = study_page.study_figures(board, facts)
        _write_figures(drawn, folder / "figures" / board.result.name)
        page = folder / f"{board.result.name}.md"
        write_text(page, study_page.study_page(board, drawn, facts))
        written.append(page)
    over_all = {
        wording.READING: study_page.reading_page(),
        claims.NAME: claims.claims_page(boards),
        speaker_independent.NAME: speaker_independent.unseen_page(boards, folder),
    }
    for name, text in over_all.items():
        if text:
            write_text(folder / name, text)
            written.append(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    _write_ranks(boards, folder / "figures" / across.PICTURE)
    overview = folder / "README.md"
    names = [board.result.name for board in boards]
    explored = [name for name in names if (folder / f"{name}_data.md").is_file()]
    write_text(overview, leaderboard_page.overview_page(boards, explored))
    return [*written, overview]


def headline_table(result: Result) -> str:
    """Return the finding and the compact leaderboard of a study, for a page above ``reports/``."""
    return leaderboard_page.headline_table(leaderboard(result), "reports")


def update_readme(readme: Path, results: Sequence[Result]) -> None:
    """Put each study's headline table, and all claims, between their markers in a README.

    The markers are ``<!-- leaderboard:NAME -->`` and ``<!-- /leaderboard -->``, ``<!-- claims -->``
    and ``<!-- /claims -->``, and for all studies of the clips of NAME ``<!-- glance:NAME -->`` and
    ``<!-- /glance -->``. What has no result keeps what stands there.

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
                f"{readme}: {match['start']} has no end; write <!-- /{match['kind']} --> behind it."
            )
        if match["kind"] == "claims":
            body = _claims_table(results)
        elif match["kind"] == "glance":
            body = glance.alike([leaderboard(one) for one in results], match["name"], "reports")
        else:
            body = headline_table(by_name[match["name"]]) if match["name"] in by_name else ""
        return f"{match['start']}\n\n{body}\n\n{match['end']}" if body else match[0]

    pattern = (
        r"(?P<start><!-- (?P<kind>leaderboard|claims|glance)(?::(?P<name>\S+))? -->)"
        r"(?:(?:(?!<!-- (?:leaderboard|claims|glance)\b).)*?(?P<end><!-- /(?P=kind) -->))?"
    )
    updated = re.sub(pattern, replaced, text, flags=re.DOTALL)
    if updated != text:
        write_text(readme, updated)


def _claims_table(results: Sequence[Result]) -> str:
    """Return the claims in brief, for a page above ``reports/``; empty without any."""
    claiming = [result for result in results if result.study.claims]
    boards = [leaderboard(result) for result in claiming if not wording.is_changed(result)]
    return claims.claims_table(boards, "reports") if boards else ""


def _write_ranks(boards: Sequence[Leaderboard], path: Path) -> None:
    """Write the diagram of ranks across studies, or take away an earlier one."""
    scores = across.scores(boards)
    if scores.empty:
        path.unlink(missing_ok=True)
        return
    titled = {m: wording.model_title(boards[0].result, str(m)) for m in scores.columns}
    _, differences = across.differences(scores)
    picture = figures.ranks_figure(
        across.ranks(scores).rename(titled), differences.rename(index=titled, columns=titled)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, picture)


def _write_figures(drawn: dict[str, bytes], folder: Path) -> None:
    """Write figures, and take away those of an earlier version of the study."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in drawn.items():
        write_bytes(folder / name, content)
    for stale in folder.glob("*.png"):
        if stale.name not in drawn:
            stale.unlink()
