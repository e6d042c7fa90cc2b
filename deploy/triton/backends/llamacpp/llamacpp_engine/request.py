"""A request in the vLLM backend's signature, read and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from .errors import RequestError

FLAGS = (
    "stream",
    "exclude_input_in_output",
    "return_finish_reason",
    "return_cumulative_logprob",
    "return_logprobs",
    "return_num_input_tokens",
    "return_num_output_tokens",
)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen; the defaults are vLLM's, except that an absent max_tokens sets no limit."""

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request: what to go on from, how, and what to send back."""

    prompt: str
    sampling: Sampling
    flags: frozenset[str]
    """Those of FLAGS that are true."""

    @property
    def wants_logprobs(self) -> bool:
        """Whether log-probabilities are worth their price, a fifth of the speed."""
        return not self.flags.isdisjoint(("return_cumulative_logprob", "return_logprobs"))


def read_request(inputs: Mapping[str, Any]) -> Request:
    """Read a request from its input tensors (arrays by name). Raises RequestError if anything is wrong."""
    image = inputs.get("image")
    if image is not None and image.size:
        raise RequestError("this model sees no images: send text only, or ask a model that takes images")
    prompt = _text(inputs["text_input"], "text_input")
    if not prompt:
        raise RequestError("text_input is empty: there is nothing to go on from")
    flags = frozenset(name for name in FLAGS if name in inputs and inputs[name].item())
    parameters = inputs.get("sampling_parameters")
    sampling = Sampling() if parameters is None else read_sampling(_text(parameters, "sampling_parameters"))
    return Request(prompt, sampling, flags)


def read_sampling(text: str) -> Sampling:
    """Read sampling parameters from JSON. Raises RequestError naming the first one that is wrong."""
    try:
        given = json.loads(text) if text else {}
    except json.JSONDecodeError as error:
        raise RequestError(f"sampling_parameters is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise RequestError("sampling_parameters must be a JSON object")
    values = {name: _check(name, value) for name, value in given.items() if value is not None}
    return Sampling(**values)


def _text(array: Any, name: str) -> str:
    try:
        return str(array.item().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RequestError(f"{name} is not UTF-8: {error}") from error


def _check(name: str, value: Any) -> Any:
    check = _CHECKS.get(name)
    if check is None:
        raise RequestError(f"sampling parameter {name!r} is unknown: known are {', '.join(_CHECKS)}")
    return check(name, value)


def _whole(name: str, value: Any, lowest: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or (lowest is not None and value < lowest):
        bound = "" if lowest is None else f" of at least {lowest}"
        raise RequestError(f"sampling parameter {name} is {value!r} and must be a whole number{bound}")
    return value


def _real(name: str, value: Any, highest: float | None) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value < math.inf
        or (highest is not None and value > highest)
    ):
        bound = "" if highest is None else f" and at most {highest}"
        raise RequestError(
            f"sampling parameter {name} is {value!r} and must be a number of at least 0{bound}"
        )
    return float(value)


def _stop(value: Any) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise RequestError(
            f"sampling parameter stop is {value!r} and must be a list of texts that are not empty"
        )
    return tuple(words)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "max_tokens": partial(_whole, lowest=1),
    "temperature": partial(_real, highest=None),
    "top_p": partial(_real, highest=1),
    "top_k": lambda name, value: max(0, _whole(name, value, lowest=-1)),
    # llama.cpp keeps 32 bits of a seed, and its highest value means "choose one".
    "seed": lambda name, value: _whole(name, value, lowest=None) % 0xFFFF_FFFF,
    "stop": lambda _, value: _stop(value),
    "logprobs": partial(_whole, lowest=0),
}
