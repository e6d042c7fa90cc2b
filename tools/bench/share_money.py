"""What 1,000 requests cost under a target of money, while the mix and the length of answers drift."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from share_replay import DEADLINE_SECONDS, MESSAGES, SECONDS_BETWEEN
from share_report import Replay
from share_traffic import Request
from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.clock import now
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.policy import Policy
from tandem.orchestrator.steering import Counted
from tandem.simulation import virtual_time
from tandem.v1 import orchestrator_pb2, types_pb2

MEAN_TOKENS: Final = 200.0
SPREAD: Final = 0.8
"""Standard deviation of the logarithm of an answer's tokens."""
PRO_FACTOR: Final = 1.5
"""Tokens of the strong tier's answers for one of the cheap tier's."""
GROWTH: Final = 1.5
"""Tokens of the last answers for one of the first."""
IN_FLIGHT: Final = 40
"""Requests that begin before one ends."""
SETTLED: Final = 2000
"""Requests that are left out at the start."""


@dataclass(frozen=True, slots=True)
class MoneyRow:
    """How well a cost was held. Errors are percent of the target."""

    scenario: str
    usd_per_1k: float
    """The target."""
    measured_usd_per_1k: float
    """Of all requests but the first 2,000."""
    window_p95: float
    """Error that 95 of 100 windows do not exceed."""
    window_max: float
    share: float


def money_row(replay: Replay, catalogue: Catalogue, policy: Policy) -> MoneyRow:
    """Let the planner route the requests under the policy's target of money, and measure what they cost.

    Windows are those of the replay.
    """
    target, window = policy.routing.target, replay.window
    usd_per_1k = float(target.usd_per_1k or 0) if target else 0.0
    costs, strong = virtual_time.run(_run(catalogue, policy, replay.requests))
    late = costs[SETTLED:] / 10**6
    sums = np.concatenate([[0.0], np.cumsum(late)])
    errors = 100.0 * np.abs((sums[window:] - sums[:-window]) / window / usd_per_1k - 1.0)
    return MoneyRow(
        replay.scenario,
        usd_per_1k,
        float(late.mean()),
        float(np.percentile(errors, 95)),
        float(errors.max()),
        float(strong.mean()),
    )


async def _run(
    catalogue: Catalogue, policy: Policy, requests: Sequence[Request]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    planner, chance = Planner(catalogue, policy, LiveModels(catalogue, policy)), np.random.default_rng(1)
    lengths = MEAN_TOKENS * np.exp(SPREAD * chance.standard_normal(len(requests)) - SPREAD**2 / 2)
    lengths *= np.linspace(1.0, GROWTH, len(requests))
    costs, strong = np.zeros(len(requests)), np.zeros(len(requests), dtype=bool)
    under_way: deque[tuple[Counted, types_pb2.Attempt]] = deque()
    for number, request in enumerate(requests):
        await asyncio.sleep(SECONDS_BETWEEN)
        call = Call(f"replay-{number}", now() + DEADLINE_SECONDS, now(), request.tenant)
        asked = orchestrator_pb2.GenerateRequest(messages=MESSAGES, tier=request.tier)
        planned = planner.plan(asked, request.question.signals, call)
        counted = planner.count(planned)
        target = planned.plan.attempts[0].target
        strong[number] = target.tier == policy.routing.strong
        made = round(lengths[number] * (PRO_FACTOR if strong[number] else 1.0))
        given = request.question.signals.context_tokens
        costs[number] = catalogue.tier(target.tier).price.cost_nano_usd(given, made)
        attempt = types_pb2.Attempt(
            target=target,
            usage=types_pb2.Usage(input_tokens=given, output_tokens=made),
            cost_nano_usd=int(costs[number]),
        )
        if counted:
            under_way.append((counted, attempt))
        if len(under_way) > IN_FLIGHT and planner.steering:
            ended, its = under_way.popleft()
            planner.steering.ended(ended, [its])
    return costs, strong


def money_table(rows: Sequence[MoneyRow]) -> str:
    """Return the rows as Markdown."""
    lines = ["| scenario | target $ | measured $ | p95 error % | max error % | share % |", f"|{'---|' * 6}"]
    lines += [
        f"| {row.scenario} | {row.usd_per_1k:.2f} | {row.measured_usd_per_1k:.4f} | {row.window_p95:.1f} | "
        f"{row.window_max:.1f} | {100 * row.share:.1f} |"
        for row in rows
    ]
    return "\n".join(lines)
