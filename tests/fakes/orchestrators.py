"""An orchestrator for tests, with a ledger that remembers."""

from __future__ import annotations

from collections.abc import Sequence

from tandem.catalogue import Catalogue
from tandem.ledger.entry import Entry
from tandem.orchestrator.answer import Keeping, Orchestrator
from tandem.orchestrator.bookkeeping import Bookkeeper
from tandem.orchestrator.budgets import Budgets
from tandem.orchestrator.cache import SharedLevel
from tandem.orchestrator.ended import Ended, Observer
from tandem.orchestrator.policy import Policy
from tandem.orchestrator.work import Services


class FakeLedger:
    """Remembers what was written."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def write(self, entry: Entry) -> None:
        """Remember an entry."""
        self.entries.append(entry)

    async def close(self) -> None:
        """Do nothing."""


class FakeObserver:
    """Remembers what it was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Ended]] = []

    def ended(self, ended: Ended) -> None:
        """Remember the end of a request."""
        self.told.append(("ended", ended))

    def settled(self, ended: Ended) -> None:
        """Remember that its tokens are counted."""
        self.told.append(("settled", ended))


def orchestrator(
    services: Services,
    catalogue: Catalogue,
    policy: Policy,
    ledger: FakeLedger | None = None,
    shared: SharedLevel | None = None,
    *,
    keep_prompts: bool = False,
    observers: Sequence[Observer] = (),
) -> Orchestrator:
    """Return an orchestrator whose books are kept in `ledger`."""
    budgets = Budgets(policy.budgets, {}, proven=True)
    bookkeeper = Bookkeeper(
        services.tiers,
        ledger or FakeLedger(),
        budgets,
        keep_prompts=keep_prompts,
    )
    for observer in observers:
        bookkeeper.watch(observer)
    return Orchestrator(services, catalogue, policy, Keeping(budgets, bookkeeper, shared))
