"""Pages from templates: the prose stands in ``templates/*.md.j2``, the facts come from Python."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import escape_control
from benchmark.report import markdown

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"

FILTERS = (
    "anchor", "capitalised", "claimed", "code", "count", "counted", "decimals", "figure",
    "interval", "listed", "number", "percent", "plain", "probability", "shortened", "signed",
    "span", "title",
)  # fmt: skip
"""Functions of `benchmark.report.markdown` that templates use as filters: ``{{ uar | number }}``.

Text from a user's files (names, reasons, questions) goes through ``plain``, ``code`` or ``title``:
it cannot end a table cell or begin a tag.
"""

COMMENT_WIDTH = 100

BLOCK_START = re.compile(r"\||[-*] |\d+\. |#|>|!\[|</?(?:details|summary)\b")
"""The start of a line that is not joined to the line before it."""


def render(name: str, /, *, folder: Path = TEMPLATES, **facts: object) -> str:
    """Return the text of a template, without a line break at its end.

    A paragraph of a template may be broken into lines at any space: its lines are joined. Where a
    part is left out, one blank line remains.

    Parameters
    ----------
    name : str
        ``"data"`` for ``templates/data.md.j2``.
    folder : Path
        Folder of the template.
    **facts
        The variables of the template. A missing one is an error (`jinja2.StrictUndefined`).
    """
    return tidied(_environment(folder).get_template(f"{name}.md.j2").render(**facts))


def render_toml(name: str, /, **facts: object) -> str:
    """Return the text of a template as it stands: ``"study"`` for ``templates/study.toml.j2``.

    Values go through ``toml``, and lines of prose through ``comment``.
    """
    return _environment(TEMPLATES).get_template(f"{name}.toml.j2").render(**facts) + "\n"


def render_text(text: str, /, **facts: object) -> str:
    """Return the text of a template that is given as text itself; see `render`."""
    return tidied(_environment(TEMPLATES).from_string(text).render(**facts))


def tidied(text: str) -> str:
    r"""Return Markdown with one line for each paragraph and one blank line between blocks.

    Examples
    --------
    >>> tidied("A sentence\nin two lines.\n\n\n\n- item\n- item, in\n  two lines\n")
    'A sentence in two lines.\n\n- item\n- item, in two lines'
    """
    lines: list[str] = []
    fenced = False
    for line in text.strip().splitlines():
        words = line.strip()
        fence = words.startswith("```")
        if fenced or fence:
            lines.append(line)
            fenced = fenced != fence
        elif not words:
            lines += [""] if lines[-1] else []
        elif not lines or not lines[-1] or BLOCK_START.match(words):
            lines.append(words)
        else:
            lines[-1] += f" {words}"
    return "\n".join(lines).replace(" </sub>", "</sub>")


@cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Markdown is not HTML: the filters escape what Markdown needs escaped.
    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(markdown, name) for name in FILTERS}
    environment.filters |= {"table": _table, "toml": _toml, "comment": _comment}
    environment.globals["NOTHING"] = markdown.NOTHING
    return environment


def _table(
    rows: Iterable[Sequence[str]], header: Sequence[str], words: Collection[int] = (0,)
) -> str:
    """Return rows of cells as a table: ``{{ rows | table(["Corpus", "clips"]) }}``."""
    return markdown.table(header, rows, words)


def _toml(value: str | int | Sequence[str]) -> str:
    """Return a value as TOML writes it."""
    # JSON allows one character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str, indent: str = "") -> str:
    """Return text as lines of a TOML comment, whatever characters a user's names have."""
    return textwrap.fill(
        escape_control(" ".join(text.split())),
        COMMENT_WIDTH,
        initial_indent=f"# {indent}",
        subsequent_indent=f"# {indent}",
        break_long_words=False,
        break_on_hyphens=False,
    )
