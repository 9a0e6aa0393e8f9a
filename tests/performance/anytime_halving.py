"""Successive halving: ``python anytime_halving.py TABLE.npz SECONDS OUT.json BEGAN SEED``.

scikit-learn's HalvingRandomSearchCV over five classifiers, with the folds of the table, again and
again with twice as many candidates until the time is over. BEGAN is the time at which
the process was started. It writes the seconds since then and the best CV score on all rows after
each round; nothing for a round that the end cuts. Then it writes the test UAR of the best one.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import HalvingRandomSearchCV, PredefinedSplit, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

SPACE = [
    {
        "model": [LinearDiscriminantAnalysis(solver="lsqr")],
        "model__shrinkage": [0.1, 0.3, 0.5, 0.7, 0.9],
    },
    {"model": [LogisticRegression(max_iter=1000)], "model__C": loguniform(1e-4, 1e2)},
    {"model": [SVC()], "model__C": loguniform(1e-1, 1e2)},
    {
        "model": [RandomForestClassifier(random_state=0)],
        "model__n_estimators": [100, 200, 300],
        "model__max_features": ["sqrt", "log2"],
    },
    {
        "model": [MLPClassifier(random_state=0, max_iter=100)],
        "model__hidden_layer_sizes": [(128,), (300,)],
        "model__alpha": loguniform(1e-5, 1e1),
    },
]


def main(table_file: str, seconds: str, output: str, began: str, seed: str) -> None:
    """Search until the time is over."""
    warnings.simplefilter("ignore")
    table, ends = np.load(table_file), float(began) + float(seconds)
    values, emotions, fold = table["values"], table["emotions"], table["fold"]
    corpora, weights = table["corpora"], table["weights"]
    folds = PredefinedSplit(fold)
    curve: list[tuple[float, float]] = []
    best, n_candidates, state, chosen = 0.0, 5, 1000 * int(seed), None
    while time.time() < ends:
        search = HalvingRandomSearchCV(
            Pipeline([("scale", StandardScaler()), ("model", SVC())]),
            SPACE, n_candidates=n_candidates, cv=folds, scoring="recall_macro", refit=False,
            random_state=state, n_jobs=2,
        )  # fmt: skip
        search.fit(values, emotions)
        model = search.estimator.set_params(**search.best_params_)
        predicted = cross_val_predict(model, values, emotions, cv=folds, n_jobs=2)
        score = sum(
            weights[corpus, k] * recall_score(emotions[part], predicted[part], average="macro")
            for corpus in np.unique(corpora)
            for k in np.unique(fold)
            if (part := (corpora == corpus) & (fold == k)).any()
        ) / len(np.unique(fold))  # fmt: skip
        if time.time() > ends:
            break
        if score > best:
            best, chosen = float(score), model
        curve.append((time.time() - float(began), best))
        n_candidates, state = 2 * n_candidates, state + 1
    test_uar = 0.0
    if chosen is not None:
        predicted = clone(chosen).fit(values, emotions).predict(table["test_values"])
        test_uar = recall_score(table["test_emotions"], predicted, average="macro")
    Path(output).write_text(json.dumps({"curve": curve, "test_uar": float(test_uar)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
