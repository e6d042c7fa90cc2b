"""Would catch figures that are not the sums of the replicas, rates that a restart or a gap spoils, and a dead end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tandem.cli.app import app
from tandem.cli.top_figures import Figures, figures
from tandem.cli.top_scrape import Replicas, address_of, parse, quantile

Values = Mapping[str, float]


def text(values: Values, started: float = 0.0) -> str:
    """Return samples in Prometheus's format."""
    return "".join(f"{sample} {value}\n" for sample, value in [*values.items(), (STARTED, started)])


STARTED = "process_start_time_seconds"
FIRST = {
    'tandem_requests_total{method="Generate",tier="r1",strategy="route",outcome="answered"}': 80,
    'tandem_requests_total{method="Generate",tier="pro",strategy="route",outcome="degraded"}': 15,
    'tandem_requests_total{method="Generate",tier="pro",strategy="route",outcome="late"}': 3,
    'tandem_requests_total{method="Generate",tier="pro",strategy="route",outcome="failed"}': 2,
    'tandem_requests_total{method="Generate",tier="none",strategy="none",outcome="cancelled"}': 50,
    'tandem_concurrency_limit{tier="r1",variant="int8"}': 16,
    'tandem_concurrency_limit_max{tier="r1",variant="int8"}': 32,
    'tandem_in_flight{tier="r1",variant="int8"}': 4,
    'tandem_queued{tier="r1",variant="int8"}': 1,
    'tandem_breaker_state{tier="r1",variant="int8",state="closed"}': 1,
    'tandem_breaker_state{tier="r1",variant="int8",state="open"}': 0,
    'tandem_attempts_total{tier="r1",variant="int8",purpose="primary",outcome="answered"}': 90,
    'tandem_attempts_total{tier="r1",variant="int8",purpose="primary",outcome="timeout"}': 10,
    'tandem_attempt_time_to_first_token_seconds_bucket{tier="r1",variant="int8",le="0.1"}': 50,
    'tandem_attempt_time_to_first_token_seconds_bucket{tier="r1",variant="int8",le="0.3"}': 100,
    'tandem_attempt_time_to_first_token_seconds_bucket{tier="r1",variant="int8",le="+Inf"}': 100,
    'tandem_tokens_total{tier="r1",variant="int8",purpose="primary",direction="output"}': 3_000,
    'tandem_cost_usd_total{tier="r1",variant="int8",purpose="primary"}': 0.5,
    'tandem_degradations_total{reason="timeout",from_tier="pro",to_tier="r1"}': 15,
    'tandem_policy_info{revision="p1"}': 1,
    "tandem_share_ratio": 0.2,
    "tandem_share_target_ratio": 0.3,
    'tandem_routing_threshold_ratio{kind="configured"}': 0.5,
    'tandem_routing_threshold_ratio{kind="live"}': 0.6,
    "tandem_ledger_lag_entries": 7,
    "tandem_ledger_dropped_total": 0,
}


def grown(values: Values, factor: float) -> dict[str, float]:
    """Return what the same replica says when all its counters have grown."""
    counters = ("_total", "_bucket")
    return {
        name: value * factor if name.split("{")[0].endswith(counters) else value
        for name, value in values.items()
    }


class Watched(Replicas):
    """Replicas that say what a test lets them, at the moment that it names."""

    def look(self, at: float, *texts: str | None) -> Figures:
        """Let every replica say a text, or nothing, and return the figures."""
        for replica, said in zip(self.all, texts, strict=True):
            if said is None:
                replica.missed("connection refused")
            else:
                replica.heard(parse(said, at))
        return figures(self)


def test_the_first_look_tells_the_rates_since_the_start() -> None:
    found = Watched(["a:1"]).look(1_100.0, text(FIRST, started=1_000.0))
    assert found.since_start
    requests, (model,) = found.requests, found.models
    assert (requests.count, requests.per_second) == (150, 1.5)
    assert requests.by_outcome == {"answered": 80, "cancelled": 50, "degraded": 15, "failed": 2, "late": 3}
    assert requests.in_time_ratio == pytest.approx(95 / 100)
    assert requests.degraded_ratio == pytest.approx(15 / 98)
    assert requests.cost_nano_usd == 500_000_000
    assert requests.usd_per_hour == pytest.approx(18.0)
    assert (requests.output_tokens, requests.output_tokens_per_second) == (3_000, 30.0)
    assert (model.tier, model.variant, model.breaker) == ("r1", "int8", "closed")
    assert (model.in_flight, model.queued, model.limit, model.limit_max) == (4, 1, 16, 32)
    assert model.attempts_per_second == 1.0
    assert model.failed_per_second == pytest.approx(0.1)
    # Half of them took less than 100 ms; the other half are spread over 100 to 300.
    assert model.ttft_p50_ms == pytest.approx(100.0)
    assert model.ttft_p95_ms == pytest.approx(280.0)
    assert model.tpot_p50_ms is None
    assert found.share.measured == {"pro": pytest.approx(18 / 98), "r1": pytest.approx(80 / 98)}
    assert (found.share.strong, found.share.target, found.share.threshold) == (0.2, 0.3, 0.6)
    (degradation,) = found.degradations
    assert (degradation.reason, degradation.count, degradation.per_minute) == ("timeout", 15, 9.0)
    assert (found.ledger_lag, found.ledger_dropped, found.policies) == (7, 0, ["p1"])


