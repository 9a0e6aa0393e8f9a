"""One predictor: what is asked by the command line, REST, the page and MLflow's server alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.features import FeatureSet
from benchmark.features.audio import decode
from benchmark.features.extract import features_of
from benchmark.models import probabilities
from benchmark.models.quick import quickened
from benchmark.tracking.cards import Card, load_model, recipe_of


@dataclass(frozen=True)
class Prediction:
    """What a model says of one recording.

    Attributes
    ----------
    emotion : str
        The most probable one, the first of them where two are equal.
    probabilities : dict of str to float
        Of each emotion in sorted order; each the exact value of a float32.
    duration_s : float
        Of the recording.
    """

    emotion: str
    probabilities: dict[str, float]
    duration_s: float


@dataclass(frozen=True)
class Predictor:
    """A stored model with its card and the recipe of its rows.

    Attributes
    ----------
    card : Card
    features : FeatureSet
    model : estimator
        Fitted.
    """

    card: Card
    features: FeatureSet
    model: Any

    @classmethod
    def load(cls, card: Path) -> Predictor:
        """Return the predictor of a card and the model that lies beside it.

        From then on this process uses one BLAS thread, as those that trained the model did: a sum
        that two threads share comes out otherwise in its last digits.

        Raises
        ------
        BenchmarkError
            See `card.load_model`.
        """
        found, model = load_model(card)
        threadpool_limits(1)
        return cls(found, recipe_of(found, str(card)), quickened(model))

    def predict(self, content: bytes, longest_s: float | None = None) -> Prediction:
        """Return what the model says of a recording.

        Parameters
        ----------
        content : bytes
            A file's.
        longest_s : float, optional
            A longer recording is refused before it is decoded.

        Raises
        ------
        UnusableError
            If there is no voice to be heard in it, and why.
        """
        decoded = decode(content, self.features.sample_rate_hz, longest_s)
        row = features_of(decoded.samples, self.features)
        return self.answer(row[np.newaxis], [decoded.duration_s])[0]

    def answer(self, rows: NDArray[np.float32], durations_s: list[float]) -> list[Prediction]:
        """Return what the model says of rows of features, (n_rows, n_features)."""
        emotions = self.card.emotions
        return [
            Prediction(
                emotions[int(row.argmax())], dict(zip(emotions, row.tolist(), strict=True)), s
            )
            for row, s in zip(probabilities(self.model, rows), durations_s, strict=True)
        ]
