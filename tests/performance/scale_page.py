"""reports/scale.md and its figures, from stored measurements."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.engine.files import write_bytes, write_text
from benchmark.report.figures import BLUE, GREEN, GREY, VERMILLION, WIDTH_IN, house_style
from benchmark.report.markdown import count, listed
from benchmark.report.template import render

Measured = Sequence[Mapping[str, Any]]

STAGES = {
    "features": ("extract", "features"),
    "cached features": ("run-study", "looking up"),
    "tables": ("extract", "tables"),
    "tables and search": ("run-study", "tables and search"),
    "refits": ("run-study", "winners"),
    "results and pages": ("run-study", "test rows and pages"),
}
"""Columns of the first table: the command and its stage in the measurements, by title."""

COLOURS = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "oDs^vP"

PARTS = {"ask": "sampling", "store": "storing", "log": "logging", "all": "total"}

RESUME_PARTS = {"MLflow's runs": "runs of MLflow", "telling": "adding to the sampler"}
"""Parts of resuming a search, by their names in the measurements."""

INTENDED = {"clips": 100_000, "trials": 10_000, "ui": 10_000}
"""The largest size of each stage; a page without it says so."""


class Growth(NamedTuple):
    """Growth of the stages over the last step of sizes, and kB on disk per clip."""

    before: int
    last: int
    powers: list[str]
    disk_kb: float


def page(measured: Measured) -> str:
    """Return the page in Markdown."""
    clips, trials, resumed, ui = (
        _of(measured, stage) for stage in ("clips", "trials", "resume", "ui")
    )
    resume_parts = list(resumed[0]["seconds"]) if resumed else []
    text = render(
        "scale",
        folder=Path(__file__).parent,
        unfinished=_unfinished(measured),
        surroundings=_surroundings(measured),
        clips=clips,
        stages=list(STAGES),
        seconds=[
            [count(one["size"]), *(f"{_seconds(one, title):.1f}" for title in STAGES)]
            for one in clips
        ],
        growth=_growth(clips),
        memory=_memory_rows(clips),
        kilobytes=_kilobytes_per_clip(clips),
        trials=trials,
        trial_rows=[_trial_row(one) for one in trials],
        resume_parts=[RESUME_PARTS.get(part, part) for part in resume_parts],
        resumed=[
            [count(one["size"]), *(f"{one['seconds'][part]:.1f}" for part in resume_parts)]
            for one in resumed
        ],
        ui=ui[-1] if ui else None,
        ui_rows=_ui_rows(ui[-1]) if ui else [],
        page_s=[f"{seconds:.1f}" for seconds in ui[-1]["browser"]["seconds"]] if ui else [],
    )
    return f"{text}\n"


def _of(measured: Measured, stage: str) -> list[Mapping[str, Any]]:
    return [one for one in measured if one["stage"] == stage]


def _unfinished(measured: Measured) -> list[str]:
    """Return the stages that are not measured up to the intended size."""
    units = {"clips": "clips", "trials": "trials", "ui": "runs in the user interface"}
    largest = {
        stage: max((one["size"] for one in _of(measured, stage)), default=0) for stage in INTENDED
    }
    return [
        f"{units[stage]}: up to {largest[stage]:,} of {size:,}"
        for stage, size in INTENDED.items()
        if largest[stage] < size
    ]


def _surroundings(measured: Measured) -> list[list[str]]:
    """Return the day, machine and version of each measurement."""
    keys = ("day", "cores", "memory_gb", "system", "python", "version", "commit")
    rows: dict[tuple[str, ...], list[tuple[str, float]]] = {}
    for one in measured:
        made = tuple(str(one[key]) for key in keys)
        rows.setdefault(made, []).append((f"{one['stage']} {count(one['size'])}", one["load"]))
    return [
        [listed([name for name, _ in parts]), *made, _range([load for _, load in parts])]
        for made, parts in rows.items()
    ]


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"


def _seconds(one: Mapping[str, Any], title: str) -> float:
    command, stage = STAGES[title]
    return float(one["commands"][command]["seconds"][stage])


def _growth(clips: Measured) -> Growth | None:
    """Return the power of the number of clips with which each stage grew over the last step."""
    if len(clips) < 2:
        return None
    before, last = clips[-2:]
    ratio = log(last["size"] / before["size"])
    powers = [
        f"{title} {log(_seconds(last, title) / _seconds(before, title)) / ratio:.2f}"
        for title in STAGES
    ]
    return Growth(before["size"], last["size"], powers, 1000 * last["disk_mb"] / last["size"])


def _memory(one: Mapping[str, Any], process: str, title: str, kind: str) -> float | None:
    command, stage = STAGES[title]
    measured = one["commands"][command][f"{process}_mb"].get(stage)
    return float(measured[kind]) if measured else None


def _kilobytes_per_clip(clips: Measured) -> float:
    """Return the growth of the main process's own memory in extraction."""
    if not clips:
        return 0.0
    own = [_memory(one, "main", "features", "own") or 0.0 for one in clips]
    return 1000 * (own[-1] - own[0]) / max(1, clips[-1]["size"] - clips[0]["size"])


