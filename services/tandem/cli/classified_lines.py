"""Signals as JSON, and JSON lines to classify."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, TextIO

from google.protobuf.json_format import MessageToDict

from tandem.classifier.classify import signals_of
from tandem.classifier.judge import Judge
from tandem.cli.explaining import Explainer
from tandem.conversation_json import from_json
from tandem.errors import TandemError
from tandem.modality import name_of
from tandem.v1 import classifier_pb2, orchestrator_pb2, types_pb2

MOST_MESSAGES: Final = 256
"""Longest conversation that the contract allows."""
DIGITS: Final = 4
_FORM: Final = (
    'a line is a JSON string, {"text": "..."} or {"messages": [{"role": "user", "text": "..."}, ...]}'
)


class BadLine(Exception):
    """A line is no request; the message says why."""


def answer_lines(lines: Iterable[bytes], out: TextIO, judge: Judge, explainer: Explainer | None) -> int:
    """Write a JSON object for every line that is not blank; return the exit status."""
    status = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields: dict[str, Any] = {}
        try:
            parsed = _parsed(line)
            fields = _others(parsed)
            request = _request(parsed)
            signals = signals_of(request, judge)
            answer = described(signals, explainer.explain(request, signals) if explainer else None)
        except (BadLine, TandemError) as error:
            status = 1
            answer = {"error": f"line {number}: {error}"}
        out.write(f"{_dumped({**fields, **answer})}\n")
        out.flush()
    return status


def described(
    signals: types_pb2.Signals, explained: orchestrator_pb2.ExplainResponse | None = None
) -> dict[str, Any]:
    """Return signals as a JSON object, with the plan if there is one."""
    professional = signals.professional
    found: dict[str, Any] = {
        "complexity": _found(signals.complexity.value, signals.complexity.confidence),
        "r1_suffices": _found(signals.r1_suffices.value, signals.r1_suffices.confidence),
        "expected_gain": _found(signals.expected_gain.value, signals.expected_gain.confidence),
        "task": _found(_word(types_pb2.Task.Name(signals.task.value)), signals.task.confidence),
        "domain": _found(_word(types_pb2.Domain.Name(signals.domain.value)), signals.domain.confidence),
        "language": _found(signals.language.value, signals.language.confidence),
        "professional": _found(
            professional.value if professional.HasField("value") else "undecided", professional.confidence
        ),
        "modalities": [name_of(modality) for modality in signals.modalities],
        "context_tokens": signals.context_tokens,
        "reasons": list(signals.reasons),
        "artifact_revision": signals.artifact_revision,
    }
    if explained:
        found["plan"] = MessageToDict(explained.plan, preserving_proto_field_name=True)
    return found


def _found(value: float | str | bool, confidence: float) -> dict[str, Any]:
    shown = round(value, DIGITS) if isinstance(value, float) else value
    return {"value": shown, "confidence": round(confidence, DIGITS)}


def _word(name: str) -> str:
    word = name.partition("_")[2].lower()
    return "undecided" if word == "unspecified" else word


def question(text: str) -> classifier_pb2.ClassifyRequest:
    """Return the conversation in which a user says a text."""
    return classifier_pb2.ClassifyRequest(messages=from_json([{"role": "user", "text": text}]))


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadLine(f"it is no JSON: {error}; {_FORM}") from None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _others(parsed: object) -> dict[str, Any]:
    if not isinstance(parsed, Mapping):
        return {}
    return {name: value for name, value in parsed.items() if name not in ("text", "messages")}


def _request(parsed: object) -> classifier_pb2.ClassifyRequest:
    match parsed:
        case str(text):
            return question(text)
        case {"text": _, "messages": _}:
            raise BadLine(f"it has both text and messages; {_FORM}")
        case {"text": str(text)}:
            return question(text)
        case {"messages": list(messages)} if 1 <= len(messages) <= MOST_MESSAGES:
            return _conversation(messages)
        case {"messages": list(messages)}:
            raise BadLine(f"it has {len(messages)} messages; 1 to {MOST_MESSAGES} are allowed")
    raise BadLine(f"it is no request; {_FORM}")


def _conversation(messages: list[object]) -> classifier_pb2.ClassifyRequest:
    try:
        return classifier_pb2.ClassifyRequest(messages=from_json(messages))
    except (TypeError, ValueError) as error:
        raise BadLine(str(error)) from None


def _dumped(answer: Mapping[str, Any]) -> str:
    plain = json.dumps(answer, ensure_ascii=False)
    try:
        plain.encode()
    except UnicodeEncodeError:
        return json.dumps(answer)
    return plain
