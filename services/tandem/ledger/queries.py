"""What the ledger answers. Rows come as mappings, named as the tables' columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, func, select

from tandem.ledger.errors import PrefixAmbiguous, RequestUnknown
from tandem.ledger.schema import reading
from tandem.ledger.tables import attempts, degradations, requests, timestamp

Record = Mapping[str, Any]
MOST_MATCHES: Final = 8
"""Identifiers that are listed when several begin with what was asked for."""


@dataclass(frozen=True, slots=True)
class Which:
    """Which requests are meant: those that started since, of one tenant. None: no limit."""

    since: datetime | None = None
    tenant: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return them as conditions on `requests`."""
        found = []
        if self.since:
            found.append(requests.c.started_at >= timestamp(self.since))
        if self.tenant is not None:
            found.append(requests.c.tenant == self.tenant)
        return found


def newest(connection: Connection, which: Which, limit: int) -> list[Record]:
    """Return the newest requests, the newest first, each with its number of `attempts`."""
    count = select(func.count()).where(attempts.c.request == requests.c.id).scalar_subquery()
    query = select(requests, count.label("attempts")).where(*which.conditions())
    return _records(
        connection, query.order_by(requests.c.started_at.desc(), requests.c.id.desc()).limit(limit)
    )


def requests_named(connection: Connection, request_id: str) -> list[Record]:
    """Return every request of this identifier, the oldest first, with its `attempts` and `degradations` in order."""
    return _in_full(connection, requests.c.request_id == request_id)


def requests_found(connection: Connection, name: str) -> list[Record]:
    """Return, as `requests_named`, the requests of an identifier, of a trace, or of the one identifier that begins so.

    Raises:
        RequestUnknown: there are none.
        PrefixAmbiguous: several identifiers begin so.
    """
    if found := requests_named(connection, name) or _in_full(connection, requests.c.trace_id == name):
        return found
    begins_so = func.substr(requests.c.request_id, 1, len(name)) == name
    query = select(requests.c.request_id).where(begins_so).distinct().order_by(requests.c.request_id)
    matches = list(connection.execute(query.limit(MOST_MATCHES + 1)).scalars()) if name else []
    if not matches:
        raise RequestUnknown(name)
    if len(matches) > 1:
        raise PrefixAmbiguous(name, matches[:MOST_MATCHES], more=len(matches) > MOST_MATCHES)
    return requests_named(connection, matches[0])


def _in_full(connection: Connection, condition: ColumnElement[bool]) -> list[Record]:
    query = select(requests).where(condition).order_by(requests.c.started_at, requests.c.id)
    return [
        {
            **request,
            "attempts": _records(connection, _of(attempts, request["id"])),
            "degradations": _records(connection, _of(degradations, request["id"])),
        }
        for request in _records(connection, query)
    ]


def _of(table: Any, key: str) -> Select[Any]:
    columns = [column for column in table.c if column.name != "request"]
    return select(*columns).where(table.c.request == key).order_by(table.c.position)


def _records(connection: Connection, query: Select[Any]) -> list[Record]:
    return [dict(row) for row in connection.execute(query).mappings()]


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over a group of requests."""

    group: str | None
    """What they have in common; None: nothing was known."""
    requests: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0

    @property
    def amplification(self) -> float | None:
        """Attempts for each request; None without a request."""
        return self.attempts / self.requests if self.requests else None


DAY: Final = func.substr(requests.c.started_at, 1, 10)
GROUPS: Final[Mapping[str, tuple[ColumnElement[Any], ColumnElement[Any]]]] = {
    "tenant": (requests.c.tenant, requests.c.tenant),
    "tier": (requests.c.tier, attempts.c.tier),
    "outcome": (requests.c.outcome, requests.c.outcome),
    "day": (DAY, DAY),
}
"""What requests and attempts are grouped by: a request by the tier that answered it, an attempt by its own."""


def totals(connection: Connection, which: Which, by: str) -> list[Total]:
    """Return the sums of each group, by the name of the group."""
    request_key, attempt_key = GROUPS[by]
    counted = select(request_key, func.count()).where(*which.conditions()).group_by(request_key)
    summed = (
        select(attempt_key, func.count(), *_sums()).join_from(requests, attempts).where(*which.conditions())
    ).group_by(attempt_key)
    asked = {row[0]: row[1] for row in connection.execute(counted)}
    tried = {key: sums for key, *sums in connection.execute(summed)}
    keys = sorted({*asked, *tried}, key=lambda key: (key is None, key))
    return [Total(key, asked.get(key, 0), *map(int, tried.get(key, ()))) for key in keys]


def total(connection: Connection, which: Which) -> Total:
    """Return the sums of all requests."""
    count = select(func.count()).select_from(requests).where(*which.conditions())
    summed = select(func.count(), *_sums()).join_from(requests, attempts).where(*which.conditions())
    sums = connection.execute(summed).one()
    return Total(None, connection.execute(count).scalar_one(), *map(int, sums))


def _sums() -> Sequence[ColumnElement[Any]]:
    columns = (attempts.c.input_tokens, attempts.c.output_tokens, attempts.c.cost_nano_usd)
    return [func.coalesce(func.sum(column), 0) for column in columns]


@dataclass(frozen=True, slots=True)
class ModelTokens:
    """Tokens of one Triton model."""

    input_tokens: int = 0
    output_tokens: int = 0
    unsettled_attempts: int = 0
    """Attempts whose tokens are not the engine's own count."""


def tokens_by_model(connection: Connection, which: Which) -> dict[str, ModelTokens]:
    """Return the tokens of each Triton model."""
    settled = func.sum(func.cast(attempts.c.usage_settled, attempts.c.position.type))
    query = (
        select(attempts.c.model, *_sums()[:2], func.count() - settled)
        .join_from(requests, attempts)
        .where(*which.conditions())
        .group_by(attempts.c.model)
    )
    return {model: ModelTokens(*map(int, sums)) for model, *sums in connection.execute(query)}


def spent_today(url: str) -> dict[str, int]:
    """Return what each tenant has spent since midnight UTC, in billionths of a US dollar.

    Raises:
        LedgerUnusable: the ledger is not there or cannot be read.
    """
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with reading(url) as connection:
        return {
            str(total.group): total.cost_nano_usd
            for total in totals(connection, Which(since=midnight), "tenant")
        }
