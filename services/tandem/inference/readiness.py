"""Whether Triton can run a tier's models: ready, and with the tensors that the adapter expects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import grpc.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tandem.call import Call
from tandem.inference.instances import Instances
from tandem.inference.tensors import REQUIRED_INPUTS, REQUIRED_OUTPUTS

CHECK_SECONDS: Final = 1.0
"""Longest wait for Triton's answer to one check."""


class TritonReadiness:
    """Asks Triton's gRPC service. A model's tensors are checked again whenever it was away.

    Args:
        channel: to Triton, or to several.
        instances: how many there are; None: nobody counts them.
    """

    def __init__(self, channel: grpc.aio.Channel, instances: Instances | None = None) -> None:
        self._instances = instances
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._checked: set[str] = set()

    @property
    def instances(self) -> int:
        """How many Tritons there are; 0: nobody knows."""
        return self._instances.count if self._instances else 0

    async def problems(self, models: Sequence[str], call: Call) -> dict[str, str]:
        """Return for each model why it cannot answer, or an empty text."""
        seconds = max(0.0, min(CHECK_SECONDS, call.remaining()))
        found = await asyncio.gather(*(self._problem(model, seconds) for model in models))
        return dict(zip(models, found, strict=True))

    async def _problem(self, model: str, seconds: float) -> str:
        try:
            answer = await self._stub.ModelReady(service_pb2.ModelReadyRequest(name=model), timeout=seconds)
            if not answer.ready:
                self._checked.discard(model)
                return f"Triton says that {model} is not ready; its log says why"
            if model in self._checked:
                return ""
            metadata = await self._stub.ModelMetadata(
                service_pb2.ModelMetadataRequest(name=model), timeout=seconds
            )
        except grpc.aio.AioRpcError as error:
            self._checked.discard(model)
            return f"Triton does not answer for {model}: {error.details() or error.code().name}"
        differences = signature_differences(metadata)
        if differences:
            return f"{model} does not have the signature of the Triton vLLM backend: {'; '.join(differences)}"
        self._checked.add(model)
        return ""


def signature_differences(metadata: service_pb2.ModelMetadataResponse) -> list[str]:
    """Return in words how a model's tensors differ from those of the Triton vLLM backend."""
    return [
        *_differences("input", REQUIRED_INPUTS, {tensor.name: tensor.datatype for tensor in metadata.inputs}),
        *_differences(
            "output", REQUIRED_OUTPUTS, {tensor.name: tensor.datatype for tensor in metadata.outputs}
        ),
    ]


def _differences(kind: str, expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    return [
        f"{kind} {name} is missing (expected {datatype})"
        if name not in found
        else f"{kind} {name} is {found[name]} (expected {datatype})"
        for name, datatype in expected.items()
        if found.get(name) != datatype
    ]
