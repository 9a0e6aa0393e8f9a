"""What MLflow shows and stores of a registered model: description, tags, metrics and files."""

from __future__ import annotations

import tempfile
from importlib.metadata import distributions
from pathlib import Path

import numpy as np

from benchmark.corpora import synthetic
from benchmark.engine.files import write_text
from benchmark.evaluation.metrics import METRICS
from benchmark.report.markdown import code, counted, listed, number, plain, span, title
from benchmark.tracking.cards import Card, ProtocolScores, Score

MODEL_DESCRIPTION = """\
Speech emotion recognition: the input is a recording, the output is an emotion and the probability \
of each emotion. Each version states its training corpora and its speaker-independent scores. The \
alias **champion** is the version that is served by default.

    python -m benchmark predict call.wav
    python -m benchmark serve
    mlflow models serve -m models:/speech-emotion@champion --env-manager local

The last command serves recordings in base64:

    echo '{"dataframe_split": {"columns": ["audio"], "data": [["'$(base64 -w0 call.wav)'"]]}}' |
      curl http://127.0.0.1:5000/invocations -H 'Content-Type: application/json' -d @-
"""

CARD = "card.json"
"""Name of the card's file in a version."""

PACKAGE = Path(__file__).parent.parent

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
"""Requirements of a served model, pinned to the versions installed where it is promoted."""

DEEP_LIBRARIES = ("torch", "skorch", "safetensors")


def metric_title(name: str) -> str:
    """Return the title of a metric; an unknown name is returned as it is."""
    return METRICS[name].title if name in METRICS else name


def utility_title(name: str) -> str:
    """Return the title of a metric as CV scores count it: negated if smaller values are better."""
    return METRICS[name].utility_title if name in METRICS else name


def version_tags(card: Card, digest: str) -> dict[str, str]:
    """Return the tags of a version: its score, and what `promote` compares and `find` checks.

    They are few, because MLflow's table of versions shows all of them in each row.
    """
    score = card.trust.scores[card.metric]
    return {
        "reference": card.reference,
        card.trust.title.replace(" ", "_"): f"{metric_title(card.metric)} {_with_interval(score)}",
        "metric": card.metric,
        "cv_score": repr(card.cv_score),
        "data": card.data,
        "card_sha256": digest,
    }


def version_description(card: Card) -> str:
    """Return the card as text for MLflow's pages, the score to trust first."""
    score = card.trust.scores[card.metric]
    changes = f" Changes for this run: {plain('; '.join(card.changes))}." if card.changes else ""
    generated = (
        " **Trained on generated speech: the scores do not apply to people.**"
        if card.generated
        else ""
    )
    features = code(card.features.name) if card.features else "the user's own"
    paragraphs = [
        # MLflow's table of versions shows the first ten characters.
        f"{metric_title(card.metric)} {_with_interval(score)}, {plain(card.trust.title)}: "
        f"{plain(card.title)} of the study {code(card.study)}. Its question: "
        f"{plain(card.question)}{changes}{generated}",
        _expected(card),
        *(_scores(measured, card) for measured in _trusted_first(card)[1:]),
        f"Training corpora: {plain(listed(card.corpora))}. Emotions: "
        f"{plain(listed(card.emotions))}. Features: {features}.",
        plain(card.calibrated),
        plain(card.costs),
    ]
    return "\n\n".join(paragraphs)


def logged_params(card: Card) -> dict[str, str]:
    """Return the parameters of the logged model."""
    return {
        "study": card.study,
        "split": card.split,
        "model": card.model,
        "features": str(card.features and card.features.name),
        "emotions": ", ".join(card.emotions),
    }


def logged_metrics(card: Card) -> dict[str, float]:
    """Return CV score, test scores, which are named after their protocols, and the cost."""
    scores = {
        f"{measured.protocol}_{name}{end}": value
        for measured in _trusted_first(card)
        for name, score in measured.scores.items()
        for end, value in (("", score.value), ("_low", score.low), ("_high", score.high))
        if value is not None
    }
    metric = METRICS.get(card.metric)
    name = metric.utility_name if metric else card.metric
    values = scores | {f"cv_{name}": card.cv_score, "cv_std": card.cv_std}
    if card.cost is None:
        return values
    cost = {"seconds_per_clip": card.cost.seconds, "seconds_per_second": card.cost.per_second}
    return values | cost


