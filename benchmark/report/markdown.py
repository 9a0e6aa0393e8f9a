"""Markdown that GitHub renders: tables, numbers, links and banners."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import quote

from benchmark.corpora.manifest import CSV
from benchmark.errors import escape_control
from benchmark.evaluation.intervals import Interval, Score

ABBREVIATIONS = {
    *("cnn", "gru", "knn", "lstm", "mlp", "svc", "svm"),
    *("emodb", "emovo", "esd", "iemocap", "jl", "meld", "msp", "ravdess", "savee", "tess"),
}
NOTHING = "–"

MARKUP = re.compile(r"[\\|*`\[$~]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)")
"""Characters that mean something in Markdown; an underscore within a word does not."""

NO_ANCHOR = re.compile(r"[^\w\- ]")
"""Characters of a heading that its anchor leaves out."""

NO_BREAK = "\N{NO-BREAK SPACE}"


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], words: Collection[int] = (0,)
) -> str:
    """Return a table; the columns `words`, by index, are left-aligned, the others right-aligned."""
    rules = [":---" if position in words else "---:" for position in range(len(header))]
    lines = [header, rules, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: object) -> str:
    r"""Return text from a user's files, escaped: it ends no table cell and is no markup.

    Examples
    --------
    >>> print(plain("very_*sad* | <b>"))
    very\_\*sad\* \| &lt;b>
    """
    one_line = escape_control(" ".join(str(text).split()))
    return MARKUP.sub(r"\\\g<0>", one_line).replace("<", "&lt;")


def code(text: object) -> str:
    """Return text from a user's files as a code span that a table cell can hold."""
    one_line = escape_control(" ".join(str(text).split()))
    return f"`{one_line.replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def link(text: str, *parts: str) -> str:
    """Return a link to a file, given by the parts of its relative path."""
    return f"[{text}]({address(*parts)})"


def address(*parts: str) -> str:
    """Return the relative address of a file, quoted for a link."""
    return "/".join(quote(part, safe="@") for part in parts)


def anchor(heading: str) -> str:
    """Return the anchor that GitHub and the documentation's site give to a heading.

    Examples
    --------
    >>> anchor("Models across studies"), anchor("my_study v1.2")
    ('models-across-studies', 'my_study-v12')
    """
    return NO_ANCHOR.sub("", heading.lower()).replace(" ", "-")


def probability(p: float | None, equals: str = "= ") -> str:
    """Return a p value with three decimals; ``< 0.001`` if it is smaller, a dash for None."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{equals}{p:.3f}"


def banner(kind: str, text: str) -> str:
    """Return an alert box: kind is GitHub's NOTE, IMPORTANT, WARNING or CAUTION."""
    return f"> [!{kind}]\n> {text}"


def details(summary: str, body: str) -> str:
    """Return a collapsed part of a page."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def title(name: str) -> str:
    """Return a name of a study file in words: ``random_forest`` becomes ``random forest``.

    The corpus ``csv`` is the user's own table.
    """
    if name == CSV.name:
        return CSV.title
    words = name.split("_")
    return plain(" ".join(word.upper() if word in ABBREVIATIONS else word for word in words))


def number(value: float) -> str:
    """Return a figure with three decimals and a true minus sign."""
    text = f"{value:.3f}"
    return "0.000" if text == "-0.000" else text.replace("-", "−")


def claimed(value: float) -> str:
    """Return a source's figure as it prints it: ``0.8905``, ``0.724``, ``0.90``."""
    whole, _, decimals = f"{value:.4f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def signed(value: float) -> str:
    """Return a difference with its sign and three decimals."""
    text = number(value)
    return f"+{text}" if value > 0 and text != "0.000" else text


def interval(score: Score) -> str:
    """Return the interval of a score, see `span`; empty where speakers are too few for one."""
    return span(*score.interval) if score.interval else ""


def span(lower: float, upper: float) -> str:
    """Return an interval with two decimals and a no-break space: ``[0.35, 0.42]``.

    The ends are rounded outwards: a rounded interval can exclude its own figure.
    """
    return str(Interval(lower, upper)).replace(" ", NO_BREAK).replace("-", "−")


def figure(score: Score | None, bold: bool = False) -> str:
    """Return a score with its interval if it has one; a dash where there is no score."""
    if score is None:
        return NOTHING
    value = f"**{number(score.value)}**" if bold else number(score.value)
    return f"{value} {interval(score)}".rstrip()


def capitalised(text: str) -> str:
    """Return text with its first letter in upper case, the others unchanged."""
    return text[:1].upper() + text[1:]


def count(value: int) -> str:
    """Return a count with thousands separators."""
    return f"{value:,}"


def counted(value: int, one: str, many: str = "") -> str:
    """Return a count with its noun: ``1 clip``, ``4,528 clips``."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def listed(names: Sequence[str], joint: str = "and") -> str:
    """Return names as a list in a sentence: ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {joint} {names[-1]}"


def shortened(names: Sequence[str], shown: int = 12) -> str:
    """Return the first names of a list and the number of the others: ``a, b and 10 more``."""
    if len(names) <= shown:
        return ", ".join(names)
    return f"{', '.join(names[:shown])} and {count(len(names) - shown)} more"


def percent(fraction: float) -> str:
    """Return a fraction in whole percent: ``37 %``, ``< 1 %``, a dash for NaN."""
    if math.isnan(fraction):
        return NOTHING
    text = f"{100 * fraction:.0f}"
    return f"{'< 1' if text == '0' and fraction else text}{NO_BREAK}%"


def decimals(value: float, digits: int) -> str:
    """Return a number with the given decimals and a true minus sign; a dash for NaN."""
    return NOTHING if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")
