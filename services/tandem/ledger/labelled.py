"""What a ledger knows for learning: scores of requests, what answers take, and conversations with a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from sqlalchemy import Connection, RowMapping, func, or_, select

from tandem.conversation_json import from_json
from tandem.ledger.queries import Which
from tandem.ledger.tables import attempts, feedback, prompts, requests
from tandem.v1 import types_pb2

EVERYTHING: Final = Which()
TRUST: Final = ("human", "judge", "user")
"""Where several have judged an answer, the first of these who did is believed."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A conversation, and how right the answers of the tiers were."""

    messages: list[types_pb2.Message]
    r1_right: float | None
    """0 (wrong) to 1 (right); None: nobody said."""
    pro_right: float | None
    """The same of the strong tier."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the classifier found in a request, and how right the answers were, as far as somebody said."""

    r1_suffices: float
    language: str | None
    domain: str | None
    r1_right: float | None
    pro_right: float | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A first answer of the cheap tier with a verdict."""

    confidence: float | None
    """By its token probabilities, 0 to 1; None: not known."""
    r1_suffices: float | None
    """What the classifier found; None: nothing."""
    agreement: float | None
    """With its samples; None: there were none."""
    right: float
    """0 (wrong) to 1 (right)."""


@dataclass(frozen=True, slots=True)
class MeanTokens:
    """What an attempt takes on average."""

    input_tokens: float
    output_tokens: float


def labelled(
    connection: Connection,
    which: Which = EVERYTHING,
    cheap: str = "r1",
    strong: str = "pro",
) -> Iterator[Labelled]:
    """Yield every kept conversation that somebody has judged an answer to, the oldest first.

    Conversations are in the ledger only where the operator asked for it (`TANDEM_ORCHESTRATOR_LEDGER_PROMPTS`), from
    then on, and until they are pruned.

    Args:
        connection: to a ledger.
        which: the requests meant.
        cheap: the tier whose answer `r1_right` is about.
        strong: the tier whose answer `pro_right` is about.
    """
    query = (
        select(requests.c.id, requests.c.tier, prompts.c.messages, *_VERDICT)
        .join_from(requests, prompts)
        .join(feedback, _ABOUT)
        .where(*which.conditions())
        .order_by(requests.c.started_at, requests.c.id)
    )
    for _, group in groupby(connection.execute(query).mappings(), itemgetter("id")):
        rows = list(group)
        right = {tier: _right(rows, tier) for tier in (cheap, strong)}
        if any(value is not None for value in right.values()):
            yield Labelled(from_json(json.loads(rows[0]["messages"])), right[cheap], right[strong])


def judged(
    connection: Connection,
    which: Which = EVERYTHING,
    cheap: str = "r1",
    strong: str = "pro",
) -> Iterator[Judged]:
    """Yield every request that the classifier found signals in and that was worked on, the oldest first.

    This needs no conversation: the ledger always has the signals. Arguments as of `labelled`.
    """
    own = or_(requests.c.source_request_id.is_(None), requests.c.source_request_id == requests.c.request_id)
    columns = requests.c.id, requests.c.tier, requests.c.r1_suffices, requests.c.language, requests.c.domain
    query = (
        select(*columns, *_VERDICT)
        .outerjoin_from(requests, feedback, _ABOUT)
        .where(requests.c.r1_suffices.is_not(None), own, *which.conditions())
        .order_by(requests.c.started_at, requests.c.id)
    )
    for _, group in groupby(connection.execute(query).mappings(), itemgetter("id")):
        rows = list(group)
        first = rows[0]
        language = None if first["language"] in (None, "und") else str(first["language"])
        yield Judged(
            first["r1_suffices"], language, first["domain"], _right(rows, cheap), _right(rows, strong)
        )


def drafts(connection: Connection, which: Which = EVERYTHING, cheap: str = "r1") -> Iterator[Draft]:
    """Yield every first answer of the cheap tier that somebody has judged, the oldest first.

    It may be the draft of a cascade, whoever answered in the end, or an answer under another strategy. Arguments as of
    `labelled`.
    """
    query = (
        select(
            requests.c.id,
            requests.c.tier,
            requests.c.r1_suffices,
            requests.c.gate_agreement,
            attempts.c.confidence,
            *_VERDICT,
        )
        .join_from(requests, attempts)
        .join(feedback, _ABOUT)
        .where(
            attempts.c.tier == cheap,
            attempts.c.purpose == "primary",
            attempts.c.outcome == "answered",
            *which.conditions(),
        )
        .order_by(requests.c.started_at, requests.c.id)
    )
    for _, group in groupby(connection.execute(query).mappings(), itemgetter("id")):
        rows = list(group)
        first, right = rows[0], _right(rows, cheap)
        if right is not None:
            yield Draft(first["confidence"], first["r1_suffices"], first["gate_agreement"], right)


def mean_tokens(connection: Connection, which: Which = EVERYTHING) -> dict[str, MeanTokens]:
    """Return what an attempt of each tier takes on average; only tiers that have answered are there."""
    query = (
        select(attempts.c.tier, func.avg(attempts.c.input_tokens), func.avg(attempts.c.output_tokens))
        .join_from(requests, attempts)
        .where(attempts.c.outcome == "answered", *which.conditions())
        .group_by(attempts.c.tier)
    )
    return {tier: MeanTokens(float(given), float(made)) for tier, given, made in connection.execute(query)}


_VERDICT: Final = (feedback.c.score, feedback.c.source, feedback.c.tier.label("about"))
_ABOUT: Final = (feedback.c.request_id == requests.c.request_id) & (feedback.c.tenant == requests.c.tenant)


def _right(rows: Sequence[RowMapping], tier: str) -> float | None:
    """Return how right a tier's answer was, by the most trusted who said so; None: nobody did."""
    about = [row for row in rows if row["score"] is not None and (row["about"] or row["tier"]) == tier]
    for source in TRUST:
        scores = [float(row["score"]) for row in about if row["source"] == source]
        if scores:
            return (sum(scores) / len(scores) + 1.0) / 2.0
    return None
