"""Would catch: text lost, repeated or moved across another event, for a reader at any pace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import InternalError
from tandem.orchestrator.event_log import Event, EventLog, Place
from tandem.v1 import orchestrator_pb2, types_pb2


def text(delta: str) -> Event:
    return Event(text=orchestrator_pb2.TextDelta(delta=delta))


def thought(delta: str) -> Event:
    return Event(reasoning=orchestrator_pb2.ReasoningDelta(delta=delta))


def seam(offset: int) -> Event:
    return Event(seam=orchestrator_pb2.Seam(byte_offset=offset))


def revision(content: str) -> Event:
    return Event(revision=orchestrator_pb2.Revision(text=content))


def finished(text: str = "") -> Event:
    answer = types_pb2.Answer(request_id="one", text=text)
    return Event(finished=orchestrator_pb2.Finished(answer=answer))


def merged(events: list[Event]) -> list[Event]:
    """Return the events with neighbouring deltas of a kind joined."""
    result: list[Event] = []
    for event in events:
        kind = event.WhichOneof("event")
        if result and kind in {"text", "reasoning"} and result[-1].WhichOneof("event") == kind:
            getattr(result[-1], kind).delta += getattr(event, kind).delta
        else:
            result.append(Event.FromString(event.SerializeToString()))
    return result


def read(log: EventLog, place: Place) -> list[Event]:
    found = []
    while (event := log.take(place)) is not None:
        found.append(event)
    return found


_event = st.one_of(
    st.builds(text, st.text(min_size=1, max_size=3)),
    st.builds(thought, st.text(min_size=1, max_size=3)),
    st.builds(seam, st.integers(0, 9)),
    st.builds(revision, st.text(max_size=3)),
)


@given(st.lists(st.tuples(_event, st.sets(st.integers(0, 2))), max_size=30))
def test_every_reader_gets_everything_in_order(steps: list[tuple[Event, set[int]]]) -> None:
    log = EventLog()
    places = [Place() for _ in range(3)]
    seen: list[list[Event]] = [[], [], []]
    for event, readers in steps:
        log.add(event)
        for reader in readers:
            seen[reader] += read(log, places[reader])
    for reader in range(3):
        seen[reader] += read(log, places[reader])
        assert merged(seen[reader]) == merged([event for event, _ in steps])


def test_who_keeps_pace_gets_every_piece_and_who_comes_late_gets_them_joined() -> None:
    log, prompt, late = EventLog(), Place(), Place()
    seen = []
    for delta in ("be", "cau", "se"):
        log.add(text(delta))
        seen += read(log, prompt)
    assert seen == [text("be"), text("cau"), text("se")]
    assert read(log, late) == [text("because")]


def test_a_delta_belongs_to_its_reader() -> None:
    log, first, second = EventLog(), Place(), Place()
    log.add(text("be"))
    taken = read(log, first)[0]
    taken.text.delta += " changed"
    assert read(log, second) == [text("be")]


def test_the_whole_answer() -> None:
    log = EventLog()
    for event in (thought("h"), text("wro"), thought("m"), text("ng"), revision("right"), text("!")):
        log.add(event)
    log.add(finished())
    assert log.answer() == types_pb2.Answer(request_id="one", text="right!")
    assert log.answer() == log.answer()


def test_an_answer_that_came_whole() -> None:
    log = EventLog()
    log.add(finished("because"))
    assert log.answer().text == "because"


@pytest.mark.parametrize("events", [[], [text("be")], [seam(1)]])
def test_an_answer_without_an_end(events: list[Event]) -> None:
    log = EventLog()
    for event in events:
        log.add(event)
    with pytest.raises(InternalError, match="last event"):
        log.answer()
