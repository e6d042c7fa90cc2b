"""What an orchestrator is like at this moment: its models, the control of the share, its ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tandem.ledger.entry import Lagging, Ledger
from tandem.orchestrator.answer import Orchestrator
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.routing_policy import Routing
from tandem.orchestrator.steering import Steering
from tandem.telemetry import metric_names as names
from tandem.telemetry.measures import counter, gauge, info, words
from tandem.v1 import types_pb2

_STATES: Final = words(types_pb2.BreakerState, "BREAKER_STATE_")


class Followed(Protocol):
    """Documents that are read again when they change."""

    @property
    def error(self) -> str:
        """Why what is in the files now is not used; empty: it is."""


class LiveMetrics(Collector):
    """Reads the state of an orchestrator, its ledger and its documents when it is asked for."""

    def __init__(self, orchestrator: Orchestrator, ledger: Ledger, documents: Followed) -> None:
        self._orchestrator = orchestrator
        self._ledger = ledger
        self._documents = documents

    def collect(self) -> Iterator[Family]:
        """Tell the state of now."""
        shop = self._orchestrator.workshop
        yield from _models(shop.backends.live)
        yield from _steering(shop.planner.steering, shop.policy.routing)
        yield gauge(names.CACHED, {(): self._orchestrator.cached})
        yield from _ledger(self._ledger)
        yield gauge(names.REFUSED, {(): float(bool(self._documents.error))})
        yield info(names.POLICY, shop.policy.revision)
        yield info(names.CATALOGUE, shop.catalogue.revision)


def _models(live: LiveModels) -> Iterator[Family]:
    models = {(model.target.tier, model.target.variant): model for model in live}
    yield gauge(names.IN_FLIGHT, {key: model.admission.in_flight for key, model in models.items()})
    yield gauge(names.QUEUED, {key: model.admission.waiting for key, model in models.items()})
    yield counter(names.SHED, {key: model.admission.shed for key, model in models.items()})
    yield gauge(names.LIMIT, {key: model.limit.value for key, model in models.items()})
    yield gauge(names.MOST, {key: model.limit.most for key, model in models.items()})
    yield gauge(names.INSTANCES, {key: model.instances for key, model in models.items()})
    yield gauge(names.SHARERS, {key: model.sharers for key, model in models.items()})
    yield counter(names.BREAKER_OPENINGS, {key: model.breaker.openings for key, model in models.items()})
    yield gauge(
        names.BREAKER,
        {
            (*key, word): float(model.breaker.state == state)
            for key, model in models.items()
            for state, word in _STATES.items()
            if state
        },
    )


def _steering(steering: Steering | None, routing: Routing) -> Iterator[Family]:
    threshold: dict[tuple[str, ...], float] = {("configured",): routing.threshold}
    if steering is not None:
        control = types_pb2.ShareControl()
        steering.tell(control)
        threshold["live",] = min(1.0, max(0.0, routing.threshold + steering.shift))
        yield gauge(names.SHARE, {(): control.measured})
        yield gauge(names.SHARE_TARGET, {(): control.target})
        yield gauge(names.SHARE_LOST, {(): float(control.out_of_reach)})
        if control.HasField("target_nano_usd"):
            yield gauge(names.SHARE_COST_TARGET, {(): control.target_nano_usd / 10**9})
        if control.HasField("measured_nano_usd"):
            yield gauge(names.SHARE_COST, {(): control.measured_nano_usd / 10**9})
    yield gauge(names.THRESHOLD, threshold)


def _ledger(ledger: Ledger) -> Iterator[Family]:
    if isinstance(ledger, Lagging):
        yield gauge(names.LEDGER_LAG, {(): ledger.lag})
        yield counter(names.LEDGER_WRITTEN, {(): ledger.written})
        yield counter(names.LEDGER_DROPPED, {(): ledger.dropped})
        yield counter(names.LEDGER_ERRORS, {(): ledger.errors})
