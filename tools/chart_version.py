"""Keeps what a version of the Helm chart has and makes, so that later versions are tested to take its releases over.

Run it at a release, or on a checkout of an earlier one: python tools/chart_version.py CHART. It writes the chart's
values files and, in objects.json, the objects of each profile into tests/chart/previous/VERSION.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final = ROOT / "tests" / "chart" / "previous"
HELM: Final = Path(sys.executable).with_name("helm")


def objects(chart: Path, values: Iterable[Path]) -> list[Mapping[str, Any]]:
    """Return what a chart makes of values files."""
    options = [word for file in values for word in ("--values", str(file))]
    command = [str(HELM), "template", "trial", str(chart), *options]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [each for each in yaml.safe_load_all(text) if each]


def values_of(folder: Path, profile: str) -> list[Path]:
    """Return the values of a release: the defaults of its version, and the profile over them."""
    return [folder / name for name in dict.fromkeys(("values.yaml", profile))]


def fixed(made: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what an upgrade must leave: objects by kind and name, with the selector, which cannot be changed."""
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["spec"]["selector"]
        if each["kind"] == "Deployment"
        else None
        for each in made
    }


def keep(chart: Path, folder: Path) -> None:
    """Write the values files and the objects of a chart."""
    folder.mkdir(parents=True, exist_ok=True)
    profiles = sorted(chart.glob("values*.yaml"))
    for file in profiles:
        (folder / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    found = {file.name: fixed(objects(chart, values_of(folder, file.name))) for file in profiles}
    (folder / "objects.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main(words: Sequence[str] | None = None) -> None:
    """Keep a version."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chart", type=Path, help="folder of the chart")
    chart = parser.parse_args(words).chart
    version = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))["version"]
    keep(chart, KEPT / str(version))
    print(KEPT / str(version))


if __name__ == "__main__":
    main()
