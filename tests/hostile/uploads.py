"""Generated hostile uploads, in families of any size."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import soundfile
from numpy.random import Generator

from benchmark.features.audio import resample
from benchmark.serving.example_clip import example_wav

BOUNDARY = b"----a-line-between"
HEAD = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
SECRET = "whose-voice-this-is"
"""Part of many file names; must not appear in the log of the service."""

UNANSWERED = 0
"""In position of a status: the connection was closed without a response."""

HANGING = -1
"""In position of a status: neither a response nor the end of the connection."""

RECORDING = frozenset({200, 413, 415, 422, 503})
BROKEN = frozenset({UNANSWERED, 400, 408, 413, 415, 422})
"""Malformed HTTP gets a response of the HTTP library, or none."""

SIZES = (0, 1, 7, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 256, 2**32 - 1)
RATES_HZ = (0, 1, 2, 50, 999, 8_000, 44_100, 192_000, 655_350, 10_000_000, 2**31 - 1, 2**32 - 1)
CHANNELS = (0, 1, 2, 3, 8, 64, 255, 256, 1_024, 1_025, 65_535)
BITS = (0, 1, 4, 7, 8, 12, 16, 24, 32, 33, 64, 65_535)
NUMBERS = (math.nan, math.inf, -math.inf, 1e38, -3e38, 1e-45, 1e-310, 1e300, 0.0)

ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")


@dataclass(frozen=True)
class Request:
    """The bytes sent over one connection, and how the connection ends.

    Attributes
    ----------
    parts : tuple of bytes
        Sent one after the other.
    allowed : frozenset of int
        Correct response statuses.
    pause_s : float
        Pause after each part.
    ending : str
        Whether the client reads the response, or closes or resets the connection before.
    """

    parts: tuple[bytes, ...]
    allowed: frozenset[int]
    pause_s: float = 0.0
    ending: Literal["read", "half-close", "close", "reset"] = "read"


# Forms and requests.


def file_part(content: bytes, name: bytes = b"call.wav", field: bytes = b"file") -> bytes:
    """Return a file as a part of a multipart form."""
    told = b'Content-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n' % (field, name)
    return b"--%s\r\n%s%s\r\n" % (BOUNDARY, told, content)


def form(*parts: bytes) -> bytes:
    """Return a multipart form."""
    return b"".join(parts) + b"--%s--\r\n" % BOUNDARY


def head(address: str, length: int | None, *lines: bytes, boundary: bytes = BOUNDARY) -> bytes:
    """Return request line and headers; the content length may be wrong or missing."""
    told = [HEAD % address.encode(), b"Content-Type: multipart/form-data; boundary=", boundary]
    told += [b"\r\n", *lines]
    told += [] if length is None else [b"Content-Length: %d\r\n" % length]
    return b"".join(told) + b"\r\n"


def posted(address: str, body: bytes, allowed: frozenset[int] = RECORDING) -> Request:
    """Return a valid HTTP request with a form."""
    return Request((head(address, len(body)), body), allowed)


def uploaded(
    content: bytes, rng: Generator | None = None, allowed: frozenset[int] = RECORDING
) -> Request:
    """Return an upload to /predict, or with `rng` sometimes to /timeline."""
    address = "/predict" if rng is None or rng.random() < 0.7 else "/timeline"
    return posted(address, form(file_part(content, f"{SECRET}.wav".encode())), allowed)


# Valid recordings.


@cache
def voice(rate_hz: int = 8_000, seconds: float = 1.0) -> np.ndarray:
    """Return an example clip, or its beginning."""
    samples, own_hz = soundfile.read(io.BytesIO(example_wav()), dtype="float32")
    brought: np.ndarray = resample(samples, own_hz, rate_hz)[: round(seconds * rate_hz)]
    return brought


def encoded(
    samples: np.ndarray, rate_hz: int, file_format: str, subtype: str | None = None
) -> bytes:
    """Return samples as an audio file."""
    content = io.BytesIO()
    with soundfile.SoundFile(
        content, "w", rate_hz, samples.ndim, subtype, format=file_format
    ) as file:
        file.write(samples)
    return content.getvalue()


@cache
def good_files() -> tuple[tuple[str, bytes], ...]:
    """Return the example clip in every format and subtype of libsndfile, with the format's name."""
    found = []
    for file_format in soundfile.available_formats():
        if file_format in {"RAW", "SD2"}:  # one has no header, the other needs two files
            continue
        for subtype in soundfile.available_subtypes(file_format):
            try:
                content = encoded(voice(), 8_000, file_format, subtype)
            except (soundfile.LibsndfileError, ValueError):  # not at this rate
                continue
            found.append((file_format, content))
    return tuple(found)


