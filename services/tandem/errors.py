"""The error tree, and the one table that maps it to gRPC statuses and reasons.

Core modules raise these; the edge of a service turns them into a `google.rpc.Status`, and a client turns that back
into the same class. The module knows the numbers of the gRPC status codes but does not import grpc.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

DOMAIN: Final = "tandem"
"""`ErrorInfo.domain` of every error."""


class Code(enum.IntEnum):
    """The gRPC status codes that Tandem uses."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of the contract: path of the field and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Details:
    """What an error carries beside its message."""

    violations: Sequence[Violation] = ()
    quotas: Sequence[Violation] = ()
    """Budgets that are used up: `field` names the tenant and the budget."""
    retry_after_seconds: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class TandemError(Exception):
    """Base of all errors that reach a client. The message says what happened, why, and what to do."""

    def __init__(self, message: str, details: Details = Details()) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def code(self) -> Code:
        """Status code of this class."""
        return TABLE[type(self)][0]

    @property
    def reason(self) -> str:
        """`ErrorInfo.reason` of this class."""
        return TABLE[type(self)][1]


class InvalidRequest(TandemError):
    """The request breaks a rule of the contract."""


class UnknownTier(TandemError):
    """The request names a tier that the catalogue does not have."""


class UnknownVariant(TandemError):
    """The request names a variant that the tier does not have."""


class ModalityUnsupported(TandemError):
    """The request has a part that the tier cannot read."""


class StrategyUnsupported(TandemError):
    """The request asks for a strategy that this policy does not run."""


class PromptTooLong(TandemError):
    """The prompt does not fit into the model's context."""


class UnknownApiKey(TandemError):
    """The request carries no API key that this deployment knows."""


class TierNotEntitled(TandemError):
    """The tenant explicitly asks for a tier that it may not use."""


class DeadlineTooShort(TandemError):
    """No variant can answer in the time that the client grants."""


class DeadlineExceeded(TandemError):
    """The time ran out before there was an answer."""


class Cancelled(TandemError):
    """The client went away."""


class OutOfMemory(TandemError):
    """The accelerator or the host ran out of memory."""


class BudgetExhausted(TandemError):
    """The tenant has used up what it may use."""


class Overloaded(TandemError):
    """There are so many requests that this one would not be answered in time."""


class BackendUnavailable(TandemError):
    """The model is dead, not ready or unreachable."""


class BackendError(TandemError):
    """The model failed in a way that another model would not repair."""


class Draining(TandemError):
    """The service is shutting down and takes no new requests."""


class InternalError(TandemError):
    """A defect of Tandem."""


TABLE: Final[dict[type[TandemError], tuple[Code, str]]] = {
    InvalidRequest: (Code.INVALID_ARGUMENT, "INVALID_REQUEST"),
    UnknownTier: (Code.NOT_FOUND, "UNKNOWN_TIER"),
    UnknownVariant: (Code.NOT_FOUND, "UNKNOWN_VARIANT"),
    ModalityUnsupported: (Code.FAILED_PRECONDITION, "MODALITY_UNSUPPORTED"),
    StrategyUnsupported: (Code.FAILED_PRECONDITION, "STRATEGY_UNSUPPORTED"),
    PromptTooLong: (Code.FAILED_PRECONDITION, "PROMPT_TOO_LONG"),
    UnknownApiKey: (Code.UNAUTHENTICATED, "UNKNOWN_API_KEY"),
    TierNotEntitled: (Code.PERMISSION_DENIED, "TIER_NOT_ENTITLED"),
    DeadlineTooShort: (Code.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT"),
    DeadlineExceeded: (Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    Cancelled: (Code.CANCELLED, "CANCELLED"),
    OutOfMemory: (Code.RESOURCE_EXHAUSTED, "OUT_OF_MEMORY"),
    BudgetExhausted: (Code.RESOURCE_EXHAUSTED, "BUDGET_EXHAUSTED"),
    Overloaded: (Code.UNAVAILABLE, "OVERLOADED"),
    BackendUnavailable: (Code.UNAVAILABLE, "BACKEND_UNAVAILABLE"),
    BackendError: (Code.INTERNAL, "BACKEND_ERROR"),
    Draining: (Code.UNAVAILABLE, "DRAINING"),
    InternalError: (Code.INTERNAL, "INTERNAL"),
}

FAULTS: Final = frozenset(
    reason
    for cls, (code, reason) in TABLE.items()
    if cls is OutOfMemory or code in (Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNAVAILABLE)
)
"""Reasons of errors that are not the client's doing."""


def error_type(error: BaseException) -> str:
    """Return what kind of error this is: the reason of one of these, or what stands for any other."""
    if isinstance(error, TandemError):
        return error.reason
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return TABLE[Cancelled][1]
    return TABLE[DeadlineExceeded][1] if isinstance(error, TimeoutError) else type(error).__qualname__


BY_REASON: Final[dict[str, type[TandemError]]] = {reason: cls for cls, (_, reason) in TABLE.items()}
"""The class of each reason, for clients."""
