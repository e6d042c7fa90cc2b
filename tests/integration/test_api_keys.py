"""Would catch: a request answered without a key or in another name, a key in the log, a key that stays valid."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.client import Client, user
from tandem.embedded.triton import TritonProcess
from tandem.errors import InvalidRequest, TandemError, TierNotEntitled, UnknownApiKey
from tandem.v1 import orchestrator_pb2
from tests.integration.asking import sim
from tests.system import TANDEM, Tandem, simulated_tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = f"Hi! {sim(tokens=4)}"
WRONG = "tdm_" + "5ec2e7" * 10 + "0000"


def new_key(file: Path, tenant: str) -> str:
    """Make a key as an operator does."""
    command = [str(TANDEM), "keys", "new", tenant, "--file", str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()


@dataclass
class Guarded:
    """A system that asks for keys."""

    system: Tandem
    file: Path
    shop: str
    free: str

    @contextlib.asynccontextmanager
    async def client(self, api_key: str | None, tenant: str | None = None) -> AsyncIterator[Client]:
        """Open a client with a key."""
        async with Client(self.system.address, tenant, api_key) as opened:
            yield opened

    async def outcome(self, api_key: str | None, tenant: str | None = None, **options: Any) -> str:
        """Ask once; return `answered`, or the reason why not."""
        async with self.client(api_key, tenant) as client:
            try:
                await client.ask(QUESTION, no_cache=True, deadline_seconds=20, **options)
            except TandemError as error:
                return error.reason
            return "answered"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(
    mode: str, triton: TritonProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    folder = tmp_path_factory.mktemp("keys")
    file = folder / "keys.yaml"
    shop, free = [await asyncio.to_thread(new_key, file, tenant) for tenant in ("shop", "free-plan")]
    async with simulated_tandem(triton, mode, folder / "tandem.log", "--keys", str(file)) as system:
        yield Guarded(system, file, shop, free)
        # Also while it stops, and after all that the tests below have sent.
        for key in (shop, free, WRONG):
            assert key not in system.log


async def test_the_right_key_is_answered(guarded: Guarded) -> None:
    async with guarded.client(guarded.shop) as client:
        assert (await client.ask(QUESTION, no_cache=True)).text
        stream = client.stream(QUESTION, no_cache=True)
        assert [event async for event in stream]
        assert (await client.explain(QUESTION)).plan.attempts
        request = orchestrator_pb2.GenerateRequest(messages=[user(QUESTION)])
        assert [result.answer.text async for result in client.batch([request])] != [""]


@pytest.mark.parametrize("api_key", [None, WRONG])
async def test_without_a_known_key_every_rpc_is_refused(guarded: Guarded, api_key: str | None) -> None:
    said = []
    async with guarded.client(api_key, "shop") as client:
        for call in (client.ask(QUESTION), client.explain(QUESTION)):
            with pytest.raises(UnknownApiKey) as caught:
                await call
            said.append(caught.value.message)
        with pytest.raises(UnknownApiKey):
            async for _ in client.stream(QUESTION):
                pass
    assert WRONG not in "".join(said)
    assert guarded.system.log.count("UNKNOWN_API_KEY") >= 3


async def test_a_batch_that_is_refused_is_told_why(guarded: Guarded) -> None:
    requests = [orchestrator_pb2.GenerateRequest(messages=[user(QUESTION)])] * 10
    async with guarded.client(WRONG) as client:
        # Writing to a call that has ended makes gRPC hide its status now and then.
        for _ in range(100):
            with pytest.raises(UnknownApiKey):
                async for _ in client.batch(requests):
                    pass


async def test_the_name_of_another_tenant_is_refused(guarded: Guarded) -> None:
    async with guarded.client(guarded.shop, "free-plan") as client:
        with pytest.raises(InvalidRequest, match="which is that of shop") as caught:
            await client.ask(QUESTION)
    assert [violation.field for violation in caught.value.details.violations] == ["tandem-tenant"]
    assert await guarded.outcome(guarded.shop, "shop") == "answered"


async def test_the_tenant_of_the_key_has_its_entitlements(guarded: Guarded) -> None:
    async with guarded.client(guarded.free) as client:
        with pytest.raises(TierNotEntitled, match="tenant free-plan"):
            await client.ask(QUESTION, tier="pro")
    assert await guarded.outcome(guarded.shop, tier="pro") == "answered"


async def test_health_needs_no_key(guarded: Guarded) -> None:
    async with grpc.aio.insecure_channel(guarded.system.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        response = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert response.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.timeout(120)
async def test_a_key_comes_and_goes_without_a_restart(guarded: Guarded) -> None:
    before = await asyncio.to_thread(guarded.file.read_bytes)
    late = await asyncio.to_thread(new_key, guarded.file, "late")
    async with asyncio.timeout(40):
        while await guarded.outcome(late) != "answered":
            await asyncio.sleep(0.2)
    await asyncio.to_thread(guarded.file.write_bytes, before)
    async with asyncio.timeout(40):
        while await guarded.outcome(late) != "UNKNOWN_API_KEY":
            await asyncio.sleep(0.2)
    assert await guarded.outcome(guarded.shop) == "answered"
    assert late not in guarded.system.log


async def test_the_command_line_takes_the_key_from_the_environment(guarded: Guarded) -> None:
    async def ask(environment: dict[str, str]) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            TANDEM,
            *("ask", "--target", guarded.system.address, "--no-cache", QUESTION),
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode, err.decode()

    assert (await ask({"TANDEM_API_KEY": guarded.shop}))[0] == 0
    status, said = await ask({"TANDEM_API_KEY": WRONG})
    assert status == 1
    assert said.startswith("UNKNOWN_API_KEY: ")
    assert "TANDEM_API_KEY" in said
    assert WRONG not in said
