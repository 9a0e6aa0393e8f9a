"""Names of the numbers in a row; known without any numerical library."""

from __future__ import annotations

from collections.abc import Sequence


def numbered(name: str, count: int) -> tuple[str, ...]:
    """Return names such as ``mfcc_07``, counted from 1 in digits of equal number."""
    digits = max(2, len(str(count)))
    return tuple(f"{name}_{number:0{digits}d}" for number in range(1, count + 1))


def each(statistic: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return column names such as ``mfcc_07_mean``."""
    return tuple(f"{name}_{statistic}" for name in names)


def over_time(n_frames: int, names: Sequence[str]) -> tuple[str, ...]:
    """Return column names such as ``frame_007_mfcc_02``, frame by frame."""
    return tuple(f"{frame}_{name}" for frame in numbered("frame", n_frames) for name in names)


MFCC, MEL_BANDS, PARTS = 20, 40, 6
"""Of the functionals: MFCCs beside that of the level, mel bands, equal parts of a clip."""

STATISTICS = ("mean", "std", "q05", "q25", "q50", "q75", "q95")
COURSE = ("trend", "change")

SPECTRAL = (
    "level_db",
    "loudness",
    "centroid_hz",
    "bandwidth_hz",
    "rolloff_25_hz",
    "rolloff_50_hz",
    "rolloff_75_hz",
    "rolloff_90_hz",
    "flatness_db",
    "entropy",
    "flux",
    "slope_below_500_hz",
    "slope_500_to_1500_hz",
    "slope_1500_to_5000_hz",
    "alpha_ratio_db",
    "hammarberg_db",
    *numbered("contrast", 7),
)
EVERYWHERE = (*SPECTRAL, *numbered("mfcc", MFCC), *numbered("log_mel", MEL_BANDS))
VOICE = (
    "pitch_semitones",
    "periodicity",
    "harmonicity_db",
    "pitch_jitter",
    "level_shimmer",
    "h1_h2_db",
    "h1_h3_db",
    "h1_1_to_2_khz_db",
    "h1_2_to_4_khz_db",
)
BY_PART = (
    "level_db",
    "pitch_semitones",
    "periodicity",
    "voiced",
    *numbered("log_mel", MEL_BANDS),
)
RUNS = ("share", "per_s", "mean_s", "std_s", "longest_s")
RHYTHM = (
    "duration_s",
    "duration_log",
    *(f"{kind}_{run}" for kind in ("voice", "gap", "pause") for run in RUNS),
    "syllables_per_s",
    "syllables_std_db",
)
MODULATION = tuple(
    f"{contour}_modulated_{band}_hz"
    for band in ("0.5_to_2", "2_to_4", "4_to_8", "8_to_16", "16_to_32")
    for contour in ("level", *numbered("mel_group", 8))
)


def _measured(prefix: str, statistics: Sequence[str], contours: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{prefix}{name}" for s in statistics for name in each(s, contours))


FUNCTIONALS = (
    "rms_db",
    "peak_db",
    *_measured("", (*STATISTICS, *COURSE), EVERYWHERE),
    *_measured("voiced_", STATISTICS, (*EVERYWHERE, *VOICE)),
    *_measured("voiced_", COURSE, VOICE),
    *(f"{part}_{name}" for part in numbered("part", PARTS) for name in BY_PART),
    *RHYTHM,
    *MODULATION,
)
