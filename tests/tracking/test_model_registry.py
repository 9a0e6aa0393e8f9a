"""MLflow's registry: which model is the champion, which files are used, what MLflow serves."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.errors import BenchmarkError
from benchmark.tracking.cards import Card, Cost, load_model, read_card
from benchmark.tracking.model_registry import REGISTERED, Promotion, find, promote
from benchmark.tracking.registered_model import DEEP_LIBRARIES
from benchmark.tracking.store import SETTINGS
from tests.support.bench import Bench, empty_store
from tests.support.imports import DOORS
from tests.support.records import read_sealed, write_sealed
from tests.support.tracking import client_of, running_server, served
from tests.support.waiting import free_port

COST = Cost(clip_s=3.0, seconds=0.12, features_seconds=0.11, per_second=0.04, processor="Abacus")


@dataclass(frozen=True)
class Store:
    """A store of MLflow's in a folder of its own, and a card to promote into it."""

    folder: Path
    card: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        return self.folder / "mlruns"

    @property
    def client(self) -> Any:
        return client_of(self.uri)

    @property
    def champion(self) -> int:
        return int(self.client.get_model_version_by_alias(REGISTERED, "champion").version)

    def promote(self, *, force: bool = False, **changes: Any) -> Promotion:
        """Promote the card with some of its entries changed."""
        card = self.card.with_name("changed.json")
        write_sealed(card, read_sealed(self.card) | changes)
        return promote(card, COST, self.uri, self.artifacts, force=force)

    def find(self, which: str = "champion") -> Path:
        return find(self.uri, self.folder / "cache", which)

    def versions(self) -> list[Any]:
        return list(self.client.search_model_versions(f"name = '{REGISTERED}'"))


@pytest.fixture
def store(finished: Bench, tmp_path: Path) -> Store:
    (tmp_path / "mlflow.db").write_bytes(empty_store())
    source = (
        finished.project
        / "features_cache"
        / "small"
        / "speaker-independent"
        / "models"
        / "ensemble.json"
    )
    (tmp_path / "models").mkdir()
    card = read_card(source)
    for file in (card.file, card.calibration.file):
        shutil.copy(source.with_name(file), tmp_path / "models")
    return Store(tmp_path, Path(shutil.copy(source, tmp_path / "models")))


def priced(card: Path) -> Card:
    return read_card(card).model_copy(update={"cost": COST})


def test_the_first_model_is_the_champion_and_is_found(store: Store) -> None:
    promotion = store.promote()
    assert promotion == Promotion(
        version=1,
        new=True,
        champion=True,
        reason="It is the first champion.",
        card=priced(store.card),
    )
    found = store.find()
    card, _ = load_model(found)
    assert card == priced(store.card)
    assert found.with_name(card.file).read_bytes() == store.card.with_name(card.file).read_bytes()
    assert store.find("1") == found


@pytest.mark.parametrize(
    ("changes", "moves", "words"),
    [
        ({"cv_score": 0.9}, True, "higher, 0.9000 against 0.8000"),
        ({"cv_score": 0.7}, False, "lower, 0.7000 against 0.8000"),
        ({"question": "Another?"}, False, "the same, 0.8000 against 0.8000"),
        ({"cv_score": 0.9, "data": "f" * 32}, False, "can't be compared"),
        ({"cv_score": 0.9, "metric": "accuracy"}, False, "selected by UAR, this model by accuracy"),
    ],
)
def test_only_a_better_model_on_the_same_data_replaces_the_champion(
    store: Store, changes: dict[str, Any], moves: bool, words: str
) -> None:
    store.promote(cv_score=0.8)
    promotion = store.promote(**{"cv_score": 0.8, **changes})
    assert (promotion.version, promotion.new, promotion.champion) == (2, True, moves)
    assert words in promotion.reason
    assert ("--force" in promotion.reason) is not moves
    assert store.champion == 1 + moves


@pytest.mark.parametrize("changes", [{"cv_score": 0.1}, {"data": "f" * 32}])
def test_force_replaces_any_champion(store: Store, changes: dict[str, Any]) -> None:
    store.promote()
    promotion = store.promote(force=True, **changes)
    assert promotion.champion
    assert "because of --force" in promotion.reason
    assert store.champion == 2


def test_the_same_model_is_registered_once(store: Store) -> None:
    store.promote(cv_score=0.8)
    store.promote(cv_score=0.9)
    again = store.promote(cv_score=0.8)
    assert (again.version, again.new, again.champion) == (1, False, False)
    forced = store.promote(cv_score=0.8, force=True)
    assert (forced.version, forced.new, forced.champion) == (1, False, True)
    assert store.promote(cv_score=0.8).champion
    assert len(store.versions()) == 2
    assert store.champion == 1


