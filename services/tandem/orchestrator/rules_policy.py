"""The part of the policy that treats some requests otherwise: rules by what was found out about them and who asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tandem.orchestrator.cascade_policy import Instruction, Template
from tandem.orchestrator.routing_policy import TargetName, TenantName
from tandem.orchestrator.value_policy import DomainName
from tandem.yaml_document import Complaint, Location, Section

TaskName = Literal[
    "creative", "factual", "reasoning", "mathematics", "code", "extraction", "translation", "chat"
]
RuleName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9-]{0,63}$")]
Language = Annotated[str, StringConstraints(pattern="^[a-z]{2,3}$")]


class When(Section):
    """Which requests a rule is for: all that is named must hold. A finding with a confidence below 0.5 never does."""

    tenants: tuple[TenantName, ...] = ()
    """One of these asks. Empty: anybody."""
    domains: tuple[DomainName, ...] = ()
    """It is of one of these domains. Empty: any."""
    tasks: tuple[TaskName, ...] = ()
    """It wants one of these done: the names of `sampling.temperature`, such as `extraction`. Empty: any."""
    languages: tuple[Language, ...] = ()
    """It is in one of these languages, such as `zh`. Empty: any."""
    professional: bool | None = None
    """Whether a professional of the domain asks. Absent: either."""
    complexity_from: float | None = Field(default=None, ge=0, le=10)
    """It is at least so complex, 0 to 10. Absent: any."""
    complexity_below: float | None = Field(default=None, ge=0, le=10)
    """It is less complex than this, 0 to 10. Absent: any."""
    context_tokens_from: int | None = Field(default=None, ge=1)
    """The conversation has at least so many tokens, 1 or more, as the classifier estimates them. Absent: any."""


class RuleSampling(Section):
    """How tokens are drawn, in place of `sampling`; what the client sets counts."""

    max_tokens: int | None = Field(default=None, ge=1, le=32_768)
    """In place of `sampling.max_tokens`. Absent: that."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """In place of `sampling.temperature`, whatever the task. Absent: that."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """In place of `sampling.top_p`. Absent: that."""
    top_k: int | None = Field(default=None, ge=1, le=1000)
    """In place of `sampling.top_k`, whoever asks. Absent: that."""


class RuleCascade(Section):
    """How a cascade works, in place of `cascade`."""

    threshold: float | None = Field(default=None, ge=0, le=1)
    """In place of `cascade.threshold`. Absent: that."""
    samples: int | None = Field(default=None, ge=0, le=8)
    """In place of `cascade.samples`. Absent: that."""
    refine: bool | None = None
    """In place of `cascade.refine`. Absent: that."""
    template: Template | None = None
    """In place of `cascade.template`. Absent: that."""
    draft_instruction: Instruction | None = None
    """In place of `cascade.draft_instruction`. Absent: that."""
    stream: Literal["hold", "revise"] | None = None
    """In place of `cascade.stream`. Absent: that."""


class Rule(Section):
    """What is otherwise for some requests. The first rule that a request matches holds for it."""

    name: RuleName
    """Stands in every plan that it made: lower-case letters, digits and hyphens."""
    when: When = When()
    """Which requests it is for. Absent: all that no rule before it is for."""
    strategy: Literal["route", "cascade", "ensemble", "auto"] | None = None
    """In place of `strategy`. Absent: that; a client's own choice counts."""
    tier: TargetName | None = None
    """Under `route`: who answers, whatever the score. Absent: the score decides."""
    voices: tuple[TargetName, ...] | None = Field(default=None, min_length=2, max_length=64)
    """In place of `ensemble.targets`. Absent: those."""
    instruction: Instruction | None = None
    """What every model is told beside the question, 1 to 16384 characters. Absent: nothing."""
    sampling: RuleSampling = RuleSampling()
    """How tokens are drawn."""
    cascade: RuleCascade = RuleCascade()
    """How a cascade works."""
    review: Literal["required"] | None = None
    """`required`: every answer is marked as pending human review. Absent: none is."""


def rule_targets(rules: tuple[Rule, ...]) -> Iterator[tuple[Location, str]]:
    """Yield every target that the rules name, with its place."""
    for index, rule in enumerate(rules):
        if rule.tier is not None:
            yield ("rules", index, "tier"), rule.tier
        for position, name in enumerate(rule.voices or ()):
            yield ("rules", index, "voices", position), name


def check_rules(rules: tuple[Rule, ...], strategy: str) -> Iterator[Complaint]:
    """Yield what is wrong across the rules of a policy whose own strategy is `strategy`."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        place: Location = ("rules", index)
        first = seen.setdefault(rule.name, index)
        if first != index:
            yield Complaint((*place, "name"), f"is already the name of rules[{first}]; give each its own")
        used = rule.strategy or strategy
        if rule.tier is not None and used != "route":
            yield Complaint((*place, "tier"), f"has a meaning under route, and the strategy is {used}")
        if rule.voices is not None and used not in {"ensemble", "auto"}:
            yield Complaint((*place, "voices"), f"has a meaning under ensemble, and the strategy is {used}")
        low, high = rule.when.complexity_from, rule.when.complexity_below
        if low is not None and high is not None and low >= high:
            yield Complaint((*place, "when", "complexity_below"), f"must be above complexity_from, {low:g}")
        if rule.when == When() and index < len(rules) - 1:
            yield Complaint(
                (*place, "when"), "is for all requests, so that no rule after it ever holds; put it last"
            )
