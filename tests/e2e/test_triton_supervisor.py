"""Would catch a Triton that is not brought back, brought back elsewhere, or that leaves processes or memory behind.

The real Triton with the simulator's models.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tandem.cache_folder import cache_folder
from tandem.embedded import control, triton, watch
from tandem.embedded.environment import TritonEnvironment, prepare
from tandem.embedded.errors import TritonFailed
from tandem.embedded.progress import progress_on
from tandem.embedded.server_process import Ports, TritonSpec, free_ports
from tandem.embedded.triton import TritonProcess, TritonState, TritonStatus

pytestmark = pytest.mark.timeout(300)

SIMULATOR = Path(__file__).parents[1] / "triton"
SHARED = Path("/dev/shm")  # noqa: S108 - the place is what is tested
SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from tandem.embedded.environment import TritonEnvironment
from tandem.embedded.server_process import TritonSpec
from tandem.embedded.triton import TritonProcess
async def main():
    environment, models, backend, cache = map(Path, sys.argv[1:])
    spec = TritonSpec(TritonEnvironment(environment), models, ["r1"], [backend], {}, grace_seconds=100)
    async with TritonProcess(spec, cache) as server:
        print(server.pid, server.http_address, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def environment() -> TritonEnvironment:
    return prepare(cache_folder(), progress_on())


@pytest.fixture
def spec(environment: TritonEnvironment) -> TritonSpec:
    backends = [SIMULATOR / "backends" / "simulator"]
    return TritonSpec(environment, SIMULATOR / "models", ["r1", "pro"], backends, {}, grace_seconds=1.0)


class Supervised:
    """A supervised Triton and all that it said about its status."""

    def __init__(self, spec: TritonSpec, cache: Path) -> None:
        self.said: list[TritonStatus] = []
        self._changed = asyncio.Event()
        self.triton = TritonProcess(spec, cache, self._note)

    def _note(self, status: TritonStatus) -> None:
        self.said.append(status)
        self._changed.set()

    async def until(self, wanted: Callable[[TritonStatus], bool], seconds: float = 40.0) -> None:
        """Wait for a status; also one that came and went since the last wait counts."""
        async with asyncio.timeout(seconds):
            while True:
                while self.said:
                    if wanted(self.said.pop(0)):
                        return
                self._changed.clear()
                await self._changed.wait()

    def processes(self) -> list[psutil.Process]:
        server = psutil.Process(self.triton.pid)
        return [server, server.parent() or server, *server.children(recursive=True)]

    async def ask(self, model: str, prompt: str, seconds: float = 10.0) -> str:
        """Return what a model says, or how it fails."""
        return await asyncio.to_thread(ask, self.triton.http_address, model, prompt, seconds)


def post(address: str, path: str, body: object, seconds: float) -> str:
    connection = http.client.HTTPConnection(address, timeout=seconds)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(body).encode())
        return connection.getresponse().read().decode()


def ask(address: str, model: str, prompt: str, seconds: float) -> str:
    body = {"text_input": prompt, "exclude_input_in_output": True}
    try:
        said = post(address, f"/v2/models/{model}/generate_stream", body, seconds)
    except (OSError, http.client.HTTPException) as error:
        return f"failed: {error}"
    answer = json.loads(said.removeprefix("data: "))
    return str(answer.get("text_output") or answer["error"])


@asynccontextmanager
async def running(spec: TritonSpec, cache: Path) -> AsyncIterator[Supervised]:
    supervised = Supervised(spec, cache)
    async with supervised.triton:
        supervised.said.clear()
        yield supervised


def assert_gone(processes: Iterable[psutil.Process]) -> None:
    _, left = psutil.wait_procs(list(processes), timeout=30)
    assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []


def regions(run: Path) -> list[Path]:
    return list(SHARED.glob(f"tandem-{run.name}-*"))


async def test_starts_on_loopback_answers_and_leaves_nothing_behind(spec: TritonSpec, tmp_path: Path) -> None:
    supervised = Supervised(spec, tmp_path)
    await supervised.triton.start()
    processes, run = supervised.processes(), supervised.triton.log.parent
    assert supervised.triton.status == TritonStatus(TritonState.READY)
    said = await supervised.ask("r1", "[[sim tokens=3]]")
    listening = [each for each in processes[0].net_connections() if each.status == psutil.CONN_LISTEN]
    used = regions(run)
    await supervised.triton.stop()
    assert said.strip() == "t0 t1 t2"
    assert {each.laddr.ip.removeprefix("::ffff:") for each in listening} == {"127.0.0.1"}
    assert len(used) == len(spec.models)
    assert_gone(processes)
    assert regions(run) == []
    assert not run.exists()
    assert [status.state for status in supervised.said] == [
        TritonState.STARTING,
        TritonState.READY,
        TritonState.STOPPED,
    ]


async def test_a_killed_triton_comes_back_on_the_same_ports(spec: TritonSpec, tmp_path: Path) -> None:
    async with running(spec, tmp_path) as supervised:
        address, processes = supervised.triton.grpc_address, supervised.processes()
        hanging = asyncio.create_task(supervised.ask("r1", "[[sim fault=hang]]"))
        await asyncio.sleep(0.5)
        os.kill(supervised.triton.pid, signal.SIGKILL)
        await supervised.until(lambda status: status.state is TritonState.BACKING_OFF)
        assert "killed by signal 9" in supervised.triton.status.detail
        assert (await hanging).startswith("failed:")
        assert_gone(processes)
        await supervised.until(lambda status: status.state is TritonState.STARTING)
        await supervised.until(lambda status: status.state is TritonState.READY)
        assert supervised.triton.grpc_address == address
        assert supervised.triton.status.restarts == 1
        assert (await supervised.ask("r1", "[[sim tokens=1]]")).strip() == "t0"
        assert len(regions(supervised.triton.log.parent)) == len(spec.models)


async def test_a_killed_guard_takes_triton_and_hung_models_with_it(spec: TritonSpec, tmp_path: Path) -> None:
    async with running(spec, tmp_path) as supervised:
        processes = supervised.processes()
        hanging = asyncio.create_task(supervised.ask("r1", "[[sim fault=hang]]"))
        await asyncio.sleep(0.5)
        processes[1].kill()
        await supervised.until(lambda status: status.state is TritonState.BACKING_OFF)
        assert (await hanging).startswith("failed:")
        assert_gone(processes)
        await supervised.until(lambda status: status.state is TritonState.READY)
        assert len(regions(supervised.triton.log.parent)) == len(spec.models)


async def test_a_crashed_model_is_loaded_again_while_the_others_answer(
    spec: TritonSpec, tmp_path: Path
) -> None:
    async with running(spec, tmp_path) as supervised:
        pid = supervised.triton.pid
        await supervised.ask("r1", "[[sim fault=crash]]")
        await supervised.until(lambda status: status.models_down == {"r1"})
        assert (await supervised.ask("pro", "[[sim tokens=1]]")).strip() == "t0"
        await supervised.until(lambda status: status.state is TritonState.READY and not status.models_down)
        assert (await supervised.ask("r1", "[[sim tokens=1]]")).strip() == "t0"
        assert supervised.triton.pid == pid


async def test_a_model_that_somebody_unloaded_is_loaded_again(
    spec: TritonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.2)
    async with running(spec, tmp_path) as supervised:
        address = supervised.triton.http_address
        await asyncio.to_thread(post, address, "/v2/repository/models/pro/unload", {}, 10.0)
        await supervised.until(lambda status: status.models_down == {"pro"})
        await supervised.until(lambda status: status.state is TritonState.READY and not status.models_down)
        assert (await supervised.ask("pro", "[[sim tokens=1]]")).strip() == "t0"


async def test_a_model_that_cannot_be_loaded_again_restarts_triton_until_it_can(
    spec: TritonSpec, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(spec.models_folder, models)
    broken = TritonSpec(spec.environment, models, ["r1"], spec.backends, {}, grace_seconds=1.0)
    async with running(broken, tmp_path) as supervised:
        (models / "r1").rename(tmp_path / "away")
        await supervised.ask("r1", "[[sim fault=crash]]")
        await supervised.until(lambda status: "r1 could not be loaded again" in status.detail)
        await supervised.until(lambda status: "Triton ended before it was ready" in status.detail)
        (tmp_path / "away").rename(models / "r1")
        await supervised.until(lambda status: status.state is TritonState.READY)
        assert supervised.triton.status.restarts >= 2
        assert (await supervised.ask("r1", "[[sim tokens=1]]")).strip() == "t0"


async def test_a_triton_that_is_alive_and_silent_is_restarted(
    spec: TritonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(spec, tmp_path) as supervised:
        monkeypatch.setattr(control, "CHECK_SECONDS", 1.0)
        monkeypatch.setattr(watch, "POLL_SECONDS", 0.2)
        os.kill(supervised.triton.pid, signal.SIGSTOP)
        await supervised.until(lambda status: "did not answer" in status.detail)
        monkeypatch.undo()
        await supervised.until(lambda status: status.state is TritonState.READY)


def test_a_supervisor_killed_outright_takes_triton_and_hung_models_with_it(
    spec: TritonSpec, tmp_path: Path
) -> None:
    arguments = [spec.environment.folder, spec.models_folder, spec.backends[0], tmp_path]
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    with supervisor:
        assert supervisor.stdout is not None
        pid, address = supervisor.stdout.readline().split()
        below = psutil.Process(supervisor.pid).children(recursive=True)
        assert int(pid) in {each.pid for each in below}
        assert len(below) == 3  # guard, tritonserver and the model's process
        assert ask(address, "r1", "[[sim fault=hang]]", 0.5).startswith("failed:")
        run = next(each for each in (tmp_path / "runs").iterdir() if each.is_dir())
        assert regions(run)
        supervisor.kill()
    assert_gone(below)  # long before Triton would have had its hundred seconds
    assert regions(run) == []


async def test_a_model_that_fails_to_load_is_reported_in_tritons_words(
    spec: TritonSpec, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(spec.models_folder, models)
    config = models / "r1" / "config.pbtxt"
    text = config.read_text(encoding="utf-8").replace('backend: "simulator"', 'backend: "nowhere"')
    config.write_text(text, encoding="utf-8")
    broken = TritonSpec(spec.environment, models, ["r1"], spec.backends, {})
    supervised = Supervised(broken, tmp_path)
    with pytest.raises(TritonFailed, match="unable to find backend library for backend 'nowhere'") as failure:
        await supervised.triton.start()
    assert str(supervised.triton.log) in str(failure.value)
    assert supervised.triton.log.exists()
    assert supervised.triton.pid == 0
    assert supervised.said[-1].state is TritonState.STOPPED
    assert regions(supervised.triton.log.parent) == []


async def test_a_triton_that_is_not_ready_in_time_is_stopped(spec: TritonSpec, tmp_path: Path) -> None:
    hasty = TritonSpec(spec.environment, spec.models_folder, ["r1"], spec.backends, {}, ready_seconds=0.1)
    supervised = Supervised(hasty, tmp_path)
    with pytest.raises(TritonFailed, match="was not ready in time"):
        await supervised.triton.start()
    assert supervised.triton.pid == 0


async def test_a_start_that_is_cancelled_leaves_nothing_behind(spec: TritonSpec, tmp_path: Path) -> None:
    supervised = Supervised(spec, tmp_path)
    starting = asyncio.create_task(supervised.triton.start())
    while not supervised.triton.pid:
        await asyncio.sleep(0.05)
    processes = supervised.processes()
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    assert_gone(processes)


@pytest.mark.parametrize("kind", ["grpc", "http", "metrics"])
async def test_ports_taken_meanwhile_are_exchanged_at_the_first_start(
    spec: TritonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with socket.socket() as other:
        offered = free_ports()
        other.bind(("127.0.0.1", getattr(offered, kind)))
        other.listen()
        offers: list[Ports] = [offered]
        monkeypatch.setattr(triton, "free_ports", lambda: offers.pop() if offers else free_ports())
        async with running(spec, tmp_path) as supervised:
            assert supervised.triton.grpc_address != f"127.0.0.1:{offered.grpc}"
            assert (await supervised.ask("r1", "[[sim tokens=1]]")).strip() == "t0"
