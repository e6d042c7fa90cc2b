"""Would catch a collector that is dead, slow or refuses and holds up requests, and spans that are lost uncounted."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tandem.call import Call
from tandem.serving.tracing import RpcSpans
from tandem.telemetry import exporting
from tandem.telemetry.otlp import OtlpExporter
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.tracing import Tracing
from tests.fakes.calls import call
from tests.fakes.collector import collector
from tests.fakes.tracing import GENERATE

QUICKLY = 0.1


def calls(tracing: Tracing, count: int) -> tuple[list[Call], float]:
    """Tell of calls that have ended; return them and how long telling took."""
    spans, made = RpcSpans(tracing), []
    for _ in range(count):
        trace = tracing.begin("", "")
        assert trace is not None
        made.append(call()._replace(trace=trace, traceparent=trace.traceparent()))
    begun = time.monotonic()
    for each in made:
        spans.ended(f"/{GENERATE}", each, None)
    return made, time.monotonic() - begun


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_collector_that_is_away_costs_its_spans_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    tracing = Tracing("test", TracingSettings(), OtlpExporter("http://127.0.0.1:1"))
    _, seconds = calls(tracing, 100)
    assert seconds < QUICKLY
    until(lambda: tracing.dropped == 100)
    begun = time.monotonic()
    tracing.close()
    assert time.monotonic() - begun < exporting.CLOSE_SECONDS + 2
    assert tracing.exported == 0


def test_a_collector_that_refuses_is_counted() -> None:
    with collector() as running:
        running.refuses = True
        tracing = Tracing("test", TracingSettings(), OtlpExporter(running.endpoint))
        calls(tracing, 7)
        tracing.close()
    assert (tracing.exported, tracing.dropped) == (0, 7)


def test_a_collector_that_is_slow_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "SPANS_AT_A_TIME", 10)
    monkeypatch.setattr(exporting, "MOST_WAITING", 20)
    with collector() as running:
        running.delay_seconds = 0.5
        tracing = Tracing("test", TracingSettings(), OtlpExporter(running.endpoint))
        made, seconds = calls(tracing, 200)
        assert seconds < QUICKLY
        tracing.close()
        arrived = sum(len(running.of(each.trace_id)) for each in made)
    assert tracing.exported == arrived >= 20
    assert tracing.exported + tracing.dropped == 200


@pytest.mark.parametrize(("delay_ms", "alone"), [(20, 1), (60_000, 0)])
def test_a_span_waits_for_others_as_long_as_is_set(delay_ms: int, alone: int) -> None:
    with collector() as running:
        tracing = Tracing(
            "test", TracingSettings(otel_bsp_schedule_delay=delay_ms), OtlpExporter(running.endpoint)
        )
        calls(tracing, 1)
        if alone:
            until(lambda: tracing.exported == 1)
        else:
            time.sleep(0.3)
        assert tracing.exported == alone
        tracing.close()
        assert tracing.exported == 1


def test_headers_and_the_identity_of_the_process_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VjcmV0")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    with collector() as running:
        tracing = Tracing("test", TracingSettings(), OtlpExporter(running.endpoint))
        made, _ = calls(tracing, 1)
        tracing.close()
        (span,) = running.of(made[0].trace_id)
    assert ("authorization", "Basic c2VjcmV0") in running.metadata
    assert span.service == "mine"
