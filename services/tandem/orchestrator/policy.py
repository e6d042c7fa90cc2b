"""The policy: the document that turns signals and live state into a plan.

What names tiers has no default, everything else has. The docstring of a field is its reference documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tandem.catalogue import Catalogue, Name
from tandem.errors import UnknownTier, UnknownVariant
from tandem.orchestrator.cascade_policy import Cascade
from tandem.orchestrator.routing_policy import Routing, TargetName, TenantName, check_routing
from tandem.orchestrator.rules_policy import Rule, check_rules, rule_targets
from tandem.orchestrator.telemetry_policy import Telemetry
from tandem.orchestrator.value_policy import Value
from tandem.v1 import types_pb2
from tandem.yaml_document import Complaint, Document, Location, Section, load

Cause = Literal["timeout", "out_of_memory", "unavailable", "overloaded"]
"""A kind of failure that another model can repair."""


class Deadline(Section):
    """How the time of a request is divided."""

    default_ms: int = Field(default=30_000, ge=1)
    """Deadline of a request whose client sets none, in milliseconds; at most `max_ms`."""
    max_ms: int = Field(default=600_000, ge=1)
    """Longest deadline in milliseconds; a client's later one is brought forward to it."""
    margin_ms: float = Field(default=15, ge=0)
    """Milliseconds kept at the end for sending the answer; less than `default_ms`."""
    fallback_tokens: int = Field(default=256, ge=1, le=32_768)
    """Tokens of the short answer for which time is reserved, should the first attempt fail; 1 to 32768."""
    reserve_share: float = Field(default=0.5, ge=0, le=1)
    """Largest part of the time that is reserved for a fallback, 0 (none) to 1."""


class Hang(Section):
    """When an attempt that is silent counts as hung; only while another model could still answer."""

    first_token_ms: float = Field(default=2000, gt=0)
    """Shortest wait for a first token, in milliseconds, above 0."""
    first_token_factor: float = Field(default=3, ge=1)
    """The wait is at least so many times what 99 of 100 attempts need, 1 or above."""
    gap_ms: float = Field(default=1000, gt=0)
    """Shortest wait for the next token, in milliseconds, above 0."""
    gap_factor: float = Field(default=10, ge=1)
    """The wait is at least so many times what a token takes in 99 of 100 attempts, 1 or above."""


class OverloadPolicy(Section):
    """How many requests a model gets at a time, and which of them first."""

    window_ms: float = Field(default=1000, gt=0)
    """After trouble an answer allows one more attempt at a time per Triton and such time, in milliseconds, above 0."""
    starvation_ms: float = Field(default=2000, gt=0)
    """Who waits longer than this comes before all others, in milliseconds, above 0."""
    most_waiting: int = Field(default=1000, ge=0)
    """Most requests that wait for one model; more are refused at once."""


class BreakerPolicy(Section):
    """When requests are kept off a model, and when it gets them again."""

    failures: int = Field(default=5, ge=1, le=20)
    """So many failures in a row, or so many that are two fifths of the last 20, keep requests off it; 1 to 20."""
    pause_ms: float = Field(default=1000, gt=0)
    """For how long, in milliseconds, above 0; doubled each time that the model is still sick."""
    longest_pause_ms: float = Field(default=5000, gt=0)
    """But no longer than this, in milliseconds."""
    probes: int = Field(default=5, ge=1)
    """So many answers in a row to the first requests after a pause, and it gets all of them again."""


class Ensemble(Section):
    """Who votes under the strategy `ensemble`."""

    targets: tuple[TargetName, ...] = Field(min_length=2, max_length=64)
    """2 to 64 voices, each `tier` or `tier/variant`; one named twice answers twice."""
    fuse_ms: float = Field(default=100, gt=0)
    """Longest wait for the vote in milliseconds, above 0; so much is kept from the voices at the end."""
    stream: Literal["lead", "hold"] = "lead"
    """A streamed ensemble: `lead`, the first voice is shown at once, and replaced if it loses; `hold`, it waits."""


