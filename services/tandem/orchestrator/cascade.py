"""The strategy `cascade`: the cheap tier drafts, a gate judges the draft, the strong tier answers if it does not pass.

Whatever happens to the second step, there is an answer: the draft.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from tandem.clock import now
from tandem.errors import TandemError
from tandem.orchestrator.attempts import Attempts, Backends, Event, Question, Result, deltas, revision
from tandem.orchestrator.cascade_policy import Cascade as CascadePolicy
from tandem.orchestrator.course import Slot
from tandem.orchestrator.gate import Evidence, agreement_of_first, judge
from tandem.orchestrator.latency import LEAST_TOKENS
from tandem.orchestrator.record import CAUSES, Record, outcome_of
from tandem.orchestrator.refinement import with_draft, with_instruction
from tandem.orchestrator.vote import candidate, stop
from tandem.protocols import Fusion
from tandem.v1 import fusion_pb2, orchestrator_pb2, types_pb2

Voice = Result | BaseException


@dataclass(frozen=True, slots=True)
class Steps:
    """What the steps of a cascade work with."""

    policy: CascadePolicy
    backends: Backends
    record: Record
    fusion: Fusion
    """Compares the draft with its samples."""
    fuse_ms: float
    """How long that may take."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What the client sees, and when."""

    streamed: bool
    """False: nothing before the end."""
    revisions: bool
    """Whether what was shown may be taken back."""


