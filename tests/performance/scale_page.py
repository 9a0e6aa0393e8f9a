"""reports/scale.md and its figures, made of stored measurements alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.engine.files import write_bytes, write_text
from benchmark.report.figures import BLUE, GREEN, GREY, VERMILLION, WIDTH_IN, house_style
from benchmark.report.markdown import count, listed, table

Measured = Sequence[Mapping[str, Any]]

STAGES = {
    "features": ("extract", "features"),
    "looking up known features": ("run-study", "looking up"),
    "tables": ("extract", "tables"),
    "tables and search": ("run-study", "tables and search"),
    "winners": ("run-study", "winners"),
    "test rows and pages": ("run-study", "test rows and pages"),
}
"""The columns of the first table: by title the command and its stage."""

COLOURS = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "oDs^vP"

PARTS = {"ask": "asking", "store": "storing", "log": "logging", "all": "a trial in all"}

NATURE = """
Made by `python -m tests.performance.scale` from the measurements in [scale.jsonl](scale.jsonl). \
Other pages hold no times of a machine; this one is of nothing else, and another machine or \
another day gives other figures. What is to be read from it is how they grow.
"""

CLIPS = """
## Clips

Short sound files of 0.6 s (16 kHz, 16 bits), fifty a speaker, made by code and read through the \
corpus `csv`; feature set `means-184`; protocols `random` and `speaker`; one search of four \
trials of logistic regression on three folds under each. Whole processes on two workers: \
`extract` with an empty cache, then `run-study`, which finds the features there. Seconds by \
stage:
"""

MEMORY = """
Peak memory in MB, by stage. *Own* is what a process alone holds; *all* adds the libraries and \
files that it has mapped, which the system may drop and read again. Of the workers the largest \
one:
"""

MEMORY_WORDS = """
Extraction holds the features of no clip: a worker has a task's dozen recordings, one after the \
other, and the main process writes rows to a file as they come and maps it. What grows in the \
main process is what it knows of each clip (path, name, speaker, emotion, two digests and its \
place): {known:.1f} kB a clip, against 0.7 kB of features, which it does not hold. Tables are \
joined one protocol at a time, which needs the training rows of one once; then they are mapped \
from disk as well. A worker that fits has the rows that it learns from, and scikit-learn's \
copies of them: linear in clips, by the nature of these models. Test rows and pages grow with \
the test clips times models, which is the table of predictions.
"""

TRIALS = """
## Trials