class Classifier(Section):
    """How the classifier is asked."""

    allowance_ms: float = Field(default=25, gt=0)
    """Longest wait for signals in milliseconds, above 0; after it the request is undecided."""


Temperature = Annotated[float, Field(ge=0, le=2)]


class Temperatures(Section):
    """Temperature by task, 0 (greedy) to 2."""

    creative: Temperature = 0.8
    """Invented text; 0.7 to 0.9 is usual."""
    factual: Temperature = 0.3
    """A fact or its explanation; 0.2 to 0.5 is usual."""
    reasoning: Temperature = 0.3
    """Several steps of inference."""
    mathematics: Temperature = 0.2
    """Calculation or proof."""
    code: Temperature = 0.2
    """Programs."""
    extraction: Temperature = 0.2
    """What a given text says."""
    translation: Temperature = 0.3
    """From one language to another."""
    chat: Temperature = 0.7
    """Conversation."""
    undecided: Temperature = 0.5
    """When the task is not known with a confidence of at least 0.5."""


class TopK(Section):
    """Number of most likely tokens kept, 1 to 1000."""

    general: int = Field(default=50, ge=1, le=1000)
    """For everybody; 40 to 60 is usual."""
    professional: int = Field(default=25, ge=1, le=1000)
    """When a professional of the domain asks; 20 to 30 is usual."""


class SamplingPolicy(Section):
    """How tokens are drawn where the client leaves it open."""

    max_tokens: int = Field(default=512, ge=1, le=32_768)
    """Cap on generated tokens, reasoning included; 1 to 32768."""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """Probability mass kept, above 0, at most 1."""
    temperature: Temperatures = Temperatures()
    """Temperature by task."""
    top_k: TopK = TopK()
    """Number of most likely tokens kept, by who asks."""


class Fallback(Section):
    """What answers when a tier fails in one way."""

    from_tier: Name = Field(alias="from")
    """The tier that failed."""
    on: Cause
    """How it failed: `timeout`, `out_of_memory`, `unavailable`, or `overloaded` before it was even asked."""
    to: tuple[TargetName, ...] = Field(min_length=1)
    """What may answer instead: the first that the tenant may use, that is untried and that has time."""
    max_tokens: int | None = Field(default=None, ge=1, le=32_768)
    """Cap on the tokens of that answer, 1 to 32768. Absent: as planned for the attempt that failed."""


class Cache(Section):
    """Which answers are kept."""

    entries: int = Field(default=1000, ge=0)
    """Most answers kept in memory; the least recently used goes first. 0: no cache, and nothing is shared."""
    ttl_seconds: float = Field(default=3600, ge=1, le=31_536_000)
    """Seconds that an answer is kept, 1 to 31536000 (a year)."""
    max_temperature: Temperature = 0.5
    """Answers drawn at a higher temperature than this, 0 to 2, are not kept; who asks for one gets it anew."""


class Entitlements(Section):
    """Which tiers a tenant may use, the preferred one first."""

    default: tuple[Name, ...] = Field(min_length=1)
    """Tiers of every tenant that is not listed."""
    tenants: Mapping[TenantName, Annotated[tuple[Name, ...], Field(min_length=1)]] = {}
    """Tiers by tenant, in place of the default."""


class Budget(Section):
    """What a tenant may use up."""

    requests_per_minute: int | None = Field(default=None, ge=1)
    """Requests per minute, 1 or more; as many may come at once. Absent: no limit."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Tokens per minute of prompts and answers together, 1 or more; as many at once. Absent: no limit."""
    usd_per_day: Annotated[Decimal, Field(strict=False, gt=0, le=1_000_000, decimal_places=9)] | None = None
    """US dollars per day in UTC, above 0, at most 1,000,000, with at most 9 decimal places. Absent: no limit."""
    when_exhausted: Literal["refuse", "cheap"] = "refuse"
    """When tokens or money are used up: `refuse`, or `cheap`, which lets `routing.cheap` alone answer."""

    @property
    def nano_usd_per_day(self) -> int | None:
        """Billionths of a US dollar per day; None: no limit."""
        return None if self.usd_per_day is None else int(self.usd_per_day * 10**9)


