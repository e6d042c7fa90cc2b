"""Would catch: requests of the simulator that block or starve one another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from simulator_engine.scheduler import Scheduler


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler()
    yield scheduler
    scheduler.stop()


def test_steps_without_a_pause_take_turns(scheduler: Scheduler) -> None:
    order: list[str] = []
    done = threading.Semaphore(0)

    def stepper(name: str) -> None:
        left = 3

        def step(now: float) -> float | None:
            nonlocal left
            order.append(name)
            left -= 1
            if not left:
                done.release()
                return None
            return now

        scheduler.add(step)

    def add_both(now: float) -> None:
        stepper("a")
        stepper("b")

    scheduler.add(add_both)
    assert done.acquire(timeout=5)
    assert done.acquire(timeout=5)
    assert order == ["a", "b", "a", "b", "a", "b"]


def test_a_step_is_called_when_it_asked_to_be_and_one_that_waits_holds_up_nobody(
    scheduler: Scheduler,
) -> None:
    called: list[float] = []
    done, other = threading.Event(), threading.Event()

    def step(now: float) -> float | None:
        called.append(now)
        if len(called) == 2:
            done.set()
            return None
        return now + 2.0

    def step_at_once(now: float) -> None:
        other.set()

    scheduler.add(step)
    time.sleep(0.02)
    scheduler.add(step_at_once)
    assert other.wait(1.5)
    assert done.wait(10)
    assert called[1] - called[0] >= 2.0


def test_stopping_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    scheduler = Scheduler()
    scheduler.add(lambda now: now + 3600)
    scheduler.stop()
    assert threading.active_count() == before
