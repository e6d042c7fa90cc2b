"""All services in one process, called directly in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tandem.catalogue import load_catalogue
from tandem.classifier.classify import ClassifierCore
from tandem.embedded.system import System
from tandem.fusion.fuse import FusionCore
from tandem.fusion.settings import Settings as FusionSettings
from tandem.inference.__main__ import build as build_inference
from tandem.orchestrator.__main__ import build_server
from tandem.orchestrator.answer import Services
from tandem.orchestrator.health import tier_check
from tandem.orchestrator.policy import load_policy
from tandem.orchestrator.servicer import SERVICE_NAME
from tandem.serving.clients import open_channel
from tandem.serving.run import watch
from tandem.serving.server import Listen


@asynccontextmanager
async def together(system: System) -> AsyncIterator[str]:
    """Run the services while the context is open; give the orchestrator's address.

    Raises:
        StartError: the address is taken.
        DocumentError: catalogue or policy are not valid.
    """
    catalogue = load_catalogue(system.catalogue)
    policy = load_policy(system.policy, catalogue)
    async with AsyncExitStack() as stack:
        channels = {
            address: await stack.enter_async_context(open_channel(address))
            for address in set(system.triton.values())
        }
        tiers = {
            name: build_inference(catalogue, name, channels[system.triton[name]]) for name in catalogue.tiers
        }
        services = Services(ClassifierCore(), FusionCore(FusionSettings().reliability), tiers)
        server = build_server(Listen(system.listen, system.drain_seconds), services, catalogue, policy)
        await server.start()
        check = tier_check(tiers, SERVICE_NAME)
        server.set_health(await check())
        monitor = asyncio.create_task(watch(server, check))
        try:
            host = system.listen.rpartition(":")[0]
            yield f"{host}:{server.port}"
        finally:
            monitor.cancel()
            await asyncio.wait([monitor])
            await server.drain()
