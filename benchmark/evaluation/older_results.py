"""Results of format 2, converted to today's records; no figure is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmark.data.protocols import RENAMED_PROTOCOLS
from benchmark.study import RENAMED_KEYS

FORMAT = 2
COUNT_COLUMNS = ("corpus", "emotion", "gender", "clips", "speakers")


def converted(
    record: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Return the content of a study.json of format 2 and its tables as today's format has them.

    Parameters
    ----------
    record : mapping
        The content of study.json.
    tables : mapping of str to DataFrame
        By file name without its suffix.
    """
    data = dict(record["data"])
    sides, folds = data.pop("tables"), data.pop("folds")
    unfinished = data.pop("cut", None)
    data["counts"] = [dict(zip(COUNT_COLUMNS, row, strict=True)) for row in data.pop("clips")]
    data["unusable"] = [_unusable(name, reason) for name, reason in data["unusable"]]
    data["splits"] = {_split(name): {**sides[name], "folds": folds[name]} for name in sides}
    versions = dict(record["versions"])
    new = {
        "name": record["name"],
        "changes": [_change(text) for text in record["changes"]],
        "settings": _settings(record["settings"], versions.get("engines", {})),
        "data": data,
        "versions": {"engines": versions.pop("engines", {}), "libraries": versions},
        "winners": [_winner(winner) for winner in record["winners"]],
        "unfinished": unfinished
        and [
            {
                "protocol": _split(one["protocol"]),
                "model": one["model"],
                "completed": one["told"],
                "requested": one["trials"],
            }
            for one in unfinished
        ],
    }
    return new, {name: _table(table) for name, table in tables.items()}


def _split(name: str) -> str:
    """Return the name of a split, ``speaker/f1``, with today's name of its protocol."""
    protocol, slash, part = name.partition("/")
    return RENAMED_PROTOCOLS.get(protocol, protocol) + slash + part


def _unusable(name: str, reason: str) -> dict[str, str]:
    """Return an unusable clip; of an augmented copy, the augmentation stood in brackets."""
    clip, _, augmentation = name.removesuffix(")").partition(" (")
    corpus = clip.partition("/")[0]
    return {"corpus": corpus, "clip": clip, "augmentation": augmentation, "reason": reason}


def _change(text: str) -> dict[str, str]:
    """Return a change, which format 2 stores as a sentence."""
    endings = {"unusable": " clips can't be used", "budget": " minutes of time"}
    for kind, ending in endings.items():
        if text.endswith(ending):
            return {"kind": kind, "value": text.removesuffix(ending)}
    if text.startswith("own tables "):
        return {"kind": "tables", "value": text.removeprefix("own tables ")}
    return {"kind": "incomplete" if " clips" in text else "override", "value": text}


def _settings(settings: Mapping[str, Any], engines: Mapping[str, str]) -> dict[str, Any]:
    new = dict(settings)
    new["features"] = new["features"].replace("courses", "dynamics")
    protocols = [RENAMED_PROTOCOLS.get(name, name) for name in new["split"]["protocols"]]
    new["split"] = new["split"] | {"protocols": protocols}
    intelex = any(engine.startswith("scikit-learn-intelex") for engine in engines.values())
    new["search"] = {
        **{RENAMED_KEYS.get(key, key): value for key, value in new["search"].items()},
        "engine": "intelex" if intelex else "scikit-learn",
    }
    new["models"] = {
        model: {RENAMED_KEYS.get(key, key): value for key, value in spec.items()}
        for model, spec in new["models"].items()
    }
    if new.get("claims"):
        protocol = new["claims"]["protocol"]
        new["claims"] = new["claims"] | {"protocol": RENAMED_PROTOCOLS.get(protocol, protocol)}
    if new.get("learning_curves"):
        new["learning_curves"] = {"fractions": new["learning_curves"]["shares"]}
    return new


def _winner(winner: Mapping[str, Any]) -> dict[str, Any]:
    new = {("std" if key == "spread" else key): value for key, value in winner.items()}
    return new | {"protocol": RENAMED_PROTOCOLS.get(new["protocol"], new["protocol"])}


def _table(table: pd.DataFrame) -> pd.DataFrame:
    new = table.rename(columns={"spread": "std", "share": "fraction"})
    if "protocol" in new:
        new["protocol"] = new["protocol"].replace(RENAMED_PROTOCOLS)
    if "state" in new:
        new["state"] = new["state"].replace({"cut": "pruned"})
    return new
