"""Facts about the file of a recording: container, channels, sample rate, clipping."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.corpora.folder import CONTAINERS
from benchmark.features import audio, media
from benchmark.features.foreign import foreign_kind

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
    UnusableError
        If it can't be decoded. Call it for files that `extract` could use.
    """
    content = path.read_bytes()
    with audio.open_sound(content) as file:
        samples = audio.read_segment(file, segment) if segment else audio.read_samples(file)
        foreign = foreign_kind(content) if file.format == media.FORMAT else None
        absolute = np.abs(samples)
        return FileFacts(
            suffix=path.suffix.lower(),
            container=foreign.title if foreign else file.format,
            encoding="" if foreign else file.subtype,
            channels=file.channels,
            sample_rate_hz=file.samplerate,
            duration_s=len(absolute) / file.samplerate,
            peak=float(absolute.max(initial=0.0)),
            n_full=int((absolute >= FULL_SCALE).sum()),
        )
