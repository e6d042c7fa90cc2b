"""Checks objects that Kubernetes does not know by itself, by the schemas in crds/."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

from tests.chart.rendering import Object

FOLDER: Final = Path(__file__).with_name("crds")


def own(each: Object) -> bool:
    """Whether Kubernetes knows a kind of object by itself: other groups are below domains of others."""
    group, slash, _ = each["apiVersion"].partition("/")
    return not slash or "." not in group or (group.endswith(".k8s.io") and not file_of(each).exists())


def validate(each: Object) -> None:
    """Check an object strictly: what its definition does not have is refused; raises `jsonschema.ValidationError`."""
    _validator(file_of(each)).validate(each)


def file_of(each: Object) -> Path:
    """Return the file of an object's schema."""
    group, _, version = each["apiVersion"].rpartition("/")
    return FOLDER / f"{group}_{version}_{each['kind']}.json"


@cache
def _validator(file: Path) -> Draft202012Validator:
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
