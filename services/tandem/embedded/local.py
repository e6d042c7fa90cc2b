"""The whole system on this machine: Triton with the small default models, and the services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from tandem.cache_folder import cache_folder
from tandem.catalogue import load_catalogue
from tandem.deployment import deploy_folder
from tandem.embedded.environment import prepare
from tandem.embedded.progress import Progress
from tandem.embedded.separate import separate
from tandem.embedded.server_process import TritonSpec
from tandem.embedded.source import DEFAULT_SOURCE
from tandem.embedded.system import System
from tandem.embedded.threads import available_cores, thread_budget
from tandem.embedded.triton import TritonProcess, TritonStatus
from tandem.embedded.weights import prepare_weights


@dataclass(frozen=True, slots=True)
class Models:
    """Where the tiers' weights come from, as `prepare_weights` reads it."""

    r1: str = DEFAULT_SOURCE
    pro: str = DEFAULT_SOURCE


@asynccontextmanager
async def local_triton(
    system: System, models: Models, progress: Progress, on_status: Callable[[TritonStatus], None]
) -> AsyncIterator[TritonProcess]:
    """Run Triton with the catalogue's models while the context is open; fetch what is missing first.

    Raises:
        EmbeddedError: this machine cannot run it, something could not be fetched, or Triton did not start.
    """
    spec = await asyncio.to_thread(_spec, system, models, progress)
    with progress.step("Starting Triton and loading the models"):
        triton = TritonProcess(spec, cache_folder(), on_status)
        await triton.start()
    try:
        yield triton
    finally:
        await triton.stop()


def _spec(system: System, models: Models, progress: Progress) -> TritonSpec:
    cache, folder = cache_folder(), deploy_folder() / "triton"
    tiers = load_catalogue(system.catalogue).tiers
    budget = thread_budget(available_cores(), ["r1", "pro"])
    environment = prepare(cache, progress)
    return TritonSpec(
        environment=environment,
        models_folder=folder / "models",
        models=[
            each.model for tier in tiers.values() for each in tier.variants.values() if not each.on_demand
        ],
        backends=[folder / "backends" / "llamacpp"],
        variables={
            "TANDEM_WEIGHTS_R1": str(prepare_weights(models.r1, cache, progress)),
            "TANDEM_WEIGHTS_PRO": str(prepare_weights(models.pro, cache, progress)),
            "TANDEM_THREADS_R1": str(budget["r1"]),
            "TANDEM_THREADS_PRO": str(budget["pro"]),
        },
    )


@asynccontextmanager
async def local_system(
    system: System, models: Models, apart: bool, progress: Progress, on_status: Callable[[TritonStatus], None]
) -> AsyncIterator[str]:
    """Run the whole system while the context is open; give the orchestrator's address.

    Args:
        system: its addresses and documents; an empty `triton` means that one is started for all tiers.
        models: where the weights come from.
        apart: every service its own process.
        progress: shows what takes long.
        on_status: is called when Triton's status changes.

    Raises:
        EmbeddedError: Triton or a service cannot be started.
        DocumentError: catalogue or policy are not valid.
    """
    async with AsyncExitStack() as stack:
        if not system.triton:
            triton = await stack.enter_async_context(local_triton(system, models, progress, on_status))
            tiers = load_catalogue(system.catalogue).tiers
            system = replace(system, triton=dict.fromkeys(tiers, triton.grpc_address))
        yield await stack.enter_async_context(separate(system) if apart else _together(system))


def _together(system: System) -> AbstractAsyncContextManager[str]:
    from tandem.embedded.together import together  # all services: only where they run in this process

    return together(system)
