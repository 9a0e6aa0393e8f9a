"""Embeddings: layers and statistics of an encoder's hidden states, as transformers gives them."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.corpora import CORPORA
from benchmark.engine.processes import Workers
from benchmark.engine.registry import NAME
from benchmark.errors import BenchmarkError
from benchmark.features import extract, feature_set, names_of
from benchmark.features.cache import cache_name
from benchmark.features.encoders import ENCODERS, Encoder
from benchmark.features.extract import features_of
from benchmark.features.recipe import Block
from tests.support.encoders import (
    N_LAYERS,
    RATE_HZ,
    SAMPLES_PER_FRAME,
    SAVE,
    WIDTH,
    needs_transformers,
    save_wav2vec2_like,
    save_whisper,
    transformers_states,
)
from tests.support.sounds import make_clips, voice

pytestmark = needs_transformers
WHISPER_INPUT = 30 * RATE_HZ


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a thin network of each architecture."""
    root = tmp_path_factory.mktemp("networks")
    for name, save in SAVE.items():
        save(root / name)
    return root


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of Hugging Face's with nothing in it, and no folder of encoders."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("SER_ENCODERS", raising=False)


@pytest.fixture(scope="module")
def half_minute() -> np.ndarray:
    return voice(200.0, seconds=42.0)[:WHISPER_INPUT]


@pytest.mark.parametrize("name", SAVE)
@pytest.mark.parametrize("layer", range(N_LAYERS + 1))
def test_a_layer_of_half_a_minute_is_that_of_transformers_own_call(
    networks: Path, half_minute: np.ndarray, name: str, layer: int
) -> None:
    row = feature_set(f"embedding:{networks / name}@layers={layer}").compute(half_minute, RATE_HZ)
    expected = transformers_states(networks / name, half_minute)[layer].mean(axis=0)
    np.testing.assert_allclose(row, expected, atol=1e-5)


@pytest.mark.parametrize("name", SAVE)
def test_without_options_it_is_the_mean_over_time_of_the_mean_over_layers(
    networks: Path, half_minute: np.ndarray, name: str
) -> None:
    found = feature_set(f"embedding:{networks / name}")
    row = found.compute(half_minute, RATE_HZ)
    states = transformers_states(networks / name, half_minute)
    np.testing.assert_allclose(row, np.mean(states[1:], axis=(0, 1)), atol=1e-5)
    assert row.dtype == np.float32
    assert found.columns[:: WIDTH - 1] == (f"{name}_layers1-3_mean_01", f"{name}_layers1-3_mean_16")
    named = feature_set(f"embedding:{networks / name}@layers=mean,pool=mean")
    assert named.columns == found.columns
    np.testing.assert_array_equal(named.compute(half_minute, RATE_HZ), row)


