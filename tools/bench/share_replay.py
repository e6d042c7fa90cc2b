"""Lets the orchestrator's planner, with and without a target, and an oracle route the requests of a replay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from share_traffic import Request
from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.clock import now
from tandem.conversation_json import from_json
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.policy import Policy
from tandem.orchestrator.routing_policy import Target
from tandem.simulation import virtual_time
from tandem.v1 import orchestrator_pb2

DEADLINE_SECONDS: Final = 30.0
SECONDS_BETWEEN: Final = 0.01
MESSAGES: Final = from_json([{"role": "user", "text": "?"}])
"""What is asked is not looked at: the signals come with the request."""


@dataclass(frozen=True, slots=True)
class Routed:
    """What became of the requests, each shape (requests,)."""

    strong: NDArray[np.bool_]
    """Whether the strong tier is asked."""
    threshold: NDArray[np.float64]
    """In force for each request; where none decided, the one before."""


def with_policy(base: Policy, threshold: float, target: Target | None) -> Policy:
    """Return a policy with a threshold, a target or none, and a tenant without the strong tier."""
    routing = base.routing.model_copy(update={"threshold": threshold, "target": target})
    tenants = {**base.entitlements.tenants, "without": (base.routing.cheap,)}
    entitlements = base.entitlements.model_copy(update={"tenants": tenants})
    return base.model_copy(update={"routing": routing, "entitlements": entitlements})


def by_planner(catalogue: Catalogue, policy: Policy, requests: Sequence[Request]) -> Routed:
    """Return how the planner routes the requests, one after the other."""
    return virtual_time.run(_by_planner(catalogue, policy, requests))


async def _by_planner(catalogue: Catalogue, policy: Policy, requests: Sequence[Request]) -> Routed:
    planner = Planner(catalogue, policy, LiveModels(catalogue, policy))
    strong, threshold = np.zeros(len(requests), dtype=bool), np.zeros(len(requests))
    latest = policy.routing.threshold
    for number, request in enumerate(requests):
        await asyncio.sleep(SECONDS_BETWEEN)
        asked = orchestrator_pb2.GenerateRequest(messages=MESSAGES, tier=request.tier)
        call = Call(f"replay-{number}", now() + DEADLINE_SECONDS, now(), request.tenant)
        planned = planner.plan(asked, request.question.signals, call)
        planner.count(planned)
        strong[number] = planned.plan.attempts[0].target.tier == policy.routing.strong
        if planned.plan.share_control.HasField("threshold"):
            latest = planned.plan.share_control.threshold
        threshold[number] = latest
    return Routed(strong, threshold)


def by_oracle(requests: Sequence[Request], share: float, window: int) -> Routed:
    """Return how one routes who knows the scores of each window in advance, ties broken by lot."""
    strong, threshold = np.zeros(len(requests), dtype=bool), np.zeros(len(requests))
    chance = np.random.default_rng(0)
    for start in range(0, len(requests), window):
        part = requests[start : start + window]
        scores = np.array([each.question.signals.r1_suffices.value for each in part])
        named = np.array([bool(each.tier) for each in part])
        free = ~named & np.array([each.tenant != "without" for each in part])
        wanted = min(int(free.sum()), max(0, round(share * len(part)) - int(named.sum())))
        order = np.lexsort((chance.random(len(part)), np.where(free, scores, np.inf)))
        chosen = named.copy()
        chosen[order[:wanted]] = True
        strong[start : start + window] = chosen
        threshold[start : start + window] = scores[order[min(wanted, len(part) - 1)]]
    return Routed(strong, threshold)
