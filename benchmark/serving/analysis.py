"""What the page asks of a worker process of a recording: all that is shown of it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.serving.limits import Limits
from benchmark.serving.predictor import Prediction, Predictor
from benchmark.serving.timeline import Timeline, timeline


@dataclass(frozen=True)
class Heard:
    """What was heard in a recording.

    Attributes
    ----------
    prediction : Prediction or None
        Of the recording as a whole; None where it is longer than what is predicted as a whole.
    timeline : Timeline
        Emotion over time.
    """

    prediction: Prediction | None
    timeline: Timeline


def hear(predictor: Predictor, content: bytes, limits: Limits) -> Heard:
    """Return what is heard in a recording: as a whole, and over time.

    Raises
    ------
    UnusableError
        If there is no voice to be heard in it, and why.
    """
    found = timeline(predictor, content, longest_s=limits.timeline_s)
    short = found.duration_s <= limits.clip_s
    return Heard(predictor.predict(content, limits.clip_s) if short else None, found)
