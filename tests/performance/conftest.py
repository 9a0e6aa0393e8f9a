"""What the measurements share."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def record(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a line whether or not pytest captures."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(line)  # noqa: T201 - the figures are what these files are for

    return say
