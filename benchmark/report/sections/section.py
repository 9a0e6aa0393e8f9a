"""What a section of a study's page consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from benchmark.evaluation.leaderboard import Leaderboard

Figures: TypeAlias = Mapping[str, bytes | Callable[[], bytes]]
"""By file name a PNG, or what draws it. One that fails is named on the page; the others stay."""


def no_figures(_board: Leaderboard, _facts: Any) -> Figures:
    """Return no figure."""
    return {}


@dataclass(frozen=True)
class Section:
    """One entry of `SECTIONS`.

    Attributes
    ----------
    name : str
        The key in `SECTIONS`.
    facts : callable
        ``board -> facts``: what the template shows, under the name ``facts``. None leaves the
        section out.
    figures : callable
        ``(board, facts) -> {file name: PNG}``, see `Figures`. The template shows a figure by
        ``{{ picture("NAME.png", "alternative text") }}``.
    template : str or None
        The text of the template; None for ``templates/sections/NAME.md.j2``. Beside ``facts`` it
        has the variables of `wording.context`.
    """

    name: str
    facts: Callable[[Leaderboard], Any]
    figures: Callable[[Leaderboard, Any], Figures] = no_figures
    template: str | None = None
