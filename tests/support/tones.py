"""Recordings of the small study: tones of six speakers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile


def write_tones(folder: Path) -> Path:
    """Write six speakers' tones, of three emotions (pitches) four each; return their table."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for speaker in range(6):
        for emotion, pitch_hz in {"low": 200, "middle": 240, "high": 290}.items():
            for take in range(4):
                name = f"{speaker}_{emotion}_{take}.wav"
                time_s = np.arange(6000) / 22_050
                voice = pitch_hz * rng.normal(1.0, 0.08) * (1 + 0.05 * speaker)
                tone = np.sin(2 * np.pi * voice * time_s) + rng.normal(0, 0.2, len(time_s))
                soundfile.write(folder / name, 0.2 * tone, 22_050)
                gender = "female" if speaker % 2 else "male"
                rows.append((name, emotion, f"s{speaker}", gender))
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "emotion", "speaker", "gender"), *rows])
    return folder / "table.csv"
