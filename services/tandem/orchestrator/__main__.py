"""Composition root of the orchestrator service."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tandem.catalogue import Catalogue, load_catalogue
from tandem.orchestrator.answer import Orchestrator, Services
from tandem.orchestrator.cache import SharedLevel
from tandem.orchestrator.health import tier_check
from tandem.orchestrator.policy import Policy, load_policy
from tandem.orchestrator.servicer import SERVICE_NAME, OrchestratorServicer
from tandem.orchestrator.settings import Settings
from tandem.orchestrator.shared_cache import SharedCache
from tandem.serving.clients import GrpcClassifier, GrpcFusion, GrpcInference, open_channel
from tandem.serving.context import DeadlineRule
from tandem.serving.run import run
from tandem.serving.server import Listen, Server
from tandem.telemetry.logs import configure
from tandem.v1 import orchestrator_pb2_grpc


def build_server(
    listen: Listen,
    services: Services,
    catalogue: Catalogue,
    policy: Policy,
    shared: SharedLevel | None = None,
) -> Server:
    """Return a server that answers by one policy and one catalogue; `shared` is the cache of all replicas."""
    rule = DeadlineRule(policy.deadline.default_ms / 1000.0, policy.deadline.max_ms / 1000.0)
    server = Server(listen, rule, [SERVICE_NAME])
    servicer = OrchestratorServicer(Orchestrator(services, catalogue, policy, shared))
    orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server.grpc)
    return server


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    catalogue = load_catalogue(settings.catalogue)
    policy = load_policy(settings.policy, catalogue)
    async with AsyncExitStack() as stack:
        targets = {"classifier": settings.classifier, "fusion": settings.fusion}
        opened = {name: await stack.enter_async_context(open_channel(to)) for name, to in targets.items()}
        tiers = {
            name: GrpcInference(await stack.enter_async_context(open_channel(settings.tiers[name])), name)
            for name in catalogue.tiers
        }
        services = Services(GrpcClassifier(opened["classifier"]), GrpcFusion(opened["fusion"]), tiers)
        url = settings.cache_url.get_secret_value()
        shared = await stack.enter_async_context(SharedCache(url)) if url else None
        server = build_server(settings.listening(), services, catalogue, policy, shared)
        await run(server, tier_check(tiers, SERVICE_NAME))


def main() -> None:
    """Run the service with the settings of the environment."""
    settings = Settings()
    configure(settings.log_format, settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
