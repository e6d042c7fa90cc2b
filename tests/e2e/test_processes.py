"""Would catch a `tandem up` or `tandem demo` that leaves processes, ports or a Triton behind, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from pathlib import Path

import psutil
import pytest

from tandem.cli.demo import QUESTIONS
from tests.system import TANDEM, Tandem, tandem_up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(660)]


async def gone(processes: list[psutil.Process], seconds: float) -> bool:
    """Return whether all processes end in time."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout=seconds)
    return not alive


def free(address: str) -> bool:
    """Return whether nobody listens on an address."""
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0


def expect_all(system: Tandem, arguments: list[str]) -> list[psutil.Process]:
    """Return all processes of a system, after checking that they are there to be left behind."""
    processes = system.descendants()
    names = [process.name() for process in processes]
    assert names.count("tritonserver") == 1
    assert sum("stub" in name for name in names) == 3
    assert len([each for each in processes if "tandem.embedded.child" in each.cmdline()]) == (
        5 if arguments else 0
    )
    return processes


@pytest.mark.parametrize("arguments", [[], ["--separate"]], ids=["together", "separate"])
async def test_ctrl_c_leaves_nothing(arguments: list[str], tmp_path: Path) -> None:
    async with tandem_up(arguments, tmp_path / "tandem.log", seconds=600) as system:
        processes = expect_all(system, arguments)

        system.process.send_signal(signal.SIGINT)

        assert await system.ended(25) == 0
        assert await gone(processes, 20)
        assert free(system.address)
        assert "Traceback" not in system.log


@pytest.mark.parametrize("arguments", [[], ["--separate"]], ids=["together", "separate"])
async def test_kill_9_leaves_nothing(arguments: list[str], tmp_path: Path) -> None:
    async with tandem_up(arguments, tmp_path / "tandem.log", seconds=600) as system:
        processes = expect_all(system, arguments)

        system.process.kill()

        assert await system.ended(20) == -signal.SIGKILL
        assert await gone(processes, 40)
        assert free(system.address)


async def test_ctrl_c_while_it_starts_stops_at_once(tmp_path: Path) -> None:
    log = tmp_path / "tandem.log"
    with log.open("wb") as stderr:
        # A shell lets what it runs in the background ignore SIGINT, this test and what it starts included.
        process = await asyncio.create_subprocess_exec(
            *("env", "--default-signal=INT", TANDEM, "up", "--listen", "127.0.0.1:0"), stderr=stderr
        )
    while "Starting Triton" not in log.read_text():
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    processes = psutil.Process(process.pid).children(recursive=True)

    process.send_signal(signal.SIGINT)

    assert await asyncio.wait_for(process.wait(), 25) in {0, 130}
    assert await gone(processes, 20)
    assert "Tandem answers" not in log.read_text()
    assert "Traceback" not in log.read_text()


async def test_the_demo_answers_three_questions_and_leaves_nothing() -> None:
    process = await asyncio.create_subprocess_exec(
        TANDEM, "demo", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    reading = asyncio.create_task(process.communicate())
    processes: set[psutil.Process] = set()
    while not reading.done():
        with contextlib.suppress(psutil.NoSuchProcess):
            processes |= set(psutil.Process(process.pid).children(recursive=True))
        await asyncio.wait([reading], timeout=0.5)
    out, err = (part.decode() for part in reading.result())

    assert process.returncode == 0, err
    assert processes
    assert await gone(list(processes), 20)
    parts = out.split("> ")
    assert len(parts) >= 4
    for question in QUESTIONS:
        assert question[:30] in out
    for column in ("tier", "why", "first token", "tokens/s", "cost"):
        assert column in out
    assert out.count("r1/") + out.count("pro/") >= 3
    assert "Traceback" not in err
