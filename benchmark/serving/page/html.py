"""HTML of the page, from the Jinja2 templates in ``templates/``."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.features.audio import SILENCE_PEAK
from benchmark.report.data_figures import emotion_colours
from benchmark.serving.limits import Limits
from benchmark.serving.predictor import UNLIKE, Prediction
from benchmark.serving.timeline import Analysis, channel_title
from benchmark.tracking.cards import Card, Score

LIVE_S, EVERY_S = 3.0, 1.0
"""Length of the sound that live mode predicts, and the time between two predictions."""

WAVE_POINTS = 240
"""Largest number of lines in the waveform, less than the width of a phone in pixels."""


def _percent(fraction: float, digits: int = 1) -> str:
    return f"{100 * fraction:.{digits}f}"


def _interval(score: Score) -> str:
    """Return the limits in percent; empty where speakers are too few for an interval."""
    if score.low is None or score.high is None:
        return ""
    return f"{_percent(score.low)}–{_percent(score.high)}"


def _wave_peaks(envelope: Sequence[float]) -> list[float]:
    """Return at most `WAVE_POINTS` peaks of an envelope, relative to the highest one."""
    width = max(1, -(-len(envelope) // WAVE_POINTS))
    peaks = [max(envelope[start : start + width]) for start in range(0, len(envelope), width)]
    highest = max([*peaks, SILENCE_PEAK])
    return [max(1 / 60, peak / highest) for peak in peaks]


def _familiar(prediction: Prediction) -> str:
    """Return in plain words how sure the prediction may be."""
    if prediction.distance is None:
        return "These probabilities are not calibrated: they may be far too high."
    if prediction.familiarity == UNLIKE:
        return (
            "This recording is unlike the training recordings "
            f"({prediction.distance:.1f} times as far as the limit): do not rely on the prediction."
        )
    return (
        "This recording is within the range of the training recordings (distance "
        f"{prediction.distance:.1f}), which does not mean that the prediction is correct."
    )


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(
    percent=_percent,
    interval=_interval,
    wave_peaks=_wave_peaks,
    channel_title=channel_title,
    familiar=_familiar,
)
_TEMPLATES.globals.update(live_s=LIVE_S, every_s=EVERY_S, unlike=UNLIKE)


def _render(template: str, **context: object) -> str:
    return _TEMPLATES.get_template(template).render(context)


def page(card: Card, limits: Limits, examples: Iterable[str]) -> str:
    """Return the whole page; `examples` are the emotions of the example clips."""
    return _render("page.html", card=card, limits=limits, examples=examples)


def header(card: Card) -> str:
    """Return the model and its speaker-independent performance."""
    return _render("header.html", card=card)


def analysis(result: Analysis, limits: Limits, audio: bytes | None = None) -> str:
    """Return the analysis of a recording.

    `audio` is a WAV file for the player, if the browser does not have the recording.
    """
    emotions = sorted({window.emotion for window in result.timeline.windows if window.emotion})
    return _render(
        "analysis.html",
        analysis=result,
        limits=limits,
        colours=emotion_colours(emotions),
        audio=base64.b64encode(audio).decode() if audio else "",
    )


def live(prediction: Prediction | None, reason: str = "") -> str:
    """Return a prediction in live mode, or the reason why there is none at the moment."""
    return _render("live.html", prediction=prediction, reason=reason)


def problem(reason: str) -> str:
    """Return why there is no prediction."""
    return _render("problem.html", reason=reason)
