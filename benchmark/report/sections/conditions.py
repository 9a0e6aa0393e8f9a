"""The selected models on the test clips under simulated conditions: a telephone line, a codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.evaluation.conditions import UnderCondition, under_conditions
from benchmark.evaluation.intervals import Score
from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.features import AUGMENTATIONS, Augmentation, parse_chain
from benchmark.report import wording
from benchmark.report.figures import GREY, WIDTH_IN, annotate_line, house_style, png_bytes
from benchmark.report.markdown import capitalised
from benchmark.report.sections.headline import ROW, Style, protocol_style
from benchmark.report.sections.section import Section

PICTURE = "conditions.png"
AS_RECORDED = "as recorded"


@dataclass(frozen=True)
class Conditioned:
    """The selected model of a protocol under all conditions.

    Attributes
    ----------
    protocol, model : str
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
    descriptions : list of (str, str)
        Each condition, and what it does in sentences.
    """

    protocols: list[Conditioned]
    descriptions: list[tuple[str, str]]


def _facts(board: Leaderboard) -> Facts | None:
    if board.result.conditions is None:
        return None
    return Facts(
        [
            Conditioned(
                protocol,
                board.selected[protocol].model,
                board.selected_evaluation(protocol).scores[METRIC],
                under_conditions(board, protocol),
            )
            for protocol in board.protocols
        ],
        [(condition, _description(condition)) for condition in board.result.study.conditions],
    )


def _description(condition: str) -> str:
    """Return what a chain does to a recording, with its amounts, as a sentence."""
    steps = [_step(AUGMENTATIONS[name], amount) for name, amount in parse_chain(condition).steps]
    return f"{capitalised('; then '.join(steps))}."


def _step(entry: Augmentation, amount: float) -> str:
    what = entry.description.rstrip(".")
    shown = f"{amount:g}".replace("-", "−")
    return f"{what[:1].lower()}{what[1:]} ({shown} {entry.unit})"


def _figures(board: Leaderboard, facts: Facts) -> dict[str, bytes]:
    styles = [protocol_style(board, one.protocol) for one in facts.protocols]
    chance = wording.chance_level(board.selected_evaluation(board.leading))
    return {PICTURE: conditions_figure(facts.protocols, styles, chance)}


def conditions_figure(
    protocols: Sequence[Conditioned], styles: Sequence[Style], chance: float
) -> bytes:
    """Return the score under each condition as dots: a row per condition, a colour per protocol."""
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
        from matplotlib.lines import Line2D

        names = [AS_RECORDED, *(one.condition for one in protocols[0].measured)]
        size = (WIDTH_IN, 1.3 + (0.14 + 0.2 * len(styles)) * len(names))
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        axes = figure.subplots()
        for place, (one, (colour, marker, _)) in enumerate(zip(protocols, styles, strict=True)):
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
        axes.set_xlabel(f"{METRICS[METRIC].title} of the selected model, simulated conditions")
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
