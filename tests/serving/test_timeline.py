"""Timelines: windows of a recording, for each channel separately."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from benchmark.console import Console
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.features.audio import UnusableError, decode
from benchmark.report.timeline_figure import MOST_STEPS, ChannelPanel, clock, shown_steps
from benchmark.serving.batch import FEW_WINDOWS, Part, timeline_files
from benchmark.serving.formats import figure, timeline_rows
from benchmark.serving.predictor import Predictor
from benchmark.serving.timeline import (
    Grid,
    Timeline,
    Window,
    channel_title,
    open_recording,
    timeline,
)
from tests.support.bench import Bench
from tests.support.sounds import audio_file

RATE_HZ = 22_050

FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "adpcm": ("WAV", "IMA_ADPCM"),
    "gsm": ("WAV", "GSM610"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
}


@pytest.fixture(scope="module")
def predictor(finished: Bench) -> Predictor:
    models = finished.project / "features_cache" / "small" / "speaker-independent" / "models"
    return Predictor.load(models / "ensemble.json")


def tone(seconds: float, pitch_hz: float = 240.0, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """A tone of growing amplitude with some noise."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    swell = 0.2 + 0.1 * time_s / max(seconds, 1.0)
    noise = rng.normal(0, 0.03, len(time_s))
    return (swell * np.sin(2 * np.pi * pitch_hz * time_s) + noise).astype(np.float32)


def written(
    samples: NDArray[np.float32], form: str = "WAV", coding: str = "FLOAT", rate_hz: int = RATE_HZ
) -> bytes:
    return audio_file(samples, rate_hz, form, coding)


def without_length(flac: bytes) -> bytes:
    """A FLAC file without the length in its header, as written to a pipe."""
    head = bytearray(flac)
    head[21] &= 0xF0
    head[22:26] = bytes(4)
    return bytes(head)


def test_a_recording_shorter_than_a_window_is_predicted_like_a_clip(predictor: Predictor) -> None:
    content = written(tone(1.3))
    result, prediction = timeline(predictor, content), predictor.predict(content)
    (window,) = result.windows
    assert (window.start_s, window.end_s, window.channel) == (0.0, prediction.duration_s, 0)
    assert (window.emotion, window.probabilities) == (prediction.emotion, prediction.probabilities)
    assert result.duration_s == prediction.duration_s


def test_each_window_is_predicted_like_a_clip_of_its_samples(predictor: Predictor) -> None:
    samples = np.concatenate([tone(4, 200, 44_100), tone(3, 290, 44_100)])
    result = timeline(predictor, written(samples, rate_hz=44_100))
    assert result.windows
    for window in result.windows:
        part = samples[round(window.start_s * 44_100) : round(window.end_s * 44_100)]
        prediction = predictor.predict(written(part, rate_hz=44_100))
        assert window.probabilities == prediction.probabilities


def test_each_channel_is_predicted_separately(predictor: Predictor) -> None:
    left, right = tone(5, 200), tone(5, 290)
    both = timeline(predictor, written(np.stack([left, right], axis=1)))
    for channel, samples in enumerate((left, right)):
        alone = timeline(predictor, written(samples)).windows
        assert alone
        prediction = [window.probabilities for window in both.windows if window.channel == channel]
        assert prediction == [window.probabilities for window in alone]


@pytest.mark.parametrize(
    ("channels", "titles"),
    [
        (1, [""]),
        (2, ["left", "right"]),
        (3, ["channel 1", "channel 2", "channel 3"]),
    ],
)
def test_channels_have_titles(channels: int, titles: list[str]) -> None:
    assert [channel_title(channel, channels) for channel in range(channels)] == titles


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [
        (0.5, [0]),
        (3.0, [0]),
        (3.2, [0, 1]),
        (5.0, [0, 1, 2]),
        (5.9, [0, 1, 2, 3]),
        (40.5, list(range(39))),
    ],
)
def test_windows_start_every_second_until_the_end(
    predictor: Predictor, seconds: float, starts: list[int]
) -> None:
    windows = timeline(predictor, written(tone(seconds))).windows
    assert [window.start_s for window in windows] == starts
    assert windows[-1].end_s == pytest.approx(seconds, abs=1e-4)


def test_a_last_window_shorter_than_half_is_dropped(predictor: Predictor) -> None:
    windows = timeline(predictor, written(tone(7.0)), window_s=3.0, hop_s=3.0).windows
    assert [window.end_s for window in windows] == [3.0, 6.0]


