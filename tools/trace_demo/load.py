"""The requests of the demo load: what goes well, what compares answers, and what goes wrong and is answered yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fault_matrix.question import directive
from tandem.cli.report import word
from tandem.client import Client
from tandem.errors import TandemError
from tandem.v1 import types_pb2

DEADLINE_SECONDS: Final = 6.0
ROUNDS: Final = 3
"""How often what goes well is asked."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A request of the demo load."""

    title: str
    prompt: str
    stream: bool = False
    deadline_seconds: float = DEADLINE_SECONDS
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """How a request of the demo load ended."""

    title: str
    request_id: str
    answered_by: str
    """Tier and variant, or the reason of the error."""
    degradations: list[str]
    attempts: int


HEALTHY: Final = (
    Scene("answered by R1", directive(tokens=24, ttft_ms=40, tpot_ms=8), options={"tier": "r1"}),
    Scene("answered by Pro", directive(tokens=40, ttft_ms=90, tpot_ms=12), options={"tier": "pro"}),
    Scene(
        "routed, streamed", f"Why is the sky blue? {directive(tokens=32, ttft_ms=40, tpot_ms=8)}", stream=True
    ),
)
TOGETHER: Final = (
    Scene(
        "an ensemble of three voices",
        f"Is 97 prime? {directive(text='Yes, 97 is a prime.', ttft_ms=50, tpot_ms=10)}",
        options={"strategy": types_pb2.STRATEGY_ENSEMBLE},
    ),
    Scene(
        "a cascade whose draft does not suffice",
        f"Prove it. {directive('r1', tokens=24, logprob=-3, tpot_ms=8)} {directive('pro', tokens=40, tpot_ms=10)}",
        options={"strategy": types_pb2.STRATEGY_CASCADE},
    ),
)
DEGRADED: Final = (
    Scene(
        "Pro out of memory, R1 takes over at a seam",
        f"{directive(tokens=60, ttft_ms=60, tpot_ms=12)} {directive('pro', fault='oom', at=20)}",
        stream=True,
        options={"tier": "pro"},
    ),
    Scene(
        "Pro out of memory before the first token",
        f"{directive(tokens=24, ttft_ms=40, tpot_ms=8)} {directive('pro', fault='oom')}",
        options={"tier": "pro"},
    ),
    Scene(
        "Pro hangs, R1 answers",
        f"{directive(tokens=24, ttft_ms=40, tpot_ms=8)} {directive('pro', fault='hang')}",
        options={"tier": "pro"},
    ),
    Scene(
        "nobody answers by the deadline",
        directive(fault="hang"),
        deadline_seconds=1.5,
        options={"tier": "pro"},
    ),
)


async def demo_load(address: str) -> list[Told]:
    """Put every request of the load, one after the other; return how they ended."""
    async with Client(address, tenant="demo") as client:
        scenes = [*HEALTHY * ROUNDS, *TOGETHER, *DEGRADED]
        return [await _put(client, scene, f"demo-{number:02}") for number, scene in enumerate(scenes, 1)]


async def _put(client: Client, scene: Scene, request_id: str) -> Told:
    asked: dict[str, Any] = {
        "deadline_seconds": scene.deadline_seconds,
        "request_id": request_id,
        "no_cache": True,
        **scene.options,
    }
    try:
        if scene.stream:
            stream = client.stream(scene.prompt, **asked)
            async for _ in stream:
                pass
            answer = stream.answer
        else:
            answer = await client.ask(scene.prompt, **asked)
    except TandemError as error:
        return Told(scene.title, request_id, error.reason, [], 0)
    by = f"{answer.answered_by.tier}/{answer.answered_by.variant}"
    names = [types_pb2.DegradationReason.Name(each.reason) for each in answer.degradations]
    reasons = [word(name, "DEGRADATION_REASON_") for name in names]
    return Told(scene.title, request_id, by, reasons, len(answer.attempts))
