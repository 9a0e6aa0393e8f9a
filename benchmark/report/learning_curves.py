"""The section on learning curves: how each winner's score grows with its training clips."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.report import wording
from benchmark.report.figures import LearningCurve
from benchmark.report.markdown import address, capitalised, number, signed

PICTURE = "learning_curves.png"


def panels(result: Result) -> list[list[LearningCurve]]:
    """Return the curves to draw, a row a model and a column a protocol; none without curves."""
    if result.curves is None or result.curves.empty:
        return []
    named = dict(iter(result.curves.groupby(["protocol", "model"], sort=False)))
    protocols = list(dict.fromkeys(result.curves["protocol"]))
    return [
        [_panel(result, p, model, named[p, model]) for p in protocols if (p, model) in named]
        for model in dict.fromkeys(result.curves["model"])
    ]


def size(result: Result) -> str:
    """Return what a curve's points count."""
    return "training clips with their copies" if result.study.augment else "training clips"


def section(result: Result) -> Iterator[str]:
    """Yield the section on learning curves; nothing without curves."""
    if result.curves is None or result.curves.empty:
        return
    metric = METRICS[result.study.search.metric].title
    yield "## Learning curves"
    yield (
        f"Each winner, fitted once more on growing shares of its {size(result)}: its {metric} on "
        "what it learned from (training), and on the inner folds' validation clips."
    )
    yield f"![{metric} by training clips]({address('figures', result.name, PICTURE)})"
    yield wording.sentences(["Bands: one standard deviation over the inner folds on either side."])
    growths = [
        f"- {_growth(result, str(protocol), str(model), part, metric)}"
        for (protocol, model), part in result.curves.groupby(["protocol", "model"], sort=False)
    ]
    yield "\n".join(growths)


def _panel(result: Result, protocol: str, model: str, curve: pd.DataFrame) -> LearningCurve:
    column = wording.protocol_words(protocol).column
    return LearningCurve(
        f"{wording.model_title(result, model)}, {column}",
        curve.groupby("fraction")["rows"].mean().to_numpy(),
        curve.pivot_table(index="fraction", columns="fold", values="training").to_numpy(),
        curve.pivot_table(index="fraction", columns="fold", values="validation").to_numpy(),
    )


def _growth(result: Result, protocol: str, model: str, curve: pd.DataFrame, metric: str) -> str:
    """Return whether the validation score still rises at the curve's end, in a sentence."""
    validation = curve.pivot_table(
        index="fraction", columns="fold", values="validation"
    ).sort_index()
    steps = validation.iloc[-1] - validation.iloc[-2]
    step, spread = float(steps.mean()), float(steps.std(ddof=0))
    before, after = (f"{100 * share:.0f} %" for share in validation.index[-2:])
    verdict = "still rises: more clips should help"
    if step <= spread:
        verdict = "no longer rises beyond what the folds differ by"
    if step < -spread:
        verdict = "falls"
    title = wording.model_title(result, model)
    return (
        f"**{capitalised(title)}, {wording.protocol_words(protocol).column}**: from {before} to "
        f"{after} of the clips, validation {metric} changes by {signed(step)} ± {number(spread)} "
        f"(mean and standard deviation over {len(steps)} folds): it {verdict}."
    )
