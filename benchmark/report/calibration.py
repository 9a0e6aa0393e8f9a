"""The section on calibration: whether the chosen model is as often right as it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evaluation.calibration import (
    BINS,
    Calibration,
    calibration,
    fit_temperature,
    tempered,
)
from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.results import Result
from benchmark.report import wording
from benchmark.report.markdown import address, capitalised, listed, number, table

PICTURE = "calibration.png"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibrated:
    """The chosen model of a protocol, as it is and at temperatures from its out-of-fold rows.

    Attributes
    ----------
    protocol, model : str
    before : Calibration
    temperatures : tuple of float
        One for each part of the protocol; empty where no out-of-fold rows are stored.
    after : Calibration or None
    """

    protocol: str
    model: str
    before: Calibration
    temperatures: tuple[float, ...]
    after: Calibration | None


def calibrated(board: Leaderboard, protocol: str) -> Calibrated:
    """Return what the probabilities of a protocol's chosen model are worth."""
    result, model = board.result, board.selected[protocol].model
    tested = _by_part(result.predictions, protocol, model)
    learned = {} if result.out_of_fold is None else _by_part(result.out_of_fold, protocol, model)
    truth = np.concatenate([_truth(rows, result.emotions) for rows in tested.values()])
    before = np.concatenate([_probabilities(rows, result.emotions) for rows in tested.values()])
    if not set(tested) <= set(learned):
        return Calibrated(protocol, model, calibration(before, truth), (), None)
    temperatures = {part: _temperature(learned[part], result) for part in tested}
    after = np.concatenate(
        [
            tempered(_probabilities(rows, result.emotions), temperatures[part])
            for part, rows in tested.items()
        ]
    )
    return Calibrated(
        protocol,
        model,
        calibration(before, truth),
        tuple(temperatures.values()),
        calibration(after, truth),
    )


def section(board: Leaderboard) -> Iterator[str]:
    """Yield the section."""
    result = board.result
    found = [calibrated(board, protocol) for protocol in board.protocols]
    yield "## Calibration"
    yield "\n".join(f"- {_sentence(result, one)}" for one in found)
    alt = "Reliability of the chosen model's probabilities by protocol"
    yield f"![{alt}]({address('figures', result.name, PICTURE)})"
    header = ["Test", "Model", "Temperature", "Calibration error", "by chance alone"]
    header += ["Brier score", "Log loss"]
    yield table(header, [row for one in found for row in _rows(result, one)], words=range(2))
    yield wording.sentences(_notes(found))


def _sentence(result: Result, one: Calibrated) -> str:
    column = capitalised(wording.protocol_words(one.protocol).column)
    said, right = _means(one.before)
    verdict = "too sure" if said > right else "not sure enough"
    model = wording.named(result, one.model)
    text = f"**{column}**: {model} says {_percent(said)} on average, and is right {_percent(right)}"
    if one.before.error <= 1.5 * one.before.error_by_chance:
        return f"{text}: calibrated, as far as so many clips can tell."
    mended = ""
    if one.after is not None:
        said, right = _means(one.after)
        mended = f" After calibration it says {_percent(said)}."
    return f"{text}: it is {verdict}.{mended}"


def _means(one: Calibration) -> tuple[float, float]:
    """Return the mean confidence and the share of right predictions."""
    weights = one.curve["clips"]
    said, right = (
        np.average(one.curve[key], weights=weights) for key in ("confidence", "accuracy")
    )
    return float(said), float(right)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _rows(result: Result, one: Calibrated) -> Iterator[list[str]]:
    column = wording.protocol_words(one.protocol).column
    model = wording.model_title(result, one.model)
    yield [column, model, "1", *_figures(one.before)]
    if one.after is not None:
        temperature = " to ".join(
            dict.fromkeys(f"{edge(one.temperatures):.2f}" for edge in (min, max))
        )
        yield [column, f"{model}, calibrated", temperature, *_figures(one.after)]


def _figures(one: Calibration) -> list[str]:
    return [number(value) for value in (one.error, one.error_by_chance, one.brier, one.log_loss)]


def _notes(found: Sequence[Calibrated]) -> Iterator[str]:
    yield (
        "Calibration error: the mean distance of confidence and accuracy over clips, in "
        f"{BINS} bins of equally many clips, fewer where there are few (Guo et al. 2017; Nixon et "
        "al. 2019); by chance alone: what probabilities that are exactly right would show on as "
        "many clips. Brier score: 0 to 2, lower is better."
    )
    if any(one.after for one in found):
        yield (
            "Calibrated: one temperature, fitted on the training clips' out-of-fold probabilities "
            "(Guo et al. 2017); it changes no prediction."
        )
    lacking = [wording.protocol_words(one.protocol).column for one in found if one.after is None]
    if lacking:
        yield (
            f"No calibrated row of {listed(lacking)}: out-of-fold probabilities are not stored "
            "with this result."
        )


def _by_part(table_: pd.DataFrame, protocol: str, model: str) -> dict[str, pd.DataFrame]:
    """Return one model's rows under a protocol, by the protocol's parts."""
    rows = table_[(table_["protocol"] == protocol) & (table_["model"] == model)]
    part = rows["part"] if "part" in rows else pd.Series("", index=rows.index)
    return {str(name): rows[part == name] for name in dict.fromkeys(part)}


def _temperature(rows: pd.DataFrame, result: Result) -> float:
    return fit_temperature(_probabilities(rows, result.emotions), _truth(rows, result.emotions))


def _probabilities(rows: pd.DataFrame, emotions: Sequence[str]) -> Floats:
    columns = rows[[f"p_{emotion}" for emotion in emotions]].to_numpy(dtype=np.float64)
    return np.asarray(columns / columns.sum(axis=1, keepdims=True), dtype=np.float64)


def _truth(rows: pd.DataFrame, emotions: Sequence[str]) -> NDArray[np.int64]:
    places = pd.Index(emotions).get_indexer(pd.Index(rows["emotion"]))
    return np.asarray(places, dtype=np.int64)
