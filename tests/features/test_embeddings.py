"""Embeddings: hidden states of a network, as transformers gives them; tiny ones made by chance."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.features import OPTIONAL_FEATURE_SETS, extract, feature_set
from benchmark.features.cache import cache_name
from benchmark.features.extract import features_of
from tests.support.sounds import make_clips, voice

pytestmark = pytest.mark.skipif(
    not OPTIONAL_FEATURE_SETS["embedding"].available, reason="needs the extra `embeddings`"
)
RATE_HZ = 16_000
WIDTH, N_LAYERS = 16, 3


def save_wav2vec2(folder: Path, seed: int = 0) -> Path:
    """Save a wav2vec 2.0 of three thin layers with random weights."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(seed)
    config = Wav2Vec2Config(
        hidden_size=WIDTH,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_kernel=(10, 3),
        conv_stride=(5, 4),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=RATE_HZ).save_pretrained(folder)
    return folder


def save_whisper(folder: Path) -> Path:
    """Save a Whisper of thin layers with random weights, whose input is 30 s."""
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=WIDTH,
        encoder_layers=N_LAYERS,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        vocab_size=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    WhisperModel(config).save_pretrained(folder)
    WhisperFeatureExtractor(sampling_rate=RATE_HZ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_wav2vec2(tmp_path_factory.mktemp("networks") / "wav2vec2")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("networks") / "whisper")


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of Hugging Face's with nothing in it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def states(folder: Path, samples: np.ndarray) -> list[np.ndarray]:
    """Return the means over time of each of a wav2vec 2.0's hidden states."""
    import torch
    from transformers import Wav2Vec2Model

    standardised = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    model = Wav2Vec2Model.from_pretrained(folder).eval()
    with torch.inference_mode():
        found = model(torch.tensor(standardised)[None], output_hidden_states=True).hidden_states
    return [state[0].mean(dim=0).numpy() for state in found]


@pytest.mark.parametrize("layer", range(N_LAYERS + 1))
def test_a_layer_is_the_mean_over_time_of_its_hidden_states(wav2vec2: Path, layer: int) -> None:
    samples = voice(200.0)
    row = feature_set(f"embedding:{wav2vec2}@layer={layer}").compute(samples, RATE_HZ)
    np.testing.assert_allclose(row, states(wav2vec2, samples)[layer], atol=1e-5)


def test_without_a_layer_it_is_the_mean_over_all_of_them(wav2vec2: Path) -> None:
    samples = voice(200.0)
    found = feature_set(f"embedding:{wav2vec2}")
    row = found.compute(samples, RATE_HZ)
    np.testing.assert_allclose(row, np.mean(states(wav2vec2, samples)[1:], axis=0), atol=1e-5)
    assert row.dtype == np.float32
    assert (len(row), found.columns[0], found.columns[-1]) == (
        WIDTH,
        "embedding_01",
        "embedding_16",
    )


def test_of_whisper_the_frames_of_the_encoder_that_cover_the_clip_are_averaged(
    whisper: Path,
) -> None:
    import torch
    from transformers import WhisperFeatureExtractor, WhisperModel

    samples = voice(200.0)
    prepared = WhisperFeatureExtractor.from_pretrained(whisper)(
        samples, sampling_rate=RATE_HZ, return_tensors="pt"
    )
    with torch.inference_mode():
        encoder = WhisperModel.from_pretrained(whisper).eval().get_encoder()
        found = encoder(**prepared, output_hidden_states=True).hidden_states[2][0].numpy()
    n_frames = int(np.ceil(len(samples) / 320))  # 50 a second
    row = feature_set(f"embedding:{whisper}@layer=2").compute(samples, RATE_HZ)
    np.testing.assert_allclose(row, found[:n_frames].mean(axis=0), atol=1e-5)


def test_a_clip_has_the_same_row_alone_and_among_others(wav2vec2: Path, tmp_path: Path) -> None:
    found = feature_set(f"embedding:{wav2vec2}")
    clips = make_clips(tmp_path / "toy", 4)
    with Workers(1) as workers:
        together = extract(clips, found, cache=tmp_path / "cache", workers=workers)
        alone = extract(clips[2:3], found, cache=tmp_path / "other", workers=workers)
        again = extract(clips, found, cache=tmp_path / "cache", workers=workers)
    assert together.values[2].tobytes() == alone.values[0].tobytes()
    assert (together.computed, again.computed) == (4, 0)
    assert (tmp_path / "cache" / cache_name(found)).is_file()


def test_other_weights_are_another_recipe_and_another_place_is_not(
    wav2vec2: Path, tmp_path: Path
) -> None:
    other = feature_set(f"embedding:{save_wav2vec2(tmp_path / 'other', seed=1)}")
    copied = feature_set(f"embedding:{shutil.copytree(wav2vec2, tmp_path / 'copied')}")
    found = feature_set(f"embedding:{wav2vec2}")
    assert found.weights == copied.weights != other.weights
    assert cache_name(found) != cache_name(other)


def test_a_network_of_the_hubs_cache_is_found_by_its_name(wav2vec2: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(wav2vec2, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    found = feature_set("embedding:someone/tiny@layer=1")
    row = features_of(voice(200.0), found)
    expected = features_of(voice(200.0), feature_set(f"embedding:{wav2vec2}@layer=1"))
    np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("someone/never-fetched", "hf download someone/never-fetched"),
        ("no such/folder/anywhere", "no such/folder/anywhere is neither a folder nor"),
        ("{folder}@layer=4", "Allowed: @layer=0 to @layer=3"),
        ("{folder}@layer=-1", "'layer=-1' is not a layer"),
        ("{folder}@eight", "'eight' is not a layer"),
        ("{folder}@", "'' is not a layer"),
    ],
)
def test_a_missing_network_or_layer_is_refused(wav2vec2: Path, argument: str, words: str) -> None:
    with pytest.raises(BenchmarkError) as refused:
        feature_set("embedding:" + argument.format(folder=wav2vec2))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("missing", ["config.json", "preprocessor_config.json"])
def test_a_folder_without_its_settings_is_refused(
    wav2vec2: Path, tmp_path: Path, missing: str
) -> None:
    folder = shutil.copytree(wav2vec2, tmp_path / "missing")
    (folder / missing).unlink()
    with pytest.raises(BenchmarkError, match="holds no network that takes audio"):
        feature_set(f"embedding:{folder}")


def test_a_network_of_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 8}))
    with pytest.raises(BenchmarkError, match="holds no network that takes audio"):
        feature_set(f"embedding:{tmp_path}")


def test_another_sample_rate_than_the_networks_is_refused(wav2vec2: Path) -> None:
    with pytest.raises(BenchmarkError, match="pretrained network at 16000 Hz"):
        feature_set(f"embedding:{wav2vec2}", 22_050)


def test_embeddings_are_joined_with_other_feature_sets(wav2vec2: Path) -> None:
    joined = feature_set(f"functionals+embedding:{wav2vec2}@layer=1")
    samples = voice(200.0)
    parts = [features_of(samples, part) for part in joined.parts]
    np.testing.assert_array_equal(features_of(samples, joined), np.concatenate(parts))
    assert {"torch", "transformers"} == set(joined.recipe()["versions"])
