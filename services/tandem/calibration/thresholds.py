"""From scores to thresholds: for all requests, for each language, for each domain, and for both together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.calibration.intervals import mean_interval, quantile_interval, share_interval
from tandem.calibration.traffic import Scored
from tandem.orchestrator.routing_policy import slices_of

Array = NDArray[np.float64]

DECIMALS: Final = 6
"""Of a threshold: as many as a probability that travels as a 32-bit float has."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cut:
    """A threshold for some requests, and what it gives on them."""

    language: str | None
    """None: any."""
    domain: str | None
    """None: any."""
    requests: int
    threshold: Estimate
    share: Estimate
    """Part of them that goes to the strong tier."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a set of thresholds gives on all requests."""

    share: Estimate
    usd_per_1k: Estimate
    quality: Estimate | None
    """Mean rightness of the answers, 0 to 1; None: outcomes are not known."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What each request costs by either tier, in billionths of a US dollar, shape (n,)."""

    cheap: Array
    strong: Array


class CostOutOfReach(Exception):
    """The cheap tier alone costs more than is allowed."""


def cut_for_share(scores: Array, share: float, language: str | None = None, domain: str | None = None) -> Cut:
    """Return the threshold below which a share of the scores lies, as nearly as equal scores allow.

    Args:
        scores: shape (n,), n ≥ 1, each 0 to 1.
        share: 0 to 1.
        language: what the scores are of.
        domain: likewise.
    """
    ordered = np.sort(scores)
    threshold = _between(ordered, _nearest(ordered, share * len(ordered)))
    below = int(np.count_nonzero(scores < threshold))
    return Cut(
        language,
        domain,
        len(scores),
        Estimate(threshold, *_around(threshold, quantile_interval(ordered, share))),
        Estimate(below / len(scores), *share_interval(below, len(scores))),
    )


def share_for_cost(scores: Array, costs: Costs, nano_usd: float) -> float:
    """Return the largest share of requests, lowest scores first, with which a request costs no more on average.

    Raises:
        CostOutOfReach: it costs more with no request to the strong tier.
    """
    order = np.argsort(scores, kind="stable")
    extra = np.concatenate([[0.0], np.cumsum((costs.strong - costs.cheap)[order])])
    mean = (costs.cheap.sum() + extra) / len(scores)
    if mean[0] > nano_usd:
        raise CostOutOfReach(
            f"1,000 requests cost ${mean[0] / 10**6:.4f} by the cheap tier alone; allow more than that, or lower the "
            "prices in the catalogue"
        )
    return float(np.flatnonzero(mean <= nano_usd)[-1]) / len(scores)


def cuts_by_slice(requests: Sequence[Scored], share: float, least: int) -> list[Cut]:
    """Return a threshold for each language, each domain and each pair with enough requests, at the same share."""
    keys: list[Callable[[Scored], tuple[str | None, str | None]]] = [
        lambda each: (each.language, None),
        lambda each: (None, each.domain),
        lambda each: (each.language, each.domain),
    ]
    wanted = [(False, True), (True, False), (False, False)]
    cuts = []
    for key, absent in zip(keys, wanted, strict=True):
        groups: dict[tuple[str | None, str | None], list[float]] = {}
        for each in requests:
            groups.setdefault(key(each), []).append(each.r1_suffices)
        for (language, domain), scores in sorted(groups.items(), key=str):
            complete = (language is None, domain is None) == absent
            if complete and len(scores) >= least:
                cuts.append(cut_for_share(np.array(scores), share, language, domain))
    return cuts


def worth_writing(overall: Cut, slices: Sequence[Cut]) -> list[Cut]:
    """Return the slices whose threshold surely differs from the one for all requests."""
    value = overall.threshold.value
    return [cut for cut in slices if not cut.threshold.low <= value <= cut.threshold.high]


def effect(requests: Sequence[Scored], costs: Costs, overall: Cut, slices: Sequence[Cut]) -> Effect:
    """Return what thresholds give, applied as the policy applies them: a pair before a domain before a language."""
    known = {(cut.language, cut.domain): cut.threshold.value for cut in slices}
    strong = np.array(
        [
            each.r1_suffices
            < next(
                (known[key] for key in slices_of(each.language, each.domain) if key in known),
                overall.threshold.value,
            )
            for each in requests
        ]
    )
    spent = np.where(strong, costs.strong, costs.cheap) / 10**6
    count = int(strong.sum())
    return Effect(
        Estimate(count / len(requests), *share_interval(count, len(requests))),
        Estimate(float(spent.mean()), *mean_interval(spent)),
        _quality(requests, strong),
    )


def _quality(requests: Sequence[Scored], strong: NDArray[np.bool_]) -> Estimate | None:
    right = [
        each.pro_right if is_strong else each.r1_right
        for each, is_strong in zip(requests, strong, strict=True)
        if each.r1_right is not None and each.pro_right is not None
    ]
    if not right:
        return None
    values = np.array(right, dtype=np.float64)
    return Estimate(float(values.mean()), *mean_interval(values))


def _nearest(ordered: Array, wanted: float) -> int:
    """Return the place between two different scores, or at an end, that is nearest to the wanted one."""
    places = np.concatenate([[0], np.flatnonzero(np.diff(ordered) > 0) + 1, [len(ordered)]])
    return int(places[np.argmin(np.abs(places - wanted))])


def _between(ordered: Array, place: int) -> float:
    """Return a threshold with so many scores below it; 1 is the highest, and a score of 1 is not below it."""
    if place == 0:
        return float(np.floor(ordered[0] * 10**DECIMALS) / 10**DECIMALS)
    above = ordered[place] if place < len(ordered) else 1.0
    middle = round(float(ordered[place - 1] + above) / 2.0, DECIMALS)
    return middle if ordered[place - 1] < middle <= above else float(above)


def _around(value: float, interval: tuple[float, float]) -> tuple[float, float]:
    """Return the interval, widened to hold the value: rounding and equal scores may put it just outside."""
    return min(interval[0], value), max(interval[1], value)
