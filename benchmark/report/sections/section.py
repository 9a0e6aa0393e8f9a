"""What a section of a study's page consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmark.evaluation.leaderboard import Leaderboard


def no_figures(_board: Leaderboard, _facts: Any) -> dict[str, bytes]:
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
        ``(board, facts) -> {file name: PNG}``. The template shows a figure by
        ``{{ picture("NAME.png", "alternative text") }}``.
    template : str or None
        The text of the template; None for ``templates/sections/NAME.md.j2``. Beside ``facts`` it
        has the variables of `wording.context`.
    """

    name: str
    facts: Callable[[Leaderboard], Any]
    figures: Callable[[Leaderboard, Any], dict[str, bytes]] = no_figures
    template: str | None = None
