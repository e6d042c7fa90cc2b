"""Moves the border between the tiers so that the policy's target is held, and says what it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tandem.catalogue import Catalogue
from tandem.orchestrator.routing_policy import Routing, Target
from tandem.orchestrator.share import Choice, ShareController
from tandem.orchestrator.spending import Spending
from tandem.v1 import types_pb2


class Counted(NamedTuple):
    """A request that was counted when it was planned."""

    ticket: int
    strong: bool
    """Whether the strong tier was planned."""


class Steering:
    """The live control of one orchestrator; every replica holds the target for itself.

    A request counts for the strong tier when that tier is asked for it, also when the client named it, as a voice of an
    ensemble, in place of the cheap tier, and when it then fails. All requests that are planned count; those answered
    from the cache or by another request's attempts are not planned.

    Args:
        routing: between which tiers, and by which thresholds.
        target: what is held.
        catalogue: the prices.
    """

    def __init__(self, routing: Routing, target: Target, catalogue: Catalogue) -> None:
        self._routing = routing
        nano_usd = target.nano_usd
        self._spending = None if nano_usd is None else Spending(routing, catalogue, nano_usd)
        share = self._spending.share if self._spending else target.share
        self._controller = ShareController(share or 0.0, routing.threshold)

    @property
    def tiers(self) -> tuple[str, str]:
        """The cheap one and the strong one."""
        return self._routing.cheap, self._routing.strong

    def adopt(self, routing: Routing, target: Target, catalogue: Catalogue) -> None:
        """Hold another target between the same tiers, by other thresholds or prices; what was learned is kept."""
        self._routing = routing
        if target.nano_usd is None:
            self._spending = None
        elif self._spending:
            self._spending.adopt(routing, catalogue, target.nano_usd)
        else:
            self._spending = Spending(routing, catalogue, target.nano_usd)
        share = self._spending.share if self._spending else target.share
        self._controller.adopt(share or 0.0, routing.threshold)

    @property
    def shift(self) -> float:
        """What is added to every configured threshold now."""
        return self._controller.shift

    def choose(self, probability: float, threshold: float, request_id: str) -> Choice:
        """Return the choice for a probability that the cheap tier suffices, where so much is configured."""
        return self._controller.choose(probability - threshold, request_id)

    def count(self, *, strong: bool, choice: Choice | None, sick: bool) -> Counted:
        """Count a planned request that is going to be answered.

        Args:
            strong: whether the strong tier is asked.
            choice: what its score said; None: the score was not asked.
            sick: whether the strong tier is kept from getting all requests.
        """
        key = choice.key if choice else None
        return Counted(self._controller.count(strong=strong, key=key, steer=not sick), strong)

    def ended(self, counted: Counted, attempts: Sequence[types_pb2.Attempt]) -> None:
        """Take into account what was done for a request in the end."""
        if not counted.strong and any(each.target.tier == self._routing.strong for each in attempts[:]):
            self._controller.also(counted.ticket)
        if self._spending:
            self._spending.learn(attempts)
            self._controller.target = self._spending.share

    def tell(self, control: types_pb2.ShareControl) -> None:
        """Fill in what is held, and how well."""
        held = self._controller
        control.target = held.target
        control.measured, control.measured_requests = held.measured, held.measured_requests
        control.out_of_reach = self._out_of_reach()
        if self._spending:
            control.target_nano_usd = self._spending.nano_usd
            measured = self._spending.measured_nano_usd
            if measured is not None:
                control.measured_nano_usd = measured

    def told(self, configured: float, threshold: float) -> str:
        """Say in words how it moved a threshold, and why."""
        held, money = self._controller, ""
        if self._spending:
            money = f" (${self._spending.nano_usd / 10**6:.2f} per 1,000)"
        out_of_reach = ", which is out of reach," if self._out_of_reach() else ""
        measured = f"{held.measured:.1%} of the last {held.measured_requests} requests"
        moved = f"moved the threshold from {configured:.2f} to {threshold:.2f}"
        target = f"the target {held.target:.1%}{money}{out_of_reach}"
        return f"{self._routing.strong} was asked for {measured}; {target} {moved}"

    def _out_of_reach(self) -> bool:
        return self._controller.out_of_reach or (self._spending is not None and self._spending.out_of_reach)


def steering_under(routing: Routing, catalogue: Catalogue, before: Steering | None) -> Steering | None:
    """Return what holds a policy's target; None: it has none.

    It is the one `before`, with all that it has learned, if that is between the same tiers.
    """
    if routing.target is None:
        return None
    if before is None or before.tiers != (routing.cheap, routing.strong):
        return Steering(routing, routing.target, catalogue)
    before.adopt(routing, routing.target, catalogue)
    return before
