"""`tandem demo`: three questions to a system that is started for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table

from tandem.cli.ask import stream_to_screen
from tandem.cli.report import reason, tier_name, time_per_token_ms, usd
from tandem.client import Client, user
from tandem.deployment import deploy_folder
from tandem.embedded.errors import EmbeddedError
from tandem.embedded.local import Models, local_system
from tandem.embedded.progress import progress_on
from tandem.embedded.system import System, wait_healthy
from tandem.embedded.triton import TritonStatus
from tandem.errors import TandemError
from tandem.telemetry.logs import configure
from tandem.v1 import types_pb2

QUESTIONS: Final = (
    "What is the capital of France?",
    "Prove that the square root of 2 is irrational, then explain why the same proof fails for the square root of 4.",
    "解释量子计算的基本原理",
)
OPTIONS: Final[Mapping[str, Any]] = {
    "deadline_seconds": 120.0,
    "sampling": types_pb2.Sampling(max_tokens=160, seed=7),
}
HEALTHY_SECONDS: Final = 30.0
PIPE_WIDTH: Final = 130
"""Columns of the table where no terminal says how many there are."""


async def run_demo(apart: bool) -> int:
    """Start the system, ask, show, stop; return the exit status."""
    configure("console", "warning")
    system = System(
        triton={},
        listen="127.0.0.1:0",
        catalogue=deploy_folder() / "catalogue.yaml",
        policy=deploy_folder() / "policy.yaml",
    )
    try:
        async with local_system(system, Models(), apart, progress_on(), _ignore) as address:
            if not await wait_healthy(address, ("r1", "pro"), HEALTHY_SECONDS):
                typer.echo(
                    "tandem demo: the tiers did not become healthy; run `tandem up` to see the log", err=True
                )
                return 1
            answers = [await _ask(address, question) for question in QUESTIONS]
    except (EmbeddedError, TandemError) as error:
        typer.echo(f"tandem demo: {error}", err=True)
        return 1
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(summary(answers))
    return 0


def _ignore(_: TritonStatus) -> None:
    """The demo is over before a restart would help."""


async def _ask(address: str, question: str) -> types_pb2.Answer:
    console = Console()
    console.print(f"\n[bold]> {question}[/bold]\n", highlight=False)
    async with Client(address) as client:
        return await stream_to_screen(client, [user(question)], OPTIONS)


def summary(answers: list[types_pb2.Answer]) -> Table:
    """Return a table of how each question was answered."""
    table = Table("question", "tier", "why", "first token", "tokens/s", "cost")
    for question, answer in zip(QUESTIONS, answers, strict=True):
        tpot = time_per_token_ms(answer)
        table.add_row(
            question if len(question) <= 40 else f"{question[:39]}…",
            tier_name(answer.answered_by),
            reason(answer),
            f"{answer.ttft_ms:.0f} ms",
            f"{1000 / tpot:.1f}" if tpot else "-",
            usd(answer.cost_nano_usd),
        )
    return table
