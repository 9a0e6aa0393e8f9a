"""The predictor that the command line, REST, the page and MLflow's server share."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.features import FeatureSet
from benchmark.features.audio import UnusableError, decode
from benchmark.features.extract import features_of
from benchmark.features.speech import check_speech, voiced_s
from benchmark.models import probabilities
from benchmark.models.calibrator import Calibrator
from benchmark.models.single_row import SingleRowModel, for_single_rows
from benchmark.serving.example_clip import example_wav
from benchmark.tracking.cards import Card, feature_set_of, load_calibrator, load_model

LIKE = "like the training recordings"
UNLIKE = "unlike the training recordings"
NOT_CALIBRATED = "not calibrated"

FAR_LONGER = 2.0
"""A recording so many times as long as the longest training recording is better cut in windows."""


def familiarity(distance: float | None) -> str:
    """Return a distance in words."""
    if distance is None:
        return NOT_CALIBRATED
    return LIKE if distance <= 1 else UNLIKE


def hint(card: Card, duration_s: float, channels: int) -> str:
    """Return when a timeline says more than one prediction for all of a recording; else empty."""
    longest_s = card.longest_clip_s
    reasons = []
    if longest_s is not None and duration_s > FAR_LONGER * longest_s:
        reasons.append(
            f"it has {duration_s:.0f} s, and the longest training recording {longest_s:.1f} s"
        )
    if channels > 1:
        reasons.append(f"its {channels} channels are mixed into one")
    return f"a timeline says more: {'; '.join(reasons)}" if reasons else ""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one recording.

    Attributes
    ----------
    emotion : str
        The most probable emotion; of equal ones the first.
    probabilities : dict of str to float
        By emotion, in sorted order; exact float32 values. Calibrated, unless `familiarity` is
        `NOT_CALIBRATED`.
    duration_s : float
    distance : float or None
        From the training recordings, exact float32 value; 1 is the limit beyond which a recording
        is unlike them. None if the model is not calibrated.
    familiarity : str
        `LIKE`, `UNLIKE` or `NOT_CALIBRATED`.
    hint : str
        When a timeline says more; else empty, see `hint`.
    """

    emotion: str
    probabilities: dict[str, float]
    duration_s: float
    distance: float | None
    familiarity: str
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Predictor:
    """A stored model with its card, its feature set and its calibrator, if it has one."""

    card: Card
    features: FeatureSet
    model: SingleRowModel
    calibrator: Calibrator | None

    @classmethod
    def load(cls, card: Path) -> Predictor:
        """Return the predictor for a card and the model file beside it.

        Limits this process to one BLAS thread, as in training: with two threads, sums differ in
        their last digits.

        Raises
        ------
        BenchmarkError
            See `cards.load_model`.
        """
        loaded, model = load_model(card)
        calibrator = load_calibrator(card, loaded)
        threadpool_limits(1)
        features = feature_set_of(loaded, str(card))
        return cls(loaded, features, for_single_rows(model), calibrator)

    def warm_up(self) -> None:
        """Predict an example clip: the first prediction loads libraries and networks.

        Raises
        ------
        BenchmarkError
            If a network can't be loaded.
        """
        with contextlib.suppress(UnusableError):
            self.predict(example_wav())

    def predict(self, content: bytes, longest_s: float | None = None) -> Prediction:
        """Return the prediction for the content of an audio file.

        A recording longer than `longest_s` is refused before it is decoded.

        Raises
        ------
        UnusableError
            If the recording cannot be used.
        """
        decoded = decode(content, self.features.sample_rate_hz, longest_s)
        row = features_of(decoded.samples, self.features)
        check_speech(voiced_s(decoded.samples, self.features.sample_rate_hz), decoded.duration_s)
        prediction = self.predict_rows(row[np.newaxis], [decoded.duration_s])[0]
        return replace(prediction, hint=hint(self.card, decoded.duration_s, decoded.channels))

    def predict_rows(self, rows: NDArray[np.float32], durations_s: list[float]) -> list[Prediction]:
        """Return the predictions for feature rows of shape (n_rows, n_features)."""
        emotions = self.card.emotions
        predicted = probabilities(self.model, rows)
        distances: list[float | None] = [None] * len(rows)
        if self.calibrator is not None:
            measured = self.calibrator.distances(rows)
            predicted = self.calibrator.calibrated(predicted, measured)
            distances = measured.tolist()
        return [
            Prediction(
                emotion=emotions[int(row.argmax())],
                probabilities=dict(zip(emotions, row.tolist(), strict=True)),
                duration_s=duration_s,
                distance=distance,
                familiarity=familiarity(distance),
            )
            for row, duration_s, distance in zip(predicted, durations_s, distances, strict=True)
        ]
