"""MLflow's model registry: which stored model is the champion, and where its files lie.

A version holds a model and its card, and beside them what MLflow's own server needs. Only those
two are ever read here: the card is checked against the registry's record of its digest, the model
against the card. What else lies in a registry is never loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import re
import shutil
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.project import Project
from benchmark.report.markdown import code, counted, listed, number, plain, span
from benchmark.tracking.cards import Card, Figure, Measured, load_model, read_card
from benchmark.tracking.runs import source_tags
from benchmark.tracking.store import (
    ARTIFACTS,
    connect,
    environment,
    find_or_create_experiment,
    is_server,
    root_cause,
    sqlite_file,
    store_errors,
    tracking_uri,
)

REGISTERED = "speech-emotion"
CHAMPION = "champion"

USE = """\
Hears which emotion a voice shows: in goes a recording, out come an emotion and the probability of \
each. Each version says what it learned from and how often it is right on speakers it has never \
heard. The alias **champion** is the version that is served unless another is asked for.

    python -m benchmark predict call.wav
    python -m benchmark serve
    mlflow models serve -m models:/speech-emotion@champion --env-manager local

The last of them answers requests with recordings in base64:

    echo '{"dataframe_split": {"columns": ["audio"], "data": [["'$(base64 -w0 call.wav)'"]]}}' |
      curl http://127.0.0.1:5000/invocations -H 'Content-Type: application/json' -d @-
"""
"""What MLflow's pages say of the registered model, above its versions."""

PACKAGE = Path(__file__).parent.parent
PROMOTE = "`python -m benchmark promote STUDY`"

LIBRARIES = (
    "mlflow",
    "joblib",
    "numpy",
    "pandas",
    "pydantic",
    "scikit-learn",
    "scipy",
    "skops",
    "soundfile",
    "soxr",
    "threadpoolctl",
)
"""What a server of a model needs, in the versions that are installed where it is promoted."""

DEEP_LIBRARIES = ("torch", "skorch", "safetensors")


@dataclass(frozen=True)
class Promotion:
    """What became of a model that was to be champion.

    Attributes
    ----------
    version : int
        Its version in the registry.
    reference : str
        The model in a word; see `Card.reference`.
    new : bool
        Whether the version was made now; False where the very same model had been registered.
    champion : bool
        Whether it is the champion now.
    reason : str
        Why it is, or why another one is, in a sentence.
    """

    version: int
    reference: str
    new: bool
    champion: bool
    reason: str


def promote(card: Path, uri: str, artifacts: Path, *, force: bool = False) -> Promotion:
    """Register a model, and make it the champion if it beats the present one on the same data.

    Beats: by the score on the inner folds of the training side, so that no test row chooses. The
    alias moves last; whatever fails before leaves the champion as it was.

    Parameters
    ----------
    card : Path
        See `card.find_card`; the model lies beside it.
    uri : str
        MLflow's store or server, see `tracking.tracking_uri`.
    artifacts : Path
        The folder for files where the store is a database.
    force : bool
        Make it the champion all the same.

    Raises
    ------
    BenchmarkError
        If the model can't be loaded or served, or the store can't be used.
    """
    model, _ = load_model(card)
    with store_errors(uri):
        client = connect(uri, artifacts)
        version = _same(client, uri, _digest(card))
        new = version is None
        if version is None:
            version = _register(client, uri, artifacts, card)
        present = _champion(client)
        champion, reason = _verdict(model, version, present, force)
        if champion:
            client.set_registered_model_alias(REGISTERED, CHAMPION, version.version)
    return Promotion(int(version.version), model.reference, new, champion, reason)


def find(uri: str, artifacts: Path, cache: Path, which: str = CHAMPION) -> Path:
    """Return the card of a registered model, beside which the model lies, both checked.

    Parameters
    ----------
    uri : str
        MLflow's store or server, see `tracking.tracking_uri`.
    artifacts : Path
        The folder for files where the store is a database.
    cache : Path
        Where to keep files that lie on a server.
    which : str
        An alias or the number of a version.

    Raises
    ------
    BenchmarkError
        If there is no such model, its files can't be read or are not those that were registered,
        or the store can't be used.
    """
    file = sqlite_file(uri)
    if file is not None and not file.exists():  # to ask MLflow would be to make it
        raise BenchmarkError(f"{file}: no model has been promoted. Choose one with {PROMOTE}.")
    with store_errors(uri):
        client = connect(uri, artifacts)
        version = _version(client, which)
        with _naming(version):
            return _fetch(client, uri, version, cache) / "card.json"


