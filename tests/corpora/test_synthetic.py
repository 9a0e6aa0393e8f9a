"""The synthetic voices: the same everywhere, plausible as speech, neither hopeless nor too easy."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from benchmark.corpora import CORPORA, read_corpus
from benchmark.corpora.clip import Clip, Recordings
from benchmark.corpora.synthetic import MANNERS, SAMPLE_RATE_HZ
from benchmark.corpora.synthetic_voice import samples
from benchmark.errors import BenchmarkError
from benchmark.features.prosody import yin


def read_wave(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (22_050, 2, 1)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def loudness_db(clip: Clip) -> float:
    return float(10 * np.log10(np.mean(samples(clip) ** 2)))


def test_every_speaker_speaks_with_every_emotion_equally_often(generated: Recordings) -> None:
    clips = generated.clips
    assert len(clips) == CORPORA["synthetic"].official_clips
    assert [clip.name for clip in clips] == sorted({clip.name for clip in clips})
    assert len({(clip.speaker, clip.emotion) for clip in clips}) == 12 * 7
    assert set(MANNERS) == set(CORPORA["synthetic"].emotions)
    women = {clip.speaker for clip in clips if clip.gender == "female"}
    men = {clip.speaker for clip in clips if clip.gender == "male"}
    assert (len(women), len(men)) == (6, 6)
    assert not women & men


def test_clips_last_a_second_or_two_and_do_not_overload(generated: Recordings) -> None:
    signals = [read_wave(clip.path) for clip in generated.clips[::10]]
    seconds = [len(signal) / SAMPLE_RATE_HZ for signal in signals]
    assert min(seconds) >= 1.0 - 1e-3
    assert max(seconds) <= 1.8 + 1e-3
    assert all(0.01 < np.abs(signal).max() < 0.99 for signal in signals)


def test_clips_are_the_same_bytes_each_time_and_are_made_again_alone(
    generated: Recordings, tmp_path: Path
) -> None:
    shutil.copytree(generated.clips[0].path.parents[2], tmp_path / "synthetic")
    found = read_corpus("synthetic", tmp_path / "synthetic").clips
    lost, torn, flipped = (found[number].path for number in (7, 8, 9))
    contents = [path.read_bytes() for path in (lost, torn, flipped)]
    lost.unlink()
    torn.write_bytes(contents[1][:-1000])
    flipped.write_bytes(contents[2][:5000] + b"\0\xff" + contents[2][5002:])
    assert read_corpus("synthetic", tmp_path / "synthetic").clips == found
    assert [path.read_bytes() for path in (lost, torn, flipped)] == contents


def test_clips_that_are_there_are_not_made_again(generated: Recordings) -> None:
    path = generated.clips[0].path
    before = path.stat().st_mtime_ns
    read_corpus("synthetic", path.parents[2])
    assert path.stat().st_mtime_ns == before


def test_nothing_half_written_is_left(generated: Recordings) -> None:
    folder = generated.clips[0].path.parents[1]
    files = {path for path in folder.rglob("*") if path.is_file()}
    assert files == {clip.path for clip in generated.clips}


def test_no_two_clips_are_alike(generated: Recordings) -> None:
    assert len({clip.path.read_bytes() for clip in generated.clips}) == len(generated.clips)


def test_anger_is_louder_than_sadness_in_every_speaker(generated: Recordings) -> None:
    by_name = {clip.name: clip for clip in generated.clips}
    speakers = sorted({clip.name[:5] for clip in generated.clips})
    angry = [loudness_db(by_name[f"{speaker}_angry_s1_1"]) for speaker in speakers]
    sad = [loudness_db(by_name[f"{speaker}_sad_s1_1"]) for speaker in speakers]
    assert np.mean(np.subtract(angry, sad)) > 10
    assert np.min(np.subtract(angry, sad)) > 0


def test_women_speak_higher_than_men(generated: Recordings) -> None:
    def pitch_hz(gender: str) -> float:
        clips = [c for c in generated.clips if c.gender == gender and c.emotion == "neutral"]
        voices = [yin(samples(clip), SAMPLE_RATE_HZ).f0_hz for clip in clips[::6]]
        return float(np.median(np.concatenate(voices)))

    assert 80 < pitch_hz("male") < 150
    assert 160 < pitch_hz("female") < 260


def test_unseen_speakers_are_harder_than_known_ones_and_neither_is_chance(
    generated: Recordings,
) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import recall_score
    from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X = np.array([bands_db(read_wave(clip.path)) for clip in generated.clips])
    emotions = np.array([clip.emotion for clip in generated.clips])
    speakers = [clip.speaker for clip in generated.clips]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))

    def uar(splits: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
        predicted = cross_val_predict(model, X, emotions, cv=splits)
        return float(recall_score(emotions, predicted, average="macro"))

    unseen = uar(GroupKFold(4).split(X, emotions, speakers))
    known = uar(StratifiedKFold(4, shuffle=True, random_state=0).split(X, emotions))
    assert 0.55 < unseen < 0.85
    assert 0.05 < known - unseen < 0.25


def bands_db(signal: np.ndarray) -> np.ndarray:
    """Mean energy of 40 mel bands, in dB."""
    import librosa

    mel = librosa.feature.melspectrogram(y=signal, sr=SAMPLE_RATE_HZ, n_mels=40)
    return np.asarray(librosa.power_to_db(mel).mean(axis=1))


def test_a_folder_that_can_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchmarkError, match="can't write the synthetic speech"):
        read_corpus("synthetic", tmp_path / "file")
