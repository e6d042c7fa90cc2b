"""The part of the policy that says what a right answer is worth: what the strategy `auto` chooses by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from tandem.orchestrator.routing_policy import decided_domain
from tandem.v1 import types_pb2
from tandem.yaml_document import Section

DomainName = Literal["general", "medical", "legal", "finance", "science"]
Usd = Annotated[float, Field(ge=0, le=1_000_000)]


class Value(Section):
    """What a right answer is worth, and what is expected of the strategies."""

    usd_per_right_answer: Usd = 0.01
    """US dollars that a right answer is worth more than a wrong one, 0 to 1,000,000."""
    domains: Mapping[DomainName, Usd] = {}
    """The same by domain, in place of it: a wrong medical or legal answer costs more than one in a chat."""
    usd_per_second: Usd = 0.0
    """US dollars that a second of waiting for the whole answer costs, 0 to 1,000,000."""
    expected_tokens: int = Field(default=256, ge=1, le=32_768)
    """Tokens of an answer, for what it costs and how long it takes; 1 to 32768, and no more than its cap."""
    gate_finds: float = Field(default=0.7, ge=0, le=1)
    """Part of the wrong drafts that the gate of a cascade sends on, 0 to 1; `tandem train gate` shows it."""
    gate_false_alarms: float = Field(default=0.2, ge=0, le=1)
    """Part of the right drafts that it sends on, too, 0 to 1; likewise."""
    independence: float = Field(default=0.3, ge=0, le=1)
    """How far the voices of an ensemble err apart from each other: 0, all at once; 1, each for itself."""

    def nano_usd(self, signals: types_pb2.Signals) -> float:
        """Return billionths of a US dollar that a right answer to a request is worth."""
        domain = decided_domain(signals)
        return 1e9 * self.domains.get(domain, self.usd_per_right_answer)  # type: ignore[call-overload,no-any-return]  # one of the names
