"""`ClassifierService` over gRPC: translation only."""

from __future__ import annotations

from typing import Any

import grpc.aio

from tandem.protocols import Classifier
from tandem.serving.context import current_call
from tandem.v1 import classifier_pb2, classifier_pb2_grpc

SERVICE_NAME = classifier_pb2.DESCRIPTOR.services_by_name["ClassifierService"].full_name


class ClassifierServicer(classifier_pb2_grpc.ClassifierServiceServicer):
    """Serves a classifier."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    async def Classify(
        self, request: classifier_pb2.ClassifyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> classifier_pb2.ClassifyResponse:
        """Find the signals of a conversation."""
        return await self._classifier.classify(request, current_call())
