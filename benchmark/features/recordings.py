"""Facts about the file of a recording: container, channels, sample rate, clipping."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.corpora.folder import CONTAINERS

FULL_SCALE = 0.999
"""A sample of at least this size is clipped: 32,735 of 16 bits."""


class FileFacts(NamedTuple):
    """One recording as stored in its file, before any processing.

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


def inspect_files(paths: Sequence[Path]) -> list[FileFacts]:
    """Return the facts of decodable files; runs in a worker."""
    return [inspect_file(path) for path in paths]


def inspect_file(path: Path) -> FileFacts:
    """Return the facts of one file.

    Raises
    ------
    soundfile.LibsndfileError
        If it is not audio. Call it for files that `extract` could use.
    """
    import soundfile

    with soundfile.SoundFile(path) as file:
        absolute = np.abs(file.read(dtype="float32"))
        return FileFacts(
            suffix=path.suffix.lower(),
            container=file.format,
            encoding=file.subtype,
            channels=file.channels,
            sample_rate_hz=file.samplerate,
            duration_s=file.frames / file.samplerate,
            peak=float(absolute.max(initial=0.0)),
            n_full=int((absolute >= FULL_SCALE).sum()),
        )
