"""Runs the attempts of one request under its deadline: admission, watching, takeover, and what each one teaches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.clock import now
from tandem.errors import BackendUnavailable, Details, TandemError, UnknownVariant
from tandem.orchestrator.admission import Claim
from tandem.orchestrator.course import chat_slot
from tandem.orchestrator.fallback import Fallbacks
from tandem.orchestrator.joined import Joined
from tandem.orchestrator.latency import LEAST_TOKENS
from tandem.orchestrator.learning import count, learn
from tandem.orchestrator.live import P95, LiveModel, LiveModels
from tandem.orchestrator.record import Record, outcome_of
from tandem.orchestrator.retry_budget import RetryBudget
from tandem.orchestrator.watchdog import Limits, Watchdog
from tandem.protocols import Inference
from tandem.v1 import inference_pb2, orchestrator_pb2, types_pb2

Event = orchestrator_pb2.StreamGenerateResponse
TIMEOUT = types_pb2.ATTEMPT_OUTCOME_TIMEOUT
OVERLOADED = types_pb2.ATTEMPT_OUTCOME_OVERLOADED
SPARED: Final = frozenset(
    (types_pb2.ATTEMPT_PURPOSE_VOTE, types_pb2.ATTEMPT_PURPOSE_SAMPLE, types_pb2.ATTEMPT_PURPOSE_ESCALATION)
)
"""What there is an answer without: by the other voices of an ensemble, or the draft of a cascade."""
SLOW: Final = 2.0
"""So many times what a token takes in 95 of 100 attempts is a pace at which another model is better."""


@dataclass(slots=True)
class Result:
    """What was answered: the attempt that ended the answer, and the text of all."""

    attempt: types_pb2.Attempt = field(default_factory=types_pb2.Attempt)
    finish_reason: types_pb2.FinishReason.ValueType = types_pb2.FINISH_REASON_UNSPECIFIED
    joined: Joined = field(default_factory=Joined)

    @property
    def text(self) -> str:
        """The answer."""
        return self.joined.text

    @property
    def reasoning(self) -> str:
        """What was thought."""
        return self.joined.reasoning


@dataclass(frozen=True, slots=True)
class Backends:
    """What attempts run on."""

    tiers: Mapping[str, Inference]
    """The inference service of each tier."""
    catalogue: Catalogue
    """Prices and stop strings."""
    live: LiveModels
    """What is known of the models now."""
    budget: RetryBudget
    """Bounds what is tried in vain."""
    max_attempts: int
    """Most attempts of one request in a row."""


class Question(NamedTuple):
    """One request, as its attempts see it."""

    request: orchestrator_pb2.GenerateRequest
    plan: types_pb2.Plan
    call: Call
    prompt_tokens: int
    """Estimated length of the conversation."""
    expected_gain: float = 0.0
    """What the classifier expects to be lost when the cheap tier answers in place of the strong one."""


class Attempts:
    """The attempts of one request.

    Args:
        question: what is asked, and what is to be tried.
        backends: what they run on.
        record: where attempts and degradations are booked.
        buffered: nobody reads along: text may come in larger pieces.
    """

    def __init__(self, question: Question, backends: Backends, record: Record, buffered: bool) -> None:
        self._question = question
        self._call = question.call
        self._backends = backends
        self._record = record
        self._buffered = buffered
        self._planned_at = now()
        self._end = self._call.deadline - question.plan.margin_ms / 1000.0
        self._wanted = question.plan.attempts[0].sampling.max_tokens
        self._fallbacks = Fallbacks(
            question.plan,
            record,
            backends.live,
            backends.budget,
            question.prompt_tokens,
            self._end,
            _granted(backends.max_attempts, self._call),
        )

    async def stream(self, planned: types_pb2.PlannedAttempt, result: Result) -> AsyncGenerator[Event, None]:
        """Yield reasoning, text and seams; `result` then holds the attempt that finished and the whole text.

        Raises:
            TandemError: of the last attempt, when nothing may replace it.
        """
        while True:
            try:
                async with aclosing(self._attempt(planned, result)) as events:
                    async for event in events:
                        yield event
            except TandemError as error:
                successor = self._successor(planned, error, result)
                if successor is None:
                    for event in deltas(result.joined.end(cut=True), ""):
                        yield event
                    return
                if result.joined.begun:
                    yield self._seam(planned, successor, result)
                planned = successor
            else:
                return

    def alone(self, planned: types_pb2.PlannedAttempt, result: Result) -> AsyncGenerator[Event, None]:
        """Yield as `stream`, of the planned attempt alone: nothing replaces it.

        Raises:
            TandemError: it failed.
        """
        return self._attempt(planned, result)

    async def once(self, planned: types_pb2.PlannedAttempt) -> Result:
        """Return the answer of the planned attempt alone."""
        result = Result()
        # Only its end leaves this loop, or an error of its own: there is nothing to close.
        async for _ in self._attempt(planned, result):
            pass
        return result

    def tokens_in_time(self, target: types_pb2.Target) -> int:
        """Return how many tokens a model makes in the time that is left, at a pace that it surely keeps."""
        return self._fallbacks.tokens_in_time(self._backends.live.of(target))

    async def _attempt(
        self, planned: types_pb2.PlannedAttempt, result: Result
    ) -> AsyncGenerator[Event, None]:
        model = self._backends.live.of(planned.target)
        async with model.admission.place(lambda: self._claim(planned)) as queued_ms:
            if not model.breaker.admits:
                raise BackendUnavailable(
                    f"{_name(planned.target)} failed too often and gets no requests for a while; retry later",
                    Details(retry_after_seconds=max(0.1, model.breaker.pause_seconds)),
                )
            ticket = model.breaker.enter()
            attempt = result.attempt = self._record.open(planned, queued_ms)
            if result.joined.begun:
                attempt.seam_byte_offset = len(result.text.encode())
            result.joined.attempt(self._stops(planned), self._is_cut_short(planned, result.joined))
            watch = self._watchdog(planned, model, result)
            source = self._backends.tiers[planned.target.tier].stream_infer(
                self._infer(planned, attempt, result.joined.text),
                self._call.until(self._end, chat_slot(attempt.index)),
                buffered=self._buffered,
            )
            try:
                async with aclosing(source):
                    while True:
                        for event in self._take(await watch.next(source), result):
                            yield event
                        if attempt.outcome:
                            break
                        watch.heard()
            except UnknownVariant as error:
                other = BackendUnavailable(
                    f"the service of {_name(planned.target)} has another catalogue: {error.message}"
                )
                self._record.fail(attempt, other)
                raise other from error
            except BaseException as error:
                self._record.fail(attempt, error)
                raise
            finally:
                watch.stop()
                learn(model, attempt, self._question.prompt_tokens, ticket, stalled=watch.hung)
                count(self._backends.budget, attempt)

    def _take(self, piece: inference_pb2.StreamInferResponse | None, result: Result) -> list[Event]:
        """Book a piece of an answer and join it with the rest; return what the client sees of it.

        Raises:
            BackendUnavailable: there is none, and the answer has not finished.
        """
        attempt, joined = result.attempt, result.joined
        if piece is None:
            raise BackendUnavailable(f"{attempt.model} ended its stream without finishing the answer")
        self._record.count(attempt, piece)
        joined.tokens += piece.output_tokens
        joined.reasoning += piece.reasoning
        shown = joined.add(piece.text) if piece.text else ""
        if piece.HasField("finished"):
            self._record.finish(attempt, piece.finished)
            shown += joined.end(piece.finished.finish_reason == types_pb2.FINISH_REASON_LENGTH)
            result.finish_reason = attempt.finish_reason
        elif joined.complete:
            self._record.stop(attempt)
            result.finish_reason = attempt.finish_reason
        return [] if self._buffered else deltas(shown, piece.reasoning)

    def _infer(
        self, planned: types_pb2.PlannedAttempt, attempt: types_pb2.Attempt, prefix: str
    ) -> inference_pb2.InferRequest:
        request = inference_pb2.InferRequest(
            variant=planned.target.variant,
            continuation_prefix=prefix,
            attempt=self._record.course.engine_number(attempt.index),
        )
        request.sampling.CopyFrom(planned.sampling)
        for message in self._question.request.messages[:]:
            request.messages.add().CopyFrom(message)
        return request

    def _claim(self, planned: types_pb2.PlannedAttempt) -> Claim:
        """Return what the attempt needs of a place: time for itself, and for whoever answers if none becomes free."""
        if self._fallbacks.after(planned, OVERLOADED) is None:
            shortest_ms = self._fallbacks.shortest_ms(planned.target)
            return Claim(self._call.deadline, self._end - shortest_ms / 1000.0)
        # An attempt that would be cut off before it has said anything helps nobody.
        latency = self._backends.live.of(planned.target).latency
        surely_ms = latency.short_ms(P95, self._question.prompt_tokens, LEAST_TOKENS)
        reserved_ms = surely_ms + self._question.plan.reserve_ms
        loss = max(0.0, self._question.expected_gain)
        return Claim(self._call.deadline, max(now(), self._end - reserved_ms / 1000.0), loss)

    def _watchdog(self, planned: types_pb2.PlannedAttempt, model: LiveModel, result: Result) -> Watchdog:
        fallback = planned.purpose == types_pb2.ATTEMPT_PURPOSE_FALLBACK
        spared = planned.purpose in SPARED
        limits = Limits(
            allowance_end=self._end if fallback else self._planned_at + planned.allowance_ms / 1000.0,
            end=self._end,
            patience=model.patience_ms(self._question.prompt_tokens) / 1000.0,
            gap=model.gap_ms() / 1000.0,
        )
        return Watchdog(
            _name(planned.target),
            limits,
            lambda: spared or self._fallbacks.after(planned, TIMEOUT) is not None,
            lambda: not spared and self._goes_well(model, result),
        )

    def _goes_well(self, model: LiveModel, result: Result) -> bool:
        """Whether the running attempt writes its answer about as fast as the model usually does."""
        attempt = result.attempt
        if not result.joined.has_text:
            return False
        if attempt.usage.output_tokens < LEAST_TOKENS:
            # Too few to tell its pace; that it is not silent is watched anyway.
            return True
        writing_ms = self._call.elapsed_ms() - attempt.started_ms - attempt.ttft_ms
        return writing_ms <= SLOW * model.latency.tpot_ms(P95) * attempt.usage.output_tokens

    def _successor(
        self, failed: types_pb2.PlannedAttempt, error: TandemError, result: Result
    ) -> types_pb2.PlannedAttempt | None:
        """Return what answers instead, and book the degradation; None if what was said is all there will be.

        Raises:
            TandemError: the error, if nothing may replace the attempt.
        """
        outcome, joined = outcome_of(error), result.joined
        successor = self._fallbacks.after(failed, outcome, joined.shown_tokens)
        if successor is not None:
            self._fallbacks.book(failed, successor, outcome, error.message)
            return successor
        if joined.has_text and (outcome == TIMEOUT or joined.shown_tokens >= self._wanted):
            result.finish_reason = types_pb2.FINISH_REASON_LENGTH
            detail = "the time was over before the answer was complete; grant more time or fewer tokens"
            self._record.degrade(types_pb2.DEGRADATION_REASON_DEADLINE, detail, failed.target)
            return None
        raise error

    def _is_cut_short(self, planned: types_pb2.PlannedAttempt, joined: Joined) -> bool:
        """Whether the attempt has fewer tokens than the plan wanted, so that it may end anywhere."""
        return planned.sampling.max_tokens < self._wanted - joined.shown_tokens

    def _stops(self, planned: types_pb2.PlannedAttempt) -> tuple[str, ...]:
        return (*planned.sampling.stop, *self._backends.catalogue.tier(planned.target.tier).stop)

    def _seam(
        self, failed: types_pb2.PlannedAttempt, successor: types_pb2.PlannedAttempt, result: Result
    ) -> Event:
        return Event(
            seam=orchestrator_pb2.Seam(
                byte_offset=len(result.text.encode()),
                from_target=failed.target,
                to_target=successor.target,
                cause=self._record.degradations[-1].reason,
            )
        )


def deltas(text: str, reasoning: str) -> list[Event]:
    """Return the events that carry a piece of an answer, or a whole one."""
    events = []
    if reasoning:
        events.append(Event(reasoning=orchestrator_pb2.ReasoningDelta(delta=reasoning)))
    if text:
        events.append(Event(text=orchestrator_pb2.TextDelta(delta=text)))
    return events


def revision(result: Result) -> Event:
    """Return the event that puts an answer in place of what was shown."""
    whole = orchestrator_pb2.Revision(
        text=result.text, answered_by=result.attempt.target, reasoning=result.reasoning
    )
    return Event(revision=whole)


def _name(target: types_pb2.Target) -> str:
    return f"{target.tier}/{target.variant}"


def _granted(max_attempts: int, call: Call) -> int:
    """Return the attempts that policy and caller both allow."""
    return max_attempts if call.retries_left is None else min(max_attempts, 1 + call.retries_left)
