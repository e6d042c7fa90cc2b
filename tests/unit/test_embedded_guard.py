"""Would catch a process or shared memory left behind, whichever of supervisor, guard and command dies first and how.

Real processes; the command is a shell with a child of its own that ignores every polite signal, as a hung model would.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tandem.embedded import guard

SHARED = Path("/dev/shm")  # noqa: S108 - the place is what is tested
STUBBORN = "trap '' TERM INT HUP; sleep 600 & echo $! ; wait; sleep 600"
OBEDIENT = "trap 'exit 3' TERM; sleep 600 & wait"


class Guarded:
    """A guard, the command below it and its grandchild."""

    def __init__(self, prefix: str, script: str, grace_seconds: float = 0.5) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, prefix, str(grace_seconds), "/bin/sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.command = psutil.Process(int(self.process.stdout.readline()))
        end = time.monotonic() + 5
        while not self.command.children() and time.monotonic() < end:
            time.sleep(0.01)
        self.below = [self.command, *self.command.children()]

    def assert_all_gone(self) -> None:
        _, alive = psutil.wait_procs(self.below, timeout=5)
        assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []

    def close(self) -> None:
        self.process.kill()
        for each in self.below:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.communicate()


@pytest.fixture
def prefix() -> Iterator[str]:
    name = f"tandem-test-{uuid.uuid4().hex[:8]}-"
    for suffix in ("one", "two"):
        (SHARED / f"{name}{suffix}").touch()
    yield name
    guard.remove_regions(name)


def regions(prefix: str) -> list[Path]:
    return list(SHARED.glob(f"{prefix}*"))


def test_stops_in_order_and_passes_the_status_on(prefix: str) -> None:
    guarded = Guarded(prefix, OBEDIENT)
    guarded.process.terminate()
    assert guarded.process.wait(5) == 3
    guarded.assert_all_gone()
    assert regions(prefix) == []
    guarded.close()


def test_what_does_not_stop_within_the_grace_is_killed(prefix: str) -> None:
    guarded, began = Guarded(prefix, STUBBORN), time.monotonic()
    guarded.process.terminate()
    assert guarded.process.wait(5) == 128 + signal.SIGKILL
    assert 0.5 <= time.monotonic() - began < 3.0
    guarded.assert_all_gone()
    assert regions(prefix) == []
    guarded.close()


def test_a_supervisor_that_dies_takes_all_with_it_at_once(prefix: str) -> None:
    guarded, began = Guarded(prefix, STUBBORN, grace_seconds=60.0), time.monotonic()
    assert guarded.process.stdin is not None
    guarded.process.stdin.close()
    guarded.process.wait(5)
    assert time.monotonic() - began < 3.0
    guarded.assert_all_gone()
    assert regions(prefix) == []
    guarded.process.stdin = None
    guarded.close()


def test_a_command_that_dies_takes_its_children_with_it(prefix: str) -> None:
    guarded = Guarded(prefix, STUBBORN)
    guarded.command.kill()
    assert guarded.process.wait(5) == 128 + signal.SIGKILL
    guarded.assert_all_gone()
    assert regions(prefix) == []
    guarded.close()


def test_a_guard_that_is_killed_takes_the_command_with_it() -> None:
    guarded = Guarded("tandem-test-none-", STUBBORN)
    os.kill(guarded.process.pid, signal.SIGKILL)
    guarded.process.wait(5)
    psutil.wait_procs([guarded.command], timeout=5)
    assert not guarded.command.is_running() or guarded.command.status() == psutil.STATUS_ZOMBIE
    guarded.close()


def test_other_shared_memory_is_left_alone(prefix: str) -> None:
    other = SHARED / f"not-{prefix}one"
    other.touch()
    guard.remove_regions(prefix)
    assert other.exists()
    assert regions(prefix) == []
    other.unlink()
