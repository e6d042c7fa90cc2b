"""The tensors of the Triton vLLM backend: prompts into requests, responses into pieces.

Signature: https://github.com/triton-inference-server/vllm_backend, README and `src/model.py` of release 24.10.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from functools import lru_cache
from typing import Any, Final

from tritonclient.grpc import service_pb2

from tandem.errors import BackendUnavailable
from tandem.inference.engine import Piece, Prompt
from tandem.inference.failures import read_failure
from tandem.v1 import types_pb2

REQUIRED_INPUTS: Final = {
    "text_input": "BYTES",
    "sampling_parameters": "BYTES",
    "stream": "BOOL",
    "exclude_input_in_output": "BOOL",
    "return_finish_reason": "BOOL",
    "return_cumulative_logprob": "BOOL",
    "return_num_input_tokens": "BOOL",
    "return_num_output_tokens": "BOOL",
}
"""Inputs that are sent with every request. `image` is sent with pictures only."""

REQUIRED_OUTPUTS: Final = {
    "text_output": "BYTES",
    "finish_reason": "BYTES",
    "cumulative_logprob": "FP32",
    "num_input_tokens": "UINT32",
    "num_output_tokens": "UINT32",
}

_FINISH: Final = {b"stop": types_pb2.FINISH_REASON_STOP, b"length": types_pb2.FINISH_REASON_LENGTH}
_TRUE, _FALSE = b"\x01", b"\x00"


def encode(prompt: Prompt, stream: bool) -> service_pb2.ModelInferRequest:
    """Return the request for a prompt."""
    request = service_pb2.ModelInferRequest()
    request.CopyFrom(_FORMS[stream])
    request.model_name = prompt.model
    request.raw_input_contents[_TEXT] = _bytes_element(prompt.text.encode())
    request.raw_input_contents[_SAMPLING] = _bytes_element(
        _sampling_json(prompt.sampling.SerializeToString())
    )
    if prompt.images:
        encoded = [_bytes_element(base64.b64encode(image)) for image in prompt.images]
        _add_input(request, "image", "BYTES", len(encoded), b"".join(encoded))
    return request


def encode_question(model: str, request: str) -> service_pb2.ModelInferRequest:
    """Return the question what a model counted for a request."""
    question = service_pb2.ModelInferRequest()
    question.CopyFrom(_FORMS[False])
    question.model_name = model
    question.raw_input_contents[_TEXT] = _bytes_element(b"")
    question.raw_input_contents[_SAMPLING] = _bytes_element(json.dumps({"tandem_receipt": request}).encode())
    return question


def _form(stream: bool) -> service_pb2.ModelInferRequest:
    """Return a request that lacks what differs from prompt to prompt: making it anew takes twice as long."""
    request = service_pb2.ModelInferRequest()
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    for name, datatype in REQUIRED_INPUTS.items():
        _add_input(request, name, datatype, 1, _FALSE if name == "stream" and not stream else _TRUE)
    return request


def _add_input(
    request: service_pb2.ModelInferRequest, name: str, datatype: str, size: int, raw: bytes
) -> None:
    request.inputs.add(name=name, datatype=datatype, shape=(size,))
    request.raw_input_contents.append(raw)


_FORMS: Final = {stream: _form(stream) for stream in (False, True)}
_TEXT: Final = list(REQUIRED_INPUTS).index("text_input")
_SAMPLING: Final = list(REQUIRED_INPUTS).index("sampling_parameters")


def _bytes_element(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


@lru_cache(maxsize=256)
def _sampling_json(sampling: bytes) -> bytes:
    """Return the engine's sampling parameters; `logprobs: 0` asks for the drawn token's own log-probability.

    Most requests have one of a few samplings, which are `Sampling` messages.
    """
    parameters: dict[str, object] = {"logprobs": 0}
    for field, value in types_pb2.Sampling.FromString(sampling).ListFields():
        if field.name == "stop":
            parameters["stop"] = list(value)
        else:
            parameters[field.name] = value if isinstance(value, int) else round(value, 6)
    return json.dumps(parameters).encode()


class Decoder:
    """Responses of one request → pieces; keeps the latest known values.

    Args:
        model: name for error messages.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._input_tokens = 0
        self._logprob: float | None = None
        self._finish: types_pb2.FinishReason.ValueType = types_pb2.FINISH_REASON_UNSPECIFIED

    def decode(self, message: service_pb2.ModelStreamInferResponse) -> tuple[Piece | None, bool]:
        """Return the piece that a message carries, if any, and whether it is the last message.

        Raises:
            TandemError: the in-band error of the message, or BackendUnavailable for tensors that make no sense.
        """
        if message.error_message:
            raise read_failure(self._model, message.error_message)
        response = message.infer_response
        final = response.parameters["triton_final_response"].bool_param
        if not response.outputs:
            return None, final
        try:
            return self._piece(response), final
        except (struct.error, UnicodeDecodeError, KeyError, IndexError, ValueError) as error:
            # A sick backend: another model may well answer.
            raise BackendUnavailable(
                f"{self._model} answered with tensors that cannot be read: {error!r}"
            ) from error

    def _piece(self, response: service_pb2.ModelInferResponse) -> Piece:
        raw = {}
        for output, content in zip(response.outputs[:], response.raw_output_contents[:], strict=True):
            name, datatype = output.name, output.datatype
            if datatype != REQUIRED_OUTPUTS.get(name, datatype):
                raise ValueError(f"{name} is {datatype}, expected {REQUIRED_OUTPUTS[name]}")
            raw[name] = content
        if "num_input_tokens" in raw:
            self._input_tokens = _first("<I", raw["num_input_tokens"])
        if "cumulative_logprob" in raw:
            self._logprob = _logprob(raw["cumulative_logprob"])
        if "finish_reason" in raw:
            self._finish = _FINISH.get(_first_bytes(raw["finish_reason"]), self._finish)
        tokens = _first("<I", raw["num_output_tokens"]) if "num_output_tokens" in raw else 0
        return Piece(
            _first_bytes(raw["text_output"]).decode(), tokens, self._input_tokens, self._logprob, self._finish
        )


def _first(layout: str, raw: bytes) -> Any:
    return struct.unpack_from(layout, raw)[0]


def _logprob(raw: bytes) -> float:
    value: float = _first("<f", raw)
    if not math.isfinite(value):
        raise ValueError(f"cumulative_logprob is {value}")
    return value


def _first_bytes(raw: bytes) -> bytes:
    (size,) = struct.unpack_from("<I", raw)
    if size != len(raw) - 4:
        raise ValueError(f"one string of {size} bytes was expected in a tensor of {len(raw)}")
    return raw[4:]