def resolve(which: str, project: Path) -> Path:
    """Return the card of a model given by its card file, or by an alias or registered version.

    Raises
    ------
    BenchmarkError
        As `find` does.
    """
    if which.endswith(".json"):
        return Path(which).expanduser()
    cache = Project(project).features_cache / "registry"
    return find(tracking_uri(project), project / ARTIFACTS, cache, which)


def _same(client: Any, uri: str, digest: str) -> Any:
    """Return the version that is this very model, its files whole; None where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        for version in client.search_model_versions(
            f"name = '{REGISTERED}' and tags.card_sha256 = '{digest}'"
        ):
            # What can't be read is as good as not there: it is registered anew.
            with contextlib.suppress(Exception):
                _fetch(client, uri, version, Path(folder))
                return version
    return None


def _champion(client: Any) -> Any:
    """Return the version that is champion, None where there is none."""
    registered = _registered(client)
    number = registered.aliases.get(CHAMPION) if registered else None
    return client.get_model_version(REGISTERED, number) if number else None


def _registered(client: Any) -> Any:
    return next(iter(client.search_registered_models(f"name = '{REGISTERED}'")), None)


def _verdict(card: Card, version: Any, champion: Any, force: bool) -> tuple[bool, str]:
    """Return whether a model becomes champion, and why or why not."""
    if champion is None:
        return True, "It is the champion, the first one."
    if str(champion.version) == str(version.version):
        return True, "It is the champion already."
    beats, reason = _compare(card, champion)
    name = f"version {champion.version} ({champion.tags.get('reference', 'no reference')})"
    if beats:
        return True, f"It is the champion now, in place of {name}: {reason}."
    if force:
        return True, f"It is the champion now by --force, in place of {name}, though {reason}."
    return False, f"The champion is still {name}: {reason}. Change that with --force."


def _compare(card: Card, champion: Any) -> tuple[bool, str]:
    """Return whether a model beats the champion, and the figures or why they can't be compared."""
    tags = champion.tags
    theirs = _number(tags.get("inner_score"))
    if theirs is None:
        return False, "that one has no score to compare with, for it was not made by `promote`"
    if tags.get("data") != card.data:
        return False, (
            f"that one learned from and was scored on other data ({tags.get('data', '')[:12]}, "
            f"this one {card.data[:12]}), so their scores can't be compared"
        )
    if tags.get("metric") != card.metric:
        return False, (
            f"that one was chosen by {_metric(str(tags.get('metric')))}, this one by "
            f"{_metric(card.metric)}"
        )
    higher = card.inner_score > theirs
    word = "higher" if higher else "lower" if card.inner_score < theirs else "the same"
    return higher, (
        f"its {_metric(card.metric)} on the inner folds is {word}, {card.inner_score:.4f} "
        f"against {theirs:.4f}"
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _metric(name: str) -> str:
    return METRICS[name].title if name in METRICS else name


def _version(client: Any, which: str) -> Any:
    """Return a version by an alias or its number."""
    registered = _registered(client)
    if registered is None:
        raise BenchmarkError(
            f"MLflow has no registered model {REGISTERED!r}. Choose one with {PROMOTE}."
        )
    found = {str(v.version): v for v in client.search_model_versions(f"name = '{REGISTERED}'")}
    number = str(registered.aliases.get(which, which))
    if number not in found:
        allowed = [*sorted(registered.aliases), *sorted(found, key=int)]
        raise unknown("alias or version", which, allowed, f"MLflow's model {REGISTERED!r}")
    return found[number]


@contextlib.contextmanager
def _naming(version: Any) -> Iterator[None]:
    """Say of which version it is that files can't be used, and what to do."""
    try:
        yield
    except Exception as error:
        line = str(error) if isinstance(error, BenchmarkError) else root_cause(error)
        raise BenchmarkError(
            f"Version {version.version} of MLflow's model {REGISTERED!r} can't be used: {line} "
            f"Register it again, or another, with {PROMOTE}."
        ) from error


def _fetch(client: Any, uri: str, version: Any, cache: Path) -> Path:
    """Return the folder of a version's card and model; what lies on a server is kept in a cache."""
    digest = version.tags.get("card_sha256", "")
    if not re.fullmatch("[0-9a-f]{64}", digest):  # it names a folder, and others may write tags
        raise BenchmarkError("it was not made by `promote`.")
    place = f"{client.get_model_version_download_uri(REGISTERED, version.version)}/artifacts"
    folder = _local(place)
    if folder is None:
        folder = cache / digest
        if _fault(folder, digest):
            shutil.rmtree(folder, ignore_errors=True)
            _download(place, uri, folder)
    fault = _fault(folder, digest)
    if fault:
        raise BenchmarkError(fault)
    return folder


def _local(address: str) -> Path | None:
    """Return the folder of a path or a file: address; None for any other address."""
    parts = urlsplit(address)
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        return None
    return Path(unquote(parts.path) if parts.scheme else address)


def _download(place: str, uri: str, folder: Path) -> None:
    """Bring a folder of a store here, whole or not at all."""
    from mlflow.artifacts import download_artifacts

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
        fetched = download_artifacts(artifact_uri=place, dst_path=partial, tracking_uri=uri)
        with contextlib.suppress(OSError):  # another process was quicker
            Path(fetched).rename(folder)


def _fault(folder: Path, digest: str) -> str:
    """Return what is wrong with the files of a version; empty where they are what they should."""
    card = folder / "card.json"
    try:
        if _digest(card) != digest:
            return f"{card} is not the card that was registered; its digest differs."
        told = read_card(card)
        if _digest(folder / told.file) != told.sha256:
            return f"{folder / told.file} is not the model of its card; its digest differs."
    except OSError as error:
        return f"{error.filename}: {error.strerror}."
    return ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _register(client: Any, uri: str, artifacts: Path, card: Path) -> Any:
    """Return a new version of the registered model, with all that belongs to it."""
    told = read_card(card)
    digest = _digest(card)
    experiment = find_or_create_experiment(
        client, told.study, None if is_server(uri) else artifacts
    )
    with _run(client, experiment, told, digest) as run:
        model = _log_model(client, experiment, run, card, told)
        if _registered(client) is None:
            client.create_registered_model(REGISTERED, description=USE)
        tags, words = _version_tags(told, digest), _description(told)
        # MLflow's registry looks the model up in the store of the environment.
        with environment("MLFLOW_TRACKING_URI", uri):
            version = client.create_model_version(
                REGISTERED, f"models:/{model}", run, tags, None, words, model_id=model
            )
        names = [{"name": REGISTERED, "version": str(version.version)}]
        client.set_logged_model_tags(model, {"mlflow.modelVersions": json.dumps(names)})
        return version


def _log_model(client: Any, experiment: str, run: str, card: Path, told: Card) -> str:
    """Return the id of a model of MLflow's, with its figures and files, as the output of a run."""
    from mlflow.entities import LoggedModelOutput, Metric, Param

    params = _params(told)
    words = {"mlflow.note.content": _description(told)}
    model = client.create_logged_model(experiment, told.model, run, words, params).model_id
    now = int(1000 * time.time())
    client.log_batch(
        run,
        metrics=[Metric(name, v, now, 0, model_id=model) for name, v in _metrics(told).items()],
        params=[Param(name, value) for name, value in params.items()],
    )
    client.log_outputs(run, [LoggedModelOutput(model, 0)])
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "model"
        _write_model(card, told, files)
        client.log_model_artifacts(model, str(files))
    client.finalize_logged_model(model, "READY")
    return str(model)


@contextlib.contextmanager
def _run(client: Any, experiment: str, card: Card, digest: str) -> Iterator[str]:
    """Give a registration a run of its own, which no search by a study's digest finds."""
    own = {
        "role": "promotion",
        "study": card.study,
        "protocol": card.split,
        "model": card.model,
        "data_digest": card.data,
        "card_sha256": digest,
        "model_sha256": card.sha256,
        "mlflow.note.content": _description(card),
    }
    name = f"promoted {card.model} {card.split}"
    run = client.create_run(experiment, run_name=name, tags=own | source_tags()).info.run_id
    try:
        yield run
    except BaseException:
        with contextlib.suppress(Exception):  # the store may be what failed
            client.set_terminated(run, "FAILED")
        raise
    client.set_terminated(run, "FINISHED")


def _version_tags(card: Card, digest: str) -> dict[str, str]:
    """Return the tags of a version: what people look for, `promote` compares and `find` checks.

    MLflow's pages show them all in each row of their table, so they are few.
    """
    figure = card.trust.figures[card.metric]
    return {
        "reference": card.reference,
        card.trust.title.replace(" ", "_"): (
            f"{_metric(card.metric)} {number(figure.value)} {_ends(figure)}"
        ),
        "metric": card.metric,
        "inner_score": repr(card.inner_score),
        "data": card.data,
        "card_sha256": digest,
    }


def _description(card: Card) -> str:
    """Return a card in words, the honest figure first, as MLflow's pages show it."""
    features = card.features or {}
    made = " **It learned from voices made by code: this says nothing about people.**"
    changes = f" Changed for this run: {plain('; '.join(card.changes))}." if card.changes else ""
    figure = card.trust.figures[card.metric]
    paragraphs = [
        # MLflow's table of versions shows the first ten letters of it.
        f"{_metric(card.metric)} {number(figure.value)} {_ends(figure)} on "
        f"{plain(card.trust.title)}: {plain(card.title)} of the study {code(card.study)}, which "
        f"asks: {plain(card.question)}{changes}{made if card.generated else ''}",
        _trust(card),
        *(_measured(measured, card) for measured in _honest_first(card)[1:]),
        f"It learned from {plain(listed(card.corpora))}, tells apart "
        f"{plain(listed(card.emotions))}, and takes the features {code(features.get('name'))}.",
    ]
    return "\n\n".join(paragraphs)


def _honest_first(card: Card) -> list[Measured]:
    return [card.trust, *(measured for measured in card.measured if measured is not card.trust)]


def _trust(card: Card) -> str:
    """Return what to expect of a voice that the model has never heard, as far as it is known."""
    doubt = (
        ""
        if card.trust.unseen_speakers
        else "How often it is right on speakers it has never heard was not measured; expect less. "
    )
    emotions = counted(len(card.emotions), "emotion")
    guess = f"Guessing among {emotions} gives UAR {number(1 / len(card.emotions))}."
    return f"{doubt}{_measured(card.trust, card)} {guess}"


def _measured(measured: Measured, card: Card) -> str:
    """Return a protocol's figures with their intervals, and what they are of."""
    figures = ", ".join(
        f"{_metric(name)} **{number(figure.value)}** {_ends(figure)}"
        for name, figure in measured.figures.items()
    )
    sides = f"{counted(measured.clips, 'test clip')} of {counted(measured.speakers, 'speaker')}"
    kin = "" if measured.protocol == card.split else "the same kind of model, learned anew; "
    return (
        f"On **{plain(measured.title)}** ({kin}{sides}): {figures}; "
        f"95 % intervals over {measured.over}."
    )


def _ends(figure: Figure) -> str:
    """Return a measured figure's interval."""
    return span(figure.low, figure.high)


def _params(card: Card) -> dict[str, str]:
    features = card.features or {}
    return {
        "study": card.study,
        "protocol": card.split,
        "model": card.model,
        "features": str(features.get("name")),
        "emotions": ", ".join(card.emotions),
    }


def _metrics(card: Card) -> dict[str, float]:
    """Return the inner score and each measured figure, the protocol in its name."""
    figures = {
        f"{measured.protocol}_{name}{end}": value
        for measured in _honest_first(card)
        for name, figure in measured.figures.items()
        for end, value in (("", figure.value), ("_low", figure.low), ("_high", figure.high))
    }
    inner = {f"inner_{card.metric}": card.inner_score, "inner_std": card.inner_std}
    return figures | inner


def _write_model(card: Path, told: Card, folder: Path) -> None:
    """Write what MLflow's server loads: card, model, the code that reads them, its requirements.

    The package goes along because no index of packages need have it, and because a version is to
    answer by the code that made it. Requirements are given, for to find them MLflow would load the
    model in another process; none of it is pickled.
    """
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, Schema

    shares = [ColSpec("double", f"p_{emotion}") for emotion in told.emotions]
    with tempfile.TemporaryDirectory() as staged:
        copy = Path(staged) / "card.json"
        shutil.copyfile(card, copy)
        save_model(
            folder,
            python_model=PACKAGE / "serving" / "pyfunc.py",
            artifacts={"card": str(copy), "model": str(card.with_name(told.file))},
            code_paths=[str(PACKAGE)],
            signature=ModelSignature(
                Schema([ColSpec("binary", "audio")]),
                Schema([ColSpec("string", "emotion"), *shares, ColSpec("double", "duration_s")]),
            ),
            input_example=pd.DataFrame({"audio": [_tone()]}),
            pip_requirements=_requirements(told),
        )


def _requirements(card: Card) -> list[str]:
    """Return the libraries that a model is served with, in the versions that are installed here."""
    deep = DEEP_LIBRARIES if "torch" in card.versions else ()
    hearing = dict((card.features or {}).get("versions", {}))  # of an extra that makes the features
    return [
        f"{found.metadata['Name']}=={found.version.partition('+')[0]}"
        for name in dict.fromkeys((*LIBRARIES, *deep, *hearing))
        for found in distributions(name=name)
    ]


def _tone() -> bytes:
    """Return a quarter of a second of a tone as a .wav file: a request to try a server with."""
    time_s = np.arange(2000) / 8000
    samples = (8000 * np.sin(2 * np.pi * 220 * time_s)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(samples.tobytes())
    return file.getvalue()
