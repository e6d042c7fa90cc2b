"""Would catch an object that a controller's definition does not accept: a misspelt field is dropped without a word."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from jsonschema import ValidationError

from tests.chart import custom
from tests.chart.rendering import EVERYTHING, MESHES, PROFILES, SPREAD, Object, of_kind, render

EDGES: dict[str, Any] = {
    "tls": {"enabled": True, "certManager": {"enabled": True, "issuerRef": {"name": "issuer"}}},
    "gateway": {"enabled": True, "parentRefs": [{"name": "outside"}], "hostnames": ["tandem.example.com"]},
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{profile: (profile, {}) for profile in PROFILES},
    "everything": ("", EVERYTHING),
    "spread": ("", SPREAD),
    **{kind: ("", values) for kind, values in MESHES.items()},
    "edges": ("", EDGES),
}


def others(objects: list[Object]) -> list[Object]:
    return [each for each in objects if not custom.own(each)]


@pytest.mark.parametrize("case", CASES)
def test_the_definitions_accept_what_is_rendered(case: str) -> None:
    for each in others(render(*CASES[case])):
        custom.validate(each)


def test_every_schema_is_of_something_that_a_case_renders() -> None:
    """Two kinds may have one name: what counts is the file."""
    used = {custom.file_of(each) for case in CASES.values() for each in others(render(*case))}
    assert used == set(custom.FOLDER.glob("*.json"))


@pytest.mark.parametrize("kind", ["LeaderWorkerSet", "PrometheusRule", "ScaledObject", "ServiceMonitor"])
def test_a_field_too_many_and_a_wrong_type_are_refused(kind: str) -> None:
    rendered = of_kind(render("", SPREAD), kind)[0]
    for path, value in _leaves(rendered["spec"]):
        misspelt = copy.deepcopy(rendered)
        _at(misspelt["spec"], path[:-1])[f"{path[-1]}x"] = value
        with pytest.raises(ValidationError):
            custom.validate(misspelt)
    with pytest.raises(ValidationError):
        custom.validate({**rendered, "spec": "text"})


def _leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Return the fields whose names a definition knows: not those of free maps, nor of pods."""
    if isinstance(node, dict):
        free = path and path[-1] in {"labels", "annotations", "matchLabels", "metadata", "template", "spec"}
        if free or path[-1:] in {("leaderTemplate",), ("workerTemplate",)}:
            return []
        return [
            found
            for key, value in node.items()
            for found in [((*path, key), value), *_leaves(value, (*path, key))]
        ]
    if isinstance(node, list):
        return [found for index, value in enumerate(node) for found in _leaves(value, (*path, index))]
    return []


def _at(node: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        node = node[key]
    return node
