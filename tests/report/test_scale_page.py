"""reports/scale.md and its figures are what this code makes of the stored measurements."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import pytest

from tests.performance.scale import MEASUREMENTS, Measurements
from tests.performance.scale_page import figures, page

REPORTS = MEASUREMENTS.parent
MEASURED = Measurements(MEASUREMENTS).read()


def test_the_published_page_comes_from_the_stored_measurements() -> None:
    assert page(MEASURED) == (REPORTS / "scale.md").read_text(encoding="utf-8")


STORED = {path.name: path.read_bytes() for path in (REPORTS / "figures").glob("scale_*.svg")}


@pytest.mark.skipif(
    any(f"Matplotlib v{mpl.__version__}".encode() not in svg for svg in STORED.values()),
    reason="drawn with another version of matplotlib",
)
def test_the_published_figures_come_from_the_stored_measurements() -> None:
    assert figures(MEASURED) == STORED


def test_the_same_measurements_draw_the_same_bytes() -> None:
    assert figures(MEASURED) == figures(MEASURED)


def test_an_interrupted_measurement_costs_itself_alone(tmp_path: Path) -> None:
    measurements = Measurements(tmp_path / "scale.jsonl")
    measurements.add("clips", 10, seconds=1.0)
    measurements.add("clips", 10, seconds=2.0)
    with measurements.file.open("a") as file:
        file.write(json.dumps({"stage": "clips", "size": 20})[:-5])
    measurements.tidy()
    assert [one["seconds"] for one in measurements.read()] == [2.0]
    assert measurements.has("clips", 10)
    assert not measurements.has("clips", 20)
