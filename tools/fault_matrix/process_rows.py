"""Faults of processes and of the network between them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from fault_matrix.envoy import Trouble
from fault_matrix.layout import Layout
from fault_matrix.prompt_rows import DEADLINE_SECONDS, healthy
from fault_matrix.question import Question, ask
from fault_matrix.row import Row, Scene
from tandem.v1 import types_pb2

EARLY: Final = 0.1
"""Share of the questions that have ended when the fault begins."""
FROZEN_SECONDS: Final = 3.0
FEW: Final = 0.2
"""Share of the questions where each takes all of its time."""
RESTART_SECONDS: Final = 1.0
"""When a service is started again, as `tandem up --separate` does."""
UNHURRIED_MS: Final = 20.0
"""Time per token that makes a load last longer than the fault."""
DISTINCT: Final = 150
"""Questions to the cache, after which all have been answered before."""
CUT: Final = Trouble(cut_ms=400)
SEPARATE: Final = Layout(separate=True)


def _unhurried(number: int) -> Question:
    tier = ("r1", "pro")[number // 2 % 2]
    return ask(number, deadline_seconds=DEADLINE_SECONDS, tier=tier, tpot_ms=UNHURRIED_MS)


def _routed(number: int) -> Question:
    return ask(number, deadline_seconds=DEADLINE_SECONDS)


def _for_pro(number: int) -> Question:
    return ask(number, deadline_seconds=DEADLINE_SECONDS, tier="pro")


def _ensemble(number: int) -> Question:
    question = ask(number, deadline_seconds=DEADLINE_SECONDS, tokens=12)
    return replace(question, strategy=types_pb2.STRATEGY_ENSEMBLE)


def _repeated(number: int) -> Question:
    return replace(ask(number % DISTINCT, deadline_seconds=DEADLINE_SECONDS, tier="r1"), cached=True)


def _kill_triton(tier: str) -> Callable[[Scene], Awaitable[None]]:
    async def disturb(scene: Scene) -> None:
        await scene.load.until(EARLY)
        scene.tritons.send(tier, signal.SIGKILL)

    return disturb


async def _crash_inference(scene: Scene) -> None:
    await scene.load.until(EARLY)
    process = scene.tandem.processes["inference pro"]
    await process.kill()
    await asyncio.sleep(RESTART_SECONDS)
    await process.start_again()


def _freeze_triton(tier: str) -> Callable[[Scene], Awaitable[None]]:
    async def disturb(scene: Scene) -> None:
        await scene.load.until(EARLY)
        scene.tritons.send(tier, signal.SIGSTOP)
        await asyncio.sleep(FROZEN_SECONDS)
        scene.tritons.send(tier, signal.SIGCONT)

    return disturb


def _kill(name: str, share: float = EARLY) -> Callable[[Scene], Awaitable[None]]:
    async def disturb(scene: Scene) -> None:
        await scene.load.until(share)
        await scene.tandem.processes[name].kill()

    return disturb


def _freeze(name: str, share: float = EARLY) -> Callable[[Scene], Awaitable[None]]:
    async def disturb(scene: Scene) -> None:
        await scene.load.until(share)
        scene.tandem.processes[name].send(signal.SIGSTOP)

    return disturb


async def _cut_off_tritons(scene: Scene) -> None:
    await scene.load.until(EARLY)
    await scene.tandem.envoy.kill()
    await scene.load.until(1.0)
    # The engines are asked afterwards what the attempts took that were cut off.
    await scene.tandem.envoy.start()


def _envoy(name: str, what: str, trouble: Trouble) -> Row:
    layout = Layout(separate=True, envoy={"pro": trouble})
    return Row(name, what, _for_pro, layout=layout)


PROCESS_ROWS: Final = (
    Row("frozen-pro", "Pro's Triton is stopped for 3 s", _unhurried, disturb=_freeze_triton("pro")),
    Row("frozen-r1", "R1's Triton is stopped for 3 s", _unhurried, disturb=_freeze_triton("r1")),
    Row(
        "killed-pro",
        "Pro's Triton is killed and started again",
        _unhurried,
        disturb=_kill_triton("pro"),
    ),
    Row(
        "killed-r1",
        "R1's Triton is killed and started again",
        _unhurried,
        disturb=_kill_triton("r1"),
    ),
    Row(
        "dead-both",
        "no Triton can be reached until all questions are answered",
        healthy,
        healthy_tier=False,
        layout=Layout(envoy={"triton r1": Trouble(), "triton pro": Trouble()}),
        disturb=_cut_off_tritons,
    ),
    Row(
        "reset-triton",
        "every connection to Pro's Triton is cut after 0.4 s",
        _for_pro,
        layout=Layout(envoy={"triton pro": CUT}),
    ),
    Row(
        "inference-dead",
        "pro-inference is killed, and started again after 1 s",
        _unhurried,
        layout=SEPARATE,
        disturb=_crash_inference,
    ),
    Row("classifier-dead", "the classifier is killed", _routed, layout=SEPARATE, disturb=_kill("classifier")),
    Row(
        "classifier-frozen",
        "the classifier is stopped",
        _routed,
        layout=SEPARATE,
        disturb=_freeze("classifier"),
    ),
    Row(
        "classifier-slow",
        "Envoy delays every question to the classifier by 1 s",
        _routed,
        layout=Layout(separate=True, envoy={"classifier": Trouble(delay_ms=1000, delay_percent=100)}),
    ),
    Row(
        "classifier-wrong",
        "the classifier says what cannot be: NaN, infinity, nothing",
        _routed,
        layout=Layout(separate=True, nonsense=True),
    ),
    Row(
        "fusion-dead",
        "fusion is killed; every question asks an ensemble",
        _ensemble,
        8,
        layout=SEPARATE,
        disturb=_kill("fusion"),
    ),
    Row(
        "fusion-frozen",
        "fusion is stopped; every question asks an ensemble",
        _ensemble,
        share=FEW,
        layout=SEPARATE,
        disturb=_freeze("fusion"),
    ),
    Row(
        "cache-dead",
        "the Valkey of all replicas is killed while it answers",
        _repeated,
        layout=Layout(separate=True, valkey=True),
        disturb=_kill("valkey", 0.6),
    ),
    Row(
        "cache-frozen",
        "the Valkey of all replicas is stopped while it answers",
        _repeated,
        layout=Layout(separate=True, valkey=True),
        disturb=_freeze("valkey", 0.6),
    ),
    _envoy("envoy-delay", "Envoy delays half of the calls to pro-inference by 0.8 s", Trouble(800, 50)),
    _envoy("envoy-abort", "Envoy refuses half of the calls to pro-inference", Trouble(abort_percent=50)),
    _envoy("envoy-reset", "Envoy cuts every connection to pro-inference after 0.4 s", CUT),
)
