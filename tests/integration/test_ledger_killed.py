"""Would catch a ledger that a killed process leaves broken, or that forgets what it had said was written."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tandem.ledger import queries
from tandem.ledger.schema import reading
from tests.fakes.entries import url_of

WRITING = """
import sys, time
from itertools import count
from tandem.ledger.opening import open_ledger
from tests.fakes.entries import Tokens, entry

ledger = open_ledger(sys.argv[1])
for number in count():
    ledger.write(entry(f"request-{number}", [Tokens(), Tokens()]))
    if number % 50 == 0:
        while ledger.lag:
            time.sleep(0.001)
        print(number, flush=True)
"""
ROUNDS = 5


def test_a_killed_process_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITING, url_of(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        committed = [int(process.stdout.readline()) for _ in range(ROUNDS)][-1]
        process.send_signal(signal.SIGKILL)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with reading(url_of(tmp_path)) as connection:
        found = queries.newest(connection, queries.Which(), 1_000_000)
    numbers = sorted(int(each["request_id"].removeprefix("request-")) for each in found)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > committed
    assert {each["attempts"] for each in found} == {2}
