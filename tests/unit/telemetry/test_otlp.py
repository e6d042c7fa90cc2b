"""Would catch a span that reaches the collector other than OpenTelemetry's own encoder would send it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from tandem.telemetry.otlp import MOST_KEPT, Encoder

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
SCOPE = InstrumentationScope("tandem", "1.2.3", "https://example.test/schema")
RESOURCE = Resource({"service.name": "test", "number": 3})

numbers = st.integers(-(1 << 63), (1 << 63) - 1)
single = st.one_of(
    st.text(max_size=300),
    st.booleans(),
    numbers,
    st.sampled_from([0, 1]),
    st.floats(allow_nan=False),
    st.sampled_from([0.0, 1.0, -0.0]),
)
values = st.one_of(single, st.lists(st.text(max_size=5), max_size=4), st.lists(numbers, max_size=3))
attributes = st.dictionaries(st.sampled_from(["a", "tandem.b", "gen_ai.c", "é" * 70]), values, max_size=4)
moments = st.integers(0, (1 << 63) - 1)
contexts = st.builds(
    SpanContext,
    st.integers(1, (1 << 128) - 1),
    st.integers(1, (1 << 64) - 1),
    is_remote=st.booleans(),
    trace_flags=st.just(SAMPLED),
)
spans = st.builds(
    lambda name, context, parent, given, kind, status, times, events, links: ReadableSpan(
        name,
        context,
        parent,
        RESOURCE,
        given,
        events,
        links,
        kind,
        status=status,
        start_time=times[0],
        end_time=times[1],
        instrumentation_scope=SCOPE,
    ),
    st.text(max_size=10),
    contexts,
    st.one_of(st.none(), contexts),
    attributes,
    st.sampled_from(list(SpanKind)),
    st.sampled_from([Status(code) for code in StatusCode]),
    st.tuples(moments, moments),
    st.lists(st.builds(Event, st.text(max_size=9), attributes, moments), max_size=2),
    st.lists(st.builds(Link, contexts, attributes), max_size=2),
)
ENCODER = Encoder()
"""One for all examples: what it keeps of one span must not change another."""


@given(st.lists(spans, max_size=6))
def test_the_bytes_mean_what_those_of_the_sdk_mean(given_spans: list[ReadableSpan]) -> None:
    expected = encode_spans(given_spans)
    for part in expected.resource_spans:
        for span in part.scope_spans[0].spans:
            # An absent status means the same as one that is unset.
            if not span.status.code:
                span.ClearField("status")
    assert ENCODER.encode(given_spans) == expected


def span_with(**given_attributes: Any) -> ReadableSpan:
    """Return a span with these attributes."""
    context = SpanContext(1, 2, is_remote=False, trace_flags=SAMPLED)
    return ReadableSpan(
        "span", context, resource=RESOURCE, attributes=given_attributes, instrumentation_scope=SCOPE
    )


def test_what_is_kept_is_bounded() -> None:
    encoder = Encoder()
    encoder.encode([span_with(a=f"{number}", b=number) for number in range(3 * MOST_KEPT)])
    assert {kind: len(kept) <= MOST_KEPT for kind, kept in encoder._kept.items()} == dict.fromkeys(
        (str, int, bool), True
    )
