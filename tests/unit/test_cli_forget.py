"""Would catch a wrong exit status, or words that leave it open whether the answer is gone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tandem.cli.forget import run_forget
from tandem.cli.peer import Peer
from tandem.errors import BackendUnavailable, TandemError
from tandem.serving.context import current_call
from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from tests.fakes.listening import listening
from tests.fakes.servicer import BareServicer, Context


class Forgetting(BareServicer):
    """Holds an answer of one tenant."""

    def __init__(self, failure: TandemError | None = None) -> None:
        self.failure = failure

    async def ForgetAnswer(
        self, request: orchestrator_pb2.ForgetAnswerRequest, context: Context
    ) -> orchestrator_pb2.ForgetAnswerResponse:
        if self.failure:
            raise self.failure
        asked = (current_call().tenant, request.request_id)
        return orchestrator_pb2.ForgetAnswerResponse(forgotten=asked == ("shop", "one"))


@asynccontextmanager
async def served(failure: TandemError | None = None) -> AsyncIterator[str]:
    servicer = Forgetting(failure)
    async with listening(
        lambda server: orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server)
    ) as running:
        yield running.target


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line of standard output; the service of this test logs there, too."""
    return capsys.readouterr().out.splitlines()[-1]


async def test_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    async with served() as target:
        assert await run_forget("one", Peer(target), "shop", as_json=False) == 0
    assert printed(capsys) == "forgotten: the answer of one will not be given again"


async def test_nothing_there(capsys: pytest.CaptureFixture[str]) -> None:
    async with served() as target:
        assert await run_forget("one", Peer(target), None, as_json=False) == 1
    assert printed(capsys).startswith(
        "nothing there: the cache holds no answer of one for the anonymous tenant"
    )


@pytest.mark.parametrize(("name", "forgotten"), [("one", True), ("two", False)])
async def test_for_scripts(name: str, forgotten: bool, capsys: pytest.CaptureFixture[str]) -> None:
    async with served() as target:
        status = await run_forget(name, Peer(target), "shop", as_json=True)
    assert status == (0 if forgotten else 1)
    assert json.loads(printed(capsys)) == {"request_id": name, "forgotten": forgotten}


async def test_a_failure_of_the_service_is_no_missing_service(capsys: pytest.CaptureFixture[str]) -> None:
    async with served(BackendUnavailable("the shared cache does not answer")) as target:
        assert await run_forget("one", Peer(target), "shop", as_json=False) == 1
    assert capsys.readouterr().err == "BACKEND_UNAVAILABLE: the shared cache does not answer\n"


async def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run_forget("one", Peer("127.0.0.1:1"), None, as_json=True) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["reason"] == "BACKEND_UNAVAILABLE"
    assert "start one with `tandem up`" in said.err
