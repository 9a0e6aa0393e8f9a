"""Served models with encoders: the stored answers to the bit, and only with the same weights.

The networks are thin and have random weights.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.features.encoders import FOLDER_VARIABLE
from benchmark.serving.limits import Limits
from benchmark.serving.pool import Pool
from benchmark.serving.predictor import Predictor
from benchmark.serving.timeline import timeline
from benchmark.tracking.cards import read_card
from benchmark.tracking.registered_model import write_model
from tests.support.bench import Bench, changed_bench
from tests.support.encoders import SAVE, needs_transformers

pytestmark = needs_transformers

FEATURES = "embedding:whisper@layers=1-2,pool=mean+std+embedding:hubert-base@layers=2"
CHANGES = {
    'features = "mfcc-stats"': f'features = "{FEATURES}"',
    '"speaker-dependent", ': "",
    "trials = 6": "trials = 1",
}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the networks, which the environment names."""
    folder = tmp_path_factory.mktemp("encoders")
    for name in ("whisper", "hubert-base"):
        SAVE[name](folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="module")
def encoded(encoders: Path, tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The small study with features of both networks; read-only."""
    return changed_bench(tmp_path_factory.mktemp("encoded"), tones, CHANGES)


@pytest.mark.parametrize("model", ["ensemble", "logistic_regression", "random_forest"])
def test_predictions_and_timelines_of_test_clips_equal_the_stored_results(
    encoded: Bench, model: str
) -> None:
    predictor = Predictor.load(encoded.card(model=model))
    for clip, stored in encoded.served(model=model).iterrows():
        content = Path(str(clip)).read_bytes()
        prediction = predictor.predict(content)
        (window,) = timeline(predictor, content).windows
        assert list(prediction.probabilities.values()) == stored.tolist()
        assert window.probabilities == prediction.probabilities


def test_a_worker_of_the_service_answers_as_stored(encoded: Bench) -> None:
    stored = encoded.served()
    with closing(Pool(encoded.card(), Limits())) as pool:
        pool.start()
        for clip in stored.index[:4]:
            answer = asyncio.run(pool.ask(Predictor.predict, clip.read_bytes()))
            assert list(answer.probabilities.values()) == stored.loc[clip].tolist()


SERVED = """
import sys
from pathlib import Path
import mlflow, numpy, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
answers = model.predict(pandas.DataFrame({"audio": [Path(p).read_bytes() for p in sys.argv[2:]]}))
columns = [column for column in answers if column.startswith("p_")]
sys.stdout.buffer.write(answers[columns].to_numpy(numpy.float32).tobytes())
"""


def test_mlflows_loader_answers_as_stored(encoded: Bench, tmp_path: Path) -> None:
    stored, card = encoded.served(), encoded.card()
    write_model(card, read_card(card), tmp_path / "model")
    command = [sys.executable, "-c", SERVED, str(tmp_path / "model"), *map(str, stored.index)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == stored.to_numpy(np.float32).tobytes()
    requirements = (tmp_path / "model" / "requirements.txt").read_text()
    assert "torch==" in requirements
    assert "transformers==" in requirements


def test_the_card_names_the_weights_of_each_network(encoded: Bench) -> None:
    features = read_card(encoded.card()).features
    assert features is not None
    assert list(features.weights) == [
        "embedding:whisper@layers=1-2,pool=mean+std",
        "embedding:hubert-base@layers=2",
    ]


def test_without_the_weights_the_model_is_refused_with_what_is_missing(
    encoded: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    card = encoded.card()
    refusal = f"{read_card(card).reference} takes features .* can't be computed here: .*whisper is "
    with pytest.raises(BenchmarkError, match=refusal) as refused:
        Predictor.load(card)
    assert FOLDER_VARIABLE in str(refused.value)
    assert "Install ser-benchmark" not in str(refused.value)
    with closing(Pool(card, Limits())) as pool, pytest.raises(BenchmarkError, match="whisper is "):
        pool.start()


def test_other_weights_under_the_same_name_are_refused_with_both_digests(
    encoded: Bench, encoders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(encoders, tmp_path / "others")
    weights = tmp_path / "others" / "whisper" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "others"))
    card = encoded.card()
    with pytest.raises(BenchmarkError) as refused:
        Predictor.load(card)
    features = read_card(card).features
    assert features is not None
    digest = features.weights["embedding:whisper@layers=1-2,pool=mean+std"]
    assert f"those of the model {digest}. Put the weights there" in str(refused.value)
    assert "\n" not in str(refused.value)
