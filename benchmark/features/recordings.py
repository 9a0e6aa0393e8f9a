"""What a file says of its recording: container, channels, rate, and how near it comes to full."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

FULL_SCALE = 0.999
"""A sample at least this large has reached the converter's end: 32,735 of 16 bits."""

CONTAINERS = {
    ".wav": ("WAV", "WAVEX", "RF64", "W64"),
    ".flac": ("FLAC",),
    ".ogg": ("OGG",),
}
"""The containers, by libsndfile's names, that an ending promises."""


class FileFacts(NamedTuple):
    """One recording as its file holds it, before anything is averaged, resampled or trimmed.

    Attributes
    ----------
    ending : str
        Of the file's name, in small letters.
    container, encoding : str
        By libsndfile's names: ``FLAC``, ``PCM_16``.
    channels, sample_rate_hz : int
    duration_s : float
    peak : float
        Its largest absolute sample; full scale is 1.0.
    n_full : int
        How many samples, over all channels, are at full scale.
    """

    ending: str
    container: str
    encoding: str
    channels: int
    sample_rate_hz: int
    duration_s: float
    peak: float
    n_full: int

    @property
    def as_named(self) -> bool:
        """Whether the file is what its ending promises."""
        return self.container in CONTAINERS.get(self.ending, (self.container,))


def inspect_files(paths: Sequence[Path]) -> list[FileFacts]:
    """Return the facts of files that can be decoded; what a worker does."""
    return [inspect_file(path) for path in paths]


def inspect_file(path: Path) -> FileFacts:
    """Return the facts of one file.

    Raises
    ------
    soundfile.LibsndfileError
        If it is no audio; `extract` says so in words, and goes before.
    """
    import soundfile

    with soundfile.SoundFile(path) as file:
        absolute = np.abs(file.read(dtype="float32"))
        return FileFacts(
            ending=path.suffix.lower(),
            container=file.format,
            encoding=file.subtype,
            channels=file.channels,
            sample_rate_hz=file.samplerate,
            duration_s=file.frames / file.samplerate,
            peak=float(absolute.max(initial=0.0)),
            n_full=int((absolute >= FULL_SCALE).sum()),
        )