One search of a model that takes a few milliseconds on a table of ninety clips, so that what is \
measured is everything but the fits: two workers, TPE over four parameters, trials in SQLite, \
runs in MLflow on SQLite. The search grows from size to size, each time taken up by a new \
process. Milliseconds of one trial, means over the last tenth of the trials before each size:
"""

TRIALS_WORDS = """
Storing and logging a trial cost the same whatever the number, on a machine that has nothing else \
to do (*load*, as the measurement began, slows them: a row with twice another's is slower in all \
its columns); logging goes on in a thread of its own, beside the search. Asking grows with the \
number of trials, so that all asking grows with its square: TPE sorts all earlier trials and fits \
two densities to them each time it is asked. That is the method itself; what was ours of it has \
gone (the space is told, not sought among all trials; the best trial is kept, not sought). It \
stays below the cost of a fit of a \
second at any number measured here; who wants more than some thousands of trials takes `sampler \
= "random"`, whose asking does not grow, or several studies.

Taking up a finished search, seconds of each part. Stored trials are told to the sampler as they \
are; only the first twenty are asked for again, to see that they belong to the search:
"""

UI = """
## MLflow's UI

`python -m benchmark ui` on the runs of the largest search. The page asks for {page} runs at a \
time, sorted by score, and for the next ones at the foot of the table:
"""

BEYOND = """
## At 10 million clips

What would break first is not memory but the tables for people: `train.csv` takes about 2 kB a \
row, 20 GB a protocol, and no one opens such a file; one would leave it out above a million \
rows, or write Parquet. At the same point a search stops being practical: each fit reads all \
rows (7 GB of float32) and scikit-learn's logistic regression and forests want copies of them in \
memory, so two workers need some 30 GB; one would tune on a sample of speakers, or take models \
that learn by batches (`partial_fit`, networks), whose arrays are already mapped and not copied. \
Then the main process: some 25 GB for what it knows of the clips, which are Python objects; one \
would keep them as columns of an Arrow table and make a clip when it is asked for. The cache of \
features, one SQLite file of about 10 GB a feature set, would still do, but a warm run reads \
every recording to see that it is the same one: hours on a disk; one would trust size and date \
where the user says so. Extraction itself divides over a cluster's workers and has no part that \
grows faster than the clips: at the rate above, 10 million of these clips take some hours on two \
cores. MLflow and Optuna do not see clips at all. Of a result, `predictions.csv` has a row a \
test clip and model, some GB; the bootstrap intervals of the pages draw from it, and would be \
drawn from counts by speaker instead.
"""


ASKED = {"clips": 100_000, "trials": 10_000, "ui": 10_000}
"""The largest size of each stage; a page that stops below it says so."""


def _unfinished(measured: Measured) -> list[str]:
    """Return a box on the sizes that are not measured yet; nothing where all are."""
    largest = {
        stage: max((one["size"] for one in _of(measured, stage)), default=0) for stage in ASKED
    }
    units = {"clips": "clips", "trials": "trials", "ui": "runs in the UI"}
    lacking = [
        f"{units[stage]}: up to {largest[stage]:,} of {asked:,}"
        for stage, asked in ASKED.items()
        if largest[stage] < asked
    ]
    words = "**Not finished.** Measured so far, and said below, is no more than this"
    return [f"> [!CAUTION]\n> {words}: {'; '.join(lacking)}."] if lacking else []


def page(measured: Measured) -> str:
    """Return the page in Markdown."""
    clips, trials, resumed, ui = (
        _of(measured, stage) for stage in ("clips", "trials", "resume", "ui")
    )
    parts = ["# How time and memory grow with the work", *_unfinished(measured), NATURE]
    parts += [_surroundings(measured)]
    if clips:
        parts += [CLIPS, _seconds_table(clips), _figure("clips", "seconds by stage against clips")]
        parts += [_growth(clips), MEMORY, _memory_table(clips)]
        known = MEMORY_WORDS.format(known=_kilobytes_a_clip(clips))
        parts += [_figure("memory", "peak memory against clips"), known]
    if trials:
        parts += [TRIALS, _trials_table(trials), _figure("trials", "milliseconds of one trial")]
        parts += [TRIALS_WORDS, _resume_table(resumed)]
    if ui:
        parts += [UI.format(page=ui[-1]["browser"]["asked_for"]), _ui_table(ui[-1])]
    return "\n\n".join(part.strip() for part in [*parts, BEYOND]) + "\n"


def _of(measured: Measured, stage: str) -> list[Mapping[str, Any]]:
    return [one for one in measured if one["stage"] == stage]


def _figure(name: str, words: str) -> str:
    return f"![{words}](figures/scale_{name}.svg)"


def _surroundings(measured: Measured) -> str:
    """Return when, on what kind of machine and by which version each part was measured."""
    keys = ("day", "cores", "memory_gb", "system", "python", "version", "commit")
    rows = {}
    for one in measured:
        made = tuple(str(one[key]) for key in keys)
        rows.setdefault(made, []).append((f"{one['stage']} {count(one['size'])}", one["load"]))
    header = ["measured", "day", "cores", "GB", "system", "Python", "version", "commit", "load"]
    lines = [
        [listed([name for name, _ in what]), *made, _span([load for _, load in what])]
        for made, what in rows.items()
    ]
    words = "*Load* is the system's as each measurement began: above 0, others worked beside it."
    return f"{table(header, lines, words=(0, 1, 4, 5, 6, 7))}\n\n{words}"


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"


def _seconds(one: Mapping[str, Any], title: str) -> float:
    command, stage = STAGES[title]
    return float(one["commands"][command]["seconds"][stage])


def _seconds_table(clips: Measured) -> str:
    rows = [
        [count(one["size"]), *(f"{_seconds(one, title):.1f}" for title in STAGES)] for one in clips
    ]
    return table(["clips", *STAGES], rows, words=())


def _growth(clips: Measured) -> str:
    """Return by what power of the clips each stage grew over the last step."""
    from math import log

    if len(clips) < 2:
        return ""
    before, last = clips[-2:]
    ratio = log(last["size"] / before["size"])
    powers = [
        f"{title} {log(_seconds(last, title) / _seconds(before, title)) / ratio:.2f}"
        for title in STAGES
    ]
    return (
        f"From {count(before['size'])} to {count(last['size'])} clips, time grew with this power "
        f"of their number (1 is linear): {listed(powers)}. The disk holds "
        f"{1000 * last['disk_mb'] / last['size']:.1f} kB a clip in the end: cache, tables, results."
    )


def _memory(one: Mapping[str, Any], who: str, title: str, kind: str) -> float | None:
    command, stage = STAGES[title]
    found = one["commands"][command][f"{who}_mb"].get(stage)
    return float(found[kind]) if found else None


def _kilobytes_a_clip(clips: Measured) -> float:
    """Return by how much the main process's own memory grows in extraction, from end to end."""
    sizes = [one["size"] for one in clips]
    held = [_memory(one, "main", "features", "own") or 0.0 for one in clips]
    return 1000 * (held[-1] - held[0]) / max(1, sizes[-1] - sizes[0])


def _memory_table(clips: Measured) -> str:
    titles = ("features", "tables", "tables and search", "test rows and pages")
    header = ["clips", "process", *(f"{title}: own, all" for title in titles)]
    rows = []
    for one in clips:
        for who, words in (("main", "main"), ("worker", "a worker")):
            cells = [
                ", ".join(
                    "–" if found is None else f"{found:,.0f}"
                    for kind in ("own", "resident")
                    for found in [_memory(one, who, title, kind)]
                )
                for title in titles
            ]
            rows.append([count(one["size"]), words, *cells])
    return table(header, rows, words=(1,))


def _trials_table(trials: Measured) -> str:
    header = [
        "trials",
        *PARTS.values(),
        "search, s a trial of all",
        "main process, MB",
        "MB on disk",
        "load",
    ]
    rows = [
        [
            count(one["size"]),
            *(f"{one['last_ms'][part]:.1f}" for part in PARTS),
            f"{one['search_s'] / one['new_trials']:.3f}",
            f"{one['main_mb']['resident']:.0f}",
            f"{sum(one['disk_mb'].values()):.0f}",
            f"{one['load']:.1f}",
        ]
        for one in trials
    ]
    return table(header, rows, words=())


def _resume_table(resumed: Measured) -> str:
    parts = list(resumed[0]["seconds"]) if resumed else []
    rows = [
        [count(one["size"]), *(f"{one['seconds'][part]:.1f}" for part in parts)] for one in resumed
    ]
    return table(["trials", *parts], rows, words=()) if rows else ""


def _ui_table(ui: Mapping[str, Any]) -> str:
    """Return the seconds of lists of runs, and of the page in a browser."""
    rows = [
        [
            f"{count(found['runs'])} runs, {count(int(size))} at a time",
            f"{found['first_s']:.2f}",
            f"{found['last_s']:.2f}",
            f"{found['all_s']:.1f}",
        ]
        for size, found in ui["pages"].items()
    ]
    first, *later = ui["browser"]["seconds"]
    words = (
        f"The load was {ui['load']:.1f} as it began. "
        f"The server answers {ui['start_s']:.0f} s after its start. In Chromium the table of runs "
        f"stands after {first:.1f} s the first time, and {listed([f'{s:.1f}' for s in later])} s "
        "when it is opened again. Listing all runs page by page grows faster than their number, "
        "as each page sorts them all; nobody scrolls through 10,000, and the first page is what "
        "counts."
    )
    header = ["list", "first page, s", "last page, s", "all, s"]
    return f"{table(header, rows)}\n\n{words}"


# Figures


def svg(figure: Any) -> bytes:
    """Return a figure as SVG, without the date and the random names that would change its bytes.

    Matplotlib's version stays in it: another one draws other bytes.
    """
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
        What the axes count.
    linear : str
        The line beside which a grey one of linear growth is drawn; none if empty.
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
            grown = [values[0] * size / sizes[0] for size in sizes]
            axes.plot(sizes, grown, color=GREY, ls=(0, (4, 3)), lw=1, label="linear")
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
        held = {
            f"{words}, {title}": (sizes, [_memory(one, who, title, "own") or 0.0 for one in clips])
            for who, words in (("main", "main process"), ("worker", "a worker"))
            for title in ("features", "tables", "tables and search")
        }
        del held["a worker, tables"]  # there is nothing for it to do
        drawn["scale_clips.svg"] = lines_figure(timed, "clips", "seconds", linear="features")
        drawn["scale_memory.svg"] = lines_figure(held, "clips", "own memory, MB")
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
