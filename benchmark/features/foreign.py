"""Files that libsndfile does not read, known by their first bytes: what they are, and a way out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmap import mmap

HEAD = 512
"""Bytes by which a file is known."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A kind of file that libsndfile does not read.

    Attributes
    ----------
    title : str
        For messages: ``M4A``, ``an HTML page``.
    begins : callable
        From the first bytes of a file to whether it is of this kind.
    demuxer : str
        FFmpeg's name of what reads it; empty if it is not a recording.
    advice : str
        What to do with a file that is not a recording.
    """

    title: str
    begins: Callable[[bytes], bool]
    demuxer: str = ""
    advice: str = ""


def _with(pattern: bytes) -> Callable[[bytes], bool]:
    """Return a test of whether the first bytes match a pattern."""
    return lambda head: re.match(pattern, head, re.DOTALL | re.IGNORECASE) is not None


WAV_CODECS = b"|".join(
    re.escape(number.to_bytes(2, "little"))
    for number in (
        *(0x22, 0x41, 0x42, 0x45, 0x50, 0x55, 0x64, 0x83, 0xFF, 0x111, 0x160, 0x161, 0x162),
        *(0x163, 0x28F, 0x1600, 0x1602, 0x2000),
    )
)
"""Numbers of codecs in WAV that libsndfile does not read."""

KINDS = (
    Foreign("M4A", _with(rb"....ftypM4[ABP]"), "mov"),
    Foreign("3GP", _with(rb"....ftyp3g"), "mov"),
    Foreign("MP4", _with(rb"....(ftyp|moov|mdat|free|skip|wide)"), "mov"),
    Foreign("WebM", _with(rb"\x1aE\xdf\xa3.{,60}webm"), "matroska"),
    Foreign("Matroska", _with(rb"\x1aE\xdf\xa3"), "matroska"),
    Foreign("AMR", _with(rb"#!AMR"), "amr"),
    Foreign("WMA", _with(rb"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel"), "asf"),
    Foreign("AAC", _with(rb"\xff[\xf0\xf1\xf8\xf9]"), "aac"),
    Foreign("RealAudio", _with(rb"\.(RMF|ra\xfd)"), "rm"),
    Foreign("AC-3", _with(rb"\x0bw"), "ac3"),
    Foreign("WavPack", _with(rb"wvpk"), "wv"),
    Foreign("Monkey's Audio", _with(rb"MAC "), "ape"),
    Foreign("True Audio", _with(rb"TTA1"), "tta"),
    Foreign("Musepack", _with(rb"MPCK"), "mpc8"),
    Foreign("DSF", _with(rb"DSD "), "dsf"),
    Foreign("AVI", _with(rb"RIFF....AVI "), "avi"),
    Foreign("Speex", _with(rb"OggS.{24}Speex   "), "ogg"),
    Foreign("FLAC in Ogg", _with(rb"OggS.{24}\x7fFLAC"), "ogg"),
    Foreign("Ogg video", _with(rb"OggS.{24}(\x80theora|fishead)"), "ogg"),
    Foreign(
        "WAV with compressed sound",  # AC-3, AAC, MP3, WMA, G.722, G.723, G.726, G.729, TrueSpeech
        _with(rb"RIFF....WAVE.{,400}fmt .{4}(" + WAV_CODECS + rb")"),
        "wav",
    ),
    Foreign(
        "CAF with compressed sound", _with(rb"caff.{4}desc.{16}(?!lpcm|alaw|ulaw|alac)"), "caf"
    ),
    Foreign("MPEG transport stream", _with(rb"G.{187}G.{187}G"), "mpegts"),
    Foreign("Flash video", _with(rb"FLV\x01"), "flv"),
    Foreign("MPEG video", _with(rb"\x00\x00\x01\xba"), "mpeg"),
    Foreign(
        "a git-lfs pointer",
        _with(rb"version https://git-lfs"),
        advice="the recording itself is fetched by `git lfs pull`",
    ),
    Foreign(
        "a git-annex pointer",
        _with(rb"[./]*/?(\.git/)?annex/objects/"),
        advice="the recording itself is fetched by `git annex get`",
    ),
    Foreign(
        "an HTML page",
        _with(
            rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype html|html|head|body)"
        ),
        advice="the download was answered by a page, for example for signing in: fetch it again",
    ),
    Foreign(
        "an XML document",
        _with(rb"(\xef\xbb\xbf)?\s*<\?xml"),
        advice="the download was answered by a message: open it in an editor, and fetch it again",
    ),
    Foreign(
        "JSON",
        _with(rb"(\xef\xbb\xbf)?\s*[{\[]\s*[\"{\]}]"),
        advice="the download was answered by a message: open it in an editor, and fetch it again",
    ),
    Foreign("a ZIP archive", _with(rb"PK\x03\x04"), advice="unpack it"),
    Foreign("a gzip archive", _with(rb"\x1f\x8b"), advice="unpack it"),
    Foreign("a 7z archive", _with(rb"7z\xbc\xaf\x27\x1c"), advice="unpack it"),
    Foreign("a RAR archive", _with(rb"Rar!\x1a"), advice="unpack it"),
    Foreign("a PDF document", _with(rb"%PDF"), advice="give a recording"),
    Foreign("MIDI", _with(rb"MThd"), advice="it holds notes and no sound: give a recording"),
    Foreign(
        "a Windows shortcut",
        _with(rb"L\x00\x00\x00\x01\x14\x02\x00"),
        advice="give the file that it leads to",
    ),
    Foreign(
        "a property list",
        _with(rb"bplist00"),
        advice="perhaps a placeholder of a cloud folder: download the recording itself",
    ),
)
"""The first of them whose beginning a file has."""


def foreign_kind(content: bytes | mmap) -> Foreign | None:
    """Return what a file is that libsndfile does not read; None if it is not known."""
    head = content[:HEAD]
    return next((kind for kind in KINDS if kind.begins(head)), None)
