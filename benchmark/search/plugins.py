"""Plug-ins of a study: their versions are part of its identity."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.corpora import CORPORA
from benchmark.data.protocols import PROTOCOLS
from benchmark.evaluation.metrics import METRICS
from benchmark.features import AUGMENTATIONS, FEATURE_SETS, parse_chain
from benchmark.models import MODELS
from benchmark.search.samplers import SAMPLERS
from benchmark.study import Study


def plugins_of(study: Study, protocols: Iterable[str], models: Iterable[str]) -> dict[str, str]:
    """Return the versions of the plug-ins that decide scores of some protocols and models.

    Examples
    --------
    >>> plugins_of(Study(), ["speaker-dependent"], ["svm"])  # only our own entries
    {}
    """
    steps = [name for chain in study.augment for name, _ in parse_chain(chain).steps]
    return {
        **CORPORA.versions((*study.corpora, *study.auxiliary)),
        **FEATURE_SETS.versions(study.features.split("+")),
        **AUGMENTATIONS.versions(steps),
        **PROTOCOLS.versions(protocols),
        **MODELS.versions(models),
        **METRICS.versions([study.search.metric]),
        **SAMPLERS.versions([study.search.sampler]),
    }
