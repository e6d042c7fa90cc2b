"""Would catch a `tandem wait` that gives up early, waits for the wrong tier, or says "well" too soon."""

from __future__ import annotations

import asyncio

from typer.testing import CliRunner

from tandem.cli.app import app
from tandem.v1 import orchestrator_pb2_grpc
from tests.fakes.listening import listening
from tests.fakes.servicer import BareServicer


async def waited(healthy: dict[str, bool], *arguments: str) -> int:
    """Return the exit status of `tandem wait` for an orchestrator with this health."""
    async with listening(
        lambda server: orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(BareServicer(), server)
    ) as running:
        running.server.set_health(healthy)
        command = ["wait", "--target", running.target, "--seconds", "0.3", *arguments]
        return (await asyncio.to_thread(CliRunner().invoke, app, command)).exit_code


async def test_any_tier_will_do_unless_one_is_named() -> None:
    assert await waited({"": True, "r1": True, "pro": False}) == 0


async def test_a_tier_that_is_named_must_be_healthy() -> None:
    assert await waited({"": True, "r1": True, "pro": False}, "r1", "pro") == 1
    assert await waited({"": True, "r1": True, "pro": True}, "r1", "pro") == 0


def test_nobody_there() -> None:
    result = CliRunner().invoke(app, ["wait", "--target", "127.0.0.1:1", "--seconds", "0.2"])
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "tandem wait: the orchestrator at 127.0.0.1:1 did not become healthy within 0.2 s"
    )
