"""Names of the numbers in a row; known without any numerical library."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


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
MODULATION_HZ = ("0.5", "2", "4", "8", "16", "32")
LEVEL_BY_BAND = ("level", *numbered("mel_group", 8))


def _modulated(contours: Sequence[str], edges_hz: Sequence[str]) -> tuple[str, ...]:
    bands = [f"{low}_to_{high}" for low, high in pairwise(edges_hz)]
    return tuple(f"{name}_modulated_{band}_hz" for band in bands for name in contours)


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
    *_modulated(LEVEL_BY_BAND, MODULATION_HZ),
)

FORMANTS = tuple(f"formant_{number}_{kind}_hz" for kind in ("at", "width") for number in (1, 2, 3))
SIXTHS = (*SPECTRAL, *numbered("mfcc", MFCC), *VOICE)
TENTHS = (*BY_PART[:4], *numbered("mel_pair", MEL_BANDS // 2))
"""Of the courses: what is told of each sixth and of each tenth of a clip; of thirds, `BY_PART`."""

COSINE_MFCC = 13
"""Of the courses: how many MFCC are followed over the clip."""

MELODY = (
    "pitch_rise",
    "pitch_fall",
    "pitch_rising_share",
    "pitch_step_std",
    "pitch_step_largest",
    "pitch_range",
    "pitch_end",
    "pitch_start",
    "pitch_step_q10",
    "pitch_step_q25",
    "pitch_step_q75",
    "pitch_step_q90",
)
MOVED = ("pitch", "periodicity", "voiced", "centroid", "flatness")
FINE_HZ = ("0.4", "1", "2", "3", "4", "5", "6", "8", "10", "12", "16", "20", "25", "32", "40")


def _by_part(n_parts: int, contours: Sequence[str]) -> tuple[str, ...]:
    parts = range(1, n_parts + 1)
    return tuple(f"part_{part}_of_{n_parts}_{name}" for part in parts for name in contours)


def _cosines(count: int, contours: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}_cosine_{order}" for order in range(1, count + 1) for name in contours)


COURSES = (
    *_measured("", ("change_std", "rise"), EVERYWHERE),
    *_measured("voiced_", ("change", "trend"), EVERYWHERE),
    *_by_part(3, BY_PART),
    *_by_part(6, SIXTHS),
    *_by_part(10, TENTHS),
    *_cosines(8, BY_PART[:4]),
    *_cosines(5, BY_PART[4:]),
    *_cosines(5, numbered("mfcc", COSINE_MFCC)),
    *_measured("voiced_", (*STATISTICS, *COURSE), FORMANTS),
    *_modulated(MOVED, MODULATION_HZ),
    *_modulated(numbered("mfcc", COSINE_MFCC), MODULATION_HZ),
    *_modulated(LEVEL_BY_BAND, FINE_HZ),
    *MELODY,
    *_measured("weighted_", ("mean", "std"), EVERYWHERE),
    *_measured("voiced_", ("skewness", "kurtosis"), EVERYWHERE),
    *_measured("loudest_", ("mean",), (*EVERYWHERE, *VOICE)),
    *each("of_mean_db", numbered("mel", MEL_BANDS)),
)
