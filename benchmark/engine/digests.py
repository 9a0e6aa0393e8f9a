"""Records that carry a digest of themselves, so that a changed one is never taken for the truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "digest"
"""Key of the digest, the last of a record."""


def with_digest(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record that JSON can hold, with its digest.

    Examples
    --------
    >>> sealed = with_digest({"score": 0.5})
    >>> without_digest(sealed)
    {'score': 0.5}
    >>> without_digest(sealed | {"score": 0.9})
    Traceback (most recent call last):
    ValueError: it was changed: its digest differs
    """
    return {**record, DIGEST: _digest(record)}


def without_digest(record: Any) -> dict[str, Any]:
    """Return the record without its digest; one of an early version has none.

    Raises
    ------
    ValueError
        If it is not a record, or its digest differs.
    """
    if not isinstance(record, Mapping):
        raise ValueError("it is not a table of names and values")
    content = {key: value for key, value in record.items() if key != DIGEST}
    if DIGEST in record and record[DIGEST] != _digest(content):
        raise ValueError("it was changed: its digest differs")
    return content


def _digest(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
