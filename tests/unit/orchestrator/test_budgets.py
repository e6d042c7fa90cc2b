"""Would catch: a tenant that gets more than its budget, one that loses it, and a name that buys a fresh one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.clock import now
from tandem.errors import BudgetExhausted
from tandem.orchestrator.budgets import Budgets, Verdict, utc_today
from tandem.orchestrator.policy import Budget, BudgetPolicy
from tandem.simulation import virtual_time
from tandem.v1 import types_pb2

pytestmark = pytest.mark.virtual_time

USD = 10**9
MONDAY = date(2026, 11, 23)


class Calendar:
    """The day that it is."""

    def __init__(self) -> None:
        self.day = MONDAY

    def __call__(self) -> date:
        return self.day


def budgets(
    spent: Mapping[str, int] | None = None,
    *,
    default: Mapping[str, Any] | None = None,
    proven: bool = True,
    today: Calendar | None = None,
    **tenants: Mapping[str, Any],
) -> Budgets:
    policy = BudgetPolicy(
        default=Budget.model_validate(default or {}),
        tenants={name: Budget.model_validate(budget) for name, budget in tenants.items()},
    )
    return Budgets(policy, spent or {}, proven=proven, today=today or Calendar())


def usage(tokens: int) -> types_pb2.Usage:
    """Return a usage of so many tokens, a third of them in the prompt."""
    return types_pb2.Usage(input_tokens=tokens // 3, output_tokens=tokens - tokens // 3)


def spend(of: Budgets, tenant: str, *, tokens: int = 0, nano_usd: int = 0) -> None:
    of.charge(of.admit(tenant), usage(tokens), nano_usd)


def refused(of: Budgets, tenant: str) -> list[tuple[str, str]]:
    """Return which budgets are used up, each with its description."""
    with pytest.raises(BudgetExhausted) as caught:
        of.admit(tenant)
    assert caught.value.details.retry_after_seconds is None
    assert caught.value.details.quotas
    return [(quota.field, quota.description) for quota in caught.value.details.quotas]


# --- no limits


async def test_without_budgets_everything_may_come() -> None:
    of = budgets()
    for _ in range(1000):
        verdict = of.admit("shop")
        assert (verdict.cheap_only, verdict.detail) == (False, "")
        of.charge(verdict, usage(10**6), 10**12)


# --- requests


async def test_requests_of_a_minute() -> None:
    of = budgets(shop={"requests_per_minute": 3})
    for _ in range(3):
        of.admit("shop")
    assert refused(of, "shop") == [
        ("tenant:shop/requests_per_minute", "requests per minute: 3, the next in 20.0 s")
    ]
    of.admit("bank")


async def test_a_refusal_says_what_to_do() -> None:
    of = budgets(shop={"requests_per_minute": 1})
    of.admit("shop")
    with pytest.raises(BudgetExhausted) as caught:
        of.admit("shop")
    assert caught.value.message == (
        "the budget of tenant shop is exhausted: requests per minute: 1, the next in 60.0 s; wait until then, or ask "
        "whoever runs this deployment for a larger budget"
    )


async def test_what_is_refused_does_not_count() -> None:
    of = budgets(shop={"requests_per_minute": 2})
    for _ in range(2):
        of.admit("shop")
    for _ in range(29):
        await asyncio.sleep(1)
        refused(of, "shop")
    await asyncio.sleep(1)
    of.admit("shop")


async def test_requests_are_refused_also_where_the_cheap_tier_may_answer() -> None:
    of = budgets(shop={"requests_per_minute": 1, "tokens_per_minute": 5, "when_exhausted": "cheap"})
    spend(of, "shop", tokens=50)
    assert [field for field, _ in refused(of, "shop")] == [
        "tenant:shop/requests_per_minute",
        "tenant:shop/tokens_per_minute",
    ]


@given(st.integers(1, 5), st.lists(st.floats(0, 90), max_size=60))
def test_never_more_requests_in_any_minute_than_the_limit_and_what_was_saved_up(
    limit: int, pauses: list[float]
) -> None:
    async def admitted() -> list[float]:
        of, found = budgets(shop={"requests_per_minute": limit}), []
        for pause in pauses:
            await asyncio.sleep(pause)
            try:
                of.admit("shop")
            except BudgetExhausted:
                continue
            found.append(now())
        return found

    moments = virtual_time.run(admitted())
    for first in moments:
        assert sum(first <= moment < first + 60 for moment in moments) <= 2 * limit


# --- tokens


async def test_tokens_of_a_minute() -> None:
    of = budgets(shop={"tokens_per_minute": 600})
    spend(of, "shop", tokens=599)
    spend(of, "shop", tokens=50)  # the last token lets one more request begin
    assert refused(of, "shop") == [
        ("tenant:shop/tokens_per_minute", "tokens per minute: 600, the next in 5.0 s")
    ]
    await asyncio.sleep(5)
    of.admit("shop")


async def test_what_was_in_flight_is_owed() -> None:
    of = budgets(shop={"tokens_per_minute": 60})
    verdicts = [of.admit("shop") for _ in range(4)]
    for verdict in verdicts:
        of.charge(verdict, usage(60), 0)
    assert "the next in 181.0 s" in refused(of, "shop")[0][1]


async def test_the_cheap_tier_answers_without_making_the_debt_larger() -> None:
    of = budgets(shop={"tokens_per_minute": 60, "when_exhausted": "cheap"})
    spend(of, "shop", tokens=90)
    for _ in range(31):
        verdict = of.admit("shop")
        assert verdict.cheap_only
        of.charge(verdict, usage(1000), 0)
        await asyncio.sleep(1)
    assert not of.admit("shop").cheap_only


async def test_a_verdict_says_what_is_used_up_and_can_refuse() -> None:
    of = budgets(shop={"tokens_per_minute": 60, "usd_per_day": 2.5, "when_exhausted": "cheap"})
    spend(of, "shop", tokens=90, nano_usd=3 * USD)
    verdict = of.admit("shop")
    assert verdict.detail == (
        "the budget of tenant shop is exhausted: tokens per minute: 60, the next in 31.0 s; "
        "US dollars per day: 2.5, the next at midnight UTC"
    )
    refusal = verdict.refusal()
    assert refusal.message.startswith(verdict.detail)
    assert refusal.details.quotas == verdict.quotas


# --- money


async def test_money_of_a_day() -> None:
    of = budgets(shop={"usd_per_day": 1})
    spend(of, "shop", nano_usd=USD - 1)
    spend(of, "shop", nano_usd=1)
    assert refused(of, "shop") == [
        ("tenant:shop/usd_per_day", "US dollars per day: 1, the next at midnight UTC")
    ]


async def test_what_the_ledger_knows_counts() -> None:
    of = budgets({"shop": USD, "bank": USD - 1}, default={"usd_per_day": 1})
    refused(of, "shop")
    of.admit("bank")


async def test_a_new_day_and_a_clock_that_is_set_back() -> None:
    today = Calendar()
    of = budgets({"shop": USD}, today=today, shop={"usd_per_day": 1})
    today.day = MONDAY - timedelta(days=1)
    refused(of, "shop")
    today.day = MONDAY + timedelta(days=1)
    spend(of, "shop", nano_usd=USD)
    refused(of, "shop")
    today.day = MONDAY
    refused(of, "shop")


async def test_a_request_counts_on_the_day_on_which_it_ends() -> None:
    today = Calendar()
    of = budgets(today=today, shop={"usd_per_day": 1})
    verdict = of.admit("shop")
    today.day += timedelta(days=1)
    of.charge(verdict, usage(1), USD)
    refused(of, "shop")


@given(st.integers(1, 1000), st.lists(st.one_of(st.none(), st.integers(0, 400)), max_size=100))
def test_money_stops_at_the_limit_and_what_was_in_flight(limit: int, steps: list[int | None]) -> None:
    """A step begins a request of that price, or ends the oldest one."""

    async def play() -> tuple[int, int]:
        of, spent, most = budgets(shop={"usd_per_day": f"{limit}e-9"}), 0, 0
        flying: list[tuple[Verdict, int]] = []
        for price in [*steps, *([None] * len(steps))]:
            if price is None and flying:
                verdict, cost = flying.pop(0)
                of.charge(verdict, usage(1), cost)
                spent += cost
            elif price is not None and spent < limit:
                flying.append((of.admit("shop"), price))
                most = limit + sum(cost for _, cost in flying)
            elif price is not None:
                refused(of, "shop")
        return spent, most

    spent, most = virtual_time.run(play())
    assert spent <= most


# --- names


async def test_without_keys_a_new_name_is_no_new_budget() -> None:
    of = budgets(default={"requests_per_minute": 3}, proven=False, shop={"requests_per_minute": 1})
    for number in range(3):
        of.admit(f"tenant-{number}")
    assert refused(of, "tenant-3") == [
        (
            "tenant:tenant-3/requests_per_minute",
            "requests per minute: 3 for all tenants without a budget of their own, the next in 20.0 s",
        )
    ]
    of.admit("shop")
    refused(of, "shop")


async def test_without_keys_invented_names_take_no_memory() -> None:
    of = budgets({"a": 5, "b": 6}, default={"usd_per_day": 1}, proven=False, shop={"usd_per_day": 1})
    for number in range(1000):
        spend(of, f"tenant-{number}", nano_usd=1)
    assert (len(of._accounts), dict(of._spent)) == (1, {"": 1011})


async def test_with_keys_every_tenant_has_the_default_for_itself() -> None:
    of = budgets(default={"requests_per_minute": 1})
    of.admit("shop")
    of.admit("bank")
    refused(of, "shop")


async def test_the_day_is_that_of_utc() -> None:
    assert abs(utc_today() - date.today()) <= timedelta(days=1)  # noqa: DTZ011 - the local day, to compare with


# --- another policy


async def test_the_money_of_the_day_survives_another_policy() -> None:
    of = budgets({"shop": USD, "other": USD}, shop={"usd_per_day": 2}, proven=False)
    spend(of, "shop", nano_usd=USD)
    of.adopt(
        BudgetPolicy(
            default=Budget.model_validate({"usd_per_day": 2}),
            tenants={"shop": Budget.model_validate({"usd_per_day": 3})},
        )
    )
    spend(of, "shop", nano_usd=USD)
    assert [field for field, _ in refused(of, "shop")] == ["tenant:shop/usd_per_day"]
    of.admit("other")


async def test_a_tenant_that_is_no_longer_listed_brings_its_money_along() -> None:
    of = budgets({"shop": USD, "other": USD}, shop={"usd_per_day": 5}, proven=False)
    of.adopt(BudgetPolicy(default=Budget.model_validate({"usd_per_day": 2}), tenants={}))
    assert [field for field, _ in refused(of, "anybody")] == ["tenant:anybody/usd_per_day"]
