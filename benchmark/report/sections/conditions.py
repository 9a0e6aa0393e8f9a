"""The selected models on the test clips under simulated conditions: a telephone line, a codec."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill

from benchmark.errors import BenchmarkError
from benchmark.evaluation.conditions import UnderCondition, under_conditions
from benchmark.evaluation.intervals import Score
from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.features import AS_RECORDED, AUGMENTATIONS, Augmentation, parse_chain
from benchmark.report import wording
from benchmark.report.figures import GREY, WIDTH_IN, annotate_line, house_style, png_bytes
from benchmark.report.markdown import NOTHING, capitalised, code, figure, plain
from benchmark.report.sections.headline import NAME_WIDTH, ROW, Style, protocol_style
from benchmark.report.sections.section import Section

PICTURE = "conditions.png"


@dataclass(frozen=True)
class Conditioned:
    """A system under all conditions, such as the selected model of a protocol.

    Attributes
    ----------
    protocol, model : str
        Names; the protocol of others' predictions may be empty.
    recorded : Score
        On the clips as recorded.
    measured : list of UnderCondition
    """

    protocol: str
    model: str
    recorded: Score
    measured: list[UnderCondition]

    @property
    def worst(self) -> UnderCondition:
        """The condition with the lowest score."""
        return min(self.measured, key=lambda one: one.score.value)

    @property
    def alike(self) -> list[str]:
        """The conditions whose difference has an interval that includes 0."""
        return [
            one.condition for one in self.measured if one.difference.interval and not one.differs
        ]


@dataclass(frozen=True)
class Facts:
    """The selected models under the conditions of a study.

    Attributes
    ----------
    protocols : list of Conditioned
    header, rows : list
        The scores as a table.
    meanings : list of (str, str)
        Each condition, and what it does in sentences.
    """

    protocols: list[Conditioned]
    header: list[str]
    rows: list[list[str]]
    meanings: list[tuple[str, str]]


def _facts(board: Leaderboard) -> Facts | None:
    if board.result.conditions is None:
        return None
    systems = [
        Conditioned(
            protocol,
            board.selected[protocol].model,
            board.selected_evaluation(protocol).scores[METRIC],
            under_conditions(board, protocol),
        )
        for protocol in board.protocols
    ]
    ends = [f", {wording.protocol_words(one.protocol).column}" for one in systems]
    rows = condition_rows(systems)
    return Facts(systems, condition_header(ends), rows, meanings(board.result.study.conditions))


def condition_header(ends: Iterable[str]) -> list[str]:
    """Return the columns of `condition_rows`; each system's two have its end."""
    metric = METRICS[METRIC].title
    return ["Condition", *(f"{name}{end}" for end in ends for name in (metric, "Difference"))]


def condition_rows(systems: Sequence[Conditioned]) -> list[list[str]]:
    """Return a row for each condition: score and difference of each system."""
    recorded = [cell for one in systems for cell in (figure(one.recorded), NOTHING)]
    rows = [
        [code(same[0].condition), *(cell for one in same for cell in _cells(one))]
        for same in zip(*(one.measured for one in systems), strict=True)
    ]
    return [[AS_RECORDED, *recorded], *rows]


def _cells(one: UnderCondition) -> tuple[str, str]:
    return figure(one.score), figure(one.difference)


def meanings(conditions: Iterable[str]) -> list[tuple[str, str]]:
    """Return what each condition does that is a chain of augmentations, as a sentence."""
    found = []
    for condition in conditions:
        try:
            steps = parse_chain(condition).steps
        except BenchmarkError:  # a name of others, who changed the recordings themselves
            continue
        words = "; then ".join(_step(AUGMENTATIONS[name], amount) for name, amount in steps)
        found.append((code(condition), f"{plain(capitalised(words))}."))
    return found


def _step(entry: Augmentation, amount: float) -> str:
    what = entry.description.rstrip(".")
    shown = f"{amount:g}".replace("-", "−")
    return f"{what[:1].lower()}{what[1:]} ({shown} {entry.unit})"


def _figures(board: Leaderboard, facts: Facts) -> dict[str, bytes]:
    styles = [protocol_style(board, one.protocol) for one in facts.protocols]
    chance = wording.chance_level(board.selected_evaluation(board.leading))
    words = f"{METRICS[METRIC].title} of the selected model, simulated conditions"
    return {PICTURE: conditions_figure(facts.protocols, styles, chance, words)}


def conditions_figure(
    systems: Sequence[Conditioned], styles: Sequence[Style], chance: float, words: str
) -> bytes:
    """Return the score under each condition as dots: a row per condition, a colour per system.

    Parameters
    ----------
    systems : sequence of Conditioned
    styles : sequence of Style
        Of each system.
    chance : float
    words : str
        Below the axis of the scores.
    """
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
        from matplotlib.lines import Line2D

        names = [AS_RECORDED, *(fill(one.condition, NAME_WIDTH) for one in systems[0].measured)]
        size = (WIDTH_IN, 1.3 + (0.14 + 0.2 * len(styles)) * len(names))
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        axes = figure.subplots()
        for place, (one, (colour, marker, _)) in enumerate(zip(systems, styles, strict=True)):
            axes.axvline(one.recorded.value, color=colour, lw=1, alpha=0.4, zorder=1)
            scores = [one.recorded, *(part.score for part in one.measured)]
            for row, score in enumerate(scores):
                height = row + ROW * ((place + 0.5) / len(styles) - 0.5)
                if score.interval:
                    axes.plot(score.interval, [height, height], color=colour, lw=2, zorder=3)
                axes.plot(
                    [score.value], [height], color=colour, marker=marker, ms=6, zorder=4,
                    mec="white" if score.interval else colour,
                    mfc=colour if score.interval else "white",
                )  # fmt: skip
                axes.annotate(
                    f"{score.value:.2f}", (1, height), xytext=(7, 0), textcoords="offset points",
                    va="center", fontsize=9.5, color=colour,
                )  # fmt: skip
        annotate_line(axes, chance, "chance level")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.set_xlabel(words)
        axes.grid(axis="x", zorder=0)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        handles = [
            Line2D([], [], color=colour, marker=marker, ms=7, mec="white", lw=2, label=label)
            for colour, marker, label in styles
        ]
        handles.append(Line2D([], [], color=GREY, lw=1, label="line: as recorded"))
        figure.legend(
            handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize=9.5
        )
        return png_bytes(figure)


SECTION = Section("conditions", _facts, _figures)
