"""Facts about the file of a recording: container, channels, sample rate, clipping."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.corpora.folder import CONTAINERS

if TYPE_CHECKING:
    from benchmark.corpora.clip import Clip, Segment

FULL_SCALE = 0.999
"""A sample of at least this size is clipped: 32,735 of 16 bits."""


class FileFacts(NamedTuple):
    """One recording, or a segment of it, as stored in its file, before any processing.

    Attributes
    ----------
    suffix : str
        Of the file name, in lower case.
    container, encoding : str
        By libsndfile's names: ``FLAC``, ``PCM_16``.
    channels, sample_rate_hz : int
    duration_s : float
    peak : float
        Largest absolute sample; full scale is 1.0.
    n_full : int
        Number of samples at full scale, over all channels.
    """

    suffix: str
    container: str
    encoding: str
    channels: int
    sample_rate_hz: int
    duration_s: float
    peak: float
    n_full: int

    @property
    def as_named(self) -> bool:
        """Whether the container belongs to the suffix."""
        return self.container in CONTAINERS.get(self.suffix, (self.container,))


def inspect_files(clips: Sequence[Clip]) -> list[FileFacts]:
    """Return the facts of the files of usable clips; runs in a worker."""
    return [inspect_file(clip.path, clip.segment) for clip in clips]


def inspect_file(path: Path, segment: Segment | None = None) -> FileFacts:
    """Return the facts of one file, or of a segment of it.

    Raises
    ------
    soundfile.LibsndfileError
        If it is not audio. Call it for files that `extract` could use.
    """
    import soundfile

    with soundfile.SoundFile(path) as file:
        first, end = segment.frames(file.samplerate) if segment else (0, None)
        if segment:
            file.seek(first)
        absolute = np.abs(file.read(-1 if end is None else end - first, dtype="float32"))
        return FileFacts(
            suffix=path.suffix.lower(),
            container=file.format,
            encoding=file.subtype,
            channels=file.channels,
            sample_rate_hz=file.samplerate,
            duration_s=len(absolute) / file.samplerate,
            peak=float(absolute.max(initial=0.0)),
            n_full=int((absolute >= FULL_SCALE).sum()),
        )
