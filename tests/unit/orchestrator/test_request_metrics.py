"""Would catch a request or an attempt that is not counted, or twice, or under a wrong outcome.

Also tokens and money that differ from what was booked, and a tenant too many.
"""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from tandem.errors import TABLE, BackendError, BackendUnavailable, OutOfMemory
from tandem.orchestrator.budgets import Verdict
from tandem.orchestrator.course import Course
from tandem.orchestrator.ended import Ended
from tandem.orchestrator.live_metrics import LiveMetrics
from tandem.orchestrator.request_metrics import MOST_TENANTS, REFUSED, RequestMetrics
from tandem.telemetry.measures import OTHER
from tandem.telemetry.trace import Trace
from tandem.v1 import types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue
from tests.fakes.inference import HANG, Step, saying, text
from tests.fakes.orchestrators import FakeLedger
from tests.fakes.services import signals
from tests.fakes.told import Told, told
from tests.fakes.world import World

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def measured(world: World, tenants: tuple[str, ...] = ()) -> RequestMetrics:
    metrics = RequestMetrics(tenants)
    world.orchestrator._bookkeeper.watch(metrics)
    return metrics


def ended(tenant: str = "anonymous", reason: str = "", *, duration_ms: float = 100.0) -> Ended:
    answer = types_pb2.Answer(duration_ms=duration_ms)
    if not reason:
        answer.answered_by.tier, answer.answered_by.variant = "r1", "fp16"
    return Ended(
        answer, call(10.0, tenant=tenant), "Generate", Verdict(tenant), catalogue(), reason, (), Course()
    )


def outcomes_of(found: Told) -> set[str]:
    return {labels["outcome"] for labels, number in found.samples["tandem_requests_total"] if number}


@pytest.mark.virtual_time
async def test_an_answer_is_counted_with_all_that_is_known_of_it() -> None:
    world = World(saying("be", "cause", "!"))
    metrics = measured(world)
    answer = await world.ask(tenant="shop")
    found = told(metrics)
    assert found.of("tandem_requests_total") == {
        f"method=Generate outcome={how} strategy=route tier=r1 variant=fp16": number
        for how, number in (("answered", 1), ("failed", 0), ("late", 0))
    }
    assert found.of("tandem_attempts_total") == {"outcome=answered purpose=primary tier=r1 variant=fp16": 1}
    assert found.of("tandem_tokens_total") == {
        "direction=input purpose=primary tier=r1 variant=fp16": 5,
        "direction=output purpose=primary tier=r1 variant=fp16": 3,
    }
    assert found.of("tandem_cost_usd_total") == {
        "purpose=primary tier=r1 variant=fp16": pytest.approx((5 * 100 + 3 * 300) / 1e9)
    }
    assert found.of("tandem_tenant_tokens_total") == {
        "direction=input tenant=shop": 5,
        "direction=output tenant=shop": 3,
    }
    assert found.of("tandem_tenant_requests_total") == {"outcome=answered tenant=shop": 1}
    assert found.of("tandem_cache_requests_total") == {"outcome=miss": 1}
    assert found.of("tandem_signal_r1_suffices_ratio_sum") == {"": pytest.approx(signals().r1_suffices.value)}
    assert found.of("tandem_request_duration_seconds_sum") == {
        "outcome=answered strategy=route tier=r1": pytest.approx(answer.duration_ms / 1000)
    }
    assert found.of("tandem_phase_duration_seconds_count") == {
        f"phase={phase}": 1 for phase in ("cache", "classify", "plan")
    }
    assert found.of("tandem_time_to_first_token_seconds_sum") == {
        "strategy=route tier=r1": pytest.approx(0.001)
    }
    # Three tokens, a millisecond each: two after the first, and the end comes a millisecond after the last.
    assert found.of("tandem_attempt_time_per_output_token_seconds_sum") == {
        "tier=r1 variant=fp16": pytest.approx(0.0015)
    }
    assert found.of("tandem_time_left_seconds_sum") == {
        "strategy=route tier=r1": pytest.approx(10 - answer.duration_ms / 1000)
    }
    model = (
        "gen_ai_operation_name=chat gen_ai_provider_name=triton gen_ai_request_model=r1 tier=r1 variant=fp16"
    )
    assert found.of("gen_ai_client_operation_time_to_first_chunk_seconds_sum") == {
        model: pytest.approx(0.001)
    }
    assert found.of("gen_ai_client_token_usage_sum") == {
        "gen_ai_operation_name=chat gen_ai_provider_name=triton gen_ai_request_model=r1 "
        f"gen_ai_token_type={direction} tier=r1 variant=fp16": tokens
        for direction, tokens in (("input", 5), ("output", 3))
    }


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("script", "outcomes", "attempts", "errors"),
    [
        (saying("yes"), {"answered"}, {"answered"}, {""}),
        ([OutOfMemory("full")], {"failed"}, {"out_of_memory"}, {"OUT_OF_MEMORY"}),
        (
            [BackendUnavailable("dead")],
            {"degraded"},
            {"unavailable", "answered"},
            {"BACKEND_UNAVAILABLE", ""},
        ),
        ([HANG], {"degraded"}, {"timeout", "answered"}, {"DEADLINE_EXCEEDED", ""}),
        ([BackendError("broken")], {"failed"}, {"failed"}, {"BACKEND_ERROR"}),
    ],
)
async def test_every_way_that_an_attempt_ends_is_counted(
    script: list[Step], outcomes: set[str], attempts: set[str], errors: set[str]
) -> None:
    world = World(script)
    metrics = measured(world)
    with_error = False
    try:
        await world.ask()
    except (OutOfMemory, BackendError):
        with_error = True
    await world.orchestrator._bookkeeper.drain()
    answer = world.ledger.entries[0].answer
    found = told(metrics)
    assert outcomes_of(found) == outcomes
    assert found.total("tandem_requests_total") == 1
    assert found.labels("tandem_attempts_total", "outcome") == attempts
    assert found.total("tandem_attempts_total") == len(answer.attempts)
    # As the spans have it, which the conventions want.
    assert found.labels("gen_ai_client_operation_duration_seconds_count", "error_type") == errors
    first = "gen_ai_client_operation_time_to_first_chunk_seconds_count"
    assert found.total(first) == found.total("tandem_attempt_time_to_first_token_seconds_count")
    assert found.total("tandem_degradations_total") == len(answer.degradations)
    assert found.total("tandem_request_errors_total") == with_error
    assert found.total("tandem_time_left_seconds_count") == (not with_error)
    assert found.total("tandem_deadline_miss_ratio") == with_error


