"""One request on its way to an answer: signals, plan, attempts, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.clock import now
from tandem.errors import Cancelled, TandemError
from tandem.orchestrator.attempts import Attempts, Backends, Question, Result, deltas
from tandem.orchestrator.budgets import Verdict
from tandem.orchestrator.cascade import Cascade, Showing, Steps
from tandem.orchestrator.course import Course, Slot
from tandem.orchestrator.planning import Planned, Planner
from tandem.orchestrator.policy import Policy
from tandem.orchestrator.record import Record, add_up
from tandem.orchestrator.refinement import with_instruction
from tandem.orchestrator.steering import Counted
from tandem.orchestrator.vote import Vote, expected_correctness
from tandem.protocols import Classifier, Fusion, Inference
from tandem.v1 import classifier_pb2, orchestrator_pb2, types_pb2

Request = orchestrator_pb2.GenerateRequest
Event = orchestrator_pb2.StreamGenerateResponse


@dataclass(frozen=True, slots=True)
class Services:
    """What the orchestrator calls: in-process cores or gRPC clients."""

    classifier: Classifier
    fusion: Fusion
    tiers: Mapping[str, Inference]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every request is worked on with."""

    services: Services
    catalogue: Catalogue
    policy: Policy
    planner: Planner
    backends: Backends

    @property
    def revision(self) -> str:
        """Stands for the policy and the models."""
        return f"{self.policy.revision}/{self.catalogue.revision}"


