"""All services in one process, called directly in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from tandem.catalogue import load_catalogue
from tandem.classifier.classify import ClassifierCore
from tandem.classifier.current import current_artifact
from tandem.classifier.metrics import MeasuredClassifier
from tandem.classifier.settings import Settings as ClassifierSettings
from tandem.embedded.system import System
from tandem.fusion.current import current_weighing
from tandem.fusion.fuse import FusionCore
from tandem.fusion.metrics import MeasuredFusion
from tandem.fusion.settings import Settings as FusionSettings
from tandem.inference.__main__ import build as build_inference
from tandem.inference.__main__ import counted
from tandem.inference.metrics import EngineMetrics
from tandem.orchestrator.__main__ import Stores, serving
from tandem.orchestrator.documents import Documents, followed_documents
from tandem.orchestrator.work import Services
from tandem.protocols import Classifier, Fusion
from tandem.serving.clients import Callee, open_channel
from tandem.serving.exposition import exposed
from tandem.serving.garbage import ignore_what_exists
from tandem.serving.run import watch
from tandem.serving.server import Listen
from tandem.telemetry.logs import logger
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.tracing import tracing

SERVICE: Final = "tandem"
"""Name of the one process in its spans."""

_log = logger("together")


@asynccontextmanager
async def together(system: System) -> AsyncIterator[str]:
    """Run the services while the context is open; give the orchestrator's address.

    Raises:
        StartError: the address is taken.
        ArtifactUnusable: the classifier's or fusion's file does not hold an artifact.
        DocumentError: catalogue, policy or keys are not valid.
        LedgerUnusable: the ledger cannot be opened.
    """
    served = list(load_catalogue(system.catalogue).tiers)
    documents = followed_documents(system.catalogue, system.policy, served, _log)
    catalogue = documents.current.catalogue
    async with AsyncExitStack() as stack:
        traced = await stack.enter_async_context(
            tracing(SERVICE, TracingSettings().sending_to(system.otlp), begins=True)
        )
        metrics = await stack.enter_async_context(exposed(system.metrics))
        stores = Stores(
            system.ledger, system.keys, keep_prompts=system.keep_prompts, tracing=traced, metrics=metrics
        )
        channels = {
            address: await stack.enter_async_context(open_channel(address, callee=Callee.FOREIGN))
            for address in set(system.triton.values())
        }
        instances = {address: await stack.enter_async_context(counted(address)) for address in channels}
        tritons = {name: system.triton[name] for name in served}
        tiers = {
            name: build_inference(catalogue, name, channels[address], instances[address])
            for name, address in tritons.items()
        }

        def adopt(documents: Documents) -> None:
            for name in served:
                if name in documents.catalogue.tiers:
                    tiers[name].adopt(documents.catalogue)

        # Before the orchestrator: a new variant is known to who answers before it is asked for.
        documents.watch(adopt)
        artifact = await stack.enter_async_context(current_artifact(ClassifierSettings().artifact))
        fusing = FusionSettings()
        weighing = await stack.enter_async_context(current_weighing(fusing.artifact))
        classifier: Classifier = ClassifierCore(artifact)
        fusion: Fusion = FusionCore(fusing.reliability, weighing)
        if metrics:
            classifier, fusion = measured = (
                MeasuredClassifier(classifier, artifact),
                MeasuredFusion(fusion, weighing),
            )
            engines = EngineMetrics()
            for core in tiers.values():
                core.measure(engines)
            metrics.add(*measured, engines)
        services = Services(classifier, fusion, tiers)
        listen = Listen(system.listen, system.drain_seconds)
        server, check = await stack.enter_async_context(serving(listen, services, documents, stores))
        await server.start()
        ignore_what_exists()
        server.set_health(await check())
        monitor = asyncio.create_task(watch(server, check))
        try:
            host = system.listen.rpartition(":")[0]
            yield f"{host}:{server.port}"
        finally:
            monitor.cancel()
            await asyncio.wait([monitor])
            await server.drain()
