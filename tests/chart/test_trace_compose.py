"""Would catch a compose file that sends traces nowhere, leaves a service out, or mounts what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tandem.telemetry.settings import TracingSettings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BASE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
OWN = {name for name, service in BASE.items() if service["image"].startswith("tandem:")}
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
BACKENDS = ("jaeger", "tempo")


def services(backend: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "otel" / f"compose.{backend}.yaml").read_text())
    return dict(found["services"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_service_sends_its_spans_to_the_backend(backend: str) -> None:
    traced = {name: service for name, service in services(backend).items() if name in BASE}
    assert traced.keys() == OWN
    for service in traced.values():
        assert service.keys() == {"environment"}
        endpoint = urlsplit(service["environment"][ENDPOINT])
        assert (endpoint.scheme, endpoint.hostname, endpoint.port) == ("http", backend, 4317)


def test_the_setting_is_one_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://jaeger:4317")
    assert "http://jaeger:4317" in TracingSettings().model_dump().values()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_added_has_no_rights_and_is_reached_from_this_machine_alone(backend: str) -> None:
    added = {name: service for name, service in services(backend).items() if name not in BASE}
    assert backend in added
    for service in added.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert [
            volume
            for volume in service.get("volumes", [])
            if not (DEPLOY / volume.split(":")[0]).is_file() or not volume.endswith(":ro")
        ] == []


def test_tempo_takes_what_is_sent_and_grafana_asks_where_it_answers() -> None:
    tempo = yaml.safe_load((DEPLOY / "otel" / "tempo.yaml").read_text())
    assert tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] == "0.0.0.0:4317"
    (source,) = yaml.safe_load((DEPLOY / "otel" / "grafana.yaml").read_text())["datasources"]
    assert source["url"] == f"http://tempo:{tempo['server']['http_listen_port']}"
    stored = tempo["storage"]["trace"]
    (writable,) = services("tempo")["tempo"]["tmpfs"]
    folder = writable.split(":")[0]
    assert all(stored[part]["path"].startswith(f"{folder}/") for part in ("wal", "local"))
