"""MLflow's model registry: promotion of a champion, and the files of a registered version.

A version contains a model, its calibrator and its card, besides what MLflow's own server needs.
Only these are read here: the card is checked against the digest in the registry, the others against
the card.
Nothing else in a registry is loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmark.engine.databases import sqlite_file
from benchmark.engine.files import user_path
from benchmark.errors import BenchmarkError, unknown
from benchmark.hints import command
from benchmark.project import Project
from benchmark.tracking.cards import Card, Cost, load_calibrator, load_model, read_card
from benchmark.tracking.registered_model import (
    CARD,
    MODEL_DESCRIPTION,
    logged_metrics,
    logged_params,
    metric_title,
    utility_title,
    version_description,
    version_tags,
    write_model,
)
from benchmark.tracking.runs import source_tags
from benchmark.tracking.store import (
    connect,
    environment,
    find_or_create_experiment,
    root_cause,
    store_errors,
    tracking_uri,
)

REGISTERED = "speech-emotion"
CHAMPION = "champion"
PROMOTE = command("promote STUDY")


@dataclass(frozen=True)
class Promotion:
    """Outcome of a promotion.

    Attributes
    ----------
    new : bool
        Whether the version was created now; False if the same model was registered before.
    champion : bool
        Whether it is the champion now.
    reason : str
        Why it is or is not the champion, in a sentence.
    card : Card
        As registered: with its cost.
    """

    version: int
    new: bool
    champion: bool
    reason: str
    card: Card


def promote(card: Path, cost: Cost, uri: str, artifacts: Path, *, force: bool = False) -> Promotion:
    """Register a model, and make it the champion if its CV score on the same data is higher.

    Test scores do not decide. The alias moves last: a failure before leaves the champion unchanged.

    Parameters
    ----------
    card : Path
        From `cards.find_card`; the model is beside it.
    cost : Cost
        Stored with a new version; a model that is registered already keeps the one it has.
    uri, artifacts
        The store or server, from `store.tracking_uri`, and the folder of artifacts if it is a
        database.
    force : bool
        Whether to make it the champion in any case.

    Raises
    ------
    BenchmarkError
        If the model can't be loaded or served, or the store can't be used.
    """
    model, _ = load_model(card)
    load_calibrator(card, model)
    with store_errors(uri):
        client = connect(uri)
        same = _same_version(client, uri, model)
        if same is None:
            model = model.model_copy(update={"cost": cost})
            version = _register(client, uri, artifacts, card, model)
        else:
            version, model = same
        _link_from_study(client, model, version)
        champion, reason = _decide(model, version, _champion(client), force)
        if champion:
            client.set_registered_model_alias(REGISTERED, CHAMPION, version.version)
    return Promotion(int(version.version), same is None, champion, reason, model)


def _link_from_study(client: Any, card: Card, version: Any) -> None:
    """Add the address of a version to the description of its study's newest run."""
    experiment = client.get_experiment_by_name(card.study)
    if experiment is None:
        return
    runs = client.search_runs([experiment.experiment_id], "tags.role = 'study'", max_results=1)
    address = f"#/models/{REGISTERED}/versions/{version.version}"
    for run in runs:
        note = run.data.tags.get("mlflow.note.content", "")
        if address not in note:
            link = f"\n\nRegistered: [{REGISTERED} {version.version}]({address}), {card.reference}"
            client.set_tag(run.info.run_id, "mlflow.note.content", note + link)


def find(uri: str, cache: Path, which: str = CHAMPION) -> Path:
    """Return the card of a registered model; card and model, which is beside it, are verified.

    `which` is an alias or the number of a version; `cache` receives downloaded files.

    Raises
    ------
    BenchmarkError
        If there is no such model, its files are missing or changed, or the store can't be used.
    """
    file = sqlite_file(uri)
    if file is not None and not file.exists():  # MLflow would create it
        raise BenchmarkError(f"{file}: no model has been promoted. Promote one with {PROMOTE}.")
    with store_errors(uri):
        client = connect(uri)
        version = _find_version(client, which)
        try:
            return _verified_folder(client, uri, version, cache) / CARD
        except Exception as error:
            line = str(error) if isinstance(error, BenchmarkError) else root_cause(error)
            raise BenchmarkError(
                f"Version {version.version} of MLflow's model {REGISTERED!r} can't be used: {line} "
                f"Register it again, or another model, with {PROMOTE}."
            ) from error


