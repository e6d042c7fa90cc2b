"""Would catch metrics that are not served, or no longer after garbage, silence or too many questions.

Also the wrong form, the wrong path, and numbers that are read outside of the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from prometheus_client.registry import Collector

from tandem.serving import exposition
from tandem.serving.exposition import AT_ONCE, Metrics, exposed
from tandem.serving.server import StartError

ANYWHERE = "127.0.0.1:0"


class Level(Collector):
    """Tells a number, and remembers which thread asked."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.failure: Exception | None = None

    def collect(self) -> Iterator[Family]:
        self.threads.append(threading.current_thread())
        if self.failure:
            raise self.failure
        yield GaugeMetricFamily("tandem_level", "A level.", value=7.0)


async def get(metrics: Metrics, path: str = "/metrics", **headers: str) -> tuple[int, str, bytes]:
    """Return status, content type and body."""

    def ask() -> tuple[int, str, bytes]:
        request = urllib.request.Request(f"http://{metrics.address}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read()

    return await asyncio.to_thread(ask)


async def test_numbers_are_told_in_the_form_that_is_asked_for() -> None:
    level = Level()
    async with exposed(ANYWHERE) as metrics:
        assert metrics
        metrics.add(level)
        status, form, body = await get(metrics)
        assert status == 200
        assert form.startswith("text/plain")
        families = {family.name: family for family in parse(body.decode())}
        assert families["tandem_level"].samples[0].value == 7.0
        assert families["process_resident_memory_bytes"].samples[0].value > 1e6
        assert families["tandem_build_info"].samples[0].labels["version"]

        accept = "application/openmetrics-text; version=1.0.0"
        status, form, body = await get(metrics, Accept=accept)
        assert form.startswith("application/openmetrics-text")
        assert "tandem_level" in {family.name for family in parse_openmetrics(body.decode())}


async def test_numbers_are_read_in_the_event_loop() -> None:
    level = Level()
    async with exposed(ANYWHERE) as metrics:
        assert metrics
        metrics.add(level)
        await get(metrics)
    assert level.threads == [threading.current_thread()]


async def test_other_paths_and_methods_get_nothing() -> None:
    async with exposed(ANYWHERE) as metrics:
        assert metrics
        assert (await get(metrics, "/"))[0] == 404
        assert (await get(metrics, "/metrics/../etc"))[0] == 404


async def test_no_address_means_no_metrics() -> None:
    async with exposed("") as metrics:
        assert metrics is None


async def test_what_cannot_be_read_is_a_503_and_the_next_scrape_works() -> None:
    level = Level()
    async with exposed(ANYWHERE) as metrics:
        assert metrics
        metrics.add(level)
        level.failure = ValueError("broken")
        assert (await get(metrics))[0] == 503
        level.failure = None
        assert (await get(metrics))[0] == 200


@pytest.mark.parametrize(
    "garbage", [b"\x00\xff\xfe" * 100, b"GET\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"A" * 100_000, b""]
)
async def test_garbage_stops_nobody(garbage: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    async with exposed(ANYWHERE) as metrics:
        assert metrics
        host, _, port = metrics.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(garbage)
            await writer.drain()
            writer.write_eof()
            await reader.read()
        except OSError:
            pass  # the server had enough of it
        writer.close()
        assert (await get(metrics))[0] == 200
    assert "Traceback" not in capfd.readouterr().err


async def served(metrics: Metrics) -> None:
    """Return when a place is free again."""
    status, end = 0, time.monotonic() + 20.0
    while status != 200:
        assert time.monotonic() < end
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, _, _ = await get(metrics)
        await asyncio.sleep(0.05)


async def test_who_says_nothing_keeps_a_place_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition._Handler, "timeout", 0.5)
    async with exposed(ANYWHERE) as metrics:
        assert metrics
        host, _, port = metrics.address.rpartition(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(AT_ONCE + 2)]
        # Those beyond the most that are served are closed at once.
        for extra in silent[AT_ONCE:]:
            extra.settimeout(5)
            assert await asyncio.to_thread(extra.recv, 1) == b""
        await served(metrics)
        for each in silent:
            each.close()


async def test_who_says_little_keeps_a_place_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "MOST_SECONDS", 1.0)
    async with exposed(ANYWHERE) as metrics:
        assert metrics
        host, _, port = metrics.address.rpartition(":")

        async def say_little() -> None:
            """Send a byte now and then until the server has enough of it."""
            reader, writer = await asyncio.open_connection(host, int(port))
            ended = asyncio.create_task(reader.read())
            while not ended.done():
                writer.write(b"G")
                await asyncio.sleep(0.1)
            writer.transport.abort()
            await asyncio.gather(ended, return_exceptions=True)

        async with asyncio.timeout(20):
            await asyncio.gather(*(say_little() for _ in range(AT_ONCE)))
        await served(metrics)


async def test_an_address_that_is_taken_or_none_ends_the_start() -> None:
    async with exposed(ANYWHERE) as metrics:
        assert metrics
        with pytest.raises(StartError, match=f"cannot serve metrics on {metrics.address}: .*choose another"):
            async with exposed(metrics.address):
                pass
    for address in ("nowhere", "127.0.0.1:port", "127.0.0.1:70000"):
        with pytest.raises(StartError, match="choose another address"):
            async with exposed(address):
                pass
