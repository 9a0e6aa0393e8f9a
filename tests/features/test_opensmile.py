"""openSMILE's feature sets: as its own package computes them, and refused where it is missing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.features import OPTIONAL_FEATURE_SETS, extract, feature_set
from benchmark.features.cache import cache_name
from benchmark.features.extract import features_of
from tests.support.sounds import EXTREMES, make_clips, voice

THEIRS = {"egemaps": ("eGeMAPSv02", 88), "compare": ("ComParE_2016", 6373)}
with_opensmile = pytest.mark.skipif(
    not OPTIONAL_FEATURE_SETS["egemaps"].available, reason="needs the extra `opensmile`"
)


@with_opensmile
@pytest.mark.parametrize("name", THEIRS)
def test_rows_are_those_of_opensmile_itself(name: str) -> None:
    import opensmile

    theirs, width = THEIRS[name]
    ours = feature_set(name)
    smile = opensmile.Smile(feature_set=theirs, feature_level="func")
    samples = voice(200.0)
    expected = smile.process_signal(samples, ours.sample_rate_hz)
    assert list(ours.columns) == list(expected.columns)
    assert len(ours.columns) == width
    row = ours.compute(samples, ours.sample_rate_hz)
    np.testing.assert_array_equal(row, expected.to_numpy(np.float32)[0])


@with_opensmile
@pytest.mark.parametrize("samples", EXTREMES.values(), ids=EXTREMES)
@pytest.mark.parametrize("name", THEIRS)
def test_features_of_any_clip_are_finite(name: str, samples: np.ndarray) -> None:
    row = feature_set(name).compute(samples, 16_000)
    assert row.dtype == np.float32
    assert np.isfinite(row).all()


@with_opensmile
def test_a_recipe_names_the_version_of_opensmile(monkeypatch: pytest.MonkeyPatch) -> None:
    before = feature_set("egemaps")
    monkeypatch.setattr("benchmark.features.opensmile.version", lambda _: "99.0")
    after = feature_set("egemaps")
    assert after.recipe()["versions"] == {"opensmile": "99.0"}
    assert cache_name(before) != cache_name(after)


@with_opensmile
def test_feature_sets_are_joined_and_their_caches_are_used(tmp_path) -> None:
    clips = make_clips(tmp_path / "toy", 3)
    clips[1].path.write_bytes(b"no audio")
    ask = {"cache": tmp_path / "cache"}
    progress: list[tuple[int, int]] = []
    with Workers(1) as workers:
        parts = [
            extract(clips, feature_set(name), workers=workers, **ask)
            for name in ("functionals", "egemaps")
        ]
        joined = feature_set("functionals+egemaps")
        both = extract(
            clips, joined, workers=workers, progress=lambda *now: progress.append(now), **ask
        )
    np.testing.assert_array_equal(both.values, np.hstack([part.values for part in parts]))
    assert (both.clips, both.unusable) == (parts[0].clips, parts[0].unusable)
    assert (both.computed, both.cached) == (1, 2)  # a file that was unusable is tried again
    assert progress[-1] == (3, 3)
    columns = dict(zip(joined.columns, both.values[0].tolist(), strict=True))
    assert columns["functionals.rms_db"] == parts[0].values[0, 0]
    assert columns["egemaps.F0semitoneFrom27.5Hz_sma3nz_amean"] == parts[1].values[0, 0]
    samples = voice(200.0)
    row = features_of(samples, joined)
    alone = [features_of(samples, feature_set(name)) for name in ("functionals", "egemaps")]
    np.testing.assert_array_equal(row, np.concatenate(alone))


@with_opensmile
def test_a_joined_recipe_changes_with_each_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = feature_set("functionals+egemaps").recipe()
    monkeypatch.setattr("benchmark.features.opensmile.version", lambda _: "99.0")
    assert feature_set("functionals+egemaps").recipe() != before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("functionals+functionals", "occurs twice"),
        ("functionals+means-184", "means-184 can't be joined"),
        ("log-mel-frames+prosody", "log-mel-frames can't be joined"),
        ("functionals+", "unknown feature set ''"),
        ("courses", "It is now called 'dynamics'"),
        ("functional", "Did you mean 'functionals'"),
        ("egemap", "Did you mean 'egemaps'"),
        ("egemaps:88", "unknown feature set 'egemaps:88'"),
        ("embedding", "embedding:ENCODER"),
        ("embedding:", "embedding:ENCODER"),
    ],
)
def test_a_name_that_no_feature_set_has_is_refused(name: str, words: str) -> None:
    with pytest.raises(BenchmarkError) as refused:
        feature_set(name)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [one.name for one in OPTIONAL_FEATURE_SETS.values() if one.extra])
def test_without_its_extra_a_feature_set_is_refused_with_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = dataclasses.replace(OPTIONAL_FEATURE_SETS[name], packages=("no_such_package",))
    monkeypatch.setitem(OPTIONAL_FEATURE_SETS, name, missing)
    with pytest.raises(BenchmarkError, match=rf'pip install -e "\.\[{missing.extra}\]"'):
        feature_set(missing.title)
