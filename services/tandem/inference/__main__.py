"""Composition root of the inference service; deployed once per tier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tandem.call import Call
from tandem.catalogue import Catalogue, load_catalogue
from tandem.clock import now
from tandem.followed_documents import FollowedDocuments
from tandem.followed_file import refreshing
from tandem.inference.generate import InferenceCore
from tandem.inference.instances import Instances
from tandem.inference.loading import Loader
from tandem.inference.metrics import EngineMetrics
from tandem.inference.readiness import TritonReadiness
from tandem.inference.servicer import SERVICE_NAME, InferenceServicer
from tandem.inference.settings import Settings
from tandem.inference.triton import TritonEngine
from tandem.protocols import Inference
from tandem.serving.clients import Callee, open_channel
from tandem.serving.exposition import exposed
from tandem.serving.lasting_channel import LastingChannel
from tandem.serving.rpc_metrics import RpcMetrics
from tandem.serving.run import HEALTH_SECONDS, HealthCheck, run
from tandem.serving.server import Server
from tandem.telemetry.logs import configure, logger
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.tracing import Tracing, tracing
from tandem.v1 import inference_pb2_grpc
from tandem.yaml_document import DocumentError, Problem

_log = logger("inference")


def build(
    catalogue: Catalogue,
    tier: str,
    triton: LastingChannel,
    instances: Instances | None = None,
    tracing: Tracing | None = None,
) -> InferenceCore:
    """Return the core of one tier on a Triton server, or on several.

    It traces its calls to Triton unless its caller does.
    """
    engine = TritonEngine(triton, tracing)
    readiness = TritonReadiness(triton, instances)
    return InferenceCore(catalogue, tier, engine, readiness, Loader(triton, engine.close))


@asynccontextmanager
async def counted(target: str) -> AsyncIterator[Instances]:
    """Give how many Tritons there are at a target, counted again and again while the context is open."""
    instances = Instances(target)
    await instances.look()
    async with refreshing(instances.look):
        yield instances


def readiness_check(inference: Inference) -> HealthCheck:
    """Return a check that is healthy while a variant can answer or be woken; it logs what keeps a variant from it."""
    known: dict[str, str] = {}

    async def check() -> dict[str, bool]:
        asked = now()
        capabilities = await inference.get_capabilities(Call("health", asked + HEALTH_SECONDS, asked))
        for variant in capabilities.variants:
            if known.get(variant.model) != variant.problem:
                known[variant.model] = variant.problem
                _log.info("readiness", model=variant.model, ready=variant.ready, problem=variant.problem)
        return dict.fromkeys(
            ("", SERVICE_NAME), any(variant.ready or variant.asleep for variant in capabilities.variants)
        )

    return check


def _catalogue(settings: Settings) -> Catalogue:
    """Read the catalogue; raise `DocumentError` if it is not valid or has lost the tier that is served."""
    catalogue = load_catalogue(settings.catalogue)
    if settings.tier not in catalogue.tiers:
        message = f"there is no tier {settings.tier}, which this service serves; stop the service first"
        raise DocumentError(settings.catalogue, [Problem(1, 1, "tiers", message)])
    return catalogue


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    documents = FollowedDocuments([settings.catalogue], lambda: _catalogue(settings), _log)
    async with (
        tracing(f"tandem-{settings.tier}-inference", TracingSettings()) as traced,
        open_channel(settings.triton, callee=Callee.FOREIGN) as triton,
        counted(settings.triton) as instances,
        refreshing(documents.refresh),
        exposed(settings.metrics_listen) as metrics,
    ):
        core = build(documents.current, settings.tier, triton, instances, traced)
        documents.watch(core.adopt)
        server = Server(settings.listening(), settings.deadline_rule(), [SERVICE_NAME])
        server.trace(traced)
        if metrics:
            engines = EngineMetrics()
            core.measure(engines)
            metrics.add(engines, RpcMetrics(server))
        servicer = InferenceServicer(core, lambda: server.callers)
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server.grpc)
        await run(server, readiness_check(core))


def main() -> None:
    """Run the service with the settings of the environment."""
    settings = Settings()
    configure(settings.log_format, settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
