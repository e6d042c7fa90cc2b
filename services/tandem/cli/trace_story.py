"""The story of one request, told from what the ledger has of it. Times are milliseconds from its start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Record = Mapping[str, Any]

WHY: Final = {
    "client": "the client asked for it",
    "rule": "the rule names it",
    "score": "by the probability that R1 suffices",
    "default": "there were no signals, and it is the policy's default",
    "strategy": "the strategy {strategy} names it",
    "worth": "the strategy {strategy} with it is worth most for this request",
    "modality": "the tier that was chosen cannot read every part of the request",
}
"""What chose the models, in words; the keys are those of `ChosenBy` in the contract."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of an attempt's time: `queued`, `first_token` (until it came) or `writing`."""

    what: str
    from_ms: float
    to_ms: float


@dataclass(frozen=True, slots=True)
class Bar:
    """The time of one attempt."""

    position: int
    name: str
    phases: Sequence[Phase]
    allowed_until_ms: float
    answered: bool
    seam: bool
    """Whether it took over from another attempt in the middle of the answer."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, in words for people."""

    at_ms: float
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """The story of one request."""

    taken_for: str
    """What the classifier found. Empty: it found nothing, or was not asked."""
    why: str
    """Why these models. Empty: there was no plan."""
    bars: Sequence[Bar]
    events: Sequence[Event]
    not_as_planned: Sequence[str]
    """In what the answer is less than was planned."""
    left_ms: float
    """What was left of the deadline at the end; negative: it had passed."""


def story_of(request: Record) -> Story:
    """Tell the story of a request, as `tandem.ledger.queries` returns it."""
    attempts: Sequence[Record] = request["attempts"]
    bars = [_bar(attempt) for attempt in attempts]
    events = [
        *_beginning(request),
        *(each for attempt in attempts for each in _events(attempt)),
        _end(request),
    ]
    return Story(
        taken_for=_taken_for(request),
        why=_why(request),
        bars=bars,
        # Sorting keeps the order of what happened at the same time.
        events=sorted(events, key=lambda event: event.at_ms),
        not_as_planned=[_degradation(each) for each in request["degradations"]],
        left_ms=round(request["deadline_ms"] - request["duration_ms"], 3),
    )


def target(tier: str | None, variant: str | None) -> str:
    """Return `tier/variant`."""
    return f"{tier}/{variant}" if tier else "nobody"


def milliseconds(value: float) -> str:
    """Return a time for people."""
    return f"{value:,.0f} ms".replace(",", " ")


def _bar(attempt: Record) -> Bar:
    start, queued, ttft = attempt["started_ms"], attempt["queued_ms"], attempt["ttft_ms"]
    end = start + attempt["duration_ms"]
    first = end if ttft is None else min(start + ttft, end)
    phases = (
        Phase("queued", start - queued, start),
        Phase("first_token", start, first),
        Phase("writing", first, end),
    )
    return Bar(
        position=attempt["position"],
        name=_name(attempt),
        phases=[phase for phase in phases if phase.to_ms > phase.from_ms],
        # The time that an attempt waits for a place is part of what it is allowed.
        allowed_until_ms=start - queued + attempt["allowance_ms"],
        answered=attempt["outcome"] == "answered",
        seam=attempt["seam_byte_offset"] is not None,
    )


def _name(attempt: Record) -> str:
    return f"{_target(attempt)} {attempt['purpose'] or ''}".rstrip()


def _beginning(request: Record) -> Iterator[Event]:
    time = f"to be answered in {milliseconds(request['deadline_ms'])}"
    if request["reserve_ms"]:
        time += f", {milliseconds(request['reserve_ms'])} of it reserved for a fallback"
    yield Event(0.0, "asked", f"{request['method']} of tenant {request['tenant']}, {time}")