def test_a_registered_model_keeps_the_cost_that_was_measured_first(store: Store) -> None:
    promote(store.card, COST, store.uri, store.artifacts)
    slower = COST.model_copy(update={"seconds": 9.0})
    again = promote(store.card, slower, store.uri, store.artifacts)
    assert (again.new, again.card.cost) == (False, COST)


def test_a_version_tells_what_a_prediction_costs(store: Store) -> None:
    store.promote()
    (version,) = store.versions()
    assert COST.words in version.description
    assert "takes 0.12 s of one core, of which features 0.11 s" in COST.words
    (run,) = runs_of(store)
    assert (run.data.metrics["seconds_per_clip"], run.data.metrics["seconds_per_second"]) == (
        COST.seconds,
        COST.per_second,
    )


def test_a_failed_promotion_leaves_the_champion(store: Store) -> None:
    store.promote(cv_score=0.8)
    models = store.artifacts / "small" / "models"
    models.rename(store.folder / "aside")
    models.touch()  # where the next model's folder would be made
    with pytest.raises(BenchmarkError, match=r"MLflow at .* can't be used"):
        store.promote(cv_score=0.9)
    models.unlink()
    (store.folder / "aside").rename(models)
    assert store.champion == 1
    assert len(store.versions()) == 1
    assert store.find()
    assert {run.info.status for run in runs_of(store)} == {"FINISHED", "FAILED"}
    assert store.promote(cv_score=0.9).champion


def runs_of(store: Store) -> list[Any]:
    found = store.client.get_experiment_by_name("small")
    return list(store.client.search_runs([found.experiment_id], "tags.role = 'promotion'"))


def test_a_promotion_is_a_run_that_no_search_by_digest_finds(store: Store) -> None:
    store.promote()
    (run,) = runs_of(store)
    card = read_card(store.card)
    assert "digest" not in run.data.tags
    assert run.data.tags["model_sha256"] == card.sha256
    assert run.data.metrics["speaker-independent_uar"] == card.trust.scores["uar"].value
    assert run.data.metrics["cv_uar"] == card.cv_score
    assert run.data.params["split"] == "speaker-independent"


def test_the_description_of_a_version_starts_with_its_speaker_independent_score(
    store: Store,
) -> None:
    store.promote()
    (version,) = store.versions()
    figure = read_card(store.card).trust.scores["uar"].value
    assert version.description.startswith(f"UAR {figure:.3f}, ")
    assert "speaker-independent" in version.description.splitlines()[0]
    assert version.tags["speaker-independent"].startswith(f"UAR {figure:.3f}")


def test_nothing_that_is_stored_is_a_pickle(store: Store) -> None:
    store.promote()
    files = [path for path in store.artifacts.rglob("*") if path.is_file()]
    assert {"card.json", "ensemble.skops", "MLmodel", "requirements.txt"} <= {f.name for f in files}
    assert [f.name for f in files if f.suffix in {".pkl", ".pickle", ".joblib", ".pyc"}] == []


def test_missing_files_are_reported_and_registered_again(store: Store) -> None:
    store.promote()
    shutil.rmtree(store.artifacts / "small" / "models")
    with pytest.raises(BenchmarkError, match=r"Version 1 of .*card\.json: No such file"):
        store.find()
    again = store.promote(force=True)
    assert (again.version, again.new, again.champion) == (2, True, True)
    assert store.find()


@pytest.mark.parametrize("name", ["card.json", "ensemble.skops"])
def test_damaged_files_are_refused(store: Store, name: str) -> None:
    store.promote()
    file = store.find().with_name(name)
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(BenchmarkError, match="digest differs"):
        store.find()


@pytest.mark.parametrize("digest", ["", "../../..", "0" * 64])
def test_a_card_with_another_digest_than_the_registry_is_refused(store: Store, digest: str) -> None:
    store.promote()
    store.client.set_model_version_tag(REGISTERED, "1", "card_sha256", digest)
    with pytest.raises(BenchmarkError, match="Version 1 of"):
        store.find()


def test_a_version_of_others_is_not_used_and_only_force_replaces_it(store: Store) -> None:
    store.promote()
    source = store.versions()[0].source
    store.client.create_model_version(REGISTERED, store.find().parent.as_uri(), tags={"a": source})
    store.client.set_registered_model_alias(REGISTERED, "champion", "2")
    with pytest.raises(BenchmarkError, match="not made by `promote`"):
        store.find()
    assert "not made by `promote`" in store.promote().reason
    assert store.champion == 2
    assert store.promote(force=True).champion
    assert store.champion == 1


