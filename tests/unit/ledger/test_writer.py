"""Would catch a ledger that makes a request wait or fail, and entries lost or doubled while the database fails."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tandem.ledger import queries, writer
from tandem.ledger.database import sqlite_file
from tandem.ledger.rows import Rows
from tandem.ledger.schema import migrate, reading
from tandem.ledger.store import Store
from tandem.ledger.writer import LedgerWriter
from tests.fakes.entries import entry, named, url_of


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here waits longer than it must."""
    for name in ("GATHER_SECONDS", "FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(writer, name, 0.01)
    monkeypatch.setattr("tandem.ledger.store.WAIT_SECONDS", 0.01)
    monkeypatch.setattr("tandem.ledger.schema.WAIT_SECONDS", 0.01)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return url_of(tmp_path)


def booked(url: str) -> list[str]:
    with reading(url) as connection:
        found = queries.newest(connection, queries.Which(), 100_000)
    return [str(each["request_id"]) for each in reversed(found)]


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.005)


def put(ledger: LedgerWriter, entries: Sequence[Any]) -> None:
    for each in entries:
        ledger.write(each)


class Held(Store):
    """A store whose database does not come back until it is let go."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.reached, self.go = threading.Event(), threading.Event()

    def append(self, entries: Sequence[Rows]) -> None:
        self.reached.set()
        self.go.wait()
        super().append(entries)


class Failing(Store):
    """A store that fails at first."""

    def __init__(self, url: str, failures: int) -> None:
        super().__init__(url)
        self.failures = failures

    def append(self, entries: Sequence[Rows]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is on fire")
        super().append(entries)


async def test_closing_writes_everything_in_order(url: str) -> None:
    ledger = LedgerWriter(Store(url))
    put(ledger, named(1234))
    await ledger.close()
    assert booked(url) == [f"request-{n}" for n in range(1234)]
    assert (ledger.lag, ledger.dropped) == (0, 0)


async def test_entries_are_written_without_being_asked(url: str) -> None:
    ledger = LedgerWriter(Store(url))
    for number in range(3):
        ledger.write(entry(f"request-{number}"))
        until(lambda: ledger.lag == 0)
        assert len(booked(url)) == number + 1
    await ledger.close()


async def test_writing_does_not_wait_for_a_database_that_hangs(url: str) -> None:
    store = Held(url)
    ledger = LedgerWriter(store)
    ledger.write(entry("request-0"))
    store.reached.wait()
    put(ledger, named(100)[1:])
    assert ledger.lag == 100
    store.go.set()
    await ledger.close()
    assert booked(url) == [f"request-{n}" for n in range(100)]


async def test_each_entry_is_written_once_although_the_database_fails(url: str) -> None:
    ledger = LedgerWriter(Failing(url, 3))
    put(ledger, named(700))
    await ledger.close()
    assert booked(url) == [f"request-{n}" for n in range(700)]


async def test_beyond_the_bound_the_oldest_are_dropped_and_counted(url: str) -> None:
    store = Failing(url, 1_000_000)
    ledger = LedgerWriter(store, queue_entries=10)
    for each in named(25):
        ledger.write(each)
        until(lambda: not ledger._taken)
    assert (ledger.lag, ledger.dropped) == (10, 15)
    store.failures = 0
    await ledger.close()
    assert booked(url) == [f"request-{n}" for n in range(15, 25)]


async def test_a_thread_that_hangs_does_not_let_memory_grow(url: str) -> None:
    store = Held(url)
    ledger = LedgerWriter(store, queue_entries=10)
    ledger.write(entry("request-0"))
    store.reached.wait()
    put(ledger, named(25)[1:])
    assert (ledger.lag, ledger.dropped) == (11, 14)
    store.go.set()
    await ledger.close()


async def test_an_entry_that_cannot_be_booked_stops_no_other(url: str) -> None:
    ledger = LedgerWriter(Store(url))
    put(ledger, [*named(1), "nonsense", *named(2)[1:]])
    await ledger.close()
    assert booked(url) == ["request-0", "request-1"]
    assert ledger.dropped == 1


async def test_closing_gives_up_in_the_end(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CLOSE_SECONDS", 0.05)
    ledger = LedgerWriter(Failing(url, 1_000_000))
    put(ledger, named(3))
    await ledger.close()
    assert ledger.lag == 3


async def test_after_closing_entries_are_counted_as_dropped(url: str) -> None:
    ledger = LedgerWriter(Store(url))
    await ledger.close()
    ledger.write(entry())
    await ledger.close()
    assert ledger.dropped == 1


async def test_complaints_are_few(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    complaints: list[str] = []
    monkeypatch.setattr(writer._log, "error", lambda what, **facts: complaints.append(what), raising=False)
    store = Failing(url, 50)
    ledger = LedgerWriter(store)
    put(ledger, named(3))
    until(lambda: ledger.lag == 0)
    await ledger.close()
    assert complaints == ["the database takes no entries; they are kept and tried again"]


@contextmanager
def limited(pages: list[int]) -> Iterator[None]:
    """Let no SQLite database have more pages than the list says: a real full disk, as SQLite sees it."""

    def limit(connection: Any, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages[0]}")

    event.listen(Engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(Engine, "connect", limit)


async def test_a_full_disk_loses_nothing_once_there_is_room(url: str) -> None:
    migrate(url)
    pages = [60]
    with limited(pages):
        ledger = LedgerWriter(Store(url))
        put(ledger, named(2000))
        until(lambda: ledger._pause > 0)
        assert ledger.lag > 0
        pages[0] = 1_000_000
        await ledger.close()
    assert booked(url) == [f"request-{n}" for n in range(2000)]


def mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a few thousand entries."""
    if not mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", str(tmp_path)):
        pytest.skip("mounting a small file system needs the rights of root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


async def test_a_file_system_that_is_full(small: Path) -> None:
    ledger = LedgerWriter(Store(url_of(small)))
    put(ledger, named(5000))
    until(lambda: ledger._pause > 0)
    assert mount("-o", "remount,size=64m", str(small))
    await ledger.close()
    assert booked(url_of(small)) == [f"request-{n}" for n in range(5000)]


LOCKING = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of a database in another process."""
    command = [sys.executable, "-c", LOCKING, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield
        other.communicate()


async def test_another_process_that_locks_the_database(url: str, tmp_path: Path) -> None:
    migrate(url)
    ledger = LedgerWriter(Store(url))
    with locked(tmp_path / "ledger.sqlite"):
        put(ledger, named(5))
        until(lambda: ledger._pause > 0)
        assert ledger.lag == 5
    await ledger.close()
    assert booked(url) == [f"request-{n}" for n in range(5)]


def remove(url: str) -> None:
    file = sqlite_file(url)
    assert file is not None
    for each in file.parent.glob("ledger.sqlite*"):
        each.unlink()


async def test_a_database_that_is_deleted_is_made_again(url: str) -> None:
    ledger = LedgerWriter(Store(url))
    ledger.write(entry("gone"))
    until(lambda: ledger.lag == 0)
    remove(url)
    put(ledger, named(3))
    await ledger.close()
    assert booked(url) == ["request-0", "request-1", "request-2"]


async def test_a_folder_that_goes_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    ledger = LedgerWriter(Store(url_of(folder)))
    first, second = named(2)
    ledger.write(first)
    until(lambda: ledger.lag == 0)
    folder.rename(tmp_path / "elsewhere")
    folder.touch()
    ledger.write(second)
    until(lambda: ledger._pause > 0)
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    await ledger.close()
    assert booked(url_of(folder)) == ["request-0", "request-1"]
