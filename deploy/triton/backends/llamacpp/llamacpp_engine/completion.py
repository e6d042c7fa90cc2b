"""One completion by llama.cpp: what to ask it, and how to read the chunks that it answers with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import EngineError, RequestError
from .request import Sampling


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """The log-probability of one token."""

    token_id: int
    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Delta:
    """What one chunk adds to a completion."""

    text: str
    """Always whole characters: llama.cpp holds the bytes of one back until it is complete."""
    made: int
    """Tokens made so far, also those whose text is held back."""
    prompt_tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: str | None = None


class Engine(Protocol):
    """Something that completes prompts."""

    context_tokens: int
    """Longest prompt and completion together."""

    def complete(self, options: Mapping[str, Any], on_delta: Callable[[Delta], bool]) -> None:
        """Complete a prompt, blocking; `on_delta` returns True to stop. Raises EngineError."""


def completion_options(prompt: str, sampling: Sampling, logprobs: bool) -> dict[str, Any]:
    """The request to llama.cpp for one completion."""
    options: dict[str, Any] = {
        "prompt": prompt,
        "stream": True,
        "n_predict": -1 if sampling.max_tokens is None else sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": 0.0,  # llama.cpp's own default would cut what the request did not ask to cut
        "stop": list(sampling.stop),
        "cache_prompt": True,
        "timings_per_token": True,  # the only exact count of tokens: a chunk may hold several
        "return_progress": True,  # chunks while a long prompt is read, so that it can be cancelled
    }
    if sampling.seed is not None:
        options["seed"] = sampling.seed
    if logprobs:
        options["n_probs"] = max(1, sampling.logprobs or 0)
    return options


def read_chunk(chunk: Mapping[str, Any]) -> Delta:
    """Read a chunk of a streamed completion. Raises EngineError if it says that the completion failed."""
    if "error" in chunk:
        raise _failure(chunk["error"])
    choice = chunk["choices"][0]
    timings = chunk.get("timings", {})
    content = (choice.get("logprobs") or {}).get("content", ())
    return Delta(
        text=choice["text"],
        made=timings.get("predicted_n", 0),
        prompt_tokens=timings.get("cache_n", 0) + timings.get("prompt_n", 0),
        logprobs=tuple(TokenLogprob(entry["id"], entry["token"], entry["logprob"]) for entry in content),
        finish_reason=choice["finish_reason"],
    )


def _failure(error: Mapping[str, Any]) -> EngineError:
    if error.get("type") == "exceed_context_size_error":
        return RequestError(
            f"prompt has {error['n_prompt_tokens']} tokens, context holds {error['n_ctx']}: "
            "shorten the prompt, or serve the model with a longer context"
        )
    return EngineError(f"llama.cpp could not answer: {error.get('message', error)}")