def _events(attempt: Record) -> Iterator[Event]:
    name, start = _target(attempt), attempt["started_ms"]
    if attempt["queued_ms"] >= 1.0:
        yield Event(start - attempt["queued_ms"], "queued", f"{name} has no free place")
    yield Event(start, "started", _start(attempt, name))
    if attempt["ttft_ms"] is not None:
        yield Event(start + attempt["ttft_ms"], "first_token", f"first token of {name}")
    yield Event(start + attempt["duration_ms"], "ended", _ended(attempt, name))


def _start(attempt: Record, name: str) -> str:
    allowed = f"may take {milliseconds(attempt['allowance_ms'])}"
    if attempt["seam_byte_offset"] is not None:
        return f"{name} takes over at byte {attempt['seam_byte_offset']} of the text, {allowed}"
    return f"{name} starts ({attempt['purpose'] or 'attempt'}), {allowed}"


def _ended(attempt: Record, name: str) -> str:
    words = (attempt["outcome"] or "unfinished").replace("_", " ")
    reasons = ", ".join(filter(None, (attempt["finish_reason"], attempt["error_reason"])))
    so_far = "" if attempt["usage_settled"] else " so far"
    tokens = f"{attempt['input_tokens']} tokens in, {attempt['output_tokens']} out{so_far}"
    return f"{name}: {words}{f' ({reasons})' if reasons else ''}, {tokens}"


def _end(request: Record) -> Event:
    left = request["deadline_ms"] - request["duration_ms"]
    time = f"{milliseconds(left)} left" if left >= 0 else f"{milliseconds(-left)} after the deadline"
    return Event(request["duration_ms"], "finished", f"{_outcome(request)}; {time}")


def _outcome(request: Record) -> str:
    if request["outcome"] == "cancelled":
        return "the client went away"
    if request["reason"]:
        return f"error {request['reason']}"
    words = f"answered by {target(request['tier'], request['variant'])}"
    if request["cache"] == "hit":
        return f"{words}, from the cache: made for request {request['source_request_id']}"
    if request["cache"] == "shared":
        return f"{words}, shared with request {request['source_request_id']}"
    return words


def _taken_for(request: Record) -> str:
    words = [request[name] for name in ("task", "domain", "language") if request[name]]
    if request["complexity"] is not None:
        words.append(f"complexity {request['complexity']:.1f} of 10")
    if request["r1_suffices"] is not None:
        words.append(f"R1 suffices {request['r1_suffices']:.2f}")
    return ", ".join(words)


def _why(request: Record) -> str:
    planned = request["attempts"]
    if request["chosen_by"] is None:
        return ""
    words = WHY[request["chosen_by"]].format(strategy=request["strategy"])
    if request["threshold"] is not None:
        words += f": {request['r1_suffices'] or 0.0:.2f} against the threshold {request['threshold']:.2f}"
    if request["rule"]:
        words += f"; under the rule {request['rule']}"
    if not planned:
        return words
    first = _target(planned[0])
    wanted = _passed_over(request, first)
    return f"{wanted}: {words}, but {first} in its place from the start" if wanted else f"{first}: {words}"


def _passed_over(request: Record, first: str) -> str:
    """Return what was chosen and never tried, since it was known to be sick or full; empty: the first was chosen."""
    tried = {_target(attempt) for attempt in request["attempts"]}
    for each in request["degradations"]:
        wanted = target(each["from_tier"], each["from_variant"])
        if each["from_tier"] and wanted not in tried and target(each["to_tier"], each["to_variant"]) == first:
            return wanted
    return ""


def _target(attempt: Record) -> str:
    return target(attempt["tier"], attempt["variant"])


def _degradation(degradation: Record) -> str:
    words = (degradation["reason"] or "unknown").replace("_", " ")
    if degradation["from_tier"]:
        words += f" of {target(degradation['from_tier'], degradation['from_variant'])}"
    if degradation["to_tier"]:
        words += f" → {target(degradation['to_tier'], degradation['to_variant'])}"
    if degradation["max_tokens"] is not None:
        words += f", at most {degradation['max_tokens']} tokens"
    return words