def _memory_rows(clips: Measured) -> list[list[str]]:
    titles = ("features", "tables", "tables and search", "results and pages")
    rows = []
    for one in clips:
        for process, words in (("main", "main"), ("worker", "worker")):
            cells = [
                ", ".join(
                    "–" if value is None else f"{value:,.0f}"
                    for kind in ("own", "resident")
                    for value in [_memory(one, process, title, kind)]
                )
                for title in titles
            ]
            rows.append([count(one["size"]), words, *cells])
    return rows


def _trial_row(one: Mapping[str, Any]) -> list[str]:
    return [
        count(one["size"]),
        *(f"{one['last_ms'][part]:.1f}" for part in PARTS),
        f"{one['search_s'] / one['new_trials']:.3f}",
        f"{one['main_mb']['resident']:.0f}",
        f"{sum(one['disk_mb'].values()):.0f}",
        f"{one['load']:.1f}",
    ]


def _ui_rows(ui: Mapping[str, Any]) -> list[list[str]]:
    """Return the seconds of lists of runs."""
    return [
        [
            f"{count(found['runs'])} runs, {count(int(size))} per page",
            f"{found['first_s']:.2f}",
            f"{found['last_s']:.2f}",
            f"{found['all_s']:.1f}",
        ]
        for size, found in ui["pages"].items()
    ]


# Figures


def svg(figure: Any) -> bytes:
    """Return a figure as SVG without date and random names: same bytes for the same Matplotlib."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "scale"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]


def lines_figure(lines: Lines, across: str, up: str, *, linear: str = "") -> bytes:
    """Return lines on two logarithmic axes.

    Parameters
    ----------
    lines : mapping of str to (sizes, values)
    across, up : str
        Labels of the axes.
    linear : str
        The line from whose first point linear growth is drawn in grey; none if empty.
    """
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator

        figure = Figure(figsize=(WIDTH_IN, 4.2), layout="constrained")
        axes = figure.subplots()
        for (name, (sizes, values)), colour, marker in zip(
            lines.items(), COLOURS, MARKERS, strict=False
        ):
            axes.plot(
                sizes, values, color=colour, marker=marker, lw=2, ms=6, mec="white", label=name
            )
        if linear:
            sizes, values = lines[linear]
            growth = [values[0] * size / sizes[0] for size in sizes]
            axes.plot(sizes, growth, color=GREY, ls=(0, (4, 3)), lw=1, label="linear")
        axes.set(xscale="log", yscale="log", xlabel=across, ylabel=up)
        ticks = sorted({size for sizes, _ in lines.values() for size in sizes})
        axes.set_xticks(ticks, [f"{size:,.0f}" for size in ticks])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.minorticks_off()
        axes.grid(axis="y")
        axes.legend(frameon=False, fontsize=9.5, loc="center left", bbox_to_anchor=(1, 0.5))
        return svg(figure)


def figures(measured: Measured) -> dict[str, bytes]:
    """Return the figures by file name."""
    clips, trials = _of(measured, "clips"), _of(measured, "trials")
    drawn = {}
    if clips:
        sizes = [one["size"] for one in clips]
        timed = {title: (sizes, [_seconds(one, title) for one in clips]) for title in STAGES}
        own = {
            f"{words}, {title}": (sizes, [_memory(one, who, title, "own") or 0.0 for one in clips])
            for who, words in (("main", "main process"), ("worker", "worker"))
            for title in ("features", "tables", "tables and search")
        }
        del own["worker, tables"]  # only the main process makes tables
        drawn["scale_clips.svg"] = lines_figure(timed, "clips", "seconds", linear="features")
        drawn["scale_memory.svg"] = lines_figure(own, "clips", "own memory, MB")
    if trials:
        sizes = [one["size"] for one in trials]
        cost = {
            words: (sizes, [one["last_ms"][part] for one in trials])
            for part, words in PARTS.items()
        }
        drawn["scale_trials.svg"] = lines_figure(cost, "trials", "milliseconds of one trial")
    return drawn


def write_page(measured: Measured, reports: Path) -> None:
    """Write the page and its figures below a folder of reports."""
    for name, content in figures(measured).items():
        write_bytes(reports / "figures" / name, content)
    write_text(reports / "scale.md", page(measured))
