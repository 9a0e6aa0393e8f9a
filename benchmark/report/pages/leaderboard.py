"""The leaderboard over all studies, and the leaderboard of one study in brief."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from benchmark.errors import shortened
from benchmark.evaluation.external import External
from benchmark.evaluation.leaderboard import METRIC, Leaderboard, claims
from benchmark.evaluation.metrics import METRICS
from benchmark.report import wording
from benchmark.report.markdown import NOTHING, claimed, code, figure, link, listed, plain, table
from benchmark.report.pages import across, glance, speaker_independent
from benchmark.report.pages import claims as claims_page
from benchmark.report.template import render

CHANGE_WIDTH = 50
"""Letters of a change in a table; its own page has all."""


@dataclass(frozen=True)
class StudySummary:
    """One study on the leaderboard.

    Attributes
    ----------
    name : str
    link : str
        Its name, linked to its page.
    question, settings, table : str
    data_page : str
        File of the page on its recordings; empty if there is none.
    """

    name: str
    link: str
    question: str
    settings: str
    table: str
    data_page: str


def leaderboard_page(
    boards: Sequence[Leaderboard],
    explored: Collection[str] = (),
    externals: Sequence[External] = (),
) -> str:
    """Return the leaderboard over all studies.

    Real speech comes before generated speech, inductive studies before transductive ones.

    Parameters
    ----------
    boards : sequence of Leaderboard
    explored : collection of str
        Names of the studies with a page on their recordings.
    externals : sequence of External
        Stored predictions of other systems.
    """
    own = [board for board in boards if not wording.is_changed(board.result)]
    changed = [board for board in boards if wording.is_changed(board.result)]
    own.sort(key=lambda board: (board.result.generated, *_order(board)))
    changed.sort(key=_order)
    facts = glance.note_facts(own) | {
        "has_claims": bool(claims_page.claimed_rows(boards)),
        "claims_page": claims_page.NAME,
        "has_comparison": speaker_independent.has_comparison(boards),
        "speaker_independent_page": speaker_independent.NAME,
        "groups": glance.groups(own, externals),
        "studies": [_summary(board, explored) for board in own],
        "ranking": across.ranking(own),
        "changed": [row for board in changed for row in _changed_rows(board)],
        "metric": METRICS[METRIC].title,
    }
    return render("pages/leaderboard", **facts) + "\n"


def headline_table(board: Leaderboard) -> str:
    """Return the main result and a compact leaderboard, for a page of several studies."""
    result = board.result
    columns = [wording.protocol_words(protocol).column for protocol in board.protocols]
    reported = {claim.model: claim for claim in claims(board)}
    header = ["Model", "Rank", *(f"UAR, {column}" for column in columns)]
    header += ["SD–SI gap"] * board.has_gap
    if result.study.claims:
        metric = METRICS[result.study.claims.metric].title
        column = wording.protocol_words(result.study.claims.protocol).column
        header += [f"Pooled {metric}, {column}", "Reported"]
    rows = []
    for standing in board.standings:
        row = [
            wording.row_title(board, standing.model),
            wording.rank(board, standing.model),
            *wording.scores_of(board, standing.model),
        ]
        row += [figure(standing.gaps.get(METRIC))] * board.has_gap
        if reported:
            claim = reported.get(standing.model)
            row.append(figure(claim.measured) if claim else NOTHING)
            row.append(claimed(claim.claimed) if claim else NOTHING)
        rows.append(row)
    return render(
        "pages/headline",
        banners=wording.banners(board),
        headline=wording.headline(board),
        table=table(header, rows),
        note=wording.leaderboard_note(board),
        claims_metric=METRICS[result.study.claims.metric].title if result.study.claims else "",
        details=link("Details of this study", f"{result.name}.md"),
    )


def _order(board: Leaderboard) -> tuple[bool, str]:
    """Return the order of studies: inductive before transductive, by name."""
    return wording.is_transductive(board.result), board.result.name


def _summary(board: Leaderboard, explored: Collection[str]) -> StudySummary:
    result = board.result
    return StudySummary(
        name=result.name,
        link=link(plain(result.name), f"{result.name}.md"),
        question=result.study.question,
        settings=wording.settings_line(board),
        table=headline_table(board),
        data_page=f"{result.name}_data.md" if result.name in explored else "",
    )


def _changed_rows(board: Leaderboard) -> Iterator[list[str]]:
    """Yield a row per protocol of a changed run, the leading one first."""
    result = board.result
    notes = ["generated speech"] * result.generated
    notes += ["transductive"] * wording.is_transductive(result)
    suffix = f" ({', '.join(notes)})" if notes else ""
    for protocol in sorted(board.protocols, key=lambda name: name != board.leading):
        yield [
            link(plain(result.name), f"{result.name}.md") + suffix,
            listed([code(shortened(change.text, CHANGE_WIDTH)) for change in result.changes]),
            NOTHING if result.own_tables else code(result.study.features),
            wording.protocol_words(protocol).column,
            wording.model_title(result, board.selected[protocol].model),
            figure(board.selected_evaluation(protocol).scores[METRIC]),
        ]
