"""Feature sets: equal to librosa's own functions, on generated voices and on real recordings."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from benchmark.features import FEATURE_SETS, audio, filters, spectral

RATE_HZ = 22_050
ODD_CLIPS = (  # stereo, 96 kHz, AIFF inside .wav, 48 kHz, the misspelt one
    "ravdess/**/03-01-02-01-01-02-01.*",
    "ravdess/**/03-01-08-01-02-02-01.*",
    "ravdess/**/03-01-02-01-02-02-05.*",
    "ravdess/**/03-01-03-01-02-01-20.*",
    "ravdess/**/03-01-06-01-01-02-20.*",
    "tess/**/OAF_food_fear.*",
    "tess/**/YAF_germ_angry.*",
    "tess/**/YAF_neat_fear.*",
    "tess/**/OA_bite_neutral.*",
)


def voice(pitch_hz: float, seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return a buzzing, breathing, slowly swelling tone between two silences, float32."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    glide_hz = pitch_hz * (1.0 + 0.1 * np.sin(5.0 * time_s))
    phase = 2.0 * np.pi * np.cumsum(glide_hz) / RATE_HZ
    tone = sum(np.sin(number * phase) / number for number in range(1, 20))
    swell = np.sin(np.pi * time_s / seconds) ** 2
    sound = swell * (0.2 * tone + 0.02 * rng.standard_normal(len(time_s)))
    silence = np.zeros(3000)
    return np.concatenate([silence, sound, silence]).astype(np.float32)


def generated_clips() -> list[np.ndarray]:
    """Return clips that differ in pitch, length, loudness and kind, the shortest one frame long."""
    rng = np.random.default_rng(1)
    voices = [voice(80.0 * 1.13**n, 0.3 + 0.1 * n, n) for n in range(12)]
    noise = (0.1 * rng.standard_normal(20_000)).astype(np.float32)
    clipped = np.clip(20.0 * voice(200.0), -1.0, 1.0)
    whispered = np.float32(2e-3) * voice(300.0)
    one_frame = voice(150.0)[9000 : 9000 + spectral.FRAME_LENGTH]
    falling_silent = np.concatenate([voice(120.0), np.zeros(8000, dtype=np.float32)])
    return [*voices, noise, clipped, whispered, one_frame, falling_silent]


def plain(name: str, samples: np.ndarray) -> np.ndarray:
    """Return a feature set's row by librosa's functions, called one by one."""
    kind = librosa.feature
    magnitude = np.abs(librosa.stft(samples))
    if name == "mfcc-stats":
        mfcc = kind.mfcc(y=samples, sr=RATE_HZ, n_mfcc=20)
        return np.concatenate([mfcc.mean(axis=1), mfcc.std(axis=1), mfcc.max(axis=1)])
    chroma = kind.chroma_stft(S=magnitude, sr=RATE_HZ).mean(axis=1)
    mfcc = kind.mfcc(y=samples, sr=RATE_HZ, n_mfcc=40).mean(axis=1)
    mel = kind.melspectrogram(y=samples, sr=RATE_HZ).mean(axis=1)
    if name == "means-180":
        return np.concatenate([mfcc, chroma, mel])
    single = [
        kind.rms(y=samples).mean(),
        kind.spectral_centroid(y=samples, sr=RATE_HZ).mean(),
        kind.spectral_rolloff(y=samples, sr=RATE_HZ).mean(),
        kind.zero_crossing_rate(samples).mean(),
    ]
    return np.concatenate([single, chroma, mfcc, mel])


def plain_trimmed(name: str, samples: np.ndarray) -> np.ndarray:
    """Return `plain` of the clip, trimmed by librosa where the recipe trims."""
    top_db = FEATURE_SETS[name].trim_top_db
    return plain(
        name, samples if top_db is None else librosa.effects.trim(samples, top_db=top_db)[0]
    )


def ours(name: str, samples: np.ndarray) -> np.ndarray:
    """Return a feature set's row as `extract` computes it."""
    feature_set = FEATURE_SETS[name]
    if feature_set.trim_top_db is not None:
        samples = spectral.trim(samples, feature_set.trim_top_db)
    return feature_set.compute(samples, feature_set.sample_rate_hz)


def largest_deviation(name: str, clips: list[np.ndarray]) -> float:
    """Return the largest difference from librosa, in standard deviations of the feature."""
    expected = np.array([plain_trimmed(name, samples) for samples in clips])
    computed = np.array([ours(name, samples) for samples in clips])
    return float(np.max(np.abs(computed - expected) / expected.std(axis=0)))


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_generated_clips_measure_as_by_librosa(name: str) -> None:
    assert largest_deviation(name, generated_clips()) < 1e-4


@pytest.mark.recordings
@pytest.mark.parametrize("name", FEATURE_SETS)
def test_real_clips_of_three_corpora_measure_as_by_librosa(name: str, recordings: Path) -> None:
    odd = [next(recordings.glob(pattern)) for pattern in ODD_CLIPS]
    endings = {".wav", ".flac", ".ogg"}
    ordinary = [
        path
        for corpus in ("ravdess", "tess", "savee")
        for path in [p for p in sorted((recordings / corpus).rglob("*")) if p.suffix in endings][
            ::200
        ]
    ]
    clips = [librosa.load(path, sr=RATE_HZ)[0] for path in odd + ordinary]
    assert largest_deviation(name, clips) < 1e-4


@pytest.mark.recordings
@pytest.mark.parametrize("pattern", ODD_CLIPS)
def test_odd_recordings_are_decoded_as_by_librosa(pattern: str, recordings: Path) -> None:
    path = next(recordings.glob(pattern))
    decoded = audio.decode(path.read_bytes(), RATE_HZ)
    np.testing.assert_array_equal(decoded.samples, librosa.load(path, sr=RATE_HZ)[0])


