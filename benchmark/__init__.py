"""A benchmark of speech emotion recognition: which model really works, and by how much.

The functions below are the public API, for scripts and notebooks; everything else is private to its
folder and may change. The command line is ``python -m benchmark --help``.

>>> import pandas as pd
>>> predictions = pd.DataFrame(
...     {
...         "clip": [f"{name}{take}" for name in "abcdef" for take in "12"],
...         "speaker": [name for name in "abcdef" for _ in range(2)],
...         "emotion": ["sad", "happy"] * 6,
...         "prediction": ["sad", "happy"] * 5 + ["sad", "sad"],
...     }
... )
>>> score = uar(predictions)
>>> f"{score.value:.3f} [{score.interval.low:.2f}, {score.interval.high:.2f}]"
'0.917 [0.40, 0.99]'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.engine.environment import __version__
from benchmark.errors import plain_errors

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.evaluation.intervals import Score
    from benchmark.evaluation.results import Result
    from benchmark.evaluation.scoring import Scored
    from benchmark.evaluation.significance import ClipTest
    from benchmark.study import Study

__all__ = [
    "__version__",
    "compare",
    "extract_features",
    "leaderboard",
    "predict",
    "read_result",
    "read_study",
    "run_study",
    "score",
    "uar",
]


@plain_errors()
def read_study(study: str | Path, changes: Sequence[str] = ()) -> Study:
    """Return a validated study.

    Parameters
    ----------
    study : str or Path
        A study file, or the name of one in studies/.
    changes : sequence of str
        Changes such as ``search.trials=10``.

    Raises
    ------
    BenchmarkError
        If there is no such study, or it has a mistake.

    Examples
    --------
    >>> read_study("quickstart", ["search.trials=3"]).search.trials
    3
    """
    from benchmark.project import find_study
    from benchmark.validation import read_checked

    return read_checked(find_study(str(study)), tuple(changes))


@plain_errors()
def run_study(
    study: str | Path,
    *,
    changes: Sequence[str] = (),
    corpora: str | Path | None = None,
    given: Mapping[str, str | Path] | None = None,
    project: str | Path = ".",
    workers: int | None = None,
) -> Result:
    """Run a study as the command ``run-study`` does, and return its result.

    In a script, call it below ``if __name__ == "__main__":``, since it starts processes.

    Parameters
    ----------
    study, changes
        As `read_study` takes them.
    corpora : str, Path or None
        A folder with a subfolder for each corpus.
    given : mapping of str to path, or None
        Folders of single corpora; ``{"csv": "table.csv"}`` for a table of your own.
    project : str or Path
        Folder for features_cache/, reports/, optuna.db and mlflow.db.
    workers : int or None
        Processes; by default all cores. No result depends on it.

    Returns
    -------
    Result
        Its DataFrames ``predictions`` and ``trials``, its ``winners``, and more.
    """
    from benchmark.console import Console
    from benchmark.engine.processes import available_cores
    from benchmark.pipeline import run_study as run
    from benchmark.project import Job, Project, Sources
    from benchmark.study import effective

    folder = Project(Path(project))
    sources = Sources(
        cache=folder.features_cache,
        root=None if corpora is None else Path(corpora),
        given={name: Path(path) for name, path in (given or {}).items()},
    )
    job = Job(folder, sources, effective(changes), workers or available_cores())
    return run(read_study(study, changes), job, Console(quiet=True))


@plain_errors()
def read_result(study: str, project: str | Path = ".") -> Result:
    """Return the stored result of a study.

    Parameters
    ----------
    study : str
        Name of the study; of a changed run, with ``@`` and its digest.
    project : str or Path
        Folder with reports/results/.

    Raises
    ------
    BenchmarkError
        If there is no such result, or it is damaged.
    """
    from benchmark.evaluation.scoring import finished_study
    from benchmark.project import Project

    return finished_study(study, Project(Path(project)).results)


def leaderboard(result: Result) -> pd.DataFrame:
    """Return the scores of every model under every protocol, best model first.

    Returns
    -------
    DataFrame
        One row per model and protocol: model, protocol, selected (whether it has the best CV
        score), and for each metric its value (the mean over corpora) and the limits of its 95 %
        confidence interval, None where speakers are too few for one.
    """
    import pandas as pd

    from benchmark.evaluation.leaderboard import leaderboard as rank

    board = rank(result)
    rows = []
    for standing in board.standings:
        for protocol, evaluation in standing.evaluations.items():
            row: dict[str, object] = {
                "model": standing.model,
                "protocol": protocol,
                "selected": board.selected[protocol].model == standing.model,
            }
            for name, score in evaluation.scores.items():
                low, high = score.interval or (None, None)
                row |= {name: score.value, f"{name}_low": low, f"{name}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


def uar(predictions: pd.DataFrame, *, metric: str = "uar", seed: int = 0) -> Score:
    """Return the unweighted average recall of predictions, with its 95 % confidence interval.

    Of several corpora it is the mean over corpora. The interval resamples speakers within corpora;
    those of corpora with too few are held fixed (``score.fixed``), and with too few in all there is
    none; see reports/reading.md.

    Parameters
    ----------
    predictions : DataFrame
        One row per clip: clip, speaker, emotion, and either prediction or the probability
        p_<emotion> of each emotion.
    metric : str
        Another metric, by its name in study files.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    Score
        With value and interval (low, high), which may be None.
    """
    from benchmark.evaluation.intervals import evaluate
    from benchmark.evaluation.predictions import check_predictions

    checked = check_predictions(predictions)
    return evaluate(checked.rows, checked.emotions, seed).scores[metric]


def score(predictions: pd.DataFrame, *, seed: int = 0) -> Scored:
    """Return all figures of predictions, as the command ``score`` has them on its page.

    Parameters
    ----------
    predictions : DataFrame
        As `uar` takes them; also corpus, gender, statement, and any column to divide the clips by.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    Scored
        With ``evaluation`` (scores, by corpus, by speaker, confusion), ``divisions`` (subgroups),
        ``calibration``, and what is doubtful in the table.

    Raises
    ------
    BenchmarkError
        If a column is missing or a row is wrong.

    Examples
    --------
    >>> import pandas as pd
    >>> one = pd.DataFrame({"clip": ["a", "b"], "speaker": ["1", "01"], "emotion": ["sad", "joy"]})
    >>> scored = score(one.assign(prediction="sad"))
    >>> scored
    <Scored: 2 clips, 2 speakers: UAR 0.500, accuracy 0.500, macro F1 0.333, weighted F1 0.333>
    >>> scored.evaluation.scores["uar"].value, scored.alike
    (0.5, (('1', '01'),))
    """
    from benchmark.evaluation.predictions import check_predictions
    from benchmark.evaluation.scoring import score_predictions

    return score_predictions(check_predictions(predictions), seed)


def compare(
    first: pd.DataFrame, second: pd.DataFrame, *, metric: str = "uar", seed: int = 0
) -> ClipTest:
    """Return the difference of two models on the same clips, with a permutation test.

    Parameters
    ----------
    first, second : DataFrame
        As `uar` takes them, with the same clips.
    metric : str
        The metric to compare, by its name in study files.
    seed : int
        Seed of the resamples and permutations.

    Returns
    -------
    ClipTest
        With difference (first minus second: value, interval) and the two-sided p, None with fewer
        than six speakers.

    Examples
    --------
    >>> import pandas as pd
    >>> one = pd.DataFrame({"clip": ["a", "b"], "speaker": ["s", "t"], "emotion": ["sad", "happy"]})
    >>> test = compare(one.assign(prediction=one["emotion"]), one.assign(prediction="sad"))
    >>> test.difference.value, test.p
    (0.5, None)
    """
    from benchmark.evaluation.predictions import check_predictions, in_common
    from benchmark.evaluation.significance import compare_on_clips

    one, other, emotions = in_common(check_predictions(first), check_predictions(second))
    return compare_on_clips(one, other, emotions, metric, (seed, seed + 1))


@plain_errors()
def extract_features(path: str | Path, features: str = "functionals") -> pd.Series[float]:
    """Return the features of a recording, by name.

    Parameters
    ----------
    path : str or Path
        An audio file.
    features : str
        A feature set, or several joined by ``+``; ``python -m benchmark list features``.

    Raises
    ------
    BenchmarkError
        If the feature set is unknown, or has an own table, which no recording is computed for.
    UnusableError
        If the file is not a usable recording.
    """
    import pandas as pd

    from benchmark.features import feature_set
    from benchmark.features.audio import decode
    from benchmark.features.extract import features_of

    entry = feature_set(features)
    recording = decode(Path(path).read_bytes(), entry.sample_rate_hz)
    row = features_of(recording.samples, entry)
    return pd.Series(row, index=list(entry.columns), name=Path(path).name)


@plain_errors()
def predict(
    paths: Sequence[str | Path], model: str | Path = "champion", project: str | Path = "."
) -> pd.DataFrame:
    """Return the predicted emotion of recordings, and the probability of each emotion.

    Parameters
    ----------
    paths : sequence of str or Path
        Audio files.
    model : str or Path
        Alias or version of the registered model, or a model card,
        features_cache/STUDY/SPLIT/models/MODEL.json.
    project : str or Path
        Folder of the project.

    Returns
    -------
    DataFrame
        One row per file: path, prediction, p_<emotion> for each emotion; distance from the training
        recordings (1 is the limit) and familiarity in words; reason, empty unless the file can't be
        used.
    """
    import pandas as pd

    from benchmark.features.audio import UnusableError
    from benchmark.serving.predictor import Predictor
    from benchmark.tracking.model_registry import resolve

    predictor = Predictor.load(resolve(str(model), Path(project)))
    rows = []
    for path in paths:
        row: dict[str, object] = {"path": str(path), "prediction": "", "reason": ""}
        try:
            answer = predictor.predict(Path(path).read_bytes())
        except UnusableError as error:
            rows.append(row | {"reason": str(error)})
            continue
        except OSError as error:
            rows.append(row | {"reason": f"can't be read ({error.strerror})"})
            continue
        probabilities = {f"p_{name}": value for name, value in answer.probabilities.items()}
        row |= {"prediction": answer.emotion, **probabilities}
        rows.append(row | {"distance": answer.distance, "familiarity": answer.familiarity})
    return pd.DataFrame(rows)
