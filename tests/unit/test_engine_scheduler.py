"""Would catch: requests of the simulator that block or starve one another, and books that lose counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from llamacpp_engine.books import Books as ThreadedBooks
from simulator_engine.books import Books, Tally
from simulator_engine.scheduler import Scheduler


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler()
    yield scheduler
    scheduler.stop()


class Total:
    """A counter that adds up."""

    def __init__(self) -> None:
        self.value = 0.0

    def increment(self, value: float) -> None:
        self.value += value


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
        return now + 0.2

    def step_at_once(now: float) -> None:
        other.set()

    scheduler.add(step)
    time.sleep(0.02)
    scheduler.add(step_at_once)
    assert other.wait(0.15)
    assert done.wait(5)
    assert called[1] - called[0] >= 0.2


def test_stopping_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    scheduler = Scheduler()
    scheduler.add(lambda now: now + 3600)
    scheduler.stop()
    assert threading.active_count() == before


def test_published_counts_are_the_counts_of_all_tallies() -> None:
    requests, input_tokens, output_tokens = Total(), Total(), Total()
    one, other = Tally(requests=1, output_tokens=5), Tally(requests=2)
    books = Books(requests, input_tokens, output_tokens, [one, other])
    books.publish()
    other.output_tokens += 2
    books.publish()
    books.publish()
    assert (requests.value, input_tokens.value, output_tokens.value) == (3, 0, 7)


def test_books_of_many_threads_lose_nothing() -> None:
    counters = {name: Total() for name in ("requests", "input_tokens", "output_tokens")}
    books = ThreadedBooks(counters)

    def write() -> None:
        for _ in range(1000):
            books.add("output_tokens", 3)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    books.close()
    assert {name: counter.value for name, counter in counters.items()} == {
        "requests": 0,
        "input_tokens": 0,
        "output_tokens": 12_000,
    }