class BudgetPolicy(Section):
    """What tenants may use up."""

    default: Budget = Budget()
    """Budget of every tenant that is not listed; with API keys one for each of them, without one for all together."""
    tenants: Mapping[TenantName, Budget] = {}
    """Budgets by tenant, in place of the default."""


class Policy(Document):
    """Everything the orchestrator decides by."""

    version: Literal[1]
    """Version of this format: 1."""
    deadline: Deadline = Deadline()
    """How the time of a request is divided."""
    strategy: Literal["route", "cascade", "ensemble", "auto"] = "route"
    """How the tiers are used unless the client says: `route`, `cascade`, `ensemble`, or what is worth most, `auto`."""
    routing: Routing
    """Which tier answers first."""
    rules: tuple[Rule, ...] = Field(default=(), max_length=64)
    """What is otherwise for some requests; the first rule that a request matches holds for it."""
    ensemble: Ensemble
    """Who votes under the strategy `ensemble`."""
    cascade: Cascade = Cascade()
    """How the strategy `cascade` works."""
    value: Value = Value()
    """What a right answer is worth: what the strategy `auto` chooses by."""
    classifier: Classifier = Classifier()
    """How the classifier is asked."""
    sampling: SamplingPolicy = SamplingPolicy()
    """How tokens are drawn where the client leaves it open."""
    fallbacks: tuple[Fallback, ...]
    """What answers when a tier fails. A failure that is not listed is raised to the client."""
    max_attempts: int = Field(default=2, ge=1, le=9)
    """Attempts of a request in a row, the first included, 1 to 9; the voices of an ensemble count as one."""
    retry_ratio: float = Field(default=0.1, gt=0, le=1)
    """When nothing answers: further attempts as a part of all requests, above 0, at most 1."""
    hang: Hang = Hang()
    """When an attempt that is silent counts as hung."""
    overload: OverloadPolicy = OverloadPolicy()
    """How many requests a model gets at a time."""
    breaker: BreakerPolicy = BreakerPolicy()
    """When requests are kept off a model."""
    cache: Cache = Cache()
    """Which answers are kept."""
    entitlements: Entitlements
    """Which tiers a tenant may use."""
    budgets: BudgetPolicy = BudgetPolicy()
    """What a tenant may use up."""
    telemetry: Telemetry = Telemetry()
    """What telemetry may tell of what people and models say."""

    def fallbacks_for(self, tier: str, on: Cause) -> Fallback | None:
        """Return what answers when a tier fails in a way; None: the failure is raised to the client."""
        return next((row for row in self.fallbacks if (row.from_tier, row.on) == (tier, on)), None)

    def tiers_of(self, tenant: str) -> tuple[str, ...]:
        """Return the tiers that a tenant may use, at least one."""
        return self.entitlements.tenants.get(tenant, self.entitlements.default)

    def check(self, catalogue: Catalogue) -> Iterator[Complaint]:
        """Yield what is wrong across fields, and each tier and variant that the catalogue does not have."""
        if self.deadline.default_ms > self.deadline.max_ms:
            yield Complaint(("deadline", "default_ms"), f"must be at most max_ms, {self.deadline.max_ms}")
        if self.deadline.margin_ms >= self.deadline.default_ms:
            yield Complaint(
                ("deadline", "margin_ms"), f"must be below default_ms, {self.deadline.default_ms}"
            )
        if self.strategy == "auto" and self.routing.target:
            yield Complaint(
                ("strategy",),
                "auto weighs the cost of each request and holds no routing.target; remove one of the two",
            )
        yield from check_routing(self.routing, catalogue)
        yield from check_rules(self.rules, self.strategy)
        for location, name in self._names():
            yield from _unknown(location, name, catalogue)
        seen: dict[tuple[str, Cause], int] = {}
        for index, row in enumerate(self.fallbacks):
            first = seen.setdefault((row.from_tier, row.on), index)
            if first != index:
                message = f"{row.from_tier} on {row.on} is already in fallbacks[{first}]; join the two"
                yield Complaint(("fallbacks", index), message)
            yield from _check_targets(("fallbacks", index, "to"), row, catalogue)
        yield from self._check_budgets()

    def _check_budgets(self) -> Iterator[Complaint]:
        """Yield the budgets that leave a tenant to a tier that it may not use."""
        budgets, listed = self.budgets, self.entitlements.tenants
        others = {tenant: tiers for tenant, tiers in listed.items() if tenant not in budgets.tenants}
        default = {"tenants that are not listed": self.entitlements.default, **others}
        yield from _check_budget(("budgets", "default"), budgets.default, self.routing.cheap, default)
        for tenant, budget in budgets.tenants.items():
            tiers = {tenant: self.tiers_of(tenant)}
            yield from _check_budget(("budgets", "tenants", tenant), budget, self.routing.cheap, tiers)

    def _names(self) -> Iterator[tuple[Location, str]]:
        """Yield every tier or target that the document names, with its place."""
        for key in ("cheap", "strong", "undecided"):
            yield ("routing", key), getattr(self.routing, key)
        yield from rule_targets(self.rules)
        yield from _listed(("ensemble", "targets"), self.ensemble.targets)
        for index, row in enumerate(self.fallbacks):
            yield ("fallbacks", index, "from"), row.from_tier
            yield from _listed(("fallbacks", index, "to"), row.to)
        yield from _listed(("entitlements", "default"), self.entitlements.default)
        for tenant, tiers in self.entitlements.tenants.items():
            yield from _listed(("entitlements", "tenants", tenant), tiers)


