"""Degraded recordings: clips under conditions as files, so that any system can be run on them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark.corpora import Clip
from benchmark.corpora.clip import Segment
from benchmark.data.prepare import clip_frame
from benchmark.engine.files import write_bytes
from benchmark.engine.processes import Workers
from benchmark.features import AS_RECORDED, Chain, audio, parse_chain
from benchmark.features.extract import UNCHANGED

SUFFIX = ".wav"


@dataclass(frozen=True)
class Degraded:
    """What was written.

    Attributes
    ----------
    table : DataFrame
        One row per clip and condition, those as recorded first: clip, corpus, speaker, gender,
        emotion, further facts, condition, and path, relative to the folder.
    unusable : tuple of (str, str)
        Identity of each other clip, and the reason.
    """

    table: pd.DataFrame
    unusable: tuple[tuple[str, str], ...]


class Copy(NamedTuple):
    """One file to write: what changes the recording, the seed of it, and the file."""

    chain: Chain
    seed: bytes
    file: Path


def write_degraded(  # noqa: PLR0913 - keyword arguments
    clips: Sequence[Clip],
    conditions: Sequence[str],
    folder: Path,
    *,
    seed: int = 0,
    sample_rate_hz: int | None = None,
    workers: Workers,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Degraded:
    """Write clips as recorded and under each condition, a folder for each of them.

    The files are WAV of 32-bit floats, mono: no sample is rounded or cut off. A condition changes
    the whole clip as it does in a study with this seed and the sample rate of its features.

    Parameters
    ----------
    clips : sequence of Clip
    conditions : sequence of str
        Chains such as ``telephone+snr=10``.
    folder : Path
    seed : int
        Random conditions derive theirs from it, the clip and the chain.
    sample_rate_hz : int or None
        Of all files; None for that of each recording.
    workers : Workers
    progress : callable, optional
        Called with the number of finished clips and of all clips.
    """
    chains = {AS_RECORDED: UNCHANGED, **{text: parse_chain(text) for text in conditions}}
    files = [
        {condition: f"{condition}/{clip.id}{SUFFIX}" for condition in chains} for clip in clips
    ]
    arguments = [
        (
            clip.path,
            clip.segment,
            sample_rate_hz,
            [
                Copy(chain, chain.seed(seed, clip.id), folder / own[condition])
                for condition, chain in chains.items()
            ],
        )
        for clip, own in zip(clips, files, strict=True)
    ]
    reasons = [""] * len(clips)
    for n_done, task in enumerate(workers.map(_write, arguments), start=1):
        if task.error is not None:
            raise task.failure(f"{clips[task.label].id} could not be written")
        reasons[task.label] = task.result
        progress(n_done, len(clips))
    written = np.array([not reason for reason in reasons], dtype=np.bool_)
    known = clip_frame(clips, [clip.id for clip in clips]).drop(columns="samples")[written]
    tables = [
        known.assign(
            condition=condition,
            path=[own[condition] for own, there in zip(files, written, strict=True) if there],
        )
        for condition in chains
    ]
    unusable = [(clip.id, why) for clip, why in zip(clips, reasons, strict=True) if why]
    return Degraded(pd.concat(tables, ignore_index=True), tuple(unusable))


def _write(
    path: Path, segment: Segment | None, sample_rate_hz: int | None, copies: Sequence[Copy]
) -> str:
    """Write the copies of a clip; return why it can't be used, or nothing. Runs in a worker."""
    from scipy.io import wavfile

    try:
        content = path.read_bytes()
        rate_hz = sample_rate_hz or _own_rate(content)
        samples = audio.decode(content, rate_hz, segment=segment).samples
    except OSError as error:
        return f"can't be read ({error.strerror})"
    except audio.UnusableError as error:
        return str(error)
    for copy in copies:
        wav = io.BytesIO()
        # libsndfile would write the time into files of floats.
        wavfile.write(wav, rate_hz, copy.chain.apply(samples, rate_hz, copy.seed))
        copy.file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(copy.file, wav.getvalue())
    return ""


def _own_rate(content: bytes) -> int:
    with audio.open_sound(content) as file:
        return int(file.samplerate)
