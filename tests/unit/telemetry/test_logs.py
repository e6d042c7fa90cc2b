"""Would catch a log that fills up with the same line, loses a request's, keeps its level, or fails a request."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from tandem.telemetry import logs
from tandem.telemetry.logs import MOST_REPEATS, WINDOW_SECONDS, configure, is_written, logger, set_trace_id


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    yield
    configure("console", "info")  # the level is that of the process
    structlog.reset_defaults()
    signal.signal(signal.SIGUSR1, before)
    set_trace_id("")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_repetitions_are_counted_and_not_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    time = [100.0]
    monkeypatch.setattr(logs, "monotonic", lambda: time[0])
    configure("json", "info")
    log = logger("somebody")
    for _ in range(MOST_REPEATS + 7):
        log.warning("again", number=1)
    log.warning("another")
    time[0] += WINDOW_SECONDS
    log.warning("again")

    written = lines(capsys)
    assert [line["event"] for line in written] == ["again"] * MOST_REPEATS + ["another", "again"]
    assert [line.get("left_out") for line in written[-2:]] == [None, 7]


def test_a_request_always_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    for _ in range(3 * MOST_REPEATS):
        logger("edge").info("request", code="OK")
    assert len(lines(capsys)) == 3 * MOST_REPEATS


def test_a_line_has_the_trace_of_its_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    logger("one").info("before")
    set_trace_id("0af7651916cd43dd8448eb211c80319c")
    logger("one").info("within")
    assert [line.get("trace_id") for line in lines(capsys)] == [None, "0af7651916cd43dd8448eb211c80319c"]


def test_a_signal_switches_to_debug_and_back(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "warning")
    log = logger("somebody")
    for word in ("one", "two", "three"):
        log.debug(word)
        log.error(word)
        os.kill(os.getpid(), signal.SIGUSR1)
    told = [(line["level"], line["event"]) for line in lines(capsys) if line["component"] == "somebody"]
    assert told == [("error", "one"), ("debug", "two"), ("error", "two"), ("error", "three")]


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_only_what_is_severe_enough_is_written(
    capsys: pytest.CaptureFixture[str], level: logs.LogLevel, count: int
) -> None:
    configure("json", level)
    levels: tuple[logs.LogLevel, ...] = ("debug", "info", "warning", "error")
    for name in levels:
        getattr(logger("somebody"), name)("said")
    assert len(lines(capsys)) == count
    assert [is_written(name) for name in levels] == [False] * (4 - count) + [True] * count


def without_reader() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("sink", [without_reader, full_disk])
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_that_cannot_be_written_fails_nobody(
    sink: Callable[[], int], form: logs.LogFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = os.fdopen(sink(), "w", encoding="utf-8", buffering=1)
    with pytest.raises(OSError, match=r"Broken pipe|No space"):
        stream.write("that this fails is sure\n")
    monkeypatch.setattr(sys, "stderr", stream)
    configure(form, "info")
    for number in range(3000):
        logger("edge").info("request", number=number)
    monkeypatch.undo()
    with contextlib.suppress(OSError):
        stream.close()
