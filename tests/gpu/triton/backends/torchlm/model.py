"""Triton backend `torchlm`: a small torch model on a GPU, with the vLLM backend's signature.

Torch is not in Triton's environment: TANDEM_TORCH_PACKAGES names the folder of packages that has it. How requests are
read and answers sent is the code of the backend `llamacpp`, which must lie beside this one.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Behind Triton's own packages, so that these keep their NumPy 1.
sys.path += [str(Path(__file__).parents[1] / "llamacpp"), os.environ["TANDEM_TORCH_PACKAGES"]]

import numpy as np
import triton_python_backend_utils as pb_utils

from booking.books import BOOKS_FULL
from booking.triton import ModelBooks
from llamacpp_engine.answering import Answering
from llamacpp_engine.delivery import Tensors
from llamacpp_engine.errors import RequestError
from llamacpp_engine.request import read_request
from torchlm_engine.engine import TorchEngine
from torchlm_engine.settings import Settings

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
        """Make the weights on the card that Triton assigned."""
        settings = Settings.load(Path(args["model_repository"]) / args["model_version"] / "model.json")
        on_card = args["model_instance_kind"] == "GPU"
        self._engine = TorchEngine(settings, f"cuda:{args['model_instance_device_id']}" if on_card else "cpu")
        self._books = ModelBooks(args["model_name"])
        self._threads = ThreadPoolExecutor(settings.slots, thread_name_prefix="request")

    def execute(self, requests: list[Any]) -> None:
        """Take requests in; each is answered by a thread of its own."""
        for request in requests:
            if not self._books.takes(request):
                self._take(request)

    def _take(self, request: Any) -> None:
        sender = _Sender(request.get_response_sender())
        try:
            read = read_request({tensor.name(): tensor.as_numpy() for tensor in request.inputs()})
        except RequestError as error:
            sender.fail(str(error))
            return
        entry = self._books.open(request.request_id(), sender.is_cancelled)
        if entry is None:
            sender.fail(BOOKS_FULL)
        else:
            self._threads.submit(Answering(read, sender, self._engine, entry, None).run)

    def finalize(self) -> None:
        """Release everything; Triton calls this only when no request is under way."""
        self._threads.shutdown()
        self._books.close()
        self._engine.close()


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
