"""What is written to the ledger, and what the orchestrator knows of it. Nothing here needs a database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from tandem.v1 import types_pb2


class Entry(NamedTuple):
    """One request that has ended. The writer reads it later: nothing of it may change any more."""

    answer: types_pb2.Answer
    """What is known of the request and its attempts, also when it failed. Text and reasoning are never stored."""
    tenant: str
    started_at: datetime
    """When the request arrived, UTC."""
    deadline_ms: float
    """Time from the start of the request to its deadline."""
    method: str
    """Name of the rpc: Generate, StreamGenerate or BatchGenerate."""
    reason: str = ""
    """`ErrorInfo.reason` of the error that ended it. Empty: it was answered."""
    trace_id: str = ""
    """Of the trace that the request is part of, 32 hexadecimal digits. Empty: it is part of none."""
    messages: Sequence[types_pb2.Message] = ()
    """The conversation, where the operator wants it kept; its text is stored. Empty: it is not kept."""


def made_elsewhere(answer: types_pb2.Answer) -> bool:
    """Whether the attempts of an answer are another request's, and booked with that one."""
    shared = answer.source_request_id not in {"", answer.request_id}
    return shared or answer.cache == types_pb2.CACHE_OUTCOME_HIT


class Ledger(Protocol):
    """Keeps entries."""

    def write(self, entry: Entry) -> None:
        """Take an entry: within microseconds, without waiting for anything, and never with an error."""

    async def close(self) -> None:
        """Write what has been taken; call it after the last `write`."""


@runtime_checkable
class Lagging(Protocol):
    """A ledger that writes behind the requests, and tells how it gets on; all counts are since the start."""

    @property
    def lag(self) -> int:
        """Entries that are not yet in the database."""

    @property
    def written(self) -> int:
        """Entries that are."""

    @property
    def dropped(self) -> int:
        """Entries that never will be."""

    @property
    def errors(self) -> int:
        """Tries to write that the database refused."""


class NoLedger:
    """Keeps nothing."""

    def write(self, entry: Entry) -> None:
        """Forget the entry."""

    async def close(self) -> None:
        """Do nothing: nothing was kept."""
