"""Would catch books that differ and pass, or agree and fail."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tandem.ledger.checking import (
    Comparison,
    MetricsUnreadable,
    compare,
    fetch_counts,
    parse_counts,
)
from tandem.ledger.queries import ModelTokens

TRITON = """\
# HELP nv_inference_count Number of inferences performed
nv_inference_count{model="r1",version="1"} 7
# TYPE tandem_engine_output_tokens_total counter
tandem_engine_output_tokens_total{model="r1",version="1"} 200.000000
tandem_engine_input_tokens_total{version="1",model="r1"} 1.5e+03
tandem_engine_requests_total{model="r1",version="1"} 9
vllm:prompt_tokens_total{model="pro",version="1"} 40
vllm:generation_tokens_total{model="pro",version="1"} 50
vllm:generation_tokens_total{model="pro",version="2"} 5
"""
COUNTS = {("r1", "output"): 200, ("r1", "input"): 1500, ("pro", "input"): 40, ("pro", "output"): 55}


class Metrics(BaseHTTPRequestHandler):
    """Answers as Triton's metrics address does; elsewhere with metrics of something else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(TRITON.encode() if self.path == "/metrics" else b"up 1\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base has it
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_counters_of_both_kinds_of_engine_are_read() -> None:
    assert parse_counts(TRITON) == COUNTS


def test_several_endpoints_add_up(address: str) -> None:
    counts = fetch_counts([f"{address}/metrics"] * 2)
    assert counts == {key: 2 * count for key, count in COUNTS.items()}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("{address}/other", "has no counters of tokens"),
        ("http://127.0.0.1:1/metrics", "Connection refused"),
        ("metrics", "cannot read metrics"),
        ("http://127.0.0.1:x/metrics", "cannot read http"),
    ],
)
def test_endpoints_that_cannot_be_used(address: str, url: str, message: str) -> None:
    with pytest.raises(MetricsUnreadable, match=message):
        fetch_counts([url.format(address=address)])


def test_every_model_that_either_knows_is_compared() -> None:
    compared = compare({"r1": ModelTokens(1500, 199, 2), "lost": ModelTokens(1, 0)}, COUNTS)
    assert compared == [
        Comparison("lost", "input", 1, 0, 0),
        Comparison("lost", "output", 0, 0, 0),
        Comparison("pro", "input", 0, 40, 0),
        Comparison("pro", "output", 0, 55, 0),
        Comparison("r1", "input", 1500, 1500, 2),
        Comparison("r1", "output", 199, 200, 2),
    ]


@pytest.mark.parametrize(
    ("ledger", "engine", "difference", "within"),
    [
        (1000, 1000, 0.0, True),
        (1001, 1000, 0.1, True),
        (999, 1000, -0.1, True),
        (1002, 1000, 0.2, False),
        (0, 0, 0.0, True),
        (1, 0, None, False),
        (0, 1000, -100.0, False),
    ],
)
def test_differences(ledger: int, engine: int, difference: float | None, within: bool) -> None:
    comparison = Comparison("r1", "output", ledger, engine, 0)
    assert comparison.difference_percent == difference
    assert comparison.within(0.1) is within
