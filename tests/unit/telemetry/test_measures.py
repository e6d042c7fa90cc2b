"""Would catch a label with too many values, lost events, and a wrong distribution or exemplar.

The library's own histogram and its parsers say what is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from prometheus_client.registry import Collector

from tandem.telemetry.measures import OTHER, Bounded, Facts, counter, gauge, info, sampled_trace, words
from tandem.telemetry.metric_names import Metric
from tandem.v1 import types_pb2

COUNT = Metric("tandem_things_total", "counter", "Things.", ("kind",))
BUCKETS = (0.1, 0.5, 1.0)
TIMES = Metric("tandem_thing_seconds", "histogram", "Times.", ("kind",), BUCKETS)
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Telling(Collector):
    """Tells given families."""

    def __init__(self, *families: Family) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def registry(*families: Family) -> CollectorRegistry:
    found = CollectorRegistry()
    found.register(Telling(*families))
    return found


def samples(*families: Family) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_latest(registry(*families)).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


@given(
    most=st.integers(1, 8),
    known=st.sets(st.sampled_from("abc"), max_size=1),
    values=st.lists(st.text(max_size=2), max_size=40),
)
def test_a_label_has_no_more_values_than_allowed_and_one_for_the_rest(
    most: int, known: set[str], values: list[str]
) -> None:
    bounded, seen = Bounded(most, known), [*values, *known]
    told = [bounded.of(value) for value in seen]
    assert len({*told} - {OTHER}) <= most
    for value, label in zip(seen, told, strict=True):
        assert label in (value, OTHER)
    # Once told apart, always told apart: a counter never moves to another label.
    assert [bounded.of(value) for value in seen if value in told] == [
        value for value in seen if value in told
    ]
    assert all(bounded.of(name) == name for name in known)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 2**40))))
def test_counts_and_sums_under_fewer_labels_are_those_of_all_events(
    events: list[tuple[str, str, int]],
) -> None:
    facts = Facts(("kind", "other"))
    for kind, other, number in events:
        facts.note((kind, other), number)
    expected = Counter(kind for kind, _, _ in events)
    assert samples(facts.counts(COUNT)) == {
        ("tandem_things_total", (("kind", kind),)): value for kind, value in expected.items()
    }
    sums: Counter[str] = Counter()
    for kind, _, number in events:
        sums[kind] += number
    assert samples(facts.sums(COUNT)) == {
        ("tandem_things_total", (("kind", kind),)): sums[kind] for kind in expected
    }


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.5, 0.99, 1.0, 7.0])))
)
def test_a_distribution_is_what_the_librarys_own_histogram_tells(seen: list[tuple[str, float]]) -> None:
    facts, own = Facts(("kind",), BUCKETS), CollectorRegistry()
    histogram = Histogram(TIMES.name, TIMES.help, ["kind"], registry=own, buckets=BUCKETS)
    for kind, value in seen:
        facts.note((kind,), value)
        histogram.labels(kind).observe(value)
    expected = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(generate_latest(own).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    assert samples(facts.distribution(TIMES)) == expected


def test_exemplars_name_the_trace_at_the_bucket_that_it_was_in() -> None:
    facts = Facts(("kind",), BUCKETS)
    facts.note(("a",), 0.05)
    facts.note(("a",), 0.7, TRACE)
    facts.note(("b",), 0.7)
    text = openmetrics(registry(facts.distribution(TIMES), facts.counts(COUNT))).decode()
    found = [
        (sample.name, sample.labels, sample.exemplar)
        for family in parse_openmetrics(text)
        for sample in family.samples
        if sample.exemplar
    ]
    assert [(name, labels) for name, labels, _ in found] == [
        ("tandem_thing_seconds_bucket", {"kind": "a", "le": "1.0"}),
        ("tandem_things_total", {"kind": "a"}),
    ]
    assert all(exemplar.labels == {"trace_id": TRACE} and exemplar.value == 0.7 for _, _, exemplar in found)


def test_only_a_trace_that_is_recorded_is_named() -> None:
    assert sampled_trace(f"00-{TRACE}-b7ad6b7169203331-01") == TRACE
    assert sampled_trace(f"00-{TRACE}-b7ad6b7169203331-03") == TRACE
    assert sampled_trace(f"01-{TRACE}-b7ad6b7169203331-01-of-a-later-version") == TRACE
    assert not sampled_trace(f"00-{TRACE}-b7ad6b7169203331-00")
    assert not sampled_trace("")


def test_numbers_of_an_enum_are_told_in_words() -> None:
    outcomes = words(types_pb2.AttemptOutcome, "ATTEMPT_OUTCOME_")
    facts = Facts(("kind",), spelled={"kind": outcomes})
    facts.note((types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY,))
    facts.note((0,))
    facts.note((77,))
    assert samples(facts.counts(COUNT)) == {
        ("tandem_things_total", (("kind", "out_of_memory"),)): 1.0,
        ("tandem_things_total", (("kind", "none"),)): 2.0,
    }


def test_what_others_know_is_told_as_it_is() -> None:
    found = samples(
        counter(COUNT, {("a",): 3}),
        gauge(Metric("tandem_level", "gauge", "A level.", ()), {(): 0.25}),
        info(Metric("tandem_thing_info", "info", "A thing.", ("revision",)), "1f"),
    )
    assert found == {
        ("tandem_things_total", (("kind", "a"),)): 3.0,
        ("tandem_level", ()): 0.25,
        ("tandem_thing_info", (("revision", "1f"),)): 1.0,
    }