@pytest.mark.parametrize("n_frames", [1, 29, 30, 31, 39, 40, 41, 300, 305])
@pytest.mark.parametrize(("window", "hop"), [(30, 10), (30, 30), (30, 1), (30, 7)])
def test_the_number_of_windows_is_known_before_they_are_read(
    n_frames: int, window: int, hop: int
) -> None:
    content = written(tone(n_frames / 100, 10, 100), rate_hz=100)
    with open_recording(content, window / 100, hop / 100) as sound:
        count = sum(len(span.windows) for span in sound.spans())
        assert sound.n_expected == count


def test_silent_windows_have_a_reason_and_no_emotion(predictor: Predictor) -> None:
    samples = np.concatenate([tone(3), np.zeros(5 * RATE_HZ, np.float32), tone(3)])
    windows = timeline(predictor, written(samples)).windows
    silent = [window.start_s for window in windows if window.reason == "silent"]
    assert silent == [3.0, 4.0, 5.0]
    assert all(bool(window.emotion) != bool(window.reason) for window in windows)
    assert all(bool(window.emotion) == bool(window.probabilities) for window in windows)


def test_a_channel_may_be_silent_throughout(predictor: Predictor) -> None:
    samples = np.stack([tone(4), np.zeros(4 * RATE_HZ, np.float32)], axis=1)
    windows = timeline(predictor, written(samples)).windows
    assert {window.channel: window.reason for window in windows} == {0: "", 1: "silent"}


