"""The whole story of a request: cache → classify → plan → attempts → fuse → record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.clock import now
from tandem.orchestrator.attempts import Attempts, Backends, Question, Result
from tandem.orchestrator.cache import AnswerCache
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planned, Planner
from tandem.orchestrator.policy import Policy
from tandem.orchestrator.record import Record
from tandem.orchestrator.retry_budget import RetryBudget
from tandem.orchestrator.vote import Vote
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


class Orchestrator:
    """Answers requests by one policy and one catalogue."""

    def __init__(self, services: Services, catalogue: Catalogue, policy: Policy) -> None:
        self._services = services
        self._catalogue = catalogue
        self._policy = policy
        self.live = LiveModels(catalogue, policy)
        """What is known of the models now."""
        self._budget = RetryBudget(policy.retry_ratio)
        self._backends = Backends(services.tiers, catalogue, self.live, self._budget, policy.max_attempts)
        self._planner = Planner(catalogue, policy, self.live)
        revision = f"{policy.revision}/{catalogue.revision}"
        self._cache = AnswerCache(policy.cache.entries, policy.cache.max_temperature, revision)

    async def generate(self, request: Request, call: Call) -> types_pb2.Answer:
        """Answer in one message.

        Raises:
            TandemError: as the contract of `OrchestratorService.Generate` lists them.
        """
        key = self._cache.key(request, call.tenant)
        if key and (hit := self._cache.find(key)):
            return _stamp(hit, call)
        work = await self._prepare(request, call)
        async with aclosing(self._run(work, buffered=True)) as events:
            async for _ in events:
                pass
        return self._record(work, key)

    async def stream_generate(self, request: Request, call: Call) -> AsyncGenerator[Event, None]:
        """Answer as typed events. Raises as `generate`."""
        key = self._cache.key(request, call.tenant)
        if key and (hit := self._cache.find(key)):
            for event in _replay(_stamp(hit, call)):
                yield event
            return
        work = await self._prepare(request, call)
        yield Event(started=orchestrator_pb2.Started(request_id=call.request_id, plan=work.planned.plan))
        async with aclosing(self._run(work, buffered=False)) as events:
            async for event in events:
                yield event
        yield _finished(self._record(work, key))

    async def explain(self, request: Request, call: Call) -> orchestrator_pb2.ExplainResponse:
        """Tell the plan without running it. Raises as `generate`, but no error of a backend."""
        work = await self._prepare(request, call)
        return orchestrator_pb2.ExplainResponse(
            signals=work.signals,
            plan=work.planned.plan,
            degradations=work.record.degradations,
            models=self._planner.states(work.planned, call),
        )

    async def _prepare(self, request: Request, call: Call) -> _Work:
        self._budget.request()
        record = Record(call, self._catalogue)
        signals = await self._classify(request, call, record)
        planned = self._planner.plan(request, signals, call)
        record.degradations.extend(planned.degradations)
        return _Work(request, call, signals, planned, record)

    async def _run(self, work: _Work, buffered: bool) -> AsyncGenerator[Event, None]:
        """Yield what the client sees between the first event and the last; `work.result` then has the answer."""
        plan, gain = work.planned.plan, work.signals.expected_gain.value if work.signals else 0.0
        question = Question(work.request, plan, work.call, work.planned.prompt_tokens, gain)
        attempts = Attempts(question, self._backends, work.record, buffered)
        if plan.strategy == types_pb2.STRATEGY_ENSEMBLE:
            vote = Vote(attempts, work.record, self._services.fusion)
            work.result = await vote.run(plan, work.signals, work.call)
            work.fusion = vote.outcome
            for event in _deltas(work.result.text, work.result.reasoning):
                yield event
            return
        async with aclosing(attempts.stream(plan.attempts[0], work.result)) as events:
            async for event in events:
                yield event

    async def _classify(self, request: Request, call: Call, record: Record) -> types_pb2.Signals | None:
        """Return the signals, or None when the classifier is late or broken: it never delays an answer."""
        end = now() + self._policy.classifier.allowance_ms / 1000.0
        question = classifier_pb2.ClassifyRequest(messages=request.messages)
        try:
            async with asyncio.timeout_at(end):
                return (await self._services.classifier.classify(question, call.until(end))).signals
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the classifier, the answer goes on
            detail = f"the classifier gave no signals: {str(error) or 'it was late'}"
            record.degrade(types_pb2.DEGRADATION_REASON_CLASSIFIER, detail)
            return None

    def _record(self, work: _Work, key: bytes | None) -> types_pb2.Answer:
        """Put the answer together and keep it if it may be given again."""
        answer = work.answer()
        answer.cache = types_pb2.CACHE_OUTCOME_MISS if key else types_pb2.CACHE_OUTCOME_BYPASSED
        if key:
            self._cache.keep(key, answer)
        return _stamp(answer, work.call)


class _Work:
    """One request between its plan and its answer."""

    def __init__(
        self,
        request: Request,
        call: Call,
        signals: types_pb2.Signals | None,
        planned: Planned,
        record: Record,
    ) -> None:
        self.request = request
        self.call = call
        self.signals = signals
        self.planned = planned
        self.record = record
        self.result = Result()
        self.fusion: types_pb2.Fusion | None = None

    def answer(self) -> types_pb2.Answer:
        """Return the answer with everything that led to it."""
        attempts, result = self.record.attempts, self.result
        answer = types_pb2.Answer(
            text=result.text,
            reasoning=result.reasoning,
            finish_reason=result.finish_reason,
            answered_by=result.attempt.target,
            usage=types_pb2.Usage(
                input_tokens=sum(a.usage.input_tokens for a in attempts),
                output_tokens=sum(a.usage.output_tokens for a in attempts),
            ),
            cost_nano_usd=sum(a.cost_nano_usd for a in attempts),
            signals=self.signals,
            plan=self.planned.plan,
            attempts=attempts,
            degradations=self.record.degradations,
            fusion=self.fusion,
        )
        if result.attempt.HasField("confidence"):
            answer.confidence = result.attempt.confidence
        first = [a.started_ms + a.ttft_ms for a in attempts if a.HasField("ttft_ms")]
        if first:
            answer.ttft_ms = min(first)
        return answer


def _stamp(answer: types_pb2.Answer, call: Call) -> types_pb2.Answer:
    answer.request_id = call.request_id
    answer.duration_ms = call.elapsed_ms()
    return answer


def _deltas(text: str, reasoning: str) -> list[Event]:
    """Return the events that carry a whole answer."""
    events = []
    if reasoning:
        events.append(Event(reasoning=orchestrator_pb2.ReasoningDelta(delta=reasoning)))
    if text:
        events.append(Event(text=orchestrator_pb2.TextDelta(delta=text)))
    return events


def _finished(answer: types_pb2.Answer) -> Event:
    answer.ClearField("text")
    answer.ClearField("reasoning")
    return Event(finished=orchestrator_pb2.Finished(answer=answer))


def _replay(answer: types_pb2.Answer) -> list[Event]:
    """Return the events of an answer from the cache."""
    started = Event(started=orchestrator_pb2.Started(request_id=answer.request_id))
    return [started, *_deltas(answer.text, answer.reasoning), _finished(answer)]
