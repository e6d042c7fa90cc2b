"""Would catch: metadata that is lost from hop to hop, a broken value that is believed, a deadline beyond the most."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import cast

import grpc.aio
import pytest

from tandem.call import Call
from tandem.errors import InvalidRequest, UnknownApiKey
from tandem.serving.authentication import Authenticator
from tandem.serving.context import DeadlineRule, anonymous_call, read_call, write_metadata
from tandem.serving.keys import digest
from tandem.telemetry.trace import Begin, Sampling
from tests.fakes.calls import call

RULE = DeadlineRule(default_seconds=30, max_seconds=60)


class FakeContext:
    """What `read_call` reads of an RPC."""

    def __init__(
        self, metadata: Sequence[tuple[str, str | bytes]] = (), remaining: float | None = None
    ) -> None:
        self._metadata = metadata
        self._remaining = remaining

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return self._metadata

    def time_remaining(self) -> float | None:
        return self._remaining


def read(
    *metadata: tuple[str, str | bytes],
    remaining: float | None = None,
    authenticator: Authenticator | None = None,
    begin: Begin | None = None,
) -> Call:
    context = cast("grpc.aio.ServicerContext[object, object]", FakeContext(metadata, remaining))
    return read_call(context, RULE, authenticator, begin)


async def test_without_metadata() -> None:
    found = read()
    assert (found.tenant, found.retries_left, found.traceparent, found.tracestate) == (
        "anonymous",
        None,
        "",
        "",
    )
    assert 1 <= len(found.request_id) <= 64
    assert read().request_id != found.request_id


@pytest.mark.parametrize(
    ("remaining", "seconds"),
    # gRPC's core rounds up what it sends: to 1 ms, 1 s and more to 10 ms, 10 s to 100 ms, 100 s to 1 s.
    [
        (None, 30),
        (0.001, 0),
        (0.999, 0.998),
        (1, 0.99),
        (5, 4.99),
        (10, 9.9),
        (60, 59.9),
        (61, 60),
        (1e9, 60),
    ],
)
async def test_deadline(remaining: float | None, seconds: float) -> None:
    found = read(remaining=remaining)
    assert found.deadline - found.started == pytest.approx(seconds)
    assert found.started == pytest.approx(time.monotonic(), abs=1)


@pytest.mark.parametrize("key", ["tandem-tenant", "tandem-request-id"])
@pytest.mark.parametrize("value", ["a", "A-z_0.9", "x" * 64])
async def test_a_good_name(key: str, value: str) -> None:
    found = read((key, value))
    assert value in {found.tenant, found.request_id}


@pytest.mark.parametrize("key", ["tandem-tenant", "tandem-request-id"])
@pytest.mark.parametrize("value", ["", "x" * 65, "a b", "a/b", "a\n", "é", "a;drop"])
async def test_a_bad_name(key: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 64 characters") as caught:
        read((key, value))
    assert [v.field for v in caught.value.details.violations] == [key]


@pytest.mark.parametrize(("value", "retries"), [("0", 0), ("1", 1), ("8", 8)])
async def test_good_retries(value: str, retries: int) -> None:
    assert read(("tandem-retries-left", value)).retries_left == retries


@pytest.mark.parametrize("value", ["", "-1", "9", "10", "100", "1.5", "one", " 1", "+1"])
async def test_bad_retries(value: str) -> None:
    with pytest.raises(InvalidRequest, match="from 0 to 8") as caught:
        read(("tandem-retries-left", value))
    assert [v.field for v in caught.value.details.violations] == ["tandem-retries-left"]


async def test_what_is_not_text_is_left_alone() -> None:
    assert read(("tandem-tenant", b"\xff"), ("other-bin", b"\xff")).tenant == "anonymous"


@pytest.mark.parametrize(
    "sent",
    [
        Call("nobody", 1e9, 0),
        Call("one", 1e9, 0, "shop", 0),
        Call("two", 1e9, 0, "t", 3, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1"),
    ],
)
async def test_everything_reaches_the_next_hop(sent: Call) -> None:
    found = read(*write_metadata(sent))
    for name in ("request_id", "tenant", "retries_left", "traceparent", "tracestate"):
        assert getattr(found, name) == getattr(sent, name)


@pytest.mark.parametrize(
    ("traceparent", "passed_on"),
    [("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1"), ("broken", "")],
)
async def test_where_a_trace_begins_anew_the_state_of_the_broken_one_ends(
    traceparent: str, passed_on: str
) -> None:
    found = read(
        ("traceparent", traceparent),
        ("tracestate", "vendor=1"),
        begin=partial(Sampling().begin, begins=True),
    )
    assert found.traceparent != traceparent
    assert found.tracestate == passed_on


@pytest.mark.parametrize("traceparent", ["broken", f'00-"{31 * "x"}-b7ad6b7169203331-01', "01"])
async def test_a_context_that_is_none_is_not_passed_on(traceparent: str) -> None:
    found = read(("traceparent", traceparent), ("tracestate", "vendor=1"))
    assert (found.traceparent, found.tracestate) == ("", "")


async def test_nothing_is_sent_that_is_not_known() -> None:
    assert {key for key, _ in write_metadata(call())} == {"tandem-request-id", "tandem-tenant"}


async def test_a_request_whose_metadata_is_broken_has_a_name_all_the_same() -> None:
    found = anonymous_call(RULE)
    assert found.request_id
    assert found.deadline - found.started == 30


# --- where there are API keys

KEYS = Authenticator({digest("sesame"): "shop"})
SESAME = ("authorization", "Bearer sesame")


async def test_the_key_says_who_the_tenant_is() -> None:
    assert read(SESAME, authenticator=KEYS).tenant == "shop"
    assert read(SESAME, ("tandem-tenant", "shop"), authenticator=KEYS).tenant == "shop"


@pytest.mark.parametrize("claimed", ["bank", "anonymous", "", "shop ", "Shop"])
async def test_nobody_asks_in_the_name_of_another_tenant(claimed: str) -> None:
    with pytest.raises(InvalidRequest, match="another tenant than the API key") as caught:
        read(SESAME, ("tandem-tenant", claimed), authenticator=KEYS)
    assert [v.field for v in caught.value.details.violations] == ["tandem-tenant"]
    assert "sesame" not in str(caught.value)


async def test_a_name_is_no_key() -> None:
    with pytest.raises(UnknownApiKey):
        read(("tandem-tenant", "shop"), authenticator=KEYS)


async def test_who_has_no_key_learns_nothing_else() -> None:
    with pytest.raises(UnknownApiKey):
        read(("tandem-request-id", "a b"), ("tandem-retries-left", "9"), authenticator=KEYS)


async def test_the_key_goes_no_further() -> None:
    assert "sesame" not in str(write_metadata(read(SESAME, authenticator=KEYS)))


async def test_without_keys_what_is_sent_as_one_does_not_matter() -> None:
    assert read(SESAME).tenant == "anonymous"
    assert read(SESAME, ("tandem-tenant", "bank")).tenant == "bank"
