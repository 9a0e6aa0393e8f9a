"""Leaderboards as LaTeX tables, for papers: ``reports/latex/NAME.tex``, with booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from benchmark.evaluation.leaderboard import METRIC, Leaderboard, Standing
from benchmark.evaluation.metrics import METRICS
from benchmark.report import wording
from benchmark.report.markdown import NO_BREAK, NOTHING, figure, number, plain
from benchmark.report.measured import measured

FOLDER = "latex"
"""Folder of the tables, below that of the pages."""

CHARACTERS = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    NO_BREAK: "~", "−": "$-$", NOTHING: "--", "×": r"$\times$", "·": r"\textperiodcentered{}",
}  # fmt: skip
"""LaTeX of the characters that it reads as commands, and of those that its fonts lack."""


def latex(text: str) -> str:
    r"""Return a line of our Markdown as LaTeX: text is escaped, bold and code are kept.

    Examples
    --------
    >>> print(latex("**0.5** of `random_forest`, 10 %"))
    \textbf{0.5} of \texttt{random\_forest}, 10 \%
    """
    parts = re.split(r"(\*\*.+?\*\*|(?<!\\)`[^`]*`)", text.replace("\n", " "))
    return "".join(map(_marked, parts))


def _marked(part: str) -> str:
    for mark, command in (("**", "textbf"), ("`", "texttt")):
        if part.startswith(mark) and len(part) > len(mark):
            return f"\\{command}{{{_escaped(part.removeprefix(mark).removesuffix(mark))}}}"
    return _escaped(part)


def _escaped(text: str) -> str:
    """Return text without the escapes of Markdown, with those of LaTeX."""
    bare = re.sub(r"\\(\W|_)|&lt;", lambda found: found[1] or "<", text)
    return "".join(CHARACTERS.get(letter, letter) for letter in bare)


def latex_table(board: Leaderboard) -> str:
    """Return the leaderboard of a study as a LaTeX table; it needs the package booktabs.

    The caption states protocol, population and estimand, so that the table can stand alone.
    """
    columns = [wording.protocol_words(name).column for name in board.protocols]
    metric = METRICS[METRIC].title
    header = ["Model", *(f"{metric}, {column}" for column in columns)]
    header += ["SD–SI gap"] * board.has_gap
    rows = [_cells(board, standing) for standing in board.standings]
    made_by = "python -m benchmark report --latex"
    return float_of(board.result.name, made_by, _caption(board), header, rows)


def float_of(
    name: str, made_by: str, caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
    """Return a table as a float of LaTeX, with a caption and a label; it needs booktabs.

    Parameters
    ----------
    name : str
        Its label is ``tab:NAME``.
    made_by : str
        The command that makes it.
    caption : str
    header, rows : sequences of str
        Cells in our Markdown; the first column holds words, the others numbers.
    """
    lines = [
        f"% {latex(plain(name))}: made by `{' '.join(made_by.split())}`.",
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering",
        f"\\caption{{{latex(caption)}}}",
        f"\\label{{tab:{re.sub('[^A-Za-z0-9-]', '-', name)}}}",
        f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"\toprule",
        f"{' & '.join(map(latex, header))} \\\\",
        r"\midrule",
        *(f"{' & '.join(map(latex, row))} \\\\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cells(board: Leaderboard, standing: Standing) -> list[str]:
    cells = [
        wording.row_title(board, standing.model),
        *wording.scores_of(board, standing.model),
    ]
    if board.has_gap:
        cells.append(figure(standing.gaps.get(METRIC)))
    return cells


def _caption(board: Leaderboard) -> str:
    facts, result = measured(board), board.result
    protocols = [wording.protocol_words(name) for name in board.protocols]
    meanings = "; ".join(f"{one.label}: {one.meaning}" for one in protocols if one.meaning)
    missing = wording.partial_data(result)
    sides = wording.test_sides(board)
    parts = [
        plain(result.study.question),
        f"{len(result.emotions)} emotions; population: {facts.population}.",
        f"Estimand: {facts.estimand}.",
        f"Protocols: {meanings}." if meanings else "",
        f"Folds: {facts.folds}.",
        "In brackets: 95 % confidence intervals; "
        + "; ".join(f"{side.words.column}: {side.intervals}" for side in sides)
        + ".",
        f"Bold: model with the best CV score. Chance level {number(1 / len(result.emotions))}.",
        f"Seeds: {facts.seeds}.",
        f"Data: {missing}." if missing else "",
        "Changed run of the study." if wording.is_changed(result) else "",
    ]
    return " ".join(part for part in parts if part)
