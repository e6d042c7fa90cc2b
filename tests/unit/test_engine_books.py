"""Would catch: tokens that the engines' books lose or count twice, whenever a model's process is killed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.books import Books, Entry, Unsettled
from booking.clerk import Clerk
from booking.question import asked_for
from booking.store import SLOTS, Counts, Store, StoreInUse


def stays() -> bool:
    return False


def leaves() -> bool:
    return True


def opened(books: Books, request: str = "r/0") -> Entry:
    entry = books.open(request, stays)
    assert entry is not None
    assert entry.begin()
    return entry


@pytest.fixture
def books() -> Books:
    return Books(Store(None))


def test_a_receipt_is_what_was_counted_and_comes_after_the_end(books: Books) -> None:
    entry = opened(books)
    entry.add_input(7)
    entry.add_output(1)
    entry.add_output(2)
    assert books.receipt("r/0") is Unsettled.RUNNING
    entry.end()
    assert books.receipt("r/0") == books.totals() == Counts(1, 7, 3)


def test_a_request_that_never_came_is_unknown(books: Books) -> None:
    assert books.receipt("r/0") is Unsettled.UNKNOWN


def test_of_two_requests_with_one_name_the_newer_one_is_meant(books: Books) -> None:
    for tokens in (3, 5):
        entry = opened(books)
        entry.add_output(tokens)
        entry.end()
    assert books.receipt("r/0") == Counts(1, 0, 5)
    assert books.totals() == Counts(2, 0, 8)


def test_a_request_that_waits_is_withdrawn_when_its_client_is_gone(books: Books) -> None:
    patient, gone = books.open("patient", stays), books.open("gone", leaves)
    assert patient is not None
    assert gone is not None
    assert books.receipt("patient") is Unsettled.RUNNING
    assert books.receipt("gone") == Counts()
    assert (patient.begin(), gone.begin()) == (True, False)


def test_a_request_that_has_begun_is_not_withdrawn(books: Books) -> None:
    entry = books.open("r", leaves)
    assert entry is not None
    assert entry.begin()
    assert books.receipt("r") is Unsettled.RUNNING


def test_the_oldest_receipts_are_forgotten_and_their_tokens_are_not(books: Books) -> None:
    for number in range(SLOTS + 3):
        entry = opened(books, str(number))
        entry.add_output(2)
        entry.end()
    assert [books.receipt(str(number)) for number in (2, 3)] == [Unsettled.UNKNOWN, Counts(1, 0, 2)]
    assert books.totals() == Counts(SLOTS + 3, 0, 2 * (SLOTS + 3))


def test_a_request_too_many_is_refused_and_there_is_room_when_one_has_ended(books: Books) -> None:
    running = [opened(books, str(number)) for number in range(SLOTS)]
    assert books.open("more", stays) is None
    running[7].end()
    assert books.open("more", stays) is not None


class Shadow:
    """What the books must say, kept in the plainest way."""

    def __init__(self) -> None:
        self.total = Counts()
        self.running: dict[str, tuple[Entry, Counts]] = {}

    def begin(self, request: str, entry: Entry) -> None:
        self.running[request] = (entry, Counts())
        self.add(request, Counts(requests=1))

    def add(self, request: str, counts: Counts) -> None:
        entry, before = self.running[request]
        self.running[request] = (entry, before.plus(counts))
        self.total = self.total.plus(counts)


class Killable:
    """The words of a store, of which only so many more can be written before the process is killed."""

    def __init__(self, words: memoryview[int], stores_left: int) -> None:
        self.words = words
        self.stores_left = stores_left

    def __getitem__(self, key: Any) -> Any:
        return self.words[key]

    def __setitem__(self, key: int, value: int) -> None:
        if not self.stores_left:
            raise ProcessLookupError
        self.stores_left -= 1
        self.words[key] = value


def reopened(store: Store, path: Path) -> Store:
    """Return a store on the file as the kernel has it when the process that wrote it is killed now."""
    path.write_bytes(bytes(store.words))
    return Store(path)


_steps = st.lists(
    st.tuples(st.sampled_from(["open", "input", "output", "end", "crash"]), st.integers(0, 9)), max_size=60
)


@pytest.fixture(scope="module")
def few_slots() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("booking.store.SLOTS", 4)
        patch.setattr("booking.books.SLOTS", 4)
        yield


@given(_steps)
def test_any_order_of_events_and_crashes_keeps_every_token(
    few_slots: None, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("books")
    shadow, books = Shadow(), Books(Store(folder / "0"))
    for number, (step, size) in enumerate(steps):
        names = list(shadow.running)
        name = names[size % len(names)] if names else ""
        match step:
            case "open":
                entry = books.open(str(number), stays)
                assert (entry is None) == (len(names) == 4)
                if entry is not None and entry.begin():
                    shadow.begin(str(number), entry)
            case "input" if name:
                shadow.running[name][0].add_input(size)
                shadow.add(name, Counts(input_tokens=size))
            case "output" if name:
                shadow.running[name][0].add_output(size)
                shadow.add(name, Counts(output_tokens=size))
            case "end" if name:
                entry, counts = shadow.running.pop(name)
                entry.end()
                assert books.receipt(name) == counts
            case "crash":
                books = Books(reopened(books.store, folder / str(number + 1)))
                for request, (_, counts) in shadow.running.items():
                    assert books.receipt(request) == counts
                shadow.running.clear()
        assert books.totals() == shadow.total


@pytest.mark.parametrize("stores", range(16))
def test_a_kill_between_any_two_stores_loses_nothing_and_counts_nothing_twice(
    few_slots: None, tmp_path: Path, stores: int
) -> None:
    books = Books(Store(tmp_path / "before"))
    for number in range(4):
        entry = opened(books, str(number))
        entry.add_input(10**number)
        entry.add_output(3 * 10**number)
        entry.end()
    words = books.store.words
    books.store.words = Killable(words, stores)  # type: ignore[assignment]
    with contextlib.suppress(ProcessLookupError):
        books.open("new", stays)  # clears the oldest one away

    books.store.words = words
    after = Books(reopened(books.store, tmp_path / "after"))
    assert after.totals() == Counts(4, 1111, 3333)
    assert after.receipt("1") == Counts(1, 10, 30)
    for number in range(6):  # and the books go on as ever
        opened(after, f"later {number}").end()
    assert after.totals() == Counts(10, 1111, 3333)


def test_a_file_that_is_no_books_is_begun_anew(few_slots: None, tmp_path: Path) -> None:
    (tmp_path / "books").write_bytes(b"\xff" * 100)
    assert Books(Store(tmp_path / "books")).totals() == Counts()


def test_books_that_another_process_writes_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("booking.store.LOCK_SECONDS", 0.0)
    first = Store(tmp_path / "r1.books")
    with pytest.raises(StoreInUse, match=r"r1\.books are still written by another process"):
        Store(tmp_path / "r1.books")
    first.close()
    Store(tmp_path / "r1.books").close()


class Metric:
    """A counter that adds up."""

    def __init__(self, shown: float = 0.0) -> None:
        self.shown = shown

    def increment(self, value: float) -> None:
        self.shown += value

    def value(self) -> float:
        return self.shown


class Visitor:
    """Asks for a receipt and waits for the answer."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.answer: Counts | str = ""

    def hand_out(self, counts: Counts) -> None:
        self.answer = counts
        self.answered.set()

    def refuse(self, message: str) -> None:
        self.answer = message
        self.answered.set()


