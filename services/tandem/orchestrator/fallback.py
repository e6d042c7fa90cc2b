"""What answers instead of an attempt that failed: the plan's table, the state of the models, the time that is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tandem.clock import now
from tandem.orchestrator.live import P95, LiveModel, LiveModels
from tandem.orchestrator.record import CAUSES, Record
from tandem.orchestrator.retry_budget import RetryBudget
from tandem.v1 import types_pb2

MOST_TOKENS: Final = 32_768


@dataclass(slots=True)
class Fallbacks:
    """The fallbacks of one request."""

    plan: types_pb2.Plan
    record: Record
    live: LiveModels
    budget: RetryBudget
    prompt_tokens: int
    end: float
    """When the last attempt must end, on the clock of `tandem.clock`."""
    most_attempts: int
    """Attempts of the request, the first included."""

    def after(
        self,
        failed: types_pb2.PlannedAttempt,
        outcome: types_pb2.AttemptOutcome.ValueType,
        tokens_made: int = 0,
    ) -> types_pb2.PlannedAttempt | None:
        """Return the attempt that replaces a failed one; None if nothing may.

        Args:
            failed: what was tried.
            outcome: how it failed.
            tokens_made: tokens of the answer that the client has already seen.
        """
        if len(self.record.attempts) >= self.most_attempts and self._in_a_row() >= self.most_attempts:
            return None
        rows = sorted(self._rows(failed.target, outcome), key=lambda row: self.live.is_suspect(row.target))
        for row in rows:
            # To wait on is better than to leave for a server that seems to be sick.
            if outcome == types_pb2.ATTEMPT_OUTCOME_OVERLOADED and self.live.is_suspect(row.target):
                continue
            model = self.live.of(row.target)
            if not model.breaker.admits or (self.record.attempts and not self.budget.allows):
                continue
            wanted = self.plan.attempts[0].sampling.max_tokens - tokens_made
            if row.HasField("max_tokens"):
                wanted = min(wanted, row.max_tokens)
            tokens = min(wanted, self.tokens_in_time(model))
            if tokens > 0:
                return self._planned(failed, row.target, tokens)
        return None

    def shortest_ms(self, target: types_pb2.Target) -> float:
        """Return the time in which a model usually gives one token at this prompt length."""
        return self.live.of(target).latency.short_ms(0.5, self.prompt_tokens, 1)

    def _rows(
        self, failed: types_pb2.Target, outcome: types_pb2.AttemptOutcome.ValueType
    ) -> Iterator[types_pb2.PlannedFallback]:
        """Yield what may answer instead and was not tried."""
        tried = [attempt.target for attempt in self.record.attempts]
        for row in self.plan.fallbacks:
            if row.on == outcome and row.from_tier == failed.tier and row.target not in (failed, *tried):
                yield row

    def _in_a_row(self) -> int:
        """Return the attempts in a row: a further draft beside the first is none."""
        return sum(each.purpose != types_pb2.ATTEMPT_PURPOSE_SAMPLE for each in self.record.attempts)

    def tokens_in_time(self, model: LiveModel) -> int:
        """Return how many tokens a model makes in the time that is left, at a pace that it surely keeps."""
        left_ms = (self.end - now()) * 1000.0 - model.admission.wait_ms(self.record.call.deadline)
        writing_ms = left_ms - model.latency.ttft_ms(0.5, self.prompt_tokens)
        tokens = int(min(writing_ms / model.latency.tpot_ms(P95), MOST_TOKENS))
        return tokens if tokens > 0 else int(left_ms >= self.shortest_ms(model.target))

    def _planned(
        self, failed: types_pb2.PlannedAttempt, target: types_pb2.Target, tokens: int
    ) -> types_pb2.PlannedAttempt:
        planned = types_pb2.PlannedAttempt(
            target=target,
            purpose=types_pb2.ATTEMPT_PURPOSE_FALLBACK,
            sampling=failed.sampling,
            allowance_ms=(self.end - now()) * 1000.0,
        )
        planned.sampling.max_tokens = tokens
        return planned

    def book(
        self,
        failed: types_pb2.PlannedAttempt,
        planned: types_pb2.PlannedAttempt,
        outcome: types_pb2.AttemptOutcome.ValueType,
        detail: str,
    ) -> None:
        """State that the answer comes from another model than planned, and under which cap."""
        shorter = planned.sampling.max_tokens < failed.sampling.max_tokens
        cap = planned.sampling.max_tokens if shorter else None
        self.record.degrade(CAUSES[outcome], detail, failed.target, planned.target, cap)
