"""Scores of the selected model by speaker, gender, statement and intensity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.subgroups import FEWEST_CLIPS, SPEAKER, Division
from benchmark.report.figures import COLOURS, WIDTH_IN, house_style, mark_level, png_bytes
from benchmark.report.markdown import title
from benchmark.report.sections.section import Section

PICTURE = "speakers.png"


@dataclass(frozen=True)
class Facts:
    """The subgroups of the test clips under the leading protocol.

    Attributes
    ----------
    divisions : list of Division
    fewest_clips : int
        Clips of an emotion that a group needs.
    """

    divisions: list[Division]
    fewest_clips: int = FEWEST_CLIPS

    @property
    def speakers(self) -> list[Division]:
        """The divisions by speaker, one per corpus."""
        return [one for one in self.divisions if one.by == SPEAKER]

    @property
    def paired(self) -> bool:
        """Whether any two groups have the same speakers."""
        return any(one.paired for one in self.divisions)

    @property
    def independent(self) -> bool:
        """Whether any two compared groups have different speakers."""
        return any(one.gap is not None and not one.paired for one in self.divisions)


def _facts(board: Leaderboard) -> Facts:
    return Facts(board.divisions)


def _figures(board: Leaderboard, facts: Facts) -> dict[str, bytes]:
    if not facts.speakers:
        return {}
    return {PICTURE: speakers_figure(facts.speakers, METRICS[METRIC].title)}


def speakers_figure(divisions: Sequence[Division], metric: str) -> bytes:
    """Return the score of each test speaker, by corpus, best first.

    Parameters
    ----------
    divisions : sequence of Division
        By speaker, one per corpus; a line shows the score of all its speakers on these emotions.
    metric : str
    """
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        rows = sum(len(one.groups) + 1 for one in divisions)
        size = (WIDTH_IN, 0.9 + 0.24 * rows)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        axes = figure.subplots()
        names: dict[int, str] = {}
        for position, one in enumerate(divisions):
            colour = COLOURS[position % len(COLOURS)]
            first = len(names) + position
            for group in sorted(one.groups, key=lambda group: -group.score.value):
                row, score = len(names) + position, group.score
                names[row] = group.name
                axes.plot(score.value, row, color=colour, marker="o", ms=7, mec="white", mew=0.8)
            of = f"{title(one.corpus)}, these speakers together"
            name = f"{of}, {one.named_emotions}" if one.without else of
            mark_level(axes, one.whole, (first - 0.6, row + 0.6), name)
        axes.set_yticks(list(names), list(names.values()))
        axes.set_ylim(max(names) + 0.7, -0.7)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"{metric} of the speaker's clips")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return png_bytes(figure)


SECTION = Section("subgroups", _facts, _figures)
