"""MSP-Podcast: segments of podcasts, labelled by listeners (Lotfian & Busso 2019).

Emotion, speaker and split are in ``Labels/labels_consensus.csv``. The split Test3 has no public
labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.corpora.labels import Label, label_file, match_labels, read_rows, wrong_label

LABEL_FILES = ("labels_consensus.csv", "labels_concensus.csv")
"""Early releases misspell the name."""

COLUMNS = ("FileName", "EmoClass", "SpkrID", "Gender", "Split_Set")
EMOTIONS = {
    "A": "angry",
    "C": "contempt",
    "D": "disgust",
    "F": "fearful",
    "H": "happy",
    "N": "neutral",
    "S": "sad",
    "U": "surprised",
}
SET_ASIDE = {"O": "labelled as another emotion (O)", "X": "annotators disagree (X)"}
GENDERS = {"Female": "female", "Male": "male"}
SPLITS = {"development": "dev", "validation": "dev"}
"""Early releases call the split for development Validation."""

UNKNOWN_SPEAKER = "unknown speaker, who can't be kept apart from others"


def read(folder: Path) -> Recordings:
    """Return the recordings of a folder that holds a release.

    Raises
    ------
    BenchmarkError
        If the label file is missing or wrong, or two different files are the same clip.
    """
    table = label_file(folder, *LABEL_FILES)
    return match_labels(folder, _labels(table), f"not in {table.name}")


def _labels(table: Path) -> Iterator[Label]:
    for where, (file, code, speaker, gender, split) in read_rows(table, COLUMNS):
        if code not in EMOTIONS | SET_ASIDE:
            raise wrong_label(where, "EmoClass", code, (*EMOTIONS, *SET_ASIDE))
        name = Path(file).stem
        if code in SET_ASIDE:
            yield Label(name, SET_ASIDE[code], where)
        elif speaker in {"", "Unknown"}:
            yield Label(name, UNKNOWN_SPEAKER, where)
        else:
            clip = Clip(
                corpus="msp_podcast",
                name=name,
                path=Path(),
                speaker=f"msp_podcast/{speaker}",
                gender=GENDERS.get(gender, "unknown"),
                emotion=EMOTIONS[code],
                more=(("split", SPLITS.get(split.lower(), split.lower())),),
            )
            yield Label(name, clip, where)


MSP_PODCAST = Corpus(
    name="msp_podcast",
    title="MSP-Podcast corpus",
    emotions=tuple(sorted(EMOTIONS.values())),
    home_page="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
    language="English",
    speech="natural",
    licence="academic or commercial licence, to be signed",
    how_to_get=(
        "Ask for a licence at https://ecs.utdallas.edu/research/researchlabs/msp-lab/"
        "MSP-Podcast.html, and give the folder that holds Labels and Audios."
    ),
    read=read,
)
