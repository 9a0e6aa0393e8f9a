"""SAVEE: four men speak 120 sentences each with seven emotions (Haq & Jackson 2009)."""

from __future__ import annotations

from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.corpora.folder import match_names

SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTION_CODES = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
COMMON_SENTENCES = 3  # items 01 to 03 are the same sentences in every emotion


def _official() -> dict[str, Clip]:
    """Return the 480 clips by name: of each speaker 30 neutral and 15 of each other emotion."""
    clips: dict[str, Clip] = {}
    for speaker in SPEAKERS:
        for code, emotion in EMOTION_CODES.items():
            for item in range(1, 31 if emotion == "neutral" else 16):
                name = f"{speaker}_{code}{item:02d}"
                clips[name] = Clip(
                    corpus="savee",
                    name=name,
                    path=Path(),
                    speaker=f"savee/{speaker}",
                    gender="male",
                    emotion=emotion,
                    statement=f"{item:02d}" if item <= COMMON_SENTENCES else f"{code}{item:02d}",
                )
    return clips


def _name_of(path: Path) -> str:
    """Return the name that a file should be known by: ``DC_a01`` for ``DC/a01`` too."""
    return path.stem if "_" in path.stem else f"{path.parent.name}_{path.stem}"


def read(folder: Path) -> Recordings:
    """Return the recordings of SAVEE below a folder."""
    return match_names(folder.absolute(), _official(), _name_of, lambda _: "not a name of SAVEE")


SAVEE = Corpus(
    name="savee",
    title="Surrey Audio-Visual Expressed Emotion",
    emotions=tuple(sorted(EMOTION_CODES.values())),
    official_clips=480,
    home_page="http://kahlan.eps.surrey.ac.uk/savee/",
    licence="free for research after registration; not to be passed on",
    how_to_get="Register at http://kahlan.eps.surrey.ac.uk/savee/ and unpack what it sends.",
    read=read,
)
