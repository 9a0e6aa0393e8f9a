"""The size of the samples that a file's own header states, and whether its writer knew it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from mmap import mmap

NEAR = 1 << 16
"""Programs that write to a pipe state a size near one of `PLACEHOLDERS`, less their header."""

PLACEHOLDERS = (0x7F000000, 1 << 31, 1 << 32, 1 << 63, 1 << 64)
"""sox (AIFF), the limits of signed and unsigned sizes, and those of 64 bits (RF64, CAF)."""


class Layout(NamedTuple):
    """How the chunks of a container lie in its file.

    Attributes
    ----------
    samples : bytes
        How the name of the chunk of samples begins.
    first : int
        Position of the first chunk.
    name, size : int
        Bytes of a chunk's name, and of its size.
    order : str
    align : int
        Each chunk begins at a multiple of it.
    counted : int
        Bytes of its own header that the size of a chunk counts.
    """

    samples: bytes
    first: int
    name: int
    size: int
    order: Literal["little", "big"]
    align: int
    counted: int = 0


LAYOUTS = {
    b"RIFF": Layout(b"data", 12, 4, 4, "little", 2),
    b"RIFX": Layout(b"data", 12, 4, 4, "big", 2),
    b"RF64": Layout(b"data", 12, 4, 4, "little", 2),
    b"FORM": Layout(b"SSND", 12, 4, 4, "big", 2),
    b"caff": Layout(b"data", 8, 4, 8, "big", 1),
    b"riff": Layout(b"data", 40, 16, 8, "little", 8, counted=24),
}
"""By the first bytes: WAV, AIFF, CAF and W64."""

SUN = b".snd"
CONTAINERS = (*LAYOUTS, SUN, b"fLaC", b"OggS")
"""First bytes of the containers that libsndfile reads, MP3 aside."""

RF64_SIZE = 28
"""Position of the size of the samples in RF64, in the chunk ds64 before all others."""


@dataclass(frozen=True, slots=True)
class Stated:
    """The size of the samples as a header states it.

    Attributes
    ----------
    at, width : int
        Position of the size, and its bytes.
    order : str
    first : int
        Position of the first sample.
    size : int
        Bytes of all samples.
    end : int
        Position at which the file ends by its header; 0 if nothing but the size says so.
    """

    at: int
    width: int
    order: Literal["little", "big"]
    first: int
    size: int
    end: int = 0

    def unknown(self, length: int) -> bool:
        """Whether the writer of a file of a length did not know the size, and wrote another."""
        if self.size:
            return self.first <= length < self.first + self.size and _placeholder(self.size)
        closed = self.end >= length and not _placeholder(self.end)
        return self.first < length and not closed


def _placeholder(size: int) -> bool:
    return any(abs(size - one) <= NEAR for one in PLACEHOLDERS)


def stated_size(content: bytes | mmap) -> Stated | None:
    """Return what the header of a file states; None if it does not come to the samples.

    Only for containers of `LAYOUTS` and for Sun's.
    """
    if content[:4] == SUN:
        if len(content) < 24:
            return None
        first, size = (int.from_bytes(content[at : at + 4], "big") for at in (4, 8))
        return Stated(8, 4, "big", first, size)
    layout = LAYOUTS[content[:4]]
    header = layout.name + layout.size
    position = layout.first
    while position + header <= len(content):
        at = position + layout.name
        size = int.from_bytes(content[at : at + layout.size], layout.order)
        if content[position : position + 4] == layout.samples:
            return _of_samples(content, layout, at, size - layout.counted)
        position += header + max(0, size - layout.counted)
        position += -position % layout.align
    return None


def _of_samples(content: bytes | mmap, layout: Layout, at: int, size: int) -> Stated:
    first = at + layout.size
    if content[:4] == b"RF64":
        end, size = (int.from_bytes(content[i : i + 8], "little") for i in (RF64_SIZE - 8, 28))
        return Stated(RF64_SIZE, 8, "little", first, size, 8 + end)
    end = 8 + int.from_bytes(content[4:8], layout.order) if layout.first == 12 else 0
    return Stated(at, layout.size, layout.order, first, size, end)


def ends_early(content: bytes | mmap) -> bool:
    """Whether a file is shorter than its own header states; libsndfile ignores that."""
    kind = content[:4]
    if kind == b"OggS":
        return _ogg_ends_early(content)
    if kind.startswith((b"ID3", b"\xff")):
        return _mp3_ends_early(content)
    # 8SVX and AVI have other chunks.
    other = (kind == b"FORM" and not content[8:12].startswith(b"AIF")) or (
        kind == b"RIFF" and content[8:12] != b"WAVE"
    )
    if other or (kind not in LAYOUTS and kind != SUN):
        return False
    stated = stated_size(content)
    if stated is None:
        return True
    unknown = stated.unknown(len(content)) or (kind == SUN and stated.size == 0xFFFFFFFF)
    return not unknown and stated.first + stated.size > len(content)


def _ogg_ends_early(content: bytes | mmap) -> bool:
    """Whether the last page lacks the end-of-stream flag (4), or is itself truncated."""
    page = content.rfind(b"OggS")
    if page + 27 > len(content) or not content[page + 5] & 4:
        return True
    segments = content[page + 26]
    table = content[page + 27 : page + 27 + segments]
    return len(table) < segments or page + 27 + segments + sum(table) > len(content)


def _mp3_ends_early(content: bytes | mmap) -> bool:
    """Whether MP3 is shorter than the header of its encoder states, if there is one."""
    first = 0
    if content[:3] == b"ID3":  # a tag, whose size has seven bits in each byte
        first = 10 + sum(byte << 7 * (3 - i) for i, byte in enumerate(content[6:10]))
    header = re.search(
        rb"(?:Xing|Info)...([\x02\x03\x06\x07\x0a\x0b\x0e\x0f])",
        content[first : first + 64],
        re.DOTALL,
    )
    if header is None:
        return False
    at = first + header.end() + (4 if header[1][0] & 1 else 0)
    return first + int.from_bytes(content[at : at + 4], "big") > len(content)


def with_size(content: bytes | mmap) -> bytes | mmap:
    """Return the content of a file with the size of its samples, where libsndfile needs it.

    It reads on to the end of WAV and AIFF whose size is too large, but no sample if the size is 0,
    and no other container without the right one.
    """
    kind = content[:4]
    if kind not in {b"RIFF", b"RIFX", b"RF64", b"caff", SUN}:
        return content
    stated = stated_size(content)
    copes = kind in {b"RIFF", b"RIFX"} and stated is not None and stated.size > 0
    if stated is None or copes or not stated.unknown(len(content)):
        return content
    size: int = min(len(content) - stated.first, 256**stated.width - 1)
    known = size.to_bytes(stated.width, stated.order)
    return bytes(content[: stated.at]) + known + bytes(content[stated.at + stated.width :])
