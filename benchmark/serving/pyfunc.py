"""What MLflow's own server runs: ``mlflow models serve -m models:/speech-emotion@champion``.

MLflow keeps this file with each registered model, and runs it as code, with the copy of this
package that lies beside it: a server needs the libraries of the model's requirements.txt, and not
this package. So an old version goes on answering as it did, whatever the package has become since.
Whoever can write to MLflow's store can change that code too: serve from a store that you trust.
The model itself is data, loaded as everywhere here: by its card, skops only, digest checked.

A request's JSON holds the bytes of recordings in base64, one a row:
``{"dataframe_split": {"columns": ["audio"], "data": [["UklGRi..."]]}}``. A recording that can't be
used makes the whole request an error 400 that names it and the reason. MLflow's server bounds
neither requests nor time, decodes in its own process, and asks nobody who they are; for anything
but this machine there is `python -m benchmark serve`.
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
from benchmark.serving.predictor import Prediction, Predictor


class SpokenEmotion(PythonModel):
    """A registered model: from recordings to an emotion, its probabilities and their lengths."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model by its card; what is refused elsewhere is refused here."""
        self.predictor = Predictor.load(Path(context.artifacts["card"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return a row for each recording: emotion, a column p_<emotion> for each, duration_s.

        Parameters
        ----------
        context : PythonModelContext
            MLflow's; not needed any more.
        model_input : DataFrame
            Column audio: the bytes of a file.
        params : dict, optional
            There are none.

        Raises
        ------
        MlflowException
            If a recording can't be used: which, and why.
        """
        recordings = list(model_input["audio"])
        return pd.DataFrame(
            [
                _row(self._ask(content, f"recording {number} of {len(recordings)}"))
                for number, content in enumerate(recordings, start=1)
            ]
        )

    def _ask(self, content: bytes, which: str) -> Prediction:
        try:
            return self.predictor.predict(content, Limits().clip_s)
        except UnusableError as error:
            reason = f"{which} can't be used ({error.fault}): {error}"
            raise MlflowException(reason, BAD_REQUEST) from error


def _row(prediction: Prediction) -> dict[str, str | float]:
    shares = {f"p_{emotion}": share for emotion, share in prediction.probabilities.items()}
    return {"emotion": prediction.emotion, **shares, "duration_s": prediction.duration_s}


set_model(SpokenEmotion())