def load_policy(path: Path, catalogue: Catalogue) -> Policy:
    """Read a policy for a catalogue.

    Raises `DocumentError` with everything that is wrong, and `OSError` if the file cannot be read.
    """
    return load(path, Policy, lambda policy: policy.check(catalogue))


def parse_target(name: str) -> types_pb2.Target:
    """Return the target that `tier` or `tier/variant` names; the variant is empty for the tier's default."""
    tier, _, variant = name.partition("/")
    return types_pb2.Target(tier=tier, variant=variant)


def _listed(location: Location, names: Iterable[str]) -> Iterator[tuple[Location, str]]:
    return (((*location, index), name) for index, name in enumerate(names))


def _unknown(location: Location, name: str, catalogue: Catalogue) -> Iterator[Complaint]:
    target = parse_target(name)
    try:
        catalogue.variant(target.tier, target.variant)
    except (UnknownTier, UnknownVariant) as error:
        yield Complaint(location, error.message)


def _check_targets(location: Location, row: Fallback, catalogue: Catalogue) -> Iterator[Complaint]:
    """Yield the targets of a fallback that can never be the one to answer."""
    known = {name: tier.default_variant for name, tier in catalogue.tiers.items()}
    used = [(row.from_tier, known.get(row.from_tier))]
    for index, name in enumerate(row.to):
        target = parse_target(name)
        variant = target.variant or known.get(target.tier)
        if (target.tier, variant) == used[0]:
            yield Complaint((*location, index), f"{name} is what fails here; name another tier or variant")
        elif (target.tier, variant) in used:
            yield Complaint((*location, index), f"{name} is named before; remove it")
        used.append((target.tier, variant))


def _check_budget(
    location: Location, budget: Budget, cheap: str, tiers: Mapping[str, Iterable[str]]
) -> Iterator[Complaint]:
    """Yield what is wrong with a budget of tenants that may use `tiers`."""
    if budget.when_exhausted == "refuse":
        return
    place = (*location, "when_exhausted")
    if budget.tokens_per_minute is None and budget.usd_per_day is None:
        yield Complaint(place, "needs tokens_per_minute or usd_per_day beside it; add one, or remove this")
    lacking = [tenant for tenant, names in tiers.items() if cheap not in names]
    if lacking:
        message = f"leaves {cheap} to answer, which may not be used by {', '.join(lacking)}; write refuse"
        yield Complaint(place, message)
