"""The predictor that the command line, REST, the page and MLflow's server share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.features import FeatureSet
from benchmark.features.audio import decode
from benchmark.features.extract import features_of
from benchmark.models import probabilities
from benchmark.models.single_row import SingleRowModel, for_single_rows
from benchmark.tracking.cards import Card, feature_set_of, load_model


@dataclass(frozen=True)
class Prediction:
    """The prediction for one recording.

    Attributes
    ----------
    emotion : str
        The most probable emotion; of equal ones the first.
    probabilities : dict of str to float
        By emotion, in sorted order; exact float32 values.
    """

    emotion: str
    probabilities: dict[str, float]
    duration_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Predictor:
    """A stored model with its card and its feature set."""

    card: Card
    features: FeatureSet
    model: SingleRowModel

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
        threadpool_limits(1)
        return cls(loaded, feature_set_of(loaded, str(card)), for_single_rows(model))

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
        return self.predict_rows(row[np.newaxis], [decoded.duration_s])[0]

    def predict_rows(self, rows: NDArray[np.float32], durations_s: list[float]) -> list[Prediction]:
        """Return the predictions for feature rows of shape (n_rows, n_features)."""
        emotions = self.card.emotions
        return [
            Prediction(
                emotions[int(row.argmax())],
                dict(zip(emotions, row.tolist(), strict=True)),
                duration_s,
            )
            for row, duration_s in zip(probabilities(self.model, rows), durations_s, strict=True)
        ]