def test_replicas_are_added_up_and_rates_are_those_between_two_looks() -> None:
    watched = Watched(["a:1", "b:1"])
    watched.look(1_000.0, text(FIRST), text(grown(FIRST, 2.0)))
    sick = {**grown(FIRST, 2.0), 'tandem_breaker_state{tier="r1",variant="int8",state="open"}': 1}
    found = watched.look(1_010.0, text(grown(FIRST, 1.5)), text(sick))
    assert not found.since_start
    assert found.requests.count == 225 + 300
    # Only the first has had any in these ten seconds.
    assert found.requests.per_second == pytest.approx(7.5)
    assert found.requests.usd_per_hour == pytest.approx(0.25 / 10 * 3600)
    assert (found.models[0].in_flight, found.models[0].limit, found.models[0].breaker) == (8, 32, "open")
    assert found.share.strong == pytest.approx(0.2)
    assert found.ledger_lag == 14


def test_a_replica_that_goes_away_and_comes_back() -> None:
    watched = Watched(["a:1", "b:1"])
    watched.look(1_000.0, text(FIRST), text(FIRST))
    alone = watched.look(1_010.0, text(grown(FIRST, 2.0)), None)
    assert (len(watched.up), watched.all[1].error) == (1, "connection refused")
    assert (alone.requests.count, alone.requests.per_second) == (300, 15.0)
    # Its rate is that since it was last heard.
    back = watched.look(1_020.0, text(grown(FIRST, 2.0)), text(grown(FIRST, 3.0)))
    assert back.requests.count == 750
    assert back.requests.per_second == pytest.approx(300 / 20)
    nobody = watched.look(1_030.0, None, None)
    assert (nobody.requests.count, nobody.models, nobody.requests.in_time_ratio) == (0, [], None)


def test_a_replica_that_was_started_again_counts_from_there() -> None:
    watched = Watched(["a:1"])
    watched.look(1_000.0, text(grown(FIRST, 10.0), started=500.0))
    found = watched.look(1_015.0, text(FIRST, started=1_005.0))
    assert (found.requests.count, found.requests.per_second) == (150, 15.0)


def test_an_orchestrator_without_a_target_has_the_configured_threshold() -> None:
    values = {'tandem_routing_threshold_ratio{kind="configured"}': 0.5}
    found = Watched(["a:1", "b:1"]).look(1_000.0, text(values), text(values)).share
    assert (found.strong, found.target, found.threshold, found.configured_threshold) == (
        None,
        None,
        None,
        0.5,
    )


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("host:9090", "http://host:9090/metrics"),
        ("http://host:9090", "http://host:9090/metrics"),
        ("http://host:9090/", "http://host:9090/metrics"),
        ("https://host/tandem/metrics", "https://host/tandem/metrics"),
        ("[::1]:9090", "http://[::1]:9090/metrics"),
    ],
)
def test_addresses(url: str, full: str) -> None:
    assert address_of(url) == full


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/metrics", "", "http://", "host:0", "host:99999"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"metrics address|[Pp]ort"):
        address_of(url)
    assert run("--metrics", url, "--once").exit_code == 2


@given(st.lists(st.floats(0.0, 9.9), min_size=1, max_size=50), st.floats(0.0, 1.0))
def test_a_quantile_is_in_the_bucket_where_it_belongs(observed: list[float], part: float) -> None:
    bounds = [1.0, 2.0, 5.0, 10.0]
    buckets = {bound: float(sum(each <= bound for each in observed)) for bound in [*bounds, float("inf")]}
    found = quantile(part, buckets)
    assert found is not None
    # At least this part keeps below the bound above it, and not more than this part below the bound beneath it.
    above = min(bound for bound in bounds if bound >= found)
    below = max([0.0, *(bound for bound in bounds if bound < found)])
    assert buckets[above] >= part * len(observed) - 1e-9
    assert buckets.get(below, 0.0) <= part * len(observed) + 1e-9


def test_quantiles_without_observations_and_above_all_bounds() -> None:
    assert quantile(0.5, {}) is None
    assert quantile(0.5, {1.0: 0.0, float("inf"): 0.0}) is None
    assert quantile(0.9, {1.0: 1.0, float("inf"): 10.0}) == 1.0


# --- the command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["top", *arguments])


@contextmanager
def serving(said: str) -> Iterator[str]:
    """Serve a text at an address while the context is open."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_one_look_as_json_and_as_a_screen() -> None:
    with serving(text(FIRST)) as address:
        options = ("--metrics", address, "--metrics", "127.0.0.1:1", "--once")
        as_json, screen = run(*options, "--json"), run(*options)
    found = json.loads(as_json.stdout)
    assert (as_json.exit_code, screen.exit_code) == (0, 0)
    assert [replica["up"] for replica in found["replicas"]] == [True, False]
    assert (found["requests"]["count"], found["models"][0]["variant"]) == (150, "int8")
    assert "http://127.0.0.1:1/metrics does not answer" in as_json.stderr
    for words in (
        "1 of 2 orchestrators",
        "http://127.0.0.1:1/metrics is away",
        "r1/int8",
        "timeout pro → r1",
    ):
        assert words in screen.stdout


@pytest.mark.parametrize("said", [None, "<html>no metrics</html>", "tandem_in_flight{ 3\n"])
def test_nobody_answers(said: str | None) -> None:
    if said is None:
        result = run("--metrics", "127.0.0.1:1", "--once", "--json")
    else:
        with serving(said) as address:
            result = run("--metrics", address, "--once", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["replicas"][0]["up"] is False
    assert "does not answer: " in result.stderr
    assert "tandem up --metrics" in result.stderr
