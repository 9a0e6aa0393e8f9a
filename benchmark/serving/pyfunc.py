"""Model code for MLflow's server: ``mlflow models serve -m models:/speech-emotion@champion``.

MLflow stores this file with each registered model, together with a copy of this package, and runs
both as code; the server needs only the libraries in the model's requirements.txt. An old version
therefore predicts as it did, whatever later versions of the package do. Anyone who can write to
MLflow's store can change this code: serve only from a store that you trust. The model itself is
data and is loaded as everywhere here, by its card, from skops, with its digest checked.

A request's JSON holds the content of audio files in base64, one in each row:
``{"dataframe_split": {"columns": ["audio"], "data": [["UklGRi..."]]}}``. If one recording cannot
be used, the request fails with status 400, which names the recording and the reason. MLflow's
server limits neither requests nor time, decodes in its own process and has no authentication;
`python -m benchmark serve` has these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from benchmark.features.audio import UnusableError
from benchmark.serving.limits import Limits
from benchmark.serving.predictor import Predictor


class SpeechEmotionModel(PythonModel):
    """A registered model as MLflow calls it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model by its card, and all that its first prediction needs."""
        self.predictor = Predictor.load(Path(context.artifacts["card"]))
        self.predictor.warm_up()

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return a row for each recording.

        The columns are emotion, p_<emotion> for each emotion, duration_s, distance and familiarity.

        Parameters
        ----------
        context : PythonModelContext
            Not used.
        model_input : DataFrame
            Column audio: content of audio files.
        params : dict, optional
            Not used.

        Raises
        ------
        MlflowException
            If a recording cannot be used.
        """
        recordings = list(model_input["audio"])
        return pd.DataFrame(
            [
                self._row(content, f"recording {number} of {len(recordings)}")
                for number, content in enumerate(recordings, start=1)
            ]
        )

    def _row(self, content: bytes, title: str) -> dict[str, str | float | None]:
        try:
            prediction = self.predictor.predict(content, Limits().clip_s)
        except UnusableError as error:
            message = f"{title} can't be used ({error.fault}): {error}"
            raise MlflowException(message, BAD_REQUEST) from error
        columns = {f"p_{emotion}": value for emotion, value in prediction.probabilities.items()}
        return {
            "emotion": prediction.emotion,
            **columns,
            "duration_s": prediction.duration_s,
            "distance": prediction.distance,
            "familiarity": prediction.familiarity,
        }


set_model(SpeechEmotionModel())