def resolve(which: str, project: Path) -> Path:
    """Return the card of a model given by its card file, or by an alias or registered version.

    Raises
    ------
    BenchmarkError
        As `find` does.
    """
    if which.endswith(".json"):
        return user_path(which)
    cache = Project(project).features_cache / "registry"
    return find(tracking_uri(project), cache, which)


def _same_version(client: Any, uri: str, card: Card) -> tuple[Any, Card] | None:
    """Return a version with unchanged files and the same card, but for its cost, and this card."""
    versions = client.search_model_versions(f"name = '{REGISTERED}'")
    with tempfile.TemporaryDirectory() as folder:
        for version in versions:
            if version.tags.get("reference") != card.reference:
                continue
            # An unreadable version counts as absent: the model is registered again.
            with contextlib.suppress(Exception):
                found = read_card(_verified_folder(client, uri, version, Path(folder)) / CARD)
                if found == card.model_copy(update={"cost": found.cost}):
                    return version, found
    return None


def _registered(client: Any) -> Any:
    return next(iter(client.search_registered_models(f"name = '{REGISTERED}'")), None)


def _champion(client: Any) -> Any:
    """Return the champion's version; None if there is none."""
    registered = _registered(client)
    number = registered.aliases.get(CHAMPION) if registered else None
    return client.get_model_version(REGISTERED, number) if number else None


def _decide(card: Card, version: Any, champion: Any, force: bool) -> tuple[bool, str]:
    """Return whether a model becomes the champion, and why."""
    if champion is None:
        return True, "It is the first champion."
    if str(champion.version) == str(version.version):
        return True, "It is already the champion."
    better, reason = _compare(card, champion)
    name = f"version {champion.version} ({champion.tags.get('reference', 'no reference')})"
    if better or force:
        why = ": " if better else ", because of --force, although "
        return True, f"It replaces the champion, {name}{why}{reason}."
    return False, f"The champion is still {name}: {reason}. --force replaces it."


def _compare(card: Card, champion: Any) -> tuple[bool, str]:
    """Return whether a model is better than the champion, and the scores or why they can't be."""
    tags = champion.tags
    score = _finite(tags.get("cv_score"))
    if score is None:
        return False, "the champion has no CV score, because it was not made by `promote`"
    if tags.get("data") != card.data:
        return False, (
            f"the champion was trained and scored on other data ({tags.get('data', '')[:12]}, this "
            f"model on {card.data[:12]}), so the scores can't be compared"
        )
    if tags.get("metric") != card.metric:
        return False, (
            f"the champion was selected by {metric_title(str(tags.get('metric')))}, this model by "
            f"{metric_title(card.metric)}"
        )
    higher = card.cv_score > score
    word = "higher" if higher else "lower" if card.cv_score < score else "the same"
    return higher, (
        f"its CV score ({utility_title(card.metric)}) is {word}, {card.cv_score:.4f} against "
        f"{score:.4f}"
    )


