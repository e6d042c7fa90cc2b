"""Writes thresholds and the weights of the gate into a policy; what else the file says, comments included, stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from tandem.catalogue import Catalogue
from tandem.cli.in_place import change, round_trip
from tandem.orchestrator.cascade_policy import Gate
from tandem.orchestrator.policy import load_policy


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is to be written under `routing`."""

    threshold: float
    rows: Sequence[Mapping[str, str | float]]
    """Of `thresholds`; none: the key is removed."""
    target: Mapping[str, float] | None = None
    """None: it stays as it is."""


def write_thresholds(file: Path, catalogue: Catalogue, new: Thresholds) -> None:
    """Change a policy in one step.

    Raises:
        DocumentError: the file does not hold a policy, or not with these thresholds.
        OSError: it cannot be read or written.
    """
    change(
        file, lambda target: _with(target, catalogue, new), lambda written: load_policy(written, catalogue)
    )


def write_gate(file: Path, catalogue: Catalogue, gate: Gate) -> None:
    """Change the gate of a policy's cascade in one step. Raises as `write_thresholds`."""

    def gated(target: Path) -> Any:
        load_policy(target, catalogue)
        tree = round_trip().load(target.read_text(encoding="utf-8-sig"))
        if "cascade" not in tree:
            _set(tree, "cascade", CommentedMap(), after="ensemble")
        _set(tree["cascade"], "gate", _flow(gate.model_dump()), after="threshold")
        return tree

    change(file, gated, lambda written: load_policy(written, catalogue))


def _with(file: Path, catalogue: Catalogue, new: Thresholds) -> Any:
    load_policy(file, catalogue)
    tree = round_trip().load(file.read_text(encoding="utf-8-sig"))
    routing = tree["routing"]
    _set(routing, "threshold", new.threshold, after="strong")
    if new.rows:
        _set(routing, "thresholds", CommentedSeq(_flow(row) for row in new.rows), after="threshold")
    else:
        routing.pop("thresholds", None)
    if new.target:
        _set(routing, "target", _flow(new.target), after="thresholds" if new.rows else "threshold")
    return tree


def _set(mapping: CommentedMap, key: str, value: Any, after: str) -> None:
    """Set a key where it is, or insert it after another one."""
    if key in mapping:
        mapping[key] = value
        return
    keys = list(mapping)
    mapping.insert(keys.index(after) + 1 if after in keys else len(keys), key, value)


def _flow(values: Mapping[str, str | float]) -> CommentedMap:
    mapping = CommentedMap(values)
    mapping.fa.set_flow_style()
    return mapping
