"""What the core of inference asks of an engine, and what it gets back. `triton.py` implements it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from tandem.call import Call
from tandem.catalogue import Variant
from tandem.v1 import types_pb2


class Prompt(NamedTuple):
    """A prompt as the engine reads it: after the chat template."""

    model: str
    text: str
    images: tuple[bytes, ...]
    sampling: types_pb2.Sampling
    attempt: int = 0
    """Number of the attempt in its request."""


class Piece(NamedTuple):
    """A part of what the engine makes.

    `text` and `output_tokens` are what came since the piece before; the others are the latest known values.
    """

    text: str
    output_tokens: int
    input_tokens: int
    cumulative_logprob: float | None
    finish_reason: types_pb2.FinishReason.ValueType


class Engine(Protocol):
    """Prompts → tokens. Closing the iterator stops the model."""

    def generate(self, prompt: Prompt, stream: bool, call: Call) -> AsyncGenerator[Piece, None]:
        """Yield what the model makes: one piece if `stream` is False."""
        ...

    async def receipt(self, model: str, attempt: int, call: Call) -> types_pb2.Usage | None:
        """Return what the engine counted for an attempt of the call's request.

        None: it keeps no receipts, or does not know the attempt. Waits while the engine is away, longer than the call.
        """
        ...


class Readiness(Protocol):
    """Tells what keeps models from answering, and how many instances there are of them."""

    @property
    def instances(self) -> int:
        """How many engines there are, each with all models; 0: nobody knows."""
        ...

    async def problems(self, models: Sequence[str], call: Call) -> dict[str, str]:
        """Return for each model why it cannot answer, or an empty text."""
        ...


class Loading(Protocol):
    """Has models loaded while they are needed."""

    def awake(self, variant: Variant) -> AbstractAsyncContextManager[None]:
        """Have a variant loaded while the context is open."""
        ...

    def found_ready(self, variant: Variant) -> None:
        """Note that a variant is loaded."""
        ...

    async def is_asleep(self, variant: Variant) -> bool:
        """Whether a variant that is not ready waits to be needed."""
        ...
