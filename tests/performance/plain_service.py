"""What one would write without this project: a handler that calls librosa feature by feature.

    python plain_service.py CARD.json PORT

It answers POST /predict with the same model on the same 184 means as the capstone takes.
"""

import io
import sys
from pathlib import Path

import librosa
import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile

from benchmark.tracking.cards import load_model

card, model = load_model(Path(sys.argv[1]))
app = FastAPI()


def features(samples: np.ndarray, rate: int) -> np.ndarray:
    samples, _ = librosa.effects.trim(samples, top_db=60)
    rows = [
        librosa.feature.rms(y=samples),
        librosa.feature.spectral_centroid(y=samples, sr=rate),
        librosa.feature.spectral_rolloff(y=samples, sr=rate),
        librosa.feature.zero_crossing_rate(y=samples),
        librosa.feature.chroma_stft(S=np.abs(librosa.stft(samples)), sr=rate),
        librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=40),
        librosa.feature.melspectrogram(y=samples, sr=rate),
    ]
    return np.concatenate([row.mean(axis=1) for row in rows]).astype(np.float32)


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, object]:
    samples, rate = librosa.load(io.BytesIO(file.file.read()), sr=22050)
    [shares] = model.predict_proba(features(samples, rate)[np.newaxis])
    probabilities = dict(zip(card.emotions, map(float, shares), strict=True))
    return {"emotion": card.emotions[int(shares.argmax())], "probabilities": probabilities}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
