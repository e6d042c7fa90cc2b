"""A question's candidates as the rules see them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.fusion.grouping import Group, grouped
from tandem.fusion.normalise import Kind, Normal, Wanted, normalise
from tandem.v1 import fusion_pb2, types_pb2

KINDS: Final = {
    types_pb2.ANSWER_FORM_UNSPECIFIED: None,
    types_pb2.ANSWER_FORM_CHOICE: Kind.CHOICE,
    types_pb2.ANSWER_FORM_BOOLEAN: Kind.BOOLEAN,
    types_pb2.ANSWER_FORM_NUMBER: Kind.NUMBER,
    types_pb2.ANSWER_FORM_LABEL: Kind.LABEL,
    types_pb2.ANSWER_FORM_SET: Kind.SET,
    types_pb2.ANSWER_FORM_JSON: Kind.JSON,
    types_pb2.ANSWER_FORM_CODE: Kind.CODE,
    types_pb2.ANSWER_FORM_SHORT_TEXT: Kind.TEXT,
    types_pb2.ANSWER_FORM_LONG_TEXT: Kind.LONG,
    types_pb2.ANSWER_FORM_EXACT: Kind.EXACT,
}


@dataclass(frozen=True, slots=True)
class Cast:
    """What was said: by whom, in which form, and who said the same."""

    voices: tuple[str, ...]
    forms: tuple[Normal, ...]
    confidences: tuple[float | None, ...]
    groups: tuple[Group, ...]
    contexts: tuple[str, ...]

    @property
    def speaking(self) -> frozenset[str]:
        """The voices that say anything."""
        return frozenset(self.voices[at] for group in self.groups for at in group.members)

    @property
    def is_long(self) -> bool:
        """Whether most of what is usable is long text, which no two say in the same words."""
        kinds = [form.kind for form in self.forms if form.kind is not Kind.NOTHING]
        return 2 * kinds.count(Kind.LONG) > len(kinds)


def cast(request: fusion_pb2.FuseRequest, known: Collection[str]) -> Cast:
    """Read a request; `known` are the voices that something was learned of."""
    wanted = _wanted(request)
    forms = tuple(normalise(candidate.text, wanted) for candidate in request.candidates)
    return Cast(
        voices=tuple(_voice(candidate.target, known) for candidate in request.candidates),
        forms=forms,
        confidences=tuple(
            candidate.confidence if candidate.HasField("confidence") else None
            for candidate in request.candidates
        ),
        groups=tuple(grouped(forms, request.relative_tolerance)),
        contexts=contexts(request.domain, request.task, request.category),
    )


def contexts(
    domain: types_pb2.Domain.ValueType, task: types_pb2.Task.ValueType, category: str
) -> tuple[str, ...]:
    """Return the names of what is known of a question, the coarsest first."""
    found = []
    if domain:
        found.append(f"domain {_name(types_pb2.Domain.Name(domain))}")
    if task:
        found.append(f"task {_name(types_pb2.Task.Name(task))}")
    if category:
        found.append(f"category {category}")
    return tuple(found)


def _name(value: str) -> str:
    return value.partition("_")[2].lower()


def _voice(target: types_pb2.Target, known: Collection[str]) -> str:
    variant = f"{target.tier}/{target.variant}"
    return variant if variant in known else target.tier


def _wanted(request: fusion_pb2.FuseRequest) -> Wanted:
    kind = KINDS[request.form]
    if kind is None and request.task == types_pb2.TASK_CODE and _any_fence(request.candidates):
        kind = Kind.CODE
    mathematics = request.task == types_pb2.TASK_MATHEMATICS
    return Wanted(kind, tuple(request.labels), numeric=mathematics, exact=mathematics)


def _any_fence(candidates: Sequence[fusion_pb2.Candidate]) -> bool:
    return any("```" in candidate.text for candidate in candidates)
