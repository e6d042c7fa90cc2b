"""Triton's gRPC service with scripted answers, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import grpc.aio
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

INPUTS = {
    "text_input": "BYTES",
    "image": "BYTES",
    "stream": "BOOL",
    "sampling_parameters": "BYTES",
    "exclude_input_in_output": "BOOL",
    "return_finish_reason": "BOOL",
    "return_cumulative_logprob": "BOOL",
    "return_logprobs": "BOOL",
    "return_num_input_tokens": "BOOL",
    "return_num_output_tokens": "BOOL",
}
OUTPUTS = {
    "text_output": "BYTES",
    "finish_reason": "BYTES",
    "cumulative_logprob": "FP32",
    "logprobs": "BYTES",
    "num_input_tokens": "UINT32",
    "num_output_tokens": "UINT32",
}

Response: TypeAlias = service_pb2.ModelStreamInferResponse
Values: TypeAlias = Mapping[str, str | int | float]
Write: TypeAlias = Callable[[Response], Awaitable[None]]
Script: TypeAlias = Callable[[service_pb2.ModelInferRequest, Write], Awaitable[None]]

_LAYOUTS = {"FP32": "<f", "UINT32": "<I"}


def tensors(values: Values, *, final: bool = False) -> Response:
    """Return a response with a tensor of one element for each value."""
    response = Response()
    for name, value in values.items():
        output = response.infer_response.outputs.add(name=name, datatype=OUTPUTS[name], shape=[1])
        if isinstance(value, str):
            raw = serialize_byte_tensor(np.array([value.encode()], dtype=np.object_)).item()
        else:
            raw = struct.pack(_LAYOUTS[output.datatype], value)
        response.infer_response.raw_output_contents.append(raw)
    response.infer_response.parameters["triton_final_response"].bool_param = final
    return response


def final() -> Response:
    """Return the empty final response."""
    return tensors({}, final=True)


def failure(message: str) -> Response:
    """Return an in-band error."""
    return Response(error_message=message)


def inputs(request: service_pb2.ModelInferRequest) -> dict[str, list[Any]]:
    """Return a request's tensors, decoded by Triton's own client library."""
    decoded: dict[str, list[Any]] = {}
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        if tensor.datatype == "BYTES":
            elements: list[Any] = [bytes(element) for element in deserialize_bytes_tensor(raw)]
        else:
            elements = [bool(element) for element in np.frombuffer(raw, dtype=np.bool_)]
        assert list(tensor.shape) == [len(elements)]
        decoded[tensor.name] = elements
    return decoded


async def hello(request: service_pb2.ModelInferRequest, write: Write) -> None:
    """Answer `Hello` in two pieces."""
    await write(
        tensors(
            {"text_output": "Hel", "num_output_tokens": 1, "num_input_tokens": 4, "cumulative_logprob": -0.5}
        )
    )
    last: Values = {
        "text_output": "lo",
        "num_output_tokens": 1,
        "cumulative_logprob": -1.0,
        "finish_reason": "stop",
    }
    await write(tensors(last))
    await write(final())


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # tritonclient has no types
    """Plays one script for every request."""

    def __init__(self, script: Script = hello) -> None:
        self.script = script
        self.streams = 0
        """Streams opened so far."""
        self.requests: list[service_pb2.ModelInferRequest] = []
        self.waiting = asyncio.Event()
        """Set by `hang`."""
        self.cancelled = asyncio.Event()
        """Set when a stream was cancelled while a request ran in it."""
        self.not_ready: set[str] = set()
        self.metadata_requests = 0
        self.missing_outputs: set[str] = set()
        self.receipts: dict[str, tuple[int, int] | str] = {}
        """Input and output tokens by request, or what is said instead."""
        self.keeps_receipts = True
        self.config_requests = 0
        self.questions: list[str] = []
        self.repository: dict[str, str] = {}
        """State by model, of those that can be loaded; what is loaded is ready."""
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.load_seconds = 0.0
        self.load_failure = ""
        self.last_inference: dict[str, float] = {}
        """When a model was asked last, in seconds since the epoch."""

    async def RepositoryModelLoad(
        self, request: service_pb2.RepositoryModelLoadRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> service_pb2.RepositoryModelLoadResponse:
        """Load a model."""
        self.loads.append(request.model_name)
        await asyncio.sleep(self.load_seconds)
        if self.load_failure:
            await context.abort(grpc.StatusCode.INTERNAL, self.load_failure)
        self.repository[request.model_name] = "READY"
        self.not_ready.discard(request.model_name)
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(
        self, request: service_pb2.RepositoryModelUnloadRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> service_pb2.RepositoryModelUnloadResponse:
        """Unload a model."""
        self.unloads.append(request.model_name)
        self.repository[request.model_name] = "UNAVAILABLE"
        self.not_ready.add(request.model_name)
        return service_pb2.RepositoryModelUnloadResponse()

    async def RepositoryIndex(
        self, request: service_pb2.RepositoryIndexRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> service_pb2.RepositoryIndexResponse:
        """Tell which models can be loaded."""
        index = service_pb2.RepositoryIndexResponse.ModelIndex
        models = [index(name=name, state=state) for name, state in self.repository.items()]
        return service_pb2.RepositoryIndexResponse(models=models)

    async def ModelStatistics(
        self, request: service_pb2.ModelStatisticsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> service_pb2.ModelStatisticsResponse:
        """Tell when a model was asked last."""
        last = round(1000 * self.last_inference.get(request.name, 0.0))
        return service_pb2.ModelStatisticsResponse(
            model_stats=[service_pb2.ModelStatistics(name=request.name, last_inference=last)]
        )

    async def ModelStreamInfer(
        self,
        request_iterator: AsyncIterator[service_pb2.ModelInferRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """Answer the requests of one stream."""
        self.streams += 1
        async for request in request_iterator:
            asked = self._asked_for(request)
            if asked:
                await context.write(self._receipt(asked))
                continue
            self.requests.append(request)
            try:
                await self.script(request, context.write)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

    def _asked_for(self, request: service_pb2.ModelInferRequest) -> str:
        parameters = json.loads(inputs(request).get("sampling_parameters", [b"{}"])[0])
        return str(parameters.get("tandem_receipt", ""))

    def _receipt(self, asked: str) -> Response:
        self.questions.append(asked)
        found = self.receipts.get(asked, f"no receipt for request '{asked}'")
        if isinstance(found, str):
            return failure(found)
        values: Values = {"text_output": "", "num_input_tokens": found[0], "num_output_tokens": found[1]}
        return tensors(values, final=True)

    async def ModelConfig(
        self, request: service_pb2.ModelConfigRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> service_pb2.ModelConfigResponse:
        """Tell whether a model keeps receipts."""
        self.config_requests += 1
        response = service_pb2.ModelConfigResponse()
        if self.keeps_receipts:
            response.config.parameters["tandem_receipts"].string_value = "1"
        return response

    async def hang(self, request: service_pb2.ModelInferRequest, write: Write) -> None:
        """Be a script that answers one piece and then nothing."""
        await write(tensors({"text_output": "Hel", "num_output_tokens": 1}))
        self.waiting.set()
        await asyncio.Event().wait()

    async def ModelReady(
        self, request: service_pb2.ModelReadyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> service_pb2.ModelReadyResponse:
        """Tell whether a model is ready."""
        return service_pb2.ModelReadyResponse(ready=request.name not in self.not_ready)

    async def ModelMetadata(
        self, request: service_pb2.ModelMetadataRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> service_pb2.ModelMetadataResponse:
        """Tell the tensors of a model."""
        self.metadata_requests += 1
        tensor = service_pb2.ModelMetadataResponse.TensorMetadata
        return service_pb2.ModelMetadataResponse(
            name=request.name,
            inputs=[tensor(name=name, datatype=datatype) for name, datatype in INPUTS.items()],
            outputs=[
                tensor(name=name, datatype=d)
                for name, d in OUTPUTS.items()
                if name not in self.missing_outputs
            ],
        )


@contextlib.asynccontextmanager
async def served(triton: FakeTriton, port: int = 0) -> AsyncIterator[int]:
    """Serve on a port of its own, or on the given one; yields the port."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)
