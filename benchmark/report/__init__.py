"""The report: leaderboard, figures and pages, computed from results alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from textwrap import fill

from benchmark.engine.files import write_bytes, write_text
from benchmark.errors import BenchmarkError
from benchmark.evaluation.leaderboard import METRIC, Leaderboard, leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result, Winner, of_split
from benchmark.report import (
    calibration,
    figures,
    folds,
    learning_curves,
    selection_bias,
    statistics_figures,
    study_page,
    subgroups,
    wording,
)
from benchmark.report.markdown import title
from benchmark.report.pages import across, claims, glance, speaker_independent
from benchmark.report.pages import leaderboard as leaderboard_page

__all__ = ["headline_table", "update_readme", "write_pages"]

FEWEST_TRIALS = 5
"""Of fewer trials a search has no history worth a picture."""


def write_pages(results: Sequence[Result], folder: Path, only: str | None = None) -> list[Path]:
    """Write a page for each result, its figures, and the leaderboard over all of them.

    Parameters
    ----------
    results : sequence of Result
        All that the leaderboard is to show.
    folder : Path
        Receives ``<name>.md``, ``figures/<name>/*.png``, ``claims.md`` where a study has claims,
        ``unseen_speakers.md`` where one stands beside published figures, and ``README.md``.
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
        write_text(page, study_page.study_page(board, list(drawn)))
        written.append(page)
    over_all = {
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


def _draw(board: Leaderboard) -> dict[str, bytes]:
    """Return a study's figures by file name."""
    result = board.result
    panels = [
        figures.Confusion(
            _panel_title(board, protocol), board.selected_evaluation(protocol).confusion
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
    pairs = folds.matrix(board)
    if pairs:
        drawn[folds.MATRIX] = figures.matrix_figure(*pairs)
    grown = learning_curves.panels(result)
    if grown:
        metric = METRICS[result.study.search.metric].title
        drawn[learning_curves.PICTURE] = figures.learning_curves_figure(
            grown, metric, learning_curves.size(result)
        )
    drawn |= _draw_statistics(board)
    for model in result.study.models:
        picture = _draw_search(board, model)
        if picture:
            drawn[f"search_{model}.png"] = picture
    return drawn


def _draw_statistics(board: Leaderboard) -> dict[str, bytes]:
    """Return the figures of optimism, speakers and calibration, each where there is something."""
    result = board.result
    drawn = {
        calibration.PICTURE: statistics_figures.reliability_figure(
            [
                statistics_figures.Reliability(
                    _panel_title(board, one.protocol), one.before, one.after
                )
                for one in map(partial(calibration.calibrated, board), board.protocols)
            ]
        )
    }
    searches = selection_bias.searches(board)
    climbs = {
        protocol: [
            statistics_figures.Climb(wording.model_title(result, one.model), one.course, one.test)
            for one in searches
            if one.protocol == protocol
        ]
        for protocol in board.protocols
    }
    panels = [
        (selection_bias.picture_title(board, p), found) for p, found in climbs.items() if found
    ]
    if panels:
        metric = METRICS[result.study.search.metric].title
        drawn[selection_bias.PICTURE] = statistics_figures.optimism_figure(panels, metric)
    if subgroups.speakers(board):
        whole = board.selected_evaluation(board.leading).scores[METRIC]
        drawn[subgroups.PICTURE] = statistics_figures.speakers_figure(
            subgroups.speakers(board), whole, METRICS[METRIC].title
        )
    return drawn


def _heading(result: Result) -> str:
    corpora = " + ".join(wording.used_corpora(result))
    kind = ", generated speech" if result.generated else ""
    return f"{result.name}: {len(result.emotions)} emotions, {corpora}{kind}"


def _panel_title(board: Leaderboard, protocol: str) -> str:
    chosen = wording.model_title(board.result, board.selected[protocol].model)
    return fill(f"{wording.protocol_words(protocol).column}: {chosen}", 40)


def _corpus_panels(board: Leaderboard) -> list[figures.Confusion]:
    return [
        figures.Confusion(
            f"{title(name)}, {wording.protocol_words(protocol).column}", part.confusion
        )
        for protocol in board.protocols
        for name, part in board.selected_evaluation(protocol).corpora.items()
    ]


def _draw_search(board: Leaderboard, model: str) -> bytes | None:
    """Return the search plots of a model, a row a protocol; None if nothing was searched."""
    from benchmark.report import search_figures

    result = board.result
    spec = result.study.models[model]
    rows: list[list[figures.Draw]] = []
    names = []
    for winner in _first_winners(result, model):
        protocol, part = winner.protocol, winner.part
        of_the_split = of_split(result.trials, winner.split)
        trials = of_the_split[of_the_split["model"] == model]
        if not spec.space or (trials["state"] == "complete").sum() < FEWEST_TRIALS:
            continue
        study = search_figures.rebuilt_study(trials, spec)
        metric = METRICS[result.study.search.metric].title
        importances = search_figures.has_importances(study)
        rows.append(
            [
                partial(search_figures.draw_history, study, metric),
                partial(search_figures.draw_importances, study, metric) if importances else None,
            ]
        )
        where = f"{wording.model_title(result, model)}, {wording.protocol_words(protocol).column}"
        where += f", {part}" if part else ""
        names.append([f"{where}: history", "importance of its parameters"])
    if not any(row[1] for row in rows):
        rows, names = [[row[0] for row in rows]], [[pair[0] for pair in names]]
    return figures.search_figure(rows, names) if rows[0] else None


def _first_winners(result: Result, model: str) -> list[Winner]:
    """Return a model's winner on the first split of each protocol: the others are alike."""
    first: dict[str, Winner] = {}
    for winner in result.winners:
        if winner.model == model:
            first.setdefault(winner.protocol, winner)
    return list(first.values())


def _write_ranks(boards: Sequence[Leaderboard], path: Path) -> None:
    """Write the diagram of ranks across studies, or take away an earlier one."""
    scores = across.scores(boards)
    if scores.empty:
        path.unlink(missing_ok=True)
        return
    titled = {m: wording.model_title(boards[0].result, str(m)) for m in scores.columns}
    _, differences = across.differences(scores)
    picture = statistics_figures.ranks_figure(
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