def test_an_unknown_alias_or_version_is_refused_with_the_known_ones(store: Store) -> None:
    store.promote()
    for which in ("champoin", "7", "-1", "a'b"):
        with pytest.raises(BenchmarkError, match="Allowed: champion, 1"):
            store.find(which)


def test_an_empty_registry_says_to_promote(store: Store) -> None:
    with pytest.raises(BenchmarkError, match="benchmark promote STUDY"):
        store.find()


def test_finding_a_model_creates_no_database(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="benchmark promote STUDY"):
        find(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_an_unusable_store_is_refused_in_one_line(store: Store) -> None:
    for uri in ("http://127.0.0.1:9", str(store.folder / "mlruns")):
        with pytest.raises(BenchmarkError) as refused:
            promote(store.card, COST, uri, store.artifacts)
        assert "MLFLOW_TRACKING_URI" in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_model_without_computable_features_is_not_registered(store: Store) -> None:
    with pytest.raises(BenchmarkError, match="own tables"):
        store.promote(features=None)
    assert store.client.search_registered_models() == []


def test_the_environment_is_left_unchanged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere.else")
    store.promote()
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://somewhere.else"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    store.promote(cv_score=0.99)
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_model_is_registered_on_a_server_and_downloaded_from_it(
    store: Store, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with served(store.folder, free_port()) as uri:
        assert promote(store.card, COST, uri, store.artifacts).champion
        again = promote(store.card, COST, uri, store.artifacts)
        assert (again.version, again.new) == (1, False)
        assert again.reason == "It is already the champion."
        found = find(uri, cache)
        card, _ = load_model(found)
        assert card == priced(store.card)
        found.with_name(card.file).write_bytes(b"damaged")
        assert find(uri, cache) == found
        load_model(found)
        shutil.rmtree(store.artifacts)
        assert find(uri, cache) == found  # what is kept here is not asked for
        shutil.rmtree(cache)
        with pytest.raises(BenchmarkError, match="Version 1 of"):
            find(uri, cache)
        assert list(cache.iterdir()) == []


WITHOUT = """
import importlib.abc, sys
from pathlib import Path

class Refusing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[3:]:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refusing())
from benchmark.serving.predictor import Predictor
print(Predictor.load(Path(sys.argv[1])).predict(Path(sys.argv[2]).read_bytes()).emotion)
"""


def test_a_model_predicts_with_only_its_requirements_installed(
    store: Store, finished: Bench
) -> None:
    others = [*sorted(set(DOORS) - {"skops", "soundfile"} - set(DEEP_LIBRARIES)), "pyarrow"]
    clip = next(finished.table.parent.glob("*.wav"))
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(store.card), str(clip), *others],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() in read_card(store.card).emotions


@contextmanager
def scoring_server(store: Store, port: int) -> Iterator[str]:
    """MLflow's own server of the champion, started as its documentation says."""
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", f"models:/{REGISTERED}@champion", "--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it calls uvicorn
    environment = {**os.environ, **SETTINGS, "PATH": path, "MLFLOW_TRACKING_URI": store.uri}
    with running_server(command, environment, store.folder, port) as address:
        yield address


def ask(address: str, recordings: list[bytes]) -> tuple[int, Any]:
    """What a scoring server answers: its status and its JSON."""
    rows = [[base64.b64encode(content).decode()] for content in recordings]
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps({"dataframe_split": {"columns": ["audio"], "data": rows}}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_mlflows_own_server_returns_the_calibrated_test_predictions(
    store: Store, finished: Bench
) -> None:
    stored = finished.served()
    clips = list(stored.index)
    shares = ["p_high", "p_low", "p_middle"]
    store.promote()
    with scoring_server(store, free_port()) as address:
        status, refusal = ask(address, [clips[0].read_bytes(), b"not audio"])
        assert status == 400
        assert "recording 2 of 2 can't be used (not-audio)" in refusal["message"]
        status, answer = ask(address, [clip.read_bytes() for clip in clips])
        assert status == 200
    answers = pd.DataFrame(answer["predictions"])
    assert list(answers.columns) == ["emotion", *shares, "duration_s", "distance", "familiarity"]
    found, expected = (table[shares].to_numpy(np.float32) for table in (answers, stored))
    assert found.tobytes() == expected.tobytes()
    assert np.allclose(answers["duration_s"], 6000 / 22_050, atol=1e-3)
