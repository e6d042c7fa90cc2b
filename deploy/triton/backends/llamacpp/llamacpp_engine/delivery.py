"""Delivery: what an answer's tokens look like in the responses of the vLLM backend's signature."""

from __future__ import annotations

import json
from typing import Protocol

from .completion import TokenLogprob
from .request import Request

Tensors = dict[str, list[str] | list[int] | list[float]]
"""Output tensors by name, each with one element."""


class Sender(Protocol):
    """The way back to the client of one request."""

    def send(self, tensors: Tensors, final: bool) -> None:
        """Send a response; the final one ends the request."""

    def fail(self, message: str) -> None:
        """End with an in-band error."""

    def close(self) -> None:
        """End without saying anything more."""

    def is_cancelled(self) -> bool:
        """Whether the client has gone away."""


class Delivery:
    """Hands an answer over piece by piece, or all at once if the request does not stream."""

    def __init__(self, request: Request, sender: Sender) -> None:
        self._flags = request.flags
        self._sender = sender
        stream = "stream" in request.flags
        self._wait_for_end = not stream
        self._text = "" if stream or "exclude_input_in_output" in request.flags else request.prompt
        self._tokens = 0
        self._logprobs: list[TokenLogprob] = []
        self._all_tokens = 0
        self._seen_logprobs = 0
        self._logprob_sum = 0.0
        self.input_tokens = 0
        """Tokens of the request's prompt; known before the first piece."""

    def add(self, text: str, tokens: int, logprobs: tuple[TokenLogprob, ...] = ()) -> None:
        """Deliver some more text; tokens without text go out with the next piece."""
        self._text += text
        self._tokens += tokens
        self._all_tokens += tokens
        self._logprobs.extend(logprobs)
        self._seen_logprobs += len(logprobs)
        self._logprob_sum += sum(entry.logprob for entry in logprobs)
        if text and not self._wait_for_end:
            self._send(None)

    def finish(self, finish_reason: str) -> None:
        """Deliver what is left and end."""
        self._send(finish_reason)

    def _send(self, finish_reason: str | None) -> None:
        tensors: Tensors = {"text_output": [self._text]}
        if "return_finish_reason" in self._flags:
            tensors["finish_reason"] = [str(finish_reason)]  # "None" before the end, as vLLM's backend says
        if "return_cumulative_logprob" in self._flags:
            tensors["cumulative_logprob"] = [self._cumulative_logprob()]
        if "return_logprobs" in self._flags:
            tensors["logprobs"] = [_logprobs_json(self._logprobs)]
        if "return_num_input_tokens" in self._flags:
            tensors["num_input_tokens"] = [self.input_tokens]
        if "return_num_output_tokens" in self._flags:
            tensors["num_output_tokens"] = [self._tokens]
        self._text, self._tokens, self._logprobs = "", 0, []
        self._sender.send(tensors, final=finish_reason is not None)

    def _cumulative_logprob(self) -> float:
        """The sum over all tokens; those that llama.cpp says nothing about count as the mean of the others.

        It says nothing about the first bytes of a character that takes several tokens.
        """
        if not self._seen_logprobs:
            return 0.0
        return self._logprob_sum * self._all_tokens / self._seen_logprobs


def _logprobs_json(entries: list[TokenLogprob]) -> str:
    return json.dumps(
        [{str(e.token_id): {"logprob": e.logprob, "rank": 1, "decoded_token": e.token}} for e in entries]
    )
