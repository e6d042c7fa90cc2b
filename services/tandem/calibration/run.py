"""The whole of a calibration: traffic → share → thresholds → what they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from tandem.calibration.in_process import shipped_classifier
from tandem.calibration.reliability import Reliability, reliability
from tandem.calibration.sample import NoSample, sample_of
from tandem.calibration.thresholds import (
    CostOutOfReach,
    Costs,
    Cut,
    Effect,
    cut_for_share,
    cuts_by_slice,
    effect,
    share_for_cost,
    worth_writing,
)
from tandem.calibration.traffic import Scored, TrafficError, read_traffic
from tandem.catalogue import Catalogue
from tandem.classifier.settings import DEFAULT_ARTIFACT
from tandem.ledger.errors import LedgerUnusable
from tandem.orchestrator.routing_policy import Routing

EXPECTED_PROMPT_TOKENS: Final = 256
EXPECTED_OUTPUT_TOKENS: Final = 256
"""Where neither the traffic nor a ledger nor the operator says more."""
ENOUGH: Final = 30
"""Requests that are needed at all."""


class Unusable(Exception):
    """There is no answer; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What is wanted: a share, or a cost."""

    share: float | None
    usd_per_1k: float | None
    least: int
    """Requests that a slice needs."""
    output_tokens: int | None = None
    """Tokens of an answer; None: the ledger's mean, else EXPECTED_OUTPUT_TOKENS."""
    slices: bool = True
    """Whether languages and domains get thresholds of their own."""

    def target(self) -> dict[str, float]:
        """Return it as `routing.target` of a policy."""
        return {"share": self.share} if self.share is not None else {"usd_per_1k": self.usd_per_1k or 0.0}


@dataclass(frozen=True, slots=True)
class Source:
    """Where the traffic comes from: a file, a ledger, or neither: the artifact's calibration sample."""

    file: Path | None = None
    ledger: str | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        if self.file:
            return str(self.file)
        return "the ledger" if self.ledger else "the calibration sample of the artifact"


@dataclass(frozen=True, slots=True)
class Result:
    """What a calibration found."""

    aim: Aim
    source: str
    requests: int
    overall: Cut
    slices: Sequence[Cut]
    chosen: Sequence[Cut]
    """Those of the slices whose threshold surely differs from that for all."""
    uniform: Effect
    """What the overall threshold alone gives."""
    sliced: Effect
    """What it gives together with the chosen slices."""
    output_tokens: dict[str, float]
    """Tokens of an answer that the cost was calculated with, by tier."""
    reliability: dict[str, Reliability]
    """For all requests, and for each language; empty: no outcome is known."""


def run(aim: Aim, source: Source, routing: Routing, catalogue: Catalogue) -> Result:
    """Calibrate.

    Raises:
        Unusable: the traffic cannot be read or does not do, or the target cannot be reached.
    """
    try:
        requests, tokens = _traffic(source, routing)
        costs = _costs(requests, tokens, aim, routing, catalogue)
        scores = np.array([each.r1_suffices for each in requests])
        share = aim.share
        if share is None:
            share = share_for_cost(scores, costs, (aim.usd_per_1k or 0.0) * 10**6)
    except (TrafficError, NoSample, LedgerUnusable, CostOutOfReach) as error:
        raise Unusable(str(error)) from None
    except OSError as error:
        raise Unusable(f"cannot read {error.filename}: {error.strerror}") from None
    overall = cut_for_share(scores, share)
    slices = cuts_by_slice(requests, share, aim.least) if aim.slices else []
    chosen = worth_writing(overall, slices)
    return Result(
        aim,
        str(source),
        len(requests),
        overall,
        slices,
        chosen,
        effect(requests, costs, overall, []),
        effect(requests, costs, overall, chosen),
        {name: _output_tokens(name, tokens, aim) for name in (routing.cheap, routing.strong)},
        _reliability(requests, aim.least),
    )


def _traffic(source: Source, routing: Routing) -> tuple[list[Scored], dict[str, tuple[float, float]]]:
    """Return the requests, and the mean tokens of prompt and answer by tier, as far as a ledger has them."""
    tokens: dict[str, tuple[float, float]] = {}
    if source.file:
        requests = read_traffic(source.file, shipped_classifier())
    elif source.ledger:
        requests, tokens = _from_ledger(source.ledger, source.since, routing)
    else:
        requests = sample_of(DEFAULT_ARTIFACT)
    if len(requests) < ENOUGH:
        raise TrafficError(
            f"{source} has {len(requests)} requests that do; {ENOUGH} are needed, better 1,000"
        )
    return requests, tokens


def _from_ledger(
    url: str, since: datetime | None, routing: Routing
) -> tuple[list[Scored], dict[str, tuple[float, float]]]:
    from tandem.ledger.labelled import judged, mean_tokens  # noqa: PLC0415 - SQLAlchemy only where it is needed
    from tandem.ledger.queries import Which  # noqa: PLC0415 - likewise
    from tandem.ledger.schema import reading  # noqa: PLC0415 - likewise

    with reading(url) as connection:
        which = Which(since)
        requests = [
            Scored(each.r1_suffices, each.language, each.domain, None, each.r1_right, each.pro_right)
            for each in judged(connection, which, routing.cheap, routing.strong)
        ]
        means = mean_tokens(connection, which)
    return requests, {tier: (mean.input_tokens, mean.output_tokens) for tier, mean in means.items()}


def _costs(
    requests: Sequence[Scored],
    tokens: dict[str, tuple[float, float]],
    aim: Aim,
    routing: Routing,
    catalogue: Catalogue,
) -> Costs:
    by_tier = []
    for name in (routing.cheap, routing.strong):
        price, made = catalogue.tier(name).price, round(_output_tokens(name, tokens, aim))
        usual = round(tokens[name][0]) if name in tokens else EXPECTED_PROMPT_TOKENS
        by_tier.append(
            np.array(
                [price.cost_nano_usd(each.prompt_tokens or usual, made) for each in requests],
                dtype=np.float64,
            )
        )
    return Costs(*by_tier)


def _output_tokens(tier: str, tokens: dict[str, tuple[float, float]], aim: Aim) -> float:
    if aim.output_tokens is not None:
        return float(aim.output_tokens)
    return tokens[tier][1] if tier in tokens else float(EXPECTED_OUTPUT_TOKENS)


def _reliability(requests: Sequence[Scored], least: int) -> dict[str, Reliability]:
    groups = {"all": list(requests)}
    for each in requests:
        if each.language:
            groups.setdefault(each.language, []).append(each)
    found = {
        name: reliability(group) for name, group in groups.items() if name == "all" or len(group) >= least
    }
    return {name: value for name, value in found.items() if value}