class Cascade:
    """One cascade; after `stream`, `result` holds the answer and `verdict` what the gate said.

    Args:
        question: what is asked; its plan is a cascade.
        signals: what the classifier found, or None.
        steps: what the steps work with.
        showing: what the client sees.
    """

    def __init__(
        self, question: Question, signals: types_pb2.Signals | None, steps: Steps, showing: Showing
    ) -> None:
        self._question, self._signals, self._steps, self._showing = question, signals, steps, showing
        self._shows_draft = showing.streamed and showing.revisions and steps.policy.stream == "revise"
        self.result = Result()
        """The answer."""
        self.verdict: types_pb2.GateVerdict | None = None
        """What the gate said; None: it was not asked, since the strong tier had stood in for the cheap one."""

    async def stream(self) -> AsyncGenerator[Event, None]:
        """Yield what the client sees.

        Raises:
            TandemError: the draft failed, and nothing may replace it.
        """
        first, *more = self._question.plan.attempts
        question = self._instructed()
        quiet = Attempts(question, self._steps.backends, self._steps.record, buffered=True)
        attempts = quiet
        if self._shows_draft:
            attempts = Attempts(question, self._steps.backends, self._steps.record, buffered=False)
        samples = [asyncio.create_task(quiet.once(planned)) for planned in more[:-1]]
        try:
            async with aclosing(attempts.stream(first, self.result)) as events:
                async for event in events:
                    if self._shows_draft:
                        yield event
            heard = await asyncio.gather(*samples, return_exceptions=True)
        finally:
            await stop(samples)
        second = None
        if self.result.attempt.target.tier != more[-1].target.tier:
            await self._judge(heard)
            second = self._second(more[-1])
        if second is not None:
            async with aclosing(self._escalate(second)) as events:
                async for event in events:
                    yield event
        elif self._showing.streamed and not self._shows_draft:
            for event in deltas(self.result.text, self.result.reasoning):
                yield event

    def _instructed(self) -> Question:
        """Return the question as the cheap tier gets it."""
        instruction = self._steps.policy.draft_instruction
        if instruction is None:
            return self._question
        messages = with_instruction(self._question.request.messages, instruction)
        return self._question._replace(request=orchestrator_pb2.GenerateRequest(messages=messages))

    async def _judge(self, heard: Sequence[Voice]) -> None:
        """Ask the gate about the draft."""
        attempt, policy = self.result.attempt, self._steps.policy
        samples = [voice for voice in heard if isinstance(voice, Result)]
        evidence = Evidence(
            confidence=attempt.confidence if attempt.HasField("confidence") else None,
            r1_suffices=self._signals.r1_suffices.value if self._signals else None,
            agreement=await self._agreement(samples) if samples else None,
        )
        self.verdict = judge(policy.gate, policy.threshold, evidence)

    async def _agreement(self, samples: Sequence[Result]) -> float | None:
        """Return how far the samples agree with the draft; None if the vote does not tell."""
        request = fusion_pb2.FuseRequest(candidates=map(candidate, (self.result, *samples)))
        if self._signals is not None:
            request.domain, request.task = self._signals.domain.value, self._signals.task.value
        call = self._question.call.until(now() + self._steps.fuse_ms / 1000.0, Slot.FUSE)
        try:
            with self._steps.record.course.phase(Slot.FUSE):
                async with asyncio.timeout_at(call.deadline):
                    return agreement_of_first((await self._steps.fusion.fuse(request, call)).fusion)
        except Exception:  # noqa: BLE001 - whatever is wrong with the vote, the gate has other signals
            return None

    def _second(self, planned: types_pb2.PlannedAttempt) -> _Second | None:
        """Return the second step; None: the draft is the answer, or what can be done in the time that is left."""
        if self.verdict is None or not self.verdict.escalated:
            return None
        second = self._prepared(planned)
        wanted, drafted = planned.sampling.max_tokens, self.result.attempt.usage.output_tokens
        tokens = min(wanted, second.attempts.tokens_in_time(planned.target))
        if tokens < min(wanted, max(drafted, LEAST_TOKENS)):
            draft = self.result.attempt.target
            detail = f"no time was left for {planned.target.tier}, for an answer as long as the draft; it is the answer"
            self._steps.record.degrade(
                types_pb2.DEGRADATION_REASON_DEADLINE, detail, planned.target, to_target=draft
            )
            return None
        second.planned.sampling.max_tokens = tokens
        return second

    def _prepared(self, planned: types_pb2.PlannedAttempt) -> _Second:
        """Return the second step as it would be with all the time that is left."""
        question = self._question
        end = question.call.deadline - question.plan.margin_ms / 1000.0
        attempt, plan = types_pb2.PlannedAttempt(), types_pb2.Plan(margin_ms=question.plan.margin_ms)
        attempt.CopyFrom(planned)
        attempt.allowance_ms = (end - now()) * 1000.0
        plan.attempts.append(planned)
        messages, tokens = self._refined(planned)
        second = Question(
            orchestrator_pb2.GenerateRequest(messages=messages), plan, question.call, tokens, 0.0
        )
        live = self._showing.streamed and self._showing.revisions and not self._shows_draft
        attempts = Attempts(second, self._steps.backends, self._steps.record, buffered=not live)
        return _Second(attempt, attempts, live)

    def _refined(self, planned: types_pb2.PlannedAttempt) -> tuple[Sequence[types_pb2.Message], int]:
        """Return what the strong tier is asked, and its estimated length; without the draft where it has no room."""
        messages, tokens = self._question.request.messages, self._question.prompt_tokens
        if not (self._steps.policy.refine and self.result.text):
            return messages, tokens
        policy, target = self._steps.policy, planned.target
        longer = tokens + self.result.attempt.usage.output_tokens + len(policy.template) // 4
        room = self._steps.backends.catalogue.variant(target.tier, target.variant).context_tokens
        refined = with_draft(messages, policy.template, self.result.text) if longer < room else None
        return (messages, tokens) if refined is None else (refined, longer)

    async def _escalate(self, second: _Second) -> AsyncGenerator[Event, None]:
        """Let the strong tier answer; the draft stays the answer if it fails."""
        answer, shown = Result(), self._shows_draft
        try:
            async with aclosing(second.attempts.alone(second.planned, answer)) as events:
                async for event in events:
                    if second.live:
                        shown = True
                        yield event
            failure = "" if answer.text else f"{second.planned.target.tier} gave an empty answer"
            outcome = types_pb2.ATTEMPT_OUTCOME_ANSWERED
        except TandemError as error:
            failure, outcome = error.message, outcome_of(error)
        if failure:
            reason = CAUSES.get(outcome, types_pb2.DEGRADATION_REASON_ESCALATION_FAILED)
            self._steps.record.degrade(
                reason, failure, second.planned.target, to_target=self.result.attempt.target
            )
        else:
            self.result = answer
        if self._showing.streamed:
            for event in self._last(second, shown=shown, failed=bool(failure)):
                yield event

    def _last(self, second: _Second, *, shown: bool, failed: bool) -> list[Event]:
        """Return what has to be shown after the second step for the client to have the answer."""
        is_there = failed if self._shows_draft else second.live and not failed
        if is_there:
            return []
        return [revision(self.result)] if shown else deltas(self.result.text, self.result.reasoning)


@dataclass(frozen=True, slots=True)
class _Second:
    """The second step."""

    planned: types_pb2.PlannedAttempt
    attempts: Attempts
    live: bool
    """Whether the client sees it as it comes."""
