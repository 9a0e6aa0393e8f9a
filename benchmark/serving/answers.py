"""Answers for people and programs: predictions as rows of a table, CSV, JSON and a picture."""

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
class Answer:
    """What a model says of a file, or why it says nothing.

    Attributes
    ----------
    file : str
        As it was named, or below the folder or table that was.
    prediction : Prediction or None
    reason : str
        Why there is none; else empty.
    """

    file: str
    prediction: Prediction | None
    reason: str = ""


@dataclass(frozen=True)
class FileTimeline:
    """What a model says of a file over time, or why it says nothing.

    Attributes
    ----------
    file : str
    timeline : Timeline or None
    reason : str
        Why there is none; else empty.
    """

    file: str
    timeline: Timeline | None
    reason: str = ""


def table_rows(answers: Iterable[Answer]) -> list[tuple[str, ...]]:
    """Return answers as rows of `COLUMNS`, for people."""
    return [(*_told(answer), answer.file) for answer in answers]


def _told(answer: Answer) -> tuple[str, ...]:
    said = answer.prediction
    if said is None:
        return "none", "", answer.reason, ""
    ranked = sorted(said.probabilities, key=lambda emotion: -said.probabilities[emotion])
    others = [f"{name} {_percent(said.probabilities[name])}" for name in ranked[1:2]]
    first = _percent(said.probabilities[said.emotion])
    return said.emotion, first, ", ".join(others), f"{said.duration_s:.1f} s"


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %"


def to_csv(answers: Iterable[Answer], emotions: Sequence[str]) -> str:
    """Return answers as CSV: file, emotion, a probability for each, duration_s and reason.

    Each probability is the shortest number that is read back as the same float32, as in the stored
    predictions of a study.
    """
    header = ["file", "emotion", *(f"p_{name}" for name in emotions), "duration_s", "reason"]
    rows: list[list[object]] = []
    for answer in answers:
        said = answer.prediction
        if said is None:
            rows.append([answer.file, "", *("" for _ in emotions), "", answer.reason])
        else:
            exact = _exact(said.probabilities, emotions)
            rows.append([answer.file, said.emotion, *exact, said.duration_s, ""])
    return _csv(header, rows)


def to_json(card: Card, answers: Iterable[Answer]) -> str:
    """Return answers as JSON, with the model's reference and how far to trust it.

    Each probability is the exact value of its float32.
    """
    return _json(card, [_answer(answer) for answer in answers])


def _answer(answer: Answer) -> dict[str, Any]:
    said = answer.prediction
    if said is None:
        return {"file": answer.file, "reason": answer.reason}
    return {
        "file": answer.file,
        "emotion": said.emotion,
        "probabilities": said.probabilities,
        "duration_s": said.duration_s,
    }


def timeline_rows(timeline: Timeline) -> list[tuple[str, ...]]:
    """Return a timeline as rows of `TIMELINE_COLUMNS`, for people.

    Neighbours of the same emotion are one row, with the mean of its probability.
    """
    rows: list[tuple[str, ...]] = []
    for channel in range(timeline.channels):
        title = channel_title(channel, timeline.channels)
        for said, group in groupby(timeline.moments(channel), key=_said):
            run = list(group)
            sure = [window.probabilities[window.emotion] for *_, window in run if window.emotion]
            certainty = _percent(float(np.mean(sure))) if sure else ""
            rows.append((f"{clock(run[0][0])} to {clock(run[-1][1])}", title, said, certainty))
    return rows


def _said(moment: tuple[float, float, Window]) -> str:
    *_, window = moment
    return window.emotion or window.reason


def timelines_to_csv(timelines: Iterable[FileTimeline], emotions: Sequence[str]) -> str:
    """Return timelines as CSV, a row a window: its file, times, channel (from 0) and answer."""
    header = ["file", "start_s", "end_s", "channel", "emotion"]
    header += [*(f"p_{name}" for name in emotions), "reason"]
    rows: list[list[object]] = []
    for one in timelines:
        if one.timeline is None:
            rows.append([one.file, "", "", "", "", *("" for _ in emotions), one.reason])
            continue
        for window in one.timeline.windows:
            exact = _exact(window.probabilities, emotions)
            place = [one.file, window.start_s, window.end_s, window.channel]
            rows.append([*place, window.emotion, *exact, window.reason])
    return _csv(header, rows)


def timelines_to_json(card: Card, timelines: Iterable[FileTimeline]) -> str:
    """Return timelines as JSON, with the model's reference and how far to trust it."""
    return _json(card, [_timeline(one) for one in timelines])


def _timeline(one: FileTimeline) -> dict[str, Any]:
    told = {"reason": one.reason} if one.timeline is None else one.timeline.told()
    return {"file": one.file, **told}


def picture(
    timeline: Timeline,
    emotions: Sequence[str],
    *,
    heading: str = "",
    form: Literal["png", "svg"] = "png",
    width_in: float = WIDTH_IN,
) -> bytes:
    """Return a timeline as a picture; see `report.timeline_figure`."""
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
    """Return probabilities as the shortest words that are read back as the same float32."""
    return [str(np.float32(probabilities[name])) if probabilities else "" for name in emotions]


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return _encodable(text.getvalue())


def _json(card: Card, answers: Sequence[dict[str, Any]]) -> str:
    told = {
        "model": card.reference,
        "emotions": card.emotions,
        "measured": card.trust.model_dump(mode="json"),
        "answers": answers,
    }
    return _encodable(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _encodable(text: str) -> str:
    """Return a text whose parts of file names that are no UTF-8 are escapes, which JSON knows."""
    return text.encode(errors="backslashreplace").decode()
