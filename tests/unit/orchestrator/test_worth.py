"""Would catch a choice that does not follow the money, breaks the deadline, or a probability that is none."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.orchestrator.gate import log_odds
from tandem.orchestrator.value_policy import Value
from tandem.orchestrator.worth import Prospect, best, cascade, ensemble, net_nano_usd, vote_right
from tandem.v1 import types_pb2

VALUE = Value()
shares = st.floats(0, 1)
money = st.floats(0, 1e9)
times = st.floats(0, 1e6)
prospects = st.builds(Prospect, shares, money, times, times)
values = st.builds(Value, gate_finds=shares, gate_false_alarms=shares, independence=shares)


def chosen(found: list[Prospect], right: float, second: float = 0.0, usable_ms: float = 1e9) -> int:
    return best(found, [net_nano_usd(each, right, second) for each in found], usable_ms)


@given(st.lists(prospects, min_size=1, max_size=6), money, money, times)
def test_nothing_is_chosen_that_does_not_fit_if_something_does(
    found: list[Prospect], right: float, second: float, usable_ms: float
) -> None:
    taken = found[chosen(found, right, second, usable_ms)]
    if any(each.longest_ms <= usable_ms for each in found):
        assert taken.longest_ms <= usable_ms
    else:
        assert taken.longest_ms == min(each.longest_ms for each in found)


@given(st.lists(prospects, min_size=1, max_size=6), money, money)
def test_a_higher_value_never_buys_a_worse_answer(found: list[Prospect], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert found[chosen(found, high)].right >= found[chosen(found, low)].right - 1e-6 / max(1.0, high - low)


@given(st.lists(prospects, min_size=2, max_size=6), st.integers(0, 5), money, money)
def test_a_higher_price_never_makes_an_option_the_choice(
    found: list[Prospect], which: int, dearer: float, right: float
) -> None:
    which %= len(found)
    before = chosen(found, right)
    raised = [
        replace(each, nano_usd=each.nano_usd + dearer) if n == which else each for n, each in enumerate(found)
    ]
    after = chosen(raised, right)
    if after == which:
        assert before == which


@given(prospects, money, money, money)
def test_net_value_rises_with_the_value_and_falls_with_the_time(
    found: Prospect, right: float, more: float, second: float
) -> None:
    assert net_nano_usd(found, right + more, second) >= net_nano_usd(found, right, second)
    assert net_nano_usd(found, right, second + more) <= net_nano_usd(found, right, second)


def test_the_stated_formula() -> None:
    found = Prospect(right=0.8, nano_usd=1_000_000, usual_ms=1500, longest_ms=4000)
    # 0.8 × $0.01 − $0.001 − 1.5 s × $0.002
    assert net_nano_usd(found, 10_000_000, 2_000_000) == pytest.approx(8_000_000 - 1_000_000 - 3_000_000)


def test_of_equal_options_the_first_is_chosen() -> None:
    same = Prospect(0.5, 1, 1, 1)
    assert chosen([same, same], 100) == 0


# --- cascades


@given(prospects, prospects, st.integers(0, 8), values)
def test_a_cascade_lies_between_its_steps(
    draft: Prospect, second: Prospect, samples: int, value: Value
) -> None:
    both = cascade(draft, second, samples, value)
    low, high = sorted((draft.right, second.right))
    assert low - 1e-9 <= both.right <= high + 1e-9
    assert draft.nano_usd * (1 + samples) <= both.nano_usd + 1e-6
    assert both.nano_usd <= draft.nano_usd * (1 + samples) + second.nano_usd + 1e-3
    assert draft.usual_ms <= both.usual_ms <= draft.usual_ms + second.usual_ms + 1e-6
    assert both.longest_ms == draft.longest_ms + second.longest_ms


def test_what_a_cascade_is_expected_to_be() -> None:
    draft, second = Prospect(0.6, 100, 1000, 2000), Prospect(0.8, 1000, 3000, 5000)
    both = cascade(draft, second, 1, Value(gate_finds=0.7, gate_false_alarms=0.2))
    # 0.4 wrong × 0.7 + 0.6 right × 0.2 are sent on: 0.4
    assert both.right == pytest.approx(0.6 + 0.7 * 0.2)
    assert both.nano_usd == pytest.approx(200 + 400)
    assert both.usual_ms == pytest.approx(1000 + 1200)


def test_a_strong_tier_that_is_worse_costs_only_where_it_is_asked() -> None:
    both = cascade(Prospect(0.8, 0, 0, 0), Prospect(0.6, 0, 0, 0), 0, Value(gate_false_alarms=0.25))
    assert both.right == pytest.approx(0.8 - 0.25 * 0.2)


# --- votes


def by_counting(rights: list[float]) -> float:
    """Return what a vote gives, by every way in which it can go."""
    total = 0.0
    for ways in product((True, False), repeat=len(rights)):
        chance = prod(r if way else 1 - r for way, r in zip(ways, rights, strict=True))
        weights = [max(0.0, log_odds(r)) * (1 if way else -1) for way, r in zip(ways, rights, strict=True)]
        balance = round(sum(weights), 6)
        total += chance * (0.5 if balance == 0 else float(balance > 0))
    return total


@given(st.lists(st.sampled_from([0.3, 0.5, 0.6, 0.75, 0.9]), min_size=1, max_size=7))
def test_a_vote_is_what_counting_gives(rights: list[float]) -> None:
    assert vote_right(rights) == pytest.approx(by_counting(rights), abs=1e-9)


@given(st.lists(st.floats(0.5, 1), min_size=1, max_size=8), st.floats(0.5, 1))
def test_a_further_voice_never_hurts(rights: list[float], another: float) -> None:
    # Voices are clipped at 0.999: near 1 the weights are not quite the best.
    assert vote_right([*rights, another]) >= vote_right(rights) - 1e-3


def test_three_of_the_same() -> None:
    # Two or three of three: 3 × 0.8² × 0.2 + 0.8³
    assert vote_right([0.8] * 3) == pytest.approx(0.896)


def test_many_voices_are_no_burden() -> None:
    assert vote_right([0.6] * 32 + [0.8] * 32) > 0.99


@given(st.lists(prospects, min_size=1, max_size=5), values)
def test_an_ensemble_costs_all_and_waits_for_the_slowest(voices: list[Prospect], value: Value) -> None:
    fused = ensemble(voices, 100, value)
    assert 0 <= fused.right <= 1 + 1e-9
    assert fused.nano_usd == pytest.approx(sum(voice.nano_usd for voice in voices))
    assert fused.longest_ms == max(voice.longest_ms for voice in voices) + 100


@pytest.mark.parametrize(("independence", "right"), [(0.0, 0.8), (1.0, 0.896), (0.5, 0.848)])
def test_voices_that_err_together_are_no_better_than_one(independence: float, right: float) -> None:
    voices = [Prospect(0.8, 1, 1, 1)] * 3
    assert ensemble(voices, 0, Value(independence=independence)).right == pytest.approx(right)


@pytest.mark.parametrize(
    ("domain", "confidence", "usd"), [(2, 1.0, 1.0), (2, 0.4, 0.01), (3, 1.0, 0.01), (0, 1.0, 0.01)]
)
def test_a_domain_has_a_price_of_its_own(domain: int, confidence: float, usd: float) -> None:
    found = types_pb2.Signals()
    found.domain.value, found.domain.confidence = domain, confidence  # type: ignore[assignment]  # by number
    assert Value(domains={"medical": 1.0}).nano_usd(found) == usd * 1e9
