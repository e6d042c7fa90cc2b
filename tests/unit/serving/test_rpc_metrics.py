"""Would catch a call that is not counted, under a wrong status, or that is never over; and spans lost in silence."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.errors import Cancelled, InvalidRequest, TandemError
from tandem.serving.edge import RpcObserver
from tandem.serving.rpc_metrics import RpcMetrics
from tests.fakes.calls import call
from tests.fakes.told import told

METHOD = "/tandem.v1.OrchestratorService/Generate"


class Server:
    """Has calls under way, and spans on their way."""

    def __init__(self) -> None:
        self.in_flight = 3
        self.tracing: Any = None
        self.watched: list[RpcObserver] = []

    def watch(self, observer: RpcObserver) -> None:
        self.watched.append(observer)


class Tracing:
    """Has lost some."""

    exported, dropped = 40, 2


def measured() -> tuple[Any, RpcMetrics]:
    server: Any = Server()
    return server, RpcMetrics(server)


@pytest.mark.parametrize(
    ("error", "code"),
    [(None, "OK"), (InvalidRequest("no"), "INVALID_ARGUMENT"), (Cancelled("gone"), "CANCELLED")],
)
def test_calls_are_counted_by_method_and_status(error: TandemError | None, code: str) -> None:
    server, metrics = measured()
    (observer,) = server.watched
    observer.ended(METHOD, call(), error)
    observer.ended(METHOD, call(), error)
    found = told(metrics)
    labels = "grpc_method=Generate grpc_service=tandem.v1.OrchestratorService"
    assert found.of("grpc_server_handled_total") == {f"grpc_code={code} {labels}": 2}
    assert found.of("grpc_server_handling_seconds_count") == {labels: 2}
    assert found.of("tandem_rpc_in_flight") == {"": 3}
    assert "tandem_spans_dropped_total" not in found.names


def test_where_calls_are_traced_lost_spans_are_told() -> None:
    server, metrics = measured()
    server.tracing = Tracing()
    found = told(metrics)
    assert found.of("tandem_spans_exported_total") == {"": 40}
    assert found.of("tandem_spans_dropped_total") == {"": 2}
