"""An orchestrator for tests, with a ledger that remembers."""

from __future__ import annotations

from tandem.catalogue import Catalogue
from tandem.ledger.entry import Entry
from tandem.orchestrator.answer import Keeping, Orchestrator
from tandem.orchestrator.bookkeeping import Bookkeeper
from tandem.orchestrator.budgets import Budgets
from tandem.orchestrator.cache import SharedLevel
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


def orchestrator(
    services: Services,
    catalogue: Catalogue,
    policy: Policy,
    ledger: FakeLedger | None = None,
    shared: SharedLevel | None = None,
    *,
    keep_prompts: bool = False,
) -> Orchestrator:
    """Return an orchestrator whose books are kept in `ledger`."""
    budgets = Budgets(policy.budgets, {}, proven=True)
    bookkeeper = Bookkeeper(
        services.tiers, catalogue, ledger or FakeLedger(), budgets, keep_prompts=keep_prompts
    )
    return Orchestrator(services, catalogue, policy, Keeping(budgets, bookkeeper, shared))