@pytest.mark.virtual_time
async def test_a_takeover_in_the_middle_of_an_answer_is_a_seam() -> None:
    world = World([text("be"), BackendUnavailable("dead")])
    metrics = measured(world)
    events = await world.events()
    (seam,) = (event.seam for event in events if event.HasField("seam"))
    expected = f"from_tier=r1 reason=unavailable to_tier={seam.to_target.tier}"
    assert told(metrics).of("tandem_seams_total") == {expected: 1}


@pytest.mark.virtual_time
async def test_a_client_that_leaves_is_counted_as_one_that_left() -> None:
    world = World([text("be"), HANG])
    metrics = measured(world)
    asking = asyncio.create_task(world.ask())
    await world.r1.started.wait()
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await world.orchestrator._bookkeeper.drain()
    found = told(metrics)
    assert outcomes_of(found) == {"cancelled"}
    assert found.labels("tandem_attempts_total", "outcome") == {"cancelled"}
    assert found.of("tandem_request_errors_total") == {"reason=cancelled": 1}
    # It says nothing about whether the service answers in time.
    assert found.of("tandem_deadline_miss_ratio") == {}


@pytest.mark.parametrize("reason", sorted(reason for _, reason in TABLE.values()))
def test_every_reason_has_an_outcome(reason: str) -> None:
    metrics = RequestMetrics()
    metrics.ended(ended(reason=reason))
    found = told(metrics)
    expected = "cancelled" if reason == "CANCELLED" else "refused" if reason in REFUSED else "failed"
    assert outcomes_of(found) == {expected}
    assert found.of("tandem_request_errors_total") == {f"reason={reason.lower()}": 1}


def test_an_answer_behind_its_deadline_is_late() -> None:
    metrics = RequestMetrics()
    metrics.ended(ended(duration_ms=10_001.0))
    found = told(metrics)
    assert outcomes_of(found) == {"late"}
    assert found.of("tandem_time_left_seconds_sum") == {"strategy=none tier=r1": 0}
    assert found.of("tandem_deadline_miss_ratio") == {"tier=r1": 1}


@pytest.mark.virtual_time
async def test_an_answer_from_the_cache_takes_no_tokens() -> None:
    world = World()
    metrics = measured(world)
    asked = question()
    asked.sampling.temperature = 0.0
    await world.ask(asked)
    before = told(metrics)
    await world.ask(asked)
    after = told(metrics)
    assert after.of("tandem_cache_requests_total") == {"outcome=miss": 1, "outcome=hit": 1}
    assert after.total("tandem_requests_total") == 2
    live = LiveMetrics(world.orchestrator, FakeLedger(), Documents())
    assert told(live).of("tandem_cache_entries") == {"": 1}
    assert after.of("tandem_tokens_total") == before.of("tandem_tokens_total")
    assert after.of("tandem_attempts_total") == before.of("tandem_attempts_total")


@pytest.mark.virtual_time
async def test_attempts_that_several_requests_share_are_counted_once() -> None:
    world = World(saying("be", "cause"))
    metrics = measured(world)
    answers = await asyncio.gather(*(world.ask() for _ in range(3)))
    assert len({answer.text for answer in answers}) == 1
    found = told(metrics)
    assert found.total("tandem_requests_total") == 3
    assert found.total("tandem_attempts_total") == 1
    assert found.total("tandem_tokens_total") == found.total("tandem_tenant_tokens_total") == 5 + 2


