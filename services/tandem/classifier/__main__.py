"""Composition root of the classifier service."""

from __future__ import annotations

import asyncio

from tandem.classifier.classify import ClassifierCore
from tandem.classifier.current import current_artifact
from tandem.classifier.metrics import MeasuredClassifier
from tandem.classifier.servicer import SERVICE_NAME, ClassifierServicer
from tandem.classifier.settings import Settings
from tandem.protocols import Classifier
from tandem.serving.exposition import exposed
from tandem.serving.rpc_metrics import RpcMetrics
from tandem.serving.run import always_healthy, run
from tandem.serving.server import Server
from tandem.telemetry.logs import configure
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.tracing import tracing
from tandem.v1 import classifier_pb2_grpc


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ArtifactUnusable: the file does not hold an artifact.
    """
    async with (
        tracing("tandem-classifier", TracingSettings()) as traced,
        current_artifact(settings.artifact) as current,
        exposed(settings.metrics_listen) as metrics,
    ):
        classifier: Classifier = ClassifierCore(current)
        server = Server(settings.listening(), settings.deadline_rule(), [SERVICE_NAME])
        server.trace(traced)
        if metrics:
            classifier = measured = MeasuredClassifier(classifier, current)
            metrics.add(measured, RpcMetrics(server))
        classifier_pb2_grpc.add_ClassifierServiceServicer_to_server(
            ClassifierServicer(classifier), server.grpc
        )
        await run(server, always_healthy(SERVICE_NAME))


def main() -> None:
    """Run the service with the settings of the environment."""
    settings = Settings()
    configure(settings.log_format, settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
