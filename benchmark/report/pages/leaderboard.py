"""The leaderboard over all studies."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from benchmark.evaluation.leaderboard import METRIC, Leaderboard, claims
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.report import wording
from benchmark.report.markdown import (
    NOTHING,
    claimed,
    code,
    figure,
    link,
    listed,
    plain,
    table,
)
from benchmark.report.pages import across, glance, speaker_independent
from benchmark.report.pages import claims as claims_page


def overview_page(boards: Sequence[Leaderboard], explored: Collection[str] = ()) -> str:
    """Return the leaderboard over all studies, real recordings before generated ones, by name.

    Parameters
    ----------
    boards : sequence of Leaderboard
    explored : collection of str
        Names of the results that have a page on their recordings beside their own.
    """
    own = [board for board in boards if not wording.is_changed(board.result)]
    changed = [board for board in boards if wording.is_changed(board.result)]
    own.sort(key=lambda board: (board.result.generated, board.result.name))
    parts = [
        "# Leaderboard",
        "First all studies by their clips, then one section a study, its best model first. "
        "**Known speakers** (protocol `speaker-dependent`): the speakers of the test clips are in training "
        "too, as in most papers. **Unseen speakers** (protocol `speaker-independent`): they are not. The "
        "**gap** is the first figure less the second. "
        f"{wording.intervals_note()}",
        "What the sources say of themselves: " + link("every claim", claims_page.NAME) + "."
        if claims_page.claimed_rows(boards)
        else "",
        "Our best beside published figures: "
        + link("unseen speakers", speaker_independent.NAME)
        + "."
        if speaker_independent.compared(boards)
        else "",
        *glance.section(own),
        *(part for board in own for part in _overview_section(board, explored)),
    ]
    if not own:
        parts.append("No study has run yet: `python -m benchmark run-study` runs the quickstart.")
    parts += across.section(own)
    if changed:
        changed.sort(key=lambda board: board.result.name)
        parts += ["## Changed runs", _changed_runs(changed)]
    return "\n\n".join(part for part in parts if part) + "\n"


def headline_table(board: Leaderboard, folder: str = "") -> str:
    """Return the finding and a compact leaderboard, for a page that shows more than this study.

    Parameters
    ----------
    board : Leaderboard
    folder : str
        The pages' folder as seen from the page that shows the table; empty for the same folder.
    """
    result = board.result
    columns = [wording.protocol_words(protocol).column for protocol in board.protocols]
    said = {claim.model: claim for claim in claims(board)}
    header = ["Model", *(f"UAR, {column}" for column in columns)]
    header += ["SD–SI gap"] * board.has_gap
    if said:
        header.append(_claim_head(result))
    rows = []
    for standing in board.standings:
        row = [
            wording.model_title(board.result, standing.model),
            *wording.marked_scores(board, standing.model),
        ]
        row += [figure(standing.gaps.get(METRIC))] * board.has_gap
        if said:
            claim = said.get(standing.model)
            row.append(claimed(claim.claimed) if claim else NOTHING)
        rows.append(row)
    where = [*folder.split("/"), f"{result.name}.md"] if folder else [f"{result.name}.md"]
    more = link("Per corpus and emotion, the search, the data, how to run it again", *where)
    note = wording.leaderboard_note(board, folder)
    parts = [wording.banners(board), wording.headline(board), table(header, rows), note]
    return "\n\n".join(part for part in [*parts, f"{more}."] if part)


def _claim_head(result: Result) -> str:
    settings = result.study.claims
    assert settings is not None
    column = wording.protocol_words(settings.protocol).column
    return f"The source says ({METRICS[settings.metric].title}, {column})"


def _overview_section(board: Leaderboard, explored: Collection[str]) -> list[str]:
    result = board.result
    data = link("What the recordings are like", f"{result.name}_data.md") + "."
    return [
        f"## {link(plain(result.name), f'{result.name}.md')}",
        f"**{plain(result.study.question)}**",
        wording.settings_line(board),
        headline_table(board),
        data if result.name in explored else "",
    ]


def _changed_runs(boards: Sequence[Leaderboard]) -> str:
    """Return a line a changed run: what was changed and what came of it."""
    rows = []
    for board in boards:
        result = board.result
        generated = " (generated speech)" if result.generated else ""
        for protocol in board.protocols:
            chosen = board.selected[protocol].model
            score = board.selected_evaluation(protocol).scores[METRIC]
            rows.append(
                [
                    link(plain(result.name), f"{result.name}.md") + generated,
                    listed([code(change.text) for change in result.changes]),
                    wording.protocol_words(protocol).column,
                    wording.model_title(result, chosen),
                    figure(score),
                ]
            )
    header = ["Run", "Changed", "Test", "Chosen model", METRICS[METRIC].title]
    text = (
        "Studies that the command line changed, or that ran on incomplete corpora or a user's own "
        "tables. They are never taken for the study's own result."
    )
    return f"{text}\n\n{table(header, rows, words=range(4))}"