@pytest.mark.parametrize("name", SAVE)
def test_layers_and_statistics_stand_side_by_side_with_a_block_each(
    networks: Path, half_minute: np.ndarray, name: str
) -> None:
    found = feature_set(f"embedding:{networks / name}@pool=mean+std+thirds,layers=0+2-3")
    titles = [
        f"{name}_layer{layer}_{statistic}"
        for layer in (0, 2, 3)
        for statistic in ("mean", "std", "third1", "third2", "third3")
    ]
    assert found.columns[::WIDTH] == tuple(f"{title}_01" for title in titles)
    assert found.blocks == (Block(name, WIDTH),) * len(titles)
    states = transformers_states(networks / name, half_minute)
    third = [len(states[0]) * part // 3 for part in range(4)]
    expected = [
        statistic
        for layer in (0, 2, 3)
        for statistic in (
            states[layer].mean(axis=0),
            states[layer].std(axis=0),
            *(states[layer][third[n] : third[n + 1]].mean(axis=0) for n in range(3)),
        )
    ]
    row = found.compute(half_minute, RATE_HZ)
    np.testing.assert_allclose(row, np.concatenate(expected), atol=1e-4)


@pytest.mark.parametrize("name", SAVE)
def test_the_third_of_a_clip_of_few_frames_has_numbers(networks: Path, name: str) -> None:
    found = feature_set(f"embedding:{networks / name}@pool=thirds+std")
    assert np.isfinite(found.compute(voice(200.0)[9000:9400], RATE_HZ)).all()


def whisper_of(seconds: int, folder: Path, samples: np.ndarray) -> np.ndarray:
    """Return the second layer of transformers' Whisper after its input is set to other seconds."""
    import torch
    from transformers import WhisperFeatureExtractor, WhisperModel

    encoder = WhisperModel.from_pretrained(folder).eval().get_encoder()
    n_frames = seconds * RATE_HZ // SAMPLES_PER_FRAME
    encoder.config.max_source_positions = n_frames
    encoder.embed_positions = torch.nn.Embedding.from_pretrained(
        encoder.embed_positions.weight[:n_frames]
    )
    prepared = WhisperFeatureExtractor.from_pretrained(folder, chunk_length=seconds)(
        samples, sampling_rate=RATE_HZ, return_tensors="pt"
    )
    with torch.inference_mode():
        states = encoder(**prepared, output_hidden_states=True).hidden_states[2][0].numpy()
    return np.asarray(states[: -(-len(samples) // SAMPLES_PER_FRAME)])


@pytest.mark.parametrize(("seconds", "n_samples"), [(4, 20_001), (4, 64_000), (7, 112_000)])
def test_whisper_runs_on_four_seconds_or_the_clip_and_frames_of_the_clip_count(
    networks: Path, half_minute: np.ndarray, seconds: int, n_samples: int
) -> None:
    samples = half_minute[:n_samples]
    row = feature_set(f"embedding:{networks / 'whisper'}@layers=2").compute(samples, RATE_HZ)
    expected = whisper_of(seconds, networks / "whisper", samples).mean(axis=0)
    np.testing.assert_allclose(row, expected, atol=1e-5)


@pytest.mark.parametrize("name", SAVE)
def test_a_clip_of_more_than_half_a_minute_is_cut_into_equal_chunks(
    networks: Path, half_minute: np.ndarray, name: str
) -> None:
    found = feature_set(f"embedding:{networks / name}@layers=2")
    clip = np.concatenate([half_minute, half_minute[:64_000]])
    halves = [found.compute(half, RATE_HZ) for half in np.split(clip, 2)]
    np.testing.assert_allclose(found.compute(clip, RATE_HZ), np.mean(halves, axis=0), atol=1e-6)


@pytest.mark.parametrize("head", ["Model", "ForConditionalGeneration", "ForAudioClassification"])
def test_of_whisper_only_the_encoder_is_needed(networks: Path, tmp_path: Path, head: str) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_whisper(tmp_path / "whisper", head)
    weights = load_file(folder / "model.safetensors")
    encoder = {name: tensor for name, tensor in weights.items() if "encoder." in name}
    assert len(encoder) < len(weights)
    whole = features_of(voice(200.0), feature_set(f"embedding:{folder}"))
    save_file(encoder, folder / "model.safetensors", metadata={"format": "pt"})
    alone = features_of(voice(200.0), feature_set(f"embedding:{folder}"))
    np.testing.assert_array_equal(alone, whole)


def test_weights_in_half_precision_are_computed_in_single(networks: Path, tmp_path: Path) -> None:
    from transformers import WavLMModel

    folder = shutil.copytree(networks / "wavlm-base", tmp_path / "half")
    WavLMModel.from_pretrained(folder).half().save_pretrained(folder)
    row = feature_set(f"embedding:{folder}@layers=3").compute(voice(200.0), RATE_HZ)
    expected = transformers_states(folder, voice(200.0))[3].mean(axis=0)
    np.testing.assert_allclose(row, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["whisper", "wav2vec2-base"])
def test_a_clip_has_the_same_row_alone_among_others_and_by_any_number_of_workers(
    networks: Path, tmp_path: Path, name: str
) -> None:
    found = feature_set(f"embedding:{networks / name}@layers=1-3,pool=mean+std")
    clips = make_clips(tmp_path / "toy", 16)
    with Workers(1) as workers:
        together = extract(clips, found, cache=tmp_path / "cache", workers=workers)
        alone = extract(clips[2:3], found, cache=tmp_path / "other", workers=workers)
        again = extract(clips, found, cache=tmp_path / "cache", workers=workers)
    with Workers(2) as workers:
        two = extract(clips, found, cache=tmp_path / "two", workers=workers)
    assert together.values[2].tobytes() == alone.values[0].tobytes()
    assert together.values.tobytes() == two.values.tobytes() == again.values.tobytes()
    assert (together.computed, again.computed) == (16, 0)
    assert (tmp_path / "cache" / cache_name(found)).is_file()


def test_other_weights_are_another_recipe_and_another_place_is_not(
    networks: Path, tmp_path: Path
) -> None:
    network = networks / "wav2vec2-base"
    other = feature_set(f"embedding:{save_wav2vec2_like('Wav2Vec2', tmp_path / 'o', seed=1)}")
    copy = shutil.copytree(network, tmp_path / "wav2vec2-base")
    (copy / "tokenizer.json").write_text("{}")
    copied, found = feature_set(f"embedding:{copy}"), feature_set(f"embedding:{network}")
    assert found.weights == copied.weights != other.weights
    assert cache_name(found) == cache_name(copied) != cache_name(other)
    assert str(tmp_path) not in json.dumps(copied.recipe())


def test_an_encoder_is_found_in_the_folder_of_encoders(
    networks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(networks / "whisper", tmp_path / "encoders" / "whisper-base")
    shutil.copytree(networks / "wavlm-base", tmp_path / "encoders" / "ours")
    monkeypatch.setenv("SER_ENCODERS", str(tmp_path / "encoders"))
    known, ours = feature_set("embedding:whisper-base@layers=1"), feature_set("embedding:ours")
    assert (known.name, known.columns[0]) == (
        "embedding:whisper-base@layers=1",
        "whisper-base_layer1_mean_01",
    )
    assert (ours.name, ours.columns[0]) == ("embedding:ours", "ours_layers1-3_mean_01")


def put_in_hub(hub: Path, network: Path, repository: str, revision: str) -> None:
    """Store a network as `hf download` does, as the newest of its repository."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    shutil.copytree(network, folder / "snapshots" / revision)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(revision)


def test_a_network_of_the_hubs_cache_is_found_by_its_name(networks: Path, tmp_path: Path) -> None:
    put_in_hub(tmp_path / "hub", networks / "wavlm-base", "someone/tiny", "abc")
    found = feature_set("embedding:someone/tiny@layers=1")
    expected = feature_set(f"embedding:{networks / 'wavlm-base'}@layers=1")
    np.testing.assert_array_equal(
        features_of(voice(200.0), found), features_of(voice(200.0), expected)
    )
    assert (found.name, found.columns[0]) == (
        "embedding:someone/tiny@layers=1",
        "tiny_layer1_mean_01",
    )


def test_an_encoder_is_found_in_the_hubs_cache_at_its_revision_only(
    networks: Path, tmp_path: Path
) -> None:
    encoder = ENCODERS["hubert-base"]
    put_in_hub(tmp_path / "hub", networks / "hubert-base", encoder.hub, "f" * 40)
    with pytest.raises(BenchmarkError, match="hubert-base is not on this machine"):
        feature_set("embedding:hubert-base")
    shutil.rmtree(tmp_path / "hub")
    put_in_hub(tmp_path / "hub", networks / "hubert-base", encoder.hub, encoder.revision)
    assert feature_set("embedding:hubert-base").weights


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=list(ENCODERS))
def test_a_missing_encoder_says_in_one_line_what_to_fetch(encoder: Encoder) -> None:
    with pytest.raises(BenchmarkError) as refused:
        feature_set(f"functionals+embedding:{encoder.name}@pool=mean+std")
    words = str(refused.value)
    assert f"`python -m benchmark fetch {encoder.name}`" in words
    assert f"({encoder.download_mb:,} MB, licence {encoder.licence})" in words
    assert "\n" not in words


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=list(ENCODERS))
def test_encoders_name_what_others_rely_on(encoder: Encoder) -> None:
    assert NAME.fullmatch(encoder.name)
    assert re.fullmatch("[0-9a-f]{40}", encoder.revision)
    assert set(encoder.tuned_on) <= set(CORPORA)
    one = f"embedding:{encoder.name}@layers=1+3,pool=mean+std"
    assert names_of(f"functionals+{one}+dynamics") == ["functionals", one, "dynamics"]


@pytest.mark.parametrize(
    ("joined", "names"),
    [
        ("functionals", ["functionals"]),
        ("functionals+nonsense", ["functionals", "nonsense"]),
        ("embedding:x@pool=mean+std", ["embedding:x@pool=mean+std"]),
        ("embedding:x@layers=1+3+egemaps", ["embedding:x@layers=1+3", "egemaps"]),
        ("embedding:x@pool=mean+std+embedding:y", ["embedding:x@pool=mean+std", "embedding:y"]),
        ("table:a.csv+functionals", ["table:a.csv", "functionals"]),
        ("embedding:x+courses", ["embedding:x", "courses"]),
    ],
)
def test_a_plus_in_an_argument_belongs_to_it_unless_a_feature_set_follows(
    joined: str, names: list[str]
) -> None:
    assert names_of(joined) == names


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("someone/never-fetched", "hf download someone/never-fetched"),
        ("no such/folder/anywhere", "no such/folder/anywhere is neither an encoder ("),
        ("whisper-bas@layers=1", "Did you mean 'whisper-base'?"),
        ("{folder}@layers=4", "layers=4 are not layers of this network. Allowed: 0 to 3"),
        ("{folder}@layers=-1", "layers=-1 are not layers"),
        ("{folder}@layers=3-1", "layers=3-1 are not layers"),
        ("{folder}@layers=1+1", "layers=1+1 are not layers"),
        ("{folder}@layers=", "layers= are not layers"),
        ("{folder}@layers=all", "layers=all are not layers"),
        ("{folder}@pool=median", "'median'. Did you mean 'mean'? Allowed: mean, std, thirds"),
        ("{folder}@pool=mean+functionls", "unknown statistic 'functionls'"),
        ("{folder}@pool=mean+mean", "has a statistic twice"),
        ("{folder}@pool=mean,pool=std", "an option occurs twice"),
        ("{folder}@layer=2", "'layer=2' is not an option of an embedding. Allowed: layers= and"),
        ("{folder}@layer=2", "such as @layers=2."),
        ("{folder}@eight", "'eight' is not an option"),
        ("{folder}@", "'' is not an option"),
    ],
)
def test_a_missing_network_or_a_wrong_option_is_refused(
    networks: Path, argument: str, words: str
) -> None:
    with pytest.raises(BenchmarkError) as refused:
        feature_set("embedding:" + argument.format(folder=networks / "wav2vec2-base"))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "missing", ["config.json", "preprocessor_config.json", "model.safetensors"]
)
def test_a_folder_without_one_of_its_files_is_refused(
    networks: Path, tmp_path: Path, missing: str
) -> None:
    folder = shutil.copytree(networks / "wav2vec2-base", tmp_path / "missing")
    (folder / missing).unlink()
    with pytest.raises(BenchmarkError, match="holds no network that takes audio"):
        feature_set(f"embedding:{folder}")


@pytest.mark.parametrize("kind", ["bert", "bart", "speech_to_text", "nonsense"])
def test_a_network_of_text_or_of_another_kind_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "hidden_size": 8}))
    with pytest.raises(BenchmarkError, match="holds no network that takes audio"):
        feature_set(f"embedding:{tmp_path}")


@pytest.fixture
def pickled(networks: Path, tmp_path: Path) -> Path:
    """A network whose weights are stored by torch alone, as wav2vec 2.0's are on the hub."""
    import torch
    from safetensors.torch import load_file

    folder = shutil.copytree(networks / "wav2vec2-base", tmp_path / "wav2vec2-base")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_weights_stored_by_torch_give_the_same_row(networks: Path, pickled: Path) -> None:
    rows = [
        features_of(voice(200.0), feature_set(f"embedding:{folder}"))
        for folder in (pickled, networks / "wav2vec2-base")
    ]
    np.testing.assert_array_equal(*rows)


class Harmful:
    """An object whose reading creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_file_of_weights_is_not_run(pickled: Path, tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    (pickled / "pytorch_model.bin").write_bytes(pickle.dumps({"masked_spec_embed": Harmful(harm)}))
    with pytest.raises(BenchmarkError, match="the weights can't be read") as refused:
        features_of(voice(200.0), feature_set(f"embedding:{pickled}"))
    assert "\n" not in str(refused.value)
    assert not harm.exists()


def test_code_in_a_networks_folder_is_not_run(networks: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(networks / "wav2vec2-base", tmp_path / "coded")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own.Config", "AutoModel": "own.Model"}
    config["model_type"] = "own"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'w')\n")
    with pytest.raises(BenchmarkError, match="holds no network that takes audio"):
        feature_set(f"embedding:{folder}")
    assert not (tmp_path / "harm").exists()


def test_damaged_weights_are_refused(networks: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(networks / "hubert-base", tmp_path / "damaged")
    (folder / "model.safetensors").write_bytes(b"damaged" * 9)
    with pytest.raises(BenchmarkError, match="the weights can't be read"):
        features_of(voice(200.0), feature_set(f"embedding:{folder}"))


@pytest.fixture(params=SAVE)
def sharded(request: pytest.FixtureRequest, networks: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A network in one file, and the same in several."""
    from transformers import AutoModel

    folder = networks / request.param
    shutil.copytree(folder, tmp_path / "sharded" / request.param)
    (tmp_path / "sharded" / request.param / "model.safetensors").unlink()
    model = AutoModel.from_pretrained(folder)
    model.save_pretrained(tmp_path / "sharded" / request.param, max_shard_size="20KB")
    return folder, tmp_path / "sharded" / request.param


def test_weights_in_several_files_give_the_same_row(sharded: tuple[Path, Path]) -> None:
    whole, parts = (feature_set(f"embedding:{folder}") for folder in sharded)
    assert not (sharded[1] / "model.safetensors").exists()
    samples = voice(200.0)
    assert features_of(samples, parts).tobytes() == features_of(samples, whole).tobytes()


@pytest.mark.parametrize("spoil", [Path.unlink, lambda shard: shard.write_bytes(b"")])
def test_each_of_several_files_of_weights_counts(
    sharded: tuple[Path, Path], spoil: Callable[[Path], object]
) -> None:
    shards = sorted(sharded[1].glob("model-*.safetensors"))
    assert len(shards) > 1
    whole = feature_set(f"embedding:{sharded[1]}").weights
    moved = sharded[1].rename(sharded[1].with_name("moved"))
    spoil(moved / shards[-1].name)
    with pytest.raises(BenchmarkError, match=r"missing|can't be read"):
        feature_set(f"embedding:{moved}").compute(voice(200.0), RATE_HZ)
    (moved / shards[-1].name).write_bytes(b"other")
    other = feature_set(f"embedding:{moved.rename(moved.with_name('other'))}")
    assert other.weights != whole


def test_weights_that_lack_a_tensor_are_refused(networks: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(networks / "whisper", tmp_path / "whisper")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layers.1.fc1.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BenchmarkError, match="lack 1 of the network's tensors, such as"):
        features_of(voice(200.0), feature_set(f"embedding:{folder}"))


def test_another_sample_rate_than_the_networks_is_refused(networks: Path) -> None:
    with pytest.raises(BenchmarkError, match="pretrained network at 16000 Hz"):
        feature_set(f"embedding:{networks / 'wav2vec2-base'}", 22_050)


def test_embeddings_are_joined_with_other_feature_sets(networks: Path) -> None:
    folder = networks / "wav2vec2-base"
    joined = feature_set(f"functionals+embedding:{folder}@layers=1+3,pool=mean+std+dynamics")
    samples = voice(200.0)
    parts = [features_of(samples, part) for part in joined.parts]
    np.testing.assert_array_equal(features_of(samples, joined), np.concatenate(parts))
    assert {"torch", "transformers"} == set(joined.recipe()["versions"])
    assert [block.name for block in joined.blocks] == [
        "functionals",
        *["wav2vec2-base"] * 4,
        "dynamics",
    ]
