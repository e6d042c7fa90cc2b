"""Reads what to plan from the chart's values: nodes, shapes, variants and layouts of the tiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tandem.capacity.errors import BadPlan
from tandem.capacity.memory import Precision
from tandem.capacity.shape import Shape


class _Part(BaseModel):
    """A part of the values; what planning does not need is the chart's business and passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)


class VariantValues(_Part):
    """A variant of a tier."""

    precision: Precision
    context: int = Field(ge=1, le=10**7)
    concurrency: int = Field(ge=1, le=10**4)
    load: Literal["resident", "on-demand"] = "resident"
    latency: Mapping[str, Any] = {}
    """As the catalogue has it; planning passes it over."""


class ModelValues(_Part):
    """A tier's model; an empty shape is one that nobody has given."""

    shape: Mapping[str, Any] = {}


class ParallelValues(_Part):
    """A replica's GPUs."""

    tensor: int = Field(default=1, ge=1, le=1024)
    pipeline: int = Field(default=1, ge=1, le=1024)


class TierValues(_Part):
    """A tier."""

    node: str = ""
    model: ModelValues = ModelValues()
    variants: Mapping[str, VariantValues] = Field(min_length=1)
    parallel: ParallelValues = ParallelValues()
    replicas: int = Field(default=1, ge=0, le=10**6)
    catalogue: Mapping[str, Any] = {}
    """What the model catalogue says of the tier beside its variants; planning passes it over."""
    default_variant: str = Field(default="", alias="defaultVariant")

    def variants_in_order(self) -> list[str]:
        """Return the names of the variants as the catalogue has them, the default one first."""
        others = sorted(self.variants.keys() - {self.default_variant})
        return [self.default_variant, *others] if self.default_variant in self.variants else others


class ServiceValues(_Part):
    """A service."""

    replicas: int | None = Field(default=None, ge=0, le=10**6)


class ChartValues(_Part):
    """The values, as far as planning needs them."""

    node: str = ""
    shareAccelerators: bool = False  # noqa: N815 - as the chart spells it
    tiers: Mapping[str, TierValues] = Field(min_length=1)
    defaults: ServiceValues = ServiceValues()
    orchestrator: ServiceValues = ServiceValues()
    chat_templates: Mapping[str, str] = Field(default={}, alias="chatTemplates")
    policy: Mapping[str, Any] = {}

    @property
    def orchestrators(self) -> int:
        """Replicas of the orchestrator."""
        own, usual = self.orchestrator.replicas, self.defaults.replicas
        return own if own is not None else usual if usual is not None else 1


def read_values(files: Sequence[Path]) -> ChartValues:
    """Merge values files as Helm does: later ones win, mappings are merged, null removes a key.

    A profile in a chart's folder is laid over the values of the chart, as Helm does, too.

    Raises:
        BadPlan: a file is not YAML, or lacks what a plan needs.
        OSError: a file cannot be read.
    """
    merged: dict[str, Any] = {}
    for file in [*_below(files[0]), *files]:
        merged = merge(merged, read_mapping(file))
    try:
        return ChartValues.model_validate(merged)
    except ValidationError as error:
        lacks = any(each["type"] == "missing" for each in error.errors())
        hint = "; if the chart's values.yaml has it, give that file first" if lacks else ""
        raise BadPlan(f"{files[-1]}: {explained(error)}{hint}") from None


def _below(file: Path) -> list[Path]:
    values = file.with_name("values.yaml")
    in_chart = file.with_name("Chart.yaml").is_file() and values.is_file()
    return [values] if in_chart and file.name != values.name else []


def shape_of(place: str, numbers: Mapping[str, Any]) -> Shape | None:
    """Return a shape given as numbers, None if there are none; raise `BadPlan` if they are not a shape."""
    if not numbers:
        return None
    try:
        shape = Shape.model_validate(numbers)
    except ValidationError as error:
        raise BadPlan(f"{place}: {explained(error)}") from None
    if shape.problem():
        raise BadPlan(f"{place}: {shape.problem()}")
    return shape


def explained(error: ValidationError) -> str:
    """Say what is wrong, in one line."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())


def read_mapping(file: Path) -> Mapping[str, Any]:
    """Read a YAML file whose root is a mapping; raise `BadPlan` if it is none, `OSError` if it cannot be read."""
    try:
        content = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadPlan(f"{file}: is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise BadPlan(f"{file}: must be a mapping, as the chart's values are")
    return content


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay values over others as Helm does."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merge(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result
