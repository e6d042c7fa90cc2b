"""A real Triton with torch models on a real GPU, Tandem on it, and a neighbour on the same card.

Without a GPU every test here is skipped, within milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tandem.cache_folder import cache_folder
from tandem.deployment import deploy_folder
from tandem.embedded.environment import prepare
from tandem.embedded.interpreter import candidates, find_interpreter
from tandem.embedded.progress import progress_on
from tandem.embedded.server_process import TritonSpec
from tandem.embedded.triton import TritonProcess
from tests.gpu.card import Card, NoCard, find_card
from tests.gpu.episode import Episode, run_episode
from tests.gpu.neighbour import Neighbour, neighbour_on
from tests.system import MODELS, Tandem, tandem_up

HERE: Final = Path(__file__).parent


@pytest.fixture(scope="session")
def card() -> Card:
    try:
        found = find_card()
    except NoCard as error:
        pytest.skip(f"needs a GPU: {error}")
    python = "{}.{}".format(*find_interpreter(candidates()).minor)
    if found.python != python:
        pytest.skip(f"torch is there for Python {found.python}, Triton's models run on Python {python}")
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def triton(card: Card) -> AsyncIterator[TritonProcess]:
    spec = TritonSpec(
        environment=await asyncio.to_thread(prepare, cache_folder(), progress_on(sys.stderr)),
        models_folder=HERE / "triton" / "models",
        models=MODELS,
        backends=[
            HERE / "triton" / "backends" / "torchlm",
            deploy_folder() / "triton" / "backends" / "llamacpp",
        ],
        variables={"TANDEM_TORCH_PACKAGES": card.packages},
        ready_seconds=300.0,
    )
    async with TritonProcess(spec, cache_folder()) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(triton: TritonProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tandem]:
    arguments = [f"--triton-url={triton.grpc_address}"]
    arguments += ["--catalogue", str(HERE / "catalogue.yaml"), "--policy", str(HERE / "policy.yaml")]
    async with tandem_up(arguments, tmp_path_factory.mktemp("gpu") / "tandem.log") as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def neighbour(card: Card) -> AsyncIterator[Neighbour]:
    async with neighbour_on(card.executable) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def episode(card: Card, triton: TritonProcess, system: Tandem, neighbour: Neighbour) -> Episode:
    """What happened when the card's memory ran out and came back; it happens once, all tests look at it."""
    seen = await run_episode(triton, system, neighbour)
    sys.stdout.write(f"\n{card.name}, torch {card.torch}\n{seen.report()}\n")
    return seen
