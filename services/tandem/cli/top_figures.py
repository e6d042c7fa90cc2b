"""The figures of `tandem top`, from what the orchestrators say of themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.cli.top_scrape import Labels, Replicas, quantile, summed
from tandem.telemetry import metric_names as names

MODEL: Final = ("tier", "variant")
BREAKER_STATES: Final = ("open", "half_open", "closed")
"""The worst first: of several replicas, the worst is told."""
NOT_COUNTED: Final = frozenset(("cancelled", "refused"))
"""Requests that the client ended, or had no right to: they are neither in time nor late."""
IN_TIME: Final = frozenset(("answered", "degraded"))


@dataclass(frozen=True, slots=True)
class Model:
    """One variant of a tier."""

    tier: str
    variant: str
    in_flight: int
    queued: int
    limit: int
    limit_max: int
    breaker: str
    attempts: int
    """Since the start."""
    attempts_per_second: float
    failed_per_second: float
    """Attempts that did not answer, cancelled ones apart."""
    shed_per_second: float
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    tpot_p50_ms: float | None
    output_tokens_per_second: float
    usd_per_hour: float


@dataclass(frozen=True, slots=True)
class Degradation:
    """A way in which answers are less than was planned."""

    reason: str
    from_tier: str
    to_tier: str
    count: int
    """Since the start."""
    per_minute: float


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests, as their clients see them."""

    count: int
    """Since the start, as are the next."""
    by_outcome: Mapping[str, int]
    cache_hits: int
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int
    attempts_by_outcome: Mapping[str, int]
    per_second: float
    in_time_ratio: float | None
    """Of those that count now; None: there were none, as with the next."""
    degraded_ratio: float | None
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    duration_p50_ms: float | None
    duration_p95_ms: float | None
    output_tokens_per_second: float
    usd_per_hour: float


