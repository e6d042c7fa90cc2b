"""Which rule of the policy a request matches, and the policy as it is under that rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tandem.orchestrator.policy import Policy, Temperatures, TopK
from tandem.orchestrator.routing_policy import DECIDED_CONFIDENCE, decided_domain, decided_language
from tandem.orchestrator.rules_policy import Rule, When
from tandem.v1 import types_pb2
from tandem.yaml_document import Section

_NOTHING = types_pb2.Signals()


@dataclass(frozen=True, slots=True)
class Ruled:
    """A rule, and the policy as it is under it."""

    rule: Rule
    policy: Policy


class Rules:
    """The rules of a policy."""

    def __init__(self, policy: Policy) -> None:
        self.all = [Ruled(rule, under(policy, rule)) for rule in policy.rules]
        """Each with its policy, in their order."""

    def match(self, signals: types_pb2.Signals | None, tenant: str) -> Ruled | None:
        """Return the first rule that holds for a request; None: none does."""
        return next((each for each in self.all if holds(each.rule.when, signals, tenant)), None)


def holds(when: When, signals: types_pb2.Signals | None, tenant: str) -> bool:
    """Return whether everything that is named holds; what is undecided never does."""
    found = signals or _NOTHING
    context = when.context_tokens_from
    return (
        (not when.tenants or tenant in when.tenants)
        and (not when.domains or decided_domain(found) in when.domains)
        and (not when.tasks or _decided_task(found) in when.tasks)
        and (not when.languages or decided_language(found) in when.languages)
        and (when.professional is None or _decided_professional(found) == when.professional)
        and _is_between(found, when.complexity_from, when.complexity_below)
        and (context is None or found.context_tokens >= context)
    )


def under(policy: Policy, rule: Rule) -> Policy:
    """Return a policy as it is under a rule."""
    sampling = rule.sampling
    drawn: dict[str, object] = _named(sampling)
    if sampling.temperature is not None:
        drawn["temperature"] = Temperatures(**dict.fromkeys(Temperatures.model_fields, sampling.temperature))
    if sampling.top_k is not None:
        drawn["top_k"] = TopK(general=sampling.top_k, professional=sampling.top_k)
    voices = {} if rule.voices is None else {"targets": rule.voices}
    changed: dict[str, object] = {
        "sampling": policy.sampling.model_copy(update=drawn),
        "cascade": policy.cascade.model_copy(update=_named(rule.cascade)),
        "ensemble": policy.ensemble.model_copy(update=voices),
    }
    if rule.strategy is not None:
        changed["strategy"] = rule.strategy
    return policy.model_copy(update=changed)


def _named(section: Section) -> dict[str, object]:
    """Return the fields of a section that are there."""
    fields: Mapping[str, object] = dict(section)
    return {name: value for name, value in fields.items() if value is not None}


def _decided_task(found: types_pb2.Signals) -> str | None:
    task = found.task
    if task.value == types_pb2.TASK_UNSPECIFIED or task.confidence < DECIDED_CONFIDENCE:
        return None
    return types_pb2.Task.Name(task.value).removeprefix("TASK_").lower()


def _decided_professional(found: types_pb2.Signals) -> bool | None:
    professional = found.professional
    decided = professional.HasField("value") and professional.confidence >= DECIDED_CONFIDENCE
    return professional.value if decided else None


def _is_between(found: types_pb2.Signals, low: float | None, high: float | None) -> bool:
    if low is None and high is None:
        return True
    complexity = found.complexity.value
    return (
        found.HasField("complexity")
        and (low is None or complexity >= low)
        and (high is None or complexity < high)
    )
