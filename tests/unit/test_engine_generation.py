"""Would catch: a simulator that keeps another pace than it was told, or whose books do not match what it made."""

from __future__ import annotations

import pytest

from booking.books import Books
from booking.store import Store
from simulator_engine.answer import make_answer
from simulator_engine.directives import Directives
from simulator_engine.generation import CANCEL_CHECK_SECONDS, OUT_OF_MEMORY, Generation
from simulator_engine.limits import Limits


class Client:
    """The receiving end: writes down what comes and when, and may go away at a time."""

    def __init__(self, stream: bool = True, leaves_at: float = float("inf")) -> None:
        self.stream = stream
        self.now = 0.0
        self.leaves_at = leaves_at
        self.sent: list[tuple[float, str, int, float, str | None]] = []
        self.end = ""

    def send(self, text: str, made: int, logprob_sum: float, finish_reason: str | None) -> None:
        self.sent.append((round(self.now, 6), text, made, round(logprob_sum, 6), finish_reason))

    def send_garbage(self, kind: str) -> None:
        self.end = f"garbage {kind}"

    def fail(self, message: str) -> None:
        self.end = message

    def close(self) -> None:
        self.end = "closed"

    def cancelled(self) -> bool:
        return self.now >= self.leaves_at


def run(directives: Directives, client: Client, until: float = 100.0, max_tokens: int | None = None) -> int:
    """Run a generation on a clock of its own; returns the tokens in its entry."""
    entry = Books(Store(None)).open("test", client.cancelled)
    assert entry is not None
    answer = make_answer(directives, "", 0, Limits(max_tokens))
    generation = Generation(directives, answer, client, entry, now=0.0)
    due: float | None = 0.0
    while due is not None and due <= until:
        client.now = due
        due = generation.step(client.now)
    return entry.counts.output_tokens


def test_tokens_come_at_the_pace_asked_for() -> None:
    client = Client()
    made = run(Directives(tokens=4, ttft_ms=100, tpot_ms=30, logprob=-0.5), client)
    assert client.sent == [
        (0.1, "t0", 1, -0.5, None),
        (0.13, " t1", 1, -1.0, None),
        (0.16, " t2", 1, -1.5, None),
        (0.19, " t3", 1, -2.0, "stop"),
    ]
    assert made == 4


def test_an_answer_that_does_not_stream_comes_at_once_when_its_last_token_is_due() -> None:
    client = Client(stream=False)
    assert run(Directives(tokens=3, ttft_ms=100, tpot_ms=50), client, max_tokens=2) == 2
    assert client.sent == [(0.15, "t0 t1", 2, -0.2, "length")]


@pytest.mark.parametrize("stream", [True, False])
def test_an_empty_answer_still_finishes(stream: bool) -> None:
    client = Client(stream)
    assert run(Directives(tokens=0), client) == 0
    assert client.sent == [(0.0, "", 0, 0.0, "stop")]


def test_a_client_that_leaves_stops_the_tokens_soon() -> None:
    client = Client(leaves_at=1.0)
    made = run(Directives(tokens=1000, tpot_ms=10), client)
    assert client.end == "closed"
    assert client.now <= 1.0 + CANCEL_CHECK_SECONDS
    assert made == len(client.sent) < 110


@pytest.mark.parametrize(("fault", "made"), [("hang", 0), ("stall", 3)])
def test_a_silent_fault_makes_nothing_more_and_ends_only_with_the_client(fault: str, made: int) -> None:
    client = Client(leaves_at=50.0)
    assert run(Directives(tokens=9, fault=fault, at=3), client, until=49.0) == made
    assert (client.end, len(client.sent)) == ("", made)
    assert run(Directives(tokens=9, fault=fault, at=3), client) == made
    assert client.end == "closed"


def test_slow_is_twenty_times_slower_from_its_token_on() -> None:
    client = Client()
    run(Directives(tokens=4, tpot_ms=10, fault="slow", at=2), client)
    assert [entry[0] for entry in client.sent] == [0.0, 0.01, 0.02, 0.22]


def test_out_of_memory_speaks_as_pytorch_does_after_the_tokens_before_it() -> None:
    client = Client()
    assert run(Directives(fault="oom", at=2), client) == 2
    assert client.end == OUT_OF_MEMORY
    assert client.end.startswith(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
    )


@pytest.mark.parametrize(("garbage", "end"), [("utf8", "garbage utf8"), ("shape", "garbage shape")])
def test_garbage_breaks_what_it_was_told_to(garbage: str, end: str) -> None:
    client = Client()
    run(Directives(fault="garbage", garbage=garbage), client)
    assert (client.end, client.sent) == (end, [])


def test_a_fault_behind_the_end_never_happens() -> None:
    client = Client()
    assert run(Directives(tokens=2, fault="error", at=5), client) == 2
    assert client.end == ""
