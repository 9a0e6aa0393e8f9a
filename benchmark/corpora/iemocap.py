"""IEMOCAP: five pairs of actors in scripted and improvised dialogues (Busso et al. 2008).

A name such as ``Ses01F_impro01_M000`` has two letters: the first tells who wears the markers of the
motion capture, the second who speaks. Labels are the majority of the annotators, from the files in
``Session*/dialog/EmoEvaluation``, the spoken text from those in ``dialog/transcriptions``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.corpora.folder import files_below
from benchmark.corpora.labels import Label, match_labels, wrong_label
from benchmark.errors import BenchmarkError

EMOTIONS = {
    "ang": "angry",
    "dis": "disgust",
    "exc": "excited",
    "fea": "fearful",
    "fru": "frustrated",
    "hap": "happy",
    "neu": "neutral",
    "sad": "sad",
    "sur": "surprised",
}
SET_ASIDE = {"oth": "labelled as another emotion (oth)", "xxx": "annotators disagree (xxx)"}
GENDERS = {"F": "female", "M": "male"}
STYLES = {"impro": "improvised", "script": "scripted"}

N_LABELS = 10_039
"""Turns of the release, with those set aside (Busso et al. 2008)."""

LABEL = re.compile(r"\[[^\]]*\]\t(?P<name>Ses\S+)\t(?P<code>\w+)\t")
TEXT = re.compile(r"(?P<name>Ses\S+) \[[^\]]*\]:(?P<text>.*)")
NAME = re.compile(r"Ses0(?P<session>[1-5])[FM]_(?P<style>impro|script)\w+_(?P<letter>[FM])[X\d]+")


def read(folder: Path) -> Recordings:
    """Return the recordings of a folder that holds whole sessions, or some of them.

    Raises
    ------
    BenchmarkError
        If a label file is missing or wrong, or two different files are the same clip.
    """
    reason = "no label in dialog/EmoEvaluation"
    return match_labels(folder, _labels(folder), reason, n_official=N_LABELS)


def _labels(folder: Path) -> Iterator[Label]:
    texts = files_below(folder, (".txt",))
    files = [path for path in texts if path.match("EmoEvaluation/Ses*.txt")]
    if not files:
        raise BenchmarkError(
            f"{folder}: the label files dialog/EmoEvaluation/Ses*.txt are missing. Give the folder "
            "that holds Session1 to Session5, with their folders dialog and sentences."
        )
    spoken = _spoken([path for path in texts if path.match("transcriptions/Ses*.txt")])
    for path in files:
        found = [
            (f"{path}: line {number}", label)
            for number, line in enumerate(_lines(path), start=1)
            if (label := LABEL.match(line))
        ]
        if not found:
            raise BenchmarkError(
                f"{path}: no line such as [6.29 - 8.24], Ses01F_impro01_F000, neu, ... with tabs "
                "between. Restore the file of the release."
            )
        for where, label in found:
            yield _label(where, label["name"], label["code"], spoken)


def _label(where: str, name: str, code: str, spoken: dict[str, str]) -> Label:
    if code in SET_ASIDE:
        return Label(name, SET_ASIDE[code], where)
    if code not in EMOTIONS:
        raise wrong_label(where, "label", code, (*EMOTIONS, *SET_ASIDE))
    codes = NAME.fullmatch(name)
    if codes is None:
        raise BenchmarkError(f"{where}: {name} is not a name such as Ses01F_impro01_F000.")
    clip = Clip(
        corpus="iemocap",
        name=name,
        path=Path(),
        speaker=f"iemocap/Ses0{codes['session']}{codes['letter']}",
        gender=GENDERS[codes["letter"]],
        emotion=EMOTIONS[code],
        statement=spoken.get(name, ""),
        more=(("session", codes["session"]), ("style", STYLES[codes["style"]])),
    )
    return Label(name, clip, where)


def _spoken(files: list[Path]) -> dict[str, str]:
    """Return the spoken text of each clip, by name."""
    found = [TEXT.match(line) for path in files for line in _lines(path)]
    return {line["name"]: line["text"].strip() for line in found if line}


def _lines(path: Path) -> list[str]:
    try:
        # Names and labels are ASCII; comments of annotators are not read.
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise BenchmarkError(f"{path}: can't read the label file ({error.strerror}).") from error


IEMOCAP = Corpus(
    name="iemocap",
    title="Interactive Emotional Dyadic Motion Capture database",
    emotions=tuple(sorted(EMOTIONS.values())),
    home_page="https://sail.usc.edu/iemocap/",
    language="English (American)",
    speech="acted",
    licence="research only, with a signed release form",
    how_to_get="Ask for it at https://sail.usc.edu/iemocap/iemocap_release.htm and unpack it.",
    read=read,
)
