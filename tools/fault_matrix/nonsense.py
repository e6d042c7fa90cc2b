"""A classifier that is up, quick and wrong: what it says cannot be, and differs from one question to the next."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc.aio

from fault_matrix.process import LOOPBACK
from tandem.v1 import classifier_pb2, classifier_pb2_grpc, types_pb2

Context = grpc.aio.ServicerContext[Any, Any]

_NUMBERS: Final = (math.nan, math.inf, -math.inf, -7.0, 1e30, 0.5)


def nonsense() -> list[classifier_pb2.ClassifyResponse]:
    """Return answers that no classifier gives."""
    answers = [classifier_pb2.ClassifyResponse()]
    for number in _NUMBERS:
        score = types_pb2.ScoreSignal(value=number, confidence=number)
        signals = types_pb2.Signals(
            complexity=score,
            r1_suffices=score,
            expected_gain=score,
            context_tokens=2**32 - 1 if math.isinf(number) else 0,
            reasons=["\N{REPLACEMENT CHARACTER}" * 100],
        )
        signals.task.confidence = signals.domain.confidence = signals.professional.confidence = number
        answers.append(classifier_pb2.ClassifyResponse(signals=signals))
    return answers


class _Servicer(classifier_pb2_grpc.ClassifierServiceServicer):
    def __init__(self) -> None:
        self._answers = itertools.cycle(nonsense())

    async def Classify(  # noqa: N802 - named by the contract
        self, request: classifier_pb2.ClassifyRequest, context: Context
    ) -> classifier_pb2.ClassifyResponse:
        return next(self._answers)


@asynccontextmanager
async def nonsense_classifier() -> AsyncIterator[str]:
    """Serve while the context is open; give the address."""
    server = grpc.aio.server()
    classifier_pb2_grpc.add_ClassifierServiceServicer_to_server(_Servicer(), server)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    try:
        yield f"{LOOPBACK}:{port}"
    finally:
        await server.stop(None)
