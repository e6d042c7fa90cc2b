"""The whole story of a request: budget → cache → classify → plan → attempts → fuse → record."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.errors import TandemError
from tandem.orchestrator.attempts import Backends, deltas
from tandem.orchestrator.bookkeeping import Bookkeeper
from tandem.orchestrator.budgets import Budgets, Verdict
from tandem.orchestrator.cache import AnswerCache, SharedLevel
from tandem.orchestrator.course import Course, Slot
from tandem.orchestrator.ended import Ended
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.policy import Policy
from tandem.orchestrator.retry_budget import RetryBudget
from tandem.orchestrator.single_flight import Flights
from tandem.orchestrator.work import Event, Request, Services, Work, Workshop, reason_of
from tandem.v1 import inference_pb2, orchestrator_pb2, types_pb2

PENDING: Final = types_pb2.REVIEW_STATUS_PENDING_HUMAN_REVIEW


@dataclass(frozen=True, slots=True)
class Keeping:
    """What outlives a request."""

    budgets: Budgets
    bookkeeper: Bookkeeper
    shared: SharedLevel | None = None
    """The cache of all replicas; None: there is none."""


@dataclass(slots=True)
class _Asked:
    """A request that was admitted."""

    request: Request
    call: Call
    method: str
    verdict: Verdict
    key: bytes | None
    """Its place in the cache; None: it bypasses the cache."""
    shop: Workshop
    """What it is worked on with, to its end, whatever policy comes meanwhile."""
    course: Course = field(default_factory=Course)
    booked: bool = False
    """True when its books are closed, or will be with the work on it."""


class _Working:
    """The work on a request, as a context; its books are closed if it fails, however it does."""

    __slots__ = ("_asked", "_close", "_work")

    def __init__(self, close: Callable[[_Asked, types_pb2.Answer, str], None], asked: _Asked) -> None:
        asked.booked = True
        self._asked, self._close = asked, close
        self._work = Work(asked.shop, asked.request, asked.call, asked.verdict, asked.course)

    def __enter__(self) -> Work:
        return self._work

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                self._close(self._asked, self._work.answer(), reason_of(error))
        finally:
            self._work.leave()


class Orchestrator:
    """Answers requests, each by one policy and one catalogue from its beginning to its end."""

    def __init__(self, services: Services, catalogue: Catalogue, policy: Policy, keeping: Keeping) -> None:
        self._services = services
        self._retries = RetryBudget(policy.retry_ratio)
        self._budgets, self._bookkeeper = keeping.budgets, keeping.bookkeeper
        self._workshop = self._new_workshop(catalogue, policy)
        self._cache = AnswerCache(policy.cache, self._workshop.revision, keeping.shared)
        self._flights = Flights(self._cache.note)

    @property
    def workshop(self) -> Workshop:
        """What a request that comes now is worked on with."""
        return self._workshop

    @property
    def cached(self) -> int:
        """Answers in this replica's memory."""
        return self._cache.held

    @property
    def live(self) -> LiveModels:
        """What is known of the models of the catalogue that counts now."""
        return self._workshop.backends.live

    def note_capabilities(self, tier: str, capabilities: inference_pb2.GetCapabilitiesResponse) -> None:
        """Note which models of a tier are loaded, how many instances it has, and how many orchestrators share them."""
        if tier in self.workshop.catalogue.tiers:
            self.live.spread(tier, capabilities.instances, capabilities.sharers)
        for each in capabilities.variants:
            model = self.live.find(types_pb2.Target(tier=tier, variant=each.variant))
            if model is not None and (each.ready or each.asleep):
                model.note_sleep(asleep=each.asleep)

    def adopt(self, catalogue: Catalogue, policy: Policy) -> None:
        """Answer whatever comes from now on by another policy and another catalogue; what was learned is kept."""
        self._workshop = self._new_workshop(catalogue, policy, self._workshop)
        self._retries.ratio = policy.retry_ratio
        self._budgets.adopt(policy.budgets)
        self._cache.adopt(policy.cache, self._workshop.revision)

    def _new_workshop(self, catalogue: Catalogue, policy: Policy, before: Workshop | None = None) -> Workshop:
        live = LiveModels(catalogue, policy, before.backends.live if before else None)
        planner = Planner(catalogue, policy, live, before.planner.steering if before else None)
        backends = Backends(self._services.tiers, catalogue, live, self._retries, policy.max_attempts)
        return Workshop(self._services, catalogue, policy, planner, backends)

    async def generate(self, request: Request, call: Call, method: str = "Generate") -> types_pb2.Answer:
        """Answer in one message; `method` is the rpc under which the ledger has it.

        Raises:
            TandemError: as the contract of `OrchestratorService.Generate` lists them.
        """
        asked = self._admit(request, call, method)
        if asked.key is None:
            return await self._answer(asked)
        if hit := self._find(asked, asked.key):
            return self._given(asked, hit)
        try:
            answer = await self._flights.answer(asked.key, call, lambda: self._answer(asked))
        except BaseException as error:
            self._left(asked, error)
            raise
        return answer if asked.booked else self._given(asked, answer)

    def stream_generate(self, request: Request, call: Call) -> AsyncGenerator[Event, None]:
        """Answer as typed events. Raises as `generate`, some of it at once."""
        asked = self._admit(request, call, "StreamGenerate")
        if asked.key is None:
            return self._stream(asked)
        if hit := self._find(asked, asked.key):
            return _replay(self._given(asked, hit))
        return self._followed(asked, asked.key)

    async def explain(self, request: Request, call: Call) -> orchestrator_pb2.ExplainResponse:
        """Tell the plan without running it. Raises as `generate`, but no error of a backend or a budget."""
        shop = self._workshop
        work = Work(shop, request, call, Verdict(call.tenant), Course())
        planned = await work.plan()
        return orchestrator_pb2.ExplainResponse(
            signals=work.signals,
            plan=planned.plan,
            degradations=work.record.degradations,
            models=shop.planner.states(planned, call),
            options=shop.planner.options(request, work.signals, call),
        )

    async def forget(self, request_id: str, call: Call) -> bool:
        """Remove from the cache what a request of the same tenant left there or got from there.

        Returns whether there was something.

        Raises:
            BackendUnavailable: the level that replicas share does not answer.
        """
        return await self._cache.forget(request_id, call)

    def _admit(self, request: Request, call: Call, method: str) -> _Asked:
        """Count the request against the tenant's budget.

        Raises:
            BudgetExhausted: it is used up.
        """
        key = self._cache.key(request, call.tenant)
        asked = _Asked(request, call, method, Verdict(call.tenant), key, self._workshop)
        try:
            asked.verdict = self._budgets.admit(call.tenant)
        except TandemError as error:
            self._left(asked, error)
            raise
        self._retries.request()
        return asked

    def _find(self, asked: _Asked, key: bytes) -> types_pb2.Answer | None:
        """Return the answer that the memory has."""
        with asked.course.phase(Slot.CACHE):
            return self._cache.find(key, asked.call)

    async def _find_shared(self, asked: _Asked) -> types_pb2.Answer | None:
        """Return the answer that another replica made."""
        if asked.key is None or not self._cache.is_shared:
            return None
        # Others may wait for what is found: the books stay open when the one who asked first leaves meanwhile.
        asked.booked = True
        try:
            with asked.course.phase(Slot.SHARED_CACHE):
                return await self._cache.find_shared(asked.key, asked.call)
        except BaseException as error:
            asked.booked = False
            self._left(asked, error)
            raise

    async def _answer(self, asked: _Asked) -> types_pb2.Answer:
        if hit := await self._find_shared(asked):
            return self._given(asked, hit)
        with _Working(self._close, asked) as work:
            planned = await work.start()
            # Only its end leaves this loop, or an error of its own: there is nothing to close.
            async for _ in work.run(planned, buffered=True):
                pass
        return self._keep(asked, work)

    async def _stream(self, asked: _Asked) -> AsyncGenerator[Event, None]:
        if hit := await self._find_shared(asked):
            async for event in _replay(self._given(asked, hit)):
                yield event
            return
        with _Working(self._close, asked) as work:
            planned = await work.start()
            started = orchestrator_pb2.Started(request_id=asked.call.request_id, plan=planned.plan)
            yield Event(started=started)
            async with aclosing(work.run(planned, buffered=False)) as events:
                async for event in events:
                    yield event
        yield _finished(self._keep(asked, work))

    async def _followed(self, asked: _Asked, key: bytes) -> AsyncGenerator[Event, None]:
        """Yield the events of an answer that others may share."""
        try:
            async with aclosing(self._flights.stream(key, asked.call, lambda: self._stream(asked))) as events:
                async for event in events:
                    if event.HasField("finished") and not asked.booked:
                        self._given(asked, event.finished.answer)
                    yield event
        except BaseException as error:
            self._left(asked, error)
            raise

    def _keep(self, asked: _Asked, work: Work) -> types_pb2.Answer:
        """Close the books of an answer, and keep it if it may be given again."""
        answer = work.answer()
        answer.cache = types_pb2.CACHE_OUTCOME_MISS if asked.key else types_pb2.CACHE_OUTCOME_BYPASSED
        if answer.plan.review_required:
            answer.review.id, answer.review.status = secrets.token_hex(16), PENDING
        self._close(asked, answer)
        if asked.key:
            self._cache.keep(asked.key, answer, asked.call)
        return answer

    def _given(self, asked: _Asked, answer: types_pb2.Answer) -> types_pb2.Answer:
        """Put this request's name on an answer that another one made, and close its books."""
        asked.booked = True
        answer.request_id = asked.call.request_id
        answer.duration_ms = asked.call.elapsed_ms()
        self._close(asked, answer)
        return answer

    def _left(self, asked: _Asked, error: BaseException) -> None:
        """Close the books of a request that nothing was done for."""
        if not asked.booked:
            asked.booked = True
            answer = types_pb2.Answer(request_id=asked.call.request_id, duration_ms=asked.call.elapsed_ms())
            self._close(asked, answer, reason_of(error))

    def _close(self, asked: _Asked, answer: types_pb2.Answer, reason: str = "") -> None:
        self._bookkeeper.close(
            Ended(
                answer,
                asked.call,
                asked.method,
                asked.verdict,
                asked.shop.catalogue,
                reason,
                asked.request.messages,
                asked.course,
            )
        )


def _finished(answer: types_pb2.Answer) -> Event:
    event = Event()
    event.finished.answer.CopyFrom(answer)
    event.finished.answer.ClearField("text")
    event.finished.answer.ClearField("reasoning")
    return event


async def _replay(answer: types_pb2.Answer) -> AsyncGenerator[Event, None]:
    """Yield the events of an answer from the cache."""
    yield Event(started=orchestrator_pb2.Started(request_id=answer.request_id))
    for event in deltas(answer.text, answer.reasoning):
        yield event
    yield _finished(answer)
