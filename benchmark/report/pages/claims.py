"""The page of claims: what every source says, beside what we measure, with no row left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.evaluation.leaderboard import SPEAKER_INDEPENDENT, Claim, Leaderboard, claims
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.report import wording
from benchmark.report.markdown import (
    capitalised,
    claimed,
    code,
    counted,
    details,
    figure,
    link,
    listed,
    number,
    plain,
    table,
)
from benchmark.study import Claims

NAME = "claims.md"
"""The page's file."""

HEADER = ("System", "Model", "Claim", "Ours, as it was split", "Ours, unseen speakers", "Gap")
WORDS = (0, 1, 6)
"""The columns of words."""


@dataclass(frozen=True)
class Row:
    """One claim of one study.

    Attributes
    ----------
    board : Leaderboard
        Of the study that checks it.
    claim : Claim
    """

    board: Leaderboard
    claim: Claim

    @property
    def result(self) -> Result:
        """The study's result."""
        return self.board.result

    @property
    def source(self) -> Claims:
        """The study's table of claims."""
        source = self.result.study.claims
        assert source is not None
        return source


def claimed_rows(boards: Sequence[Leaderboard]) -> list[Row]:
    """Return all claims by system, the highest first; changed runs check no claim."""
    rows = [
        Row(board, claim)
        for board in boards
        if not wording.is_changed(board.result)
        for claim in claims(board)
    ]
    return sorted(
        rows,
        key=lambda row: (
            row.source.source, -row.claim.claimed, row.result.name, row.claim.model
        ),
    )  # fmt: skip


def claims_page(boards: Sequence[Leaderboard]) -> str:
    """Return the page of all claims; empty where no study has any."""
    rows = claimed_rows(boards)
    if not rows:
        return ""
    parts = [
        "# What the sources say, and what we measure",
        headline(rows),
        table([*HEADER, "Verdict"], [_cells(rows, row) for row in rows], WORDS),
        wording.sentences(_notes(rows)),
    ]
    return "\n\n".join(parts) + "\n"


def claims_table(boards: Sequence[Leaderboard], folder: str) -> str:
    """Return the headline and the claims in brief, for a README above the pages' `folder`."""
    rows = claimed_rows(boards)
    # With the reasons each row would be as tall as a page.
    brief = [[*_cells(rows, row, folder)[:-1], _brief_verdict(row)] for row in rows]
    more = link("All claims with their reasons on a page", folder, NAME)
    notes = [_split_note(rows), "In brackets: our figure less the claim.", wording.intervals_note()]
    parts = [
        headline(rows),
        table([*HEADER, "Verdict"], brief, WORDS),
        wording.sentences(notes),
        _reasons(rows),
        f"{more}.",
    ]
    return "\n\n".join(part for part in parts if part)


def headline(rows: Sequence[Row]) -> str:
    """Return how many claims were reached, and what is left of them on unseen speakers."""
    measured = [row for row in rows if row.claim.measured]
    reached = sum(row.claim.reached for row in rows)
    missing = len(rows) - len(measured)
    verb = "was" if 1 in (reached, len(rows)) else "were"
    text = (
        f"**{reached} of {counted(len(rows), 'claim')} {verb} reached** under the claim's own "
        "protocol."
    )
    if missing:
        text += f" {counted(missing, 'claim')} {'was' if missing == 1 else 'were'} not measured."
    pairs = [
        (row.claim.claimed, row.claim.measured.value, row.claim.independent.value)
        for row in measured
        if row.claim.measured and row.claim.independent
    ]
    if pairs:
        said, known, unseen = np.mean(pairs, axis=0)
        metric = listed(sorted({METRICS[row.source.metric].title for row in rows}), "or")
        text += (
            f" Their mean {metric}: the sources say {number(said)}, we measure "
            f"**{number(known)}** under their own protocols and **{number(unseen)}** on speakers "
            f"that the models have never heard ({counted(len(pairs), 'claim')} measured both ways)."
        )
    return text


def _cells(rows: Sequence[Row], row: Row, folder: str = "") -> list[str]:
    claim = row.claim
    # A claim on unseen speakers is its own test of them.
    unseen = claim.measured if row.source.protocol == SPEAKER_INDEPENDENT else claim.independent
    return [
        _system(rows, row, folder),
        wording.model_title(row.result, claim.model),
        f"{METRICS[row.source.metric].title} {claimed(claim.claimed)}",
        figure(claim.measured),
        figure(unseen),
        figure(claim.gap),
        _verdict(row),
    ]


def _system(rows: Sequence[Row], row: Row, folder: str) -> str:
    """Return the source's name, linked to its study's page; with the study where it has several."""
    source = row.source.source
    studies = {one.result.name for one in rows if one.source.source == source}
    shown = f"{source}: {row.result.name}" if len(studies) > 1 else source
    return link(plain(shown), *[folder] * bool(folder), f"{row.result.name}.md")


def _verdict(row: Row) -> str:
    """Return the verdict, what the data lacked, and why the claim was not reached."""
    parts = [wording.verdict(row.claim), wording.partial_data(row.result), _why(row)]
    first, *others = [part for part in parts if part]
    return ". ".join([first, *map(capitalised, others)]) + "."


def _why(row: Row) -> str:
    """Return why a claim was not reached, as far as is known; empty with nothing to say."""
    if row.claim.measured is None or row.claim.reached:
        return ""
    why = row.source.why.get(row.claim.model, "")
    return plain(why).rstrip(".") or "why is not known"


def _reasons(rows: Sequence[Row]) -> str:
    """Return the reasons in a part that opens on a click."""
    lines = [
        f"- {plain(row.source.source)}, {wording.model_title(row.result, row.claim.model)} "
        f"({claimed(row.claim.claimed)}): {why}."
        for row in rows
        if (why := _why(row))
    ]
    return details("Why, as far as is known", "\n".join(lines)) if lines else ""


def _brief_verdict(row: Row) -> str:
    parts = [wording.brief_verdict(row.claim), wording.partial_data(row.result)]
    return "; ".join(part for part in parts if part)


def _notes(rows: Sequence[Row]) -> list[str]:
    return [
        _split_note(rows),
        "Gap: the first less the second, both sides resampled independently.",
        wording.verdict_note(),
        wording.intervals_note(),
        "All settings were chosen on inner folds of the training side.",
    ]


def _split_note(rows: Sequence[Row]) -> str:
    """Return in a line what it means to split as the sources do."""
    meanings = [
        f"protocol {code(name)} ({wording.protocol_words(name).meaning})".replace(" ()", "")
        for name in dict.fromkeys(row.source.protocol for row in rows)
    ]
    return (
        f"As it was split: under the claim's own protocol, here {listed(meanings)}. Unseen "
        f"speakers: {wording.protocol_words(SPEAKER_INDEPENDENT).meaning}."
    )
