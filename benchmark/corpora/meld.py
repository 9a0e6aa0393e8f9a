"""MELD: utterances from the television series Friends, with seven emotions (Poria et al. 2019).

The same names occur in the folders of train, dev and test, so the name of a clip begins with its
split. The corpus is published as video; its sound has to be extracted first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.corpora.labels import Label, label_file, match_labels, read_rows, wrong_label

SPLITS = ("train", "dev", "test")
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
EMOTIONS = {
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "joy": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprised",
}
GENDERS = {
    **dict.fromkeys(("Monica", "Phoebe", "Rachel"), "female"),
    **dict.fromkeys(("Chandler", "Joey", "Ross"), "male"),
}
"""Of the six main parts; of the others, the corpus does not tell."""

SPELLINGS = {"Dr. Leedbetter": "Dr. Ledbetter", "Phoebe Sr": "Phoebe Sr."}
SEVERAL = re.compile(r"All|Both|Every(body|one)|.*( and |/|,|&).*")
"""Speakers who are several people, and so can't be kept apart from each of them."""

N_LABELS = 13_708
"""Utterances of the three label files (Poria et al. 2019)."""

GAPS = frozenset({"dev_dia110_utt7", "train_dia125_utt3"})
"""Labelled, but never published (the first), or published as a damaged file (the second)."""


def read(folder: Path) -> Recordings:
    """Return the recordings of a folder that holds the three splits and their label files.

    Raises
    ------
    BenchmarkError
        If a label file is missing or wrong, or two different files are the same clip.
    """
    folder = folder.absolute()
    tables = {split: label_file(folder, f"{split}_sent_emo.csv") for split in SPLITS}
    labels = (label for split, table in tables.items() for label in _labels(split, table))
    reason = "no label in *_sent_emo.csv"
    found = match_labels(folder, labels, reason, partial(_name, folder), N_LABELS)
    return replace(found, missing=tuple(name for name in found.missing if name not in GAPS))


def _labels(split: str, table: Path) -> Iterator[Label]:
    for where, (text, spelt, emotion, dialogue, utterance) in read_rows(table, COLUMNS):
        if emotion not in EMOTIONS:
            raise wrong_label(where, "Emotion", emotion, EMOTIONS)
        name = f"{split}_dia{dialogue}_utt{utterance}"
        speaker = SPELLINGS.get(spelt, spelt)
        if SEVERAL.fullmatch(speaker):
            yield Label(name, "spoken by several people", where)
        else:
            clip = Clip(
                corpus="meld",
                name=name,
                path=Path(),
                speaker=f"meld/{speaker}",
                gender=GENDERS.get(speaker, "unknown"),
                emotion=EMOTIONS[emotion],
                statement=text,
                more=(("split", split),),
            )
            yield Label(name, clip, where)


def _name(folder: Path, path: Path) -> str:
    """Return the name of a file with the split of the nearest folder that is named after one.

    In the published archive these are ``train_splits``, ``dev_splits_complete`` and
    ``output_repeated_splits_test``.
    """
    for part in reversed(path.relative_to(folder).parent.parts):
        for split in SPLITS:
            if split in part.lower().split("_"):
                return f"{split}_{path.stem}"
    return path.stem


MELD = Corpus(
    name="meld",
    title="Multimodal EmotionLines Dataset, sound",
    emotions=tuple(sorted(EMOTIONS.values())),
    home_page="https://affective-meld.github.io",
    language="English (American)",
    speech="acted",
    licence="GPL 3.0",
    how_to_get=(
        "Download MELD.Raw.tar.gz from https://affective-meld.github.io, unpack it and its inner "
        "archives, and extract the sound of each video into a file beside it, such as `ffmpeg -i "
        "dia0_utt0.mp4 -vn dia0_utt0.wav`."
    ),
    read=read,
)