class Work:
    """One request, from its arrival to its answer.

    Args:
        workshop: what it is worked on with.
        request: the question; valid by its contract.
        call: who asks, and until when.
        verdict: what the tenant's budget allows.
        course: where it is booked how the request goes.
    """

    def __init__(
        self, workshop: Workshop, request: Request, call: Call, verdict: Verdict, course: Course
    ) -> None:
        self._shop = workshop
        self._request = request
        self._verdict = verdict
        self.call = call
        self.record = Record(call, workshop.catalogue, course=course)
        self.signals: types_pb2.Signals | None = None
        self.planned: Planned | None = None
        self._counted: Counted | None = None
        self._result = Result()
        self._fusion: types_pb2.Fusion | None = None
        self._gate: types_pb2.GateVerdict | None = None

    async def plan(self) -> Planned:
        """Find the signals and make the plan.

        Raises:
            TandemError: as `Planner.plan`; BudgetExhausted if the client names a tier that its budget does not allow.
        """
        cheap = self._shop.policy.routing.cheap
        if self._verdict.cheap_only and self._request.tier not in ("", cheap):
            raise self._verdict.refusal()
        self.signals = await self._classify()
        with self.record.course.phase(Slot.PLAN):
            self.planned = self._shop.planner.plan(
                self._request, self.signals, self.call, self._verdict.detail
            )
        self.record.degradations.extend(self.planned.degradations)
        return self.planned

    async def start(self) -> Planned:
        """Make the plan that is going to be run, and count it. Raises as `plan`."""
        planned = await self.plan()
        self._counted = self._shop.planner.count(planned)
        return planned

    def leave(self) -> None:
        """Tell the live control of the share what was done in the end."""
        if self._counted and self._shop.planner.steering:
            self._shop.planner.steering.ended(self._counted, self.record.attempts)

    def run(self, planned: Planned, buffered: bool) -> AsyncGenerator[Event, None]:
        """Yield what the client sees between the first event and the last; nothing if it is `buffered`.

        Raises:
            TandemError: of the last attempt, when nothing may replace it.
        """
        plan, gain = planned.plan, self.signals.expected_gain.value if self.signals else 0.0
        request = self._request
        if planned.instruction is not None:
            request = Request(messages=with_instruction(request.messages, planned.instruction))
        question = Question(request, plan, self.call, planned.prompt_tokens, gain)
        if plan.strategy == types_pb2.STRATEGY_CASCADE:
            return self._cascade(planned, question, buffered)
        if plan.strategy == types_pb2.STRATEGY_ENSEMBLE:
            return self._vote(planned, question, buffered)
        attempts = Attempts(question, self._shop.backends, self.record, buffered)
        return attempts.stream(plan.attempts[0], self._result)

    async def _vote(
        self, planned: Planned, question: Question, buffered: bool
    ) -> AsyncGenerator[Event, None]:
        """Ask all voices and fuse what they say; the first one is shown at once where that can be taken back."""
        shop, ensemble, plan = self._shop, planned.policy.ensemble, question.plan
        vote = Vote(
            Attempts(question, shop.backends, self.record, buffered=True),
            self.record,
            shop.services.fusion,
            ensemble.fuse_ms,
        )
        if buffered or self._request.no_revisions or ensemble.stream == "hold":
            self._result = await vote.run(plan, self.signals, self.call)
            self._fusion = vote.outcome
            for event in deltas(self._result.text, self._result.reasoning):
                yield event
            return
        leading = Attempts(question, shop.backends, self.record, buffered=False)
        async with aclosing(vote.stream(leading, plan, self.signals, self.call)) as events:
            async for event in events:
                yield event
        self._result, self._fusion = vote.result, vote.outcome

    async def _cascade(
        self, planned: Planned, question: Question, buffered: bool
    ) -> AsyncGenerator[Event, None]:
        """Let the cheap tier draft, and the strong one answer if that does not pass."""
        shop, policy = self._shop, planned.policy
        steps = Steps(
            policy.cascade, shop.backends, self.record, shop.services.fusion, policy.ensemble.fuse_ms
        )
        cascade = Cascade(
            question, self.signals, steps, Showing(not buffered, not self._request.no_revisions)
        )
        async with aclosing(cascade.stream()) as events:
            async for event in events:
                yield event
        self._result, self._gate = cascade.result, cascade.verdict

    def answer(self) -> types_pb2.Answer:
        """Return the answer with everything that led to it, or what there is of one."""
        attempts, result = self.record.attempts, self._result
        answer = types_pb2.Answer(
            request_id=self.call.request_id,
            text=result.text,
            reasoning=result.reasoning,
            finish_reason=result.finish_reason,
            degradations=self.record.degradations,
            fusion=self._fusion,
            duration_ms=self.call.elapsed_ms(),
        )
        # What a constructor is given it writes and reads again, which takes twice as long as a copy.
        answer.answered_by.CopyFrom(result.attempt.target)
        if self.signals is not None:
            answer.signals.CopyFrom(self.signals)
        if self.planned is not None:
            answer.plan.CopyFrom(self.planned.plan)
        for attempt in attempts:
            answer.attempts.add().CopyFrom(attempt)
        add_up(answer)
        if result.attempt.HasField("confidence"):
            answer.confidence = result.attempt.confidence
        expected = expected_correctness(self._fusion) if self._fusion else None
        if expected is not None:
            answer.confidence = expected
        if self._gate is not None:
            answer.gate.CopyFrom(self._gate)
            if result.attempt.purpose != types_pb2.ATTEMPT_PURPOSE_ESCALATION:
                answer.confidence = self._gate.probability
        first = [a.started_ms + a.ttft_ms for a in attempts if a.HasField("ttft_ms")]
        if first:
            answer.ttft_ms = min(first)
        return answer

    async def _classify(self) -> types_pb2.Signals | None:
        """Return the signals, or None when the classifier is late or broken: it never delays an answer."""
        end = now() + self._shop.policy.classifier.allowance_ms / 1000.0
        question = classifier_pb2.ClassifyRequest()
        for message in self._request.messages[:]:
            question.messages.add().CopyFrom(message)
        try:
            with self.record.course.phase(Slot.CLASSIFY):
                asked = self.call.until(end, Slot.CLASSIFY)
                return (await self._shop.services.classifier.classify(question, asked)).signals
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the classifier, the answer goes on
            detail = f"the classifier gave no signals: {error}"
            self.record.degrade(types_pb2.DEGRADATION_REASON_CLASSIFIER, detail)
            return None


def reason_of(error: BaseException) -> str:
    """Return the `ErrorInfo.reason` under which a request that ended with an error is booked."""
    if isinstance(error, TandemError):
        return error.reason
    cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
    return Cancelled("the client went away").reason if cancelled else "INTERNAL"