@pytest.mark.parametrize("feature_set", FEATURE_SETS.values(), ids=FEATURE_SETS)
def test_a_row_has_a_finite_number_for_each_name(feature_set) -> None:
    row = feature_set.compute(voice(200.0), feature_set.sample_rate_hz)
    assert row.dtype == np.float32
    assert row.shape == (len(feature_set.columns),)
    assert np.isfinite(row).all()
    assert len(set(feature_set.columns)) == len(feature_set.columns)


@pytest.mark.parametrize("feature_set", FEATURE_SETS.values(), ids=FEATURE_SETS)
def test_a_recipe_is_plain_data(feature_set) -> None:
    assert json.loads(json.dumps(feature_set.recipe())) == feature_set.recipe()


def test_columns_are_named_after_what_they_measure() -> None:
    columns = FEATURE_SETS["means-184"].columns
    assert columns[:5] == (
        "rms_mean",
        "centroid_mean",
        "rolloff_mean",
        "zero_crossing_rate_mean",
        "chroma_01_mean",
    )
    assert {"mfcc_07_mean", "mfcc_40_mean", "mel_001_mean", "mel_128_mean"} <= set(columns)
    assert "mfcc_07_std" in FEATURE_SETS["mfcc-stats"].columns


def test_importing_the_registry_imports_no_numerical_library() -> None:
    code = "import sys, benchmark.features; print({'numpy', 'librosa', 'scipy'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_window_and_mel_filters_are_librosas() -> None:
    window = librosa.filters.get_window("hann", filters.FRAME_LENGTH, fftbins=True)
    np.testing.assert_array_equal(filters.hann_window(), window)
    bank = librosa.filters.mel(sr=RATE_HZ, n_fft=filters.FRAME_LENGTH)
    np.testing.assert_allclose(filters.mel_bank(RATE_HZ), bank, atol=1e-9)


def test_chroma_filters_are_librosas_for_every_tuning() -> None:
    for tuning in spectral.TUNING_EDGES[:-1]:
        bank = librosa.filters.chroma(sr=RATE_HZ, n_fft=filters.FRAME_LENGTH, tuning=tuning)
        np.testing.assert_allclose(filters.chroma_bank(RATE_HZ, tuning).T, bank, atol=1e-6)


def test_tuning_is_the_one_that_librosa_estimates() -> None:
    clips = generated_clips()
    expected = [librosa.estimate_tuning(S=np.abs(librosa.stft(y)), sr=RATE_HZ) for y in clips]
    assert [spectral.Frames(y, RATE_HZ).tuning for y in clips] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("top_db", [20.0, 40.0, 60.0])
def test_trimming_cuts_where_librosa_cuts(top_db: float) -> None:
    for samples in generated_clips():
        expected, _ = librosa.effects.trim(samples, top_db=top_db)
        np.testing.assert_array_equal(spectral.trim(samples, top_db), expected)


def encoded(
    samples: np.ndarray, rate_hz: int = RATE_HZ, format: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    """Return samples as the bytes of an audio file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=format, subtype=subtype)
    return file.getvalue()


ENCODINGS = {
    "wav": ("WAV", "PCM_16"),
    "wav-float": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "aiff": ("AIFF", "PCM_16"),
}


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_decoding_equals_librosa_load(
    encoding: tuple[str, str], rate_hz: int, channels: int
) -> None:
    samples = np.stack([voice(200.0), 0.5 * voice(170.0)], axis=1)[:, :channels]
    content = encoded(samples, rate_hz, *encoding)
    decoded = audio.decode(content, RATE_HZ)
    expected, _ = librosa.load(io.BytesIO(content), sr=RATE_HZ)
    np.testing.assert_array_equal(decoded.samples, expected)
    assert decoded.sample_rate_hz == rate_hz
    assert decoded.duration_s == pytest.approx(len(samples) / rate_hz)


def test_the_same_samples_have_the_same_digest_in_another_lossless_format() -> None:
    samples = np.int16(30_000 * voice(200.0))
    wav, flac = (encoded(samples, format=format) for format in ("WAV", "FLAC"))
    assert audio.decode(wav, RATE_HZ).digest == audio.decode(flac, RATE_HZ).digest


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_recording_that_is_cut_short_is_refused(encoding: tuple[str, str], share: float) -> None:
    content = encoded(voice(200.0), RATE_HZ, *encoding)
    with pytest.raises(audio.UnusableError, match="truncated"):
        audio.decode(content[: int(share * len(content))], RATE_HZ)


UNUSABLE = {
    "empty file": b"",
    "not audio": b"This is a text about audio. " * 100,
    "silent": encoded(np.zeros(RATE_HZ)),
    "no samples": encoded(np.zeros(0)),
    "no numbers": encoded(np.full(RATE_HZ, np.nan), subtype="FLOAT"),
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_what_holds_no_voice_is_refused_with_its_reason(reason: str) -> None:
    with pytest.raises(audio.UnusableError, match=reason):
        audio.decode(UNUSABLE[reason], RATE_HZ)


def test_a_wav_written_to_a_pipe_without_its_length_is_taken() -> None:
    content = bytearray(encoded(voice(200.0)))
    expected = audio.decode(bytes(content), RATE_HZ)
    place = content.index(b"data")
    content[place + 4 : place + 8] = b"\xff\xff\xff\xff"
    content[4:8] = b"\xff\xff\xff\xff"
    assert audio.decode(bytes(content), RATE_HZ).digest == expected.digest
