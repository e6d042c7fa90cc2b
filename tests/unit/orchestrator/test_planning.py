"""Would catch: the wrong tier, an error by surprise, a fallback nobody may use, or time that does not add up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import (
    DeadlineTooShort,
    ModalityUnsupported,
    StrategyUnsupported,
    TierNotEntitled,
    UnknownTier,
    UnknownVariant,
)
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planned, Planner
from tandem.orchestrator.policy import Policy
from tandem.simulation import virtual_time
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, image, question, user
from tests.fakes.documents import catalogue, policy
from tests.fakes.services import signals

CATALOGUE = catalogue()
PICTURE = orchestrator_pb2.GenerateRequest(messages=[user(), image()])
TIMEOUT, OUT_OF_MEMORY, UNAVAILABLE = (
    types_pb2.ATTEMPT_OUTCOME_TIMEOUT,
    types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY,
    types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE,
)


def plan(
    request: orchestrator_pb2.GenerateRequest | None = None,
    found: types_pb2.Signals | None = None,
    tenant: str = "anonymous",
    remaining_ms: float = 20_000,
    **changes: Any,
) -> tuple[types_pb2.Plan, list[types_pb2.Degradation]]:
    """Plan by the policy with changes; `a__b=1` changes `a.b`."""
    changed = policy({path.replace("__", "."): value for path, value in changes.items()})
    made = planned(request or question(), found or signals(), changed, tenant, remaining_ms)
    return made.plan, made.degradations


def planned(
    request: orchestrator_pb2.GenerateRequest,
    found: types_pb2.Signals | None,
    changed: Policy,
    tenant: str = "anonymous",
    remaining_ms: float = 20_000,
) -> Planned:
    """Plan when nothing is known of the models but what the catalogue says."""

    async def make() -> Planned:
        planner = Planner(CATALOGUE, changed, LiveModels(CATALOGUE, changed))
        return planner.plan(request, found, call(remaining_ms / 1000, tenant=tenant))

    return virtual_time.run(make())


def names(made: types_pb2.Plan) -> list[str]:
    return [f"{a.target.tier}/{a.target.variant}" for a in made.attempts]


def asking(**fields: Any) -> orchestrator_pb2.GenerateRequest:
    return orchestrator_pb2.GenerateRequest(messages=[user()], **fields)


# --- which tier


@pytest.mark.parametrize(
    ("probability", "target"),
    [(0.0, "pro/bf16"), (0.69, "pro/bf16"), (0.7, "r1/fp16"), (0.71, "r1/fp16"), (1.0, "r1/fp16")],
)
def test_the_threshold_belongs_to_the_cheap_tier(probability: float, target: str) -> None:
    made, less = plan(found=signals(probability))
    assert names(made) == [target]
    assert less == []
    assert "0.70" in made.reasons[0]
    assert made.chosen_by == types_pb2.CHOSEN_BY_SCORE
    assert made.threshold == pytest.approx(0.7)


@pytest.mark.parametrize("undecided", ["r1", "pro"])
def test_without_signals_the_policy_decides(undecided: str) -> None:
    made = planned(question(), None, policy({"routing.undecided": undecided})).plan
    assert made.attempts[0].target.tier == undecided
    assert undecided in made.reasons[0]
    assert (made.chosen_by, made.HasField("threshold")) == (types_pb2.CHOSEN_BY_DEFAULT, False)


def test_the_classifiers_reasons_are_passed_on() -> None:
    found = signals()
    found.reasons.append("a proof is wanted")
    assert "a proof is wanted" in plan(found=found)[0].reasons


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        ({"tier": "r1"}, "r1/fp16"),
        ({"tier": "r1", "variant": "int8"}, "r1/int8"),
        ({"tier": "pro"}, "pro/bf16"),
        ({"tier": "pro", "strategy": types_pb2.STRATEGY_ENSEMBLE}, "pro/bf16"),
    ],
)
def test_a_tier_that_is_asked_for(fields: dict[str, Any], target: str) -> None:
    made, less = plan(asking(**fields))
    assert names(made) == [target]
    assert made.strategy == types_pb2.STRATEGY_ROUTE
    assert (made.chosen_by, made.HasField("threshold")) == (types_pb2.CHOSEN_BY_CLIENT, False)
    assert less == []


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"tier": "ultra"}, UnknownTier, "r1, pro"),
        ({"tier": "r1", "variant": "fp8"}, UnknownVariant, "fp16, int8"),
        ({"tier": "pro"}, TierNotEntitled, "tenant cheap may not use tier pro; it may use r1"),
        ({"strategy": types_pb2.STRATEGY_SHADOW}, StrategyUnsupported, "strategy shadow"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        plan(asking(**fields), tenant="cheap")


@pytest.mark.parametrize(
    ("tenant", "probability", "wanted", "instead"),
    [("cheap", 0.1, "pro", "r1"), ("strong", 0.9, "r1", "pro")],
)
def test_without_entitlement_another_tier_answers_and_says_so(
    tenant: str, probability: float, wanted: str, instead: str
) -> None:
    made, (degradation,) = plan(found=signals(probability), tenant=tenant)
    assert made.attempts[0].target.tier == instead
    assert degradation.reason == types_pb2.DEGRADATION_REASON_NOT_ENTITLED
    assert (degradation.from_target.tier, degradation.to_target.tier) == (wanted, instead)
    assert all(fallback.target.tier == instead for fallback in made.fallbacks)


# --- what a tier can read


def test_a_picture_goes_to_the_tier_that_sees() -> None:
    made, _ = plan(PICTURE, signals(0.9))
    assert names(made) == ["pro/bf16"]
    assert any("cannot read" in reason for reason in made.reasons)
    assert made.chosen_by == types_pb2.CHOSEN_BY_MODALITY
    assert {fallback.target.tier for fallback in made.fallbacks} == {"pro"}


@pytest.mark.parametrize(("tier", "tenant"), [("r1", "anonymous"), ("", "cheap")])
def test_nobody_who_may_answer_sees_it(tier: str, tenant: str) -> None:
    asked = orchestrator_pb2.GenerateRequest(messages=PICTURE.messages, tier=tier)
    with pytest.raises(
        ModalityUnsupported, match="can read text, image: r1 reads text; send only such parts"
    ):
        plan(asked, tenant=tenant)


def test_an_ensemble_has_only_voices_that_see() -> None:
    assert names(plan(PICTURE, strategy="ensemble")[0]) == ["pro/bf16"]
    with pytest.raises(ModalityUnsupported):
        plan(PICTURE, tenant="cheap", strategy="ensemble")


# --- ensembles


@pytest.mark.parametrize("asked", [types_pb2.STRATEGY_ENSEMBLE, types_pb2.STRATEGY_UNSPECIFIED])
def test_an_ensemble(asked: types_pb2.Strategy.ValueType) -> None:
    targets = ["r1", "pro", "r1/int8", "r1"]
    made, less = plan(asking(strategy=asked), strategy="ensemble", ensemble__targets=targets)
    assert made.strategy == types_pb2.STRATEGY_ENSEMBLE
    assert names(made) == ["r1/fp16", "pro/bf16", "r1/int8", "r1/fp16"]
    assert {a.purpose for a in made.attempts} == {types_pb2.ATTEMPT_PURPOSE_VOTE}
    assert less == []


def test_the_client_may_want_one_answer_of_an_ensemble_policy() -> None:
    made, _ = plan(asking(strategy=types_pb2.STRATEGY_ROUTE), strategy="ensemble")
    assert names(made) == ["r1/fp16"]
    assert made.attempts[0].purpose == types_pb2.ATTEMPT_PURPOSE_PRIMARY


def test_a_voice_without_entitlement_is_missing_and_says_so() -> None:
    made, (degradation,) = plan(tenant="cheap", strategy="ensemble")
    assert names(made) == ["r1/fp16"]
    assert degradation.reason == types_pb2.DEGRADATION_REASON_NOT_ENTITLED


def test_a_tenant_without_any_voice_gets_an_answer_all_the_same() -> None:
    made, less = plan(tenant="cheap", strategy="ensemble", ensemble__targets=["pro", "pro"])
    assert names(made) == ["r1/fp16"]
    assert {d.reason for d in less} == {types_pb2.DEGRADATION_REASON_NOT_ENTITLED}


# --- fallbacks


def test_fallbacks_are_those_of_the_policy() -> None:
    found = [
        (
            f.from_tier,
            f.on,
            f.target.tier,
            f.target.variant,
            f.max_tokens if f.HasField("max_tokens") else None,
        )
        for f in plan()[0].fallbacks
    ]
    assert sorted(found, key=str) == sorted(
        [
            ("pro", TIMEOUT, "r1", "fp16", 256),
            ("r1", TIMEOUT, "pro", "bf16", 256),
            ("r1", TIMEOUT, "r1", "int8", 256),
            ("pro", OUT_OF_MEMORY, "r1", "int8", None),
            ("r1", OUT_OF_MEMORY, "r1", "int8", None),
            ("pro", UNAVAILABLE, "r1", "fp16", None),
            ("r1", UNAVAILABLE, "pro", "bf16", None),
            ("r1", UNAVAILABLE, "r1", "int8", None),
        ],
        key=str,
    )
    assert [f.target.tier for f in plan()[0].fallbacks if (f.from_tier, f.on) == ("r1", TIMEOUT)] == [
        "pro",
        "r1",
    ]


def test_no_rows_no_fallbacks_no_reserve() -> None:
    made, _ = plan(fallbacks=[])
    assert list(made.fallbacks) == []
    assert made.reserve_ms == 0


# --- sampling


def test_sampling_is_the_clients_over_the_policys() -> None:
    sampling = types_pb2.Sampling(temperature=1.5, seed=7)
    made, _ = plan(asking(sampling=sampling), sampling__max_tokens=99)
    chosen = made.attempts[0].sampling
    assert (chosen.temperature, chosen.seed, chosen.max_tokens) == (1.5, 7, 99)


# --- time; the expected values are calculated from the numbers in the documents


@pytest.mark.parametrize(
    ("probability", "remaining_ms", "reserve_ms"),
    [
        # r1 fails: pro takes 200 + 100 × 20 = 2200, int8 50 + 100 × 5 = 550
        (0.9, 20_000, 2200),
        # pro fails: fp16 takes 100 + 100 × 10 = 1100, int8 550
        (0.1, 20_000, 1100),
        # at most half of what is left after the margin of 10
        (0.9, 1010, 500),
        (0.1, 1010, 500),
    ],
)
def test_the_reserve_is_what_a_short_answer_takes(
    probability: float, remaining_ms: float, reserve_ms: float
) -> None:
    made, _ = plan(found=signals(probability), remaining_ms=remaining_ms)
    assert made.reserve_ms == pytest.approx(reserve_ms)
    assert made.attempts[0].allowance_ms == pytest.approx(remaining_ms - 10 - reserve_ms)
    assert made.deadline_ms == pytest.approx(remaining_ms)
    assert made.margin_ms == 10


def test_a_deadline_too_short_for_the_strong_tier_goes_to_the_quick_one_and_says_so() -> None:
    """Pro needs 220 ms to its first token; of 410 ms, 10 are the margin and half of the rest is r1's reserve."""
    made, (degradation,) = plan(found=signals(0.1), remaining_ms=410)
    assert names(made) == ["r1/fp16"]
    assert degradation.reason == types_pb2.DEGRADATION_REASON_DEADLINE
    assert (degradation.from_target.tier, degradation.to_target.tier) == ("pro", "r1")
    made, less = plan(found=signals(0.1), remaining_ms=450)
    assert (names(made), less) == (["pro/bf16"], [])


