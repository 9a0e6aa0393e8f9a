"""Predictions as table rows, CSV, JSON and figures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, Literal, TypeVar

import numpy as np

from benchmark.corpora.clip import Segment
from benchmark.corpora.segments import TIMES
from benchmark.engine.table_file import guarded
from benchmark.report.figures import WIDTH_IN
from benchmark.report.timeline_figure import ChannelPanel, clock, timeline_figure
from benchmark.serving.predictor import UNLIKE, Prediction
from benchmark.serving.timeline import Timeline, Window, channel_title
from benchmark.tracking.cards import Card

COLUMNS = ("emotion", "probability", "next", "familiarity", "length", "file")
FAMILIAR = ("distance", "familiarity")
"""Columns of CSV that say how far a recording is from the training recordings."""

TIMELINE_COLUMNS = ("time", "channel", "emotion", "probability", "familiarity")


T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class FileResult(Generic[T_co]):
    """The prediction or timeline of a file, or the reason why there is none.

    Attributes
    ----------
    file : str
        Path as given, or below the given folder or table.
    result : Prediction, Timeline or None
    reason : str
        Empty if there is a result.
    segment : Segment or None
        The part of the file; None for all of it.
    """

    file: str
    result: T_co | None
    reason: str = ""
    segment: Segment | None = None

    @property
    def title(self) -> str:
        """The file, with start and end of a segment."""
        return f"{self.file} ({self.segment.name} s)" if self.segment else self.file


def table_rows(predictions: Iterable[FileResult[Prediction]]) -> list[tuple[str, ...]]:
    """Return predictions as rows of `COLUMNS`."""
    return [(*_cells(one), one.title) for one in predictions]


def _cells(one: FileResult[Prediction]) -> tuple[str, ...]:
    if one.result is None:
        return "none", "", one.reason, "", ""
    ranked = sorted(one.result.probabilities.items(), key=lambda item: -item[1])
    second = ", ".join(f"{name} {_percent(value)}" for name, value in ranked[1:2])
    first = _percent(one.result.probabilities[one.result.emotion])
    length = f"{one.result.duration_s:.1f} s"
    return one.result.emotion, first, second, one.result.familiarity, length


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %"


def to_csv(predictions: Iterable[FileResult[Prediction]], emotions: Sequence[str]) -> str:
    """Return predictions as CSV, with a row for each file.

    The columns are file, emotion, p_<emotion>..., duration_s, distance, familiarity and reason;
    where a prediction is of a segment, start and end, in seconds, follow file.

    Each probability is the shortest number that reads back as the same float32, as in the stored
    predictions of a study.
    """
    predictions = list(predictions)
    segmented = any(one.segment for one in predictions)
    names = [f"p_{name}" for name in emotions]
    files = ["file", *TIMES] if segmented else ["file"]
    rows: list[list[object]] = [
        [*files, "emotion", *names, "duration_s", *FAMILIAR, "reason"],
    ]
    for one in predictions:
        part = [one.file, *_times(one.segment)] if segmented else [one.file]
        if one.result is None:
            rows.append([*part, "", *_exact({}, emotions), "", "", "", one.reason])
            continue
        exact = _exact(one.result.probabilities, emotions)
        familiar = [_single(one.result.distance), one.result.familiarity]
        duration_s = str(one.result.duration_s)
        rows.append([*part, one.result.emotion, *exact, duration_s, *familiar, ""])
    return _csv(rows)


def _times(segment: Segment | None) -> tuple[float | None, float | None]:
    """Return start and end in seconds, None where they are those of the recording."""
    return (None, None) if segment is None else (segment.start_s, segment.end_s)


def to_json(card: Card, key: str, results: Iterable[FileResult[Prediction | Timeline]]) -> str:
    """Return results as JSON under a key, with the model's reference and measured performance.

    Probabilities are exact float32 values.
    """
    document = {
        "model": card.reference,
        "emotions": card.emotions,
        "measured": card.trust.model_dump(mode="json"),
        "calibrated": card.calibrated,
        "cost": card.cost and card.cost.model_dump(mode="json"),
        key: [
            {"file": one.file}
            | ({} if one.segment is None else dict(zip(TIMES, _times(one.segment), strict=True)))
            | ({"reason": one.reason} if one.result is None else one.result.to_dict())
            for one in results
        ],
    }
    return _encodable(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def timeline_rows(timeline: Timeline) -> list[tuple[str, ...]]:
    """Return a timeline as rows of `TIMELINE_COLUMNS`.

    Consecutive windows of one emotion are one row with their mean probability.
    """
    rows: list[tuple[str, ...]] = []
    for channel in range(timeline.channels):
        title = channel_title(channel, timeline.channels)
        segments = timeline.segments(channel)
        for label, group in groupby(segments, lambda one: _label(one[2])):
            run = list(group)
            values = [window.probabilities[window.emotion] for *_, window in run if window.emotion]
            probability = _percent(float(np.mean(values))) if values else ""
            time = f"{clock(run[0][0])} to {clock(run[-1][1])}"
            rows.append((time, title, label, probability, _familiarity_of(run)))
    return rows


def _label(window: Window) -> str:
    return window.emotion or window.reason.replace("-", " ")


def _familiarity_of(run: Sequence[tuple[float, float, Window]]) -> str:
    """Return the words of consecutive windows: those of all, or how many are unlike training."""
    words = [window.familiarity for *_, window in run]
    unlike = words.count(UNLIKE)
    return f"{UNLIKE}: {unlike} of {len(words)} windows" if 0 < unlike < len(words) else words[0]


def timelines_to_csv(timelines: Iterable[FileResult[Timeline]], emotions: Sequence[str]) -> str:
    """Return timelines as CSV, with a row for each window."""
    header = ["file", "start_s", "end_s", "channel", "emotion"]
    numbers = [f"p_{name}" for name in emotions]
    rows: list[list[object]] = [[*header, *numbers, *FAMILIAR, "reason"]]
    for one in timelines:
        if one.result is None:
            rows.append([one.file, "", "", "", "", *_exact({}, emotions), "", "", one.reason])
            continue
        for window in one.result.windows:
            exact = _exact(window.probabilities, emotions)
            position = [one.file, window.start_s, window.end_s, window.channel]
            familiar = [_single(window.distance), window.familiarity]
            rows.append([*position, window.emotion, *exact, *familiar, window.reason])
    return _csv(rows)


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
    return [_single(probabilities.get(name)) for name in emotions]


def _single(value: float | None) -> str:
    """Return a float32 as the shortest text that reads back as the same; empty for None."""
    return "" if value is None else str(np.float32(value))


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return _encodable(text.getvalue())


def _encodable(text: str) -> str:
    """Return text with parts of file names that are not UTF-8 as escapes, which are valid JSON."""
    return text.encode(errors="backslashreplace").decode()
