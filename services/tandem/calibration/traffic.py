"""Traffic to calibrate on: one JSON object a line, a question to be classified or signals that were found before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tandem.call import Call
from tandem.clock import now
from tandem.conversation_json import from_json
from tandem.orchestrator.routing_policy import decided_domain, decided_language
from tandem.protocols import Classifier
from tandem.v1 import classifier_pb2, types_pb2

PATIENCE_SECONDS: Final = 60.0
"""Longest time that one question may take."""
DOMAIN_PREFIX: Final = "DOMAIN_"


class TrafficError(Exception):
    """A file of traffic cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One request: its score, and what else is known of it."""

    r1_suffices: float
    """Probability, 0 to 1, that the cheap tier suffices."""
    language: str | None = None
    """None: undecided."""
    domain: str | None = None
    """None: undecided."""
    prompt_tokens: int | None = None
    r1_right: float | None = None
    """How right the cheap tier's answer was, 0 to 1; None: not known."""
    pro_right: float | None = None
    """The same of the strong tier's."""


def read_traffic(file: Path, classifier: Classifier) -> list[Scored]:
    """Read a file of traffic; what brings no signals goes through the classifier.

    Raises:
        TrafficError: a line is not what it should be, or there is none.
        OSError: the file cannot be read.
    """
    return asyncio.run(_read(file, classifier))


async def _read(file: Path, classifier: Classifier) -> list[Scored]:
    found = []
    with file.open("rb") as lines:
        for number, value in _objects(lines, file):
            try:
                found.append(await _scored(value, classifier))
            except (TypeError, ValueError) as error:
                raise TrafficError(f"{file}:{number}: {error}") from None
    if not found:
        raise TrafficError(f"{file} has no requests; give one JSON object a line")
    return found


def _objects(lines: Iterable[bytes], file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise TrafficError(f"{file}:{number}: is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise TrafficError(f'{file}:{number}: must be an object such as {{"text": "…"}}')
        yield number, value


async def _scored(value: dict[str, Any], classifier: Classifier) -> Scored:
    signals = value.get("signals", value)
    if isinstance(signals, dict) and "r1_suffices" in signals:
        scored = _from_signals(signals)
    else:
        scored = from_found(await _classify(_messages(value), classifier))
    return replace(scored, r1_right=_outcome(value, "r1_right"), pro_right=_outcome(value, "pro_right"))


def _messages(value: dict[str, Any]) -> list[types_pb2.Message]:
    if "messages" in value:
        return from_json(value["messages"])
    if not isinstance(value.get("text"), str):
        raise TypeError("needs text, messages, or the signals of `tandem classify --jsonl`")
    return from_json([{"role": "user", "text": value["text"]}])


async def _classify(messages: Sequence[types_pb2.Message], classifier: Classifier) -> types_pb2.Signals:
    call = Call("calibrate", now() + PATIENCE_SECONDS, now())
    return (await classifier.classify(classifier_pb2.ClassifyRequest(messages=messages), call)).signals


def from_found(signals: types_pb2.Signals) -> Scored:
    """Return what the classifier found in a request."""
    return Scored(
        signals.r1_suffices.value, decided_language(signals), decided_domain(signals), signals.context_tokens
    )


def _from_signals(signals: dict[str, Any]) -> Scored:
    """Return what a line of `tandem classify --jsonl` says."""
    return from_found(
        types_pb2.Signals(
            r1_suffices=types_pb2.ScoreSignal(value=_score(signals["r1_suffices"])),
            language=types_pb2.LanguageSignal(
                value=str(_part(signals, "language", "value", "")),
                confidence=_confidence(signals, "language"),
            ),
            domain=types_pb2.DomainSignal(
                value=_domain(str(_part(signals, "domain", "value", ""))),
                confidence=_confidence(signals, "domain"),
            ),
            context_tokens=int(signals.get("context_tokens", 0)),
        )
    )


def _part(signals: dict[str, Any], name: str, key: str, default: object) -> object:
    """Return a part of a finding, which may be given as its bare value."""
    found = signals.get(name)
    if isinstance(found, dict):
        return found.get(key, default)
    return default if found is None or key != "value" else found


def _confidence(signals: dict[str, Any], name: str) -> float:
    given = _part(signals, name, "confidence", 1.0)
    return float(given) if isinstance(given, int | float) else 1.0


def _score(found: object) -> float:
    score = found.get("value", 0.0) if isinstance(found, dict) else found  # JSON leaves out a zero
    if not isinstance(score, int | float) or not 0.0 <= score <= 1.0:
        raise ValueError(f"r1_suffices must be a number from 0 to 1 (got {score!r})")
    return float(score)


def _domain(word: str) -> types_pb2.Domain.ValueType:
    name = word.upper() if word.upper().startswith(DOMAIN_PREFIX) else f"{DOMAIN_PREFIX}{word.upper()}"
    known = types_pb2.Domain.keys()
    return types_pb2.Domain.Value(name) if name in known else types_pb2.DOMAIN_UNSPECIFIED


def _outcome(value: dict[str, Any], key: str) -> float | None:
    outcome = value.get(key)
    if outcome is None:
        return None
    if not isinstance(outcome, bool | int | float) or not 0 <= outcome <= 1:
        raise ValueError(f"{key} must be true, false, or a number from 0 to 1 (got {outcome!r})")
    return float(outcome)