def test_nobody_is_quicker_than_the_quickest() -> None:
    made, less = plan(asking(tier="r1", variant="int8"), remaining_ms=80)
    assert (names(made), less) == (["r1/int8"], [])


def test_an_ensemble_keeps_time_for_the_vote_alone() -> None:
    made, _ = plan(strategy="ensemble")
    assert [a.allowance_ms for a in made.attempts] == [20_000 - 10 - 100] * 2


# the quickest of all is r1/int8 with 50 + 5 ms, of pro alone it is 200 + 20 ms; the margin is 10 ms
@pytest.mark.parametrize(("tenant", "enough_ms"), [("anonymous", 65), ("cheap", 65), ("strong", 230)])
@pytest.mark.parametrize("strategy", ["route", "ensemble"])
def test_a_deadline_too_short_for_anything(tenant: str, enough_ms: int, strategy: str) -> None:
    plan(tenant=tenant, remaining_ms=enough_ms, strategy=strategy)
    with pytest.raises(DeadlineTooShort, match=f"grant at least {enough_ms} ms") as caught:
        plan(tenant=tenant, remaining_ms=enough_ms - 1, strategy=strategy)
    assert caught.value.details.metadata == {"needed_ms": str(enough_ms), "granted_ms": str(enough_ms - 1)}


