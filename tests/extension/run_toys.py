"""The program with the toy entries: ``python tests/extension/run_toys.py run-study toys.toml``.

Worker processes import this file too, so that the entries are registered in them as well.
"""

from __future__ import annotations

from toys import (
    augmentation,
    corpus,
    error_rate,
    features,
    metric,
    model,
    protocol,
    sampler,
    section,
)

from benchmark.__main__ import main

ENTRIES = (
    augmentation, corpus, error_rate, features, metric, model, protocol, sampler, section
)  # fmt: skip
"""Modules that register their entries when they are imported."""

if __name__ == "__main__":
    main()
