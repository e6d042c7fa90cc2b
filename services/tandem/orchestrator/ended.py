"""A request that has ended, and who wants to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.orchestrator.budgets import Verdict
from tandem.orchestrator.course import Course
from tandem.v1 import types_pb2


class Ended(NamedTuple):
    """A request that has ended."""

    answer: types_pb2.Answer
    """The answer, or what is known of one that was not given; nothing of it changes any more."""
    call: Call
    method: str
    """Name of the rpc."""
    verdict: Verdict
    """What the tenant's budget said at the beginning."""
    catalogue: Catalogue
    """The prices that counted at the beginning."""
    reason: str
    """`ErrorInfo.reason` of the error that ended it. Empty: it was answered."""
    messages: Sequence[types_pb2.Message]
    """The conversation."""
    course: Course
    """How it went."""


class Observer(Protocol):
    """Wants to know of requests that end: it never waits, never raises and changes nothing."""

    def ended(self, ended: Ended) -> None:
        """See a request at its end, in the event loop and on the request's path: within microseconds."""

    def settled(self, ended: Ended) -> None:
        """See it again when all of its tokens are counted, in most cases at once."""