def write_model(path: Path, card: Card, folder: Path) -> None:
    """Write what MLflow's server loads: card, model, this package and its requirements.

    `path` is the study's card, which is beside the model's files.

    The package is included because it may be in no package index, and because a version should be
    served by the code that made it. The requirements are given, because MLflow would load the model
    in another process to infer them; nothing is pickled.
    """
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, Schema

    numbers = [*(f"p_{emotion}" for emotion in card.emotions), "duration_s"]
    outputs = Schema(
        [
            ColSpec("string", "emotion"),
            *(ColSpec("double", one) for one in numbers),
            ColSpec("double", "distance", required=False),
            ColSpec("string", "familiarity"),
        ]
    )
    tone = synthetic.wav(0.25 * np.sin(2 * np.pi * 220 * np.arange(2000) / 8000), 8000)
    files = {"model": str(path.with_name(card.file))}
    if card.calibration is not None:
        files["calibrator"] = str(path.with_name(card.calibration.file))
    with tempfile.TemporaryDirectory() as staged:
        copy = Path(staged) / CARD
        write_text(copy, card.text())
        save_model(
            folder,
            python_model=PACKAGE / "serving" / "pyfunc.py",
            artifacts={"card": str(copy), **files},
            code_paths=[str(PACKAGE)],
            signature=ModelSignature(Schema([ColSpec("binary", "audio")]), outputs),
            input_example=pd.DataFrame({"audio": [tone]}),
            pip_requirements=_requirements(card),
        )


def _trusted_first(card: Card) -> list[ProtocolScores]:
    return [card.trust, *(measured for measured in card.measured if measured is not card.trust)]


def _expected(card: Card) -> str:
    """Return the scores to expect for a new speaker, and the score of guessing."""
    unknown = (
        ""
        if card.trust.speaker_independent
        else "Speaker-independent scores were not measured; expect lower ones. "
    )
    emotions = counted(len(card.emotions), "emotion")
    chance = f"Guessing among {emotions} has UAR {number(1 / len(card.emotions))}."
    return f"{unknown}{_scores(card.trust, card)} {chance}"


def _scores(measured: ProtocolScores, card: Card) -> str:
    """Return the scores of a protocol with their intervals and sample sizes."""
    scores = ", ".join(
        f"{metric_title(name)} **{number(score.value)}**{_limits(score)}"
        for name, score in measured.scores.items()
    )
    sizes = f"{counted(measured.clips, 'test clip')} of {counted(measured.speakers, 'speaker')}"
    refitted = "" if measured.protocol == card.protocol else "the same model fitted again; "
    fixed = listed([title(name) for name in measured.fixed])
    held = f", speakers of {fixed} held fixed" if fixed else ""
    several = any(score.low is not None for score in measured.scores.values())
    heard = listed(
        [f"{code(name)} {_with_interval(one)}" for name, one in measured.conditions.items()]
    )
    under = f" UAR on the same clips under simulated conditions: {heard}." if heard else ""
    intervals = f"95 % confidence intervals over speakers{held}" if several else "too few speakers"
    without = "" if several else " for confidence intervals"
    return (
        f"**{plain(measured.title)}** ({refitted}{sizes}): {scores}; {intervals}{without}.{under}"
    )


def _with_interval(score: Score) -> str:
    return f"{number(score.value)}{_limits(score)}"


def _limits(score: Score) -> str:
    """Return the interval after a space; empty without one."""
    if score.low is None or score.high is None:
        return ""
    return f" {span(score.low, score.high)}"


def _requirements(card: Card) -> list[str]:
    """Return the required libraries, pinned to the installed versions."""
    deep = DEEP_LIBRARIES if "torch" in card.versions else ()
    extractors = card.features.versions if card.features else {}
    return [
        f"{found.metadata['Name']}=={found.version.partition('+')[0]}"
        for name in dict.fromkeys((*LIBRARIES, *deep, *extractors, *card.plugins))
        for found in distributions(name=name)
    ]
