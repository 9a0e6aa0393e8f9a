"""The reference that is written by hand names all that a run writes."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from benchmark.evaluation.metrics import METRICS
from benchmark.models import MODELS
from tests.docs.pages import DOCS
from tests.support.bench import Bench
from tests.support.tracking import client_of

RESULTS = (DOCS / "reference/results.md").read_text(encoding="utf-8")
MLFLOW = (DOCS / "reference/mlflow.md").read_text(encoding="utf-8")


def named(page: str) -> set[str]:
    """All that a page shows as code."""
    return set(re.findall(r"`([^`\n]+)`", page))


@pytest.mark.parametrize(
    "file", ["predictions.parquet", "out_of_fold.parquet", "trials.csv", "clips.csv"]
)
def test_each_column_of_a_stored_table_is_named(finished: Bench, file: str) -> None:
    path = finished.project / "reports/results/small" / file
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    columns = {re.sub(r"^p_.*", "p_EMOTION", name) for name in table.columns}
    assert {re.sub(r"^fold_\d+", "fold_0", name) for name in columns} <= named(RESULTS)


def test_each_file_and_key_of_a_result_is_named(finished: Bench) -> None:
    folder = finished.project / "reports/results/small"
    assert {path.name for path in folder.iterdir()} <= named(RESULTS)
    assert set(json.loads((folder / "study.json").read_text())) <= named(RESULTS)


def test_each_name_in_mlflow_is_explained(finished: Bench) -> None:
    client = client_of(f"sqlite:///{finished.project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id], max_results=500)
    metrics = {general(name) for run in runs for name in run.data.metrics}
    tags = {name for run in runs for name in run.data.tags if not name.startswith("mlflow.")}
    parameters = {general(name) for run in runs for name in run.data.params}
    assert metrics | tags | parameters <= named(MLFLOW)


def general(name: str) -> str:
    """The name of a metric or a parameter as the page writes it."""
    name = re.sub(rf"(?:^|(?<=_))({'|'.join(METRICS)})(?=$|_low|_high|/)", "METRIC", name)
    name = re.sub(rf"(?<=METRIC/)({'|'.join(MODELS)}|ensemble)$", "MODEL", name)
    name = re.sub(r"^test_(?!METRIC).+_METRIC", "test_CORPUS_METRIC", name)
    name = re.sub(r"^\w+\.(?=members$)", "MODEL.", name)
    name = re.sub(r"^\w+\.log10_\w+$", "MODEL.log10_PARAMETER", name)
    name = re.sub(r"^(?!MODEL)\w+\..+$", "MODEL.PARAMETER", name)
    return re.sub(r"^fold_\d+$", "fold_0", name)
