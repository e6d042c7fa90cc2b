"""Would catch a name of telemetry that the documentation does not have, or that is written down in a second place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tandem.telemetry.names import Attribute, SpanEvent, SpanName

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operations" / "tracing.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "services" / "tandem").rglob("*.py"))


def values(registry: type) -> list[str]:
    return [value for name, value in vars(registry).items() if name.isupper()]


@pytest.mark.parametrize("registry", [Attribute, SpanEvent])
def test_every_name_is_documented_once(registry: type) -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith("|")]
    counts = {name: sum(f"`{name}`" in row for row in rows) for name in values(registry)}
    assert {name for name, count in counts.items() if count == 0} == set()
    assert len(set(values(registry))) == len(values(registry))


def test_the_collector_lets_through_what_tandem_says_is_to_be_kept() -> None:
    config = YAML(typ="safe").load(ROOT / "deploy" / "otel" / "collector.yaml")
    policies = {each["name"]: each for each in config["processors"]["tail_sampling"]["policies"]}
    keep = policies["tandem-keep"]["string_attribute"]
    assert keep["key"] == Attribute.KEEP
    told = re.search(r"`tandem.keep` \| why .*?: (.*) \|", PAGE)
    assert told is not None
    assert set(keep["values"]) == set(re.findall(r"`(\w+)`", told[1]))
    used = {
        name
        for pipeline in config["service"]["pipelines"].values()
        for part in pipeline.values()
        for name in part
    }
    assert used == {*config["receivers"], *config["processors"], *config["exporters"]}


def test_every_span_is_documented() -> None:
    assert [name for name in values(SpanName) if name not in PAGE] == []


def test_the_documentation_has_no_name_that_is_gone() -> None:
    known = {*values(Attribute), *values(SpanEvent)}
    rows = "".join(row for row in PAGE.splitlines() if row.startswith("|"))
    told = set(re.findall(r"`((?:tandem|gen_ai|rpc|error|service)\.[a-z0-9_.]+)`", rows))
    assert told - known == set()


def test_names_stand_in_one_file() -> None:
    written = re.compile(r"""["'](?:gen_ai|rpc|service)\.[a-z_.]+["']""")
    found = [path.name for path in SOURCES if "v1" not in path.parts and written.search(path.read_text())]
    assert found == ["names.py"]