@given(st.lists(st.text("abcdef0123456789", max_size=3), max_size=MOST_TENANTS + 100))
def test_there_are_never_more_tenants_than_can_be_told_apart(tenants: list[str]) -> None:
    metrics = RequestMetrics(["listed"])
    for tenant in [*tenants, "listed"]:
        metrics.ended(ended(tenant))
        metrics.settled(ended(tenant))
    found = told(metrics)
    names = found.labels("tandem_tenant_requests_total", "tenant")
    assert len(names - {OTHER}) <= MOST_TENANTS
    assert "listed" in names
    assert found.total("tandem_tenant_requests_total") == len(tenants) + 1


def test_the_two_hundred_and_first_tenant_is_other() -> None:
    metrics = RequestMetrics()
    for number in range(MOST_TENANTS + 3):
        metrics.ended(ended(f"tenant-{number}"))
    assert told(metrics).of("tandem_tenant_requests_total")["outcome=answered tenant=other"] == 3


def traces(metrics: RequestMetrics) -> dict[str, str]:
    registry = CollectorRegistry()
    registry.register(metrics)
    return {
        sample.name: sample.exemplar.labels["trace_id"]
        for family in parse(generate_latest(registry).decode())
        for sample in family.samples
        if sample.exemplar
    }


@pytest.mark.virtual_time
async def test_exemplars_carry_the_trace() -> None:
    world = World([BackendUnavailable("dead")])
    metrics = measured(world)
    await world.orchestrator.generate(question(), call()._replace(traceparent=TRACEPARENT))
    exemplars = traces(metrics)
    assert {
        "tandem_request_duration_seconds_bucket",
        "tandem_time_to_first_token_seconds_bucket",
        "tandem_time_left_seconds_bucket",
        "tandem_attempt_duration_seconds_bucket",
        "tandem_degradations_total",
    } <= set(exemplars)
    assert set(exemplars.values()) == {TRACEPARENT[3:35]}


@pytest.mark.virtual_time
@pytest.mark.parametrize("keep", ["", "degraded"])
async def test_exemplars_carry_the_trace_of_what_is_kept_unsampled(keep: str) -> None:
    world = World([BackendUnavailable("dead")])
    metrics = measured(world)
    trace = Trace(TRACEPARENT[3:35], "", sampled=False)
    await world.orchestrator.generate(
        question(), call()._replace(traceparent=trace.traceparent(), trace=trace)
    )
    trace.keep = keep
    assert set(traces(metrics).values()) == ({trace.trace_id} if keep else set())


class Documents:
    """What is followed."""

    error = ""


class LaggingLedger(FakeLedger):
    """Has numbers to tell."""

    lag, written, dropped, errors = 3, 40, 1, 2


@pytest.mark.virtual_time
async def test_the_state_of_now_is_told() -> None:
    target = {"share": 0.3}
    world = World([text("be"), HANG], routing__target=target)
    documents = Documents()
    live = LiveMetrics(world.orchestrator, LaggingLedger(), documents)
    asking = asyncio.create_task(world.ask())
    await world.r1.started.wait()
    found = told(live)
    assert found.of("tandem_in_flight") == {
        "tier=r1 variant=fp16": 1,
        "tier=r1 variant=int8": 0,
        "tier=pro variant=bf16": 0,
    }
    states = [name for name, value in found.of("tandem_breaker_state").items() if value]
    assert states == [
        f"state=closed {model}"
        for model in ("tier=r1 variant=fp16", "tier=r1 variant=int8", "tier=pro variant=bf16")
    ]
    assert found.of("tandem_concurrency_limit") == found.of("tandem_concurrency_limit_max")
    assert found.of("tandem_share_target_ratio") == {"": pytest.approx(0.3)}
    assert found.of("tandem_share_ratio") == {"": 0}
    assert found.of("tandem_routing_threshold_ratio")["kind=configured"] == 0.7
    assert 0 <= found.of("tandem_routing_threshold_ratio")["kind=live"] <= 1
    numbers = [found.total(f"tandem_ledger_{name}") for name in ("lag_entries", "written_total")]
    assert [
        *numbers,
        found.total("tandem_ledger_dropped_total"),
        found.total("tandem_ledger_errors_total"),
    ] == [
        3,
        40,
        1,
        2,
    ]
    revision = world.orchestrator.workshop.policy.revision
    assert found.of("tandem_policy_info") == {f"revision={revision}": 1}
    assert found.of("tandem_documents_refused") == {"": 0}
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    documents.error = "policy.yaml:3: no such tier"
    assert told(live).total("tandem_in_flight") == 0
    assert told(live).of("tandem_documents_refused") == {"": 1}


async def test_where_no_ledger_is_kept_nothing_is_told_of_it() -> None:
    found: Told = told(LiveMetrics(World().orchestrator, FakeLedger(), Documents()))
    assert not [name for name in found.names if "ledger" in name]