UNUSABLE = {
    "empty": (b"", "not-audio"),
    "text": (b"no sound at all, only words", "not-audio"),
    "cut wav": (written(tone(6))[:-4000], "damaged"),
    "cut flac": (written(tone(6), "FLAC", "PCM_16")[:-4000], "damaged"),
    "cut ogg": (written(tone(6), "OGG", "VORBIS")[:-4000], "damaged"),
    "no number": (written(np.append(tone(6), np.float32("nan"))), "damaged"),
    "silent": (written(np.zeros(6 * RATE_HZ, np.float32)), "silent"),
    "short": (written(tone(0.02)), "too-short"),
    "no samples": (written(tone(0)), "too-short"),
    "long": (written(tone(21)), "too-long"),
    "long, untold": (without_length(written(tone(21), "FLAC", "PCM_16")), "too-long"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_unusable_recordings_are_refused_as_clips_are(predictor: Predictor, kind: str) -> None:
    content, fault = UNUSABLE[kind]
    with pytest.raises(UnusableError) as refused:
        timeline(predictor, content, longest_s=20.0)
    with pytest.raises(UnusableError) as refused_as_clip:
        predictor.predict(content, longest_s=20.0)
    assert refused.value.fault == refused_as_clip.value.fault == fault


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_read_in_spans_equals_one_read_at_once(predictor: Predictor, name: str) -> None:
    content = written(tone(50), *FORMATS[name])
    with open_recording(content, 0.5, 0.5) as sound:
        parts = np.concatenate([span.samples[:, 0] for span in sound.spans()])
    whole = decode(content, RATE_HZ).samples
    assert np.array_equal(parts, whole[: len(parts)])
    assert len(whole) - len(parts) < 0.25 * RATE_HZ


def test_a_flac_file_without_its_length_is_read_to_the_end(predictor: Predictor) -> None:
    told = written(tone(7), "FLAC", "PCM_16")
    untold = without_length(told)
    assert timeline(predictor, untold) == timeline(predictor, told)
    assert predictor.predict(untold, longest_s=60.0) == predictor.predict(told)


@pytest.mark.parametrize(("window_s", "hop_s"), [(3.0, 0.0), (3.0, -1.0), (1.0, 2.0)])
def test_windows_that_leave_gaps_are_refused(
    predictor: Predictor, window_s: float, hop_s: float
) -> None:
    with pytest.raises(BenchmarkError, match="leave gaps"):
        timeline(predictor, written(tone(4)), window_s=window_s, hop_s=hop_s)


def test_memory_does_not_grow_with_the_length() -> None:
    def peak_bytes(seconds: int) -> int:
        content = written(np.tile(tone(1, rate_hz=8000), seconds), "FLAC", "PCM_16", rate_hz=8000)
        tracemalloc.start()
        with open_recording(content, 3.0, 1.0) as sound:
            for _ in sound.spans():
                pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(600) < 1.2 * peak_bytes(60)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_size_of_a_block_is_limited(channels: int) -> None:
    grid = Grid(rate_hz=10_000_000, channels=channels, window=30_000_000, hop=10_000_000)
    assert grid.block * channels <= 2**22


def test_a_window_of_more_samples_than_fit_is_refused() -> None:
    content = written(np.zeros((2, 64), np.float32), rate_hz=1_000_000)
    with (
        pytest.raises(UnusableError, match="192000000 samples") as refused,
        open_recording(content, 3, 1),
    ):
        pass
    assert refused.value.fault == "too-long"


def test_the_envelope_holds_the_peaks_of_each_channel(predictor: Predictor) -> None:
    samples = np.stack([tone(5), 0.5 * tone(5)], axis=1)
    envelope = timeline(predictor, written(samples)).envelope
    assert [len(channel) for channel in envelope] == [250, 250]
    assert [max(channel) for channel in envelope] == np.abs(samples).max(axis=0).tolist()


def test_the_number_of_workers_does_not_change_a_timeline(
    predictor: Predictor, tmp_path: Path
) -> None:
    call = np.stack([tone(FEW_WINDOWS, 200, 8000), tone(FEW_WINDOWS, 290, 8000)], axis=1)
    (tmp_path / "call.wav").write_bytes(written(call, rate_hz=8000))
    (tmp_path / "cut.wav").write_bytes(written(call, rate_hz=8000)[:-100])
    (tmp_path / "empty.wav").write_bytes(b"")
    files = [tmp_path / name for name in ("cut.wav", "call.wav", "empty.wav", "none.wav")]
    with Workers(2) as workers:
        cut, result, empty, none = timeline_files(
            [Part(file) for file in files], predictor, workers, Console(quiet=True)
        )
    assert result.result == timeline(predictor, files[1].read_bytes())
    assert [one.reason for one in (cut, result, empty, none)] == [
        "truncated: the file ends before its own header says",
        "",
        "empty file",
        "can't be read (No such file or directory)",
    ]


def test_the_table_joins_consecutive_windows_of_one_emotion(predictor: Predictor) -> None:
    samples = np.concatenate([tone(6, 200), np.zeros(8 * RATE_HZ, np.float32), tone(6, 200)])
    rows = timeline_rows(timeline(predictor, written(samples)))
    assert ("0:07 to 0:13", "", "silent", "", "") in rows
    assert rows[0][0].startswith("0:00 to ")
    assert rows[-1][0].endswith(" to 0:20")


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0:00"), (59.6, "1:00"), (600, "10:00"), (3725, "1:02:05")]
)
def test_times_are_shown_as_on_a_clock(seconds: float, told: str) -> None:
    assert clock(seconds) == told


@pytest.fixture(scope="module")
def stereo(predictor: Predictor) -> Timeline:
    right = np.concatenate([tone(4, 290), np.zeros(5 * RATE_HZ, np.float32)])
    return timeline(predictor, written(np.stack([tone(9, 200), right], axis=1)))


@pytest.mark.parametrize(("form", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_figure_of_a_timeline_is_reproducible(
    stereo: Timeline, form: Literal["png", "svg"], begin: bytes
) -> None:
    first, second = (
        figure(stereo, ("high", "low", "middle"), heading="a call", form=form) for _ in range(2)
    )
    assert first == second
    assert first.startswith(begin)


def test_the_figure_of_many_windows_shows_means_of_neighbours() -> None:
    middles_s = np.arange(1000, dtype=np.float64) + 1.5
    probabilities = np.tile(np.array([[0.2, 0.8], [0.6, 0.4]]), (500, 1))
    probabilities[:10] = np.nan
    steps = shown_steps(ChannelPanel("", middles_s, probabilities, np.array([])), 1002.0)
    assert len(steps.probabilities) <= MOST_STEPS
    assert (steps.edges_s[0], steps.edges_s[-1]) == (0.0, 1002.0)
    assert np.isnan(steps.probabilities[:2]).all()
    assert np.allclose(steps.probabilities[2:].sum(axis=1), 1.0)
    assert len(steps.edges_s) == len(steps.probabilities) + 1


@pytest.mark.recordings
def test_a_call_of_real_voices_is_predicted_like_its_parts(
    predictor: Predictor, recordings: Path
) -> None:
    files = sorted((recordings / "savee").rglob("*.flac"))[:4]
    call = np.concatenate([soundfile.read(file, dtype="float32")[0] for file in files])
    windows = timeline(predictor, written(call)).windows
    assert windows
    for window in windows:
        part = call[round(window.start_s * RATE_HZ) : round(window.end_s * RATE_HZ)]
        assert predictor.predict(written(part)).probabilities == window.probabilities


def test_a_segment_belongs_to_the_window_with_the_nearest_centre() -> None:
    starts_s = (0.0, 1.0, 2.0)
    windows = tuple(Window(start, start + 3.0, 0, "low", {"low": 1.0}) for start in starts_s)
    shown = [(start, end) for start, end, _ in Timeline(5.0, 1, windows).segments(0)]
    assert shown == [(0.0, 2.0), (2.0, 3.0), (3.0, 5.0)]