def test_a_deadline_that_has_passed() -> None:
    with pytest.raises(DeadlineTooShort):
        plan(remaining_ms=-5)


@given(
    remaining_ms=st.floats(1, 1e6),
    probability=st.floats(0, 1),
    share=st.floats(0, 0.99),
    margin=st.floats(0, 100),
    tokens=st.integers(1, 32768),
    tenant=st.sampled_from(["anonymous", "cheap", "strong"]),
    strategy=st.sampled_from(["route", "ensemble"]),
)
def test_the_parts_of_the_time_never_exceed_the_whole(
    remaining_ms: float,
    probability: float,
    share: float,
    margin: float,
    tokens: int,
    tenant: str,
    strategy: str,
) -> None:
    try:
        made, _ = plan(
            found=signals(probability),
            tenant=tenant,
            remaining_ms=remaining_ms,
            strategy=strategy,
            deadline__reserve_share=share,
            deadline__margin_ms=margin,
            deadline__fallback_tokens=tokens,
        )
    except DeadlineTooShort:
        assert remaining_ms - margin < 220
        return
    for attempt in made.attempts:
        assert attempt.allowance_ms > 0
        assert attempt.allowance_ms + made.reserve_ms + made.margin_ms == pytest.approx(remaining_ms)
    assert 0 <= made.reserve_ms <= max(share * (remaining_ms - margin), 100)


def test_the_same_input_gives_the_same_plan() -> None:
    assert plan() == plan()