@dataclass(frozen=True, slots=True)
class Share:
    """How the tiers share the requests."""

    measured: Mapping[str, float]
    """Part of the requests that count now which each tier answered, 0 to 1."""
    strong: float | None
    """Part of the last requests for which the strong tier was asked; None, as the next: the policy has no target."""
    target: float | None
    out_of_reach: bool
    threshold: float | None
    configured_threshold: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is shown."""

    since_start: bool
    """Whether rates and quantiles are those since the start; else since the time before."""
    models: Sequence[Model]
    requests: Requests
    share: Share
    degradations: Sequence[Degradation]
    ledger_lag: int
    ledger_dropped: int
    policies: Sequence[str]
    """Revisions of the policy; more than one while it is being changed."""


def figures(replicas: Replicas) -> Figures:
    """Return the figures of now."""
    return Figures(
        since_start=not any(replica.before for replica in replicas.up),
        models=_models(replicas),
        requests=_requests(replicas),
        share=_share(replicas),
        degradations=_degradations(replicas),
        ledger_lag=round(sum(replicas.totals(names.LEDGER_LAG.name).values())),
        ledger_dropped=round(sum(replicas.totals(names.LEDGER_DROPPED.name).values())),
        policies=sorted(_flat(summed(replicas.totals(names.POLICY.name), "revision"))),
    )


def _requests(replicas: Replicas) -> Requests:
    requests, now = replicas.totals(names.REQUESTS.name), replicas.rates(names.REQUESTS.name)
    outcomes = _flat(summed(now, "outcome"))
    counted = sum(rate for outcome, rate in outcomes.items() if outcome not in NOT_COUNTED)
    answered = outcomes["answered"] + outcomes["degraded"] + outcomes["late"]
    tokens = _flat(summed(replicas.totals(names.TOKENS_USED.name), "direction"))
    first, seconds = _merged(replicas, names.FIRST_TOKEN.name), _merged(replicas, names.REQUEST_SECONDS.name)
    return Requests(
        count=round(sum(requests.values())),
        by_outcome=_whole(summed(requests, "outcome")),
        cache_hits=round(summed(replicas.totals(names.CACHE.name), "outcome")[("hit",)]),
        input_tokens=round(tokens["input"]),
        output_tokens=round(tokens["output"]),
        cost_nano_usd=round(sum(replicas.totals(names.COST.name).values()) * 1e9),
        attempts_by_outcome=_whole(summed(replicas.totals(names.ATTEMPTS.name), "outcome")),
        per_second=sum(now.values()),
        in_time_ratio=sum(outcomes[each] for each in IN_TIME) / counted if counted else None,
        degraded_ratio=_degraded(outcomes, answered),
        ttft_p50_ms=_ms(first, 0.5),
        ttft_p95_ms=_ms(first, 0.95),
        duration_p50_ms=_ms(seconds, 0.5),
        duration_p95_ms=_ms(seconds, 0.95),
        output_tokens_per_second=_flat(summed(replicas.rates(names.TOKENS_USED.name), "direction"))["output"],
        usd_per_hour=sum(replicas.rates(names.COST.name).values()) * 3600.0,
    )


def _degraded(outcomes: Mapping[str, float], answered: float) -> float | None:
    return outcomes.get("degraded", 0.0) / answered if answered else None


def _models(replicas: Replicas) -> list[Model]:
    limits = summed(replicas.totals(names.LIMIT.name), *MODEL)
    return [_model(replicas, tier, variant) for tier, variant in sorted(limits)]


def _model(replicas: Replicas, tier: str, variant: str) -> Model:
    def now(name: str) -> int:
        return round(sum(_of(replicas.totals(name), tier, variant).values()))

    def rate(name: str) -> Mapping[Labels, float]:
        return _of(replicas.rates(name), tier, variant)

    attempts = _flat(summed(rate(names.ATTEMPTS.name), "outcome"))
    first = _buckets(rate(f"{names.ATTEMPT_FIRST_TOKEN.name}_bucket"))
    output = _flat(summed(rate(names.TOKENS_USED.name), "direction"))["output"]
    return Model(
        tier=tier,
        variant=variant,
        in_flight=now(names.IN_FLIGHT.name),
        queued=now(names.QUEUED.name),
        limit=now(names.LIMIT.name),
        limit_max=now(names.MOST.name),
        breaker=_breaker(_of(replicas.totals(names.BREAKER.name), tier, variant)),
        attempts=now(names.ATTEMPTS.name),
        attempts_per_second=sum(attempts.values()),
        failed_per_second=sum(
            each for outcome, each in attempts.items() if outcome not in ("answered", "cancelled")
        ),
        shed_per_second=sum(rate(names.SHED.name).values()),
        ttft_p50_ms=_ms(first, 0.5),
        ttft_p95_ms=_ms(first, 0.95),
        tpot_p50_ms=_ms(_buckets(rate(f"{names.ATTEMPT_PER_TOKEN.name}_bucket")), 0.5),
        output_tokens_per_second=output,
        usd_per_hour=sum(rate(names.COST.name).values()) * 3600.0,
    )


def _breaker(states: Mapping[Labels, float]) -> str:
    found = _flat(summed(states, "state"))
    return next((state for state in BREAKER_STATES if found[state] > 0), "closed")


def _share(replicas: Replicas) -> Share:
    outcomes = summed(replicas.rates(names.REQUESTS.name), "tier", "outcome")
    answered: defaultdict[str, float] = defaultdict(float)
    for (tier, outcome), rate in outcomes.items():
        if outcome in IN_TIME or outcome == "late":
            answered[tier] += rate
    everything = sum(answered.values())
    thresholds = summed(replicas.totals(names.THRESHOLD.name), "kind")
    told = len(replicas.up) or 1
    live, configured = thresholds.get(("live",)), thresholds.get(("configured",))
    return Share(
        measured={tier: rate / everything for tier, rate in sorted(answered.items()) if everything},
        strong=_mean(replicas.each(names.SHARE.name)),
        target=_mean(replicas.each(names.SHARE_TARGET.name)),
        out_of_reach=any(replicas.each(names.SHARE_LOST.name)),
        threshold=None if live is None else live / told,
        configured_threshold=None if configured is None else configured / told,
    )


def _degradations(replicas: Replicas) -> list[Degradation]:
    by = ("reason", "from_tier", "to_tier")
    rates = summed(replicas.rates(names.DEGRADATIONS.name), *by)
    found = [
        Degradation(reason, from_tier, to_tier, round(count), rates[reason, from_tier, to_tier] * 60.0)
        for (reason, from_tier, to_tier), count in summed(
            replicas.totals(names.DEGRADATIONS.name), *by
        ).items()
    ]
    return sorted(found, key=lambda each: (-each.count, each.reason))


def _of(counts: Mapping[Labels, float], tier: str, variant: str) -> Mapping[Labels, float]:
    model = {("tier", tier), ("variant", variant)}
    return {labels: value for labels, value in counts.items() if model <= labels}


def _merged(replicas: Replicas, histogram: str) -> dict[float, float]:
    return _buckets(replicas.rates(f"{histogram}_bucket"))


def _buckets(counts: Mapping[Labels, float]) -> dict[float, float]:
    return {float(bound): value for (bound,), value in summed(counts, "le").items()}


def _ms(buckets: Mapping[float, float], part: float) -> float | None:
    seconds = quantile(part, buckets)
    return None if seconds is None else seconds * 1000.0


def _flat(counts: Mapping[tuple[str, ...], float]) -> defaultdict[str, float]:
    return defaultdict(float, {key: value for (key,), value in counts.items()})


def _whole(counts: Mapping[tuple[str, ...], float]) -> dict[str, int]:
    return {key: round(value) for (key,), value in sorted(counts.items()) if value}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
