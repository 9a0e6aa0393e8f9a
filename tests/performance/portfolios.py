"""Make the portfolios of stored searches: ``python -m tests.performance.portfolios``.

It writes benchmark/search/portfolios.json. A candidate is the best setting of a stored search, with
two digits. In every search its CV score is estimated from the three nearest trials; its loss is the
difference to the best trial of that search. A portfolio grows by the candidate that lowers the loss
of its best member most, the mean over studies: to two settings, and to four while the gain is 0.001
or more. It is chosen once from all studies, and once without each of them, for that study. No test
score is read, and no search on generated speech.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.corpora import CORPORA
from benchmark.engine.files import write_text
from benchmark.search.portfolios import FILE, Setting
from benchmark.study import BASELINE, WEIGHT

RESULTS = Path(__file__).parent.parent.parent / "reports/results"
NEAREST = 3
FEWEST, MOST = 2, 4
LEAST_GAIN = 0.001
FEWEST_TRIALS = 3


@dataclass(frozen=True)
class Searched:
    """A stored search: its study, and the settings and CV scores of its complete trials."""

    study: str
    settings: tuple[Setting, ...]
    scores: tuple[float, ...]

    @property
    def best(self) -> Setting:
        return self.settings[int(np.argmax(self.scores))]

    def loss(self, setting: Setting, scales: Mapping[str, float]) -> float:
        """How much lower than the best score a setting's would be, by its nearest trials."""
        distances = [distance(setting, other, scales) for other in self.settings]
        nearest = np.argsort(distances, kind="stable")[:NEAREST]
        weights = 1 / (0.02 + np.asarray(distances)[nearest])
        return max(self.scores) - float(
            np.average(np.asarray(self.scores)[nearest], weights=weights)
        )


def distance(one: Setting, other: Setting, scales: Mapping[str, float]) -> float:
    """The mean over parameters: numbers by their orders of magnitude, choices 0 or 1."""
    parts = []
    for name in one.keys() & other.keys():
        a, b = one[name], other[name]
        scale = scales.get(name)
        numbers = scale and all(isinstance(v, int | float) for v in (a, b))
        parts.append(abs(size(a) - size(b)) / scale if numbers and scale else float(a != b))
    return float(np.mean(parts)) if parts else 1.0


def size(value: float) -> float:
    return math.log10(max(float(value), 1e-6))


def searches(model: str) -> list[Searched]:
    """The stored searches of a model on recordings, of parameters that the study searched."""
    found = []
    for path in sorted(RESULTS.glob("*/trials.csv")):
        settings = json.loads((path.parent / "study.json").read_text())["settings"]
        space = settings["models"].get(model, {}).get("space", ())
        searched = [key for key in space if not key.startswith(WEIGHT)]
        if not searched or all(CORPORA[name].generated for name in settings["corpora"]):
            continue
        table = pd.read_csv(path).fillna({"part": ""})
        table = table[(table["model"] == model) & (table["state"] == "complete")]
        splits = [name for name in ("protocol", "part") if name in table]
        for _, rows in table.groupby(splits, sort=False):
            params = [json.loads(text) for text in rows["params"]]
            whole = [set(searched) <= set(one) for one in params]
            settings = tuple(
                {key: rounded(one[key]) for key in sorted(searched)}
                for one, all_there in zip(params, whole, strict=True)
                if all_there
            )
            scores = tuple(rows["score"][whole].tolist())
            if len(settings) >= FEWEST_TRIALS:
                found.append(Searched(path.parent.name, settings, scores))
    return found


def rounded(value: Any) -> Any:
    """A number with two digits; anything else as it is."""
    return float(f"{value:.2g}") if isinstance(value, float) else value


def chosen(stored: Sequence[Searched]) -> list[Setting]:
    """The portfolio of some searches, the best setting first."""
    spread: dict[str, list[float]] = defaultdict(list)
    for search in stored:
        for setting in search.settings:
            for name, value in setting.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    spread[name].append(size(value))
    scales = {name: max(np.ptp(values), 1e-9) for name, values in spread.items()}
    unique = {json.dumps(search.best, sort_keys=True): search.best for search in stored}
    candidates = [unique[key] for key in sorted(unique)]
    losses = np.array([[search.loss(one, scales) for search in stored] for one in candidates])
    studies = sorted({search.study for search in stored})
    weights = np.array([1 / sum(o.study == s.study for o in stored) for s in stored]) / len(studies)
    picked: list[int] = []
    so_far = np.full(len(stored), np.inf)
    while len(picked) < MOST:
        after = np.minimum(losses, so_far) @ weights
        best = int(np.argmin(np.round(after, 9)))
        if len(picked) >= FEWEST and so_far @ weights - after[best] < LEAST_GAIN:
            break
        picked.append(best)
        so_far = np.minimum(so_far, losses[best])
    return [candidates[index] for index in picked]


def main() -> None:
    """Write the file."""
    stored = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*/study.json"))]
    models = sorted({name for one in stored for name in one["settings"]["models"]} - {BASELINE})
    table: dict[str, Any] = {}
    for model in models:
        known = searches(model)
        if not known:
            continue
        without = {
            study: chosen([one for one in known if one.study != study])
            for study in sorted({one.study for one in known})
            if any(one.study != study for one in known)
        }
        alone = {one.study for one in known} - set(without)
        table[model] = {
            "settings": chosen(known),
            "without": without | {study: [] for study in sorted(alone)},
        }
    write_text(FILE, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
