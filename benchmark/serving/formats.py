"""Predictions as table rows, CSV, JSON and figures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np

from benchmark.report.figures import WIDTH_IN
from benchmark.report.timeline_figure import ChannelPanel, clock, timeline_figure
from benchmark.serving.predictor import Prediction
from benchmark.serving.timeline import Timeline, Window, channel_title
from benchmark.tracking.cards import Card

COLUMNS = ("emotion", "probability", "next", "length", "file")
TIMELINE_COLUMNS = ("time", "channel", "emotion", "probability")


@dataclass(frozen=True)
class FilePrediction:
    """The prediction for a file, or the reason why there is none.

    Attributes
    ----------
    file : str
        Path as given, or below the given folder or table.
    prediction : Prediction or None
    reason : str
        Empty if there is a prediction.
    """

    file: str
    prediction: Prediction | None
    reason: str = ""


@dataclass(frozen=True)
class FileTimeline:
    """The timeline of a file, or the reason why there is none.

    Attributes
    ----------
    file : str
    timeline : Timeline or None
    reason : str
        Empty if there is a timeline.
    """

    file: str
    timeline: Timeline | None
    reason: str = ""


def table_rows(predictions: Iterable[FilePrediction]) -> list[tuple[str, ...]]:
    """Return predictions as rows of `COLUMNS`."""
    return [(*_cells(one), one.file) for one in predictions]


def _cells(one: FilePrediction) -> tuple[str, ...]:
    prediction = one.prediction
    if prediction is None:
        return "none", "", one.reason, ""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    second = ", ".join(f"{name} {_percent(value)}" for name, value in ranked[1:2])
    first = _percent(prediction.probabilities[prediction.emotion])
    return prediction.emotion, first, second, f"{prediction.duration_s:.1f} s"


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %"


def to_csv(predictions: Iterable[FilePrediction], emotions: Sequence[str]) -> str:
    """Return predictions as CSV: file, emotion, p_<emotion>..., duration_s and reason.

    Each probability is the shortest number that reads back as the same float32, as in the stored
    predictions of a study.
    """
    header = ["file", "emotion", *(f"p_{name}" for name in emotions), "duration_s", "reason"]
    rows: list[list[object]] = []
    for one in predictions:
        if one.prediction is None:
            rows.append([one.file, "", *("" for _ in emotions), "", one.reason])
        else:
            exact = _exact(one.prediction.probabilities, emotions)
            rows.append([one.file, one.prediction.emotion, *exact, one.prediction.duration_s, ""])
    return _csv(header, rows)


def to_json(card: Card, predictions: Iterable[FilePrediction]) -> str:
    """Return predictions as JSON, with the model's reference and its measured performance.

    Probabilities are exact float32 values.
    """
    return _json(card, "predictions", [_entry(one) for one in predictions])


def _entry(one: FilePrediction) -> dict[str, Any]:
    if one.prediction is None:
        return {"file": one.file, "reason": one.reason}
    return {
        "file": one.file,
        "emotion": one.prediction.emotion,
        "probabilities": one.prediction.probabilities,
        "duration_s": one.prediction.duration_s,
    }


def timeline_rows(timeline: Timeline) -> list[tuple[str, ...]]:
    """Return a timeline as rows of `TIMELINE_COLUMNS`.

    Consecutive windows of one emotion are one row with their mean probability.
    """
    rows: list[tuple[str, ...]] = []
    for channel in range(timeline.channels):
        title = channel_title(channel, timeline.channels)
        for label, group in groupby(timeline.segments(channel), key=_label):
            run = list(group)
            values = [window.probabilities[window.emotion] for *_, window in run if window.emotion]
            probability = _percent(float(np.mean(values))) if values else ""
            rows.append((f"{clock(run[0][0])} to {clock(run[-1][1])}", title, label, probability))
    return rows


def _label(segment: tuple[float, float, Window]) -> str:
    *_, window = segment
    return window.emotion or window.reason


def timelines_to_csv(timelines: Iterable[FileTimeline], emotions: Sequence[str]) -> str:
    """Return timelines as CSV, with a row for each window."""
    header = ["file", "start_s", "end_s", "channel", "emotion"]
    header += [*(f"p_{name}" for name in emotions), "reason"]
    rows: list[list[object]] = []
    for one in timelines:
        if one.timeline is None:
            rows.append([one.file, "", "", "", "", *("" for _ in emotions), one.reason])
            continue
        for window in one.timeline.windows:
            exact = _exact(window.probabilities, emotions)
            position = [one.file, window.start_s, window.end_s, window.channel]
            rows.append([*position, window.emotion, *exact, window.reason])
    return _csv(header, rows)


def timelines_to_json(card: Card, timelines: Iterable[FileTimeline]) -> str:
    """Return timelines as JSON, with the model's reference and its measured performance."""
    return _json(
        card,
        "timelines",
        [
            {"file": one.file}
            | ({"reason": one.reason} if one.timeline is None else one.timeline.to_dict())
            for one in timelines
        ],
    )


def figure(
    timeline: Timeline,
    emotions: Sequence[str],
    *,
    heading: str = "",
    form: Literal["png", "svg"] = "png",
    width_in: float = WIDTH_IN,
) -> bytes:
    """Return a timeline as a figure; see `report.timeline_figure`."""
    return timeline_figure(
        [_panel(timeline, emotions, channel) for channel in range(timeline.channels)],
        emotions,
        timeline.duration_s,
        heading=heading,
        picture=form,
        width_in=width_in,
    )


def _panel(timeline: Timeline, emotions: Sequence[str], channel: int) -> ChannelPanel:
    windows = [window for window in timeline.windows if window.channel == channel]
    return ChannelPanel(
        title=channel_title(channel, timeline.channels),
        middles_s=np.array([(window.start_s + window.end_s) / 2 for window in windows]),
        probabilities=np.array(
            [[window.probabilities.get(name, np.nan) for name in emotions] for window in windows]
        ),
        envelope=np.array(timeline.envelope[channel] if timeline.envelope else ()),
    )


def _exact(probabilities: dict[str, float], emotions: Sequence[str]) -> list[str]:
    """Return probabilities as the shortest text that reads back as the same float32."""
    return [str(np.float32(probabilities[name])) if probabilities else "" for name in emotions]


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return _encodable(text.getvalue())


def _json(card: Card, key: str, entries: Sequence[dict[str, Any]]) -> str:
    document = {
        "model": card.reference,
        "emotions": card.emotions,
        "measured": card.trust.model_dump(mode="json"),
        key: entries,
    }
    return _encodable(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _encodable(text: str) -> str:
    """Return text with parts of file names that are not UTF-8 as escapes, which are valid JSON."""
    return text.encode(errors="backslashreplace").decode()
