"""The whole story of a request: cache → classify → plan → attempts → fuse → record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.clock import now
from tandem.orchestrator.attempts import Attempts, Backends, Record, Result
from tandem.orchestrator.cache import AnswerCache, SharedLevel
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.policy import Policy
from tandem.orchestrator.single_flight import Flights
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

    def __init__(
        self, services: Services, catalogue: Catalogue, policy: Policy, shared: SharedLevel | None = None
    ) -> None:
        self._services = services
        self._policy = policy
        self._backends = Backends(services.tiers, catalogue, policy.max_attempts)
        self._planner = Planner(catalogue, policy)
        revision = f"{policy.revision}/{catalogue.revision}"
        self._cache = AnswerCache(policy.cache, revision, shared)
        self._flights = Flights(self._cache.note)

    async def generate(self, request: Request, call: Call) -> types_pb2.Answer:
        """Answer in one message.

        Raises:
            TandemError: as the contract of `OrchestratorService.Generate` lists them.
        """
        key = self._cache.key(request, call.tenant)
        if key is None:
            return await self._answer(request, call, None)
        if hit := self._cache.find(key, call):
            return _stamp(hit, call)
        return await self._flights.answer(key, call, lambda: self._answer(request, call, key))

    def stream_generate(self, request: Request, call: Call) -> AsyncGenerator[Event, None]:
        """Answer as typed events. Raises as `generate`."""
        key = self._cache.key(request, call.tenant)
        if key is None:
            return self._stream(request, call, None)
        if hit := self._cache.find(key, call):
            return _replay(_stamp(hit, call))
        return self._flights.stream(key, call, lambda: self._stream(request, call, key))

    async def forget(self, request_id: str, call: Call) -> bool:
        """Remove from the cache what a request of the same tenant left there or got from there.

        Returns whether there was something.

        Raises:
            BackendUnavailable: the level that replicas share does not answer.
        """
        return await self._cache.forget(request_id, call)

    async def _answer(self, request: Request, call: Call, key: bytes | None) -> types_pb2.Answer:
        if key and (hit := await self._cache.find_shared(key, call)):
            return _stamp(hit, call)
        work = await self._prepare(request, call)
        if work.plan.strategy == types_pb2.STRATEGY_ENSEMBLE:
            result = await work.vote(self._services.fusion)
        else:
            result = await work.attempts.answer(work.plan.attempts[0])
        return self._record(work, result, key)

    async def _stream(self, request: Request, call: Call, key: bytes | None) -> AsyncGenerator[Event, None]:
        if key and (hit := await self._cache.find_shared(key, call)):
            async for event in _replay(_stamp(hit, call)):
                yield event
            return
        work = await self._prepare(request, call)
        yield Event(started=orchestrator_pb2.Started(request_id=call.request_id, plan=work.plan))
        if work.plan.strategy == types_pb2.STRATEGY_ENSEMBLE:
            result = await work.vote(self._services.fusion)
            for event in _deltas(result.text, result.reasoning):
                yield event
        else:
            result = Result(types_pb2.Attempt())
            async with aclosing(work.attempts.stream(work.plan.attempts[0], result)) as events:
                async for event in events:
                    yield event
        yield _finished(self._record(work, result, key))

    async def explain(self, request: Request, call: Call) -> orchestrator_pb2.ExplainResponse:
        """Tell the plan without running it. Raises as `generate`, but no error of a backend."""
        work = await self._prepare(request, call)
        return orchestrator_pb2.ExplainResponse(
            signals=work.signals, plan=work.plan, degradations=work.record.degradations
        )

    async def _prepare(self, request: Request, call: Call) -> _Work:
        record = Record()
        signals = await self._classify(request, call, record)
        plan, less = self._planner.plan(request, signals, call.tenant, call.remaining() * 1000.0)
        record.degradations.extend(less)
        attempts = Attempts(request, plan, call, self._backends, record)
        return _Work(call, signals, plan, record, attempts)

    async def _classify(self, request: Request, call: Call, record: Record) -> types_pb2.Signals | None:
        """Return the signals, or None when the classifier is late or broken: it never delays an answer."""
        end = now() + self._policy.classifier.allowance_ms / 1000.0
        question = classifier_pb2.ClassifyRequest(messages=request.messages)
        try:
            async with asyncio.timeout_at(end):
                return (await self._services.classifier.classify(question, call.until(end))).signals
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the classifier, the answer goes on
            detail = f"the classifier gave no signals: {str(error) or 'it was late'}"
            record.degradations.append(
                types_pb2.Degradation(reason=types_pb2.DEGRADATION_REASON_CLASSIFIER, detail=detail)
            )
            return None

    def _record(self, work: _Work, result: Result, key: bytes | None) -> types_pb2.Answer:
        """Put the answer together and keep it if it may be given again."""
        attempts = work.record.attempts
        answer = types_pb2.Answer(
            text=result.text,
            reasoning=result.reasoning,
            finish_reason=result.attempt.finish_reason,
            answered_by=result.attempt.target,
            usage=types_pb2.Usage(
                input_tokens=sum(a.usage.input_tokens for a in attempts),
                output_tokens=sum(a.usage.output_tokens for a in attempts),
            ),
            cost_nano_usd=sum(a.cost_nano_usd for a in attempts),
            signals=work.signals,
            plan=work.plan,
            attempts=attempts,
            degradations=work.record.degradations,
            cache=types_pb2.CACHE_OUTCOME_MISS if key else types_pb2.CACHE_OUTCOME_BYPASSED,
            fusion=work.fusion,
        )
        if result.attempt.HasField("confidence"):
            answer.confidence = result.attempt.confidence
        first = [a.started_ms + a.ttft_ms for a in attempts if a.HasField("ttft_ms")]
        if first:
            answer.ttft_ms = min(first)
        if key:
            self._cache.keep(key, answer, work.call)
        return _stamp(answer, work.call)


@dataclass(slots=True)
class _Work:
    """One request between its plan and its answer."""

    call: Call
    signals: types_pb2.Signals | None
    plan: types_pb2.Plan
    record: Record
    attempts: Attempts
    fusion: types_pb2.Fusion | None = None

    async def vote(self, fusion: Fusion) -> Result:
        """Run the planned attempts side by side and fuse their answers."""
        vote = Vote(self.attempts, self.record, fusion)
        result = await vote.run(self.plan, self.signals, self.call)
        self.fusion = vote.outcome
        return result


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


async def _replay(answer: types_pb2.Answer) -> AsyncGenerator[Event, None]:
    """Yield the events of an answer from the cache."""
    yield Event(started=orchestrator_pb2.Started(request_id=answer.request_id))
    for event in _deltas(answer.text, answer.reasoning):
        yield event
    yield _finished(answer)
