"""Would catch: a model called ready that is not, or whose tensors the adapter does not understand."""

from __future__ import annotations

import pytest
from tritonclient.grpc import service_pb2

from tandem.inference.readiness import TritonReadiness, signature_differences
from tandem.serving.clients import open_channel
from tests.fakes import triton
from tests.fakes.calls import call

Tensor = service_pb2.ModelMetadataResponse.TensorMetadata


def metadata(inputs: dict[str, str], outputs: dict[str, str]) -> service_pb2.ModelMetadataResponse:
    return service_pb2.ModelMetadataResponse(
        inputs=[Tensor(name=name, datatype=datatype) for name, datatype in inputs.items()],
        outputs=[Tensor(name=name, datatype=datatype) for name, datatype in outputs.items()],
    )


def test_the_vllm_backend_has_no_differences() -> None:
    assert signature_differences(metadata(triton.INPUTS, triton.OUTPUTS)) == []


def test_every_difference_is_named() -> None:
    inputs = {**triton.INPUTS, "stream": "BYTES"}
    outputs = {**triton.OUTPUTS, "num_output_tokens": "INT32"}
    del inputs["text_input"], outputs["finish_reason"]
    assert signature_differences(metadata(inputs, outputs)) == [
        "input text_input is missing (expected BYTES)",
        "input stream is BYTES (expected BOOL)",
        "output finish_reason is missing (expected BYTES)",
        "output num_output_tokens is INT32 (expected UINT32)",
    ]


@pytest.mark.parametrize("name", ["image", "return_logprobs"])
def test_inputs_that_not_every_request_has_may_be_missing(name: str) -> None:
    inputs = {key: value for key, value in triton.INPUTS.items() if key != name}
    assert signature_differences(metadata(inputs, triton.OUTPUTS)) == []


async def test_ready_models_have_no_problem_and_are_checked_once() -> None:
    fake = triton.FakeTriton()
    async with triton.served(fake) as port, open_channel(f"127.0.0.1:{port}") as channel:
        readiness = TritonReadiness(channel)
        for _ in range(2):
            assert await readiness.problems(["r1", "pro"], call()) == {"r1": "", "pro": ""}
    assert fake.metadata_requests == 2


async def test_a_model_that_was_away_is_checked_again() -> None:
    fake = triton.FakeTriton()
    async with triton.served(fake) as port, open_channel(f"127.0.0.1:{port}") as channel:
        readiness = TritonReadiness(channel)
        await readiness.problems(["r1"], call())
        fake.not_ready = {"r1"}
        assert "r1 is not ready" in (await readiness.problems(["r1"], call()))["r1"]
        fake.not_ready, fake.missing_outputs = set(), {"text_output"}
        assert "output text_output is missing" in (await readiness.problems(["r1"], call()))["r1"]
        fake.missing_outputs = set()
        assert await readiness.problems(["r1"], call()) == {"r1": ""}


async def test_one_sick_model_does_not_hide_a_healthy_one() -> None:
    fake = triton.FakeTriton()
    fake.not_ready = {"r1"}
    async with triton.served(fake) as port, open_channel(f"127.0.0.1:{port}") as channel:
        found = await TritonReadiness(channel).problems(["r1", "pro"], call())
    assert found["pro"] == ""
    assert "not ready" in found["r1"]


async def test_nobody_listens() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        found = await TritonReadiness(channel).problems(["r1"], call())
    assert "Triton does not answer for r1" in found["r1"]