@pytest.mark.parametrize("shown", [0, 4, 9])
def test_a_metric_that_outlived_the_process_is_only_brought_up_to_the_totals(
    books: Books, shown: int
) -> None:
    for tokens in (4, 5):
        entry = opened(books)
        entry.add_output(tokens)
        entry.end()
    metrics = {name: Metric(shown if name == "output_tokens" else 0) for name in Counts._fields}
    Clerk(books, metrics).close()
    assert [metrics[name].shown for name in Counts._fields] == [2, 0, 9]


def test_counts_of_many_threads_are_all_published(books: Books) -> None:
    metrics = {name: Metric() for name in Counts._fields}
    clerk = Clerk(books, metrics)

    def answer(number: int) -> None:
        entry = opened(books, str(number))
        for _ in range(1000):
            entry.add_output(3)
        entry.end()

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clerk.close()
    assert {name: metric.shown for name, metric in metrics.items()} == {
        "requests": 4,
        "input_tokens": 0,
        "output_tokens": 12_000,
    }


def test_who_asks_before_the_end_waits_for_it(books: Books) -> None:
    clerk, visitor = Clerk(books, {name: Metric() for name in Counts._fields}), Visitor()
    entry = opened(books)
    clerk.ask("r/0", visitor)
    assert not visitor.answered.wait(0.05)
    entry.add_output(2)
    entry.end()
    assert visitor.answered.wait(10)
    assert visitor.answer == Counts(1, 0, 2)
    clerk.close()


def test_who_asks_for_what_is_not_there_or_does_not_end_is_told_so(
    monkeypatch: pytest.MonkeyPatch, books: Books
) -> None:
    monkeypatch.setattr("booking.clerk.WAIT_SECONDS", 0.0)
    clerk, stranger, early = Clerk(books, {name: Metric() for name in Counts._fields}), Visitor(), Visitor()
    opened(books)
    clerk.ask("other/0", stranger)
    clerk.ask("r/0", early)
    assert stranger.answered.wait(10)
    assert early.answered.wait(10)
    assert str(stranger.answer).startswith("no receipt for request 'other/0'")
    assert str(early.answer).startswith("still running: request 'r/0'")
    clerk.close()


@pytest.mark.parametrize(
    ("parameters", "asked"),
    [
        (b'{"tandem_receipt": "r/0"}', "r/0"),
        (b'{"max_tokens": 5}', None),
        (b'{"stop": ["tandem_receipt"]}', None),
        (b'{"tandem_receipt": 5}', None),
        (b'["tandem_receipt"]', None),
        (b"tandem_receipt", None),
    ],
)
def test_only_its_own_parameter_makes_a_request_a_question(parameters: bytes, asked: str | None) -> None:
    assert asked_for(parameters) == asked