COMMON = ("WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64", "RF64")


def any_good(rng: Generator) -> bytearray:
    """Return a valid file; common formats are twice as frequent."""
    files = good_files()
    known = [content for file_format, content in files if file_format in COMMON]
    chosen = known if rng.random() < 0.67 else [content for _, content in files]
    return bytearray(chosen[rng.integers(len(chosen))])


def wav(
    data: bytes,
    *,
    tag: int = 1,
    channels: int = 1,
    rate_hz: int = 8_000,
    bits: int = 16,
    sizes: tuple[int | None, int | None, int | None] = (None, None, None),
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """Return a WAV file with the given header fields, including the sizes of RIFF, fmt and data."""
    align = channels * bits // 8
    told = struct.pack(
        "<HHIIHH", tag, channels, rate_hz, (rate_hz * align) % 2**32, align % 2**16, bits
    )
    riff_size, told_size, data_size = sizes
    chunks = b"fmt " + struct.pack("<I", 16 if told_size is None else told_size) + told + before
    chunks += b"data" + struct.pack("<I", len(data) if data_size is None else data_size)
    chunks += data + after
    whole = len(chunks) + 4 if riff_size is None else riff_size
    return b"RIFF" + struct.pack("<I", whole % 2**32) + b"WAVE" + chunks


def spoken_bytes(rng: Generator, seconds: float = 1.0) -> bytes:
    """Return 16-bit samples of the example clip at a random level."""
    louder = voice(8_000, seconds) * rng.uniform(0.2, 1.0)
    return (louder * 32_767).astype("<i2").tobytes()


# Families of recordings.


def good(rng: Generator) -> Request:
    """A valid recording."""
    rate_hz = int(rng.choice([8_000, 16_000, 22_050, 44_100]))
    louder = voice(rate_hz, float(rng.uniform(0.4, 1.3))) * rng.uniform(0.2, 1.0)
    subtype = str(rng.choice(["PCM_16", "PCM_24", "FLOAT"]))
    return uploaded(encoded(louder, rate_hz, "WAV", subtype), rng, frozenset({200}))


def truncated(rng: Generator) -> Request:
    """A recording truncated at a random position, also in its header."""
    content = any_good(rng)
    most = 200 if rng.random() < 0.4 else len(content)
    return uploaded(bytes(content[: rng.integers(most)]), rng)


def flipped(rng: Generator) -> Request:
    """A recording with random bits flipped, in its header or anywhere."""
    content = any_good(rng)
    within = min(len(content), 256 if rng.random() < 0.6 else len(content))
    for position in rng.integers(within, size=2 ** rng.integers(7)):
        content[position] ^= 1 << rng.integers(8)
    return uploaded(bytes(content), rng)


def spliced(rng: Generator) -> Request:
    """A recording with parts missing, repeated, zeroed, random, or from another recording."""
    content = any_good(rng)
    for _ in range(rng.integers(1, 4)):
        start, end = sorted(rng.integers(len(content) + 1, size=2))
        part = bytes(content[start:end])
        others = (b"", part * 3, bytes(len(part)), rng.bytes(len(part)), bytes(any_good(rng)))
        content[start:end] = others[rng.integers(len(others))]
    return uploaded(bytes(content), rng)


def misnumbered(rng: Generator) -> Request:
    """A recording with an extreme number somewhere in its header, in either byte order."""
    content = any_good(rng)
    for _ in range(rng.integers(1, 4)):
        number = int(rng.choice(SIZES + RATES_HZ + CHANNELS))
        width = int(rng.choice([1, 2, 4, 8]))
        order: Literal["little", "big"] = "little" if rng.random() < 0.5 else "big"
        position = int(rng.integers(4, 120))
        content[position : position + width] = (number % 256**width).to_bytes(width, order)
    return uploaded(bytes(content), rng)


def wrong_wav(rng: Generator) -> Request:
    """A WAV file whose header has some impossible rates, channels, bits or sizes."""
    wrong = rng.random(5) < 0.4
    sizes: list[int | None] = [int(size) for size in rng.choice(SIZES, 3)]
    content = wav(
        spoken_bytes(rng),
        tag=int(rng.choice([0, 1, 2, 3, 6, 7, 17, 49, 64, 85, 0x160, 0xFFFE, 0xFFFF]))
        if wrong[0]
        else 1,
        channels=int(rng.choice(CHANNELS)) if wrong[1] else 1,
        rate_hz=int(rng.choice(RATES_HZ)) if wrong[2] else 8_000,
        bits=int(rng.choice(BITS)) if wrong[3] else 16,
        sizes=(
            sizes[0] if rng.random() < 0.5 else None,
            sizes[1] if rng.random() < 0.3 else None,
            sizes[2] if rng.random() < 0.5 else None,
        )
        if wrong[4]
        else (None, None, None),
    )
    return uploaded(content, rng)


def odd_rate(rng: Generator) -> Request:
    """A valid file with an unusual rate and many channels, from a second to an hour long."""
    rate_hz = int(rng.choice(RATES_HZ[1:-1]))
    channels = int(rng.choice(CHANNELS[1:-2]))
    frames = min(int(rate_hz * rng.choice([0.5, 1, 20, 61, 901])), 400_000 // channels)
    samples = rng.integers(-9_000, 9_000, (max(1, frames), channels)).astype("<i2")
    return uploaded(wav(samples.tobytes(), channels=channels, rate_hz=rate_hz), rng)


def odd_rate_elsewhere(rng: Generator) -> Request:
    """AIFF, AU, CAF and FLAC files whose headers have impossible rates and channels."""
    rate = float(rng.choice([*RATES_HZ, math.nan, math.inf, -1.0, 1e300, 0.001, 2.0**62]))
    channels = int(rng.choice(CHANNELS))
    makers = (_aiff, _au, _caf, _flac)
    return uploaded(makers[rng.integers(len(makers))](rate, channels, rng), rng)


def _aiff(rate: float, channels: int, rng: Generator) -> bytes:
    content = bytearray(encoded(voice(), 8_000, "AIFF"))
    position = content.index(b"COMM") + 8
    content[position : position + 2] = struct.pack(">H", channels)
    content[position + 2 : position + 6] = struct.pack(">I", int(rng.choice(SIZES)))
    mantissa, exponent = math.frexp(rate) if math.isfinite(rate) else (0.5, 16_384)
    number = int(abs(mantissa) * 2**64) % 2**64
    content[position + 8 : position + 18] = struct.pack(">HQ", exponent + 16_382 & 0x7FFF, number)
    return bytes(content)


def _au(rate: float, channels: int, rng: Generator) -> bytes:
    whole = int(rate) % 2**32 if math.isfinite(rate) else 2**32 - 1
    told = struct.pack(">IIIII", int(rng.choice(SIZES)), int(rng.choice(SIZES)), 3, whole, channels)
    return b".snd" + told + encoded(voice(), 8_000, "AU")[24:]


def _caf(rate: float, channels: int, rng: Generator) -> bytes:
    content = bytearray(encoded(voice(), 8_000, "CAF"))
    position = content.index(b"desc") + 12
    content[position : position + 8] = struct.pack(">d", rate)
    content[position + 24 : position + 28] = struct.pack(">I", channels)
    if rng.random() < 0.5:
        position = content.index(b"data") + 4
        content[position : position + 8] = struct.pack(">q", int(rng.choice([-1, 0, 2**62, 2**31])))
    return bytes(content)


def _flac(rate: float, channels: int, rng: Generator) -> bytes:
    whole = int(rate) % 2**20 if math.isfinite(rate) else 2**20 - 1
    total = int(rng.choice([0, 1, 8_000, 2**31, 2**36 - 1]))
    return flac_told(encoded(voice(), 8_000, "FLAC"), whole, channels, total)


def flac_told(content: bytes, rate_hz: int, channels: int, total: int) -> bytes:
    """Return a FLAC file with another rate, number of channels and length in its header."""
    bits = (content[20] & 1) << 4 | content[21] >> 4
    told = rate_hz << 44 | (channels - 1 & 7) << 41 | bits << 36 | total
    return content[:18] + told.to_bytes(8, "big") + content[26:]


def no_numbers(rng: Generator) -> Request:
    """Samples that are NaN, infinite, or extremely large or small."""
    width, order, file_format = [
        ("<f4", 4, "WAV"),
        ("<f8", 8, "WAV"),
        (">f4", 4, "AU"),
        (">f8", 8, "CAF"),
    ][rng.integers(4)]
    samples = np.resize(voice(), int(rng.integers(1, 12_000))).astype(np.float64)
    chosen = rng.random(len(samples)) < rng.choice([1e-4, 0.01, 1.0])
    chosen[rng.integers(len(samples))] = True
    with np.errstate(over="ignore"):
        samples[chosen] = rng.choice(NUMBERS, chosen.sum())
        if file_format == "WAV":
            raw = samples.astype(width).tobytes()
            content = wav(raw, tag=3, bits=order * 8, rate_hz=int(rng.choice([8_000, 44_100])))
        else:
            subtype = "FLOAT" if order == 4 else "DOUBLE"
            content = encoded(samples, 8_000, file_format, subtype)
    return uploaded(content, rng)


# Bombs: small files that decode to large arrays.


@cache
def hours_of_silence(file_format: str, subtype: str | None, hours: float, level: float) -> bytes:
    """Return hours of a constant level, compressed by the format."""
    rate_hz = 8_000
    content = io.BytesIO()
    block = np.full(rate_hz * 60, level, dtype=np.float32)
    with soundfile.SoundFile(content, "w", rate_hz, 1, subtype, format=file_format) as file:
        for _ in range(round(hours * 60)):
            file.write(block)
    return content.getvalue()


BOMBS: tuple[tuple[str, str | None, float, float], ...] = (
    ("FLAC", None, 12.0, 0.0),
    ("FLAC", None, 0.24, 0.0),
    ("FLAC", None, 0.24, 0.25),
    ("OGG", "VORBIS", 2.0, 0.0),
    ("OGG", "VORBIS", 0.24, 0.0),
    ("OGG", "OPUS", 0.24, 0.0),
    ("MP3", None, 0.5, 0.0),
)
"""Format, subtype, hours and level; 0.24 hours are just short enough for a timeline."""


def bomb(rng: Generator) -> Request:
    """Hours of silence in a small file, some with a wrong length in the header."""
    file_format, subtype, hours, level = BOMBS[rng.integers(len(BOMBS))]
    content = hours_of_silence(file_format, subtype, hours, level)
    told = int(rng.choice([0, 1, 8_000, 2**31, 2**36 - 1]))
    if rng.random() < 0.6:
        content = (
            flac_told(content, int(rng.choice([1, 8_000, 655_350])), int(rng.choice([1, 8])), told)
            if file_format == "FLAC"
            else _cut_short(content, file_format, told, rng)
        )
    return uploaded(content, rng, RECORDING)


def _cut_short(content: bytes, file_format: str, told: int, rng: Generator) -> bytes:
    """Return the file with another length in its last page, or only its beginning."""
    if file_format == "OGG" and rng.random() < 0.7:
        return ogg_told(content, (0, told, 2**62, 2**64 - 1)[rng.integers(4)])
    return content[: int(rng.integers(1, len(content)))]


def ogg_told(content: bytes, granules: int) -> bytes:
    """Return an Ogg file with another length and a correct checksum in its last page."""
    start = content.rindex(b"OggS")
    page = bytearray(content[start:])
    page[6:14] = granules.to_bytes(8, "little")
    page[22:26] = bytes(4)
    page[22:26] = ogg_checksum(bytes(page)).to_bytes(4, "little")
    return content[:start] + bytes(page)


def ogg_checksum(page: bytes) -> int:
    """Return the checksum of an Ogg page (RFC 3533): CRC-32 of 0x04C11DB7, not reflected."""
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = register << 1 ^ (0x104C11DB7 if register & 0x80000000 else 0)
    return register


def wide(rng: Generator) -> Request:
    """Valid WAV files of about the largest allowed size."""
    mebibytes = int(rng.choice([1, 4, 16, 31]))
    channels = int(rng.choice([1, 2, 64, 1_024]))
    rate_hz = int(rng.choice([1, 8_000, 192_000, 10_000_000]))
    tag, bits, silence = [(1, 16, b"\0\0"), (3, 32, b"\0\0\0\0"), (6, 8, b"\xd5"), (1, 8, b"\x80")][
        rng.integers(4)
    ]
    data = silence * (mebibytes * 2**20 // len(silence))
    return uploaded(wav(data, tag=tag, channels=channels, rate_hz=rate_hz, bits=bits), rng)


@cache
def _comment(file_format: str, size: int) -> bytes:
    content = io.BytesIO()
    with soundfile.SoundFile(content, "w", 8_000, 1, format=file_format) as file:
        file.comment = "A" * size
        file.write(voice())
    return content.getvalue()


def metadata(rng: Generator) -> Request:
    """Files with more metadata than audio."""
    size = int(rng.choice([10**4, 10**6, 2 * 10**7]))
    makers: tuple[Callable[[int, Generator], bytes], ...] = (
        _list_chunk,
        _flac_blocks,
        _id3,
        _tiny_chunks,
        _aiff_text,
        lambda size, rng: _comment(
            str(rng.choice(["WAV", "FLAC", "OGG", "CAF"])), min(size, 10**6)
        ),
        _vorbis_comments,
    )
    return uploaded(makers[rng.integers(len(makers))](size, rng), rng)


def _list_chunk(size: int, rng: Generator) -> bytes:
    text = b"INFOICMT" + struct.pack("<I", int(rng.choice([size - 12, 0, 2**32 - 1]))) + bytes(size)
    chunk = b"LIST" + struct.pack("<I", len(text)) + text
    return (
        wav(spoken_bytes(rng), before=chunk)
        if rng.random() < 0.5
        else wav(spoken_bytes(rng), after=chunk)
    )


def _tiny_chunks(size: int, rng: Generator) -> bytes:
    count = min(size // 8, 300_000)
    names = [b"junk", b"LIST", b"cue ", b"smpl", b"bext", b"PEAK", b"fact", b"\0\0\0\0", b"cart"]
    chunk = names[rng.integers(len(names))] + struct.pack("<I", int(rng.choice([0, 2, 4])))
    return wav(spoken_bytes(rng), before=chunk * count)


def _flac_blocks(size: int, rng: Generator) -> bytes:
    content = encoded(voice(), 8_000, "FLAC")
    kind = int(rng.choice([1, 2, 3, 4, 5, 6, 126]))
    block = bytes([kind]) + min(size, 2**24 - 1).to_bytes(3, "big") + bytes(min(size, 2**24 - 1))
    start = 42  # after the magic bytes and the first block, which must stay first
    return content[:4] + bytes([0]) + content[5:start] + block + content[start:]


def _vorbis_comments(size: int, rng: Generator) -> bytes:
    count = int(rng.choice([1, size // 8, 2**32 - 1]))
    told = struct.pack("<I", int(rng.choice([0, 2**32 - 1]))) + struct.pack("<I", count)
    words = struct.pack("<I", 4) + b"A=BC"
    body = (told + words * (min(size, 2**24 - 100) // 8))[: 2**24 - 1]
    content = encoded(voice(), 8_000, "FLAC")
    block = bytes([4]) + len(body).to_bytes(3, "big") + body
    return content[:4] + bytes([0]) + content[5:42] + block + content[42:]


def _id3(size: int, rng: Generator) -> bytes:
    told = int(rng.choice([size, 0, 2**28 - 1]))
    seven_bits = bytes(told >> shift & 0x7F for shift in (21, 14, 7, 0))
    content = encoded(voice(), 8_000, str(rng.choice(["MP3", "WAV", "FLAC"])))
    return b"ID3\x04\0\0" + seven_bits + bytes(size) + content


def _aiff_text(size: int, rng: Generator) -> bytes:
    content = encoded(voice(), 8_000, "AIFF")
    kind = [b"ANNO", b"COMT", b"MARK", b"INST", b"APPL", b"NAME"][rng.integers(6)]
    told = struct.pack(">I", int(rng.choice([size, 0, 2**31, 2**32 - 1])))
    return content[:12] + kind + told + bytes(size) + content[12:]


# Files that are not recordings, and nested recordings.


@cache
def _archive(mebibytes: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("voice.wav", bytes(mebibytes * 2**20))
    return content.getvalue()


PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(
    ">I4sIIBBBBB", 13, b"IHDR", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0
)
MARKS = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"FORM",
    b"fLaC",
    b"OggS",
    b"caff",
    b".snd",
    b"dns.",
    b"ID3\x03",
)
MARKS += (
    b"\xff\xfb\x90\x00",
    b"riff\x2e\x91\xcf\x11",
    b" paf",
    b"NIST_1A\n",
    b"Creative Voice File",
)
MARKS += (b"MATLAB 5.0", b"2BIT", b"Extended Instrument:", b"\xf0\x7e", b"\x01\x04", b"PVF1\n")
MARKS += (b"\x64\xa3\x01\x00", b"ALawSoundFile**", b"\x00\x00\x00\x14ftypM4A ", b"\x1aE\xdf\xa3")


def no_audio(rng: Generator) -> Request:
    """Archives, images, HTML, text, noise, nothing; some behind the first bytes of a recording."""
    others = (
        b"",
        rng.bytes(1),
        _archive(int(rng.choice([1, 100]))),
        gzip.compress(bytes(10**7), mtime=0),
        zlib.compress(bytes(10**7)),
        PNG,
        b"%PDF-1.7\n" + rng.bytes(4_000),
        b"<!doctype html><script>alert(1)</script>" * 99,
        b"#!/bin/sh\nrm -rf /\n",
        "Grüße, 声".encode() * 50,
        b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.",
        rng.bytes(int(rng.integers(1, 5_000))),
    )
    content = others[rng.integers(len(others))]
    mark = MARKS[rng.integers(len(MARKS))] if rng.random() < 0.7 else b""
    return uploaded(mark + content, rng)  # after some magic bytes, noise is a valid recording


def nested(rng: Generator) -> Request:
    """Nested or concatenated recordings, repeated or missing parts, junk around them."""
    inner, data = bytes(any_good(rng)), spoken_bytes(rng, 0.3)
    plain = wav(data)
    once = plain
    for _ in range(int(rng.integers(1, 60))):
        once = b"RIFF" + struct.pack("<I", len(once) + 4) + b"WAVE" + once
    others = (
        wav(inner),
        wav(inner, tag=85),
        once,
        plain + plain,
        plain + inner,
        inner + inner,
        bytes(int(rng.integers(1, 2**20))) + inner,
        plain.replace(b"fmt ", b"junk"),
        plain.replace(b"data", b"junk"),
        plain[:12] + plain[36:] + plain[12:36],
        wav(data, after=b"data" + struct.pack("<I", len(data)) + data),
        plain.replace(b"RIFF", b"RIFX"),
        plain.replace(b"RIFF", b"RF64"),
        b"RF64\xff\xff\xff\xffWAVEds64"
        + struct.pack("<IQQQI", 28, 2**63, 2**63 - 1, 2**62, 2**31)
        + plain[12:],
        _archive(1) + inner,
        inner[: len(inner) // 2] + bytes(any_good(rng)),
    )
    return uploaded(others[rng.integers(len(others))], rng)


# Malformed forms and requests.


def odd_form(rng: Generator) -> Request:
    """Forms with odd names, too many parts, no parts, or parts that do not end."""
    content = wav(spoken_bytes(rng, 0.3))
    address = str(rng.choice(["/predict", "/timeline"]))
    names = [b"../../etc/passwd", b"C:\\x\\y.wav", b"a\0b.wav", "声.wav".encode(), b"\xff\xfe"]
    names += [b"x" * 10_000, b"", b'a";name="x', b"%00", b"a\r\nX: y", b".", b"\x1b[31m", b"=" * 99]
    whole = form(file_part(content))
    name = names[rng.integers(len(names))]
    many = int(rng.integers(2, 200))
    bodies = (
        form(file_part(content, name)),
        form(file_part(content, name), file_part(b"", name)),
        form(file_part(content, field=name)),
        form(),
        b"",
        form(*[file_part(content[:100])] * many),
        form(*[b'--%s\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' % BOUNDARY] * many),
        b'--%s\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n' % BOUNDARY + form(),
        b"--%s\r\n" % BOUNDARY + b"X-Header: y\r\n" * int(rng.choice([1, 99, 9_999])) + whole,
        b"--%s\r\nX-Header: %s\r\n\r\nb\r\n" % (BOUNDARY, b"y" * int(rng.choice([99, 10**6]))),
        b"--%s\r\nContent-Disposition: %s\r\n\r\nb\r\n" % (BOUNDARY, b'a; b="c' * 999) + form(),
        b"--%s\r\n\r\n" % BOUNDARY * many + form(),
        whole[: int(rng.integers(len(whole)))],
        whole + rng.bytes(100),
        rng.bytes(100) + whole,
        form(file_part(content + b"\r\n--%s\r\n" % BOUNDARY + content)),
        (b"--%s" % BOUNDARY) * many,
        b"\r\n" * 10_000 + whole,
        rng.bytes(1_000),
    )
    body = bodies[rng.integers(len(bodies))]
    charsets = (b"utf-16", b"utf-7", b"idna", b"punycode", b"base64", b"zip", b"x", b"")
    odd = (b"", b'"', b"\xff", b"b" * 300, b";;=")
    odd += tuple(BOUNDARY + b"; charset=" + charset for charset in charsets)
    boundary = odd[rng.integers(len(odd))] if rng.random() < 0.5 else BOUNDARY
    parts = (head(address, len(body), boundary=boundary), body)
    return Request(parts, RECORDING | {207})


def odd_http(rng: Generator) -> Request:
    """Wrong content lengths, malformed chunks, and malformed HTTP."""
    body = form(file_part(wav(spoken_bytes(rng, 0.3))))
    start = head("/predict", None)[:-2]
    known = b"Content-Length: %d\r\n" % len(body)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n"
    pieces = [body[position : position + 999] for position in range(0, len(body), 999)]
    in_chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    others: tuple[tuple[bytes, ...], ...] = (
        (start, chunked, in_chunks, b"0\r\n\r\n"),
        (start, chunked, in_chunks, b"0\r\nX: y\r\n\r\n"),
        (start, chunked, b"ffffffffffffffff\r\n", body),
        (start, chunked, b"-1\r\n", body),
        (start, chunked, b"5;%s\r\nhello\r\n0\r\n\r\n" % (b"x" * 20_000)),
        (start, b"Transfer-Encoding: gzip, chunked\r\n\r\n", in_chunks, b"0\r\n\r\n"),
        (start, b"Content-Length: 0\r\n\r\n", body),
        (start, b"Content-Length: 10\r\n\r\n", body),
        (start, b"Content-Length: -1\r\n\r\n", body),
        (start, b"Content-Length: %d\r\n\r\n" % 2**64, body),
        (start, b"Content-Length: 1" + b"0" * 5_000 + b"\r\n\r\n", body),
        (start, b"Content-Length: abc\r\n\r\n", body),
        (start, b"Content-Length: 1, 2\r\n\r\n", body),
        (start, known, b"Content-Length: 5\r\n\r\n", body),
        (start, known, chunked, in_chunks, b"0\r\n\r\n"),
        (start, known, b"Expect: 100-continue\r\n\r\n", body),
        (start, known, b"Expect: something\r\n\r\n", body),
        (start, known, b"Content-Encoding: gzip\r\n\r\n", gzip.compress(body, mtime=0)),
        (start, known, b"X: %s\r\n\r\n" % (b"y" * int(rng.choice([9_999, 70_000]))), body),
        (start, known, b"X: y\r\n" * int(rng.choice([99, 9_999])), b"\r\n", body),
        (start, known, b"Origin: http://elsewhere.example\r\n\r\n", body),
        (start, known, b"Host: elsewhere.example\r\n\r\n", body),
        (b"POST /predict HTTP/1.1\r\n", known, b"\r\n", body),
        (b"POST /predict HTTP/1.0\r\nHost: localhost\r\n", known, b"\r\n", body),
        (b"POST /predict HTTP/9.9\r\nHost: localhost\r\n", known, b"\r\n", body),
        (b"POST /%s HTTP/1.1\r\nHost: localhost\r\n" % (b"x" * 9_999), known, b"\r\n", body),
        (b"POST /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n", known, b"\r\n", body),
        (b"POST http://elsewhere.example/ HTTP/1.1\r\nHost: localhost\r\n", known, b"\r\n", body),
        (b"CONNECT elsewhere.example:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",),
        (
            b"GET /predict HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n",
            b"Connection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.bytes(50),),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.bytes(500),),
        (b"\r\n" * 50_000,),
        (rng.bytes(2_000) + b"\r\n\r\n",),
        (start, known, b"\r\n", body, start, known, b"\r\n", body),
        (start, b"Content-Length: %d\r\n\r\n" % (64 * 2**20), bytes(2**20)),
        (start, chunked, *[b"%x\r\n" % 2**20, bytes(2**20), b"\r\n"] * 40),
    )
    parts = others[rng.integers(len(others))]
    allowed = RECORDING | BROKEN | {403, 404, 405, 421, 505}
    return Request(parts, allowed, ending="half-close")


# Slow clients, and clients that disconnect.


def slow_sender(rng: Generator) -> Request:
    """A recording sent byte by byte, longer than the time limit of a request."""
    body = form(file_part(wav(spoken_bytes(rng, 0.3))))
    cut = int(rng.integers(len(body) - 200))
    drops = tuple(body[position : position + 1] for position in range(cut, cut + 100))
    return Request((head("/predict", len(body)) + body[:cut], *drops), frozenset({408}), 0.25)


def slow_head(rng: Generator) -> Request:
    """Headers sent byte by byte, or not at all."""
    start = head("/predict", 100)
    cut = int(rng.integers(len(start) - 60)) * int(rng.random() < 0.7)
    drops = tuple(start[position : position + 1] for position in range(cut, cut + 50))
    return Request((start[:cut], *drops), BROKEN, 0.25)


def stalled(rng: Generator) -> Request:
    """A recording that is sent in part, while the client waits for a response."""
    body = form(file_part(wav(spoken_bytes(rng, 0.5))))
    cut = int(rng.integers(len(body)))
    return Request((head("/predict", len(body)), body[:cut]), frozenset({408}))


def aborted(rng: Generator) -> Request:
    """A recording whose client disconnects during the upload or before the response."""
    seconds = float(rng.choice([0.3, 1.0]))
    body = form(file_part(wav(spoken_bytes(rng, seconds))))
    cut = len(body) if rng.random() < 0.4 else int(rng.integers(len(body)))
    address = str(rng.choice(["/predict", "/timeline"]))
    ending: Literal["close", "reset"] = "close" if rng.random() < 0.5 else "reset"
    parts = (head(address, len(body)), body[:cut])
    return Request(parts, frozenset({UNANSWERED}), float(rng.choice([0.0, 0.01])), ending)


def crowded(rng: Generator) -> Request:
    """A valid recording among more requests than the service allows at once."""
    request = good(rng)
    return Request(request.parts, frozenset({200, 429, 503}))


@dataclass(frozen=True)
class Family:
    """Uploads that are hostile in the same way.

    Attributes
    ----------
    make : callable
        Returns a random upload.
    count : int
        Number in 1,040 uploads.
    concurrent : int
        Number sent at the same time.
    idle : bool
        Whether they occupy connections but no worker, so that other requests are answered.
    """

    make: Callable[[Generator], Request]
    count: int
    concurrent: int = 4
    idle: bool = False


FAMILIES = {
    "good": Family(good, 30),
    "truncated": Family(truncated, 160),
    "flipped": Family(flipped, 150),
    "spliced": Family(spliced, 80),
    "misnumbered": Family(misnumbered, 130),
    "wrong WAV header": Family(wrong_wav, 90),
    "odd rate or channels": Family(odd_rate, 30),
    "odd rate, not WAV": Family(odd_rate_elsewhere, 50),
    "no numbers": Family(no_numbers, 40),
    "bomb": Family(bomb, 20),
    "wide": Family(wide, 6),
    "metadata": Family(metadata, 20),
    "no audio": Family(no_audio, 40),
    "nested": Family(nested, 40),
    "odd form": Family(odd_form, 40),
    "odd HTTP": Family(odd_http, 40),
    "aborted": Family(aborted, 40),
    "crowded": Family(crowded, 16, concurrent=48),
    "slow sender": Family(slow_sender, 6, concurrent=64, idle=True),
    "slow head": Family(slow_head, 6, concurrent=64, idle=True),
    "stalled": Family(stalled, 6, concurrent=64, idle=True),
}
"""By name; their counts add up to 1,040."""


def uploads(family: str, count: int, seed: int) -> Iterator[Request]:
    """Yield `count` uploads of a family, the same for the same seed."""
    key = list(FAMILIES).index(family)
    for number in range(count):
        yield FAMILIES[family].make(np.random.default_rng((seed, key, number)))
