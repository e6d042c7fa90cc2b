"""Would catch a span that reaches the collector other than OpenTelemetry's own encoder would send it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from tandem.clock import now
from tandem.telemetry.names import SCHEMA_URL, SCOPE, Attribute
from tandem.telemetry.spans import CLIENT, SERVER, SpanMaker
from tandem.telemetry.trace import Trace
from tandem.telemetry.wire import NO_FAULT, Writer

OF_SPAN = 0x4A
"""Tag of a span's attributes: field 9, a message."""
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
RESOURCE = Resource({"service.name": "test", "number": 3}, "https://example.test/resource")
MAKER = SpanMaker(RESOURCE, "1.2.3")
"""One for all examples: what it keeps of one span must not change another."""
KINDS = {Span.SPAN_KIND_INTERNAL: SpanKind.INTERNAL, SERVER: SpanKind.SERVER, CLIENT: SpanKind.CLIENT}

numbers = st.integers(-(1 << 63), (1 << 63) - 1)
values = st.one_of(
    st.text(max_size=300),
    st.booleans(),
    numbers,
    st.sampled_from([0, 1]),
    st.floats(allow_nan=False),
    st.sampled_from([0.0, 1.0, -0.0]),
    st.lists(st.text(max_size=200), max_size=4).map(tuple),
)
attributes = st.dictionaries(st.sampled_from(["a", "tandem.b", "gen_ai.c", "é" * 70]), values, max_size=4)
moments = st.floats(0, 1e6)
slots = st.integers(0, 100)
identifiers = st.integers(1, (1 << 64) - 1)
places = st.tuples(
    st.integers(1, (1 << 128) - 1),
    st.one_of(st.just(0), identifiers),
    identifiers,
    st.booleans(),
    st.sampled_from(["", "vendor=value", "a=1,b=2," + "c=" + "x" * 200]),
)
told = st.fixed_dictionaries(
    {
        "name": st.text(max_size=10),
        "slot": slots,
        "times": st.tuples(moments, moments),
        "attributes": attributes,
        "below": slots,
        "kind": st.sampled_from(list(KINDS)),
        "error": st.sampled_from(["", "CANCELLED", "OUT_OF_MEMORY"]),
        "fault": st.sampled_from([None, False, True]),
        "events": st.lists(st.tuples(st.text(max_size=9), moments, attributes), max_size=2),
        "links": st.lists(st.tuples(slots, st.text(max_size=9)), max_size=2),
    }
)


def placed(trace_id: int, parent: int, own: int, part: bool, state: str) -> Trace:
    root = Trace(f"{trace_id:032x}", "", sampled=True) if part else None
    parent_id = f"{parent:016x}" if parent else ""
    trace = Trace(f"{trace_id:032x}", parent_id, sampled=True, root=root, state=state)
    trace.span_id = own
    return trace


def made(trace: Trace, what: dict[str, Any]) -> bytes:
    """Return the bytes of a span."""
    spans = MAKER.of(trace)
    events = [spans.event(*each) for each in what["events"]]
    links = [spans.link(*each) for each in what["links"]]
    fields = {name: value for name, value in what.items() if name != "links"}
    return spans.span(**{**fields, "attributes": dict(what["attributes"]), "events": [*events, *links]})


def by_the_sdk(trace: Trace, what: dict[str, Any]) -> ReadableSpan:
    """Return the same span as one of OpenTelemetry's SDK."""

    def context(span_id: int, *, remote: bool = False) -> SpanContext:
        state = TraceState.from_header([trace.state])
        return SpanContext(int(trace.trace_id, 16), span_id, remote, SAMPLED, state)

    parent: SpanContext | None
    if what["slot"]:
        parent = context(trace.child(what["below"]))
    else:
        above = int(trace.parent_id or "0", 16)
        parent = context(above, remote=trace.root is None) if above else None
    error, fault = what["error"], what["fault"]
    failed = fault if fault is not None else error not in NO_FAULT
    return ReadableSpan(
        what["name"],
        context(trace.child(what["slot"])),
        parent,
        RESOURCE,
        {**what["attributes"], **({Attribute.ERROR_TYPE: error} if error else {})},
        [Event(name, given_, MAKER.writer.unix_ns(at)) for name, at, given_ in what["events"]],
        [Link(context(trace.child(slot)), {Attribute.LINK: why}) for slot, why in what["links"]],
        KINDS[what["kind"]],
        status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
        start_time=MAKER.writer.unix_ns(what["times"][0]),
        end_time=MAKER.writer.unix_ns(what["times"][1]),
        instrumentation_scope=InstrumentationScope(SCOPE, "1.2.3", SCHEMA_URL),
    )


@given(st.lists(st.tuples(places, told), min_size=1, max_size=4))
def test_the_bytes_mean_what_those_of_the_sdk_mean(found: list[tuple[Any, dict[str, Any]]]) -> None:
    examples = [(placed(*place), what) for place, what in found]
    expected = encode_spans([by_the_sdk(*each) for each in examples])
    for part in expected.resource_spans:
        for span in part.scope_spans[0].spans:
            # An absent status means the same as one that is unset.
            if not span.status.code:
                span.ClearField("status")
            # OTLP has a link's state, too; the SDK leaves it out.
            for link in span.links:
                link.trace_state = span.trace_state
    request = MAKER.request([made(*each) for each in examples])
    assert ExportTraceServiceRequest.FromString(request) == expected


@pytest.mark.parametrize(
    ("value", "error"),
    [(1 << 63, OverflowError), ("\ud800", UnicodeEncodeError), (None, TypeError), (("a", b"b"), TypeError)],
)
def test_what_cannot_be_written_is_an_error_and_disturbs_nothing(value: Any, error: type[Exception]) -> None:
    writer = Writer()
    with pytest.raises(error):
        writer.attributes(OF_SPAN, {"before": 1, "key": value})
    good = Span.FromString(writer.attributes(OF_SPAN, {"key": "x" * 100_000}))
    assert [pair.value.string_value for pair in good.attributes] == ["x" * 100_000]


def test_a_moment_is_told_as_the_time_of_the_clock() -> None:
    before, at, after = time.time_ns(), now(), time.time_ns()
    maker = SpanMaker(RESOURCE, "1.2.3")
    # Floating-point seconds are exact to far less than a microsecond here.
    assert before - 1_000_000 <= maker.writer.unix_ns(at) <= after + 1_000_000
