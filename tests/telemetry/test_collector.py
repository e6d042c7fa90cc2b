"""Would catch a collector that is dead, slow or refuses and holds up requests, and spans that are lost uncounted.

Also large spans that are lost since they are sent together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
import structlog

from tandem.call import Call
from tandem.serving.tracing import RpcSpans
from tandem.telemetry import exporting
from tandem.telemetry.otlp import OtlpExporter
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.trace import Trace
from tandem.telemetry.tracing import Tracing
from tests.fakes.calls import call
from tests.fakes.collector import collector
from tests.fakes.tracing import GENERATE

QUICKLY = 2.0
"""Far less than if anything waited for a collector, far more than anything takes on a busy machine."""
MEBIBYTE = 1024 * 1024


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


class Large:
    """One span with so much to tell; satisfies `tandem.telemetry.exporting.Told`."""

    size = 0
    count = 1

    def __init__(self, tracing: Tracing, length: int) -> None:
        self._trace = Trace(os.urandom(16).hex(), "", sampled=True)
        self._tracing, self._length = tracing, length

    def spans(self) -> list[bytes]:
        """Make it."""
        spans = self._tracing.maker.of(self._trace)
        return [spans.span("large", 0, (1.0, 2.0), {"text": "x" * self._length})]


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_collector_that_is_away_costs_its_spans_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    tracing = Tracing("test", TracingSettings(), OtlpExporter("http://127.0.0.1:1"))
    with structlog.testing.capture_logs() as lines:
        _, seconds = calls(tracing, 100)
        assert seconds < QUICKLY
        until(lambda: tracing.dropped == 100)
    # Why, and of which collector.
    assert any("127.0.0.1:1" in line.get("says", "") for line in lines), lines
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


def test_spans_that_are_large_together_go_one_after_the_other() -> None:
    """A collector takes 4 MiB at a time, as this one does, and of more than that nothing."""
    with collector() as running:
        tracing = Tracing("test", TracingSettings(), OtlpExporter(running.endpoint))
        for length in (1, *[MEBIBYTE] * 8, 3 * MEBIBYTE, 1):
            tracing.put(Large(tracing, length))
        tracing.close()
    assert (tracing.exported, tracing.dropped) == (11, 0)


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
