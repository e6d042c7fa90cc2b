"""Would catch a trace context that is read or written wrongly, identifiers that collide, a ratio that is not held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace as otel
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tandem.call import Call
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.trace import Parent, Sampling, Trace, parse
from tests.fakes.calls import call

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
HEX = "0123456789abcdef"

hexadecimal = st.text(HEX + "AFg-", min_size=0, max_size=33)


def by_the_sdk(traceparent: str) -> Parent | None:
    """Return what OpenTelemetry's own propagator reads."""
    context = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    found = otel.get_current_span(context).get_span_context()
    if not found.is_valid:
        return None
    return Parent(f"{found.trace_id:032x}", f"{found.span_id:016x}", bool(found.trace_flags & 1))


@given(
    st.sampled_from(["00", "01", "cc", "ff", "0", "000"]),
    st.one_of(st.just(TRACE_ID), st.just("0" * 32), st.text(HEX, min_size=31, max_size=33)),
    st.one_of(st.just(SPAN_ID), st.just("0" * 16), st.text(HEX, min_size=15, max_size=17)),
    st.text(HEX, min_size=1, max_size=3),
    st.sampled_from(["", "-", "-what-comes", "x", "\n"]),
)
def test_a_context_is_read_as_opentelemetry_reads_it(
    version: str, trace_id: str, span_id: str, flags: str, rest: str
) -> None:
    traceparent = f"{version}-{trace_id}-{span_id}-{flags}{rest}"
    if rest == "\n":
        # The SDK strips it, which the specification does not allow.
        assert parse(traceparent) is None
    else:
        assert parse(traceparent) == by_the_sdk(traceparent)


@pytest.mark.parametrize("garbage", ["", "00", f"00-{TRACE_ID.upper()}-{SPAN_ID}-01", "é" * 55, "0" * 55])
def test_garbage_is_no_context(garbage: str) -> None:
    assert parse(garbage) is None


@given(st.booleans(), st.integers(0, 10_000))
def test_what_is_written_can_be_read(sampled: bool, slot: int) -> None:
    trace = Trace(TRACE_ID, SPAN_ID, sampled=sampled)
    written = trace.traceparent(slot)
    assert len(written) == 55
    assert by_the_sdk(written) == Parent(TRACE_ID, f"{trace.child(slot):016x}", sampled)


def test_every_span_of_a_request_has_its_own_identifier() -> None:
    trace = Trace(TRACE_ID, "", sampled=True)
    identifiers = {trace.child(slot) for slot in range(10_000)}
    assert len(identifiers) == 10_000
    assert all(0 < each < 1 << 64 for each in identifiers)
    assert trace.child(0) == trace.span_id


@given(st.floats(0, 1), st.integers(1, (1 << 128) - 1))
def test_the_ratio_decides_as_opentelemetrys(ratio: float, trace_id: int) -> None:
    theirs = TraceIdRatioBased(ratio).should_sample(None, trace_id, "").decision
    assert Sampling(ratio).decide(trace_id, None) == (theirs is Decision.RECORD_AND_SAMPLE)


@pytest.mark.parametrize(
    ("sampler", "argument", "alone", "after_sampled", "after_unsampled"),
    [
        ("always_on", 0.0, True, True, True),
        ("always_off", 1.0, False, False, False),
        ("traceidratio", 0.0, False, False, False),
        ("traceidratio", 1.0, True, True, True),
        ("parentbased_always_on", 0.0, True, True, False),
        ("parentbased_always_off", 1.0, False, True, False),
        ("parentbased_traceidratio", 0.0, False, True, False),
        ("parentbased_traceidratio", 1.0, True, True, False),
    ],
)
def test_every_sampler_decides_as_its_name_says(
    sampler: str, argument: float, alone: bool, after_sampled: bool, after_unsampled: bool
) -> None:
    settings = TracingSettings(otel_traces_sampler=sampler, otel_traces_sampler_arg=argument)  # type: ignore[arg-type]  # one of them
    sampling = settings.sampling()
    sampled, unsampled = (f"00-{TRACE_ID}-{SPAN_ID}-0{flag}" for flag in (1, 0))
    places = [sampling.begin(each, begins=True) for each in ("", sampled, unsampled)]
    assert [place and place.sampled for place in places] == [alone, after_sampled, after_unsampled]


def test_a_trace_begins_only_where_it_may() -> None:
    assert Sampling().begin("", begins=False) is None
    assert Sampling().begin("garbage", begins=False) is None
    begun = Sampling().begin("garbage", begins=True)
    assert begun is not None
    assert (begun.parent_id, len(begun.trace_id)) == ("", 32)
    joined = Sampling().begin(f"00-{TRACE_ID}-{SPAN_ID}-01", begins=False)
    assert joined is not None
    assert (joined.trace_id, joined.parent_id) == (TRACE_ID, SPAN_ID)


def test_a_state_goes_with_its_context_alone() -> None:
    joined = Sampling().begin(f"00-{TRACE_ID}-{SPAN_ID}-01", "vendor=value", begins=True)
    begun = [Sampling().begin(each, "vendor=value", begins=True) for each in ("", "garbage")]
    assert [each and each.state for each in (joined, *begun)] == ["vendor=value", "", ""]
    assert joined is not None
    assert joined.branch().state == "vendor=value"


def test_keeping_a_part_keeps_the_whole() -> None:
    whole = Trace(TRACE_ID, "", sampled=False)
    part = whole.branch()
    assert not whole.kept
    part.keep_for("degraded")
    part.keep_for("late")
    assert (whole.keep, part.keep) == ("degraded", "degraded")
    assert part.parent_id == f"{whole.span_id:016x}"


def traced(trace: Trace) -> Call:
    bare = call(seconds=10)
    return Call(bare.request_id, bare.deadline, bare.started, traceparent=trace.traceparent(), trace=trace)


def test_a_call_passes_on_the_span_that_makes_it() -> None:
    trace = Trace(TRACE_ID, SPAN_ID, sampled=True)
    asked = traced(trace)
    made = asked.until(asked.deadline + 1, 3)
    assert made.deadline == asked.deadline
    assert made.traceparent == trace.traceparent(3) != asked.traceparent
    assert asked.trace_id == made.trace_id == TRACE_ID


def test_a_context_that_nobody_traces_here_goes_on_as_it_came() -> None:
    asked = Call("test", 10.0, 0.0, traceparent=f"00-{TRACE_ID}-{SPAN_ID}-01")
    assert asked.until(5.0, 3).traceparent == asked.traceparent
    assert asked.trace_id == TRACE_ID
    assert call().trace_id == ""
