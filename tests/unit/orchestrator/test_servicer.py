"""Would catch: events merged across a seam, or of different kinds."""

from __future__ import annotations

import itertools

import pytest

from tandem.orchestrator.servicer import Event, merge
from tandem.v1 import orchestrator_pb2

EVENTS = {
    "started": Event(started=orchestrator_pb2.Started(request_id="one")),
    "reasoning": Event(reasoning=orchestrator_pb2.ReasoningDelta(delta="r")),
    "text": Event(text=orchestrator_pb2.TextDelta(delta="t")),
    "seam": Event(seam=orchestrator_pb2.Seam(byte_offset=1)),
    "revision": Event(revision=orchestrator_pb2.Revision(text="x")),
    "finished": Event(finished=orchestrator_pb2.Finished()),
}


def test_every_kind_of_event_is_tried() -> None:
    assert set(EVENTS) == {field.name for field in Event.DESCRIPTOR.oneofs_by_name["event"].fields}


@pytest.mark.parametrize(("earlier", "later"), list(itertools.product(EVENTS, EVENTS)))
def test_only_deltas_of_one_kind_merge(earlier: str, later: str) -> None:
    first = Event.FromString(EVENTS[earlier].SerializeToString())
    merged = merge(first, EVENTS[later])
    assert merged == (earlier == later and earlier in {"reasoning", "text"})
    if merged:
        assert getattr(first, earlier).delta == EVENTS[earlier].SerializeToString()[-1:].decode() * 2
    else:
        assert first == EVENTS[earlier]
