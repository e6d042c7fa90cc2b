"""What tracing costs: the same embedded system without it, with 1 % and with all traces kept, in turns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import grpc
import grpc.aio

from closed_loop import Block, Load, run_block
from measurement import SCENARIOS, Say
from pairs import NothingMeasured
from process_tree import ProcessTree
from system_process import running
from tandem.serving.clients import open_channel
from through_tandem import ThroughTandem

EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SCENARIO: Final = SCENARIOS["unary 8"]
RATIOS: Final[Mapping[str, str | None]] = {"off": None, "sampled": "0.01", "full": "1"}
"""Part of the traces that each system keeps; None: it does not trace."""


class Sink(grpc.GenericRpcHandler):
    """Takes what is exported, and counts its bytes."""

    def __init__(self) -> None:
        self.received = 0

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]  # bytes in and out
        """Return the handler of a method."""
        if handler_call_details.method != EXPORT:
            return None
        return grpc.unary_unary_rpc_method_handler(self._take)

    async def _take(self, request: bytes, context: object) -> bytes:
        self.received += len(request)
        return b""


@asynccontextmanager
async def sink() -> AsyncIterator[tuple[str, Sink]]:
    """Take exports on a free port while the context is open; give its address."""
    server, taking = grpc.aio.server(), Sink()
    server.add_generic_rpc_handlers((taking,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}", taking
    finally:
        await server.stop(None)


def environment(endpoint: str, ratio: str | None) -> dict[str, str]:
    """Return the settings of a system that keeps a part of its traces."""
    if ratio is None:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ""}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": ratio,
    }


@dataclass(slots=True)
class TelemetryFigures:
    """Blocks of each system; those at the same position ran one right after the other."""

    blocks: dict[str, list[Block]] = field(default_factory=lambda: {name: [] for name in RATIOS})

    def cpu_ms(self, name: str) -> float:
        """Return the CPU time of a system for a request, in milliseconds: the median over its blocks."""
        return median(_cpu_ms(block) for block in self.blocks[name])

    def cpu_ratio(self, name: str) -> float:
        """Return the CPU time for a request over that without tracing: the median over neighbours."""
        pairs = zip(self.blocks[name], self.blocks["off"], strict=True)
        return median(_cpu_ms(block) / _cpu_ms(off) for block, off in pairs)

    def headline(self) -> dict[str, float]:
        """Return the figures that have a name, rounded."""
        return {
            "cpu_ratio_full": round(self.cpu_ratio("full"), 4),
            "cpu_ratio_sampled": round(self.cpu_ratio("sampled"), 4),
            "cpu_ms_off": round(self.cpu_ms("off"), 4),
        }


def _cpu_ms(block: Block) -> float:
    if not block.requests:
        raise NothingMeasured("no request finished within a block; the machine is too busy to measure")
    return 1000.0 * block.cpu_seconds / block.requests


async def measure_telemetry(triton: str, seconds: float, say: Say) -> TelemetryFigures:
    """Measure the three systems for about so many seconds each.

    Raises:
        NothingMeasured: no request finished, or nothing was exported.
    """
    figures = TelemetryFigures()
    load = Load(SCENARIO.at_once, SCENARIO.block_seconds, SCENARIO.ramp_seconds)
    async with AsyncExitStack() as stack:
        endpoint, taking = await stack.enter_async_context(sink())
        sides = []
        for name, ratio in RATIOS.items():
            say(f"embedded, tracing {name}")
            settings = environment(endpoint, ratio)
            system = await stack.enter_async_context(running("embedded", triton, environment=settings))
            channel = await stack.enter_async_context(open_channel(system.address))
            ask = ThroughTandem(channel).asker(SCENARIO.question)
            tree = ProcessTree(system.pid)
            await run_block(ask, load, tree.cpu_seconds)
            sides.append((name, ask, tree))
        for turn in range(max(3, round(seconds / SCENARIO.block_seconds))):
            # Each comes first, second and last equally often, so that none has the better place.
            for name, ask, tree in (*sides[turn % 3 :], *sides[: turn % 3]):
                figures.blocks[name].append(await run_block(ask, load, tree.cpu_seconds))
        if not taking.received:
            raise NothingMeasured("nothing was exported; give more --seconds")
    return figures
