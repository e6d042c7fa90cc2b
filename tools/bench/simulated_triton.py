"""A real Triton with the simulator in place of the models."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tandem.cache_folder import cache_folder
from tandem.embedded.environment import prepare
from tandem.embedded.progress import progress_on
from tandem.embedded.server_process import TritonSpec
from tandem.embedded.triton import TritonProcess

FOLDER: Final = Path(__file__).resolve().parents[2] / "tests" / "triton"
MODELS: Final = ("r1", "r1-int8", "pro")


@asynccontextmanager
async def simulated_triton() -> AsyncIterator[str]:
    """Run it while the context is open; give its gRPC address.

    Raises:
        EmbeddedError: it cannot run on this machine, or did not start.
    """
    environment = await asyncio.to_thread(prepare, cache_folder(), progress_on(sys.stderr))
    spec = TritonSpec(
        environment=environment,
        models_folder=FOLDER / "models",
        models=MODELS,
        backends=[FOLDER / "backends" / "simulator"],
        variables={},
    )
    async with TritonProcess(spec, cache_folder()) as triton:
        yield triton.grpc_address
