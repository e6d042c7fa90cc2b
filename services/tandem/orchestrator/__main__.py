"""Composition root of the orchestrator service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc.aio

from tandem.catalogue import load_catalogue
from tandem.followed_documents import FollowedDocuments
from tandem.followed_file import refreshing
from tandem.ledger.opening import opened_ledger
from tandem.ledger.queries import spent_today
from tandem.orchestrator.answer import Keeping, Orchestrator
from tandem.orchestrator.attempt_log import AttemptLog
from tandem.orchestrator.bookkeeping import Bookkeeper
from tandem.orchestrator.budgets import Budgets
from tandem.orchestrator.cache import SharedLevel
from tandem.orchestrator.documents import Documents, followed_documents
from tandem.orchestrator.health import tier_check
from tandem.orchestrator.live_metrics import LiveMetrics
from tandem.orchestrator.policy import Policy
from tandem.orchestrator.request_metrics import RequestMetrics
from tandem.orchestrator.servicer import SERVICE_NAME, OrchestratorServicer
from tandem.orchestrator.settings import Settings
from tandem.orchestrator.telemetry_policy import Content
from tandem.orchestrator.work import Services
from tandem.serving.authentication import authentication
from tandem.serving.clients import Callee, GrpcClassifier, GrpcFusion, GrpcInference, open_channel
from tandem.serving.context import DeadlineRule
from tandem.serving.exposition import Metrics, exposed
from tandem.serving.keys import Keys
from tandem.serving.rpc_metrics import RpcMetrics
from tandem.serving.run import HealthCheck, run
from tandem.serving.server import Listen, Server
from tandem.telemetry.logs import configure, logger
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.tracing import Tracing, tracing
from tandem.v1 import orchestrator_pb2_grpc

_log = logger("orchestrator")


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the orchestrator keeps what outlives a request."""

    ledger: str = ""
    """SQLAlchemy URL; empty: no ledger is kept."""
    keys: Path | None = None
    """Document of the API keys."""
    environment_keys: Keys | None = None
    """API keys beside those of the document; None, and no document: nobody needs a key."""
    keep_prompts: bool = False
    """Whether the ledger gets conversations too."""
    tracing: Tracing | None = None
    """Where spans of requests go; None: nothing is traced."""
    cache_url: str = ""
    """Valkey or Redis that replicas share answers in; empty: there is none."""
    metrics: Metrics | None = None
    """What Prometheus is told; None: nothing."""


@asynccontextmanager
async def serving(
    listen: Listen, services: Services, documents: FollowedDocuments[Documents], stores: Stores
) -> AsyncIterator[tuple[Server, HealthCheck]]:
    """Give a server that answers by policy and catalogue as they are now, and its health; close the books behind it.

    Raises:
        LedgerUnusable: the ledger cannot be opened.
        DocumentError: the keys are not valid.
    """
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(opened_ledger(stores.ledger))
        authenticator = await stack.enter_async_context(authentication(stores.keys, stores.environment_keys))
        spent = await asyncio.to_thread(spent_today, stores.ledger) if stores.ledger else {}
        shared = await stack.enter_async_context(_shared(stores.cache_url))
        catalogue, policy = documents.current.catalogue, documents.current.policy
        budgets = Budgets(policy.budgets, spent, proven=authenticator is not None)
        bookkeeper = Bookkeeper(services.tiers, ledger, budgets, keep_prompts=stores.keep_prompts)
        bookkeeper.watch(AttemptLog())
        orchestrator = Orchestrator(services, catalogue, policy, Keeping(budgets, bookkeeper, shared))
        server = Server(listen, _deadline_rule(policy), [SERVICE_NAME], authenticator)
        if stores.tracing is not None:
            from tandem.orchestrator.tracing import RequestTracing  # noqa: PLC0415 - OpenTelemetry, for those who trace

            content = partial(_content, orchestrator)
            bookkeeper.watch(RequestTracing(stores.tracing, content))
        server.trace(stores.tracing)

        def adopt(documents: Documents) -> None:
            orchestrator.adopt(documents.catalogue, documents.policy)
            server.set_deadline(_deadline_rule(documents.policy))

        documents.watch(adopt)
        await stack.enter_async_context(refreshing(documents.refresh))
        if stores.metrics:
            requests = RequestMetrics(policy.budgets.tenants)
            bookkeeper.watch(requests)
            stores.metrics.add(requests, LiveMetrics(orchestrator, ledger, documents), RpcMetrics(server))
        servicer = OrchestratorServicer(orchestrator)
        orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server.grpc)
        try:
            yield server, tier_check(services.tiers, SERVICE_NAME, orchestrator.note_capabilities)
        finally:
            await bookkeeper.drain()


def _shared(url: str) -> AbstractAsyncContextManager[SharedLevel | None]:
    if not url:
        return nullcontext()
    from tandem.orchestrator.shared_cache import SharedCache  # noqa: PLC0415 - Redis, for those who share

    return SharedCache(url)


def _content(orchestrator: Orchestrator) -> Content:
    """Return what telemetry may tell now of what is said."""
    return orchestrator.workshop.policy.telemetry.content


def _deadline_rule(policy: Policy) -> DeadlineRule:
    return DeadlineRule(policy.deadline.default_ms / 1000.0, policy.deadline.max_ms / 1000.0)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    served = [name for name in load_catalogue(settings.catalogue).tiers if name in settings.tiers]
    documents = followed_documents(settings.catalogue, settings.policy, served, _log)
    async with AsyncExitStack() as stack:
        services = await _services(settings, served, stack)
        stores = Stores(
            settings.ledger,
            settings.keys,
            settings.environment_keys(),
            settings.ledger_prompts,
            cache_url=settings.cache_url.get_secret_value(),
            tracing=await stack.enter_async_context(
                tracing("tandem-orchestrator", TracingSettings(), begins=True)
            ),
            metrics=await stack.enter_async_context(exposed(settings.metrics_listen)),
        )
        server, check = await stack.enter_async_context(
            serving(settings.listening(), services, documents, stores)
        )
        await run(server, check)


async def _services(settings: Settings, tiers: Sequence[str], stack: AsyncExitStack) -> Services:
    """Return the services that the settings name; `stack` closes the connections."""

    async def opened(target: str, callee: Callee) -> grpc.aio.Channel:
        return await stack.enter_async_context(open_channel(target, settings.calling(), callee))

    return Services(
        GrpcClassifier(await opened(settings.classifier, Callee.PURE)),
        GrpcFusion(await opened(settings.fusion, Callee.PURE)),
        {name: GrpcInference(await opened(settings.tiers[name], Callee.SERVICE), name) for name in tiers},
    )


def main() -> None:
    """Run the service with the settings of the environment."""
    settings = Settings()
    configure(settings.log_format, settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