def _finite(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _find_version(client: Any, which: str) -> Any:
    """Return a version by an alias or its number."""
    registered = _registered(client)
    if registered is None:
        raise BenchmarkError(
            f"MLflow has no registered model {REGISTERED!r}. Promote one with {PROMOTE}."
        )
    versions = {str(v.version): v for v in client.search_model_versions(f"name = '{REGISTERED}'")}
    number = str(registered.aliases.get(which, which))
    if number not in versions:
        allowed = [*sorted(registered.aliases), *sorted(versions, key=int)]
        raise unknown("alias or version", which, allowed, f"MLflow's model {REGISTERED!r}")
    return versions[number]


def _verified_folder(client: Any, uri: str, version: Any, cache: Path) -> Path:
    """Return the folder of a version's card and model; a server's files are cached."""
    digest = version.tags.get("card_sha256", "")
    if not re.fullmatch("[0-9a-f]{64}", digest):  # names a folder, and anyone can write tags
        raise BenchmarkError("it was not made by `promote`.")
    address = f"{client.get_model_version_download_uri(REGISTERED, version.version)}/artifacts"
    folder = _local(address)
    if folder is None:
        folder = cache / digest
        if _problem(folder, digest):
            shutil.rmtree(folder, ignore_errors=True)
            _download(address, uri, folder)
    problem = _problem(folder, digest)
    if problem:
        raise BenchmarkError(problem)
    return folder


def _local(address: str) -> Path | None:
    """Return the folder of a path or a file: address; None for any other address."""
    parts = urlsplit(address)
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        return None
    return Path(unquote(parts.path) if parts.scheme else address)


def _download(address: str, uri: str, folder: Path) -> None:
    """Download a folder of a store, completely or not at all."""
    from mlflow.artifacts import download_artifacts

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
        fetched = download_artifacts(artifact_uri=address, dst_path=partial, tracking_uri=uri)
        with contextlib.suppress(OSError):  # another process was faster
            Path(fetched).rename(folder)


def _problem(folder: Path, digest: str) -> str:
    """Return what is wrong with the files of a version; empty if they are unchanged."""
    path = folder / CARD
    try:
        if _digest(path) != digest:
            return f"{path} is not the card that was registered: its digest differs."
        card = read_card(path)
        files = {card.file: card.sha256}
        if card.calibration is not None:
            files[card.calibration.file] = card.calibration.sha256
        for file, expected in files.items():
            if _digest(folder / file) != expected:
                return f"{folder / file} does not belong to its card: its digest differs."
    except OSError as error:
        return f"{error.filename}: {error.strerror}."
    return ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _register(client: Any, uri: str, artifacts: Path, path: Path, card: Card) -> Any:
    """Return a new version of the registered model; `path` is beside its files."""
    digest = hashlib.sha256(card.text().encode()).hexdigest()
    experiment = find_or_create_experiment(client, uri, card.study, artifacts)
    with _run(client, experiment, card, digest) as run:
        model = _log_model(client, experiment, run, path, card)
        if _registered(client) is None:
            client.create_registered_model(REGISTERED, description=MODEL_DESCRIPTION)
        # MLflow's registry looks the model up in the store of the environment.
        with environment("MLFLOW_TRACKING_URI", uri):
            version = client.create_model_version(
                REGISTERED,
                f"models:/{model}",
                run,
                version_tags(card, digest),
                description=version_description(card),
                model_id=model,
            )
        names = [{"name": REGISTERED, "version": str(version.version)}]
        client.set_logged_model_tags(model, {"mlflow.modelVersions": json.dumps(names)})
        return version


def _log_model(client: Any, experiment: str, run: str, path: Path, card: Card) -> str:
    """Log a model with its scores and files as the output of a run; return its id."""
    from mlflow.entities import LoggedModelOutput, Metric, Param

    params = logged_params(card)
    tags = {"mlflow.note.content": version_description(card)}
    model = client.create_logged_model(experiment, card.model, run, tags, params).model_id
    now = int(1000 * time.time())
    metrics = logged_metrics(card)
    client.log_batch(
        run,
        metrics=[Metric(name, value, now, 0, model_id=model) for name, value in metrics.items()],
        params=[Param(name, value) for name, value in params.items()],
    )
    client.log_outputs(run, [LoggedModelOutput(model, 0)])
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "model"
        write_model(path, card, files)
        client.log_model_artifacts(model, str(files))
    client.finalize_logged_model(model, "READY")
    return str(model)


@contextlib.contextmanager
def _run(client: Any, experiment: str, card: Card, digest: str) -> Iterator[str]:
    """Give a registration its own run, without the study's digest, so that no search finds it."""
    tags = {
        "role": "promotion",
        "study": card.study,
        "split": card.split,
        "model": card.model,
        "data_digest": card.data,
        "card_sha256": digest,
        "model_sha256": card.sha256,
        "mlflow.note.content": version_description(card),
    }
    name = f"promoted {card.model} {card.split}"
    run = client.create_run(experiment, run_name=name, tags=tags | source_tags()).info.run_id
    try:
        yield run
    except BaseException:
        with contextlib.suppress(Exception):  # the store itself may have failed
            client.set_terminated(run, "FAILED")
        raise
    client.set_terminated(run, "FINISHED")
