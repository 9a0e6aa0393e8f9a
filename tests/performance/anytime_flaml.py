"""FLAML on a table: ``python anytime_flaml.py TABLE.npz SECONDS OUT.json BEGAN SEED``.

It needs FLAML, and nothing of this package. The table has values, emotions, fold, corpora and
weights (corpora, folds). BEGAN is the time at which the process was started. It writes the seconds
since then, and the best CV score at each improvement, and the UAR on the test rows.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from flaml import AutoML
from sklearn.metrics import recall_score
from sklearn.model_selection import PredefinedSplit


def main(table_file: str, seconds: str, output: str, began: str, seed: str) -> None:
    """Search until the time is over."""
    table = np.load(table_file)
    values, fold, corpora, weights = (
        table[key] for key in ("values", "fold", "corpora", "weights")
    )
    names, emotions = np.unique(table["emotions"], return_inverse=True)
    rows = {row.tobytes(): number for number, row in enumerate(values)}

    def loss(X, y, estimator, *_, **__):
        """Return 1 minus the score of a fold: its UAR, weighted by corpus."""
        chosen = np.array([rows[np.asarray(row, np.float32).tobytes()] for row in np.asarray(X)])
        predicted, number = estimator.predict(X), fold[chosen[0]]
        uar = 0.0
        for corpus in np.unique(corpora[chosen]):
            part = corpora[chosen] == corpus
            recall = recall_score(emotions[chosen][part], predicted[part], average="macro")
            uar += weights[corpus, number] * recall
        return 1 - uar, {"uar": uar}

    log = Path(output).with_suffix(".log")
    searched_from = time.time()
    automl = AutoML()
    automl.fit(
        values, emotions, task="classification", metric=loss, eval_method="cv",
        split_type=PredefinedSplit(fold), time_budget=float(seconds) - (time.time() - float(began)),
        n_jobs=2, log_file_name=str(log), log_type="better", seed=int(seed), verbose=0,
    )  # fmt: skip
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    before_s = searched_from - float(began)
    curve = [
        (before_s + entry["wall_clock_time"], 1 - entry["validation_loss"])
        for entry in entries
        if "wall_clock_time" in entry
    ]
    predicted = names[automl.predict(table["test_values"])]
    test_uar = recall_score(table["test_emotions"], predicted, average="macro")
    Path(output).write_text(json.dumps({"curve": curve, "test_uar": float(test_uar)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
