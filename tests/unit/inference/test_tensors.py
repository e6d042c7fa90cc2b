"""Would catch: a request that Triton reads differently than meant, and garbage taken for an answer."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from tandem.errors import BackendUnavailable, OutOfMemory
from tandem.inference.engine import Piece, Prompt
from tandem.inference.tensors import Decoder, encode
from tandem.v1 import types_pb2
from tests.fakes import triton

STOP, UNSPECIFIED = types_pb2.FINISH_REASON_STOP, types_pb2.FINISH_REASON_UNSPECIFIED


def prompt(
    text: str = "hi", sampling: types_pb2.Sampling | None = None, images: tuple[bytes, ...] = ()
) -> Prompt:
    return Prompt("r1", text, images, sampling or types_pb2.Sampling())


# --- requests, read back by Triton's own client library


@pytest.mark.parametrize("stream", [True, False])
def test_request(stream: bool) -> None:
    request = encode(prompt("你好 𝒬"), stream)
    assert request.model_name == "r1"
    assert request.parameters["triton_enable_empty_final_response"].bool_param
    assert triton.inputs(request) == {
        "text_input": ["你好 𝒬".encode()],
        "sampling_parameters": [b'{"logprobs": 0}'],
        "stream": [stream],
        "exclude_input_in_output": [True],
        "return_finish_reason": [True],
        "return_cumulative_logprob": [True],
        "return_num_input_tokens": [True],
        "return_num_output_tokens": [True],
    }
    assert {tensor.name: tensor.datatype for tensor in request.inputs}.items() <= triton.INPUTS.items()


def test_pictures_travel_as_base64_in_order() -> None:
    found = triton.inputs(encode(prompt(images=(b"\x89PNG\x00", b"second")), stream=False))["image"]
    assert [base64.b64decode(element, validate=True) for element in found] == [b"\x89PNG\x00", b"second"]


def test_every_field_of_sampling_has_the_engines_name() -> None:
    sampling = types_pb2.Sampling(
        max_tokens=7, temperature=0.7, top_p=0.95, top_k=50, seed=2**32 - 1, stop=["\n", "终"]
    )
    assert _sent(sampling) == {
        "logprobs": 0,
        "max_tokens": 7,
        "temperature": 0.7,
        "top_p": 0.95,
        "top_k": 50,
        "seed": 2**32 - 1,
        "stop": ["\n", "终"],
    }
    assert len(sampling.DESCRIPTOR.fields) == 6, "a new field needs a name here"


def test_zero_is_sent_and_absence_is_not() -> None:
    assert _sent(types_pb2.Sampling(temperature=0.0, seed=0)) == {"logprobs": 0, "temperature": 0, "seed": 0}


@given(st.floats(0, 2, width=32), st.floats(2**-10, 1, width=32))
def test_numbers_survive(temperature: float, top_p: float) -> None:
    sent = _sent(types_pb2.Sampling(temperature=temperature, top_p=top_p))
    assert sent["temperature"] == pytest.approx(temperature, abs=1e-6)
    assert sent["top_p"] == pytest.approx(top_p, abs=1e-6)
    assert sent["top_p"] > 0


def _sent(sampling: types_pb2.Sampling) -> dict[str, float]:
    (parameters,) = triton.inputs(encode(prompt(sampling=sampling), stream=True))["sampling_parameters"]
    decoded: dict[str, float] = json.loads(parameters)
    return decoded


# --- responses


def test_pieces_carry_deltas_and_the_latest_values() -> None:
    decoder = Decoder("r1")
    first: triton.Values = {
        "text_output": "量",
        "num_output_tokens": 2,
        "num_input_tokens": 9,
        "cumulative_logprob": -0.5,
    }
    assert decoder.decode(triton.tensors(first)) == (Piece("量", 2, 9, -0.5, UNSPECIFIED), False)
    bare: triton.Values = {"text_output": "子"}
    assert decoder.decode(triton.tensors(bare)) == (Piece("子", 0, 9, -0.5, UNSPECIFIED), False)
    last: triton.Values = {
        "text_output": "",
        "num_output_tokens": 1,
        "cumulative_logprob": -1.25,
        "finish_reason": "stop",
    }
    assert decoder.decode(triton.tensors(last, final=True)) == (Piece("", 1, 9, -1.25, STOP), True)
    assert decoder.decode(triton.final()) == (None, True)


@pytest.mark.parametrize(
    ("word", "reason"),
    [("stop", STOP), ("length", types_pb2.FINISH_REASON_LENGTH), ("null", UNSPECIFIED), ("", UNSPECIFIED)],
)
def test_finish_reason(word: str, reason: types_pb2.FinishReason.ValueType) -> None:
    piece, _ = Decoder("r1").decode(triton.tensors({"text_output": "x", "finish_reason": word}))
    assert piece is not None
    assert piece.finish_reason == reason


@pytest.mark.parametrize("logprob", [math.nan, math.inf])
def test_a_log_probability_that_is_no_number_is_garbage(logprob: float) -> None:
    with pytest.raises(BackendUnavailable, match="cannot be read"):
        Decoder("r1").decode(triton.tensors({"text_output": "x", "cumulative_logprob": logprob}))


def test_an_error_in_band_is_raised_typed() -> None:
    with pytest.raises(OutOfMemory, match="r1: CUDA out of memory"):
        Decoder("r1").decode(triton.failure("CUDA out of memory. Tried to allocate 2 GiB."))


def _raw(name: str, datatype: str, content: bytes) -> triton.Response:
    response = triton.tensors({} if name == "text_output" else {"text_output": "x"})
    response.infer_response.outputs.add(name=name, datatype=datatype, shape=[1])
    response.infer_response.raw_output_contents.append(content)
    return response


def _without_content() -> triton.Response:
    response = triton.tensors({"text_output": "x"})
    del response.infer_response.raw_output_contents[:]
    return response


@pytest.mark.parametrize(
    "response",
    [
        _raw("text_output", "FP32", struct.pack("<f", 1.0)),
        _raw("text_output", "BYTES", b""),
        _raw("text_output", "BYTES", b"\x01\x00"),
        _raw("text_output", "BYTES", struct.pack("<I", 10) + b"short"),
        _raw("text_output", "BYTES", struct.pack("<I", 2**32 - 1)),
        _raw("text_output", "BYTES", struct.pack("<I", 2) + b"\xff\xfe"),
        _raw("num_output_tokens", "UINT32", b"\x01"),
        _raw("num_output_tokens", "INT64", b"\x01" * 8),
        _raw("num_input_tokens", "UINT32", b""),
        _raw("cumulative_logprob", "FP32", b""),
        _raw("finish_reason", "BYTES", b""),
        triton.tensors({"finish_reason": "stop"}),
        _without_content(),
    ],
    ids=str,
)
def test_garbage_is_a_sick_backend(response: triton.Response) -> None:
    with pytest.raises(BackendUnavailable, match="r1 answered with tensors that cannot be read"):
        Decoder("r1").decode(response)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*triton.OUTPUTS, "other"]),
            st.sampled_from(["BYTES", "FP32", "UINT32"]),
            st.binary(max_size=12),
        ),
        max_size=6,
    )
)
def test_no_garbage_gets_through_untyped(outputs: list[tuple[str, str, bytes]]) -> None:
    response = service_pb2.ModelStreamInferResponse()
    for name, datatype, content in outputs:
        response.infer_response.outputs.add(name=name, datatype=datatype, shape=[1])
        response.infer_response.raw_output_contents.append(content)
    with contextlib.suppress(BackendUnavailable):
        piece, final = Decoder("r1").decode(response)
        assert (piece is None) == (not outputs)
        assert not final
