"""Results of format 2, read as if this version had written them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmark.data.splits import RENAMED_PROTOCOLS

FORMAT = 2


def converted(
    record: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Return the record and the tables of a result in today's names; no figure is changed.

    Parameters
    ----------
    record : mapping
        The content of a study.json of format 2.
    tables : mapping of str to DataFrame
        By file name.
    """
    data = dict(record["data"])
    for key in ("tables", "folds"):
        data[key] = {_split(name): facts for name, facts in data[key].items()}
    if "cut" in data:
        data["cut"] = [one | {"protocol": _split(one["protocol"])} for one in data["cut"]]
    new = {
        **record,
        "settings": _settings(record["settings"]),
        "data": data,
        "winners": [_winner(winner) for winner in record["winners"]],
    }
    return new, {name: _table(table) for name, table in tables.items()}


def _split(name: str) -> str:
    """Return the name of a split, ``speaker/f1``, with today's name of its protocol."""
    protocol, slash, part = name.partition("/")
    return RENAMED_PROTOCOLS.get(protocol, protocol) + slash + part


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    new = dict(settings)
    new["features"] = new["features"].replace("courses", "dynamics")
    protocols = [RENAMED_PROTOCOLS.get(name, name) for name in new["split"]["protocols"]]
    new["split"] = new["split"] | {"protocols": protocols}
    keys = {"lookahead": "concurrent_trials", "fit_limit_s": "fit_timeout_s"}
    new["search"] = {keys.get(key, key): value for key, value in new["search"].items()}
    new["models"] = {
        model: {("initial" if key == "first" else key): value for key, value in spec.items()}
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
    new = table.rename(columns={"spread": "std"})
    if "protocol" in new:
        new["protocol"] = new["protocol"].replace(RENAMED_PROTOCOLS)
    return new
