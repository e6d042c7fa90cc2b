"""Triton backend `llamacpp`: GGUF models on llama.cpp, with the vLLM backend's signature."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from booking.books import BOOKS_FULL
from booking.triton import ModelBooks
from llamacpp_engine.answering import Answering
from llamacpp_engine.delivery import Tensors
from llamacpp_engine.errors import RequestError, SettingsError
from llamacpp_engine.request import read_request
from llamacpp_engine.server import LlamaServer
from llamacpp_engine.settings import load_settings

_FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
_DTYPES = {
    "text_output": np.object_,
    "finish_reason": np.object_,
    "logprobs": np.object_,
    "cumulative_logprob": np.float32,
    "num_input_tokens": np.uint32,
    "num_output_tokens": np.uint32,
}


class TritonPythonModel:
    """One model of the repository."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the weights. Raises TritonModelException when the model's settings are wrong."""
        folder = Path(args["model_repository"]) / args["model_version"]
        try:
            settings = load_settings(folder / "model.json")
            self._engine = LlamaServer(settings)
        except SettingsError as error:
            raise pb_utils.TritonModelException(str(error)) from error
        self._draft = settings.draft
        self._books = ModelBooks(args["model_name"])
        # A request beyond the slots waits here, where its cancellation is seen before it costs anything.
        self._threads = ThreadPoolExecutor(settings.slots, thread_name_prefix="request")

    def execute(self, requests: list[Any]) -> None:
        """Take requests in; each is answered by a thread of its own."""
        for request in requests:
            if not self._books.takes(request):
                self._take(request)

    def _take(self, request: Any) -> None:
        sender = _Sender(request.get_response_sender())
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        try:
            read = read_request(inputs)
        except RequestError as error:
            sender.fail(str(error))
            return
        entry = self._books.open(request.request_id(), sender.is_cancelled)
        if entry is None:
            sender.fail(BOOKS_FULL)
        else:
            self._threads.submit(Answering(read, sender, self._engine, entry, self._draft).run)

    def finalize(self) -> None:
        """Release everything; Triton calls this only when no request is under way."""
        self._threads.shutdown()
        self._books.close()
        del self._engine


class _Sender:
    """Triton's response sender, in the terms of the engine."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender
        self.is_cancelled = sender.is_cancelled

    def send(self, tensors: Tensors, final: bool) -> None:
        """Send a response; the final one ends the request."""
        response = pb_utils.InferenceResponse([_tensor(name, values) for name, values in tensors.items()])
        self._sender.send(response, flags=_FINAL if final else 0)

    def fail(self, message: str) -> None:
        """End with an in-band error."""
        self._sender.send(pb_utils.InferenceResponse([], pb_utils.TritonError(message)), flags=_FINAL)

    def close(self) -> None:
        """End without saying anything more."""
        self._sender.send(flags=_FINAL)


def _tensor(name: str, values: list[Any]) -> Any:
    elements = [value.encode() if isinstance(value, str) else value for value in values]
    return pb_utils.Tensor(name, np.array(elements, dtype=_DTYPES[name]))
