"""How the time of a plan is divided: deadline = margin + reserve + allowance of the first attempt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tandem.errors import DeadlineTooShort, Details
from tandem.orchestrator.cascade_policy import Cascade
from tandem.orchestrator.latency import LEAST_TOKENS
from tandem.orchestrator.live import P95, LiveModel
from tandem.orchestrator.routing import Known
from tandem.v1 import types_pb2


@dataclass(frozen=True, slots=True)
class Form:
    """What all plans have in common that may use the same tiers."""

    plan: types_pb2.Plan
    """Such a plan, without what is its own. It is copied, never changed."""
    fallbacks: Sequence[types_pb2.PlannedFallback]
    """Those of the plan."""
    stand_ins: Mapping[str, Sequence[LiveModel]]
    """By tier, who may answer when one of its models hangs, in the policy's order."""


class Division:
    """The time of one plan, while it is divided."""

    def __init__(
        self, plan: types_pb2.Plan, form: Form, known: Known, prompt_tokens: int, deadline: float
    ) -> None:
        self._plan = plan
        self._form = form
        self._live = known.live
        self._policy = known.policy.deadline
        self._fuse_ms = known.policy.ensemble.fuse_ms
        self._prompt_tokens = prompt_tokens
        self._deadline = deadline
        self._usable_ms = plan.deadline_ms - plan.margin_ms

    def refuse_if_too_short(self, models: Sequence[LiveModel]) -> None:
        """Refuse a deadline in which no model usually gives a token."""
        if any(self._usable_ms >= self._shortest_ms(model) for model in models):
            return
        total_ms = min(map(self._shortest_ms, models)) + self._plan.margin_ms
        granted_ms = self._plan.deadline_ms
        raise DeadlineTooShort(
            f"the deadline leaves {granted_ms:.0f} ms, but the quickest answer needs {total_ms:.0f} ms; "
            f"grant at least {total_ms:.0f} ms",
            Details(metadata={"needed_ms": f"{total_ms:.0f}", "granted_ms": f"{granted_ms:.0f}"}),
        )

    def fits(self, targets: Sequence[types_pb2.Target]) -> bool:
        """Return whether each of several models surely gives the beginning of an answer, one after the other."""
        needed_ms = sum(self._short_ms(self._live.of(target), LEAST_TOKENS) for target in targets)
        return needed_ms <= self._usable_ms

    def divide(self, targets: Sequence[types_pb2.Target]) -> types_pb2.Target:
        """Set the reserve; return who answers first.

        The reserve is for a short answer by the slowest of those who stand in when the first attempt hangs, and of who
        has the second step of a cascade. Where it leaves the first model less time than it is likely to need for its
        first token, a quicker one answers first, unless there is a second step.
        """
        plan, first = self._plan, targets[0]
        if plan.strategy == types_pb2.STRATEGY_ENSEMBLE:
            plan.reserve_ms = min(self._fuse_ms, self._usable_ms / 2)
            return first
        cascade = plan.strategy == types_pb2.STRATEGY_CASCADE
        model = self._live.of(first)
        stand_ins = self._stand_ins(model)
        if cascade:
            stand_ins.append(self._live.of(targets[-1]))
        if not stand_ins:
            return first
        wanted = self._policy.fallback_tokens
        wanted_ms, slowest = max(
            ((self._short_ms(m, wanted), m) for m in stand_ins), key=lambda pair: pair[0]
        )
        reserve_ms = min(wanted_ms, self._usable_ms * self._policy.reserve_share)
        quicker = None if cascade else self._quicker(model, stand_ins, self._usable_ms - reserve_ms)
        if quicker is not None:
            return self.divide([quicker])
        # What would leave the first attempt no time for a token helps nobody.
        plan.reserve_ms = min(reserve_ms, max(0.0, self._usable_ms - self._shortest_ms(model)))
        # The time to the first token is part of what is wanted; what is missing is missing in tokens.
        missing = (wanted_ms - plan.reserve_ms) / slowest.latency.tpot_ms(P95)
        plan.fallback_tokens = max(0, wanted - math.ceil(missing - 1e-6))
        return first

    def allow(self, target: types_pb2.Target, sampling: types_pb2.Sampling) -> None:
        """Plan an attempt with all of the time that is not kept for something else."""
        plan, model = self._plan, self._live.of(target)
        vote = plan.strategy == types_pb2.STRATEGY_ENSEMBLE
        attempt = plan.attempts.add(
            purpose=types_pb2.ATTEMPT_PURPOSE_VOTE if vote else types_pb2.ATTEMPT_PURPOSE_PRIMARY,
            allowance_ms=self._usable_ms - plan.reserve_ms,
            queue_ms=model.admission.wait_ms(self._deadline),
            patience_ms=model.patience_ms(self._prompt_tokens),
        )
        attempt.target.CopyFrom(target)
        attempt.sampling.CopyFrom(sampling)

    def allow_steps(
        self, targets: Sequence[types_pb2.Target], sampling: types_pb2.Sampling, cascade: Cascade
    ) -> None:
        """Plan a draft, its samples, and a second step in what is kept for it at least."""
        draft, strong = targets
        self.allow(draft, sampling)
        for _ in range(cascade.samples):
            self.allow(draft, sampling)
            sample = self._plan.attempts[-1]
            sample.purpose = types_pb2.ATTEMPT_PURPOSE_SAMPLE
            sample.sampling.temperature = max(sample.sampling.temperature, cascade.sample_temperature)
            sample.sampling.ClearField("seed")
        self.allow(strong, sampling)
        second = self._plan.attempts[-1]
        second.purpose, second.allowance_ms = types_pb2.ATTEMPT_PURPOSE_ESCALATION, self._plan.reserve_ms

    def _stand_ins(self, first: LiveModel) -> list[LiveModel]:
        """Return who may answer when a model hangs, in the policy's order.

        No time is kept for one that has to be loaded first, unless there is no other and it can be in time.
        """
        stand_ins = self._form.stand_ins.get(first.target.tier, ())
        able = [model for model in stand_ins if model is not first and model.breaker.admits]
        most_ms = self._usable_ms * self._policy.reserve_share
        awake = [model for model in able if not model.asleep]
        return awake or [model for model in able if self._short_ms(model, LEAST_TOKENS) <= most_ms]

    def _quicker(
        self, first: LiveModel, stand_ins: Sequence[LiveModel], allowance_ms: float
    ) -> types_pb2.Target | None:
        """Return who is quicker than a model that is likely to need longer than its allowance; None: nobody is."""
        needed_ms = self._surely_ms(first, 1)
        if allowance_ms >= needed_ms:
            return None
        within_ms = min(needed_ms, self._usable_ms)
        return next((model.target for model in stand_ins if self._surely_ms(model, 1) < within_ms), None)

    def _shortest_ms(self, model: LiveModel) -> float:
        return model.latency.short_ms(0.5, self._prompt_tokens, 1)

    def _surely_ms(self, model: LiveModel, tokens: int) -> float:
        return model.latency.short_ms(P95, self._prompt_tokens, tokens)

    def _short_ms(self, model: LiveModel, tokens: int) -> float:
        """Return the time in which a model surely gives a short answer, its wait for a place included."""
        return model.admission.wait_ms(self._deadline) + self._surely_ms(model, tokens)
