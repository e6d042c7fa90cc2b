"""The part of the policy that says which tier answers first."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from tandem.call import NAME
from tandem.catalogue import Catalogue, Name
from tandem.v1 import types_pb2
from tandem.yaml_document import Complaint, Section

DECIDED_CONFIDENCE: Final = 0.5
"""A finding with less confidence counts as undecided."""


TargetName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}(/[a-z][a-z0-9-]{0,31})?$")]
"""`tier` for the tier's default variant, or `tier/variant`."""

TenantName = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]


class Target(Section):
    """What a live controller holds by moving the thresholds: either a share, or money."""

    share: float | None = Field(default=None, ge=0, le=1)
    """Part of the requests for which the strong tier is asked, 0 to 1. Absent: `usd_per_1k` says it."""
    usd_per_1k: Annotated[Decimal, Field(strict=False, gt=0, le=1_000_000, decimal_places=6)] | None = None
    """US dollars that 1,000 requests cost on average, above 0, at most 1,000,000. Absent: `share` says it."""

    @property
    def nano_usd(self) -> int | None:
        """Billionths of a US dollar for one request; None: the target is a share."""
        return None if self.usd_per_1k is None else int(self.usd_per_1k * 10**6)

    def __str__(self) -> str:
        return f"${self.usd_per_1k:f} per 1,000 requests" if self.share is None else f"{self.share:.1%}"


class SliceThreshold(Section):
    """A threshold for requests in one language, of one domain, or both."""

    language: Annotated[str, StringConstraints(pattern="^[a-z]{2,3}$")] | None = None
    """Language as the classifier names it, such as `zh`. Absent: any."""
    domain: Literal["general", "medical", "legal", "finance", "science"] | None = None
    """Domain: `general`, `medical`, `legal`, `finance` or `science`. Absent: any."""
    threshold: float = Field(ge=0, le=1)
    """In place of `routing.threshold`; 0 to 1."""


class Routing(Section):
    """Which tier answers first."""

    cheap: Name
    """Tier that answers when it is likely to suffice."""
    strong: Name
    """Tier that answers otherwise."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """The cheap tier answers if the probability that it suffices is at least this; 0 to 1."""
    thresholds: tuple[SliceThreshold, ...] = Field(default=(), max_length=256)
    """Thresholds for languages and domains; both together go before a domain, a domain before a language."""
    target: Target | None = None
    """What a live controller holds by moving the thresholds. Absent: they stay where they are."""
    undecided: Name
    """Tier that answers when the classifier was late or broken."""

    def threshold_for(self, signals: types_pb2.Signals) -> float:
        """Return the configured threshold for what was found."""
        if not self._by_slice:
            return self.threshold
        found = slices_of(decided_language(signals), decided_domain(signals))
        return next((self._by_slice[key] for key in found if key in self._by_slice), self.threshold)

    @cached_property
    def _by_slice(self) -> dict[tuple[str | None, str | None], float]:
        return {(row.language, row.domain): row.threshold for row in self.thresholds}


def slices_of(language: str | None, domain: str | None) -> list[tuple[str | None, str | None]]:
    """Return the slices that a request is in, in the order in which their thresholds count; None: undecided."""
    keys = ((language, domain), (None, domain), (language, None))
    return [key for key in keys if key != (None, None)]


def decided_language(signals: types_pb2.Signals) -> str | None:
    """Return the language that was found; None: undecided."""
    found = signals.language
    decided = found.value not in ("", "und") and found.confidence >= DECIDED_CONFIDENCE
    return str(found.value) if decided else None


def decided_domain(signals: types_pb2.Signals) -> str | None:
    """Return the word for the domain that was found; None: undecided."""
    found = signals.domain
    decided = found.value != types_pb2.DOMAIN_UNSPECIFIED and found.confidence >= DECIDED_CONFIDENCE
    return types_pb2.Domain.Name(found.value).removeprefix("DOMAIN_").lower() if decided else None


def check_routing(routing: Routing, catalogue: Catalogue) -> Iterator[Complaint]:
    """Yield what is wrong across the fields."""
    target = routing.target
    if target and (target.share is None) == (target.usd_per_1k is None):
        yield Complaint(("routing", "target"), "needs share or usd_per_1k, one of the two")
    elif target and target.usd_per_1k and not _is_dearer(routing, catalogue):
        message = (
            f"needs a strong tier that costs more than the cheap one, and {routing.strong} does not cost more "
            f"than {routing.cheap}; write share, or set the prices in the catalogue"
        )
        yield Complaint(("routing", "target", "usd_per_1k"), message)
    seen: dict[tuple[str | None, str | None], int] = {}
    for index, row in enumerate(routing.thresholds):
        place, key = ("routing", "thresholds", index), (row.language, row.domain)
        if key == (None, None):
            yield Complaint(place, "needs language, domain or both; for all requests set routing.threshold")
        first = seen.setdefault(key, index)
        if first != index:
            yield Complaint(
                place, f"is for the same requests as routing.thresholds[{first}]; keep one of them"
            )


def _is_dearer(routing: Routing, catalogue: Catalogue) -> bool:
    """Whether the strong tier's tokens cost more; True also where a tier is unknown, which is another complaint."""
    if not {routing.cheap, routing.strong} <= set(catalogue.tiers):
        return True
    cheap, strong = catalogue.tier(routing.cheap).price, catalogue.tier(routing.strong).price
    return strong.cost_nano_usd(1000, 1000) > cheap.cost_nano_usd(1000, 1000)
