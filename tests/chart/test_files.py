"""Would catch a README or objects for kubectl that are not those of the chart, and a value that nobody explains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import chart_files
from tests.chart.rendering import CHART, PROFILES, ROOT, of_kind, render

KUBECTL = Path(sys.executable).with_name("kubectl")


def test_what_is_made_from_the_chart_is_up_to_date() -> None:
    assert chart_files.differing(chart_files.files()) == []


def test_another_text_and_a_file_too_many_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart_files, "KUSTOMIZE", tmp_path)
    monkeypatch.setattr(chart_files, "COPIES", tmp_path / "none")
    (tmp_path / "one").write_text("old")
    (tmp_path / "stale").write_text("")
    wanted = {tmp_path / "one": "new", tmp_path / "two": ""}
    assert {path.name for path in chart_files.differing(wanted)} == {"one", "two", "stale"}


def test_a_comment_is_about_the_key_below_it() -> None:
    text = (
        "# Of the file.\n# -- First\n# of all.\na: 1\n"
        "b:\n  # -- Second.\n  # @default -- long\n  c: [1, 2]\n  d: 3\n# -- Third.\ne: {}\n"
    )
    assert [(value.key, value.default, value.meaning) for value in chart_files.documented(text)] == [
        ("a", "`1`", "First of all."),
        ("b.c", "long", "Second."),
        ("e", "`{}`", "Third."),
    ]


def test_every_value_is_explained() -> None:
    """Below a key that is explained, and in the second tier, nothing needs to be."""
    text = (CHART / "values.yaml").read_text()
    explained = {value.key for value in chart_files.documented(text)}

    def unexplained(node: object, path: str) -> list[str]:
        if path in explained or path.endswith(".resources"):
            return []
        if not isinstance(node, dict) or not node:
            return [path]
        return [
            found for key, value in node.items() for found in unexplained(value, f"{path}.{key}".lstrip("."))
        ]

    assert unexplained(yaml.safe_load(text), "") == []


@pytest.mark.parametrize("profile", [name.removeprefix("values-").removesuffix(".yaml") for name in PROFILES])
def test_kubectl_applies_what_helm_installs(profile: str) -> None:
    """`kubectl kustomize` needs no cluster."""
    done = subprocess.run(
        [KUBECTL, "kustomize", ROOT / "deploy" / "kustomize" / profile],
        capture_output=True,
        text=True,
        check=True,
    )
    applied = {(each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(done.stdout)}
    objects = [each for each in render(f"values-{profile}.yaml") if each["kind"] != "Pod"]
    installed = {
        (each["kind"], each["metadata"]["name"].replace("trial-tandem", "tandem")) for each in objects
    }
    assert applied == installed | {("Namespace", "tandem")}
    assert len(of_kind(objects, "Deployment")) == 7


def test_the_chart_names_its_images() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    named = {entry["image"] for entry in yaml.safe_load(chart["annotations"]["artifacthub.io/images"])}
    used = {
        container["image"]
        for each in of_kind(render(), "Deployment")
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    assert used == named
