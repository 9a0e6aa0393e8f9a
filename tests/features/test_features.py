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

from benchmark.features import FEATURE_SETS, audio, filters, prosody, spectral
from tests.support.sounds import EXTREMES, RATE_HZ, voice

ROUNDING = 2e-6
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


def plain_means(samples: np.ndarray, rate_hz: int) -> list[np.ndarray]:
    """Return the means over frames of chroma, 40 MFCC and 128 mel bands."""
    kind = librosa.feature
    magnitude = np.abs(librosa.stft(samples))
    return [
        kind.chroma_stft(S=magnitude, sr=rate_hz).mean(axis=1),
        kind.mfcc(y=samples, sr=rate_hz, n_mfcc=40).mean(axis=1),
        kind.melspectrogram(y=samples, sr=rate_hz).mean(axis=1),
    ]


def plain_means_184(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    single = [
        librosa.feature.rms(y=samples).mean(),
        librosa.feature.spectral_centroid(y=samples, sr=rate_hz).mean(),
        librosa.feature.spectral_rolloff(y=samples, sr=rate_hz).mean(),
        librosa.feature.zero_crossing_rate(samples).mean(),
    ]
    return np.concatenate([single, *plain_means(samples, rate_hz)])


def plain_means_180(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    chroma, mfcc, mel = plain_means(samples, rate_hz)
    return np.concatenate([mfcc, chroma, mel])


def plain_mfcc_stats(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    mfcc = librosa.feature.mfcc(y=samples, sr=rate_hz, n_mfcc=20)
    return np.concatenate([mfcc.mean(axis=1), mfcc.std(axis=1), mfcc.max(axis=1)])


def plain_stats_164(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    kind = librosa.feature
    magnitude = np.abs(librosa.stft(samples))
    rows = np.concatenate(
        [
            kind.mfcc(y=samples, sr=rate_hz, n_mfcc=20),
            kind.chroma_stft(S=magnitude, sr=rate_hz),
            kind.spectral_contrast(S=magnitude, sr=rate_hz),
            kind.zero_crossing_rate(samples),
            kind.rms(y=samples),
        ]
    )
    statistics = (rows.mean(axis=1), rows.std(axis=1), rows.max(axis=1), rows.min(axis=1))
    return np.concatenate(statistics)


def plain_mfcc_frames_13(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    mfcc = librosa.feature.mfcc(y=samples, sr=rate_hz, n_mfcc=13, hop_length=512)[:, :130]
    missing = 130 - mfcc.shape[1]
    return np.pad(mfcc, ((0, 0), (missing // 2, missing - missing // 2))).T.ravel()


def plain_mfcc_track(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    track = librosa.feature.mfcc(y=samples, sr=rate_hz, n_mfcc=13).mean(axis=0)[:259]
    return librosa.util.fix_length(track, size=259)


def plain_log_mel_frames(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    fixed = librosa.util.fix_length(samples, size=3 * rate_hz)
    mel = librosa.feature.melspectrogram(y=fixed, sr=rate_hz, n_mels=40, hop_length=1024)
    return librosa.power_to_db(mel).T.ravel()


def plain_prosody(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    rms = librosa.feature.rms(y=samples)[0]
    levels_db = librosa.amplitude_to_db(np.array([rms.mean(), rms.max()]), top_db=None)
    f0_hz = librosa.yin(samples.astype(np.float64), fmin=65, fmax=600, sr=rate_hz)
    voiced = prosody.yin(samples, rate_hz).aperiodicity < prosody.VOICED_APERIODICITY
    voiced &= librosa.amplitude_to_db(rms, ref=np.max, top_db=None) > -30.0
    voiced_hz = f0_hz[voiced] if voiced.any() else [0.0]
    duration_s = librosa.get_duration(y=samples, sr=rate_hz)
    return np.array(
        [duration_s, *levels_db, *np.percentile(voiced_hz, [50, 10, 90]), voiced.mean()]
    )


PLAIN = {
    "means-184": plain_means_184,
    "means-180": plain_means_180,
    "mfcc-stats": plain_mfcc_stats,
    "stats-164": plain_stats_164,
    "mfcc-frames-13": plain_mfcc_frames_13,
    "mfcc-track-44k": plain_mfcc_track,
    "log-mel-frames": plain_log_mel_frames,
    "prosody": plain_prosody,
}
"""The same rows by librosa's functions, called one by one; others have no counterpart there."""


def plain_prepared(name: str, samples: np.ndarray) -> np.ndarray:
    """Return the row of `PLAIN`, of the part that the recipe takes, trimmed by librosa."""
    feature_set = FEATURE_SETS[name]
    rate_hz = feature_set.sample_rate_hz
    first = int(feature_set.offset_s * rate_hz)
    part = samples[first:][: int((feature_set.duration_s or 1e3) * rate_hz)]
    top_db = feature_set.trim_top_db or np.inf
    return PLAIN[name](librosa.effects.trim(part, top_db=top_db)[0], rate_hz)


def ours(name: str, samples: np.ndarray) -> np.ndarray:
    """Return a feature set's row as `extract` computes it."""
    feature_set = FEATURE_SETS[name]
    samples = samples[feature_set.part]
    if feature_set.trim_top_db is not None:
        samples = spectral.trim(samples, feature_set.trim_top_db)
    return feature_set.compute(samples, feature_set.sample_rate_hz)


def largest_deviation(name: str, clips: list[np.ndarray]) -> float:
    """Return the largest difference from librosa, in standard deviations of the feature.

    Those of a coefficient over time are taken over clips and frames. What single precision rounds
    is not counted: the largest chroma of a clip is 1 in most and varies by little more. Clips that
    the recipe leaves without a frame are passed over, as `extract` does.
    """
    part = FEATURE_SETS[name].part
    clips = [samples for samples in clips if len(samples[part]) >= spectral.FRAME_LENGTH]
    expected = np.array([plain_prepared(name, samples) for samples in clips])
    computed = np.array([ours(name, samples) for samples in clips])
    n_features = (FEATURE_SETS[name].shape or expected.shape)[1]
    differences = np.abs(computed - expected) - ROUNDING * np.abs(expected)
    deviations = differences.reshape(-1, n_features)
    return float(np.max(deviations / expected.reshape(-1, n_features).std(axis=0)))


@pytest.mark.parametrize("name", PLAIN)
def test_generated_clips_measure_as_by_librosa(name: str) -> None:
    assert largest_deviation(name, generated_clips()) < 1e-4


@pytest.mark.recordings
@pytest.mark.parametrize("name", PLAIN)
def test_real_clips_of_four_corpora_measure_as_by_librosa(name: str, recordings: Path) -> None:
    odd = [next(recordings.glob(pattern)) for pattern in ODD_CLIPS]
    endings = {".wav", ".flac", ".ogg"}
    ordinary = [
        path
        for corpus, step in (("ravdess", 200), ("tess", 200), ("savee", 200), ("jl", 20))
        for path in [p for p in sorted((recordings / corpus).rglob("*")) if p.suffix in endings][
            ::step
        ]
    ]
    rate_hz = FEATURE_SETS[name].sample_rate_hz
    clips = [librosa.load(path, sr=rate_hz)[0] for path in odd + ordinary]
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


def test_a_recipe_leaves_out_optional_keys_at_their_defaults() -> None:
    expected = {"name", "version", "sample_rate_hz", "trim_top_db", "columns"}
    assert set(FEATURE_SETS["means-184"].recipe()) == expected
    part = {"offset_s": 0.5, "duration_s": 3.0}
    assert part.items() <= FEATURE_SETS["mfcc-track-44k"].recipe().items()


@pytest.mark.parametrize("samples", EXTREMES.values(), ids=EXTREMES)
@pytest.mark.parametrize("feature_set", FEATURE_SETS.values(), ids=FEATURE_SETS)
def test_features_of_any_clip_are_finite(feature_set, samples: np.ndarray) -> None:
    row = feature_set.compute(samples, feature_set.sample_rate_hz)
    assert row.shape == (len(feature_set.columns),)
    assert np.isfinite(row).all()


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


def test_importing_the_registry_imports_no_decoder_and_no_audio_library() -> None:
    code = (
        "import sys, benchmark.features; "
        "print({'librosa', 'scipy', 'soundfile', 'soxr', 'numba'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_the_window_is_librosas() -> None:
    window = librosa.filters.get_window("hann", filters.FRAME_LENGTH, fftbins=True)
    np.testing.assert_array_equal(filters.hann_window(), window)


@pytest.mark.parametrize("rate_hz", [16_000, RATE_HZ, 44_100])
@pytest.mark.parametrize("bands", [40, 128])
def test_mel_filters_are_librosas(rate_hz: int, bands: int) -> None:
    bank = librosa.filters.mel(sr=rate_hz, n_fft=filters.FRAME_LENGTH, n_mels=bands)
    np.testing.assert_allclose(filters.mel_bank(rate_hz, bands), bank, atol=1e-9)


@pytest.mark.parametrize("rate_hz", [16_000, RATE_HZ, 44_100])
def test_chroma_filters_are_librosas_for_every_tuning(rate_hz: int) -> None:
    for tuning in spectral.TUNING_EDGES[:-1:3]:
        bank = librosa.filters.chroma(sr=rate_hz, n_fft=filters.FRAME_LENGTH, tuning=tuning)
        np.testing.assert_allclose(filters.chroma_bank(rate_hz, tuning).T, bank, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [16_000, RATE_HZ, 44_100])
def test_quantities_of_a_frame_are_librosas_at_every_rate(rate_hz: int) -> None:
    samples = voice(180.0)
    frames = spectral.Frames(samples, rate_hz)
    kind = librosa.feature
    magnitude = np.abs(librosa.stft(samples))
    pairs = [
        (frames.mfcc(13).T, kind.mfcc(y=samples, sr=rate_hz, n_mfcc=13)),
        (frames.chroma.T, kind.chroma_stft(S=magnitude, sr=rate_hz)),
        (frames.contrast_db.T, kind.spectral_contrast(S=magnitude, sr=rate_hz)),
        (frames.centroid_hz, kind.spectral_centroid(S=magnitude, sr=rate_hz)[0]),
        (frames.rolloff_hz, kind.spectral_rolloff(S=magnitude, sr=rate_hz)[0]),
    ]
    for computed, expected in pairs:
        np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-3)


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
@pytest.mark.parametrize("fraction", [0.02, 0.5, 0.99])
def test_a_recording_that_is_cut_short_is_refused(
    encoding: tuple[str, str], fraction: float
) -> None:
    content = encoded(voice(200.0), RATE_HZ, *encoding)
    with pytest.raises(audio.UnusableError, match="truncated"):
        audio.decode(content[: int(fraction * len(content))], RATE_HZ)


UNUSABLE = {
    "empty file": b"",
    "not audio": b"This is a text about audio. " * 100,
    "silent": encoded(np.zeros(RATE_HZ)),
    "no samples": encoded(np.zeros(0)),
    "not numbers": encoded(np.full(RATE_HZ, np.nan), subtype="FLOAT"),
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_what_holds_no_voice_is_refused_with_its_reason(reason: str) -> None:
    with pytest.raises(audio.UnusableError, match=reason):
        audio.decode(UNUSABLE[reason], RATE_HZ)
