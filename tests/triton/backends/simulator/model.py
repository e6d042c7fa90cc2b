"""Triton backend `simulator`: deterministic tokens at a set pace, with the vLLM backend's signature."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from booking.books import BOOKS_FULL, Entry
from booking.triton import ModelBooks
from simulator_engine.answer import make_answer, split_prompt
from simulator_engine.directives import read_directives
from simulator_engine.generation import Generation
from simulator_engine.limits import Limits, read_limits
from simulator_engine.scheduler import Scheduler

_FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
_LANES = 4
"""Threads that send: a thread waits for Triton with every response, and one alone would halve the speed."""
_ONE_TOKEN = np.array([1], dtype=np.uint32)
_text_arrays: dict[str, Any] = {}


class TritonPythonModel:
    """One simulated model; its name decides which directives concern it."""

    def initialize(self, args: dict[str, str]) -> None:
        """Start the schedulers and open the books."""
        self._model = args["model_name"]
        self._books = ModelBooks(self._model)
        self._lanes = [Scheduler() for _ in range(_LANES)]
        self._turn = itertools.cycle(self._lanes)

    def execute(self, requests: list[Any]) -> None:
        """Take requests in; a scheduler's thread answers them."""
        for request in requests:
            if not self._books.takes(request):
                self._take(request)

    def _take(self, request: Any) -> None:
        sender = request.get_response_sender()
        entry = self._books.open(request.request_id(), sender.is_cancelled)
        if entry is None:
            _fail(sender, BOOKS_FULL)
        else:
            next(self._turn).add(_Arrival(self._model, request, sender, entry).step)

    def finalize(self) -> None:
        """Stop the schedulers; Triton calls this only when no request is under way."""
        for scheduler in self._lanes:
            scheduler.stop()
        self._books.close()


class _Arrival:
    """A request that has not been read yet: its first step reads it and becomes a generation."""

    def __init__(self, model: str, request: Any, sender: Any, entry: Entry) -> None:
        self._model = model
        self._request = request
        self._sender = sender
        self._entry = entry
        self._arrived = time.monotonic()
        self._generation: Generation | None = None

    def step(self, now: float) -> float | None:
        """Read the request the first time, then go on with its generation."""
        if self._generation is None:
            self._generation = self._start()
        again = self._generation.step(now) if self._generation else None
        if again is None:
            self._entry.end()
        return again

    def _start(self) -> Generation | None:
        """Read the request; None if there is nothing to generate, which the client has been told then."""
        try:
            return self._read()
        except ValueError as error:
            _fail(self._sender, f"simulator: {error}")
            return None

    def _read(self) -> Generation | None:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in self._request.inputs()}
        prompt = inputs["text_input"].item().decode()
        head, prefix = split_prompt(prompt)
        directives = read_directives(head, self._model)
        if directives.echo:
            parameters = json.loads(self._request.parameters())
            directives = replace(directives, text=str(parameters.get(directives.echo)))
        limits = (
            read_limits(inputs["sampling_parameters"].item()) if "sampling_parameters" in inputs else Limits()
        )
        images = inputs["image"].size if "image" in inputs else 0
        answer = make_answer(directives, prefix, images, limits)
        input_tokens = max(1, len(prompt) // 4)
        if not self._entry.begin():
            self._sender.send(flags=_FINAL)
            return None
        self._entry.add_input(input_tokens)
        outlet = _Outlet(self._sender, inputs, prompt, input_tokens, directives.logprob)
        return Generation(directives, answer, outlet, self._entry, self._arrived)


class _Outlet:
    """Builds the tensors that the client asked for and sends them."""

    def __init__(
        self, sender: Any, inputs: dict[str, Any], prompt: str, input_tokens: int, logprob: float
    ) -> None:
        flags = {name for name, value in inputs.items() if value.dtype == np.bool_ and value.item()}
        self.stream = "stream" in flags
        self.cancelled = sender.is_cancelled
        self._sender = sender
        self._logprob = logprob
        self._echo = "" if self.stream or "exclude_input_in_output" in flags else prompt
        self._input_tokens = input_tokens if "return_num_input_tokens" in flags else None
        self._finish_reason = "return_finish_reason" in flags
        self._cumulative = "return_cumulative_logprob" in flags
        self._logprobs = "return_logprobs" in flags
        self._output_tokens = "return_num_output_tokens" in flags

    def send(self, text: str, made: int, logprob_sum: float, finish_reason: str | None) -> None:
        """Send text of `made` tokens; a finish reason means that it is the last of the answer."""
        tensors = [pb_utils.Tensor("text_output", _text_array(self._echo + text))]
        if self._output_tokens:
            count = _ONE_TOKEN if made == 1 else np.array([made], dtype=np.uint32)
            tensors.append(pb_utils.Tensor("num_output_tokens", count))
        if self._cumulative:
            tensors.append(pb_utils.Tensor("cumulative_logprob", np.array([logprob_sum], dtype=np.float32)))
        if self._logprobs:
            tensors.append(pb_utils.Tensor("logprobs", _strings(self._token_logprobs(text, made))))
        if self._input_tokens is not None:
            tensors.append(
                pb_utils.Tensor("num_input_tokens", np.array([self._input_tokens], dtype=np.uint32))
            )
            self._input_tokens = None
        if finish_reason is None:
            self._sender.send(pb_utils.InferenceResponse(tensors))
            return
        if self._finish_reason:
            tensors.append(pb_utils.Tensor("finish_reason", _text_array(finish_reason)))
        self._sender.send(pb_utils.InferenceResponse(tensors), flags=_FINAL)

    def send_garbage(self, kind: str) -> None:
        """Send a response that breaks the signature, and end."""
        self._sender.send(pb_utils.InferenceResponse([_garbage(kind)]), flags=_FINAL)

    def fail(self, message: str) -> None:
        """End with an in-band error."""
        _fail(self._sender, message)

    def close(self) -> None:
        """End without saying anything more."""
        self._sender.send(flags=_FINAL)

    def _token_logprobs(self, text: str, made: int) -> str:
        token = {"logprob": self._logprob, "rank": 1, "decoded_token": text if made == 1 else None}
        return json.dumps([{"0": token}] * made)


def _fail(sender: Any, message: str) -> None:
    sender.send(pb_utils.InferenceResponse([], pb_utils.TritonError(message)), flags=_FINAL)


def _strings(text: str) -> Any:
    return np.array([text.encode()], dtype=np.object_)


def _text_array(text: str) -> Any:
    """The array of a short text, made once: tokens repeat from request to request."""
    array = _text_arrays.get(text)
    if array is None:
        array = _strings(text)
        if len(text) < 32 and len(_text_arrays) < 10_000:
            _text_arrays[text] = array
    return array


def _garbage(kind: str) -> Any:
    match kind:
        case "dtype":
            return pb_utils.Tensor("text_output", np.array([3.14], dtype=np.float32))
        case "shape":
            return pb_utils.Tensor("text_output", np.array([[b"a", b"b"], [b"c", b"d"]], dtype=np.object_))
        case _:
            return pb_utils.Tensor("text_output", np.array([b"\xff\xfe broken \xe9\x87"], dtype=np.object_))
