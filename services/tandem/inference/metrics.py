"""Counts and times the answers of engines, without the queues and the calls between services that clients also see."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tandem.errors import TABLE, Cancelled, DeadlineExceeded, InternalError, TandemError
from tandem.telemetry import metric_names as names
from tandem.telemetry.measures import Facts, gauge

ANSWERED: Final = "answered"
BY_ENGINE: Final = "by_engine"
RECEIVED: Final = "received"
LATE: Final = "late"
"""What comes of a question after a cut attempt: the engine's count, what had been received, or nothing in time."""


class Inferred(NamedTuple):
    """An engine's answer that has ended, in whichever way."""

    tier: str
    variant: str
    model: str
    seconds: float
    first_token_seconds: float | None
    """None: there was none."""
    output_tokens: int
    error: BaseException | None


class Ready(Protocol):
    """Knows which variants can answer."""

    @property
    def ready(self) -> Mapping[tuple[str, str], bool]:
        """Whether each could when it was asked last, by tier and variant."""


class EngineMetrics(Collector):
    """The engines of one process: of a tier, or of all where all services are in one."""

    def __init__(self) -> None:
        model = ("tier", "variant", "model")
        self._answers = Facts((*model, "outcome"), names.OPERATION_SECONDS)
        self._first_token = Facts(model, names.FIRST_TOKEN_SECONDS)
        self._per_token = Facts(model, names.PER_TOKEN_SECONDS)
        self._receipts = Facts(("tier", "variant", "outcome"))
        self._known: list[Ready] = []

    def of(self, known: Ready) -> None:
        """Tell of the variants that these know, too."""
        self._known.append(known)

    def ended(self, answer: Inferred) -> None:
        """See an answer at its end."""
        model = (answer.tier, answer.variant, answer.model)
        self._answers.note((*model, _outcome(answer.error)), answer.seconds)
        if answer.error is None and answer.first_token_seconds is not None:
            self._first_token.note(model, answer.first_token_seconds)
            if answer.output_tokens > 1:
                writing = answer.seconds - answer.first_token_seconds
                self._per_token.note(model, writing / (answer.output_tokens - 1))

    def settled(self, tier: str, variant: str, outcome: str) -> None:
        """See what came of a question after what an attempt took."""
        self._receipts.note((tier, variant, outcome))

    def collect(self) -> Iterator[Family]:
        """Tell all of it."""
        yield self._answers.counts(names.ENGINE_ANSWERS)
        yield self._answers.distribution(names.SERVER_SECONDS, _as_server)
        yield self._first_token.distribution(names.SERVER_FIRST_TOKEN, _as_model)
        yield self._per_token.distribution(names.SERVER_PER_TOKEN, _as_model)
        yield self._receipts.counts(names.RECEIPTS)
        ready: dict[tuple[str, ...], float] = {
            key: float(value) for each in self._known for key, value in each.ready.items()
        }
        yield gauge(names.READY, ready)


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return ANSWERED
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return TABLE[Cancelled][1].lower()
    if isinstance(error, TimeoutError):
        return TABLE[DeadlineExceeded][1].lower()
    return (error.reason if isinstance(error, TandemError) else TABLE[InternalError][1]).lower()


def _as_server(values: Sequence[str]) -> tuple[str, ...]:
    tier, variant, model, outcome = values
    return (*names.GEN_AI, model, "" if outcome == ANSWERED else outcome.upper(), tier, variant)


def _as_model(values: Sequence[str]) -> tuple[str, ...]:
    tier, variant, model = values
    return (*names.GEN_AI, model, tier, variant)
