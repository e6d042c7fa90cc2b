"""One request under way: its tokens at their pace, its fault, its cancellation."""

from __future__ import annotations

import os
from typing import Protocol

from booking.books import Entry

from .answer import Answer
from .directives import Directives

CANCEL_CHECK_SECONDS = 0.050
SLOW_FACTOR = 20.0
OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 39.39 GiB of which 1.12 GiB "
    "is free. Including non-PyTorch memory, this process has 38.26 GiB memory in use. Of the allocated memory "
    "36.80 GiB is allocated by PyTorch, and 612.47 MiB is reserved by PyTorch but unallocated. If reserved but "
    "unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid "
    "fragmentation.  See documentation for Memory Management  "
    "(https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
)
FAILURE = "simulated engine failure: the prompt asked for fault=error"


class Outlet(Protocol):
    """The way back to the client of one request."""

    stream: bool
    """Whether tokens are sent one by one, rather than all at the end."""

    def send(self, text: str, made: int, logprob_sum: float, finish_reason: str | None) -> None:
        """Send text of `made` tokens; a finish reason means that it is the last of the answer."""

    def send_garbage(self, kind: str) -> None:
        """Send a response that breaks the signature, and end."""

    def fail(self, message: str) -> None:
        """End with an in-band error."""

    def close(self) -> None:
        """End without saying anything more."""

    def cancelled(self) -> bool:
        """Whether the client has gone away."""


class Generation:
    """Makes the tokens of one answer when they are due and hands them to its outlet."""

    __slots__ = (
        "_answer",
        "_check_at",
        "_directives",
        "_due",
        "_entry",
        "_gap",
        "_made",
        "_outlet",
        "_still",
    )

    def __init__(
        self, directives: Directives, answer: Answer, outlet: Outlet, entry: Entry, now: float
    ) -> None:
        self._directives = directives
        self._answer = answer
        self._outlet = outlet
        self._entry = entry
        self._made = 0
        self._gap = directives.tpot_ms / 1000
        self._due = now + directives.ttft_ms / 1000
        self._check_at = now + CANCEL_CHECK_SECONDS
        self._still = directives.fault == "hang"

    def step(self, now: float) -> float | None:
        """Make the next token if it is due; returns when to call again, None when the answer is over."""
        if now >= self._check_at:
            if self._outlet.cancelled():
                self._outlet.close()
                return None
            self._check_at = now + CANCEL_CHECK_SECONDS
        if self._still:
            return self._check_at
        if now < self._due:
            return min(self._due, self._check_at)
        if self._directives.fault and self._made == self._directives.at and self._break():
            return self._check_at if self._still else None
        return self._make()

    def _make(self) -> float | None:
        tokens = self._answer.tokens
        if self._made < len(tokens):
            self._made += 1
            self._entry.add_output(1)
        finished = self._made == len(tokens)
        if self._outlet.stream:
            self._send(tokens[self._made - 1] if tokens else "", min(1, len(tokens)), finished)
        elif finished:
            self._send("".join(tokens), self._made, finished)
        if finished:
            return None
        self._due += self._gap
        return min(self._due, self._check_at)

    def _send(self, text: str, made: int, finished: bool) -> None:
        logprob_sum = self._made * self._directives.logprob
        self._outlet.send(text, made, logprob_sum, self._answer.finish_reason if finished else None)

    def _break(self) -> bool:
        """Bring about the fault; whether token making ends with it."""
        match self._directives.fault:
            case "stall":
                self._still = True
            case "oom":
                self._outlet.fail(OUT_OF_MEMORY)
            case "error":
                self._outlet.fail(FAILURE)
            case "garbage":
                self._outlet.send_garbage(self._directives.garbage)
            case "crash":
                os._exit(1)
            case _:
                self._gap *= SLOW_FACTOR
                return False
        return True
