"""Would catch: a tier that asks another tier's Triton, where each has its own, as in production."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.client import Client
from tests.engine_books import EngineBooks
from tests.integration.asking import PRO, R1_INT8, default_text, sim
from tests.system import simulated_tandem, simulated_triton

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


async def test_each_tier_is_served_by_its_own_triton(mode: str, tmp_path: Path) -> None:
    async with (
        simulated_triton(["r1", "r1-int8"]) as cheap,
        simulated_triton(["pro"]) as strong,
        simulated_tandem({"r1": cheap, "pro": strong}, mode, tmp_path / "tandem.log") as system,
        Client(system.address) as client,
    ):
        answer = await client.ask(sim(tokens=9), tier="pro", no_cache=True)
        rescued = await client.ask(f"{sim(tokens=9)} {sim('pro', fault='oom')}", tier="pro", no_cache=True)
        made = [await EngineBooks(each.metrics_url).settled() for each in (cheap, strong)]

    assert (answer.answered_by, answer.text) == (PRO, default_text(9))
    assert (rescued.answered_by, rescued.text) == (R1_INT8, default_text(9))
    assert made == [{"r1": 0, "r1-int8": 9}, {"pro": 9}]
