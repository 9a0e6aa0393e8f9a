"""What one would write without this project: Optuna, cross_val_score and one MLflow run a trial.

    python plain_script.py STUDY.toml TABLES_FOLDER OUTPUT.json [N_JOBS]

It reads the tables that `benchmark extract` wrote, searches the same spaces on the same folds by
the same metric with as many trials, and writes the best inner score of each model and protocol.
"""

import json
import sys
import tomllib
import warnings
from pathlib import Path

import mlflow
import numpy as np
import optuna
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODELS = {
    "logistic_regression": lambda: make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=1000)
    ),
    "random_forest": lambda: make_pipeline(RandomForestClassifier(random_state=0)),
    "mlp": lambda: make_pipeline(StandardScaler(), MLPClassifier(random_state=0)),
}
IDENTITY = ["clip", "corpus", "speaker", "gender", "emotion", "augmentation"]


def suggest(trial: optuna.Trial, name: str, entry: object) -> object:
    if isinstance(entry, list):
        return json.loads(trial.suggest_categorical(name, [json.dumps(v) for v in entry]))
    if isinstance(entry, dict) and all(isinstance(entry[end], int) for end in ("low", "high")):
        step = entry.get("step", 1)
        return trial.suggest_int(name, entry["low"], entry["high"], step=step)
    if isinstance(entry, dict):
        return trial.suggest_float(name, entry["low"], entry["high"], log=entry.get("log", False))
    return entry


def main(study_file: str, tables: str, output: str, n_jobs: str = "1") -> None:
    study = tomllib.loads(Path(study_file).read_text())
    best: dict[str, float] = {}
    for protocol in study["split"]["protocols"]:
        folder = Path(tables) / protocol
        train = pd.read_csv(folder / "train.csv", keep_default_na=False)
        X = train.drop(columns=IDENTITY).to_numpy()
        y = train["emotion"].to_numpy()
        fold = np.load(folder / "arrays/fold.npy")
        original = (train["augmentation"] == "").to_numpy()
        folds = [
            (np.flatnonzero(fold != k), np.flatnonzero((fold == k) & original))
            for k in range(fold.max() + 1)
        ]
        for model, space in study["models"].items():

            def objective(trial: optuna.Trial) -> float:
                params = {name: suggest(trial, name, entry) for name, entry in space.items()}
                pipeline = MODELS[model]()
                pipeline[-1].set_params(**params)
                with mlflow.start_run(nested=True):
                    scores = cross_val_score(
                        pipeline, X, y, cv=folds, scoring="balanced_accuracy", n_jobs=int(n_jobs)
                    )
                    mlflow.log_params(params)
                    mlflow.log_metrics({f"fold_{k}": score for k, score in enumerate(scores)})
                    mlflow.log_metric("uar", scores.mean())
                return float(scores.mean())

            search = optuna.create_study(
                direction="maximize", sampler=optuna.samplers.TPESampler(seed=0)
            )
            with mlflow.start_run(run_name=f"{protocol} {model}"):
                search.optimize(objective, n_trials=study["search"]["trials"])
            best[f"{protocol} {model}"] = search.best_value
    Path(output).write_text(json.dumps(best))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    main(*sys.argv[1:])
