"""The best speaker-independent results between the markers of a README."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmark.engine.files import write_text
from benchmark.errors import BenchmarkError
from benchmark.evaluation.leaderboard import METRIC, SPEAKER_INDEPENDENT, Leaderboard
from benchmark.report import wording
from benchmark.report.markdown import address, counted, listed, number, plain, table
from benchmark.report.pages.across import blocks

FOLDER = "reports"
"""Path from a README to the pages, if its marker names no other address."""

MARKED = re.compile(
    r"(?P<start><!-- best(?::(?P<pages>\S+))? -->)"
    r"(?:(?:(?!<!-- best\b).)*?(?P<end><!-- /best -->))?",
    flags=re.DOTALL,
)


def update_readme(readme: Path, boards: Sequence[Leaderboard]) -> None:
    """Write the best speaker-independent results between the markers of a README.

    ``<!-- best:ADDRESS -->`` starts the table, and ``<!-- /best -->`` ends it. The address is that
    of the folder of the pages, by default ``reports``. Without a result, the text between the
    markers is left unchanged.

    Raises
    ------
    BenchmarkError
        If a marker has no end.
    """
    text = readme.read_text(encoding="utf-8")

    def replaced(match: re.Match[str]) -> str:
        if not match["end"]:
            raise BenchmarkError(
                f"{readme}: {match['start']} has no end; add <!-- /best --> after it."
            )
        block = best_table(boards, match["pages"] or FOLDER)
        return f"{match['start']}\n\n{block}\n\n{match['end']}" if block else match[0]

    updated = MARKED.sub(replaced, text)
    if updated != text:
        write_text(readme, updated)


def best_table(boards: Sequence[Leaderboard], pages: str = FOLDER) -> str:
    """Return the inductive study with the best CV score of each set of clips; empty without one.

    Parameters
    ----------
    boards : sequence of Leaderboard
    pages : str
        Address of the folder of the pages.
    """
    rows = [
        _row(board, pages)
        for board in sorted(blocks(boards), key=_speaker_independent_uar, reverse=True)
    ]
    header = ["Emotions and corpora", "Study", "Selected model", "Chance level", "UAR, SI"]
    return table(header, rows, words=range(3)) if rows else ""


def _row(board: Leaderboard, pages: str) -> list[str]:
    result = board.result
    evaluation = board.selected_evaluation(SPEAKER_INDEPENDENT)
    corpora = listed(wording.used_corpora(result))
    return [
        f"{counted(len(result.emotions), 'emotion')} of {corpora}",
        f"[{plain(result.name)}]({pages}/{address(f'{result.name}.md')})",
        wording.model_title(result, board.selected[SPEAKER_INDEPENDENT].model),
        number(wording.chance_level(evaluation)),
        f"{wording.cell(evaluation, METRIC)}, {counted(evaluation.speakers, 'speaker')}",
    ]


def _speaker_independent_uar(board: Leaderboard) -> float:
    return board.selected_evaluation(SPEAKER_INDEPENDENT).scores[METRIC].value
