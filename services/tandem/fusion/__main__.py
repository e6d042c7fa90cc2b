"""Composition root of the fusion service."""

from __future__ import annotations

import asyncio

from tandem.fusion.current import current_weighing
from tandem.fusion.fuse import FusionCore
from tandem.fusion.metrics import MeasuredFusion
from tandem.fusion.servicer import SERVICE_NAME, FusionServicer
from tandem.fusion.settings import Settings
from tandem.protocols import Fusion
from tandem.serving.exposition import exposed
from tandem.serving.rpc_metrics import RpcMetrics
from tandem.serving.run import always_healthy, run
from tandem.serving.server import Server
from tandem.telemetry.logs import configure
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.tracing import tracing
from tandem.v1 import fusion_pb2_grpc


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ArtifactUnusable: the file does not hold an artifact.
    """
    async with (
        tracing("tandem-fusion", TracingSettings()) as traced,
        current_weighing(settings.artifact) as weighing,
        exposed(settings.metrics_listen) as metrics,
    ):
        fusion: Fusion = FusionCore(settings.reliability, weighing)
        server = Server(settings.listening(), settings.deadline_rule(), [SERVICE_NAME])
        server.trace(traced)
        if metrics:
            fusion = measured = MeasuredFusion(fusion, weighing)
            metrics.add(measured, RpcMetrics(server))
        fusion_pb2_grpc.add_FusionServiceServicer_to_server(FusionServicer(fusion), server.grpc)
        await run(server, always_healthy(SERVICE_NAME))


def main() -> None:
    """Run the service with the settings of the environment."""
    settings = Settings()
    configure(settings.log_format, settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
