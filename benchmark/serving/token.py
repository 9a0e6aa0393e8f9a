"""The token that requests must send if the service is exposed."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.errors import BenchmarkError


def read_token(file: Path | None) -> str | None:
    """Return the first line of a file, else the value of SER_TOKEN, else None.

    SER_TOKEN is removed from the environment, so that no process that decodes uploads has it.

    Raises
    ------
    BenchmarkError
        If the file can't be read, or its first line is empty.
    """
    from_environment = os.environ.pop("SER_TOKEN", "")
    if file is None:
        return from_environment or None
    try:
        token = file.expanduser().read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"--token-file {file}: can't be read ({error}).") from error
    if not token:
        raise BenchmarkError(f"--token-file {file}: the first line is empty; it must be the token.")
    return token
