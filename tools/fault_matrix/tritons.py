"""A real Triton for each tier, with the simulator in place of the models."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from fault_matrix.process import StartFailed
from tandem.cache_folder import cache_folder
from tandem.embedded.environment import prepare
from tandem.embedded.progress import progress_on
from tandem.embedded.server_process import TritonSpec
from tandem.embedded.triton import TritonProcess, TritonState

SIMULATOR: Final = Path(__file__).resolve().parents[2] / "tests" / "triton"
MODELS: Final[Mapping[str, tuple[str, ...]]] = {"r1": ("r1", "r1-int8"), "pro": ("pro",)}
HEAL_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.1
NOTICE_SECONDS: Final = 0.6
"""What its keeper needs to notice that something of it died."""


class Tritons:
    """The Tritons of all tiers; each is started again by its keeper when it dies."""

    def __init__(self, by_tier: Mapping[str, TritonProcess]) -> None:
        self._by_tier = by_tier

    @property
    def addresses(self) -> dict[str, str]:
        """The gRPC address of each tier's."""
        return {tier: triton.grpc_address for tier, triton in self._by_tier.items()}

    @property
    def metrics_urls(self) -> list[str]:
        """Where the engines' counters are read."""
        return [triton.metrics_url for triton in self._by_tier.values()]

    def send(self, tier: str, number: signal.Signals) -> None:
        """Send a signal to a tier's Triton, if it runs."""
        pid = self._by_tier[tier].pid
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def heal(self) -> None:
        """Wait until all models of all tiers answer again.

        Raises:
            StartFailed: they do not.
        """
        for tier in self._by_tier:
            self.send(tier, signal.SIGCONT)
        end = time.monotonic() + HEAL_SECONDS
        await asyncio.sleep(NOTICE_SECONDS)
        while not all(_well(triton) for triton in self._by_tier.values()):
            if time.monotonic() > end:
                details = "; ".join(f"{tier}: {triton.status}" for tier, triton in self._by_tier.items())
                raise StartFailed(f"a Triton is not well again after {HEAL_SECONDS:.0f} s: {details}")
            await asyncio.sleep(POLL_SECONDS)


def _well(triton: TritonProcess) -> bool:
    return triton.status.state is TritonState.READY and not triton.status.models_down


@asynccontextmanager
async def simulated_tritons() -> AsyncIterator[Tritons]:
    """Run them while the context is open.

    Raises:
        EmbeddedError: Triton cannot run on this machine, or did not start.
    """
    environment = await asyncio.to_thread(prepare, cache_folder(), progress_on(sys.stderr))
    async with AsyncExitStack() as stack:
        started = await asyncio.gather(
            *(
                stack.enter_async_context(
                    TritonProcess(
                        TritonSpec(
                            environment=environment,
                            models_folder=SIMULATOR / "models",
                            models=models,
                            backends=[SIMULATOR / "backends" / "simulator"],
                            variables={},
                        ),
                        cache_folder(),
                    )
                )
                for models in MODELS.values()
            )
        )
        yield Tritons(dict(zip(MODELS, started, strict=True)))
