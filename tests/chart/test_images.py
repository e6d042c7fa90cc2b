"""Would catch an image that runs as root or has a compiler, and a compose file that does not fit images or settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.cli.settings import settings_class
from tests.chart.images import variables
from tests.chart.rendering import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]


def stage(name: str) -> str:
    (found,) = re.findall(rf"^FROM \S+ AS {name}$.*?(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), ROOT / "deploy" / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("target", ["tandem", "triton-cpu"])
def test_an_image_is_files_and_a_user_on_a_base_that_can_be_named(target: str) -> None:
    text = stage(target)
    assert text.startswith("FROM ${BASE} AS ")
    assert "USER 10001:10001" in text
    assert not re.search(r"^(RUN|ADD|HEALTHCHECK)", text, re.MULTILINE)
    assert "org.opencontainers.image.licenses" in text
    assert variables(target)["PATH"].startswith("/opt/")


def test_what_the_images_install_is_locked_with_the_versions_that_are_tested() -> None:
    pins = re.compile(r"^([a-z0-9._-]+)==([^ \\;]+)", re.MULTILINE)
    tested = dict(pins.findall((ROOT / "requirements.lock").read_text()))
    for lock in ("requirements.lock", "build.lock"):
        found = dict(pins.findall((ROOT / "deploy" / "image" / lock).read_text()))
        assert len(found) > 5
        assert {name: version for name, version in found.items() if tested.get(name) != version} == {}


def test_the_build_asks_for_nothing_that_the_context_leaves_out() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert [
        path for path in copied if not any(path == one or path.startswith(f"{one}/") for one in kept)
    ] == []
    assert [path for path in copied if not (ROOT / path).exists()] == []


def test_the_bill_of_materials_lists_what_is_installed(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    subprocess.run([sys.executable, ROOT / "deploy" / "image" / "sbom.py", "tandem", file], check=True)
    bill = json.loads(file.read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "tandem")
    assert {"grpcio", "pydantic"} <= {component["name"] for component in bill["components"]}


def test_compose_tells_each_service_what_it_knows() -> None:
    assert {
        "triton",
        "orchestrator",
        "classifier",
        "fusion",
        "r1-inference",
        "pro-inference",
    } == COMPOSE.keys()
    for name, service in COMPOSE.items():
        if service["image"].startswith("tandem:"):
            known = settings_class(service["command"][1])
            prefix = str(known.model_config["env_prefix"])
            assert {
                key.removeprefix(prefix).lower() for key in service["environment"]
            } <= known.model_fields.keys(), name


def test_compose_calls_services_that_are_there_on_the_ports_they_listen_on() -> None:
    listening = {
        name: value.rpartition(":")[2]
        for name, service in COMPOSE.items()
        for key, value in service.get("environment", {}).items()
        if key.endswith("_LISTEN")
    }
    listening["triton"] = "8001"
    called = re.findall(r"dns:///([a-z0-9-]+):(\d+)", (ROOT / "deploy" / "compose.yaml").read_text())
    assert len(called) == 5
    assert [(name, port) for name, port in called if listening.get(name) != port] == []


def test_compose_mounts_files_that_are_there() -> None:
    for service in COMPOSE.values():
        for volume in service.get("volumes", []):
            assert (ROOT / "deploy" / volume.split(":")[0]).exists(), volume
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
