"""Requests generated from the OpenAPI description: each response conforms to it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("multipart", reason="needs the extra `serve`")
pytest.importorskip("schemathesis", reason="needs the extra `dev`")

from benchmark.serving.limits import Limits
from benchmark.serving.pool import Pool
from benchmark.serving.rest.app import create_app
from benchmark.serving.rest.middleware import with_middleware
from benchmark.serving.server import listen, server
from tests.support.bench import Bench

LIMITS = Limits(upload_bytes=2**20, files=3)

# OpenAPI cannot describe a recording: most generated files are not recordings.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = [200, 207, 413, 415, 422]
"""

HOOKS = """
import schemathesis
from hypothesis import strategies as st

from benchmark.serving.example_clip import example_wav

whole = example_wav()
files = st.sampled_from([whole, whole[:5000], whole[:44]]) | st.binary(max_size=200)
schemathesis.openapi.media_type("audio/wav", files)
"""


@pytest.fixture(scope="module")
def address(finished: Bench) -> Iterator[str]:
    """Base URL of REST behind the middleware."""
    card = (
        finished.project
        / "features_cache/small/speaker-independent/models/logistic_regression.json"
    )
    pool = Pool(card, LIMITS)
    pool.start()
    listener = listen("127.0.0.1", 0)
    answering = server(with_middleware(create_app(pool, LIMITS), LIMITS))
    thread = threading.Thread(target=answering.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    answering.should_exit = True
    thread.join()
    pool.close()


def test_every_response_conforms_to_the_openapi_description(address: str, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    (tmp_path / "hooks.py").write_text(HOOKS)
    here = str(Path(__file__).parents[2])
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{address}/openapi.json",
            f"--max-examples={os.environ.get('SCHEMA_EXAMPLES', '50')}",
            "--generation-deterministic",
            "--suppress-health-check=all",
            "--no-color",
        ],
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": f"{tmp_path}:{here}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Tested: 6" in run.stdout
